"""One connection: whatever the server says and however it is cut into pieces, order holds."""

import asyncio
from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.shared.codes import CODES, LATE, LOST, UNSENT, Trouble
from fastcascade.shared.link import told
from fastcascade.shared.resp import Wire, pack
from fastcascade.testing.virtual import run_virtual

TIMEOUT: Final = 1.0


class Line:
    """Stands for the transport: notes what goes out. It is also the owner, and notes what it is told."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.heard: list[Any] = []
        self.aborted = False
        self.wire = Wire(self, TIMEOUT)
        self.wire.connection_made(cast("asyncio.Transport", self))

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted = True

    def pushed(self, pieces: list[list[Any]]) -> None:
        self.heard += [("push", each[1]) for each in pieces]

    def silent(self) -> None:
        self.heard.append("silent")

    def speaks(self) -> None:
        self.heard.append("speaks")

    def ended(self) -> None:
        self.heard.append("ended")


async def turns(count: int = 3) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


VALUES: Final = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=40), st.lists(st.binary(max_size=5), max_size=3)
)


def said(value: Any) -> bytes:
    """A reply as the server writes it."""
    if value is None:
        return b"_\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    return b"*%d\r\n" % len(value) + b"".join(map(said, value))


@given(
    events=st.lists(st.one_of(st.tuples(st.just("reply"), VALUES), st.tuples(st.just("push"), VALUES)), max_size=30),
    cuts=st.lists(st.integers(1, 60), max_size=40),
    bursts=st.lists(st.booleans(), max_size=40),
)
def test_a_push_never_overtakes_a_reply(events: list[tuple[str, Any]], cuts: list[int], bursts: list[bool]) -> None:
    """Tasks that wait and the owner who is told see replies and pushes in the order of the wire, however it is cut."""

    async def go() -> list[Any]:
        line = Line()

        async def asking() -> None:
            line.heard.append(("reply", await line.wire.ask(b"")))

        tasks = [asyncio.ensure_future(asking()) for kind, _ in events if kind == "reply"]
        await turns()
        stream = b"".join(
            said(value) if kind == "reply" else b">2\r\n$10\r\ninvalidate\r\n" + said(value) for kind, value in events
        )
        for place, size in enumerate(cuts):
            piece, stream = stream[:size], stream[size:]
            line.wire.data_received(piece)
            if place < len(bursts) and bursts[place]:
                await turns()
        line.wire.data_received(stream)
        await turns()
        await asyncio.gather(*tasks)
        line.wire.abort()
        return line.heard[:-1]

    assert run_virtual(go()) == events


def test_one_turn_is_one_write() -> None:
    """What is asked in one turn of the loop goes out together, in the order of asking."""

    async def go() -> None:
        line = Line()
        asked = [line.wire.ask(b"%d" % each) for each in range(5)]
        assert not line.written
        await turns(1)
        assert line.written == [b"01234"]
        line.wire.data_received(b":0\r\n:1\r\n:2\r\n:3\r\n:4\r\n")
        assert [await each for each in asked] == list(range(5))
        line.wire.abort()

    run_virtual(go())


UNREADABLE: Final = [b"what\r\n", b":1\r\n:2\r\n", b"%1\r\n*0\r\n:1\r\n", b"!5\r\nERR x\r\n"]


@pytest.mark.parametrize("data", UNREADABLE)
def test_what_cannot_be_trusted_ends_it(data: bytes) -> None:
    """A reply that cannot be read, or that nobody asked for, ends the connection: the next could be anybody's."""

    async def go() -> None:
        line = Line()
        asked = line.wire.ask(b"x")
        await turns()
        line.wire.data_received(data)
        assert line.aborted
        assert line.heard == ["ended"]
        assert await asked in (LOST, 1)
        assert await line.wire.ask(b"y") is UNSENT

    run_virtual(go())


def test_what_never_left_is_told_apart() -> None:
    """When a connection is lost, who was sent does not know whether it was carried out; who was not, was not."""

    async def go() -> None:
        line = Line()
        sent = line.wire.ask(b"a")
        await turns(1)
        unsent = line.wire.ask(b"b")
        line.wire.connection_lost(None)
        assert (await sent, await unsent) == (LOST, UNSENT)
        assert "not known" in told(LOST)
        assert "nothing was carried out" in told(UNSENT)

    run_virtual(go())


