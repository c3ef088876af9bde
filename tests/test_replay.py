"""Replays: a recorded run gives what the live run gave, and no decision sees what comes after it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade import (
    Answer,
    Budget,
    Cascade,
    IncompleteAnswer,
    Lane,
    Lanes,
    Price,
    PriceSheet,
    Reply,
    Request,
    Sessions,
    Tier,
    record,
    replay,
)
from fastcascade.climb import Hedge
from fastcascade.effects import Call, Check, Effect, Gather, Outcome
from fastcascade.errors import Failure
from fastcascade.gates import all_of, any_of, first_decisive
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.messages import Delta
from fastcascade.policies import ExpectedGain
from fastcascade.recording import Replayer
from fastcascade.testing import Cut, Fault, ScriptedBackend, Slow, Stall, run_virtual

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


# By example.


def test_a_trace_replays_to_the_same_answer() -> None:
    """Through JSON and back, a trace gives the answer it is the trace of, to the letter."""

    def cascade() -> Cascade:
        lower = tier("a", "0.2 first", "0.4 s1", "0.3 s2", gate=Samples(2, 1))
        return built(lower, tier("b", Slow(2.0, "0.9 large")))

    answer = run_virtual(cascade().run("q", task="code"))
    again = replay(cascade(), through_json(answer))
    assert again.attempts == answer.attempts
    assert (again.text, again.tier, again.latency, again.request) == ("0.9 large", "b", 2.0, answer.request)


def test_another_threshold_gives_the_answer_it_would_have_given() -> None:
    """The same trace under a lower threshold stops where that would have stopped."""
    cascade = built(tier("a", "0.4 first", gate=Reads()), tier("b"))
    answer = run_virtual(cascade.run("q"))
    assert answer.tier == "b"
    assert replay(cascade.adjusted(accept={"a": 0.4}), answer).tier == "a"
    assert replay(cascade, answer, streaming=True).tier == "b"


def test_what_was_not_recorded_is_missing() -> None:
    """A replay that asks for more than was recorded says what is missing, and asks no network."""
    cascade = built(tier("a", "0.4 first", gate=Reads(), accept=0.1), tier("b"))
    again = replay(cascade.adjusted(accept={"a": 0.5}), run_virtual(cascade.run("q")))
    assert (again.tier, bool(again.degraded)) == ("a", True)
    assert again.attempts[1].error == Failure("missing", "nothing was recorded for b/answer; record all tiers first")


def test_failures_are_recorded_too() -> None:
    """A failure replays as the failure it was."""
    cascade = built(tier("a", Fault("rate_limited", "slow down", 429, 3.0)), tier("b"))
    answer = run_virtual(cascade.run("q"))
    assert replay(cascade, through_json(answer)).attempts[0].error == answer.attempts[0].error


def raced(accept: float = 0.5) -> Cascade:
    """A slow tier and one that is started beside it."""
    return built(
        tier("a", Slow(3.0, "0.6 by a"), gate=Reads(), accept=accept),
        tier("b", Slow(9.0, "0.9 by b")),
        hedge=Hedge(after=2.0),
    )


def test_a_race_replays_as_it_was_run() -> None:
    """The loser is cancelled again, when it was, and costs what it did."""
    overtaken = built(
        tier("a", Slow(10.0), price=Price(1.0, 1.0)), tier("b", Slow(1.0, "0.9 by b")), hedge=Hedge(after=2.0)
    )
    for cascade in (raced(), overtaken):
        answer = run_virtual(cascade.run("q"))
        again = replay(cascade, through_json(answer))
        assert (again.attempts, again.latency) == (answer.attempts, 3.0)
        assert "cancelled" in [attempt.verdict for attempt in again.attempts]


def test_what_a_cancelled_call_would_have_said_is_missing() -> None:
    """A stricter threshold that needs the loser's reply is told that it is not there, rather than that it failed."""
    again = replay(raced(accept=0.9), run_virtual(raced().run("q")))
    assert [(each.tier, each.verdict, each.error and each.error.kind) for each in again.attempts] == [
        ("a", "escalate", None),
        ("b", "failed", "missing"),
    ]
    gate = Samples(3, 1)
    cascade = built(tier("a", "0.9 first", "0.1 s", Slow(3.0, "0.8 s"), Slow(5.0, "0.9 s"), gate=gate), tier("b"))
    answer = run_virtual(cascade.run("q"))
    gate.suffice = 3
    kinds = {call.label: call.failure and call.failure.kind for call in replay(cascade, answer).calls}
    assert (kinds["a/sample"], kinds["a/sample/1"], kinds["a/sample/2"]) == (None, "missing", "missing")


