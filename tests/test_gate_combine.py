"""Gates made of gates, against a naive truth table."""

import math
import re
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exams import ASKED, Fixed, driven, exam, learned_of
from fastcascade.effects import Call, Check, Gather, Outcome
from fastcascade.errors import ConfigError, Failure
from fastcascade.gates.calibration import Isotonic, Platt, calibrate
from fastcascade.gates.check import UserCheck
from fastcascade.gates.combine import Combined, all_of, any_of, first_decisive, level, unlevel, weighted
from fastcascade.gates.consistency import Consistency
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict, Watch
from fastcascade.messages import Delta, Reply, Request, Text

Said = Literal["hold", "commit", "abort"]


class Marked(Fixed):
    """A gate that marks what passes through it, and watches as it was told to."""

    def __init__(self, mark: str, says: "list[Said] | None" = None, needs: str = "", threshold: float = 0.5) -> None:
        super().__init__(Verdict(1.0), threshold, name=mark)
        self.says = says
        self.needs = frozenset({needs} if needs else ())
        self.accept = -1.0

    def prepare(self, request: Request, /) -> Request:
        return Request.of(request, system=(*request.system, Text(self.name)))

    def clean(self, reply: Reply, /) -> Reply:
        return Reply(reply.text + self.name)

    def watch(self, request: Request, accept: float, /) -> Watch | None:
        self.accept = accept
        return None if self.says is None else Playing(list(self.says))


class Playing:
    """A watch that says what it was told to, and must not be asked after it made up its mind."""

    def __init__(self, says: "list[Said]") -> None:
        self.says = says
        self.verdict = Verdict(0.8, "played")

    def feed(self, delta: Delta, /) -> Said:
        return self.says.pop(0)


SCORES = st.none() | st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]) | st.floats(0.0, 1.0)
THRESHOLDS = st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.7, 1.0]) | st.floats(0.0, 1.0)
MEMBERS = st.lists(
    st.builds(Fixed, st.builds(Verdict, SCORES, st.just("so"), decisive=st.booleans()), THRESHOLDS, st.booleans()),
    min_size=1,
    max_size=5,
)
CURVES = st.sampled_from([None, Isotonic(((0.2, 0.1), (0.6, 0.9))), Platt(8.0, -4.0)])


def passes(member: Fixed) -> bool | None:
    """What a member comes to by itself: True, False, or None where it abstains."""
    verdict = member.calibrated(member.verdict)
    if verdict.score is None:
        return None
    return verdict.score >= (0.5 if verdict.decisive else member.threshold)


def ruled(verdict: Verdict, gate: Gate) -> bool | None:
    """What a cascade makes of a verdict."""
    return None if verdict.score is None else verdict.score >= (0.5 if verdict.decisive else gate.threshold)


def three_valued_and(values: list[bool | None]) -> bool | None:
    """False if any is; else unknown if any is; else True."""
    return False if False in values else None if None in values else True


def three_valued_or(values: list[bool | None]) -> bool | None:
    """True if any is; else unknown if any is; else False."""
    return True if True in values else None if None in values else False


@given(MEMBERS, st.lists(CURVES, min_size=5, max_size=5), st.booleans())
def test_all_of_and_any_of_are_and_and_or(members: list[Fixed], curves: list[Any], every: bool) -> None:
    """Against the truth table of three values, each member calibrated and at its own threshold."""
    for member, curve in zip(members, curves, strict=False):
        member.calibration = curve
    table = [passes(member) for member in members]
    for gate, truth in (
        (all_of(*members, every=every), three_valued_and(table)),
        (any_of(*members, every=every), three_valued_or(table)),
    ):
        verdict, _ = driven(gate)
        assert ruled(verdict, gate) is truth
        assert verdict.score is None or 0.0 <= verdict.score <= 1.0
        assert [part for _, part in verdict.parts] == [
            member.calibrated(member.verdict) for member in members[: len(verdict.parts)]
        ]
        assert len(verdict.parts) == len(members) or not every


@given(MEMBERS)
def test_members_after_the_one_that_settles_it_are_not_asked(members: list[Fixed]) -> None:
    """One that rejects settles `all_of`, one that passes `any_of`; and no member is asked twice."""
    table = [passes(member) for member in members]
    for make, settles in ((all_of, False), (any_of, True)):
        for member in members:
            member.asked = 0
        driven(make(*members))
        last = table.index(settles) if settles in table else len(table)
        assert [member.asked for member in members] == [int(at <= last) for at in range(len(members))]


