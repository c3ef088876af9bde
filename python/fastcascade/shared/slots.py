"""Which of a cluster's 16,384 slots a key lies in, and which node has which slots."""

from binascii import crc_hqx
from typing import Any, Final

from fastcascade.shared.target import Place

__all__ = ["SLOTS", "owners_of", "slot_of"]

SLOTS: Final = 16_384


def slot_of(key: bytes) -> int:
    """The slot of a key: of what stands in its first braces, if there is anything in them, else of all of it."""
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1 : end]
    return crc_hqx(key, 0) % SLOTS


def owners_of(said: Any, asked: Place) -> list[Place | None] | None:
    """The primary of each slot, by what CLUSTER SLOTS said; None where that cannot be read.

    A node that does not know its own name leaves it out: it is the host that was asked.
    """
    owners: list[Place | None] = [None] * SLOTS
    try:
        for first, last, primary, *_ in said:
            host = primary[0].decode() if primary[0] else ""
            place = (asked[0] if host in ("", "?") else host, int(primary[1]))
            if not 0 <= first <= last < SLOTS or not place[1]:
                return None
            owners[first : last + 1] = [place] * (last + 1 - first)
    except (TypeError, ValueError, LookupError, AttributeError):
        return None
    return owners
