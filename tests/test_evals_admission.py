"""Which slices the small tier has earned, and that routing obeys it."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade import Cascade, ConfigError, Lane, PriceSheet, Request, Tier
from fastcascade.evals.admission import Share, admit
from fastcascade.evals.admitted import Admission, AdmissionRow, Admitted
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.testing import ScriptedBackend

NO_PRICES = PriceSheet(source=None)
EARNED = Admission(
    (
        AdmissionRow("summary", 900, 0.9, 0.9, 0.985, "admitted", 0.8),
        AdmissionRow("code", 900, 0.5, 0.9, 0.5, "refused", 0.8, why="it keeps less than its share"),
        AdmissionRow("mail", 30, 0.9, 0.9, 0.8, "not yet", 0.8, 400),
    ),
    keep=0.98,
    delta=0.05,
    n=1830,
    date="2026-01-31",
    fingerprint="0123456789abcdef",
)


def outcomes(cheap: Floats, dear: Floats, slices: list[str] | None = None, price: float = 0.1) -> Outcomes:
    """A table in which the dear model costs 1 a case."""
    filed = None if slices is None else np.array(slices, dtype=object)
    return Outcomes(cheap, dear, np.full(len(cheap), price), np.ones(len(cheap)), slices=filed)


def test_each_slice_gets_what_its_cases_carry() -> None:
    """As good as the large tier is admitted, far worse is refused, few cases are not enough and say how many are."""
    dear = np.tile([1.0, 1.0, 1.0, 1.0, 0.0], 400)
    cheap = dear.copy()
    cheap[1000:1800:2] = 0.0
    slices = ["good"] * 1000 + ["bad"] * 800 + ["few"] * 200
    found = admit(outcomes(cheap, dear, slices), keep=0.98, date="2026-01-31")
    rows = {row.slice: row for row in found.rows}
    assert {name: row.verdict for name, row in rows.items()} == {"good": "admitted", "bad": "refused", "few": "not yet"}
    assert found.admitted == {"good"} and (found.n, found.keep, found.date) == (2000, 0.98, "2026-01-31")
    assert rows["good"].low > 0.98 and rows["few"].low < 0.98 and rows["good"].saving == pytest.approx(0.9)
    assert (rows["few"].more_cases or 0) > 0 and rows["bad"].cheap == 0.4


def test_what_saves_nothing_is_refused() -> None:
    """A small tier as dear as the large one has earned nothing, however good it is."""
    found = admit(outcomes(np.ones(1000), np.ones(1000), price=1.0))
    assert found.rows[0].verdict == "refused" and "costs no less" in found.rows[0].why


def test_a_gate_is_judged_with_its_cascade() -> None:
    """With a score that knows where the small tier is wrong, its slice is admitted; without one it is refused."""
    draw = np.random.default_rng(1)
    cheap = (draw.random(2000) < 0.6).astype(float)
    table = outcomes(cheap, np.ones(2000))
    assert admit(table).rows[0].verdict == "refused"
    found = admit(table, np.where(cheap == 1, 0.9, np.nan), accept=0.5)
    assert found.rows[0].verdict == "admitted" and found.accept == 0.5
    assert found.rows[0].saving == pytest.approx(1 - 0.1 - (1 - cheap.mean()))


@pytest.mark.parametrize("scale", [1.0, 0.9])
def test_admission_is_seldom_wrong(scale: float) -> None:
    """At the very share that must be kept, a slice passes, or is proved short, at most a share delta of the time."""
    draw, trials = np.random.default_rng(2), 300
    passed = short = 0
    for _ in range(trials):
        dear = (draw.random(150) < 0.8).astype(float)
        cheap = np.where(draw.random(150) < 0.9, dear, draw.random(150) < 0.4)  # 0.76, which is 0.95 of 0.8
        share = Share(cheap * scale, dear * scale, None)
        assert share.exact == (scale == 1.0)
        passed += share.above(0.95, 0.05) <= 0.05
        short += share.below(0.95, 0.05) <= 0.05
    assert max(passed, short) / trials <= 0.05 + 4 * (0.05 * 0.95 / trials) ** 0.5


@pytest.mark.parametrize(
    ("given", "said"),
    [({"keep": 1.0}, "keep"), ({"delta": 0.0}, "delta"), ({"accept": 0.5}, "accept"), ({"score": [1.0]}, "accept")],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, object], said: str) -> None:
    """The message names the setting."""
    with pytest.raises(ConfigError, match=said):
        admit(outcomes(np.ones(10), np.ones(10)), **given)  # type: ignore[arg-type]


def test_the_file_comes_back_as_it_was(tmp_path: Path) -> None:
    """What is written is read again, whole, and nothing else is left beside it."""
    EARNED.dump(tmp_path / "a.json")
    assert Admission.load(tmp_path / "a.json") == EARNED
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(ConfigError, match="cannot be written"):
        EARNED.dump(tmp_path / "none" / "a.json")


SHARES = st.floats(0.0, 1.0)
ROWS = st.builds(
    AdmissionRow,
    slice=st.text(max_size=5),
    n=st.integers(1, 10**9),
    cheap=SHARES,
    dear=SHARES,
    low=SHARES,
    verdict=st.sampled_from(["admitted", "not yet", "refused"]),
    saving=st.none() | st.floats(-10.0, 1.0),
    more_cases=st.none() | st.integers(1, 10**9),
    why=st.text(max_size=5),
)
ADMISSIONS = st.builds(
    Admission,
    rows=st.lists(ROWS, max_size=4, unique_by=lambda row: row.slice).map(tuple),
    keep=st.floats(0.01, 1.0),
    delta=st.floats(0.01, 1.0),
    n=st.integers(1, 10**9),
    date=st.just("") | st.dates().map(str),
    fingerprint=st.text(max_size=5),
    accept=st.none() | SHARES,
)


@settings(max_examples=100, deadline=None)
@given(admission=ADMISSIONS, cut=st.integers(0, 400), put=st.sampled_from(["", "null", "-1", '"', "[", "9" * 400]))
def test_every_admission_comes_back_and_no_damage_gets_through(admission: Admission, cut: int, put: str) -> None:
    """What is written is read as it was; a text with a place spoiled is read, or refused by name, and nothing else."""
    written = admission.dumps()
    assert Admission.loads(written) == admission
    try:
        Admission.loads(written[:cut] + put + written[cut + 1 :], "that.json")
    except ConfigError as error:
        assert str(error).startswith("that.json")


def damaged(path: str, value: object) -> str:
    """The file with one value in the place of another."""
    data = json.loads(EARNED.dumps())
    at = data["slices"][0] if path.startswith("0.") else data
    at[path.removeprefix("0.")] = value
    return json.dumps(data)


DAMAGE = [
    (EARNED.dumps()[:-40], "is not JSON"),
    ("", "is not JSON"),
    ("[]", 'its "kind" must be'),
    (damaged("kind", "isotonic"), 'its "kind" must be'),
    (damaged("version", 2), "version must be 1, not 2"),
    (damaged("keep", 1.5), "keep must be above 0"),
    (damaged("delta", None), "delta must be a finite number"),
    (damaged("n", 0), "n must be a whole number"),
    (damaged("date", "yesterday"), "date must be like"),
    (damaged("fingerprint", 7), "fingerprint must be a text"),
    (damaged("slices", {}), "slices must be a list"),
    (damaged("admitted", ["code"]), "'admitted' is not known"),
    (damaged("slices", [1]), "slice 1: must be an object"),
    (damaged("0.verdict", "yes"), "slice 1: verdict must be one of"),
    (damaged("0.slice", None), "slice 1: slice must be a text"),
    (damaged("0.slice", "code"), "'code' is there twice"),
    (damaged("0.low", float("nan")), "slice 1: low must be a finite number"),
    (damaged("0.cheap", True), "slice 1: cheap must be a finite number"),
    (damaged("0.cheap", 10**400), "slice 1: cheap must be a finite number"),
]


@pytest.mark.parametrize(("raw", "said"), DAMAGE)
def test_a_damaged_file_is_refused(tmp_path: Path, raw: str, said: str) -> None:
    """The message names the file and the place; nothing is admitted by half a file."""
    path = tmp_path / "a.json"
    path.write_text(raw)
    with pytest.raises(ConfigError, match=said) as error:
        Admitted(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "a.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        Admission.load(tmp_path / "a.json")
    with pytest.raises(ConfigError, match=r"b\.json cannot be read"):
        Admission.load(tmp_path / "b.json")


def ladder(lanes: Admitted) -> tuple[Cascade, ScriptedBackend, ScriptedBackend]:
    """A small and a large tier that always answer."""
    small, large = ScriptedBackend("from small", name="small"), ScriptedBackend("from large", name="large")
    return Cascade(Tier(small), Tier(large), lanes=lanes, prices=NO_PRICES), small, large


ASKED = [
    ({"task": "summary"}, "small", ""),
    ({"task": "code"}, "large", "task code is not admitted"),
    ({"task": "mail"}, "large", "task mail is not admitted"),
    ({"task": "poems"}, "large", "task poems is not admitted"),
    ({}, "large", "it has no task, and such are not admitted"),
    ({"task": "summary", "customer": "gold"}, "large", "customer gold always goes large"),
    ({"task": "summary", "regenerate": True}, "large", "a regenerated answer"),
    ({"task": "code", "max_tier": "small"}, "small", "task code is not admitted"),
    ({"task": "summary", "feature": "export"}, "large", "feature export"),
]


@pytest.mark.parametrize(("like", "tier", "why"), ASKED)
def test_routing_obeys(tmp_path: Path, like: dict[str, str], tier: str, why: str) -> None:
    """What was not admitted goes straight to the large tier, and the trace says why; other rules hold as ever."""
    EARNED.dump(tmp_path / "a.json")
    lanes = Admitted(tmp_path / "a.json", [Lane(start="large", feature="export")], large_customers="gold")
    cascade, small, large = ladder(lanes)
    answer = asyncio.run(cascade.run(Request.of("q", **like)))
    assert answer.text == f"from {tier}"
    assert (len(small.seen), len(large.seen)) == ((1, 0) if tier == "small" else (0, 1))
    assert lanes.choose(Request.of("q", **like), cascade.places, remember=False).why == why


def test_cases_without_a_slice_speak_for_requests_without_a_task() -> None:
    """A table without slices admits requests that name no task, and no others; any field may name the slice."""
    found = admit(outcomes(np.ones(1000), np.ones(1000)))
    assert found.admitted == {""}
    cascade, small, large = ladder(Admitted(found))
    asyncio.run(cascade.run(Request.of("q")))
    asyncio.run(cascade.run(Request.of("q", task="summary")))
    assert (len(small.seen), len(large.seen)) == (1, 1)
    by_route, small, _ = ladder(Admitted(EARNED, by="route"))
    asyncio.run(by_route.run(Request.of("q", route="summary")))
    assert len(small.seen) == 1
    with pytest.raises(ConfigError, match="by must be one of"):
        Admitted(EARNED, by="text")  # type: ignore[arg-type]


def test_routing_needs_no_numpy() -> None:
    """A server that obeys a file does not load the arrays it was worked out with."""
    code = (
        "import sys; from fastcascade.evals.admitted import Admitted; assert not {'numpy', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