@given(MEMBERS)
def test_a_combination_is_a_generator_only_where_a_member_that_is_asked_is(members: list[Fixed]) -> None:
    """Plain gates give a plain verdict."""
    for gate in (all_of(*members), any_of(*members), first_decisive(*members), weighted([(m, 1) for m in members])):
        for member in members:
            member.asked = 0
        _, asked = driven(gate)
        assert asked is any(member.slow and member.asked for member in members)


@given(st.lists(st.tuples(SCORES, st.floats(0.001, 1e300)), min_size=1, max_size=5))
def test_weighted_is_the_mean_over_those_that_speak(pairs: list[tuple[float | None, float]]) -> None:
    """The weights of those that abstain are given to the others."""
    gate = weighted([(Fixed(Verdict(score)), weight) for score, weight in pairs])
    spoken = [(score, weight) for score, weight in pairs if score is not None]
    score = driven(gate)[0].score
    if not spoken:
        assert score is None
        return
    largest = max(weight for _, weight in spoken)
    total = math.fsum(weight / largest for _, weight in spoken)
    mean = math.fsum(score * (weight / largest) / total for score, weight in spoken)
    assert score is not None and 0.0 <= score <= 1.0
    assert score == pytest.approx(mean, abs=1e-9)


def test_weighted_takes_a_mapping_and_applies_each_calibration() -> None:
    """Members' thresholds play no part."""
    sure, unsure = Fixed(Verdict(0.8), threshold=0.99), Fixed(Verdict(0.6))
    gate = weighted({sure: 3, calibrate(unsure, Isotonic(((0.0, 0.0), (1.0, 0.0)))): 1})
    assert driven(gate)[0].score == pytest.approx(0.6)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_what_is_beyond_doubt_settles_a_mean(score: float) -> None:
    """A text that does not parse is not mended by sure tokens; and who comes after is not asked."""
    beyond, after = Fixed(Verdict(score, "so", decisive=True)), Fixed(Verdict(0.5))
    for gate in (weighted([(Fixed(Verdict(0.7)), 5), (beyond, 1), (after, 5)]), learned_of(beyond, after)):
        verdict, _ = driven(gate)
        assert (verdict.score, verdict.decisive, after.asked) == (score, True, 0)


def settled_first(members: list[Fixed], reject_below: float) -> tuple[bool | None, int]:
    """What asking in order comes to, and how many were asked: told step by step."""
    outcome: bool | None = None
    for count, member in enumerate(members, 1):
        score = member.verdict.score
        if score is None:
            continue
        outcome = passes(member)
        if member.verdict.decisive or score >= member.threshold or score < reject_below:
            return outcome, count
    return outcome, len(members)


@given(MEMBERS, st.floats(0.0, 1.0))
def test_first_decisive_stops_at_the_first_that_decides(members: list[Fixed], reject_below: float) -> None:
    """Cheap gates first; the later ones are not asked."""
    gate = first_decisive(*members, reject_below=reject_below)
    verdict, _ = driven(gate)
    truth, asked = settled_first(members, reject_below)
    assert ruled(verdict, gate) is truth
    assert [member.asked for member in members] == [int(at < asked) for at in range(len(members))]
    assert len(verdict.parts) == asked


@given(st.floats(0.0, 1.0), THRESHOLDS)
def test_the_common_scale_keeps_the_side_of_the_threshold(score: float, threshold: float) -> None:
    """It never falls, has the threshold at a half, and leads back."""
    found = level(Verdict(score), threshold)
    assert found is not None and 0.0 <= found <= 1.0
    assert (found >= 0.5) is (score >= threshold)
    assert unlevel(0.5, threshold) == threshold
    if 0.01 < threshold < 0.99:
        assert unlevel(found, threshold) == pytest.approx(score, abs=1e-9)
    lower = level(Verdict(score / 2), threshold)
    assert lower is not None and lower <= found
    assert level(Verdict(score), 0.5) == score


def test_a_failed_call_of_a_member_is_its_abstention() -> None:
    """And the combination's, where nothing else settles it."""
    slow, failed = Fixed(Verdict(1.0), slow=True), Outcome(None, Failure("timeout", "no answer"))
    verdict, _ = driven(all_of(Fixed(Verdict(1.0)), slow), failed)
    assert verdict.score is None and verdict.reason == "fixed#2: no answer"
    assert driven(any_of(slow, Fixed(Verdict(1.0))), failed)[0].score == 1.0
    assert driven(all_of(slow, Fixed(Verdict(0.0))), failed)[0].score == 0.0


