"""Alarms that outlive their process, and states that are not whole."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastcascade.errors import ConfigError
from fastcascade.evals.alarm_files import KeptAlarm, resume_state, save_state
from fastcascade.evals.alarms import EscalationWatch, QualityAlarm, QualityAlarms
from fastcascade.evals.shadow import Label
from fastcascade.notices import Notice


def labels(many: int, right: float = 0.85) -> list[Label]:
    """Labels of accepted answers, of which so many are right."""
    rng = random.Random(1)
    return [Label(str(n), float(rng.random() < right), "judge", 0.5, "ab"[n % 2]) for n in range(many)]


@pytest.mark.parametrize("made", [lambda: QualityAlarm(0.95, floor=0.5), lambda: QualityAlarms(0.95, "ab", floor=0.5)])
def test_an_alarm_goes_off_when_it_would_have_without_restarts(tmp_path: Path, made: Callable[[], Any]) -> None:
    """A process that ends after every thirty labels hears the same at the same labels as one that goes on."""
    whole, heard, path = made(), [], tmp_path / "alarm.json"
    expected = [number for number, label in enumerate(labels(300)) if whole.hear(label)]
    kept = KeptAlarm(made(), path)
    for number, label in enumerate(labels(300)):
        if number % 30 == 0:
            kept = KeptAlarm(made(), path)
        if kept.hear(label):
            heard.append(number)
    assert heard == expected
    assert heard
    assert kept.alarm.state() == whole.state()
    assert [each.name for each in tmp_path.iterdir()] == ["alarm.json"]


def test_only_drawn_labels_of_accepted_answers_are_heard(tmp_path: Path) -> None:
    """A thumb, a label of what escalated and None say nothing of accepted quality, to each kind of alarm."""
    others = [None, Label("t", 0.0, "thumb"), Label("e", 0.0, "dear", 0.5, population="escalated")]
    one, many = QualityAlarm(0.9, floor=0.5), QualityAlarms(0.9, ["a"], floor=0.5)
    kept = KeptAlarm(one, tmp_path / "alarm.json")
    for each in others:
        assert not one.hear(each)
        assert not many.hear(each)
        assert not kept.hear(each)
    assert (one.n, many.whole.n) == (0, 0)
    assert not kept.path.exists()
    many.hear(Label("a", 0.0, "judge", 0.5, "a"))
    assert (many.whole.n, many.slices["a"].n) == (1, 1)


def test_a_full_disk_is_a_notice(tmp_path: Path, heard: list[Notice]) -> None:
    """What cannot be written is told, the label is heard, and the next write has it all."""
    path = tmp_path / "gone" / "alarm.json"
    kept = KeptAlarm(QualityAlarm(0.9, floor=0.5), path)
    assert not kept.hear(labels(1)[0])
    assert [each.kind for each in heard] == ["at risk"]
    path.parent.mkdir()
    kept.hear(labels(2)[1])
    assert json.loads(path.read_text())["n"] == 2


def test_a_watch_is_kept_too(tmp_path: Path) -> None:
    """`save_state` and `resume_state` take any alarm; where there is no file, False."""
    path = tmp_path / "watch.json"
    watch, other = EscalationWatch(30, 100), EscalationWatch(30, 100)
    assert not resume_state(watch, path)
    for number in range(300):
        watch.add(number % 3 == 0)
    assert save_state(watch, path)
    assert resume_state(other, path)
    assert other.state() == watch.state()


MADE: dict[str, Callable[[], Any]] = {
    "alarm": lambda: QualityAlarm(0.9),
    "alarms": lambda: QualityAlarms(0.9, ["a"]),
    "watch": lambda: EscalationWatch(30, 100),
}
SPOILED: list[Callable[[Any], Any]] = [
    lambda _: [],
    lambda _: None,
    lambda _: {},
    lambda held: {**held, "whole": None, "n": "many"},
    lambda held: {**held, "slices": 7, "logs": None},
    lambda held: {**held, "slices": {"a": {}}, "logs": [[0.0]]},
]


@pytest.mark.parametrize("spoil", range(len(SPOILED)))
@pytest.mark.parametrize("name", MADE)
def test_a_state_that_is_not_whole_is_refused_and_changes_nothing(tmp_path: Path, name: str, spoil: int) -> None:
    """Whatever a file holds, it is a `ConfigError` that names it, and the alarm stands as it stood."""
    path, alarm = tmp_path / "alarm.json", MADE[name]()
    for _ in range(3):
        alarm.add(True)
    before = alarm.state()
    path.write_text(json.dumps(SPOILED[spoil](MADE[name]().state())))
    with pytest.raises(ConfigError, match=r"alarm\.json: .*; take the file away to begin anew"):
        resume_state(alarm, path)
    assert alarm.state() == before
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"alarm\.json"):
        resume_state(alarm, path)