def test_a_recorded_reply_streams_within_its_time() -> None:
    """A reply that came too late for a stream's patience, or for the deadline, is a timeout when that has passed."""
    recording = run_virtual(record(built(tier("a", Slow(4.0, "0.9 late")), tier("b")), Request.of("q")))
    again = replay(built(tier("a", gate=Reads(), timeout=2.0), tier("b")), recording, streaming=True)
    assert (again.tier, again.latency, again.attempts[0].error) == (
        "b",
        2.0,
        Failure("timeout", "no answer within 2 s"),
    )
    bound = replace(recording, request=replace(recording.request, budget=Budget(deadline=1.0)))
    again = replay(built(tier("a"), tier("b")), bound, streaming=True)
    assert (again.tier, again.degraded, again.latency) == ("", "deadline", 1.0)


BROKEN: list[tuple[str, Callable[[], Cascade]]] = [
    ("incomplete", lambda: built(tier("a", Cut("0.9 two three", 2)), tier("b"))),
    ("incomplete", lambda: built(tier("a", Stall("0.9 two three", 2)), tier("b"))),
    ("incomplete", lambda: built(tier("a", Slow(3.0, Cut("0.9 b c d", 3)), timeout=4.0), tier("b"))),  # type: ignore[arg-type]
    ("incomplete", lambda: built(tier("a", Slow(3.0, "0.9 b c d"), stall=9.0), budget=Budget(deadline=8.0))),
    ("incomplete", lambda: built(tier("a", Cut("0.9 two three", 2), gate=Watches()), tier("b"))),
    ("failed", lambda: built(tier("a", Cut("0.4 two three", 2), gate=Watches()), tier("b"))),
    ("failed", lambda: built(tier("a", Cut("0.9 two three", 2), gate=Reads()), tier("b"))),
    ("failed", lambda: built(tier("a", Cut("0.9 two three", 0)), tier("b"))),
    ("escalate", lambda: built(tier("a", "0.1 two three", gate=Watches()), tier("b"))),
    ("escalate", lambda: built(tier("a", Slow(3.0, "0.1 two three"), gate=Watches()), tier("b"))),
]


@pytest.mark.parametrize(("ended", "make"), BROKEN)
def test_a_stream_that_did_not_end_well_replays_as_it_went(ended: str, make: Callable[[], Cascade]) -> None:
    """Broken off after the client had seen some, or before, or given up by its gate: each is that again."""
    answer = streamed(make(), "q")
    assert answer.attempts[0].verdict == ended
    assert told(replay(make(), through_json(answer), streaming=True)) == told(answer)


def test_a_stream_that_was_given_up_is_missing_where_it_is_wanted() -> None:
    """Half a reply is neither judged nor taken for a failure of the backend's."""
    cascade = built(tier("a", "0.1 two three", gate=Watches()), tier("b"))
    answer = streamed(cascade, "q")
    for streaming in (False, True):
        again = replay(cascade.adjusted(accept={"a": 0.15}), answer, streaming=streaming)
        assert again.attempts[0].error is not None
        assert again.attempts[0].error.kind == "missing"


# Entrances.


