"""An app in a region: `placed.py PORT REGION LEDGER GET POST`; a GET takes so many seconds, and so does a POST.

The ledger has a line for each POST that was carried out, written before its answer: so that one which was carried out
twice shows, and one that was carried out though its client heard otherwise.
"""

import asyncio
import os
import re
import sys
from typing import Any

from steady import LENGTH, loop_factory

NAME = re.compile(rb"\r\nx-name: *(\w+)", re.IGNORECASE)


class App(asyncio.Protocol):
    """One connection; requests come one after the other."""

    page: bytes
    ledger: int
    get: float
    post: float

    def __init__(self) -> None:
        self._transport: Any = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        got = self._got = self._got + data if self._got else data
        end = got.find(b"\r\n\r\n")
        length = LENGTH.search(got, 0, end + 2) if end >= 0 else None
        if end < 0 or len(got) < end + 4 + (int(length[1]) if length else 0):
            return
        self._got = b""
        wait = self.get
        if got.startswith(b"POST"):
            wait, name = self.post, NAME.search(got)
            os.write(self.ledger, (name[1] if name else b"?") + b"\n")
        elif got.startswith(b"GET /healthz "):
            wait = 0.0
        if wait:
            asyncio.get_running_loop().call_later(wait, self._transport.write, self.page)
        else:
            self._transport.write(self.page)


async def main() -> None:
    port, region, ledger, *waits = sys.argv[1:]
    App.get, App.post = map(float, waits)
    body = b"A page of two kilobytes, which is the same for all routes. " * 40
    App.page = b"HTTP/1.1 200 OK\r\ncontent-length: 2048\r\ncontent-type: text/plain\r\nx-region: %b\r\n\r\n%b" % (
        region.encode(),
        body[:2048],
    )
    App.ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    server = await asyncio.get_running_loop().create_server(App, "127.0.0.1", int(port), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())
