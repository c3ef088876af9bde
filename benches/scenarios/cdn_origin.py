"""The origin: answers any path with a body that can be checked, good for a day, and counts what it was asked.

Run as a process, with the size of a body; it prints its port, and ends with its input. A line there makes it print
its counts: calls, paths, the most calls for one path, bytes.
"""

import asyncio
import hashlib
import sys
from collections import Counter
from typing import Any, ClassVar, Final

from cdn_processes import ended, say

__all__ = ["LIFE", "body_of"]

LIFE: Final = 86_400
HEAD: Final = (
    "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncache-control: max-age={life}\r\ndate: {date}\r\n"
    "content-length: {size}\r\n\r\n"
)


def body_of(path: str, size: int) -> bytes:
    """What is right for a path: its digest, over and over."""
    digest = hashlib.sha256(path.encode()).hexdigest().encode()
    return (digest * (size // len(digest) + 1))[:size]


class Origin(asyncio.Protocol):
    """One connection."""

    asked: ClassVar[Counter[str]] = Counter()

    def __init__(self, size: int) -> None:
        self._size, self._held = size, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._held = (self._held + data).split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" ", 2)[1].decode("latin-1")
            self.asked[path] += 1
            self._transport.write(answer(path, self._size))


def answer(path: str, size: int) -> bytes:
    from email.utils import formatdate

    return HEAD.format(life=LIFE, date=formatdate(usegmt=True), size=size).encode() + body_of(path, size)


async def main() -> None:
    size = int(sys.argv[1])
    server = await asyncio.get_running_loop().create_server(lambda: Origin(size), "127.0.0.1", 0)
    say(server.sockets[0].getsockname()[1])

    def told(_line: str) -> None:
        asked = Origin.asked
        calls = asked.total()
        most = max(asked.values(), default=0)
        say({"calls": calls, "paths": len(asked), "most": most, "bytes": calls * size})

    await ended(told)


if __name__ == "__main__":
    asyncio.run(main())
