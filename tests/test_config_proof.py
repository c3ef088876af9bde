"""What the evals have found, in a cascade's file: admissions, calibrations and what a fit has learned."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from fastcascade import Cascade, ConfigError, Request, config
from fastcascade.evals.admitted import Admission, AdmissionRow, Admitted
from fastcascade.gates import Calibration, Hedging, Isotonic, Learned, Platt, Structure, calibration
from fastcascade.gates.calibration import Slices
from fastcascade.gates.gain import Gain
from fastcascade.gates.sliced import BySlice
from fastcascade.lanes import Lanes

HERE = __name__
TIERS = """
[[tiers]]
name = "small"
backend = { kind = "rules", faq = { hi = "ho" } }
%s
[[tiers]]
name = "large"
backend = { kind = "rules", faq = { hi = "ho" } }
"""


def loaded(folder: Path, text: str, gate: str = "") -> Cascade:
    """The cascade of a file in this folder: two tiers, and what is said."""
    path = folder / "cascade.toml"
    path.write_text(TIERS % gate + dedent(text), encoding="utf-8")
    return config.load(path)


def mistakes(folder: Path, text: str, gate: str = "") -> list[str]:
    """What is wrong with it, without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, gate)
    return [line.removeprefix(f"{folder}{os.sep}cascade.toml, ") for line in str(caught.value).split("\n")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a policy file that admits summaries."""
    row = AdmissionRow("summary", 900, 0.9, 0.9, 0.985, "admitted", 0.8)
    Admission((row,), keep=0.98, delta=0.05, n=900, date="2026-01-31").dump(tmp_path / "admitted.json")
    return tmp_path


def letters(texts: Sequence[str]) -> list[list[float]]:
    """A vector that knows money from everything else."""
    return [[1.0, 0.0] if "money" in text else [0.0, 1.0] for text in texts]


LANES = [
    'admitted = "admitted.json"',
    'admitted = { path = "admitted.json", every = 60, days = 90000 }',
    'by = "task"\nadmitted = { path = "admitted.json", every = false }',
    f"""
    admitted = "admitted.json"
    [lanes.semantic]
    routes = {{ refund = ["my money back"] }}
    embedder = "{HERE}:letters"
    """,
]


@pytest.mark.parametrize("said", LANES)
def test_an_admission_is_obeyed_beside_other_rules(folder: Path, said: str) -> None:
    """The path begins at the cascade's file; what was not admitted goes large, and every other setting holds."""
    text = 'large_customers = ["gold"]\nrules = [{ start = "large", feature = "export" }]'
    cascade = loaded(folder, f"[lanes]\n{text}\n{dedent(said)}")
    assert isinstance(cascade.lanes, Admitted)
    asked: list[tuple[dict[str, Any], int]] = [
        ({"task": "summary"}, 0),
        ({"task": "summary", "customer": "gold"}, 1),
        ({"task": "summary", "feature": "export"}, 1),
        ({"task": "code"}, 1),
        ({}, 1),
    ]
    for like, place in asked:
        assert cascade.lanes.choose(Request.of("q", **like), cascade.places).first == place
    assert (cascade.lanes.semantic is not None) == ("semantic" in said)


def test_lanes_without_an_admission_are_as_ever(folder: Path) -> None:
    """They are plain lanes, and let everything in at the first tier."""
    cascade = loaded(folder, '[lanes]\nlarge_tasks = ["legal"]')
    assert type(cascade.lanes) is Lanes
    assert cascade.lanes.choose(Request.of("q", task="code"), cascade.places).first == 0


def test_all_that_is_wrong_with_lanes_is_told_at_once(folder: Path) -> None:
    """Each on its line: an admission that is damaged, a tier that is not there, and a stray beside them."""
    (folder / "bad.json").write_text('{"kind": "isotonic"}', encoding="utf-8")
    text = """
        [lanes]
        admitted = "bad.json"
        by = "text"
        large = "huge"
        larg_tasks = ["legal"]
    """
    damage = 'it is not an admission: its "kind" must be "admission"; write it anew with admit'
    assert mistakes(folder, text) == [
        f"line 11: lanes.admitted: {folder}{os.sep}bad.json: {damage}",
        "line 12: lanes.by: no such value: 'text'; there are: task, route, customer, feature",
        "line 13: lanes.large: no such tier: 'huge'; there are: small, large",
        "line 14: lanes.larg_tasks: no such setting; did you mean 'large_tasks'?",
    ]


WRONG = [
    ('admitted = "gone.json"', "lanes.admitted", "gone.json cannot be read: No such file"),
    ("admitted = 3", "lanes.admitted", "must be a path or a table, not a whole number"),
    ('admitted = ["admitted.json"]', "lanes.admitted", "must be a path or a table, not a list"),
    ("admitted = {}", "lanes.admitted", "'path' is missing"),
    ('admitted = { path = "admitted.json", day = 30 }', "lanes.admitted.day", "did you mean 'days'?"),
    ('admitted = { path = "admitted.json", days = 0 }', "lanes.admitted.days", "days must be 1 at least"),
    ('admited = "admitted.json"', "lanes.admited", "did you mean 'admitted'?"),
    ('by = "route"', "lanes.by", "'admitted', which is missing"),
    ('days = 30\nadmitted = "admitted.json"', "lanes.days", "it belongs in 'lanes.admitted'"),
]


@pytest.mark.parametrize(("said", "where", "problem"), WRONG)
def test_what_is_wrong_is_told_where_it_stands(folder: Path, said: str, where: str, problem: str) -> None:
    """One mistake with its line and its path, whatever is wrong with an admission."""
    (told,) = mistakes(folder, f"[lanes]\n{said}")
    assert told.startswith(f"line 10: {where}: ") and problem in told


CURVES = [Isotonic(((0.0, 0.2), (1.0, 0.9))), Platt(2.0, -1.0), Slices(Platt(2.0, -1.0), {"code": -0.5})]


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: type(curve).__name__)
def test_a_calibration_is_loaded_from_its_file(folder: Path, curve: Calibration) -> None:
    """Whatever kind was dumped is named by its path, from where the file is."""
    calibration.dump(curve, folder / "curve.json")
    cascade = loaded(folder, "", 'gate = { kind = "hedging", calibration = "curve.json" }')
    gate = cascade.tiers[0].gate
    assert gate is not None and (gate.slicing if isinstance(gate, BySlice) else gate.calibration) == curve


