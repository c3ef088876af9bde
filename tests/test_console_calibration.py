"""The API of the page on calibration: it says what the commands say, and is worked out beside a worker."""

import asyncio
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console_shop import TOML, asked, fill, made, record, sight_of, value
from fastcascade import config
from fastcascade.cli import main
from fastcascade.console import api_calibration as page
from fastcascade.console.api_calibration_apply import applied
from fastcascade.console.api_calibration_labels import reliability
from fastcascade.console.api_calibration_now import MOST, current, mean_of, ratio_of, share_of
from fastcascade.console.api_calibration_work import execute
from fastcascade.console.asked import Refusal, Sight
from fastcascade.evals.runs import Runs
from fastcascade.recording import replay
from fastcascade.telemetry.decisions import Decisions

MODULE = "shop_models_of_calibration"
N = 300
TRIES = 1_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cascade and its recording."""
    where = tmp_path_factory.mktemp("calibration")
    record(where, made(where, MODULE), N)
    return where


@pytest.fixture
def sight(folder: Path) -> Sight:
    """With nothing worked out yet."""
    return sight_of(folder / "cascade.toml", None)


async def finished(sight: Sight, **query: str) -> Any:
    """Ask until it is worked out, as the page does; the steps that were shown on the way."""
    steps: list[str] = []
    for _ in range(TRIES):
        said = value(await page.calibration(asked(sight, "/console/api/calibration", **query)))
        if said["state"] != "working":
            return said, steps
        steps.append(said["step"])
        if under_way := sight.kept["calibration"].under_way:
            await asyncio.wait(under_way, timeout=0.05)
    raise AssertionError("it was never worked out")


def worked(sight: Sight, **query: str) -> Any:
    """What comes of it."""

    async def whole() -> Any:
        try:
            return (await finished(sight, **query))[0]
        finally:
            if "calibration" in sight.kept:
                await sight.kept["calibration"].aclose()

    return asyncio.run(whole())


def test_it_says_what_the_command_says(sight: Sight, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Signal, errors, threshold, promise and bins are those that `fastcascade calibrate` prints for the same choice."""
    said = worked(sight, keep="0.95", confidence="0.9")
    assert said["state"] == "done" and said["source"] == {"kind": "recording", "file": "run.db"}
    words = ["calibrate", str(folder / "run.db"), "--keep", "0.95", "--confidence", "0.9", "--json"]
    assert main(words) == 0
    assert said["figures"]["calibrate"] == json.loads(capsys.readouterr().out)
    assert said["accept"] == {"small": 0.6}


def test_the_points_are_what_thresholds_come_to(folder: Path) -> None:
    """Each point by hand: quality, cost, escalation and saving of the recorded cases at that threshold."""
    steps: list[str] = []
    found = execute({"file": str(folder / "run.db"), "keep": 0.95, "confidence": 0.95}, steps.append)
    assert steps[0] == "reading the recording" and len(steps) == 3
    with Runs(folder / "run.db") as runs:
        held = runs.table()
    scores = held["signals"]["surely"]
    for point in found["points"]:
        limit = float("inf") if point["threshold"] is None else point["threshold"]
        stays = [score >= limit for score in scores]
        right = [c if s else d for s, c, d in zip(stays, held["cheap"], held["dear"], strict=True)]
        costs = [c + (0 if s else d) for s, c, d in zip(stays, held["cheap_cost"], held["dear_cost"], strict=True)]
        assert point["quality"]["value"] == pytest.approx(sum(right) / N)
        assert point["cost"]["value"] == pytest.approx(sum(costs) / N)
        assert point["escalated"]["value"] == pytest.approx(1 - sum(stays) / N)
        assert point["saved"]["value"] == pytest.approx(1 - sum(costs) / sum(held["dear_cost"]))
        assert point["quality"]["low"] <= point["quality"]["value"] <= point["quality"]["high"]
    assert found["points"][0]["threshold"] is None and found["points"][0]["escalated"]["value"] == 1
    assert found["points"][-1]["escalated"]["value"] == 0
    assert sum(each["n"] for each in found["before"]) == N
    assert found["signals"] == ["surely"]


def test_now_is_the_cascade_as_it_runs(folder: Path) -> None:
    """The current point is that of replaying each recorded case; of many cases as many evenly are taken."""
    file = folder / "cascade.toml"
    cascade = config.load(file)
    found = current(cascade, folder / "run.db", lambda _step: None)
    with Runs(folder / "run.db") as runs:
        answers = [replay(cascade, each) for _, each in runs.recordings()]
    assert found["n"] == found["of"] == N <= MOST
    assert found["cost"]["value"] == pytest.approx(sum(each.known_cost_usd for each in answers) / N)
    assert found["escalated"]["value"] == pytest.approx(sum(len(each.attempts) > 1 for each in answers) / N)
    points = execute({"file": str(folder / "run.db"), "keep": 0.95, "confidence": 0.95}, str)["points"]
    near = min(
        (each for each in points if each["threshold"] is not None), key=lambda each: abs(each["threshold"] - 0.6)
    )
    assert found["cost"]["value"] == pytest.approx(near["cost"]["value"], rel=0.05)


