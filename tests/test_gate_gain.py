"""Gain, and gates whose calibration differs by slice."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exams import Fixed, driven, exam, watching
from fastcascade.effects import Gather, Outcome
from fastcascade.errors import ConfigError
from fastcascade.gates.calibration import Isotonic, Origin, Platt, Slices, calibrate, dump, load
from fastcascade.gates.combine import all_of
from fastcascade.gates.consistency import Consistency
from fastcascade.gates.gain import Gain
from fastcascade.gates.gate import Verdict
from fastcascade.gates.learned import Learned
from fastcascade.gates.logprobs import Logprobs
from fastcascade.messages import Delta, Reply, Request, Token, Usage

WEIGHT = st.floats(-5, 5)
SCORE = st.floats(0, 1)


def chance(total: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-total))


@given(SCORE, SCORE, WEIGHT, WEIGHT, WEIGHT, WEIGHT)
def test_gain_is_what_is_not_won_by_asking_on(a: float, b: float, u: float, v: float, w: float, x: float) -> None:
    """Half of one more than the difference of the two chances, each worked out by hand; from 0 to 1."""
    gates = [Fixed(Verdict(a), name="a"), Fixed(Verdict(b), name="b")]
    gate = Gain({"weights": {"a": u, "b": v}, "intercept": w}, {"weights": {"a": x}}, gates=gates)
    score = driven(gate)[0].score
    assert score == pytest.approx((1 + chance(w + u * a + v * b) - chance(x * a)) / 2)
    assert score is not None and 0 <= score <= 1


ARTEFACT: dict[str, Any] = {
    "kind": "gain",
    "threshold": 0.45,
    "cheap": {"weights": {"a": 2.0}, "intercept": 0.5, "features": {"answer:yes": 1.0}, "missing": {"a": -1.0}},
    "dear": {"weights": {"a": 0.5}, "intercept": 1.0, "features": {}, "missing": {"a": 0.0}, "odds": {"a": 0.25}},
    "n": 500,
    "date": "2026-01-31",
    "fingerprint": "9f2c",
}


def test_a_gain_artefact_is_read_and_written_back(tmp_path: Path) -> None:
    """From an object and from a file, with where it comes from; what is answered has its weight."""
    gates = [Fixed(Verdict(0.5), name="a"), Fixed(Verdict(0.1), name="b")]
    gate = Gain.load(ARTEFACT, gates)
    assert gate.dump(tmp_path / "gain.json") == ARTEFACT == json.loads((tmp_path / "gain.json").read_text())
    again = Gain.load(tmp_path / "gain.json", gates)
    assert (again.threshold, again.origin) == (0.45, Origin(500, "2026-01-31", "9f2c"))
    yes, no = (driven(again, where=exam(Reply(text)))[0].score for text in (" yes\n", "no"))
    assert yes == pytest.approx((1 + chance(0.5 + 1.0 + 1.0) - chance(1.25)) / 2)
    assert no == pytest.approx((1 + chance(0.5 + 1.0) - chance(1.25)) / 2)


def test_log_odds_tokens_and_answers_are_weighed() -> None:
    """Log-odds of a score held from 0 and 1; a reply that reports no tokens makes it abstain where they matter."""
    one = Fixed(Verdict(1.0), name="a")
    gate = Learned({"a": 1.0}, odds={"a": 0.5}, features={"output_tokens": 2.0}, gates=[one])
    score = driven(gate, where=exam(Reply("x", usage=Usage(1, 99))))[0].score
    assert score == pytest.approx(chance(1.0 + 0.5 * math.log(0.9999 / 0.0001) + 2.0 * 2.0))
    verdict = driven(gate, where=exam(Reply("x")))[0]
    assert verdict.score is None and "tokens" in verdict.reason


def test_the_beyond_doubt_and_the_silent_are_as_in_learned() -> None:
    """A decisive verdict settles it; an abstention of which nothing was learned makes it abstain."""
    decided = Fixed(Verdict(0.0, decisive=True), name="a")
    assert driven(Gain.load(ARTEFACT, [decided]))[0].score == 0.0
    silent = Fixed(Verdict(None), name="a")
    assert driven(Gain.load(ARTEFACT, [silent]))[0].score is None
    two = [silent, Fixed(Verdict(0.5), name="b")]
    assert driven(Gain({"weights": {"a": 1.0}}, {"weights": {"b": 1.0}}, gates=two))[0].score is None


CURVES: dict[str, Any] = {
    "kind": "slices",
    "by": "task",
    "whole": {"kind": "platt", "params": {"a": 2.0, "b": -1.0}},
    "shifts": {"refund": 1.5, "order": 0.0},
    "n": 90,
}
A = Fixed(Verdict(0.5), name="a")
WRONG: list[tuple[Any, str]] = [
    (lambda: Gain.load(ARTEFACT | {"kind": "learned"}, [A]), "artefact: kind must be 'gain'"),
    (lambda: Gain.load(ARTEFACT, []), "there is no gate named 'a'"),
    (lambda: Gain.load(ARTEFACT | {"cheap": {}}, [A]), "cheap must be an object with weights"),
    (lambda: Gain.load(ARTEFACT | {"dear": {"weights": {}, "odds": {"z": 1}}}, [A]), "odds has 'z'"),
    (lambda: Gain.load(ARTEFACT | {"more": 1}, [A]), "unknown field 'more'"),
    (lambda: Gain.load({"kind": "gain", "cheap": {"weights": {}}}, [A]), "dear is missing"),
    (lambda: Gain.load(ARTEFACT, [calibrate(A, Platt(1, 0))]), "give 'a' without its calibration"),
    (lambda: Gain.load(ARTEFACT, [calibrate(A, CURVES)]), "give 'a' without its calibration"),
    (lambda: load(CURVES | {"by": "mood"}), "by must be one of task, route"),
    (lambda: load(CURVES | {"whole": {"kind": "slices"}}), "whole must be an artefact of kind"),
    (lambda: load(CURVES | {"shifts": [1]}), "shifts must be by slice"),
    (lambda: load(CURVES | {"shifts": {"a": math.nan}}), "the shift of slice 'a'"),
]


@pytest.mark.parametrize(("make", "named"), WRONG)
def test_what_cannot_work_is_refused_by_name(make: Any, named: str) -> None:
    """When it is read."""
    with pytest.raises(ConfigError, match=re.escape(named)):
        make()


@given(st.floats(0, 5), st.floats(-5, 5), st.floats(-4, 4), SCORE, SCORE)
def test_a_slice_has_the_curve_for_all_moved_in_log_odds(a: float, b: float, shift: float, x: float, y: float) -> None:
    """Worked out by hand where nothing is near certain; it never falls, and reads back as it was."""
    slices = Slices(Platt(a, b), {"mine": shift}, "customer", Origin(3))
    assert load(json.loads(json.dumps(dump(slices)))) == slices
    mine = slices.of(Request.of("?", customer="mine"))
    whole = chance(a * x + b)
    if 0.001 < whole < 0.999:
        assert mine(x) == pytest.approx(chance(a * x + b + shift))
    assert slices.of(Request.of("?", task="mine"))(x) == slices(x) == pytest.approx(whole)
    low, high = sorted((x, y))
    assert mine(low) <= mine(high)


def test_any_gate_takes_the_curve_of_its_request() -> None:
    """Alone, within another, asking first or at once; the gate given is left as it is, and another curve replaces."""
    for slow in (False, True):
        gate = Fixed(Verdict(0.5), slow=slow, name="a")
        sliced = calibrate(gate, CURVES)
        assert (sliced.name, sliced.threshold, gate.calibration) == ("a", 0.5, None)
        for task, score in (("refund", chance(1.5)), ("order", 0.5), ("", 0.5)):
            where = exam(Reply("4"), Request.of("?", task=task))
            assert driven(sliced, where=where)[0].score == pytest.approx(score)
            assert driven(all_of(sliced), where=where)[0].score == pytest.approx(score)
        again = calibrate(sliced, Isotonic(((0.5, 0.25),)))
        assert again.calibrated(driven(again)[0]).score == 0.25
    decided = calibrate(Fixed(Verdict(0.0, decisive=True)), CURVES)
    assert driven(decided, where=exam(Reply("4"), Request.of("?", task="refund")))[0].score == 0.0


def test_a_stream_is_watched_by_the_curve_of_its_slice() -> None:
    """The same tokens will do for one slice, and not for another."""
    sliced = calibrate(Logprobs(commit_after=2), CURVES)
    pieces = Delta("text", "a b", tokens=(Token("a", math.log(0.5)), Token("b", math.log(0.5))))
    for task, ended, score in (("refund", "commit", chance(1.5)), ("order", "hold", None)):
        watch = watching(sliced, Request.of("?", task=task, max_tokens=50), 0.7)
        assert watch.feed(pieces) == ended
        assert score is None or watch.verdict.score == pytest.approx(score)


def test_samples_end_early_by_the_curve_of_the_slice() -> None:
    """What can no longer change the decision on the slice's own scale is not waited for."""
    sliced = calibrate(Consistency(3, agree="exact"), CURVES)
    for task, early in (("refund", True), ("order", False)):
        where = exam(Reply("4"), Request.of("?", task=task))
        where.accept = 0.6
        judging = sliced.judge(where)
        assert not isinstance(judging, Verdict)
        effect = next(judging)
        assert isinstance(effect, Gather) and effect.enough is not None
        assert effect.enough([Outcome(Reply("4")), None]) is early
