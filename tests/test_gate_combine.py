"""Gates made of gates, against a naive truth table; and the learned combination."""

import json
import math
import re
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.effects import Call, Outcome
from fastcascade.errors import ConfigError, Failure
from fastcascade.gates.calibration import Isotonic, Origin, Platt, calibrate
from fastcascade.gates.combine import all_of, any_of, first_decisive, level, unlevel, weighted
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict, Watch
from fastcascade.gates.learned import FEATURES, Learned
from fastcascade.messages import Delta, Message, Reply, Request, Text, Tool

ASKED = Request.of("how much is it?")
Said = Literal["hold", "commit", "abort"]


class Silent:
    """A backend nobody asks."""

    name = "small"
    gives: frozenset[str] = frozenset()

    async def complete(self, request: Request, /) -> Reply | None:
        raise NotImplementedError


class Fixed(Gate):
    """A gate that says what it was told to, asking first where it is to be slow."""

    def __init__(self, verdict: Verdict, threshold: float = 0.5, slow: bool = False, name: str = "fixed") -> None:
        self.verdict = verdict
        self.threshold = threshold
        self.slow = slow
        self.name = name
        self.asked = 0

    def judge(self, exam: Exam, /) -> Judging:
        self.asked += 1
        return self.ask(exam) if self.slow else self.verdict

    def ask(self, exam: Exam) -> Generator[Any, Outcome, Verdict]:
        outcome = yield Call(exam.backend, exam.request, "judge")
        return Verdict(None, outcome.failure.message) if outcome.failure else self.verdict


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


def exam(request: Request = ASKED, reply: Reply | None = None) -> Exam:
    """Something to judge."""
    return Exam(request, reply or Reply("4"), Silent())


def driven(gate: Gate, outcome: Outcome | None = None, where: Exam | None = None) -> tuple[Verdict, bool]:
    """The verdict of a gate, and whether it asked for it; every call comes to the same."""
    judging = gate.judge(where or exam())
    if isinstance(judging, Verdict):
        return judging, False
    sent = None
    while True:
        try:
            effect = judging.send(sent)  # type: ignore[arg-type] # None begins
        except StopIteration as stopped:
            assert isinstance(stopped.value, Verdict)
            return stopped.value, True
        assert isinstance(effect, Call)
        sent = outcome or Outcome(Reply("fine"))


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


def learned_of(*gates: Gate) -> Learned:
    """A learned combination of these, each of weight 1."""
    return Learned(dict.fromkeys(gates, 1.0))


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


def by_hand(total: float) -> float:
    """The logistic function."""
    return 1.0 / (1.0 + math.exp(-total))


def test_learned_is_the_logistic_of_the_weighted_sum() -> None:
    """Scores, features, the slice, and what is put for an abstention."""
    a, b = Fixed(Verdict(0.5), name="a"), Fixed(Verdict(None), name="b")
    features = {"length": 0.2, "reply_length": -0.3, "turns": 0.5, "tools": 1.5, "task:refund": -2.0}
    gate = Learned({a: 3.0, b: 2.0}, -1.0, features=features, missing={b: -0.7})
    messages = (Message("user", "x" * 9), Message("assistant", ""))
    request = Request(messages, tools=(Tool("t"),), task="refund")
    base = -1.0 + 3.0 * 0.5 - 0.7 + 0.2 * 1.0 - 0.3 * math.log10(5) + 0.5 * math.log10(2)
    assert driven(gate, where=exam(request, Reply("abcd")))[0].score == pytest.approx(by_hand(base + 1.5 - 2.0))
    other = Request(messages, task="order")
    assert driven(gate, where=exam(other, Reply("abcd")))[0].score == pytest.approx(by_hand(base))
    assert set(features) >= set(FEATURES)


def test_learned_abstains_where_it_was_not_taught_what_an_abstention_means() -> None:
    """And where every gate abstains, whatever it was taught."""
    a, b = Fixed(Verdict(0.5), name="a"), Fixed(Verdict(None, "no idea"), name="b")
    verdict, _ = driven(Learned({a: 1.0, b: 1.0}))
    assert verdict.score is None and verdict.reason == "b: no idea"
    assert driven(Learned({b: 1.0}, missing={b: 9.0}))[0].score is None


@given(
    st.lists(st.tuples(SCORES, st.floats(-1e300, 1e300)), min_size=1, max_size=4),
    st.floats(-1e300, 1e300),
    st.booleans(),
)
def test_learned_is_a_probability_whatever_the_weights(
    pairs: list[tuple[float | None, float]], intercept: float, slow: bool
) -> None:
    """Or None; sums that overflow too."""
    gates = {Fixed(Verdict(score), slow=slow): weight for score, weight in pairs}
    score = driven(Learned(gates, intercept, missing=dict.fromkeys(gates, 1e300)))[0].score
    assert score is None or 0.0 <= score <= 1.0


ARTEFACT: Mapping[str, Any] = {
    "kind": "learned",
    "weights": {"a": 3.0, "b": 2.0},
    "intercept": -1.0,
    "features": {"task:refund": -2.0},
    "missing": {"b": -0.5},
    "threshold": 0.6,
    "n": 400,
    "date": "2026-01-31",
    "fingerprint": "9f2c",
}


def test_a_learned_artefact_is_read_and_written_back(tmp_path: Path) -> None:
    """From an object and from a file; the gates are found by name."""
    gates = [Fixed(Verdict(0.5), name=name) for name in ("c", "b", "a")]
    gate = Learned.load(ARTEFACT, gates)
    assert gate.dump(tmp_path / "gate.json") == ARTEFACT
    assert json.loads((tmp_path / "gate.json").read_text()) == ARTEFACT
    again = Learned.load(tmp_path / "gate.json", gates)
    assert (again.origin, again.threshold) == (Origin(400, "2026-01-31", "9f2c"), 0.6)
    assert driven(again)[0].score == driven(gate)[0].score == pytest.approx(by_hand(-1.0 + 1.5 + 1.0))


def loading(**changed: Any) -> Any:
    """Load the artefact with something in it changed."""
    gates = [Fixed(Verdict(0.5), name="a"), Fixed(Verdict(0.5), name="b")]
    return lambda: Learned.load({**ARTEFACT, **changed}, gates)


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
    (lambda: Learned({}), "learned needs at least one gate"),
    (lambda: Learned({"x": 1.0}, gates=[ONE]), "there is no gate named 'x': give it in gates; there are one"),
    (lambda: Learned({ONE: math.inf}), "the weight of 'one'"),
    (lambda: Learned({ONE: 1.0}, features={"colour": 1.0}), "'colour'"),
    (lambda: Learned({ONE: 1.0}, missing={"two": 1.0}), "'two'"),
    (lambda: Learned({"one": 1.0}, gates=[ONE, Fixed(Verdict(1.0), name="one")]), "two gates are named 'one'"),
    (loading(kind="platt"), "kind must be 'learned'"),
    (loading(weights=[1]), "weights must be by name"),
    (loading(weights={"a": "1"}), "the weight of 'a' must be a finite number"),
    (loading(extra=1), "unknown field 'extra'"),
    (loading(n=0), "n, the number of cases"),
    (lambda: Learned.load({"kind": "learned"}, []), "artefact: weights is missing"),
]


@pytest.mark.parametrize(("make", "named"), WRONG)
def test_combinations_that_cannot_work_are_refused_by_name(make: Any, named: str) -> None:
    """When they are built."""
    with pytest.raises(ConfigError, match=re.escape(named)):
        make()
