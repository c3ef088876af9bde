"""A lean client, and clients that ask one thing after another."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["Asked", "Client", "Said", "ask_all"]

PATIENCE: Final = 60.0


@dataclass(slots=True)
class Said:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Asks one server, over as many kept connections as are wanted at once."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str) -> Said:
        """The answer. A connection that failed is not used again."""
        streams = self._kept.pop() if self._kept else await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = streams
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(f"GET {path} HTTP/1.1\r\nhost: cdn.example\r\n\r\n".encode())
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = (line.partition(":") for line in lines if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                said = Said(int(first.split(" ", 2)[1]), headers, b"")
                said.body = await reader.readexactly(int(headers["content-length"]))
        except BaseException:
            writer.transport.abort()
            raise
        self._kept.append(streams)
        return said

    def close(self) -> None:
        """End what is kept."""
        for _, writer in self._kept:
            writer.close()
        self._kept.clear()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and what came of it."""

    edge: int
    key: int
    level: str
    seconds: float
    size: int
    right: bool


async def ask_all(
    edge: int,
    port: int,
    keys: Iterable[int],
    clients: int,
    read: Callable[[int, Said], tuple[str, bool]],
) -> list[Asked]:
    """Have so many clients ask an edge for these in order: who has its answer takes the next.

    `read` says of an answer from which level it is, and whether it is right.
    """
    left, found, client = iter(keys), list[Asked](), Client(port)

    async def one() -> None:
        for key in left:
            began = time.perf_counter()
            said = await client.get(f"/{key}")
            seconds = time.perf_counter() - began
            level, right = read(key, said)
            found.append(Asked(edge, key, level, seconds, len(said.body), right and said.status == 200))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(one())
    finally:
        client.close()
    return found
