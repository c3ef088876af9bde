"""The writer of decisions: never in anybody's way, and nothing is lost that was promised to be kept."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from decided import answer_of, decision, grade, refusal
from fastcascade import notices
from fastcascade.errors import ConfigError
from fastcascade.telemetry.decisions import Decisions, Writer
from fastcascade.telemetry.events import Events

NOON = 1_800_000_000.0
BEGIN = """
import sys
sys.path.insert(0, {tests!r})
from decided import answer_of, decision, refusal
from fastcascade.telemetry.decisions import Writer
writer = Writer({path!r}, every=0.001, now=lambda: 1_800_000_000.0)
"""


@contextmanager
def writing(path: Path, **more: Any) -> Iterator[Writer]:
    """A writer that is in a hurry, and closed at the end."""
    writer = Writer(path, **{"now": lambda: NOON, "every": 0.001, **more})
    try:
        yield writer
    finally:
        writer.close(30)


def process(path: Path, body: str) -> "subprocess.Popen[str]":
    """A process that writes decisions as its body says."""
    code = BEGIN.format(tests=str(Path(__file__).parent), path=str(path)) + body
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the operator hears."""
    found: list[str] = []
    end = notices.subscribe(lambda notice: found.append(notice.text))
    yield found
    end()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A file that somebody else has for himself."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


def ids(path: Path) -> list[str]:
    """Those that are kept, in order."""
    return [each.id for each in Decisions(path).after(0, 1_000_000)]


def test_it_hears_what_is_told_to_those_who_listen(tmp_path: Path) -> None:
    """A writer is a listener; kinds of event that it does not know it passes over."""
    events = Events()
    with writing(tmp_path / "d.db") as writer:
        end = events.subscribe(writer)
        events.tell(decision(answer_of("small", id="r1"), NOON))
        events.tell("something else")  # type: ignore[arg-type]
        end()
    assert ids(tmp_path / "d.db") == ["r1"]


def test_nothing_is_made_before_there_is_something_to_keep(tmp_path: Path) -> None:
    """Neither a file nor a thread: a gateway that keeps nothing pays nothing."""
    before = threading.active_count()
    writer = Writer(tmp_path / "d.db")
    assert threading.active_count() == before
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_processes_and_threads_write_one_file(tmp_path: Path) -> None:
    """Workers of a gateway share it, and a reader reads meanwhile: each decision is there once."""
    path = tmp_path / "d.db"
    body = """
for n in range(300):
    writer(decision(answer_of("small", id=f"{sys.argv[0]}{n}"), 1_800_000_000.0))
    writer(refusal(1_800_000_000.0))
assert writer.flush(60)
writer.close()
"""
    workers = [process(path, body.replace("sys.argv[0]", repr(name))) for name in "ab"]
    with writing(path) as writer:

        def write(name: str) -> None:
            for n in range(300):
                writer(decision(answer_of("small", id=f"{name}{n}"), NOON))
                writer(refusal(NOON))

        threads = [threading.Thread(target=write, args=(name,)) for name in "cd"]
        for thread in threads:
            thread.start()
        while any(worker.poll() is None for worker in workers):
            Decisions(path).sums(NOON - 60, by="layer")
        for thread in threads:
            thread.join()
        assert writer.flush(60)
    for worker in workers:
        worker.communicate()
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(ids(path)) == sorted(f"{name}{n}" for name in "abcd" for n in range(300))
    assert {each.key: each.n for each in Decisions(path).sums(NOON - 60, by="layer")} == {
        "dispatch": 1_200,
        "guard": 1_200,
    }


def test_what_was_written_survives_kill_9(tmp_path: Path) -> None:
    """All that a flush has waited for is there after the process was killed, and can be added to."""
    path = tmp_path / "d.db"
    body = """
for n in range(100):
    writer(decision(answer_of("small", id=str(n)), 1_800_000_000.0))
assert writer.flush(60)
print("there", flush=True)
while True:
    writer(decision(answer_of("small", id="more"), 1_800_000_000.0))
    writer.flush(60)
"""
    worker = process(path, body)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "there\n"
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert ids(path)[:100] == [str(n) for n in range(100)]
    with writing(path) as writer:
        writer(decision(answer_of("small", id="after"), NOON))
        assert writer.flush(30)
    assert ids(path)[-1] == "after"


def test_a_change_that_was_killed_in_its_midst_is_undone_by_who_reads(tmp_path: Path) -> None:
    """A reader that comes first after it finds what was there before, and no error."""
    path = tmp_path / "d.db"
    with writing(path) as writer:
        writer(decision(answer_of("small", id="before"), NOON))
    code = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE decisions SET id = 'torn'")
db.executemany("INSERT INTO details VALUES (?, hex(zeroblob(5000)), NULL)", [(n,) for n in range(10, 210)])
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert ids(path) == ["before"]