def test_a_session_replays_where_it_was() -> None:
    """A replay of a conversation's second turn enters where that did, and asks no session."""
    cascade = built(tier("a", "0.1 poor", gate=Reads()), tier("b"), sessions=Sessions())
    run_virtual(cascade.run("q", session="s"))
    answer = run_virtual(cascade.run("q", session="s"))
    assert [attempt.tier for attempt in answer.attempts] == ["b"]
    assert told(replay(cascade, through_json(answer))) == told(answer)


def test_a_request_that_was_asked_again_replays_large() -> None:
    """That it had been asked before is recorded with it; a replay is not counted as asking."""
    cascade = built(tier("a", gate=Reads()), tier("b"), lanes=Lanes(regenerated_within=60))
    first, second = (run_virtual(cascade.run("q", user="u")) for _ in range(2))
    for _ in range(2):
        assert told(replay(cascade, through_json(first))) == told(first)
        assert told(replay(cascade, through_json(second))) == told(second)
    assert [first.tier, second.tier] == ["a", "b"]


class Meanings:
    """A table of routes for one word each; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def embed(self, text: str) -> list[float]:
        self.asked += 1
        return [float("money" in text)]

    def match(self, vector: list[float]) -> tuple[str | None, float]:
        return ("refund", 0.9) if vector[0] else (None, 0.1)


def test_a_route_that_was_found_is_not_looked_for_again() -> None:
    """Neither where a meaning was found nor where none was does a replay need the embedder; a recording keeps it."""
    meanings = Meanings()
    lanes = Lanes([Lane(start="b", route="refund")], semantic=meanings)  # type: ignore[arg-type]
    cascade = built(tier("a"), tier("b"), lanes=lanes)
    for asked, by in (("my money back", "b"), ("hello", "a")):
        answer = run_virtual(cascade.run(asked))
        recording = run_virtual(record(cascade, Request.of(asked)))
        meanings.asked = 0
        assert told(replay(cascade, through_json(answer))) == told(answer)
        assert replay(cascade, recording).tier == answer.tier == by
        assert recording.request.route == answer.request.route
        assert meanings.asked == 0
        assert replay(cascade, replace(recording, entrance=None)).tier == by


def test_members_of_gates_keep_their_names_when_fewer_are_asked() -> None:
    """What a judge within a combination said is not taken for another's, whoever is asked before it."""

    def cascade(inner: float) -> Cascade:
        one, two, three = (Asks(ScriptedBackend(said, name=said)) for said in ("0.4", "0.9", "0.1"))
        one.threshold = inner
        return built(tier("a", gate=any_of(all_of(one, two), three)), tier("b"))

    recording = run_virtual(record(cascade(0.5), Request.of("q")))
    assert list(recording.outcomes) == ["a/answer", "a/judge", "a/judge.1.2", "a/judge.2", "b/answer"]
    for inner in (0.3, 0.5):
        assert told(replay(cascade(inner), recording)) == told(run_virtual(cascade(inner).run("q")))


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
GATES = ("none", "reads", "watches", "asks", "samples", "nested", "ladder")


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


@given(specs(), st.integers(1, 2))
@settings(max_examples=200, deadline=None)
def test_a_replay_is_the_live_run_again(spec: Spec, turns: int) -> None:
    """Whatever the tiers, gates, hedges, policies, budgets and sessions: the trace of a run replays to that run."""
    cascade = spec.build()
    for _ in range(turns):
        answer = run_virtual(cascade.run("q", session="s"))
        assert told(replay(spec.build(), through_json(answer))) == told(answer)


@given(specs(streaming=True))
@settings(max_examples=200, deadline=None)
def test_a_replay_is_the_live_stream_again(spec: Spec) -> None:
    """Streams too, broken and stalled ones, and those that a gate lets through or gives up."""
    answer = streamed(spec.build(), "q")
    assert told(replay(spec.build(), through_json(answer), streaming=True)) == told(answer)


