"""The head of an HTTP/1.1 response, and the ways its body may come. No I/O.

What two readers could take to mean two things is refused, for the answer of one call must never be another's.
"""

import re
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = ["Body", "Fields", "Head", "LinkError", "Trouble", "chunk_size", "head_of"]

Trouble: TypeAlias = Literal["timeout", "connection", "cut", "garbled", "full"]
"""No bytes in time; no connection, or none that answered; it ended within the body; no HTTP; no place for one more."""

STATUS: Final = r"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n\0]*)?"
FIELD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*"
WHOLE: Final = {end: re.compile(f"{STATUS}((?:{end}{FIELD})*)", re.ASCII) for end in ("\r\n", "\n")}
DIGITS: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
HEX: Final = re.compile(rb"[0-9A-Fa-f]{1,12}")


class LinkError(Exception):
    """Why a request has no whole response. `began` is whether the head of one had come."""

    def __init__(self, kind: Trouble, message: str, *, began: bool = False) -> None:
        """Say what happened."""
        super().__init__(message)
        self.kind: Trouble = kind
        self.began = began


class Body(NamedTuple):
    """How a body comes: of a length, in chunks, or until the connection ends; and whether another may follow it."""

    length: int | None
    chunked: bool
    keep: bool


class Fields:
    """The headers of a response: looked for in its text, since of a dozen only three or four are ever wanted."""

    __slots__ = ("_end", "_text", "low")

    def __init__(self, text: str, end: str) -> None:
        """Keep their lines, each behind the end of the one before."""
        self._text, self._end = text, end
        self.low = text.lower()

    def first(self, name: str) -> str:
        """The first of that name, or nothing."""
        mark = f"{self._end}{name}:"
        at = self.low.find(mark)
        if at < 0:
            return ""
        at += len(mark)
        until = self._text.find(self._end, at)
        return (self._text[at:] if until < 0 else self._text[at:until]).strip(" \t")

    def count(self, name: str) -> int:
        """How many there are of that name."""
        return self.low.count(f"{self._end}{name}:")

    def all(self) -> list[tuple[str, str]]:
        """All of them, names in lower case, in the order they came."""
        found = []
        for line in self._text.split(self._end)[1:]:
            name, _, value = line.partition(":")
            found.append((name.lower(), value.strip(" \t")))
        return found


class Head(NamedTuple):
    """A status, the headers, and how the body comes."""

    status: int
    fields: Fields
    body: Body


def head_of(raw: bytes, *, method: str = "POST") -> Head:
    """Read a head without the empty line at its end. Raises `LinkError`."""
    end = "\r\n" if b"\r\n" in raw else "\n"
    text = raw.decode("latin-1")
    found = WHOLE[end].fullmatch(text)  # all at once: a look at each line would take three times as long
    if found is None:
        raise _garbled(text.partition(end)[0])
    status, fields = int(found[2]), Fields(found[3], end)
    return Head(status, fields, _body(status, fields, method, newest=found[1] == "1"))


def _garbled(first: str) -> LinkError:
    if re.fullmatch(STATUS, first, re.ASCII) is None:
        return LinkError("garbled", "what answered does not speak HTTP/1.1")
    return LinkError("garbled", "a header of the response is malformed")


def chunk_size(line: bytes) -> int:
    """The size of a chunk by its first line. Raises `LinkError`."""
    size = line.partition(b";")[0].rstrip(b" \t")
    if HEX.fullmatch(size) is None:
        raise LinkError("garbled", "a chunk of the response has an illegal size", began=True)
    return int(size, 16)


def _body(status: int, fields: Fields, method: str, *, newest: bool) -> Body:
    low = fields.low
    if status == 200 and newest and method == "POST" and "transfer-encoding" not in low and "close" not in low:
        told = fields.first("content-length")  # the way of most: one length, and a connection that is kept
        if told.isdecimal() and told.isascii() and len(told) < 15 and low.count("content-length") == 1:
            return Body(int(told), chunked=False, keep=True)
    length: int | None = None
    for value in _each(fields, "content-length"):
        if DIGITS.fullmatch(value) is None or length not in (None, int(value)):
            raise LinkError("garbled", "the response has a content-length that is none")
        length = int(value)
    keep = newest
    for value in _each(fields, "connection"):
        said = value.lower()
        keep = "close" not in said and (keep or "keep-alive" in said)
    if method == "HEAD" or status in (204, 304) or status < 200:
        return Body(0, chunked=False, keep=keep)
    if coded := ",".join(_each(fields, "transfer-encoding")).lower():
        if coded != "chunked":
            raise LinkError("garbled", "the response has a transfer-encoding that was not asked for")
        # Two lengths are a way to smuggle: what follows such a body is nobody's.
        return Body(None, chunked=True, keep=keep and length is None)
    return Body(length, chunked=False, keep=keep and length is not None)


def _each(fields: Fields, name: str) -> list[str]:
    """Those of that name."""
    many = fields.count(name)
    if many < 2:
        return [fields.first(name)] if many else []
    return [value for each, value in fields.all() if each == name]