@pytest.mark.parametrize("score", [math.nan, 1.5, -0.1, math.inf])
def test_a_score_that_is_none_is_an_abstention(score: float) -> None:
    """Whatever a gate of the user's says, a combination's score is from 0 to 1 or None, and passes by no accident."""
    odd, sure = Fixed(Verdict(score), name="odd"), Fixed(Verdict(0.9), name="sure")
    for gates in ((odd, sure), (sure, odd)):
        assert driven(all_of(*gates))[0].score is None
        assert driven(any_of(*gates, every=True))[0].score == 0.9
        assert driven(weighted([(gate, 1) for gate in gates]))[0].score == pytest.approx(0.9)
        assert driven(learned_of(*gates))[0].score is None


def nested(members: list[Fixed]) -> list[Combined]:
    """Combinations of these, and combinations of those."""
    first, rest = members[0], members[1:] or [members[0]]
    return [
        all_of(*members),
        any_of(*members),
        first_decisive(*members, reject_below=0.2),
        weighted([(member, 1) for member in members]),
        learned_of(*dict.fromkeys(members)),
        any_of(all_of(*members), first),
        all_of(first, any_of(*rest), first_decisive(*members)),
    ]


@given(MEMBERS)
def test_for_a_recording_all_are_asked_and_the_verdict_is_the_same(members: list[Fixed]) -> None:
    """Nobody is left out, and the word of those that need not have been asked does not count."""
    recording = replace(exam(Reply("4")), every=True)
    for gate, plain in zip(nested(members), nested(members), strict=True):
        wanted, _ = driven(plain)
        for member in members:
            member.asked = 0
        assert driven(gate, where=recording)[0] == wanted
        assert all(member.asked for member in members)


class Breaks(Gate):
    """Raises, at once or once it has asked."""

    def __init__(self, slow: bool) -> None:
        self.slow = slow

    def judge(self, exam: Exam, /) -> Judging:
        if not self.slow:
            raise ZeroDivisionError
        return self.late(exam)

    def late(self, exam: Exam) -> Generator[Any, Outcome, Verdict]:
        yield Call(exam.backend, exam.request, "judge")
        raise ZeroDivisionError


@pytest.mark.parametrize("slow", [False, True])
def test_what_breaks_beyond_the_verdict_does_not_break_it(slow: bool) -> None:
    """A member that is asked for the recording alone may fail as it likes; one that is needed is a failure."""
    recording = replace(exam(Reply("4")), every=True)
    last = Fixed(Verdict(0.9), slow=True)
    assert driven(all_of(Fixed(Verdict(0.1)), Breaks(slow), last), where=recording)[0].score == 0.1
    assert last.asked == 1
    with pytest.raises(ZeroDivisionError):
        driven(all_of(Fixed(Verdict(0.9)), Breaks(slow)), where=recording)


def purposes(gate: Gate) -> list[str]:
    """What a gate's calls are for, in order, all of them asked."""
    judging = gate.judge(replace(exam(Reply("4")), every=True))
    assert not isinstance(judging, Verdict)
    found: list[str] = []
    with suppress(StopIteration):
        effect = next(judging)
        while True:
            assert isinstance(effect, Call | Check | Gather)
            found += [call.purpose for call in (effect.calls if isinstance(effect, Gather) else (effect,))]
            effect = judging.send(Outcome([Outcome(Reply("4"))] * 2 if isinstance(effect, Gather) else Reply("4")))
    return found


def test_each_call_of_a_member_says_whose_it_is() -> None:
    """By its place, whoever else was asked: so that a recording can be replayed under other thresholds."""
    slow = [Fixed(Verdict(0.4), slow=True) for _ in range(4)]
    assert purposes(all_of(*slow)) == ["judge", "judge.2", "judge.3", "judge.4"]
    assert purposes(any_of(all_of(*slow[:2]), slow[2], any_of(all_of(slow[3]), slow[0]))) == [
        "judge",
        "judge.1.2",
        "judge.2",
        "judge.3",
        "judge.3.2",
    ]
    asks = any_of(Fixed(Verdict(0.1)), UserCheck(lambda *_: 0.2, name="mine"), Consistency(3))
    assert purposes(asks) == ["check.2", "sample.3", "sample.3"]


