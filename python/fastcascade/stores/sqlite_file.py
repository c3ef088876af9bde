"""An SQLite file that many event loops, threads and processes use at once, and that survives each of them.

Every change is one transaction, begun IMMEDIATE: a transaction that only later finds that it must write cannot wait
for its turn, and fails. `synchronous` is FULL: with NORMAL a killed process loses nothing, but a machine that loses
power may lose the last changes, although they had been acknowledged. Changes that come at once share a transaction.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from math import isfinite
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from weakref import WeakSet

from fastcascade.errors import ConfigError, StoreError
from fastcascade.stores.sqlite_open import code, connection, refusal, roll_back

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["SQLiteFile"]

T = TypeVar("T")
A = TypeVar("A")
HARMLESS: Final = frozenset({5, 6, 13, 18, 19})
"""After these the connection is as good as before."""
LOCKED: Final = frozenset({5, 6})
TOGETHER: Final = 100
"""Changes in one transaction."""

_files: "WeakSet[SQLiteFile]" = WeakSet()
_forking: Final = Lock()
_opening: Final = Lock()
_stopped: "list[SQLiteFile]" = []


class SQLiteFile:
    """A connection with a thread of its own, made when first used, and anew after a fork.

    Args:
        path: the file; made readable by its owner alone.
        mark: the number that tells our files from other programs'.
        migrations: the statements that lead from each version of the schema to the next.
        busy: seconds to wait for another process.
        most: bytes that it may grow to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        mark: int,
        migrations: Sequence[Sequence[str]],
        *,
        busy: float,
        most: int | None,
    ) -> None:
        """Open nothing yet."""
        if not (isfinite(busy) and busy >= 0):
            msg = f"busy is how many seconds to wait for a locked file, not {busy!r}"
            raise ConfigError(msg)
        if most is not None and most < 1:
            msg = f"most is how many bytes the file may grow to, not {most!r}; None is no bound"
            raise ConfigError(msg)
        try:
            import sqlite3  # noqa: F401, PLC0415 - importing the package must not load it
        except ImportError:  # Python can be built without
            raise ConfigError("this Python has no sqlite3; use one that has, or another store") from None
        name = os.fspath(path)
        if name in ("", ":memory:"):
            raise ConfigError("what is to outlive the process is kept in a file: give its path")
        # Absolute: the working folder may change, and what begins with "file:" would be a URI to some builds.
        self.path: Final = Path(os.path.abspath(name))  # noqa: PTH100 - `Path.absolute` leaves ".." in
        self.busy: Final = busy
        self._mark = mark
        self._migrations = migrations
        self._most = most
        self._gate = Lock()  # guards the thread and what waits for it; held for an instant
        self._lock = Lock()  # guards the connection; held while it works
        self._changes: deque[_Change[Any]] = deque()  # in the order of the thread's turns
        self._thread: ThreadPoolExecutor | None = None
        self._db: Connection | None = None
        self._inode: tuple[int, int] | None = None
        with _forking:
            _files.add(self)

    async def read(self, job: "Callable[[Connection], T]") -> T:
        """What the job finds. It makes one query, or does not mind changes between them."""
        return await self._in_turn(self._read, job)

    async def change(self, job: "Callable[[Connection], T]") -> T:
        """What the job returns, once all it did is on the disk; when it raises, nothing of it was done.

        Changes that wait while another is written are written together, since the disk takes as long for many as for
        one; so a job may be run, undone, and run once more. Whoever stops waiting for it may find it done all the same.
        """
        change = _Change(job)
        try:
            return await self._in_turn(self._change, change)
        except BaseException:
            change.wanted = False  # where it has not been done, it need not be
            raise

    async def aclose(self) -> None:
        """Close the connection and end the thread. Using it again opens it again."""
        import asyncio  # noqa: PLC0415 - importing the package must not load asyncio

        with self._gate:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            closed = asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)
        await closed

    async def _in_turn(self, how: Callable[[A], T], what: A) -> T:
        import asyncio  # noqa: PLC0415 - as above

        loop = asyncio.get_running_loop()
        with self._gate:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"fastcascade-{self.path.name}")
            try:
                done = loop.run_in_executor(self._thread, how, what)
            except RuntimeError:  # no threads are started while Python ends
                msg = f"{self.path}: it is not used any more while the process ends"
                raise StoreError(msg) from None
            if isinstance(what, _Change):
                self._changes.append(what)
        return await done

    def _read(self, job: "Callable[[Connection], T]") -> T:
        with self._lock:
            return self._told(job)

    def _change(self, change: "_Change[T]") -> T:
        with self._lock:
            with self._gate:
                waiting = [self._changes.popleft() for _ in range(min(len(self._changes), TOGETHER))]
            self._write([each for each in waiting if each.wanted])
        return change.result()  # an earlier turn may have done it along with its own

    def _write(self, changes: "Sequence[_Change[Any]]") -> None:
        """All of them in one transaction, or else each in its own, so that none suffers for another."""
        if len(changes) > 1:
            try:
                self._told(partial(_all, changes))
            except Exception as error:  # noqa: BLE001 - it comes again, and goes to whom it belongs
                if code(error.__cause__) in LOCKED:  # not for each of them to wait for again
                    for each in changes:
                        each.failed = StoreError(*error.args)
                    return
            else:
                return
        for each in changes:
            try:
                self._told(partial(_all, (each,)))
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                each.failed = error

    def _told(self, job: "Callable[[Connection], T]") -> T:
        """Do it, and put what SQLite complains of in our words."""
        from sqlite3 import Error  # noqa: PLC0415 - importing the package must not load SQLite

        try:
            return job(self._opened())
        except Error as error:
            if code(error) not in HARMLESS:
                self._drop()
            raise refusal(error, self.path, self.busy) from error

    def _opened(self) -> "Connection":
        if self._db is not None and _inode(self.path) != self._inode:
            self._drop()  # the file was moved or replaced: what is written to the old one would be lost
        if self._db is None:
            with _opening:
                db = connection(self.path, self._mark, self._migrations, busy=self.busy, most=self._most)
                self._inode = _inode(self.path)
            self._db = db
        return self._db

    def _close(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        from sqlite3 import Error  # noqa: PLC0415 - as above

        db, self._db = self._db, None
        if db is not None:
            with suppress(Error):
                db.close()

    def stop(self) -> None:
        """Come to rest before a fork: SQLite lets no connection go along, not even to be closed there."""
        self._lock.acquire()
        self._drop()

    def go_on(self, *, child: bool) -> None:
        """Go on after it; the child has none of the threads."""
        self._lock.release()
        if child:
            self._gate = Lock()
            self._thread = None
            self._changes.clear()  # the parent sees to them


class _Change(Generic[T]):
    """Something to be done in a transaction, and what came of it."""

    __slots__ = ("_job", "_made", "failed", "wanted")

    def __init__(self, job: "Callable[[Connection], T]") -> None:
        self._job = job
        self._made: list[T] = []
        self.failed: BaseException | None = None
        self.wanted = True

    def run(self, db: "Connection") -> None:
        self._made = [self._job(db)]

    def result(self) -> T:
        if self.failed is not None:
            raise self.failed
        return self._made[0]


def _all(changes: Sequence[_Change[Any]], db: "Connection") -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for each in changes:
            each.run(db)
        db.execute("COMMIT")
    except BaseException:
        roll_back(db)
        raise


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _before() -> None:
    _forking.acquire()
    for each in tuple(_files):
        each.stop()
        _stopped.append(each)


def _after(*, child: bool = False) -> None:
    while _stopped:
        _stopped.pop().go_on(child=child)
    _forking.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=lambda: _after(child=True))
