"""Calibrations: curves that never fall, and the artefacts they are kept in."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.gates.calibration import (
    Calibration,
    Isotonic,
    Origin,
    Platt,
    calibrate,
    dump,
    load,
    raw_floor,
    sigmoid,
)
from fastcascade.gates.gate import Gate, Verdict

UNIT = st.floats(0.0, 1.0)
FROM = Origin(120, "2026-01-31", "9f2c")


def curve(xs: set[float], ys: list[float], how: Any) -> Isotonic:
    """A curve through these, put in order."""
    return Isotonic(tuple(zip(sorted(xs), sorted(ys), strict=False)), how, FROM)


CURVES = st.builds(
    curve,
    st.sets(UNIT, min_size=1, max_size=6),
    st.lists(UNIT, min_size=6, max_size=6),
    st.sampled_from(["linear", "step"]),
)
LOGISTIC = st.builds(Platt, st.floats(0.0, 1e6), st.floats(-1e6, 1e6), st.just(FROM))


@given(CURVES | LOGISTIC, st.floats(), st.floats())
def test_a_calibration_never_falls(calibration: Calibration, a: float, b: float) -> None:
    """Whatever the scores, in range or not: the greater has at least the probability of the less."""
    low, high = sorted((a, b))
    if low <= high:
        assert 0.0 <= calibration(low) <= calibration(high) <= 1.0
    assert calibration(math.nan) == min(calibration(-math.inf), calibration(math.nan))


@given(CURVES)
def test_a_curve_goes_through_its_points(calibration: Isotonic) -> None:
    """And is flat outside of them."""
    for score, probability in calibration.points:
        assert calibration(score) == probability
    assert calibration(-1.0) == calibration.points[0][1]
    assert calibration(2.0) == calibration.points[-1][1]


def test_between_two_points_it_is_a_line_or_a_step() -> None:
    """Half way up, or still at the lower one."""
    points = ((0.2, 0.0), (0.6, 1.0))
    assert Isotonic(points)(0.4) == pytest.approx(0.5)
    assert Isotonic(points)(0.3) == pytest.approx(0.25)
    assert Isotonic(points, "step")(0.59) == 0.0
    assert Isotonic(points, "step")(0.6) == 1.0


def test_platt_is_the_logistic_function() -> None:
    """Worked out by hand, and without overflow."""
    assert Platt(2.0, -1.0)(0.5) == 0.5
    assert Platt(2.0, -1.0)(1.0) == pytest.approx(1 / (1 + math.exp(-1.0)))
    assert (sigmoid(1e9), sigmoid(-1e9), sigmoid(math.nan)) == (1.0, 0.0, 0.0)


@given(CURVES | LOGISTIC)
def test_an_artefact_reads_back_as_it_was(calibration: Calibration) -> None:
    """Through JSON text too, with where it comes from."""
    assert load(json.loads(json.dumps(dump(calibration)))) == calibration


def test_an_artefact_is_a_file(tmp_path: Path) -> None:
    """Written and read by path, as a text or not."""
    path = tmp_path / "curve.json"
    dump(Platt(3.0, -1.0), path)
    assert load(path) == load(str(path)) == Platt(3.0, -1.0)
    assert json.loads(path.read_text()) == {"kind": "platt", "params": {"a": 3.0, "b": -1.0}}


ISOTONIC: dict[str, Any] = {"kind": "isotonic", "points": [[0.1, 0.2], [0.5, 0.6]]}
WRONG: list[tuple[Any, str]] = [
    ({}, "artefact: kind must be one of 'isotonic', 'platt', 'slices', not None"),
    ({"kind": "spline"}, "not 'spline'"),
    ({"kind": ["platt"]}, "kind must be"),
    ({"kind": "isotonic"}, "points is missing"),
    (ISOTONIC | {"points": []}, "at least one"),
    (ISOTONIC | {"points": "0.1"}, "not str"),
    (ISOTONIC | {"points": [[0.1]]}, "not [0.1]"),
    (ISOTONIC | {"points": [[0.1, 1.2]]}, "both from 0 to 1"),
    (ISOTONIC | {"points": [[0.1, math.nan]]}, "both from 0 to 1"),
    (ISOTONIC | {"points": [[0.5, 0.2], [0.5, 0.3]]}, "(0.5, 0.3) follows (0.5, 0.2)"),
    (ISOTONIC | {"points": [[0.1, 0.4], [0.5, 0.3]]}, "not fall in probability"),
    (ISOTONIC | {"interpolation": "cubic"}, "'cubic'"),
    (ISOTONIC | {"slope": 1}, "unknown field 'slope'"),
    (ISOTONIC | {"n": 1.5}, "n, the number of cases"),
    (ISOTONIC | {"date": "yesterday"}, "date must begin like"),
    (ISOTONIC | {"fingerprint": 7}, "fingerprint must be a text"),
    ({"kind": "platt"}, "params is missing"),
    ({"kind": "platt", "params": {"a": 1}}, "a and b"),
    ({"kind": "platt", "params": {"a": -1, "b": 0}}, "must not be below zero"),
    ({"kind": "platt", "params": {"a": True, "b": 0}}, "finite number"),
    ({"kind": "platt", "params": {"a": 1, "b": math.inf}}, "finite number"),
]


@pytest.mark.parametrize(("artefact", "named"), WRONG)
def test_an_artefact_that_cannot_be_is_refused_by_name(artefact: Any, named: str) -> None:
    """The message says what is wrong in it."""
    with pytest.raises(ConfigError, match=re.escape(named)):
        load(artefact)


FILES = [(None, "cannot be read"), ("{", "is not JSON"), ("[]", "must be a JSON object, not list")]


@pytest.mark.parametrize(("content", "named"), FILES)
def test_a_file_that_is_no_artefact_is_refused_with_its_path(tmp_path: Path, content: str | None, named: str) -> None:
    """Missing, broken, or something else."""
    path = tmp_path / "curve.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(named)) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_calibrating_a_gate_leaves_the_one_given_as_it_is() -> None:
    """What comes back is a copy; an artefact will do for a calibration."""
    gate = Gate()
    gate.threshold = 0.7
    calibrated = calibrate(gate, {"kind": "platt", "params": {"a": 2, "b": -1}})
    assert gate.calibration is None
    assert (calibrated.threshold, calibrated.calibration) == (0.7, Platt(2, -1))
    assert calibrated.calibrated(Verdict(0.5)).score == 0.5
    with pytest.raises(ConfigError, match="cannot be called"):
        calibrate(gate, 3)  # type: ignore[arg-type]


@given(CURVES | LOGISTIC, UNIT)
def test_the_raw_floor_is_the_least_score_that_is_accepted(calibration: Calibration, accept: float) -> None:
    """Itself accepted, and nothing clearly below it; infinity where nothing is."""
    floor = raw_floor(calibrate(Gate(), calibration), accept)
    if floor > 1.0:
        assert calibration(1.0) < accept
        return
    assert calibration(floor) >= accept
    assert floor < 1e-9 or calibration(floor - 1e-9) < accept
    assert raw_floor(Gate(), accept) == accept
