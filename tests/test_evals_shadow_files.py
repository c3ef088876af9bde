"""The file of a shadow log: several processes, kills, full disks; nothing of it reaches a request."""

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Answer, ConfigError, Reply, Request
from fastcascade.answers import Attempt
from fastcascade.evals.shadow import Label, Sampled, Shadow, ShadowLog
from fastcascade.evals.shadow_files import LineFile
from fastcascade.evals.shadow_labels import counted
from fastcascade.messages import Tool
from fastcascade.notices import Notice

LONG = 60_000
"""Characters of a line: more than a buffered file writes at once."""


def written(path: Path, name: str, many: int) -> None:
    """Write so many long lines under this name: what a process does."""
    file = LineFile(path, "lines")
    for number in range(many):
        file.add({"name": name, "number": number, "text": name * LONG})


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    """Two processes write long lines to one file at once, and each line is whole."""
    path = tmp_path / "lines.jsonl"
    start = multiprocessing.get_context("spawn").Process
    work = [start(target=written, args=(path, name, 60)) for name in "ab"]
    for each in work:
        each.start()
    for each in work:
        each.join()
    file = LineFile(path, "lines")
    found = [(line["name"], line["number"], len(line["text"])) for line in file.read()]
    assert file.damaged == 0
    assert sorted(found) == [(name, number, LONG) for name in "ab" for number in range(60)]
    assert path.stat().st_mode & 0o077 == 0


@given(st.lists(st.integers(0, 3), max_size=6), st.data())
def test_a_kill_at_any_byte_costs_one_line(lengths: list[int], data: st.DataObject) -> None:
    """Whoever writes next, also one that had the file open before, ends the cut line; the others are whole."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "lines.jsonl"
        first, other = LineFile(path, "lines"), LineFile(path, "lines")
        for number, length in enumerate(lengths):
            (first if number % 2 else other).add({"number": number, "text": "é" * length})
        whole = path.read_bytes() if path.exists() else b""
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        other.add({"number": -1})
        first.add({"number": -2})
        again = LineFile(path, "lines")
        kept = [line["number"] for line in again.read()]
        ended = whole[:cut].count(b"\n")
        assert kept[:ended] == list(range(ended))
        assert kept[-2:] == [-1, -2]
        assert again.damaged <= 1
        assert len(kept) - 2 - ended in (0, 1)  # a line may have lost its end alone


def test_a_full_disk_loses_nothing_that_fits_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[Notice]
) -> None:
    """A write that comes short, or fails, is a notice; the lines wait, and are all there when there is room again."""
    path = tmp_path / "shadow.jsonl"
    log = ShadowLog(path)
    room, write = [0], os.write

    def short(handle: int, data: bytes) -> int:
        fits = data[: room[0]]
        room[0] -= len(fits)
        if data and not fits:
            raise OSError(28, "No space left on device")
        return write(handle, fits)

    monkeypatch.setattr("fastcascade.evals.shadow_files.os", SimpleNamespace(**{**vars(os), "write": short}))
    for number in range(20):
        room[0] = (40 * number) % 331 if number < 10 else 0
        sampled = Sampled(str(number), "", 0.5)
        log.take(sampled)
        log.add(Label.of(sampled, 1.0, "judge"))
        if number == 15:
            assert log.estimate().n == 16
    assert {each.kind for each in heard} == {"at risk"}
    room[0] = 1 << 30
    log.flush()
    log.saw("")
    log.flush()
    again = ShadowLog(path)
    assert again.estimate() == log.estimate()
    assert again.estimate().n == 20


def test_what_cannot_be_written_does_not_reach_a_request(tmp_path: Path, heard: list[Notice]) -> None:
    """A folder that is gone, and a request that no file can hold, cost a notice and a case, not an answer."""
    shadow = Shadow(1.0, path=tmp_path / "gone" / "shadow.jsonl")
    request = Request.of("?", tools=(Tool("t", schema={"bytes": b"raw"}),))
    answer = Answer(Reply("yes"), request, "small", 0.8, attempts=(Attempt("small", "accept"),))
    sampled = shadow.draw(answer)
    assert sampled is not None
    assert sampled.asked is None
    shadow.label(sampled, 1.0, "judge")
    assert shadow.log.estimate().n == 1
    shadow.log.add(Label("x", 1.0, "thumb", asked=b"raw"))
    assert [each.kind for each in heard] == ["at risk"] * 3


def test_how_many_were_seen_survives_a_kill() -> None:
    """Of answers that were not drawn, less than a thousand are not in the file yet."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shadow.jsonl"
        log = ShadowLog(path)
        for _ in range(2_500):
            log.saw("a")
            log.saw("a", population="escalated", covered=False)
        again = ShadowLog(path)
        assert again.estimate().seen == again.gain().never == 2_500
        log.saw("a")
        assert ShadowLog(path).estimate().seen == 2_500


