"""How often each bucket of time was met, packed: six bytes for each, of which a sum has some tens."""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

__all__ = ["merged", "packed", "unpacked"]

EACH: Final = 6


def packed(paces: Mapping[int, int]) -> bytes:
    """Buckets of 16 bits, in order, and then their counts of 32: no second is as long, and no hour has as many."""
    buckets = sorted(paces)
    return _shape(len(buckets)).pack(*buckets, *map(paces.__getitem__, buckets))


def unpacked(blob: bytes) -> dict[int, int]:
    """The counts by bucket."""
    n = len(blob) // EACH
    values = _shape(n).unpack(blob)
    return dict(zip(values[:n], values[n:], strict=True))


def merged(first: bytes, second: bytes) -> bytes:
    """Both together."""
    if not first or not second:
        return first or second
    paces = unpacked(first)
    for bucket, n in unpacked(second).items():
        paces[bucket] = paces.get(bucket, 0) + n
    return packed(paces)


@lru_cache(maxsize=1024)
def _shape(n: int) -> struct.Struct:
    return struct.Struct(f"<{n}h{n}I")
