"""What the tests share that run against real processes, in real time."""

import asyncio
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from fastcascade.notices import Notice, subscribe

__all__ = ["free_port", "noted", "until"]

PATIENCE: Final = 20.0
"""Seconds to wait for what is to come, before the test has failed."""


async def until(reached: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    limit = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < limit, f"waited in vain for {what}"
        await asyncio.sleep(0.01)


def free_port() -> int:
    """A port below those that connections going out are given: one of them could else take it while nobody listens."""
    while True:
        port = random.randrange(11_000, 21_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def noted() -> Iterator[list[Notice]]:
    """The notices that are given meanwhile."""
    notices: list[Notice] = []
    end = subscribe(notices.append)
    try:
        yield notices
    finally:
        end()
