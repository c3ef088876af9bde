"""What a run came to, layer by layer: measured where a layer was asked, and said to be skipped where not."""

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter_ns
from typing import Any, Final, Literal, TypeAlias

from fastcascade.answers import Answer, Attempt, total
from fastcascade.telemetry.events import layer_of

__all__ = ["LAYERS", "Medians", "Outcome", "Step", "Steps", "answer_of", "attempt_of", "level_of", "rungs_of"]

Outcome: TypeAlias = Literal["passed", "answered", "refused", "skipped"]
LAYERS: Final = {
    "L0": "entry",
    "L1": "cache",
    "L2": "match",
    "L3": "guard",
    "L4": "models",
    "L5": "fallback",
}
LEVELS: Final = {"cache": "L1", "dispatch": "L4", "fallback": "L5"}
KEPT: Final = 200
"""Runs that a median is over."""


@dataclass(slots=True)
class Step:
    """One layer of one run. Where it was skipped, `would` says what it takes where it is not."""

    layer: str
    outcome: Outcome = "skipped"
    seconds: float = 0.0
    usd: float | None = 0.0
    detail: list[str] = field(default_factory=list)
    would: dict[str, Any] | None = None

    def json(self) -> dict[str, Any]:
        """As the page reads it."""
        return {
            "layer": self.layer,
            "name": LAYERS[self.layer],
            "outcome": self.outcome,
            "seconds": self.seconds,
            "usd": self.usd,
            "detail": self.detail,
            "would": self.would,
        }


class Medians:
    """What each layer took in earlier runs: what it would have taken in one that did without."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._runs: dict[str, deque[tuple[float, float | None]]] = {layer: deque(maxlen=KEPT) for layer in LAYERS}

    def note(self, step: Step) -> None:
        """Remember one that was asked."""
        self._runs[step.layer].append((step.seconds, step.usd))

    def of(self, layer: str) -> dict[str, Any] | None:
        """The medians of its runs, and how many there were; None without any."""
        runs = self._runs[layer]
        if not runs:
            return None
        known = [usd for _, usd in runs if usd is not None]
        how = f"median of {len(runs)} earlier run{'' if len(runs) == 1 else 's'} here"
        return {"seconds": median(took for took, _ in runs), "usd": median(known) if known else None, "how": how}


class Steps:
    """The layers of one run, from the top down.

        with steps.timing("L1") as step:
            found = cache.get(key)

    The time is that of the block, and nothing else belongs into it than the call that it is of.
    """

    def __init__(self) -> None:
        """All are skipped, until they are asked."""
        self.all = {layer: Step(layer) for layer in LAYERS}

    def __getitem__(self, layer: str) -> Step:
        """One of them."""
        return self.all[layer]

    def timing(self, layer: str) -> "_Timing":
        """Take the time of a block, for a layer that lets the request pass unless it is said otherwise."""
        return _Timing(self.all[layer])

    def laddered(self, answer: Answer, own: frozenset[str], seconds: float) -> None:
        """Share out what a cascade took between its ladder, L4, and what it does about failures, L5."""
        ladder = [each for each in answer.attempts if each.tier in own]
        behind = [each for each in answer.attempts if each.tier not in own]
        took = max((each.started + each.latency for each in ladder), default=0.0) - min(
            (each.started for each in ladder), default=0.0
        )
        fallen = level_of(answer) == "L5"
        models, chain = self.all["L4"], self.all["L5"]
        models.seconds = min(seconds, took) if fallen else seconds
        models.usd = total(tuple(call for each in ladder for call in each.calls))
        models.outcome = "passed" if fallen else "answered"
        models.detail = [line for each in ladder for line in _told(each)]
        if fallen:
            chain.outcome = "answered"
            chain.seconds = max(0.0, seconds - models.seconds)
            chain.usd = total(tuple(call for each in behind for call in each.calls))
            chain.detail = [*(line for each in behind for line in _told(each)), *_fallen(answer)]


class _Timing:
    """A block whose time is taken."""

    __slots__ = ("_began", "_step")

    def __init__(self, step: Step) -> None:
        self._step, self._began = step, 0

    def __enter__(self) -> Step:
        self._step.outcome = "passed"
        self._began = perf_counter_ns()
        return self._step

    def __exit__(self, *_: object) -> None:
        self._step.seconds += (perf_counter_ns() - self._began) / 1e9


def _told(attempt: Attempt) -> list[str]:
    """One attempt in a line or two, without a word of what anybody said."""
    score = "" if attempt.score is None else f", score {attempt.score:.2f}"
    ended = {"accept": "accepted", "escalate": "not good enough, goes up", "empty": "had no answer"}
    said = f"{attempt.tier}: {ended.get(attempt.verdict, attempt.verdict)}{score}"
    if attempt.error is not None:
        tries = len(attempt.calls)
        said += f" ({attempt.error.kind}; {tries} {'try' if tries == 1 else 'tries'})"
    return [said]


def _fallen(answer: Answer) -> list[str]:
    lines = []
    if answer.via == "region":
        lines.append("Region: another provider answered")
    if answer.via == "stale":
        lines.append(f"Stale: the last good answer, {answer.age or 0.0:.0f} s old")
    if answer.ticket:
        lines.append("Review: handed to a person; the caller has a ticket")
    if answer.via == "static":
        lines.append("Static: the last answer, made beforehand")
    return lines


def level_of(answer: Answer) -> str:
    """The layer an answer came from. One that nobody was sure of comes from a model, but goes on to a person."""
    return "L5" if answer.ticket else LEVELS[layer_of(answer)[0]]


def answer_of(answer: Answer) -> dict[str, Any]:
    """What the caller gets, for the page, with the layer it came from."""
    return {
        "status": 200 if answer.reply is not None else 503,
        "layer": level_of(answer),
        "text": answer.text,
        "tier": answer.tier,
        "model": answer.model,
        "via": answer.via,
        "degraded": answer.degraded,
        "confidence": answer.confidence,
        "ticket": answer.ticket,
        "age": answer.age,
        "usd": answer.cost_usd,
    }


def rungs_of(answer: Answer) -> list[dict[str, Any]]:
    """The attempts of an answer, for the page."""
    return [attempt_of(each) for each in answer.attempts]


def attempt_of(attempt: Attempt) -> dict[str, Any]:
    """One of them. Kinds of failures are said; what a provider said is not."""
    return {
        "tier": attempt.tier,
        "model": attempt.model,
        "verdict": attempt.verdict,
        "score": attempt.score,
        "reason": attempt.reason or (attempt.error.kind if attempt.error is not None else ""),
        "seconds": attempt.latency,
        "usd": attempt.cost_usd,
        "calls": [
            {
                "label": call.label,
                "seconds": call.latency,
                "usd": call.cost_usd,
                "failure": call.failure.kind if call.failure is not None else "",
            }
            for call in attempt.calls
        ],
    }