def test_a_command_has_its_time() -> None:
    """Each command ends between its time and a quarter more, and a late reply is nobody else's."""

    async def go() -> None:
        line = Line()
        now = asyncio.get_running_loop().time
        await asyncio.sleep(0.4)  # in virtual time

        async def asking(after: float) -> float:
            await asyncio.sleep(after)
            begun = now()
            assert await line.wire.ask(b"x") is LATE
            return now() - begun

        waited = await asyncio.gather(*(asking(each / 10) for each in range(5)))
        assert all(TIMEOUT <= each <= TIMEOUT * 1.25 + 1e-6 for each in waited), waited
        next_one = line.wire.ask(b"y")
        await turns()
        line.wire.data_received(b":0\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n")
        assert await next_one == 5
        line.wire.abort()

    run_virtual(go())


def test_silence_is_told_and_then_ends_it() -> None:
    """A server that says nothing is told to be silent after the time of a command, and is left a second later."""

    async def go() -> None:
        line = Line()
        now = asyncio.get_running_loop().time
        assert await line.wire.ask(b"x") is LATE
        assert line.heard == ["silent"]
        while not line.aborted:  # noqa: ASYNC110 - in virtual time
            await asyncio.sleep(0.01)
        assert 2.0 <= now() <= 2.6
        assert line.heard == ["silent", "ended"]

    run_virtual(go())


def test_who_speaks_again_is_kept() -> None:
    """A server that replies after all, before it is left, keeps its connection and what it remembers of us."""

    async def go() -> None:
        line = Line()
        assert await line.wire.ask(b"x") is LATE
        line.wire.data_received(b":1\r\n")
        await asyncio.sleep(0.5)
        assert line.heard == ["silent", "speaks"]
        line.wire.abort()

    run_virtual(go())


def test_one_slow_command_is_not_silence() -> None:
    """Where others have replies, one that is late alone does not make the server silent."""

    async def go() -> None:
        line = Line()
        slow = [line.wire.ask(b"x") for _ in range(30)]
        for _ in range(20):
            await asyncio.sleep(0.1)
            line.wire.data_received(b":1\r\n")
        assert "silent" not in line.heard
        assert LATE in [each.result() for each in slow if each.done()]
        line.wire.abort()

    run_virtual(go())


def test_an_idle_connection_is_looked_after() -> None:
    """Without traffic the server is asked now and then whether it is there, so that silence is found."""

    async def go() -> None:
        line = Line()
        await asyncio.sleep(5)  # in virtual time
        assert line.written == [pack(("PING",))]
        assert line.heard == ["silent", "ended"]
        line.wire.abort()

    run_virtual(go())


@given(st.lists(st.one_of(st.binary(max_size=20), st.text(max_size=20), st.integers(), st.floats(allow_nan=False))))
def test_commands_are_packed(words: list[bytes | str | int | float]) -> None:
    """Any words make one command, with a text that holds half of a surrogate pair as well."""
    wanted = [
        each if isinstance(each, bytes) else each.encode("utf-8", "surrogatepass") if isinstance(each, str) else None
        for each in ("GET", "\ud800", *words)
    ]
    packed = pack(("GET", "\ud800", *words))
    lines = []
    position = packed.index(b"\r\n") + 2
    assert packed[: position - 2] == b"*%d" % len(wanted)
    for each in wanted:
        end = packed.index(b"\r\n", position)
        size = int(packed[position + 1 : end])
        lines.append(packed[end + 2 : end + 2 + size])
        position = end + 4 + size
        assert each is None or lines[-1] == each
    assert position == len(packed)


@pytest.mark.parametrize("code", sorted(CODES))
def test_codes_are_found(code: str) -> None:
    """A code is found at the beginning and inside a script's error, and nothing the server said is kept."""
    for text in (f"{code} secret words", f"ERR Error running script: {code} secret words"):
        trouble = Trouble(text)
        assert trouble.code == code
        assert "secret" not in f"{trouble!r}{trouble}{vars(trouble)}{told(trouble)}"
    assert Trouble("ERR secret").code == ""


def test_where_a_cluster_sends_on_to() -> None:
    """Slot and place of MOVED and ASK are read; one without a host is the node that said so."""
    for text, slot, place in (
        ("MOVED 3999 127.0.0.1:6381", 3999, ("127.0.0.1", 6381)),
        ("ASK 1 ::1:7", 1, ("::1", 7)),
        ("MOVED 2 :8", 2, ("", 8)),
        ("MOVED x", -1, None),
    ):
        assert (Trouble(text).slot, Trouble(text).place) == (slot, place)