def test_a_locked_file_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes while somebody else has the file waits, and is written when he lets go."""
    monkeypatch.setattr("fastcascade.telemetry.decisions_put.BUSY", 0.01)
    path = tmp_path / "d.db"
    with writing(path) as writer:
        writer(decision(answer_of("small", id="0"), NOON))
        assert writer.flush(30)
        with locked(path):
            for n in range(1, 50):
                writer(decision(answer_of("small", id=str(n)), NOON))
                writer(refusal(NOON))
            writer(grade("1", "small", 1.0, at=NOON))
            assert not writer.flush(0.2)
        assert writer.flush(30)
    read = Decisions(path)
    assert ids(path) == [str(n) for n in range(50)]
    assert {each.key: each.n for each in read.sums(NOON - 60, by="layer")}["guard"] == 49
    assert read.graded(NOON - 1)[0].n == 1


def test_what_does_not_fit_the_queue_is_dropped_counted_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    """Memory is bounded, and the operator hears of it, once a minute."""
    monkeypatch.setattr("fastcascade.telemetry.decisions_put.BUSY", 0.01)
    path = tmp_path / "d.db"
    with writing(path, most=5) as writer:
        writer(decision(answer_of("small", id="0"), NOON))
        assert writer.flush(30)
        with locked(path):
            for n in range(1, 21):
                writer(decision(answer_of("small", id=str(n)), NOON))
            assert not writer.flush(0.2)
        assert writer.dropped == 15
        assert writer.flush(30)
    assert ids(path) == [str(n) for n in range(6)]
    assert len(told) == 1
    assert "locked" in told[0]


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such bound")
def test_a_full_disk_loses_nothing_and_is_recovered_from(tmp_path: Path) -> None:
    """Once there is room again all is written, without anybody's doing."""
    path = tmp_path / "d.db"
    body = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer(decision(answer_of("small", id="0"), 1_800_000_000.0))
assert writer.flush(60)
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
for n in range(1, 600):
    writer(decision(answer_of("small", id=str(n)), 1_800_000_000.0))
assert not writer.flush(0.5)
resource.setrlimit(resource.RLIMIT_FSIZE, before)
assert writer.flush(60)
writer.close()
print("done")
"""
    worker = process(path, body)
    assert worker.communicate()[0] == "done\n"
    assert ids(path) == [str(n) for n in range(600)]


def test_a_folder_that_is_not_there_is_told_of_and_waited_for(tmp_path: Path, told: list[str]) -> None:
    """Nothing is raised in the request; once the folder is there, so is the decision."""
    path = tmp_path / "later" / "d.db"
    with writing(path) as writer:
        writer(decision(answer_of("small", id="0"), NOON))
        assert not writer.flush(0.1)
        assert "cannot be made" in told[0]
        path.parent.mkdir()
        assert writer.flush(30)
    assert ids(path) == ["0"]


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    """What is written to one that nobody finds would be lost."""
    path = tmp_path / "d.db"
    with writing(path) as writer:
        writer(decision(answer_of("small", id="0"), NOON))
        assert writer.flush(30)
        path.rename(tmp_path / "moved.db")
        writer(decision(answer_of("small", id="1"), NOON))
        assert writer.flush(30)
    assert (ids(path), ids(tmp_path / "moved.db")) == (["1"], ["0"])


def test_one_that_cannot_be_kept_does_not_stop_the_others(tmp_path: Path) -> None:
    """It is counted among those that were dropped."""
    with writing(tmp_path / "d.db") as writer:
        writer(decision(answer_of("small", id="0"), NOON, status="none"))
        writer(decision(answer_of("small", id="1"), NOON))
        assert writer.flush(30)
        assert writer.dropped == 1
    assert ids(tmp_path / "d.db") == ["1"]


def test_after_the_end_nothing_is_taken(tmp_path: Path) -> None:
    """close() may be called twice, and a late event is no error."""
    with writing(tmp_path / "d.db") as writer:
        writer(decision(answer_of("small", id="0"), NOON))
        writer.close()
        writer(decision(answer_of("small", id="1"), NOON))
        writer.close()
    assert ids(tmp_path / "d.db") == ["0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it has no fork")
def test_a_forked_process_writes_what_is_its_own(tmp_path: Path) -> None:
    """The child begins anew: it neither repeats what waits in its parent, nor waits for a thread that it lacks."""
    path = tmp_path / "d.db"
    body = """
import os
writer(decision(answer_of("small", id="parent"), 1_800_000_000.0))
child = os.fork()
if not child:
    writer(decision(answer_of("small", id="child"), 1_800_000_000.0))
    os._exit(0 if writer.flush(60) else 1)
assert os.waitpid(child, 0)[1] == 0
assert writer.flush(60)
writer.close()
"""
    worker = process(path, body)
    worker.communicate()
    assert worker.returncode == 0
    assert sorted(ids(path)) == ["child", "parent"]


def test_without_texts_there_is_no_way_back_to_them(tmp_path: Path) -> None:
    """Names of callers and tiers are kept, and no prompt: nor in the journals that lie beside."""
    path = tmp_path / "d.db"
    with writing(path) as writer:
        writer(decision(answer_of("small", asked="SECRET", said="SECRET"), NOON))
        assert writer.flush(30)
        assert not any(b"SECRET" in each.read_bytes() for each in tmp_path.iterdir())


@pytest.mark.parametrize("bad", [{"days": 0}, {"megabytes": 0.5}, {"every": 0}, {"most": 0}])
def test_bounds_that_cannot_work_are_refused(tmp_path: Path, bad: dict[str, float]) -> None:
    """At once, not in the thread."""
    with pytest.raises(ConfigError):
        Writer(tmp_path / "d.db", **bad)  # type: ignore[arg-type]
