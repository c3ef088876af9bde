"""Server-sent events out of bytes, however they were cut on the way."""

from typing import Final

__all__ = ["Events", "TooLong"]

BOM: Final = b"\xef\xbb\xbf"
LONGEST: Final = 1 << 26
"""Bytes of an event. No provider sends one of a thousandth of it."""


class TooLong(Exception):
    """An event that has no end."""


class Events:
    """Feed it bytes; it gives the events that are whole with them, as pairs of name and data.

    Lines end with LF, CRLF or CR, and with nothing else: the bytes are split before they are read as UTF-8, so that
    a character may come in two pieces. Comments, and fields other than the name and the data, are passed over.
    """

    __slots__ = ("_bom", "_cr", "_data", "_name", "_rest", "_size")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest: list[bytes] = []  # of a line that has not ended
        self._size = 0
        self._data: list[bytes] = []
        self._name = b""
        self._cr = False
        self._bom = True

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The events that end within these bytes."""
        if self._cr or b"\r" in data:
            data = self._plain(data)
        if b"\n" not in data:
            self._keep(data)
            return []
        if self._rest:
            data = b"".join((*self._rest, data))
        lines = data.split(b"\n")
        rest = lines.pop()
        self._rest = [rest] if rest else []
        self._size = len(rest) + sum(map(len, self._data))
        if self._bom:
            self._bom = False
            lines[0] = lines[0].removeprefix(BOM)
        found: list[tuple[bytes, bytes]] = []
        for line in lines:
            if not line:
                if self._data:
                    whole = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                    found.append((self._name, whole))
                    self._data = []
                self._name = b""
                continue
            field, _, value = line.partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
            elif field == b"event":
                self._name = value.removeprefix(b" ")
        return found

    def end(self) -> bytes:
        """The data of an event that lacks its blank line, where no more bytes come."""
        found = self.feed(b"\n\n")
        return found[0][1] if found else b""

    def _plain(self, data: bytes) -> bytes:
        """With LF for every end of a line; one is not told of twice where CR and LF come in two pieces."""
        if self._cr and data:
            self._cr = False
            data = data.removeprefix(b"\n")
        if data.endswith(b"\r"):
            self._cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep(self, data: bytes) -> None:
        if data:
            self._rest.append(data)
            self._size += len(data)
            if self._size > LONGEST:
                raise TooLong
