"""An answer as bytes that other processes read: its head here, its body beside it as it is.

In network order: a byte of kind and version, flags, the status, five doubles (its age, seconds since it was stored, its
life, the windows in which it may be sent stale behind a fetch and for an error); then etag, last-modified, and three
lists, each after its number: tags, the request's headers that chose it, its own headers. Ages stand in the place of
moments, since clocks differ. Of whatever else bytes may say, `read` makes nothing.
"""

import math
import struct
from typing import Final, TypeAlias

from fastcascade.caching.http_records import Stored

__all__ = ["Names", "read", "read_names", "written", "written_names"]

Names: TypeAlias = tuple[bytes, ...]
"""Of the request's headers that the answers of a page are chosen by."""

HEAD: Final = struct.Struct(">BBHddddd")
LONG: Final = struct.Struct(">I")
ANSWER: Final = 0x21
NAMES: Final = b"\x41"
STRICT, IMMUTABLE = 1, 2
MISSING: Final = 0xFFFFFFFF


def written(stored: Stored, now: float) -> bytes:
    """All of an answer but its body."""
    flags = (STRICT if stored.strict else 0) | (IMMUTABLE if stored.immutable else 0)
    moments = (max(0.0, now - stored.born), max(0.0, now - stored.stored_at))
    life = (stored.fresh_for, stored.behind, stored.on_error)
    parts = [HEAD.pack(ANSWER, flags, stored.status, *moments, *life)]
    _add(parts, stored.etag)
    _add(parts, stored.modified)
    parts.append(LONG.pack(len(stored.tags)))
    for tag in stored.tags:
        _add(parts, tag.encode("latin-1", "replace"))
    for pairs in (stored.vary, stored.headers):
        parts.append(LONG.pack(len(pairs)))
        for name, value in pairs:
            _add(parts, name)
            _add(parts, value)
    return b"".join(parts)


def _add(parts: list[bytes], text: bytes | None) -> None:
    parts.append(LONG.pack(MISSING if text is None else len(text)))
    if text is not None:
        parts.append(text)


def read(meta: bytes, body: bytes, elapsed: float, now: float) -> Stored | None:
    """What was written `elapsed` seconds ago, on the clock here; None where it is no answer of this version."""
    reader = _Reader(meta)
    try:
        kind, flags, status, *seconds = HEAD.unpack_from(meta)
        etag, modified = reader.text(), reader.text()
        tags = tuple([reader.text().decode("latin-1") for _ in range(reader.number())])
        vary = tuple([(reader.text(), reader.line()) for _ in range(reader.number())])
        headers = tuple([(reader.text(), reader.text()) for _ in range(reader.number())])
    except (struct.error, ValueError):
        return None
    if kind != ANSWER or reader.place != len(meta) or not 200 <= status <= 599:
        return None
    if not all(math.isfinite(each) and each >= 0 for each in seconds):
        return None
    age, since, life, behind, on_error = seconds
    return Stored(
        status=status,
        headers=headers,
        body=body,
        stored_at=now - elapsed - since,
        fresh_for=life,
        born=now - elapsed - age,
        vary=vary,
        behind=behind,
        on_error=on_error,
        strict=bool(flags & STRICT),
        immutable=bool(flags & IMMUTABLE),
        tags=tags,
        etag=etag,
        modified=modified,
    )


class _Reader:
    """Goes through bytes; `ValueError` or `struct.error` where they end too soon, or a line would not be one."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self.place = raw, HEAD.size

    def number(self) -> int:
        found: int = LONG.unpack_from(self._raw, self.place)[0]
        self.place += LONG.size
        return found

    def line(self) -> bytes | None:
        length = self.number()
        if length == MISSING:
            return None
        end = self.place + length
        if end > len(self._raw):
            raise ValueError("cut short")
        found = self._raw[self.place : end]
        self.place = end
        if b"\r" in found or b"\n" in found or b"\0" in found:
            raise ValueError("more than one line")
        return found

    def text(self) -> bytes:
        found = self.line()
        if found is None:
            raise ValueError("nothing where something is to be")
        return found


def written_names(names: Names) -> bytes:
    """What stands in the place of an answer, where requests are to say more before there is one for them."""
    return NAMES + b",".join(names)


def read_names(meta: bytes) -> Names | None:
    """The names; None where these are others' bytes."""
    return tuple(meta[1:].split(b",")) if meta[:1] == NAMES and len(meta) > 1 else None
