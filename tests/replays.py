"""What tests of replays share: gates that say the same live and in a replay, and cascades drawn by hypothesis."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import pytest
from hypothesis import strategies as st

from fastcascade import (
    Answer,
    Budget,
    Cascade,
    IncompleteAnswer,
    Price,
    PriceSheet,
    Reply,
    Request,
    Sessions,
    Tier,
)
from fastcascade.effects import Call, Check, Gather
from fastcascade.fallbacks import Hedge
from fastcascade.gates import all_of, any_of, first_decisive
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.messages import Delta
from fastcascade.policies import ExpectedGain
from fastcascade.testing import Cut, Fault, ScriptedBackend, Slow, Stall, run_virtual

__all__ = [
    "SCORES",
    "SECONDS",
    "TEXTS",
    "Asks",
    "Reads",
    "Samples",
    "Spec",
    "Watches",
    "built",
    "late",
    "read",
    "specs",
    "streamed",
    "through_json",
    "tier",
    "told",
]

NO_PRICES = PriceSheet(source=None)
PRIMES = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109)


# Gates that go by the number a reply begins with, so that they say the same live and in a replay.


def read(reply: Reply | None) -> float | None:
    """The score a reply states."""
    words = reply.text.split() if reply else []
    return float(words[0]) if words else None


class Reads(Gate):
    """Takes a reply at its word."""

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def judge(self, exam: Exam, /) -> Judging:
        return Verdict(read(exam.reply), "as it says")


class Watches(Reads):
    """Reads the first word as it streams: commits, gives up, or waits for the whole."""

    def watch(self, request: Request, accept: float, /) -> "Watching":
        return Watching(accept)


class Watching:
    """What `Watches` watches with."""

    def __init__(self, accept: float) -> None:
        self.accept = accept
        self.verdict = Verdict(None)

    def feed(self, delta: Delta, /) -> Literal["hold", "commit", "abort"]:
        if self.verdict.score is not None or not delta.text.strip():
            return "hold"
        score = float(delta.text.split()[0])
        self.verdict = Verdict(score, "at its first word")
        return "commit" if score >= self.accept else "abort" if score < self.accept / 2 else "hold"


class Asks(Gate):
    """Asks a judge."""

    def __init__(self, judge: ScriptedBackend, threshold: float = 0.5) -> None:
        self.judge_ = judge
        self.threshold = threshold

    def judge(self, exam: Exam, /) -> Judging:
        outcome = yield Call(self.judge_, exam.request, "judge", 20.25)
        return Verdict(None, "no judge") if outcome.failure else Verdict(read(outcome.value), "as judged")


class Samples(Gate):
    """Takes samples, and may have enough before all are there; then asks a function."""

    def __init__(self, count: int, suffice: int) -> None:
        self.count = count
        self.suffice = suffice

    def judge(self, exam: Exam, /) -> Judging:
        calls = tuple(Call(exam.backend, exam.request, "sample") for _ in range(self.count))
        gathered = yield Gather(calls, lambda came: sum(each is not None for each in came) >= self.suffice)
        said = [score for each in gathered.value if not each.failure and (score := read(each.value)) is not None]
        checked = yield Check(read, (exam.reply,), inline=True)
        return Verdict((sum(said) + checked.value) / (len(said) + 1), f"{len(said)} samples")


def built(*tiers: Tier, **settings: Any) -> Cascade:
    """A cascade that knows no prices but those of its tiers."""
    return Cascade(*tiers, prices=NO_PRICES, **settings)


def tier(name: str, *script: Any, **settings: Any) -> Tier:
    """A tier whose backend plays a script."""
    return Tier(ScriptedBackend(*(script or (f"0.9 by {name}",)), name=name), **settings)


def streamed(cascade: Cascade, asked: Any, **fields: Any) -> Answer:
    """The answer of a stream that is read to its end, whole or not."""

    async def reading() -> Answer:
        stream = cascade.stream(asked, **fields)
        try:
            async for _ in stream:
                pass
        except IncompleteAnswer as error:
            return error.answer
        assert stream.answer is not None
        return stream.answer

    return run_virtual(reading())


def through_json(answer: Answer) -> dict[str, Any]:
    """A trace, as a file would hold it."""
    traced: dict[str, Any] = json.loads(json.dumps(answer.trace(), allow_nan=False))
    return traced


def told(answer: Answer) -> dict[str, Any]:
    """What a replay must come to again."""
    tries = [
        (each.tier, each.verdict, each.score, each.reason, each.error and each.error.kind) for each in answer.attempts
    ]
    return {
        "attempts": tries,
        "text": answer.text,
        "tier": answer.tier,
        "confidence": answer.confidence,
        "degraded": answer.degraded,
        "entrance": answer.entrance,
        "latency": pytest.approx(answer.latency, abs=1e-6),
        "calls": sorted((each.label, each.failure and each.failure.kind) for each in answer.calls),
    }


# By law. What takes time takes a different fraction of a second each, so that no two things happen at once.


@dataclass(frozen=True)
class Spec:
    """A cascade to be built as often as is wanted."""

    tiers: tuple[dict[str, Any], ...]
    hedge: Hedge | None = None
    gain: bool = False
    budget: Budget | None = None

    def build(self, accept: Mapping[str, float] | None = None, inner: float = 0.5) -> Cascade:
        made = [self._tier(place, inner, accept or {}) for place in range(len(self.tiers))]
        policy = ExpectedGain(lam=0.01, spread=0.3) if self.gain else None
        return built(*made, hedge=self.hedge, policy=policy, budget=self.budget, sessions=Sessions())

    def _tier(self, place: int, inner: float, accept: Mapping[str, float]) -> Tier:
        held, name = self.tiers[place], f"t{place}"
        judges = [ScriptedBackend(step, name=f"judge{at}") for at, step in enumerate(held["judges"])]
        gates: dict[str, Callable[[], Gate | None]] = {
            "none": lambda: None,
            "reads": Reads,
            "watches": Watches,
            "asks": lambda: Asks(judges[0]),
            "samples": lambda: Samples(len(held["script"]) - 1, held["suffice"]),
            "nested": lambda: any_of(all_of(Asks(judges[0], inner), Asks(judges[1])), Asks(judges[2])),
            "ladder": lambda: first_decisive(Reads(inner), all_of(Asks(judges[0]), Asks(judges[1])), Asks(judges[2])),
        }
        return Tier(
            ScriptedBackend(*held["script"], name=name),
            gate=gates[held["gate"]](),
            accept=accept.get(name),
            quality=held["quality"],
            price=Price(float(place + 1), float(place + 1)),
        )


def late(at: int, seconds: int) -> float:
    """A time that no sum of others comes to."""
    return float(seconds + Fraction(1, PRIMES[at % len(PRIMES)]))


SCORES = st.sampled_from([0.0, 0.1, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9, 1.0])
TEXTS = SCORES.map(lambda score: f"{score} said here")
FAULTS = st.sampled_from([Fault("server"), Fault("overloaded"), None, ""])
PLAIN = TEXTS | TEXTS | TEXTS | FAULTS
BREAKING = PLAIN | st.builds(Cut, TEXTS, st.integers(0, 2)) | st.builds(Stall, TEXTS, st.integers(0, 2))
SECONDS = st.sampled_from([0, 0, 1, 2, 5])
GATES = ("none", "reads", "watches", "asks", "samples", "nested", "nested", "ladder")


@st.composite
def specs(draw: st.DrawFn, *, streaming: bool = False, bounded: bool = True) -> Spec:
    """Cascades of one to four tiers."""
    count = 0

    def step(of: st.SearchStrategy[Any]) -> Any:
        nonlocal count
        count += 1
        held, seconds = draw(of), draw(SECONDS)
        return Slow(late(count, seconds), held) if seconds else held

    tiers = []
    for _ in range(draw(st.integers(1, 4))):
        samples = draw(st.integers(2, 3))
        tiers.append(
            {
                "script": tuple(step(BREAKING if streaming and not at else PLAIN) for at in range(samples + 1)),
                "judges": tuple(step(TEXTS | TEXTS | st.just(Fault("server"))) for _ in range(3)),
                "gate": draw(st.sampled_from(GATES)),
                "suffice": draw(st.integers(1, samples)),
                "quality": draw(st.sampled_from([0.2, 0.5, 0.8])),
            }
        )
    kind = draw(st.sampled_from(["threshold", "gain", "hedge", "hedge"]))
    hedge = Hedge(
        draw(st.sampled_from([None, 1 + 1 / 113, 3 + 1 / 127])) or 2 + 1 / 131, draw(st.sampled_from([None, 0.6]))
    )
    budget = draw(st.sampled_from([None, None, Budget(deadline=4 + 1 / 137), Budget(attempts=3)])) if bounded else None
    return Spec(tuple(tiers), hedge if kind == "hedge" else None, kind == "gain", budget)
