"""Answers go out no faster than clients take them.

The server queues whatever it is given, and says at once that it was sent: a client that asks for a long answer and
reads none of it would have a worker hold all of it. So the bytes of each stream are counted, and after each `STEP` of
them what its connection was given is compared with what the kernel says that the client has acknowledged. While more
than `ROOM` is behind, whoever sends waits, and with it all that reads the answer upstream; one whose client takes
nothing for too long is ended. A stream shorter than `STEP` costs an addition for each piece.

What is behind is at times underestimated, never overestimated, since a stream held up for bytes that were never to
come would wait for ever. Frames and TLS add bytes that are acknowledged and not counted here: whenever more seems to
have come than went out, all has come, and counting begins anew, so that this does not add up. What went out before the
first look counts as come, and so does, while other streams of an HTTP/2 connection go on, all that was behind of one
that has ended.

The streams of one HTTP/2 connection share its room: one that is not read holds up the others that are longer than
`STEP`, until it is ended. Which of them that is cannot be told; the oldest is taken for it. Where the kernel does not
tell, every `STEP` bytes the others have a turn, and no more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from fastcascade.gateway.acked import LATER, Sockets, acked
from fastcascade.gateway.work import Work

__all__ = ["ROOM", "STEP", "Pace", "Paced"]

STEP: Final = 1 << 18
"""Bytes that a stream may send between two looks."""
ROOM: Final = 1 << 20
"""Bytes that may be behind on one connection. More than `ROOM` in one round trip is not sent."""
NAP: Final = 0.001
LONGEST: Final = 0.1
"""Seconds between two looks at a client that is behind: from the one, each time a little more, up to the other."""
MORE: Final = 1.25

Send = Callable[[bytes], Awaitable[object]]


class _Line:
    """A connection of which a stream was looked at."""

    __slots__ = ("_taken", "behind", "client", "handle", "moved", "port", "streams", "waiting")

    def __init__(self, client: str, port: int, handle: int, taken: int) -> None:
        """Begin with none behind."""
        self.client, self.port, self.handle = client, port, handle
        self.streams = 0
        self.behind = 0
        self.moved = 0.0  # when something was taken, or a stream ended
        self.waiting: set[Paced] = set()  # streams that are held up
        self._taken = taken  # in all, as of the last look

    def look(self, now: float) -> bool:
        """Take off what was acknowledged since the last look; False where that is not known any more."""
        taken = acked(self.handle, self.client, self.port)
        if taken is None:
            return False
        if taken != self._taken:
            self.behind = max(0, self.behind - (taken - self._taken))
            self._taken, self.moved = taken, now
        return True


class Pace:
    """All connections that are looked at.

    Args:
        idle: seconds after which a stream is ended whose client takes nothing.
    """

    def __init__(self, idle: float) -> None:
        """Begin with none."""
        self.idle = idle
        self._sockets = Sockets()
        self.lines: dict[tuple[str, int], _Line] = {}

    def line(self, client: str, port: int) -> _Line | int | None:
        """Its connection, and one stream more on it; `LATER`, or None where the kernel does not tell."""
        key = (client, port)
        line = self.lines.get(key)
        if line is None:
            handle = self._sockets.find(client, port)
            if handle is None or handle == LATER:
                return handle
            taken = acked(handle, client, port)
            if taken is None:
                return None
            line = self.lines[key] = _Line(client, port, handle, taken)
        line.streams += 1
        return line

    def leave(self, line: _Line, sent: int) -> None:
        """A stream that has sent so much on this connection is over: what was behind may have gone with it."""
        line.streams -= 1
        line.behind = max(0, line.behind - sent)
        if not line.streams:
            self.lines.pop((line.client, line.port), None)


class Paced:
    """One stream on its way out. It must be ended.

    Args:
        pace: the connections.
        work: whose it is; ended as "unread" when its client takes nothing for too long.
        send: sends its pieces.
    """

    __slots__ = ("_due", "_joined", "_line", "_pace", "_send", "_sent", "_unknown", "_work")

    def __init__(self, pace: Pace, work: Work, send: Send) -> None:
        """Begin with nothing sent."""
        self._pace, self._work, self._send = pace, work, send
        self._sent = 0
        self._due = STEP  # when there is to be another look
        self._line: _Line | None = None
        self._joined = 0  # what was sent before that was known
        self._unknown = False  # the kernel does not tell of this one

    def send(self, data: bytes) -> Awaitable[object]:
        """Send it; what is given is to be waited for before there is more."""
        self._sent += len(data)
        if self._line is not None:
            self._line.behind += len(data)
        sending = self._send(data)
        return sending if self._sent < self._due else self._held(sending)

    def end(self) -> None:
        """It is over."""
        line, self._line = self._line, None
        if line is not None:
            line.waiting.discard(self)
            self._pace.leave(line, self._sent - self._joined)

    async def _held(self, sending: Awaitable[object]) -> None:
        """Wait until the client has most of what was sent."""
        await sending
        await asyncio.sleep(0)  # however fast it comes, others have their turn
        clock = asyncio.get_running_loop().time
        since, nap = clock(), NAP
        while self.behind(now := clock()):
            line = self._line
            if line is not None:
                line.waiting.add(self)
                if now - max(since, line.moved) > self._pace.idle and self._oldest(line):
                    line.moved = now  # the next one is not ended before it is seen what becomes of this
                    self._work.end("unread")
            await asyncio.sleep(nap)
            nap = min(nap * MORE, LONGEST)
        if self._line is not None:
            self._line.waiting.discard(self)
        self._due = self._sent + STEP

    def _oldest(self, line: _Line) -> bool:
        """Whether none of those that are held up with it is older: these may wait for what this one does not take."""
        return min(line.waiting, key=lambda each: each._work.began) is self  # noqa: SLF001 - it is one of us

    def behind(self, now: float) -> bool:
        """Whether it is to wait."""
        if self._unknown:
            return False
        line = self._line
        if line is not None:
            if line.look(now):
                return line.behind > ROOM
            self.end()
        else:
            found = self._pace.line(self._work.peer, _port(self._work.here))
            if found == LATER:
                return True
            if isinstance(found, _Line):
                self._line, self._joined = found, self._sent
                return False
        self._unknown = True
        return False


def _port(address: str) -> int:
    """That of an address; 0 where it has none."""
    port = address.rpartition(":")[2]
    return int(port) if port.isdecimal() else 0