def test_the_propensity_is_in_the_file_before_anybody_grades(tmp_path: Path) -> None:
    """What was drawn is written down with how likely that was; a label says the same."""
    path = tmp_path / "shadow.jsonl"
    shadow = Shadow(0.5, draw=lambda: 0.4, path=path)
    answer = Answer(Reply("yes"), Request.of("?"), "small", 0.8, attempts=(Attempt("small", "accept"),))
    sampled = shadow.draw(answer)
    assert sampled is not None
    (found,) = ShadowLog(path).pending.values()
    assert found == sampled
    assert found.propensity == 0.5
    assert shadow.label(sampled, 0.0, "judge").propensity == 0.5


LINES: list[Any] = [
    b"\n", b"[]\n", b"7\n", b"{\n", b"\xff\n", b"[" * 5_000 + b"\n", b'{"seen": 7}\n', b'{"seen": {"a": "many"}}\n',
    b'{"label": {"kind:": "Label", "id": "x", "score": 9, "source": "judge"}}\n',
    b'{"label": {"kind:": "Label", "id": "x", "score": 1, "source": "judge", "later": 1}}\n',
    b'{"sampled": {"kind:": "Unheard", "id": "x"}, "seen": {"a": 7}}\n',
]  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=[repr(each[:20]) for each in LINES])
def test_whatever_is_in_the_file_the_rest_is_read(tmp_path: Path, line: bytes) -> None:
    """A line of another version, or of nobody's, counts as damaged, adds nothing, and the rest is there."""
    path = tmp_path / "shadow.jsonl"
    good = Sampled("good", "a", 0.5)
    ShadowLog(path).take(good)
    path.write_bytes(line + path.read_bytes())
    log = ShadowLog(path)
    assert log.damaged == (line != b"\n")
    assert (log.estimate().seen, log.pending) == (1, {"good": good})


FOREIGN: list[bytes] = [
    b'{"id": "a", "input": "2+2", "label": {"score": 1.0}}\n', b"id,input\na,2+2\n", b"\n\n[7]\n", b"SQLite format 3\0",
]  # fmt: skip


@pytest.mark.parametrize("held", FOREIGN, ids=[repr(each[:9]) for each in FOREIGN])
def test_another_file_is_refused_and_not_added_to(tmp_path: Path, held: bytes) -> None:
    """A file in which no line is of a log is somebody's: a shadow says so when it is made, and leaves it alone."""
    path = tmp_path / "cases.jsonl"
    path.write_bytes(held)
    with pytest.raises(ConfigError, match="is no shadow log"):
        Shadow(path=path)
    assert path.read_bytes() == held


def test_a_first_line_that_broke_off_is_still_a_log(tmp_path: Path) -> None:
    """Wherever the first line of a log was cut off, the log goes on."""
    path = tmp_path / "shadow.jsonl"
    good = Sampled("good", "a", 0.5)
    ShadowLog(path).take(good)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        ShadowLog(path).take(good)
        assert ShadowLog(path).pending == {"good": good}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder or a device in its place is a mistake of the settings, told when the service starts."""
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(ConfigError, match="is no file that lines can be added to"):
            ShadowLog(path)


def test_labels_of_both_populations_come_back(tmp_path: Path) -> None:
    """All that a label of either population holds is as it was in another process."""
    path = tmp_path / "shadow.jsonl"
    log = ShadowLog(path)
    more: dict[str, Any] = {"request": "digest", "cost": 0.1, "dear_tier": "large", "dear_cost": 1.0, "both": True}
    for name, population in (("a", "accepted"), ("e", "escalated")):
        sampled = Sampled(name, "s", 0.25, "small", 0.5, {"input": "?"}, "yes", population, **more)  # type: ignore[arg-type]
        log.take(sampled)
        log.add(Label.of(sampled, 0.5, "dear", dear=0.75, note="by hand"))
    again = ShadowLog(path)
    assert again.kept() == log.kept()
    assert [counted(each) for each in again.kept()] == [(0.5, 0.25), (0.25, 0.25)]
    assert (again.gain(), again.estimate()) == (log.gain(), log.estimate())
    assert again.pairs() == log.pairs()
    assert counted(replace(again.kept()[1], dear=None, source="judge")) is None


BAD: list[tuple[dict[str, Any], str]] = [
    ({"dear": 1.5}, "the dear tier's score goes from 0 to 1, not 1.5"),
    ({"population": "all"}, "of the accepted or the escalated, not 'all'"),
]


@pytest.mark.parametrize(("fields", "said"), BAD)
def test_what_is_no_label_is_refused(fields: dict[str, Any], said: str) -> None:
    """A dear score out of range, and a population that there is not."""
    with pytest.raises(ConfigError, match=said):
        Label("x", 1.0, "judge", **fields)
