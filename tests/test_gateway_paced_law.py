"""What is behind on a connection: never more than truly is, and who is held up for it, against a kernel made up."""

import asyncio
import errno
import os
import socket
from collections.abc import Coroutine, Generator
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.gateway import acked, paced, silent
from fastcascade.gateway.acked import LATER, Sockets
from fastcascade.gateway.paced import ROOM, STEP, Pace, Paced
from fastcascade.gateway.work import Work
from fastcascade.testing import run_virtual

IDLE = 60.0


class Kernel:
    """What a client has acknowledged, and how much it acknowledges more at each look."""

    def __init__(self, patch: pytest.MonkeyPatch, handle: int | None = 5) -> None:
        self.taken: int | None = 1000
        self.at_each = 0
        self.handle = handle
        self.looks = 0
        patch.setattr(paced, "acked", lambda *_: self.look())
        patch.setattr(Sockets, "find", lambda *_: self.handle)

    def look(self) -> int | None:
        self.looks += 1
        if self.taken is not None:
            self.taken += self.at_each
        return self.taken


class Sink:
    """Takes all at once, and says so by something to be waited for, as the server does."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, data: bytes) -> Self:
        self.sent += len(data)
        return self

    def __await__(self) -> Generator[None, None, None]:
        """It is done."""
        yield from ()


def one(pace: Pace) -> tuple[Paced, Work, Sink]:
    """A stream in work."""
    work, sink = Work(None, "/", 0.0), Sink()
    work.peer, work.here = "127.0.0.1:9", "127.0.0.1:80"
    return Paced(pace, work, sink.send), work, sink


async def sent(stream: Paced, size: int) -> None:
    """Pieces of this size in all."""
    while size > 0:
        await stream.send(bytes(min(size, 1000)))
        size -= 1000


def test_a_short_stream_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a step nobody asks the kernel, and no connection is remembered."""
    kernel = Kernel(monkeypatch)

    async def main() -> None:
        pace = Pace(IDLE)
        stream, _, _ = one(pace)
        await sent(stream, STEP - 1000)
        assert kernel.looks == 0 and not pace.lines
        stream.end()

    run_virtual(main())


def test_who_takes_a_little_is_waited_for_and_who_takes_nothing_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten idle times are not too long while bytes are taken; one is, from when they are no more."""
    kernel = Kernel(monkeypatch)

    async def main() -> None:
        stream, work, sink = one(Pace(IDLE))
        loop = asyncio.get_running_loop()
        kernel.at_each = 1
        sending = work.task = asyncio.ensure_future(sent(stream, 4 * ROOM))
        await asyncio.sleep(10 * IDLE)
        assert not sending.done() and not str(work.cut) and ROOM < sink.sent < ROOM + 3 * STEP
        kernel.at_each, began = 0, loop.time()
        await asyncio.wait((sending,))
        assert sending.cancelled() and str(work.cut) == "unread"
        assert IDLE - 1 < loop.time() - began < IDLE + 1
        stream.end()

    run_virtual(main())


def test_a_stream_goes_on_as_soon_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a tenth of a second of the client's having read on, and to the end."""
    kernel = Kernel(monkeypatch)

    async def main() -> None:
        stream, work, sink = one(Pace(IDLE))
        sending = asyncio.ensure_future(sent(stream, 2 * ROOM))
        await asyncio.sleep(IDLE / 2)
        held = sink.sent
        assert not sending.done() and kernel.taken is not None
        kernel.taken += ROOM
        await asyncio.sleep(0.2)
        assert sink.sent > held + ROOM / 2
        kernel.taken += ROOM
        await sending
        assert not work.cut
        stream.end()

    run_virtual(main())


