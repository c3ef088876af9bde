"""The head of an HTTP/1.1 response, and the ways its body may come. No I/O.

What two readers could take to mean two things is refused, for the answer of one call must never be another's.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = ["Body", "Head", "LinkError", "Trouble", "chunk_size", "head_of"]

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


class Head(NamedTuple):
    """A status, headers in lower case in the order they came, and how the body comes."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: Body


def head_of(raw: bytes, *, method: str = "POST") -> Head:
    """Read a head without the empty line at its end. Raises `LinkError`."""
    end = "\r\n" if b"\r\n" in raw else "\n"
    text = raw.decode("latin-1")
    found = WHOLE[end].fullmatch(text)  # all at once: a look at each line would take three times as long
    if found is None:
        raise _garbled(text.partition(end)[0])
    headers = []
    for line in found[3].split(end)[1:]:
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip(" \t")))
    status = int(found[2])
    return Head(status, headers, _body(status, headers, method, newest=found[1] == "1"))


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


def _body(status: int, headers: Sequence[tuple[str, str]], method: str, *, newest: bool) -> Body:
    length: int | None = None
    coded = ""
    keep = newest
    for name, value in headers:
        if name == "content-length":
            if DIGITS.fullmatch(value) is None or length not in (None, int(value)):
                raise LinkError("garbled", "the response has a content-length that is none")
            length = int(value)
        elif name == "transfer-encoding":
            coded = f"{coded},{value.lower()}" if coded else value.lower()
        elif name == "connection":
            said = value.lower()
            keep = "close" not in said and (keep or "keep-alive" in said)
    if method == "HEAD" or status in (204, 304) or status < 200:
        return Body(0, chunked=False, keep=keep)
    if coded:
        if coded != "chunked":
            raise LinkError("garbled", "the response has a transfer-encoding that was not asked for")
        # Two lengths are a way to smuggle: what follows such a body is nobody's.
        return Body(None, chunked=True, keep=keep and length is None)
    return Body(length, chunked=False, keep=keep and length is not None)