def test_what_members_need_and_do_is_put_together() -> None:
    """Prepared in their order, cleaned in the reverse; the parts are told apart by name."""
    for gate in (
        all_of(Marked("a", needs="logprobs"), Marked("b")),
        weighted({Marked("a", needs="logprobs"): 1, Marked("b"): 2}),
    ):
        assert gate.needs == {"logprobs"}
        assert [text.text for text in gate.prepare(ASKED).system] == ["a", "b"]
        assert gate.clean(Reply("-")).text == "-ba"
    verdict, _ = driven(all_of(Marked("a"), Marked("b"), Marked("a")))
    assert [name for name, _ in verdict.parts] == ["a", "b", "a#2"]
    inner = all_of(any_of(Marked("a"), Marked("b")), Marked("c"))
    assert [name for name, _ in driven(inner)[0].parts] == ["any_of", "c"]


WATCHED: list[tuple[Any, "list[list[Said]]", "list[Said]"]] = [
    (all_of, [["commit"], ["hold", "commit"]], ["hold", "commit"]),
    (all_of, [["hold", "hold"], ["commit"]], ["hold", "hold"]),
    (all_of, [["commit"], ["hold", "abort"]], ["hold", "abort"]),
    (all_of, [["abort"], ["commit"]], ["abort"]),
    (any_of, [["hold", "commit"], ["abort"]], ["hold", "commit"]),
    (any_of, [["abort"], ["hold", "abort"]], ["hold", "abort"]),
    (any_of, [["abort"], ["hold", "hold"]], ["hold", "hold"]),
    (any_of, [["commit"], ["hold"]], ["commit"]),
]


@pytest.mark.parametrize(("make", "says", "said"), WATCHED)
def test_streams_are_watched_together(make: Any, says: "list[list[Said]]", said: "list[Said]") -> None:
    """`all_of` commits once all have and gives up with the first; `any_of` the other way round."""
    gate = make(*(Marked(str(at), each) for at, each in enumerate(says)))
    watch = gate.watch(ASKED, 0.5)
    assert [watch.feed(Delta("text", "x")) for _ in said] == said
    if said[-1] != "hold":
        assert watch.verdict.score == 0.8 and watch.verdict.parts


def test_a_member_that_needs_the_whole_reply_holds_all_back() -> None:
    """So do the combinations that need every score."""
    watching, whole = Marked("a", ["hold"]), Marked("b")
    for gate in (all_of(watching, whole), any_of(watching, whole), weighted({watching: 1}), first_decisive(watching)):
        assert gate.watch(ASKED, 0.5) is None
    assert learned_of(watching).watch(ASKED, 0.5) is None


def test_each_member_watches_for_its_own_threshold() -> None:
    """The mark of the whole is put on the member's own scale, through the calibration of the whole."""
    a, b = Marked("a", [], threshold=0.6), Marked("b", [], threshold=0.5)
    all_of(a, b).watch(ASKED, 0.5)
    assert (a.accept, b.accept) == (0.6, 0.5)
    all_of(a, b).watch(ASKED, 0.75)
    assert a.accept == pytest.approx(0.8) and b.accept == 0.75
    calibrate(all_of(a, b), Isotonic(((0.0, 0.0), (0.5, 0.9)))).watch(ASKED, 0.9)
    assert a.accept == pytest.approx(0.6) and b.accept == pytest.approx(0.5)


ONE = Fixed(Verdict(0.5), name="one")
WRONG: list[tuple[Any, str]] = [
    (all_of, "all_of needs at least one gate"),
    (lambda: any_of(ONE, 3), "any_of is made of gates, not of 3"),  # type: ignore[arg-type]
    (lambda: all_of(ONE, threshold=2), "threshold"),
    (lambda: first_decisive(ONE, reject_below=-1), "reject_below"),
    (lambda: weighted({}), "weighted needs at least one gate"),
    (lambda: weighted({ONE: 0}), "must be a number above zero"),
    (lambda: weighted({ONE: True}), "must be a number above zero"),
    (lambda: weighted({ONE: math.nan}), "above zero"),
    (lambda: weighted([ONE]), "gates with their weights"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("make", "named"), WRONG)
def test_combinations_that_cannot_work_are_refused_by_name(make: Any, named: str) -> None:
    """When they are built."""
    with pytest.raises(ConfigError, match=re.escape(named)):
        make()