LEARNED = 'gate = { kind = "learned", artefact = "learned.json", gates = ["hedging", "structure"] }'


def test_a_learned_gate_is_loaded_from_its_file(folder: Path) -> None:
    """Its weights are put to the gates beside it by their names; the path begins at the file."""
    learned = Learned({Hedging(): 1.5}, -0.5, features={"length": 0.1}, threshold=0.7)
    learned.dump(folder / "learned.json")
    gate = loaded(folder, "", LEARNED).tiers[0].gate
    assert isinstance(gate, Learned)
    assert gate.dump() == learned.dump()


def test_a_gain_gate_is_loaded_from_its_file(folder: Path) -> None:
    """Any gate that can be loaded is: its kind, the artefact, and the gates that are weighed in it."""
    gain = Gain({"weights": {"hedging": 1.5}}, {"weights": {"structure": 0.5}}, gates=[Hedging(), Structure()])
    gain.dump(folder / "learned.json")
    gate = loaded(folder, "", LEARNED.replace('"learned"', '"fastcascade.gates.gain:Gain"')).tiers[0].gate
    assert isinstance(gate, Gain) and gate.dump() == gain.dump()


UNLEARNED = [
    ({"kind": "platt"}, LEARNED, "tiers[0].gate.artefact", "kind must be 'learned'"),
    (None, LEARNED, "tiers[0].gate.artefact", "cannot be read"),
    ({"kind": "learned", "weights": {"judge": 1}}, LEARNED, "tiers[0].gate", "there is no gate named 'judge'"),
    ({}, LEARNED.replace("artefact", "artifact"), "tiers[0].gate.artifact", "did you mean 'artefact'?"),
    ({}, LEARNED.replace("gates", "weights"), "tiers[0].gate.weights", "no such setting"),
    ({}, LEARNED.replace('"learned.json"', "1"), "tiers[0].gate.artefact", "must be a path or a table"),
    ({}, LEARNED.replace("learned", "hedging", 1), "tiers[0].gate.artefact", "no such setting"),
]


@pytest.mark.parametrize(("artefact", "said", "where", "problem"), UNLEARNED)
def test_an_artefact_that_does_not_fit_is_told(
    folder: Path, artefact: dict[str, Any] | None, said: str, where: str, problem: str
) -> None:
    """Whether the file, its kind, a gate in it or the key is wrong: it is told with its line."""
    if artefact is not None:
        (folder / "learned.json").write_text(json.dumps(artefact), encoding="utf-8")
    told = mistakes(folder, "", said)
    assert any(each.startswith(f"line 5: {where}: ") and problem in each for each in told), told


def test_a_server_loads_no_arrays(folder: Path) -> None:
    """A cascade with an admission and a calibration is read without numpy."""
    calibration.dump(Platt(2.0, -1.0), folder / "curve.json")
    loaded(folder, '[lanes]\nadmitted = "admitted.json"', 'gate = { kind = "hedging", calibration = "curve.json" }')
    code = (
        f"import sys; from fastcascade import config; config.load({str(folder / 'cascade.toml')!r}); "
        "assert not {'numpy', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
