"""Who may see the console: people and their credentials, as a gateway has them in use."""

import hashlib
import os
import secrets
from contextlib import suppress
from threading import Lock
from typing import Final

from fastcascade.console.people_file import PeopleFile
from fastcascade.console.people_record import Cost, PersonRecord
from fastcascade.errors import ConfigError
from fastcascade.gateway.owned_file import GONE
from fastcascade.notices import notify

__all__ = ["People"]


class People:
    """The people of a file.

    Args:
        file: where they are kept. It must be there and whole at the beginning; later, what is broken or gone is told
            of, and those who were known can still log in.
    """

    def __init__(self, file: PeopleFile) -> None:
        """Read them. Raises `ConfigError`."""
        self._file = file
        self._seen = self._warned = file.stamp()
        self._by_name = _by_name(file.read())
        if not self._by_name:
            raise ConfigError(
                f"{file.path}: nobody may see the console yet: `fastcascade console add NAME --file {file.path}`"
            )
        self._nobody: Final = _nobody(file.cost)
        self._lock = Lock()

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> "People":
        """Those of the file at this path. Raises `ConfigError`."""
        return cls(PeopleFile(path))

    def look(self) -> bool:
        """Read them anew if the file changed; whether that is so. What is in use is exchanged in one step."""
        with self._lock:
            stamp = self._file.stamp()
            if stamp == self._seen:
                return False
            try:
                if stamp == GONE:
                    raise ConfigError(f"{self._file.path}: the file is gone; put it back")  # noqa: TRY301 - told below
                found = _by_name(self._file.read())
            except ConfigError as error:
                # Not seen yet: what was in the way may leave no trace when it is over.
                if stamp != self._warned:
                    self._warned = stamp
                    told = f"{error}; the people known before can still log in, and no others"
                    notify("store off", f"people in {self._file.path}", told)
                return False
            self._by_name, self._seen = found, stamp  # taken before reading: what changes meanwhile is seen next time
            return True

    def known(self, name: str) -> PersonRecord | None:
        """The person of this name, as they are now."""
        return self._by_name.get(name)

    def check(self, name: str, password: str) -> PersonRecord | None:
        """Who that is, if the credential is theirs. Takes long, whether the name is known or not: call it in a thread.

        A name that is not known is checked against a hash that nothing fits, so that time does not tell it apart.
        """
        record = self._by_name.get(name, self._nobody)
        if not record.fits(password) or record is self._nobody:
            return None
        if record.cost.work < self._file.cost.work:
            with suppress(ConfigError):  # a gateway may not be allowed to write it: the old hash does as well
                self._file.rehash(record, password)
                self.look()
        return record


def _by_name(people: list[PersonRecord]) -> dict[str, PersonRecord]:
    return {each.name: each for each in people}


def _nobody(cost: Cost) -> PersonRecord:
    """Somebody whom no credential fits."""
    kept = hashlib.sha256(secrets.token_bytes(32)).digest()
    return PersonRecord("", "reviewer", "", cost, secrets.token_bytes(16), kept, made=True, created=0.0)