@given(specs(bounded=False), st.lists(SCORES, min_size=4, max_size=4), SCORES)
@settings(max_examples=200, deadline=None)
def test_a_recording_replays_under_any_thresholds(spec: Spec, accepts: list[float], inner: float) -> None:
    """Recorded once, whatever settings are tried: what they give is what a live run with them would have given."""
    recording = run_virtual(record(spec.build(), Request.of("q")))
    accept = {f"t{place}": accepts[place] for place in range(len(spec.tiers))}
    live = run_virtual(spec.build(accept, inner).run("q"))
    assert told(replay(spec.build(accept, inner), recording)) == told(live)


# No leakage.


class Noting(Replayer):
    """Notes when each call was asked for."""

    def __init__(self, outcomes: Mapping[str, Outcome]) -> None:
        super().__init__(outcomes)
        self.noted: list[tuple[str, float]] = []

    def perform(self, effect: Effect) -> Outcome:
        began, before = self.now, len(self.asked)
        outcome = super().perform(effect)
        self.noted += [(label, began) for label in self.asked[before:]]
        return outcome


PURPOSES = (
    "answer",
    "check",
    "sample",
    "sample/1",
    "sample/2",
    "judge",
    "judge.1.2",
    "judge.2",
    "judge.2.2",
    "judge.3",
)
REPLIES = TEXTS.map(lambda text: Outcome(Reply(text)))
OUTCOMES = st.one_of(
    REPLIES,
    REPLIES,
    REPLIES,
    st.sampled_from(
        [
            Outcome(None),
            Outcome(Reply("")),
            Outcome(None, Failure("server", "x")),
            Outcome(None, Failure("cancelled", "not wanted any more")),
            Outcome(Reply("0.7 half"), Failure("cut", "x")),
        ]
    ),
)


def drawn(data: st.DataObject, label: str, at: int) -> Outcome:
    """What a call comes to, and after how many seconds."""
    checks = label.endswith("check")
    outcome = data.draw(SCORES.map(Outcome) if checks else OUTCOMES)
    return replace(outcome, ended=late(at, data.draw(SECONDS)))


def asked(spec: Spec, turns: list[dict[str, Outcome]], *, streaming: bool) -> list[list[tuple[str, float]]]:
    """What a conversation asks for, turn by turn, and when."""
    cascade = spec.build()
    noted = []
    for outcomes in turns:
        replayer = Noting(outcomes)
        replayer.run(cascade.flow(Request.of("q", session="s"), streaming=streaming))
        noted.append(replayer.noted)
    return noted


@given(specs(), st.booleans(), st.data())
@settings(max_examples=200, deadline=None)
def test_no_decision_sees_what_comes_after_it(spec: Spec, streaming: bool, data: st.DataObject) -> None:
    """Change what one call comes to: all that was asked before that was known is the same, and when it was asked.

    In hedges, in what gates ask, in streams, over the turns of a session, and for policies that weigh gain.
    """
    labels = [f"t{place}/{purpose}" for place in range(len(spec.tiers)) for purpose in PURPOSES]
    turns = [{label: drawn(data, label, at) for at, label in enumerate(labels)} for _ in range(2)]
    before = asked(spec, turns, streaming=streaming)
    turn = data.draw(st.integers(0, 1))
    # Mostly one that was asked for: else nothing may change at all.
    label = data.draw(st.sampled_from([label for label, _ in before[turn]] or labels) | st.sampled_from(labels))
    changed = drawn(data, label, len(labels))
    other = [dict(outcomes) for outcomes in turns]
    other[turn][label] = changed
    after = asked(spec, other, streaming=streaming)
    assert before[:turn] == after[:turn]
    since = next((when for name, when in before[turn] if name == label), None)
    if since is None:
        assert before == after
        return
    until = since + min(turns[turn][label].ended, changed.ended)
    place = [name for name, _ in before[turn]].index(label) + 1
    assert before[turn][:place] == after[turn][:place]
    assert [each for each in before[turn] if each[1] < until] == [each for each in after[turn] if each[1] < until]
