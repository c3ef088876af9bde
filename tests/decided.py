"""Decisions to keep, made without asking anyone."""

import time
from typing import Any

from fastcascade.answers import Answer, Attempt, Spent
from fastcascade.effects import Outcome
from fastcascade.errors import Failure
from fastcascade.messages import Reply, Request, Usage
from fastcascade.telemetry.events import Decision, Graded, layer_of

__all__ = ["answer_of", "decision", "grade", "refusal"]

PRICES = {"small": 0.001, "large": 0.01}


def attempt(tier: str, verdict: Any, cost: float | None, said: str = "said", score: float | None = None) -> Attempt:
    """A try with one call."""
    call = Spent(f"{tier}/answer", f"model-{tier}", Usage(100, 20), cost, False, 0.0, 0.25)
    return Attempt(tier, verdict, score, f"because it {said}", f"model-{tier}", None, 0.0, 0.25, (call,))


def answer_of(*tiers: str, asked: str = "what?", said: str = "that", cost: bool = True, **more: Any) -> Answer:
    """The answer of the last of these tiers; those before were not good enough."""
    tries = [
        attempt(tier, "accept" if tier == tiers[-1] else "escalate", PRICES[tier] if cost else None, said, 0.6)
        for tier in tiers
    ]
    outcomes = {f"{tier}/answer": Outcome(Reply(said, usage=Usage(100, 20))) for tier in tiers}
    named = {
        name: more.pop(name) for name in ("id", "task", "route", "feature", "customer", "callback") if name in more
    }
    request = Request.of(asked, **named)
    return Answer(
        Reply(said, usage=Usage(100, 20)), request, tiers[-1] if tiers else "", 0.6, 0.5, attempts=tuple(tries),
        outcomes=outcomes, **more,
    )  # fmt: skip


def decision(answer: Answer | None = None, at: float | None = None, **more: Any) -> Decision:
    """What is told of it."""
    answer = answer or answer_of("small")
    layer, by = layer_of(answer)
    told: dict[str, Any] = {"status": 200, "path": "/v1/chat/completions", "caller": "team", "cascade": "support"}
    told = {"seconds": 0.5, "id": answer.request.id, **told, **more}
    return Decision(layer, by, time.time() if at is None else at, answer=answer, **told)


def refusal(at: float | None = None, **more: Any) -> Decision:
    """A request that never reached a cascade."""
    told = {"seconds": 0.001, "status": 429, "path": "/v1/chat/completions", **more}
    return Decision("guard", str(told["status"]), time.time() if at is None else at, **told)


def grade(id: str, tier: str, score: float, **more: Any) -> Graded:  # noqa: A002 - what it is called everywhere
    """A label, under the digest of a request's id."""
    from fastcascade.evals.shadow_seen import digest  # noqa: PLC0415

    told = {"at": time.time(), "propensity": 0.5, "source": "judge", **more}
    return Graded(tier, score, id=digest(id), **told)


FAILED = Failure("timeout", "SECRET words of a provider")
