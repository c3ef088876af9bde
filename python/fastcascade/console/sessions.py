"""Who has logged in: sessions in an SQLite file, so that all workers of a gateway and the next start know them.

A session is known by a token of 256 random bits that the browser alone has; here is its SHA-256. It ends after its
hours, after an hour without a request, by logging out, and by whatever changes the person: each holds the `id` of the
person's record, which is made anew with their credential and their role.

Looked up, a session is remembered for a second, so that a page that asks much costs little: one that is ended in
another worker is good for that second more in this one. What changes a person is seen at once all the same, where the
file of people was read.
"""

import hashlib
import hmac
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from fastcascade.console.asked import Person
from fastcascade.errors import ConfigError, StoreError
from fastcascade.stores.sqlite_open import connection, refusal, roll_back

if TYPE_CHECKING:
    from fastcascade.console.people import People

__all__ = ["IDLE", "MOST", "Sessions", "csrf_of"]

IDLE: Final = 3_600.0
"""Seconds without a request after which a session is over."""
REMEMBERED: Final = 1.0
"""Seconds for which a session is not looked up again."""
TOUCHED: Final = 60.0
"""Seconds after which it is written down anew that a session is in use."""
MOST: Final = 1_000
MOST_EACH: Final = 20
"""Sessions at once, of all and of one person; the one that was in use longest ago leaves."""
LINKS: Final = 100
LINK: Final = 600.0
"""Seconds that a link may last."""
BUSY: Final = 2.0
MARK: Final = 0x46435345  # "FCSE": tells our files from other programs'
MIGRATIONS: Final = (
    (
        (
            "CREATE TABLE sessions (digest BLOB PRIMARY KEY, name TEXT NOT NULL, person TEXT NOT NULL,"
            " began REAL NOT NULL, seen REAL NOT NULL) WITHOUT ROWID"
        ),
        "CREATE INDEX sessions_seen ON sessions (seen)",
        (
            "CREATE TABLE links (digest BLOB PRIMARY KEY, name TEXT NOT NULL, person TEXT NOT NULL,"
            " ends REAL NOT NULL) WITHOUT ROWID"
        ),
    ),
)


@dataclass(slots=True)
class _Session:
    """One session: whose, of which record, and since when."""

    name: str
    person: str
    began: float
    seen: float