@pytest.mark.parametrize("how", ["not found", "lost later"])
def test_what_the_kernel_does_not_tell_holds_up_nobody(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Neither where it never told, nor where it tells no more; each step gives others a turn."""
    kernel = Kernel(monkeypatch, None if how == "not found" else 5)

    async def main() -> None:
        pace = Pace(IDLE)
        stream, work, sink = one(pace)
        await sent(stream, STEP + 2000)
        kernel.taken = None
        turns = 0

        async def others() -> None:
            nonlocal turns
            while sink.sent < 10 * ROOM:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.ensure_future(others())
        await sent(stream, 10 * ROOM)
        await other
        assert turns > 30 and not work.cut and not pace.lines
        stream.end()

    run_virtual(main())


def test_a_look_that_is_due_later_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more goes out until it is known where the connection is."""
    kernel = Kernel(monkeypatch, LATER)

    async def main() -> None:
        stream, work, sink = one(Pace(IDLE))
        sending = asyncio.ensure_future(sent(stream, 2 * STEP))
        await asyncio.sleep(2 * IDLE)
        assert not sending.done() and sink.sent < STEP + 1001 and not work.cut
        kernel.handle = 5
        await sending
        stream.end()

    run_virtual(main())


STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 2), st.integers(1, ROOM)),
    st.tuples(st.just("other"), st.just(0), st.integers(1, ROOM)),
    st.tuples(st.just("take"), st.just(0), st.integers(0, 2 * ROOM)),
    st.tuples(st.sampled_from(["look", "leave"]), st.integers(0, 2), st.just(0)),
)


class Truth:
    """Three streams, and what is truly behind: of each, and of what is not seen."""

    def __init__(self, kernel: Kernel, framing: int) -> None:
        self.pace, self.kernel, self.framing = Pace(IDLE), kernel, framing
        self.streams = [one(self.pace)[0] for _ in range(3)]
        self.queued = [0, 0, 0, 0]

    def do(self, what: str, which: int, size: int) -> None:
        stream = self.streams[which]
        if what == "send":
            waiting = stream.send(bytes(size))
            if isinstance(waiting, Coroutine):
                waiting.close()
            self.queued[which] += size + size * self.framing // 100
        elif what == "other":
            self.queued[3] += size
        elif what == "take":
            self.take(size)
        elif what == "leave":
            stream.end()
            self.queued[which], self.streams[which] = 0, one(self.pace)[0]
        else:
            stream.behind(0.0)

    def take(self, size: int) -> None:
        for at, each in enumerate(self.queued):
            taken = min(each, size)
            self.queued[at] -= taken
            size -= taken
            assert self.kernel.taken is not None
            self.kernel.taken += taken


@given(st.lists(STEPS, max_size=40), st.integers(0, 50))
def test_what_is_behind_is_never_overestimated(steps: list[tuple[str, int, int]], framing: int) -> None:
    """Whatever streams send, frame, drop as they end, or send unseen, and whenever it is looked at."""

    async def main(patch: pytest.MonkeyPatch) -> None:
        truth = Truth(Kernel(patch), framing)
        truth.streams[0].behind(0.0)
        for step in steps:
            truth.do(*step)
            for line in truth.pace.lines.values():
                line.look(0.0)
                assert 0 <= line.behind <= sum(truth.queued)
        for each in truth.streams:
            each.end()
        assert not truth.pace.lines

    with pytest.MonkeyPatch.context() as patch:
        run_virtual(main(patch))


@pytest.mark.skipif(not silent.KNOWN, reason="the kernel does not tell")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("full", [False, True])
def test_a_connection_is_found_by_its_addresses(host: str, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written as the server writes them; also with no descriptor left to look with; and no other is taken for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener, socket.socket(family) as client:
        if host.startswith("::ffff"):
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip("there is no such address here")
        listener.listen()
        client.connect(listener.getsockname())
        port = listener.getsockname()[1]
        written = client.getsockname()[1]
        address = f"[{host}]:{written}" if ":" in host else f"{host}:{written}"
        with listener.accept()[0] as link:

            def none_left(_: object) -> list[str]:
                raise OSError(errno.EMFILE, "too many open files")

            if full:
                monkeypatch.setattr(os, "listdir", none_left)
            sockets = Sockets()
            handle = sockets.find(address, port)
            assert handle is not None and handle == link.fileno()
            assert sockets.find("10.0.0.1:1", port) == LATER  # it has just looked
            assert Sockets().find("10.0.0.1:1", port) is None
            assert Sockets().find(address, port + 1) is None
            before = acked.acked(handle, address, port)
            link.sendall(b"x" * 1000)
            assert len(client.recv(1000, socket.MSG_WAITALL)) == 1000
            assert before is not None and acked.acked(handle, address, port + 1) is None
            assert (acked.acked(handle, address, port) or 0) - before in (0, 1000)  # an ACK may be on its way
        assert acked.acked(handle, address, port) is None
