"""One entry of the levels: as callers see it, as memory holds it, and as bytes in Redis.

In Redis an entry is, in network order: born (seconds since 1970 by the server's clock, put there by the script),
fresh_for, stale_for, serial as doubles, eight bytes that no other entry has, a byte of version and flags, the numbers
of tags and of bytes of `meta`; then the tags, each with its length, `meta`, and the value.
"""

import os
import struct
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from fastcascade.quick import quick

__all__ = ["Draft", "Entry", "Held", "Record", "read", "weight_of", "written"]

HEAD: Final = struct.Struct(">dddd8sBHI")
REST: Final = struct.Struct(">ddd8sBHI")
VERSION: Final = 0x10
NEGATIVE: Final = 0x01
LONG: Final = 2.0**33
"""Seconds beyond which no time of ours lies: some 270 years."""
OVERHEAD: Final = 512
"""What an entry weighs in memory beyond its bytes, so that a million empty ones are not free."""


@quick
@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept under a key. Times are seconds since 1970 by this process's clock."""

    value: bytes = field(repr=False)
    born: float
    fresh_until: float
    stale_until: float
    tags: tuple[str, ...] = ()
    meta: bytes = field(default=b"", repr=False)
    level: Literal["memory", "shared", "joined"] = "memory"
    """Where it was found; "joined": made while this request waited, here or in another process."""
    negative: bool = False
    """It is kept that there is nothing."""

    def at(self, level: Literal["memory", "shared", "joined"]) -> "Entry":
        """The same, found elsewhere."""
        return Entry(
            self.value, self.born, self.fresh_until, self.stale_until, self.tags, self.meta, level, self.negative
        )


@quick
@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be kept."""

    value: bytes = field(repr=False)
    fresh_for: float
    stale_for: float
    tags: tuple[str, ...] = ()
    meta: bytes = field(default=b"", repr=False)
    negative: bool = False
    nonce: bytes = field(default_factory=lambda: os.urandom(8))

    def entry(self, wall: float) -> Entry:
        """The entry that this is, from now on."""
        fresh = wall + self.fresh_for
        return Entry(self.value, wall, fresh, fresh + self.stale_for, self.tags, self.meta, "memory", self.negative)


def weight_of(entry: Entry) -> int:
    """Bytes that an entry takes in memory."""
    return len(entry.value) + len(entry.meta) + sum(map(len, entry.tags)) + OVERHEAD


class Held:
    """An entry as memory holds it. Moments are on the process's monotonic clock."""

    __slots__ = ("at", "entry", "epoch", "fresh_until", "nonce", "serial", "stale_until")

    def __init__(
        self, entry: Entry, nonce: bytes, serial: int, moments: tuple[float, float, float], epoch: int
    ) -> None:
        """`moments`: when it was last known to hold, and until when it is fresh and of use."""
        self.entry, self.nonce, self.serial, self.epoch = entry, nonce, serial, epoch
        self.at, self.fresh_until, self.stale_until = moments


class Record(NamedTuple):
    """What stands in Redis. `born` is by the server's clock."""

    draft: Draft
    born: float
    serial: int


def written(draft: Draft, serial: int) -> bytes:
    """The bytes for Redis, but for when it was born, which is the server's to say."""
    tags = [tag.encode() for tag in draft.tags]
    flags = VERSION | (NEGATIVE if draft.negative else 0)
    head = REST.pack(draft.fresh_for, draft.stale_for, float(serial), draft.nonce, flags, len(tags), len(draft.meta))
    return b"".join(
        (head, *(part for tag in tags for part in (struct.pack(">H", len(tag)), tag)), draft.meta, draft.value)
    )


def read(raw: bytes) -> Record | None:
    """What bytes from Redis say; None where they are no entry of this version."""
    try:
        born, fresh, stale, serial, nonce, flags, count, length = HEAD.unpack_from(raw)
        # With other times than ours it might never end, or be no number at all.
        if flags & 0xF0 != VERSION or not (0 <= born < LONG and 0 <= fresh < LONG and 0 <= stale < LONG):
            return None
        tags, place = _tags(raw, HEAD.size, count)
        if len(raw) < place + length:
            return None
        draft = Draft(
            raw[place + length :], fresh, stale, tags, raw[place : place + length], bool(flags & NEGATIVE), nonce
        )
        return Record(draft, born, int(serial))
    except (struct.error, UnicodeDecodeError, OverflowError, ValueError):
        return None


def _tags(raw: bytes, place: int, count: int) -> tuple[tuple[str, ...], int]:
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from(">H", raw, place)
        place += 2
        if len(raw) < place + length:
            raise ValueError("cut short")
        found.append(raw[place : place + length].decode())
        place += length
    return tuple(found), place
