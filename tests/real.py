"""What the tests share that run against real processes, in real time."""

import asyncio
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from typing import Final

from fastcascade.notices import Notice, subscribe

__all__ = ["free_port", "noted", "until"]

PATIENCE: Final = 20.0
"""Seconds to wait for what is to come, before the test has failed."""
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_OURS: Final = range(11_000 + _WORKER, 21_000, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
_PORTS: Final = cycle(random.sample(_OURS, len(_OURS)))
"""Tests that run side by side have ports of their own, and none comes again soon: its server may be down meanwhile."""


async def until(reached: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    limit = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < limit, f"waited in vain for {what}"
        await asyncio.sleep(0.01)


def free_port() -> int:
    """A port below those that connections going out are given: one of them could else take it while nobody listens.

    In a cluster a server of Redis listens 10,000 ports higher too.
    """
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a round has no end")


@contextmanager
def noted() -> Iterator[list[Notice]]:
    """The notices that are given meanwhile."""
    notices: list[Notice] = []
    end = subscribe(notices.append)
    try:
        yield notices
    finally:
        end()