def test_what_is_worked_out_is_kept(sight: Sight) -> None:
    """The same choice is not worked out twice, though reading a recording writes to it; a change by others is seen."""

    async def test() -> None:
        first, steps = await finished(sight)
        assert steps and steps[0]
        works = sight.kept["calibration"]
        again = value(await page.calibration(asked(sight, "/console/api/calibration")))
        assert again["state"] == "done" and again["figures"] == first["figures"]
        other, _ = await finished(sight, keep="0.9")
        assert other["wanted"]["keep"] == 0.9
        back = value(await page.calibration(asked(sight, "/console/api/calibration")))
        assert back["state"] == "done"
        (sight.folder / "run.db").touch()
        third = value(await page.calibration(asked(sight, "/console/api/calibration")))
        assert third["state"] == "working"
        await works.aclose()

    asyncio.run(test())


def test_closing_ends_the_process(sight: Sight) -> None:
    """Nothing is left running when the console closes."""

    async def test() -> None:
        said = value(await page.calibration(asked(sight, "/console/api/calibration")))
        assert said["state"] == "working" and said["seconds"] >= 0
        await sight.kept["calibration"].aclose()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(test())


def test_what_fails_is_said_and_can_be_tried_again(folder: Path) -> None:
    """A signal that is not there fails in the command's words; another try is not answered from memory."""

    async def test() -> None:
        sight = sight_of(folder / "cascade.toml", None)
        said, _ = await finished(sight, signal="mood")
        assert said["state"] == "failed" and "there is no signal 'mood'" in said["error"]
        body = {"keep": 0.98, "signal": "mood"}
        anew = value(await page.again(asked(sight, "/console/api/calibration/again", body=body)))
        assert anew["state"] == "working"
        await sight.kept["calibration"].aclose()

    asyncio.run(test())


def test_a_recording_in_use_is_told(folder: Path) -> None:
    """While `fastcascade record` writes into it, that is said."""
    with Runs(folder / "run.db"):
        said = worked(sight_of(folder / "cascade.toml", None))
    assert said["state"] == "failed" and "another process is at work on this recording" in said["error"]


@pytest.mark.parametrize(
    "query", [{"keep": "0"}, {"keep": "much"}, {"confidence": "0.5"}, {"keep": "nan"}, {"signal": "x" * 201}]
)
def test_choices_that_make_no_sense_are_refused(sight: Sight, query: dict[str, str]) -> None:
    """With 400, before anything is worked out."""
    with pytest.raises(Refusal) as refused:
        worked(sight, **query)
    assert refused.value.status == 400 and not sight.kept


def test_a_signal_that_looks_like_an_option_is_a_name(sight: Sight) -> None:
    """What a person types is never taken for an option of the command."""
    said = worked(sight, signal="--learned")
    assert said["state"] == "failed" and "no signal '--learned'" in said["error"]


def test_without_a_recording_it_says_how_to_make_one(tmp_path: Path) -> None:
    """None named, or none there: the exact commands, which name the cascade's file."""
    file = made(tmp_path, MODULE, TOML.replace('run = "run.db"', ""))
    said = worked(sight_of(file, None))
    assert said["state"] == "none"
    assert said["recipe"] == ["fastcascade record cascade.toml cases.jsonl --to run.db --grader exact"]
    assert said["export"] == ["fastcascade export cascade.toml --graded --to graded.csv"]
    said = worked(sight_of(made(tmp_path, MODULE), None))
    assert said["state"] == "absent" and said["error"] == "run.db cannot be read: No such file or directory"


