"""Where people are kept who may see the console: a JSON file, its owner's alone.

    { "people": [ { "name": "ada", "role": "operator", "id": "1f2e...", "scrypt": [32768, 8, 3], ... } ] }

When the parameters of scrypt rise, a hash is made anew at the next login.
"""

import os
import secrets
import time
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from fastcascade.console.asked import Role
from fastcascade.console.people_record import COST, Cost, PersonRecord, allowed, named, new_secret, typed
from fastcascade.errors import ConfigError
from fastcascade.gateway.owned_file import OwnedFile

__all__ = ["PeopleFile"]

MOST: Final = 1024 * 1024


class PeopleFile(OwnedFile):
    """A file of people.

    Args:
        path: the file.
        now: the time in seconds since 1970.
        cost: what new hashes are made by; `COST` by default.
    """

    def __init__(
        self, path: str | os.PathLike[str], now: Callable[[], float] = time.time, cost: Cost | None = None
    ) -> None:
        """Read nothing yet."""
        super().__init__(path, MOST)
        self._now, self.cost = now, cost or COST

    def read(self) -> list[PersonRecord]:
        """All of them; nobody where there is no file. Raises `ConfigError`."""
        try:
            said = self.load()
        except FileNotFoundError:
            return []
        if not (isinstance(said, dict) and isinstance(said.get("people"), list)):
            hint = "mend it by hand, or put a copy in its place"
            raise ConfigError(f'{self.path}: this is no file of people, {{"people": [...]}}; {hint}')
        try:
            found = [PersonRecord.read(each) for each in said["people"]]
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from None
        names = {each.name for each in found}
        if len(names) < len(found):
            raise ConfigError(f"{self.path}: two people have one name; take one of them out")
        return found

    def find(self, name: str) -> PersonRecord:
        """The person of this name. Raises `ConfigError` where there is none."""
        return self._found(self.read(), name)

    def add(self, name: str, role: Role = "operator", password: str | None = None) -> tuple[PersonRecord, str]:
        """A new person, and their credential: `password`, or one that is made. Raises `ConfigError`."""
        record, secret = self._record(named(name), role, password)

        def put(people: list[PersonRecord]) -> list[PersonRecord]:
            if any(each.name == record.name for each in people):
                hint = "`fastcascade console password` gives them another password"
                raise ConfigError(f"{self.path}: there is somebody named {record.name!r} already; {hint}")
            return [*people, record]

        self._changed(put)
        return record, secret

    def set_password(self, name: str, password: str | None = None) -> tuple[PersonRecord, str]:
        """Another credential: sessions begun with the old one end. Raises `ConfigError`."""
        fresh, secret = self._record(named(name), "operator", password)
        return self._exchanged(name, lambda old: replace(fresh, role=old.role, created=old.created)), secret

    def set_role(self, name: str, role: Role) -> PersonRecord:
        """Another role: sessions begun with the old one end. Raises `ConfigError`."""
        return self._exchanged(name, lambda old: replace(old, role=role, id=secrets.token_hex(8)))

    def remove(self, name: str) -> None:
        """Take a person out. Raises `ConfigError` where there is none."""

        def out(people: list[PersonRecord]) -> list[PersonRecord]:
            gone = self._found(people, name)
            return [each for each in people if each is not gone]

        self._changed(out)

    def rehash(self, record: PersonRecord, password: str) -> None:
        """Keep the same credential under today's cost, unless it was changed meanwhile. Raises `ConfigError`."""
        salt = secrets.token_bytes(16)
        kept = self.cost.hash(typed(password, made=record.made), salt)
        better = replace(record, cost=self.cost, salt=salt, hash=kept)
        self._changed(lambda people: [better if each == record else each for each in people])

    def _exchanged(self, name: str, how: Callable[[PersonRecord], PersonRecord]) -> PersonRecord:
        made: list[PersonRecord] = []

        def put(people: list[PersonRecord]) -> list[PersonRecord]:
            old = self._found(people, name)
            made.append(how(old))
            return [made[0] if each is old else each for each in people]

        self._changed(put)
        return made[0]

    def _found(self, people: list[PersonRecord], name: str) -> PersonRecord:
        wanted = unicodedata.normalize("NFC", name)
        for each in people:
            if each.name == wanted:
                return each
        raise ConfigError(f"{self.path}: there is nobody named {name!r}; `fastcascade console list` shows all")

    def _record(self, name: str, role: Role, password: str | None) -> tuple[PersonRecord, str]:
        made = password is None
        secret = new_secret() if password is None else allowed(password)
        salt = secrets.token_bytes(16)
        kept = self.cost.hash(typed(secret, made=made), salt)
        created = float(int(self._now()))
        return PersonRecord(name, role, secrets.token_hex(8), self.cost, salt, kept, made, created), secret

    def _changed(self, how: Callable[[list[PersonRecord]], list[PersonRecord]]) -> None:
        with self.locked():
            self.replace({"people": [each.written() for each in how(self.read())]})
