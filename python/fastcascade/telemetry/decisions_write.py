"""Takes decisions from whoever answers, and writes them from a thread of its own.

In the request's thread an event is put in a queue, or counted, and that is all. What the file cannot take now waits
in memory, up to `most` decisions, and is written once it can: after a lock, or when there is room on the disk again.
"""

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from fastcascade.errors import ConfigError, StoreError
from fastcascade.notices import notify
from fastcascade.stores.sqlite_open import refusal
from fastcascade.telemetry.decisions_made import Kept, grade_of, kept
from fastcascade.telemetry.decisions_put import Put
from fastcascade.telemetry.decisions_schema import MINUTE, pace
from fastcascade.telemetry.events import Decision, Event, Graded

__all__ = ["Writer"]

MOST: Final = 10_000
TOGETHER: Final = 16
"""Decisions after which the thread lets others go on: it takes some 30 us for each."""
BREATH: Final = 1e-4
COARSE: Final = 5
"""What never reached a cascade is timed in buckets of 20 %: so few that a minute takes little room."""
SENSELESS: Final = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""What SQLite says to what it will never take; whatever else it says may be over in a while."""
TOLD: Final = 60.0
"""Seconds between two notices."""

log: Final = logging.getLogger("fastcascade")
_writers: "WeakSet[Writer]" = WeakSet()
_stilled: "list[Writer]" = []


class Writer:
    """A listener that keeps decisions: `subscribe(Writer("decisions.db"))`. Safe to share between threads.

    Args:
        path: an SQLite file, made when first used; other processes may write the same one.
        days: how long decisions are kept.
        megabytes: how much room the file may take; the oldest leave first.
        texts: whether what was asked and said is kept too.
        now: seconds since 1970.
        every: seconds between two transactions.
        most: how many decisions may wait for the file; what comes beyond is dropped, and counted.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        days: float = 30.0,
        megabytes: float = 512.0,
        texts: bool = False,
        now: Callable[[], float] = time.time,
        every: float = 0.25,
        most: int = MOST,
    ) -> None:
        """Open nothing yet; the thread starts with the first event."""
        if not days > 0 or not megabytes >= 1 or not every > 0 or most < 1:
            raise ConfigError(
                "decisions are kept for more than 0 days, in at least 1 megabyte, with room for one to wait"
            )
        self.path: Final = Path(path).absolute()
        self.texts: Final = texts
        self.every: Final = every
        self.most: Final = most
        self.dropped = 0
        self._now = now
        self._bounds = (days, int(megabytes * 1_000_000))
        self._told: float | None = None
        self._known = 0  # of those dropped, how many were told of
        self._renew()
        _writers.add(self)

    def _renew(self) -> None:
        """Begin anew: at first, and in a process that was forked, whose parent sees to what waits there."""
        self._queue: deque[Decision | Graded] = deque()
        self._counts: dict[tuple[Any, ...], int] = {}
        self._rows: deque[Kept] = deque()
        self._lock = threading.Lock()
        self._gate = threading.Lock()  # held while the file is written
        self._said = threading.Condition(self._lock)
        self._bell, self._hurry = threading.Event(), threading.Event()
        self._rung = self._closed = False
        self._asked = self._flushed = 0
        self._thread: threading.Thread | None = None
        self._put = Put(self.path, *self._bounds, self._now)

    def __repr__(self) -> str:
        """Show where it writes."""
        return f"Writer({str(self.path)!r})"

    def __call__(self, event: Event) -> None:
        """Take an event; never waits, never raises."""
        kind = type(event)
        if (kind is not Decision and kind is not Graded) or self._closed:
            return
        if kind is Decision and event.answer is None:  # type: ignore[union-attr] # a Decision, as was just asked
            self._count(event)  # type: ignore[arg-type] # likewise
        elif len(self._queue) + len(self._rows) >= self.most:
            self.dropped += 1
        else:
            self._queue.append(event)
        if not self._rung:
            self._ring()

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until all that came before is in the file; False where it is not by then."""
        with self._said:
            self._asked += 1
            mine = self._asked
        self._hurry.set()
        self._ring()
        with self._said:
            return self._said.wait_for(lambda: self._flushed >= mine, seconds)

    def close(self, seconds: float = 5.0) -> None:
        """Write what is there, end the thread, and take no more."""
        thread = self._thread
        if self._closed or thread is None:
            self._closed = True
            return
        whole = self.flush(seconds)
        self._closed = True
        self._hurry.set()
        self._bell.set()
        thread.join(seconds)
        if not whole:
            lost = len(self._queue) + len(self._rows)
            self.dropped += lost
            notify("at risk", "decisions", f"{lost} decisions could not be written before the end")

    def _count(self, event: Decision) -> None:
        minute = int(event.at // MINUTE) * MINUTE
        status = event.status if 0 <= event.status < 1_000 else 0
        keys: list[tuple[Any, ...]] = [(minute, event.layer, event.by, event.path, status)]
        bucket = pace(event.seconds)
        if bucket is not None:
            keys.append((minute, event.layer, round(bucket / COARSE) * COARSE))
        with self._lock:
            counts = self._counts
            for key in keys:
                counts[key] = counts.get(key, 0) + 1

    def _ring(self) -> None:
        """Have the thread look; start it where there is none."""
        self._rung = True
        if self._thread is None and not self._closed:
            with self._lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._work, name="fastcascade-decisions", daemon=True)
                    with suppress(RuntimeError):  # none is started while Python ends
                        thread.start()
                        self._thread = thread
        self._bell.set()

    def _work(self) -> None:
        while not self._closed:
            self._bell.wait()
            self._hurry.wait(self.every)
            self._bell.clear()
            self._rung = False
            self._hurry.clear()
            if not self._turn() or self._put.behind:
                self._rung = True
                self._bell.set()  # once more, after another while
        self._put.close()

    def _turn(self) -> bool:
        """Write what there is; whether all of it is in the file now."""
        asked = self._asked
        grades = self._folded()
        with self._lock:
            counts, self._counts = self._counts, {}
        try:
            with self._gate:
                self._put.write(self._rows, grades, counts)
        except Exception as error:  # noqa: BLE001 - the thread goes on
            self._put.close()
            if isinstance(error, SENSELESS) or not isinstance(error, sqlite3.Error | OSError | StoreError):
                self._lose(error)
                return False
            said = error if isinstance(error, StoreError) else refusal(error, self.path, self._put.busy)
            self._tell(f"{said}; {len(self._rows)} decisions wait, {self.dropped} were dropped")
            self._back(counts)
            return False
        if self.dropped > self._known and self._tell(
            f"{self.dropped} decisions were dropped so far: they came faster than {self.path} takes them"
        ):
            self._known = self.dropped
        with self._said:
            self._flushed = asked
            self._said.notify_all()
        return True

    def _lose(self, error: Exception) -> None:
        """Drop what waits: tried again it would fail again, and nothing would be written any more."""
        self.dropped += len(self._rows)
        log.warning("%d decisions could not be kept: %s", len(self._rows), type(error).__name__)
        self._rows.clear()
        self._put.grades.clear()

    def _folded(self) -> list[tuple[Any, ...]]:
        """Make rows of what is in the queue, so that what was asked and said need not be held; the labels among it."""
        grades: list[tuple[Any, ...]] = []
        for count in range(len(self._queue)):
            event = self._queue[0]
            try:
                if isinstance(event, Graded):
                    grades.append(grade_of(event))
                elif event.answer is not None:
                    self._rows.append(kept(event, event.answer, texts=self.texts))
            except Exception as error:  # noqa: BLE001 - one that cannot be kept must not stop the others
                self.dropped += 1
                log.warning("a decision could not be kept: %s", type(error).__name__)
            self._queue.popleft()
            if count % TOGETHER == TOGETHER - 1:
                time.sleep(BREATH)  # else requests would wait for the interpreter until all are made
        return grades

    def _back(self, counts: dict[tuple[Any, ...], int]) -> None:
        """Keep for later what could not be written; rows and labels have stayed where they are."""
        self._put.grades = self._put.grades[-self.most :]
        with self._lock:
            for key, n in counts.items():
                self._counts[key] = self._counts.get(key, 0) + n

    def _tell(self, text: str) -> bool:
        """Tell the operator, once a minute at most; whether it was told."""
        now = self._now()
        if self._told is not None and 0 <= now - self._told < TOLD:
            return False
        self._told = now
        notify("at risk", "decisions", text)
        return True

    def _still(self) -> None:
        """Close the file before a fork: a child that ended with it open would undo what its parent writes."""
        self._gate.acquire()
        self._put.close()


def _before() -> None:
    for each in tuple(_writers):
        each._still()  # noqa: SLF001 - its own
        _stilled.append(each)


def _after(*, child: bool = False) -> None:
    while _stilled:
        each = _stilled.pop()
        if child:
            each._renew()  # noqa: SLF001 - its own
        else:
            each._gate.release()  # noqa: SLF001 - likewise


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=lambda: _after(child=True))
