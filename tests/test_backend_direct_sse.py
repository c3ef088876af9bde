"""What `Direct` reads by itself, however it was cut: events, chunks, heads. Against naive twins, by hypothesis."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.backends import direct_sse
from fastcascade.backends.direct_link import Link
from fastcascade.backends.direct_parse import Fields, LinkError, head_of
from fastcascade.backends.direct_sse import Events

LINES = st.sampled_from(
    ["data: x", "data:x", "data:  two ", "data", "data:", "data: é漢😀", "event: error", "event:a", ": a comment", ":",
     "id: 7", "retry: 9", "unknown: z", "no colon", "data: \u2028\x0b\x1c", "", "", ""]
)  # fmt: skip
CUTS = st.lists(st.integers(0, 400), max_size=12)


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The bytes in pieces."""
    at = [0, *sorted(min(each, len(data)) for each in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(at)]


def naive(lines: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """The events of these lines, as the specification has them, one after another."""
    found: list[tuple[bytes, bytes]] = []
    name, data = "", list[str]()
    for line in lines:
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                found.append((name.encode(), "\n".join(data).encode()))
            name, data = "", []
        elif field == "data":
            data.append(value if colon else "")
        elif field == "event":
            name = value
    return found


@given(st.lists(LINES, max_size=20), st.data(), CUTS, st.booleans())
def test_events_however_they_are_cut(lines: list[str], data: st.DataObject, cuts: list[int], bom: bool) -> None:
    """Any cut, within a character, a line end or a field, gives the events that the specification has."""
    ends = data.draw(st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=len(lines), max_size=len(lines)))
    # A CR before an empty line that ends with LF would be one end of a line, and not two.
    ends = ["\r\n" if end == "\r" and after == "" else end for end, after in zip(ends, [*lines[1:], "x"], strict=False)]
    text = ("\ufeff" if bom else "") + "".join(line + end for line, end in zip(lines, ends, strict=True))
    events = Events()
    assert [each for piece in cut(text.encode(), cuts) for each in events.feed(piece)] == naive(lines)


def test_an_event_is_given_as_soon_as_it_has_ended() -> None:
    """No byte beyond the blank line is waited for, whichever way lines end."""
    for end in (b"\n", b"\r", b"\r\n"):
        events = Events()
        assert events.feed(b"data: a" + end + end) == [(b"", b"a")]
        assert events.feed(b"data: b" + end + end) == [(b"", b"b")]


def test_an_event_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that goes on for ever is given up; the data of one that lacks its blank line can be had."""
    monkeypatch.setattr(direct_sse, "LONGEST", 100)
    events = Events()
    for _ in range(100):
        events.feed(b"x")
    with pytest.raises(direct_sse.TooLong):
        events.feed(b"x")
    events = Events()
    events.feed(b"data: [DONE]")
    assert events.end() == b"[DONE]"
    assert Events().end() == b""


class Wired(asyncio.Transport):
    """A transport that takes what is written, and is told when it is closed."""

    def __init__(self) -> None:
        """Begin open."""
        super().__init__()
        self.closed = False

    def write(self, data: Any) -> None:
        """Take it."""

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.closed

    def abort(self) -> None:
        """Close it."""
        self.closed = True

    def pause_reading(self) -> None:
        """All the same."""

    def resume_reading(self) -> None:
        """All the same."""


async def exchanged(pieces: Sequence[bytes]) -> tuple[int, bytes, bool]:
    """What a connection makes of these bytes: the status, the body, and whether another request may follow."""
    link = Link(asyncio.get_running_loop(), 5.0, lambda _: None)
    link.connection_made(Wired())
    task = asyncio.ensure_future(_whole(link))
    for piece in pieces:
        await asyncio.sleep(0)
        if piece and not task.done():
            link.data_received(piece)
    await asyncio.sleep(0)
    if not task.done():
        link.connection_lost(None)
    status, body = await task
    return status, body, link.release()


async def _whole(link: Link) -> tuple[int, bytes]:
    head = await link.ask(b"")
    body = b""
    while piece := await link.read():
        body += piece
    return head.status, body


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6), CUTS, st.sampled_from(["", ";a=b", " "]), st.booleans()
)
def test_chunks_however_they_are_cut(parts: list[bytes], cuts: list[int], more: str, trailer: bool) -> None:
    """A body in chunks is read the same however the bytes come, and leaves the connection for another."""
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(part), more.encode(), part) for part in parts)
    end = b"0\r\na: b\r\nc: d\r\n\r\n" if trailer else b"0\r\n\r\n"
    raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + end
    assert asyncio.run(exchanged(cut(raw, cuts))) == (200, b"".join(parts), True)


@given(st.binary(max_size=200), CUTS)
def test_lengths_however_they_are_cut(body: bytes, cuts: list[int]) -> None:
    """A body of a length is read the same however the bytes come."""
    raw = b"HTTP/1.1 201 Made\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    assert asyncio.run(exchanged(cut(raw, cuts))) == (201, body, True)


@given(st.binary(max_size=120), st.integers(0, 160))
def test_any_garbage_is_an_error_or_a_whole_response(noise: bytes, at: int) -> None:
    """Noise put into a response never hangs, and never gives a body that is shorter than it was said to be."""
    raw = b"HTTP/1.1 200 OK\r\ncontent-type: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    try:
        status, _, _ = asyncio.run(exchanged([raw[:at] + noise + raw[at:]]))
    except LinkError as error:
        assert error.kind in ("garbled", "cut", "connection")
    else:
        assert 200 <= status <= 999


@given(st.binary(max_size=60))
def test_any_head_is_read_or_refused(noise: bytes) -> None:
    """A head is HTTP/1.1, or it is refused with nothing else raised."""
    for raw in (noise, b"HTTP/1.1 200 OK\r\n" + noise):
        try:
            head = head_of(raw)
        except LinkError as error:
            assert error.kind == "garbled"
        else:
            every = head.fields.all()
            assert all(name == name.lower() for name, _ in every)
            for name, _ in every:
                values = [value for each, value in every if each == name]
                assert (head.fields.count(name), head.fields.first(name)) == (len(values), values[0])


FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["Content-Length", "content-length", "Transfer-Encoding", "Connection", "X-A", "x-a", "X-A-b"]),
        st.text("aA1 ,:\t\xe9\xb5\xdf", max_size=6),
    ),
    max_size=8,
)


@given(FIELDS, st.sampled_from(["\r\n", "\n"]))
def test_headers_that_are_looked_for_are_those_there_are(given: list[tuple[str, str]], end: str) -> None:
    """A header is found by its name in any case, without what is around it, and never within another."""
    fields = Fields("".join(f"{end}{name}:{value}" for name, value in given), end)
    every = [(name.lower(), value.strip(" \t")) for name, value in given]
    assert fields.all() == every
    for name in ("content-length", "transfer-encoding", "connection", "x-a", "x-a-b", "b", "none"):
        values = [value for each, value in every if each == name]
        assert fields.count(name) == len(values)
        assert fields.first(name) == (values[0] if values else "")


def test_two_lengths_leave_no_connection_behind() -> None:
    """A response that is told to be both of a length and in chunks is read by its chunks, and is the last."""
    raw = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    assert asyncio.run(exchanged([raw])) == (200, b"ok", False)


def test_a_reader_that_is_slow_holds_the_sender_up() -> None:
    """What nobody reads is not read off the socket without end."""

    async def go() -> list[str]:
        seen: list[str] = []
        wired = Wired()
        wired.pause_reading = lambda: seen.append("pause")  # type: ignore[method-assign]
        wired.resume_reading = lambda: seen.append("resume")  # type: ignore[method-assign]
        link = Link(asyncio.get_running_loop(), 5.0, lambda _: None)
        link.connection_made(wired)
        task = asyncio.ensure_future(link.ask(b""))
        await asyncio.sleep(0)
        link.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        await task
        for _ in range(5):
            link.data_received(b"x" * 100_000)
        assert len(await link.read()) == 500_000
        last = asyncio.ensure_future(link.read())
        await asyncio.sleep(0)
        link.connection_lost(None)
        assert await last == b""
        return seen

    assert asyncio.run(go()) == ["pause", "resume"]
