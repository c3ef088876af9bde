"""One's own text through a cascade that this gateway serves: that costs money, and is bounded by the day.

What a run might cost is held before it begins, and settled when it is over; a cost that is not known counts in full.
"""

import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from fastcascade.console.asked import Refusal, Sight
from fastcascade.console.playground_steps import Steps, answer_of, level_of, rungs_of
from fastcascade.errors import AnswerError, BackendError, ConfigError, RequestError
from fastcascade.gateway.settings_seen import ConsoleSettings
from fastcascade.messages import Budget, Request

if TYPE_CHECKING:
    from fastcascade.answers import Answer
    from fastcascade.cascade import Cascade

__all__ = ["Allowance", "estimated", "served"]

DAY: Final = 86_400.0
DEADLINE: Final = 60.0
MARGIN: Final = 10.0
"""How many times its estimate a run may cost: gates ask again, and replies are of any length."""
LEAST: Final = 0.01
"""Dollars that a run may cost however little is expected."""


class Allowance:
    """What typed requests may cost in a day (UTC), of this worker: its share of what all of them may."""

    def __init__(self, usd: float) -> None:
        """Nothing is spent yet."""
        self.usd = usd
        self._day = -1
        self._spent = self._held = 0.0

    def left(self, now: float) -> float:
        """What is neither spent nor held today."""
        day = int(now // DAY)
        if day != self._day:
            self._day, self._spent = day, 0.0
        return max(0.0, self.usd - self._spent - self._held)

    def hold(self, expected: float, now: float) -> float:
        """Hold what a run may cost at most; raises `Refusal` where too little is left."""
        left = self.left(now)
        if left <= 0.0 or expected > left:
            wait = DAY - now % DAY
            raise Refusal(
                402, f"today's ${self.usd:g} for requests from the console is used up, or too little is left", wait
            )
        held = min(left, max(LEAST, MARGIN * expected))
        self._held += held
        return held

    def settle(self, held: float, cost: float | None, now: float) -> None:
        """Count what it did cost; all that was held where that is not known."""
        self.left(now)  # begins the day, where it is a new one
        self._held = max(0.0, self._held - held)
        self._spent += held if cost is None else cost


def allowance_of(sight: Sight) -> Allowance:
    """The one of this worker."""
    kept = sight.kept.get("try.allowance")
    if not isinstance(kept, Allowance):
        console = sight.settings.console or ConsoleSettings()
        kept = sight.kept["try.allowance"] = Allowance(console.usd / max(1, sight.settings.workers))
    return kept


def estimated(sight: Sight, name: str, text: str) -> dict[str, Any]:
    """What a request is expected to cost with each tier, and what is left today."""
    cascade = _cascade(sight, name)
    ladder = cascade.estimates(_request(text))
    allowance = allowance_of(sight)
    known = [cost for cost in ladder.cost if cost is not None]
    return {
        "cascade": name,
        "tiers": [{"tier": tier, "usd": cost} for tier, cost in zip(ladder.names, ladder.cost, strict=True)],
        "least": min(known) if len(known) == len(ladder.cost) else None,
        "most": sum(known) if len(known) == len(ladder.cost) else None,
        "left": allowance.left(sight.now()),
        "a_day": allowance.usd,
    }


async def served(sight: Sight, name: str, text: str, person: str) -> dict[str, Any]:
    """Run it, within what is left today."""
    cascade, allowance, steps = _cascade(sight, name), allowance_of(sight), Steps()
    expected = estimated(sight, name, text)["most"]
    if expected is None:
        raise Refusal(
            422, f"the price of a tier of {name!r} is not known, so that its cost cannot be bounded: give it a price"
        )
    with steps.timing("L3") as step:
        held = allowance.hold(expected, sight.now())
    step.detail.append(
        f"signed in as {person}; this run may cost ${held:.4g}, and the client's keys and limits do not apply"
    )
    cost: float | None = None
    try:
        answer, took = await _ran(cascade, _request(text, held, person))
        cost = answer.cost_usd
    finally:
        allowance.settle(held, cost, sight.now())
    _said(steps, cascade, answer, took)
    return {
        "request": {"method": "POST", "path": "/v1/chat/completions", "text": text, "key": "", "cascade": name},
        "steps": [each.json() for each in steps.all.values()],
        "answer": answer_of(answer),
        "trace": rungs_of(answer),
        "decision_id": answer.request.id,
        "left": allowance.left(sight.now()),
    }


async def _ran(cascade: "Cascade", request: Request) -> tuple["Answer", float]:
    began = time.perf_counter_ns()
    try:
        answer = await cascade.run(request)
    except AnswerError as error:
        answer = error.answer
    except (RequestError, ConfigError) as error:
        raise Refusal(422, str(error)) from None
    except BackendError as error:
        raise Refusal(502, f"the cascade failed: {error.failure.kind}") from None
    return answer, (time.perf_counter_ns() - began) / 1e9


def _said(steps: Steps, cascade: "Cascade", answer: "Answer", took: float) -> None:
    """The layers as they were for this run: the console asks the cascade itself, and not by way of HTTP."""
    steps["L0"].detail.append("not asked: the console asks the cascade itself, so that there is no path")
    steps["L2"].detail.append(f"not asked: {cascade.name or 'the cascade'} was chosen by hand")
    if answer.entrance is not None and answer.entrance.why:
        steps["L2"].outcome = "passed"
        steps["L2"].detail = [f"lanes: {answer.entrance.why}"]
    if level_of(answer) == "L1":
        steps["L1"].outcome, steps["L1"].seconds = "answered", took
        steps["L1"].detail.append(f"{answer.via}: {answer.age or 0.0:.0f} s old")
        return
    if cascade.cache is None:
        steps["L1"].detail.append("not asked: this cascade keeps no answers")
    else:
        steps["L1"].outcome = "passed"
        steps["L1"].detail.append("nothing is kept for this question; the time is counted with L4")
    steps.laddered(answer, frozenset(tier.name for tier in cascade.tiers), took)


def _cascade(sight: Sight, name: str) -> "Cascade":
    cascade = sight.cascades.get(name)
    if cascade is None:
        raise Refusal(404, "this gateway has no cascade of that name")
    return cascade


def _request(text: str, usd: float | None = None, person: str = "") -> Request:
    budget = None if usd is None else Budget(deadline=DEADLINE, usd=usd)
    user = f"console/{person}" if person else ""
    return Request.of(text, budget=budget, user=user, id=f"console-{secrets.token_hex(8)}")