def test_without_the_extra_it_says_what_to_install(sight: Sight, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway needs no numpy, and the page says what does."""
    monkeypatch.setattr(page, "EXTRA", ("no_such_package_at_all",))
    said = worked(sight)
    assert said["state"] == "lacks" and said["command"] == "pip install 'fastcascade[evals]'"


def test_grades_of_decisions_stand_in(tmp_path: Path) -> None:
    """Without a recording: reliability and a threshold from drawn labels, with their n; of few nothing is said."""
    file = made(tmp_path, MODULE, TOML.replace('run = "run.db"', "").replace("small = 0.9", "small = 0.6"))
    store = fill(tmp_path, file, 400)
    said = worked(sight_of(file, store))
    tier = said["labels"][0]
    assert said["state"] == "labels" and (tier["tier"], tier["n"], tier["accept"]) == ("small", 200, 0.6)
    assert sum(each["n"] for each in tier["bins"]) == 200
    assert tier["suggestion"]["threshold"] is not None and tier["suggestion"]["low"] >= 0.6
    few = tmp_path / "few"
    few.mkdir()
    said = worked(sight_of(file, fill(few, file, 20)))
    assert said["labels"][0]["n"] == 10 and "bins" not in said["labels"][0]
    assert worked(sight_of(file, Decisions(tmp_path / "none.db")))["state"] == "none"


def test_labels_are_weighed_by_their_propensity() -> None:
    """One that was drawn one time in ten stands for ten."""
    bins = reliability([(0.95, 1.0, 0.1), (0.95, 0.0, 1.0), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0)])
    assert [each["n"] for each in bins] == [1, 3]
    assert bins[1]["right"] == pytest.approx(11 / 12)


# How it is applied.


def test_the_lines_make_the_cascade_that_was_promised(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command runs, the lines load, and what then accepts is what was said: as a score, or through a curve."""
    said = worked(sight_of(folder / "cascade.toml", None), keep="0.9")
    told, apply = said["figures"]["calibrate"], said["apply"]
    assert told["verdict"] == "holds"
    assert (
        apply["command"] == "fastcascade calibrate run.db --signal surely --keep 0.9 --confidence 0.95 --to curve.json"
    )
    words = apply["command"].split()[1:]
    words[1], words[-1] = str(folder / "run.db"), str(tmp_path / "curve.json")
    assert main(words) == 0
    capsys.readouterr()
    text = TOML.replace("MODULE", MODULE)
    (tmp_path / f"{MODULE}.py").write_text((folder / f"{MODULE}.py").read_text())
    lines = f"gate = {apply['curve']['gate']}\naccept = {apply['curve']['accept']}"
    ways = {
        "plain": text.replace("accept = 0.6", f"accept = {apply['plain']['accept']}"),
        "curve": text.replace(f'gate = "{MODULE}:surely"\naccept = 0.6', lines),
    }
    shares = {}
    for way, changed in ways.items():
        assert changed != text
        tomllib.loads(changed)
        (tmp_path / "cascade.toml").write_text(changed)
        found = current(config.load(tmp_path / "cascade.toml"), folder / "run.db", str)
        shares[way] = 1 - found["escalated"]["value"]
    assert shares["plain"] == pytest.approx(told["coverage"])
    assert shares["curve"] == pytest.approx(told["accept_coverage"])


GATES = [
    ('"MODULE:surely"', '"shop_models_of_calibration:surely"'),
    ('{ kind = "hedging", calibration = "curve.json" }', "GATE"),
    ('{ kind = "hedging" }', '{ kind = "hedging" }'),
]


@pytest.mark.parametrize(("gate", "wanted"), GATES)
def test_a_gate_is_told_only_where_it_is_plain(folder: Path, tmp_path: Path, gate: str, wanted: str) -> None:
    """What may hold more than settings, or has a curve already, is not repeated from the file."""
    (tmp_path / "curve.json").write_text('{"kind": "platt", "params": {"a": 1.0, "b": 0.0}}')
    file = made(tmp_path, MODULE, TOML.replace('gate = "MODULE:surely"', f"gate = {gate}"))
    sight = sight_of(file, None)
    told = {"signal": "surely", "verdict": "holds", "threshold": 0.7, "accept": 0.8}
    found = {"calibrate": told, "tiers": ["small", "large"]}
    cascade = next(iter(sight.cascades.values()))
    apply = applied(sight, folder / "run.db", {"keep": 0.98, "confidence": 0.95}, found, cascade)
    assert apply["curve"]["gate"] == f'{{ kind = "calibrate", gate = {wanted}, calibration = "curve.json" }}'
    assert apply["curve"]["given"] is (wanted != "GATE")
    assert (apply["plain"] is not None) is (gate == '"MODULE:surely"')
    gone = applied(replace(sight, file=None), folder / "run.db", {"keep": 0.98, "confidence": 0.95}, found, None)
    assert gone["plain"] is None and "gate = GATE" in gone["curve"]["gate"]


def test_intervals_are_those_of_a_report() -> None:
    """The plain sums agree with numpy's, weights and all."""
    import numpy as np  # noqa: PLC0415

    from fastcascade.evals.report_sums import Sums  # noqa: PLC0415

    rng = np.random.default_rng(3)
    values, other, weights = rng.random(50), rng.random(50) + 0.5, rng.random(50) + 0.1
    sums = Sums(weights, 0.95)
    for mine, theirs in (
        (share_of(values.tolist(), weights.tolist()), sums.share(values)),
        (mean_of(values.tolist(), weights.tolist()), sums.mean(values)),
        (ratio_of(values.tolist(), other.tolist(), weights.tolist(), 1.0), sums.ratio(values, other, 1.0)),
    ):
        assert (mine["value"], mine["low"], mine["high"]) == pytest.approx((theirs.value, theirs.low, theirs.high))
        assert (mine["n"], mine["unit"]) == (theirs.n, theirs.unit)
    assert share_of([], [])["value"] is None and mean_of([1.0], [1.0])["low"] is None
    assert ratio_of([1.0], [0.0], [1.0])["value"] is None
