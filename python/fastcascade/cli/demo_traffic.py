"""The demo's customers: a process that asks the gateway over HTTP, about as often as told, until it is ended.

python -m fastcascade.cli.demo_traffic http://127.0.0.1:8080 12
"""

import asyncio
import json
import random
import sys
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from fastcascade.cli.demo_shop import Question, drawn

__all__ = ["ask_for_ever", "main", "request_of"]

CUSTOMERS: Final = ("ada", "bo", "cleo", "dag", "eve", "finn")
REGENERATED: Final = 0.03
PATIENCE: Final = 30.0
MOST: Final = 40
"""Requests at once."""


def request_of(question: Question, customer: str, *, again: bool) -> bytes:
    """The whole of an HTTP request, one to a connection."""
    body = json.dumps({"model": "shop", "messages": [{"role": "user", "content": question.ask}]}).encode()
    head = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: 127.0.0.1",
        "connection: close",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"x-cascade-task: {question.task}",
        f"x-cascade-customer: {customer}",
        *(["x-cascade-regenerate: true"] if again else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


async def _ask(host: str, port: int, sent: bytes) -> None:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(sent)
                await reader.read()
            finally:
                writer.close()


async def ask_for_ever(host: str, port: int, rate: float, seed: int = 1) -> None:
    """Customers come at random, so many a second on average; those beyond `MOST` at once do without."""
    rng = random.Random(seed)
    asking: set[asyncio.Task[None]] = set()
    while True:
        await asyncio.sleep(rng.expovariate(rate))
        if len(asking) < MOST:
            sent = request_of(drawn(rng), rng.choice(CUSTOMERS), again=rng.random() < REGENERATED)
            task = asyncio.get_running_loop().create_task(_ask(host, port, sent))
            asking.add(task)
            task.add_done_callback(asking.discard)


def main(argv: list[str]) -> int:
    """Ask until ended."""
    at, rate = urlsplit(argv[0]), float(argv[1])
    with suppress(KeyboardInterrupt):
        asyncio.run(ask_for_ever(at.hostname or "127.0.0.1", at.port or 80, rate))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
