"""Configurations as they were published: numbered versions of a text, and which gateway runs what.

Whoever can write here says what all gateways do: where requests go, and with which keys. See docs of `publish`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NoReturn

from fastcascade.errors import ConfigError, StoreError
from fastcascade.shared.script import Script

if TYPE_CHECKING:
    from fastcascade.shared.shared import Shared

__all__ = ["KIND", "LARGEST", "NAME", "Published", "Standing", "Version"]

KIND: Final = "config"
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
LARGEST: Final = 1 << 20
"""Bytes of a text."""
KEPT: Final = 100
"""Versions that are kept."""
HEARD: Final = 90_000
"""Milliseconds after which a gateway that has said nothing is taken off the list."""
LONGEST: Final = 2_000
"""Characters of why a version was refused."""
PUBLISH: Final = Script("""
-- KEYS: the versions, the number of the newest. ARGV: a version, how many are kept
local told = redis.call('TIME')
local number = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], number, told[1] .. ' ' .. ARGV[1])
redis.call('HDEL', KEYS[1], number - ARGV[2])
return number
""")
NEWEST: Final = Script("""
local number = redis.call('GET', KEYS[2])
if not number then return false end
return {number, redis.call('HGET', KEYS[1], number)}
""")
STAND: Final = Script("""
-- KEYS: the standings. ARGV: the gateway, its standing, milliseconds they are good for
local told = redis.call('TIME')
local now = told[1] * 1000 + math.floor(told[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
local all = redis.call('HGETALL', KEYS[1])
for place = 1, #all, 2 do
  local at = tonumber(string.match(all[place + 1], '^%d+')) or 0
  if at < now - ARGV[3] then redis.call('HDEL', KEYS[1], all[place]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
""")


@dataclass(frozen=True, slots=True)
class Version:
    """One that was published.

    Args:
        number: 1 is the first.
        at: when, in seconds since 1970 by the server's clock.
        digest: of the text: SHA-256.
        who: who published it, as they say.
        comment: why.
        again: the number of the older version that this is once more; 0 for none.
        text: what it says.
    """

    number: int
    at: int
    digest: str
    who: str
    comment: str
    again: int
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a gateway stands to what is published.

    Args:
        gateway: who it is, as it says: the machine and the process.
        runs: the version that it serves; 0 is a copy of which it is not known any more.
        digest: of that.
        refused: the newest version that it could not serve; 0 for none.
        why: what was wrong with it there.
        at: when it said so, in seconds since 1970 by the server's clock.
    """

    gateway: str
    runs: int
    digest: str = ""
    refused: int = 0
    why: str = ""
    at: float = 0.0


class Published:
    """All versions of one name.

    Args:
        shared: where they are.
        name: what they are versions of.
    """

    def __init__(self, shared: "Shared", name: str = "default") -> None:
        """Check the name."""
        if not NAME.fullmatch(name):
            raise ConfigError(
                "--name is of letters, digits, '_', '.' and '-', at most 64, and begins with no '.' or '-'"
            )
        self.shared, self.name = shared, name
        slot = f"config:{name}"
        self._keys = [shared.key("versions", slot=slot), shared.key("newest", slot=slot)]
        self._standings = shared.key("standings", slot=slot)

    async def publish(self, text: str, *, who: str, comment: str = "", again: int = 0) -> Version:
        """Make it the newest, and tell all who follow; `StoreError` where that cannot be done."""
        if len(text.encode()) > LARGEST:
            raise ConfigError(f"a configuration of more than {LARGEST} bytes is not published")
        said = {"digest": digest_of(text), "who": who[:200], "comment": comment[:500], "again": again, "text": text}
        number = int(await self.shared.run(PUBLISH, self._keys, [json.dumps(said), KEPT]))
        await self.shared.news.tell(KIND, {"name": self.name, "number": str(number)})
        return await self.version(number)

    async def newest(self) -> Version | None:
        """The newest; None where nothing was published. `StoreError`."""
        found = await self.shared.run(NEWEST, self._keys)
        if not found:
            return None
        if not isinstance(found, list) or len(found) != 2:
            self._damaged()
        return self._read(found[0], found[1])

    async def version(self, number: int) -> Version:
        """One of them. `ConfigError` where there is none of this number, or it is not kept any more."""
        found = await self.shared.call("HGET", self._keys[0], number)
        if found is None:
            raise ConfigError(f"{self.name} has no version {number}, or it is not kept any more: see --list")
        return self._read(number, found)

    async def versions(self) -> list[Version]:
        """All that are kept, the newest first. `StoreError`."""
        found = _pairs(await self.shared.call("HGETALL", self._keys[0]))
        return sorted((self._read(number, said) for number, said in found.items()), key=lambda each: -each.number)

    async def stand(self, standing: Standing) -> None:
        """Say how this gateway stands; to be said again within a minute. `StoreError`."""
        said = {name: value for name, value in asdict(standing).items() if name not in ("gateway", "at")}
        said["why"] = standing.why[:LONGEST]
        await self.shared.run(STAND, [self._standings], [standing.gateway, json.dumps(said), HEARD])

    async def leave(self, gateway: str) -> None:
        """Take a gateway that ends off the list. `StoreError`."""
        await self.shared.call("HDEL", self._standings, gateway)

    async def standings(self) -> list[Standing]:
        """How all stand that were heard of lately. `StoreError`."""
        found = _pairs(await self.shared.call("HGETALL", self._standings))
        read: list[Standing] = []
        for gateway, said in found.items():
            try:
                at, _, told = said.decode().partition(" ")
                fields = json.loads(told)
                read.append(Standing(gateway.decode(), at=int(at) / 1000, **fields))
            except (ValueError, TypeError):
                self._damaged()
        return sorted(read, key=lambda each: each.gateway)

    def _read(self, number: bytes | int, said: object) -> Version:
        try:
            at, _, told = said.decode().partition(" ") if isinstance(said, bytes) else ("", "", "")
            version = Version(int(number), int(at), **json.loads(told))
        except (ValueError, TypeError):
            self._damaged()
        text: object = version.text
        if not isinstance(text, str) or version.digest != digest_of(text):
            self._damaged()
        return version

    def _damaged(self) -> NoReturn:
        raise StoreError(f"redis at {self.shared.where}: what is there of {self.name!r} is damaged, or none of ours")


def digest_of(text: str) -> str:
    """What a text is known by."""
    return sha256(text.encode()).hexdigest()


def _pairs(said: object) -> Mapping[bytes, bytes]:
    if isinstance(said, Mapping):
        return said
    found: list[Any] = list(said) if isinstance(said, list) else []
    return dict(zip(found[::2], found[1::2], strict=False))
