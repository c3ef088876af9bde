"""A `FaultyServer` in a process of its own, to be killed and started again."""

import json
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self
from urllib.request import ProxyHandler, build_opener

from fastcascade.errors import ConfigError
from fastcascade.testing.faults import fault_of

__all__ = ["FaultyProcess"]

PATIENCE: Final = 10.0
"""Seconds for the process to say what it has counted."""


class FaultyProcess:
    """Runs between `with` and its end, and ends with the process that made it, however that ends.

        with FaultyProcess(faults=["latency:0.1"]) as server:
            server.kill()                          # SIGKILL
            server.start("error:server")           # the same port, other faults

    Args:
        answer: what to say; "ok: " and the prompt by default.
        faults: each as `fault_of` reads it.
        rate: the share of requests they strike.
        seed: of what is drawn.
        port: to listen on; 0 takes a free one, which stays the same when it is started again.
    """

    def __init__(
        self,
        answer: str | None = None,
        *,
        faults: Sequence[str] = (),
        rate: float = 1.0,
        seed: int = 0,
        port: int = 0,
    ) -> None:
        """Check the faults; nothing is started before `with`."""
        for fault in faults:
            fault_of(fault)
        self.port = port
        self._faults = tuple(faults)
        self._settings = [f"--rate={rate}", f"--seed={seed}", *([] if answer is None else [f"--answer={answer}"])]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The number of its process; None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self, *faults: str) -> None:
        """Start it, and wait until it listens; with other faults, where some are given. It counts from nought."""
        if self._process is not None:
            raise ConfigError("the faulty server runs: kill it before it is started again")
        self._faults = faults or self._faults
        told = [f"--fault={fault}" for fault in self._faults]
        command = [sys.executable, "-m", "fastcascade.testing.faulty_server", "--until-eof", f"--port={self.port}"]
        process = subprocess.Popen(  # noqa: S603 # our own interpreter and module
            [*command, *told, *self._settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._process = process
        said = b"" if process.stdout is None else process.stdout.readline()
        if not said:
            self.kill()
            raise ConfigError("the faulty server did not start: see what it wrote to standard error")
        self.port = int(said.rsplit(b":", 1)[1])

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait until it is gone. Nothing happens where there is none."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def counts(self) -> dict[str, Any]:
        """What it has counted since it was started: calls, served, probes, connections, struck."""
        with build_opener(ProxyHandler({})).open(f"{self.url}/faulty/counts", timeout=PATIENCE) as response:
            counted: dict[str, Any] = json.load(response)
        return counted

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it."""
        self.kill()

    def __repr__(self) -> str:
        """Show where it is."""
        return f"FaultyProcess(faults={list(self._faults)!r}, port={self.port})"
