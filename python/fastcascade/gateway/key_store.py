"""Where keys are kept: a JSON file, changed by one process at a time and seen by all within a second.

    { "keys": [ { "id": "key_1f2e...", "name": "ci", "digest": "9f86...", "limit": "100/min" } ] }

A change is written to a file beside it that then takes its place: whoever reads sees the old or the new, never half.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from fastcascade._core import KeyRing
from fastcascade.errors import ConfigError
from fastcascade.gateway.keys import KeyRecord, digest_of, new_key
from fastcascade.gateway.owned_file import GONE, OwnedFile
from fastcascade.notices import notify

__all__ = ["KeyFile", "Keys", "Listed"]

T = TypeVar("T")
MOST: Final = 64 * 1024 * 1024


class Listed:
    """Keys as they are at one time, to be looked up by secret."""

    def __init__(self, records: Iterable[KeyRecord] = ()) -> None:
        """All of them, those that ended too: logs tell of these apart."""
        self.by_id: Final = {record.id: record for record in records}
        self._ring: Final = KeyRing()
        for record in self.by_id.values():
            # The ring keeps a keyed hash of the digest and compares in constant time.
            self._ring.add(record.digest, record.id)

    def find(self, secret: str) -> KeyRecord | None:
        """The key of this secret, whether it works or not."""
        identity = self._ring.identify(digest_of(secret))
        return self.by_id.get(identity.name) if identity is not None else None


class KeyFile(OwnedFile):
    """A file of keys.

    Args:
        path: the file; made with the first key, readable by its owner alone.
        now: the time in seconds since 1970.
    """

    def __init__(self, path: str | os.PathLike[str], now: Callable[[], float] = time.time) -> None:
        """Read nothing yet."""
        super().__init__(path, MOST)
        self._now = now

    def read(self) -> list[KeyRecord]:
        """All keys; none where there is no file. Raises `ConfigError`."""
        return self._read()[1]

    def create(self, name: str, **more: Any) -> tuple[KeyRecord, str]:
        """A new key, and its secret. Raises `ConfigError` where a key that works has the name."""

        def add(records: list[KeyRecord]) -> tuple[list[KeyRecord], tuple[KeyRecord, str]]:
            now = self._now()
            if any(each.name == name and not each.ended(now) for each in records):
                raise ConfigError(f"{self.path}: there is a key named {name!r}; revoke it, or choose another name")
            made = new_key(name, now, **more)
            return [*records, made[0]], made

        return self._changed(add)

    def revoke(self, which: str) -> KeyRecord:
        """End the key of this id or name, and come to it. Raises `ConfigError` where there is none that works."""
        from dataclasses import replace  # noqa: PLC0415 - a gateway does not need it

        def end(records: list[KeyRecord]) -> tuple[list[KeyRecord], KeyRecord]:
            now = self._now()
            found = [each for each in records if which in (each.id, each.name)]
            live = [each for each in found if not each.ended(now)]
            if not live:
                why = f"has {found[-1].ended(now)} already" if found else "is not there"
                why = why.replace("has revoked", "was revoked")
                raise ConfigError(f"{self.path}: the key {which!r} {why}; `fastcascade keys list` shows all")
            ended = replace(live[0], revoked=float(int(now)))
            return [ended if each is live[0] else each for each in records], ended

        return self._changed(end)

    def _changed(self, how: Callable[[list[KeyRecord]], tuple[list[KeyRecord], T]]) -> T:
        with self.locked():
            head, records = self._read()
            changed, made = how(records)
            self.replace({**head, "keys": [record.written() for record in changed]})
        return made

    def _read(self) -> tuple[dict[str, Any], list[KeyRecord]]:
        """What stands beside the keys, which is kept, and the keys."""
        try:
            said = self.load()
        except FileNotFoundError:
            return {}, []
        if not (isinstance(said, dict) and isinstance(said.get("keys"), list)):
            hint = "mend it by hand, or put a copy in its place"
            raise ConfigError(f'{self.path}: this is no file of keys, {{"keys": [...]}}; {hint}')
        try:
            records = [KeyRecord.read(each) for each in said["keys"]]
            _apart(records)
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from None
        return said, records


class Keys:
    """The keys of a file, as a gateway has them in use.

    Args:
        file: where they are kept. It must be there and whole at the beginning; later, what is broken or gone is told
            of, and the keys that were known still work.
    """

    def __init__(self, file: KeyFile) -> None:
        """Read them. Raises `ConfigError`."""
        self._file = file
        self._seen = file.stamp()
        if self._seen == GONE:
            raise ConfigError(
                f"{file.path}: there are no keys: `fastcascade keys create --keys {file.path} --name NAME`"
            )
        self.listed = Listed(file.read())
        self._warned = GONE
        self._lock = Lock()

    def look(self) -> bool:
        """Read it anew if it changed; whether that is so. What is in use is exchanged in one step."""
        with self._lock:
            stamp = self._file.stamp()
            if stamp == self._seen:
                return False
            if stamp == GONE:
                self._seen = stamp
                _warn(self._file.path, "the file is gone, and the keys that were in it still work; put it back")
                return False
            try:
                self.listed = Listed(self._file.read())
            except ConfigError as error:
                # Not seen yet: what was in the way, such as a want of descriptors, may leave no trace when it is over.
                if stamp != self._warned:
                    self._warned = stamp
                    _warn(self._file.path, f"{error}; the keys known before still work, and no others")
                return False
            self._seen = stamp  # taken before reading: what changes meanwhile is seen the next time
            return True


def _apart(records: list[KeyRecord]) -> None:
    for what in ("id", "digest"):
        seen: set[str] = set()
        for record in records:
            value = getattr(record, what)
            if value in seen:
                raise ConfigError(f"key {record.name!r}: another key has the same {what}; take one of them out")
            seen.add(value)


def _warn(path: Path, text: str) -> None:
    notify("store off", f"keys in {path}", text)