class Sessions:
    """The sessions of one gateway.

    All but `known` wait for the disk: call them in threads. Raises `StoreError` where the file cannot be used.

    Args:
        path: the SQLite file; made when first used, readable by its owner alone.
        people: who there is.
        hours: how long a session lasts.
        idle: seconds without a request after which it is over.
        now: the time in seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        people: "People",
        *,
        hours: float = 12.0,
        idle: float = IDLE,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Open nothing yet."""
        self.path: Final = path
        self.people: Final = people
        self._whole, self._idle, self._now = hours * 3_600, idle, now
        self._touched = min(TOUCHED, idle / 4)
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._lock = Lock()
        self._remembered: dict[bytes, tuple[_Session, float]] = {}

    def __repr__(self) -> str:
        """Show where they are."""
        return f"Sessions({str(self.path)!r})"

    # What a request needs.

    def known(self, token: str) -> Person | None:
        """Whose session that is, if it was looked up a moment ago: without a wait."""
        kept = self._remembered.get(_digest(token))
        now = self._now()
        if kept is None or not kept[1] - REMEMBERED <= now < kept[1]:
            return None
        return self._person(kept[0], now)

    def find(self, token: str) -> Person | None:
        """Whose session that is; None where it is none, or over."""
        digest, now = _digest(token), self._now()
        with self._reading() as db:  # strangers, who make tokens up, do not keep others from writing
            row = db.execute("SELECT name, person, began, seen FROM sessions WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            self._remembered.pop(digest, None)
            return None
        session = _Session(*row)
        person = self._person(session, now)
        if person is None:
            with self._changing() as db:
                db.execute("DELETE FROM sessions WHERE digest = ?", (digest,))
            self._remembered.pop(digest, None)
            return None
        if now - session.seen >= self._touched:
            with self._changing() as db:
                kept = db.execute("UPDATE sessions SET seen = ? WHERE digest = ?", (now, digest)).rowcount
            if not kept:  # it was ended meanwhile
                return None
            session.seen = now
        self._remember(digest, session, now)
        return person

    # Beginning and ending.

    def begin(self, name: str, person: str, *, instead: str = "") -> str:
        """A new session of the record `person` of that name: its token. That of the token `instead` ends."""
        token, now = secrets.token_urlsafe(32), self._now()
        with self._changing() as db:
            self._end(db, instead)
            db.execute("DELETE FROM sessions WHERE seen <= ? OR began <= ?", (now - self._idle, now - self._whole))
            _make_room(db, "name = ?", (name,), MOST_EACH)
            _make_room(db, "1", (), MOST)
            db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", (_digest(token), name, person, now, now))
        self._remember(_digest(token), _Session(name, person, now, now), now)
        return token

    def end(self, token: str) -> None:
        """Log out."""
        with self._changing() as db:
            self._end(db, token)

    # Links.

    def link(self, name: str, seconds: float = 60.0) -> str:
        """A token that logs this person in once, within so many seconds. Raises `ConfigError` for nobody."""
        record = self.people.known(name)
        if record is None:
            raise ConfigError(f"there is nobody named {name!r} in the console's file of people")
        if not 0 < seconds <= LINK:
            raise ConfigError(f"a link lasts above zero and at most {LINK:g} seconds, not {seconds!r}")
        token, now = secrets.token_urlsafe(32), self._now()
        with self._changing() as db:
            db.execute("DELETE FROM links WHERE ends <= ?", (now,))
            if db.execute("SELECT COUNT(*) FROM links").fetchone()[0] >= LINKS:
                db.execute("DELETE FROM links WHERE digest = (SELECT digest FROM links ORDER BY ends LIMIT 1)")
            db.execute("INSERT INTO links VALUES (?, ?, ?, ?)", (_digest(token), name, record.id, now + seconds))
        return token

    def redeem(self, token: str, *, instead: str = "") -> str | None:
        """The session that a link leads to; None where it was used, is over, or never was."""
        digest, now, found = _digest(token), self._now(), None
        with self._changing() as db:
            for kept, name, person, ends in db.execute("SELECT * FROM links").fetchall():
                if hmac.compare_digest(kept, digest):  # all are looked at, so that time tells nothing
                    found = (name, person, ends)
            db.execute("DELETE FROM links WHERE digest = ?", (digest,))
        if found is None:
            return None
        name, person, ends = found
        if now >= ends or self._person(_Session(name, person, now, now), now) is None:
            return None
        return self.begin(name, person, instead=instead)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed()

    def _person(self, session: _Session, now: float) -> Person | None:
        """Whose it is, if it is not over: the person may be gone, or not be who they were."""
        record = self.people.known(session.name)
        if record is None or not hmac.compare_digest(record.id.encode(), session.person.encode()):
            return None
        young = now - session.began < self._whole and now - session.seen < self._idle
        return record.person if young else None

    def _remember(self, digest: bytes, session: _Session, now: float) -> None:
        if len(self._remembered) >= MOST:
            self._remembered.clear()
        self._remembered[digest] = (session, now + REMEMBERED)

    def _end(self, db: sqlite3.Connection, token: str) -> None:
        if token:
            db.execute("DELETE FROM sessions WHERE digest = ?", (_digest(token),))
            self._remembered.pop(_digest(token), None)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Alone with the file; what was done is kept whole or not at all."""
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                roll_back(db)
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The file, for one thread at a time."""
        with self._lock:
            try:
                yield self._opened()
            except sqlite3.Error as error:
                self._closed()
                raise refusal(error, self.path, BUSY) from None
            except StoreError:
                self._closed()
                raise

    def _opened(self) -> sqlite3.Connection:
        """The file, opened anew where another has taken its place."""
        if self._db is not None and _which(self.path) != self._file:
            self._closed()
        if self._db is None:
            self._db = connection(self.path, MARK, MIGRATIONS, busy=BUSY, most=None)
            self._file = _which(self.path)
        return self._db

    def _closed(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def csrf_of(token: str) -> str:
    """What each change is to be asked with, beside the cookie: a page of another site cannot read it."""
    return hmac.new(token.encode(), b"fastcascade console: csrf", hashlib.sha256).hexdigest()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _make_room(db: sqlite3.Connection, which: str, named: tuple[str, ...], most: int) -> None:
    """Let one fewer than the most remain."""
    count = db.execute(f"SELECT COUNT(*) FROM sessions WHERE {which}", named).fetchone()[0]  # noqa: S608 - our words
    if count >= most:
        oldest = f"SELECT digest FROM sessions WHERE {which} ORDER BY seen, began LIMIT ?"  # noqa: S608 - as above
        db.execute(f"DELETE FROM sessions WHERE digest IN ({oldest})", (*named, count - most + 1))  # noqa: S608


def _which(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
