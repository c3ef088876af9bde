"""Programs that are measured: found, started, asked, weighed and ended."""

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 90.0  # seconds in which a server must answer: the slowest rival takes ten on a quiet machine


class Absent(Exception):
    """A program that is not there, or does not do what it should, and why."""


def program(name: str) -> str:
    """Where a program is: in the folders of `GATEWAY_RIVALS`, beside this Python, or on the path."""
    folders = [os.environ.get("GATEWAY_RIVALS", ""), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    found = shutil.which(name, path=os.pathsep.join(filter(None, folders))) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise Absent(f"{name} is not installed (put its folder on the path, or into GATEWAY_RIVALS)")
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                found += tree(int(child))
    return found


def cpu(pid: int) -> float:
    """Seconds of CPU that the tree has taken, with what its ended children took."""
    total = 0
    for each in tree(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            total += sum(map(int, fields[11:15] if each == pid else fields[11:13]))
    return total / TICKS


def memory(pid: int) -> float:
    """MB that the tree holds; what several share is counted once (PSS)."""
    total = 0
    for each in tree(pid):
        with suppress(OSError, StopIteration):
            rows = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += int(next(row for row in rows if row.startswith("Pss:")).split()[1])
    return total / 1024


def asked(
    url: str, method: str, headers: Mapping[str, str], body: bytes, patience: float = 20.0
) -> tuple[int, dict[str, str], bytes]:
    """One request with its answer."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), int(parts.port or 0)
    link: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        link = http.client.HTTPSConnection(host, port, timeout=patience, context=context)
    else:
        link = http.client.HTTPConnection(host, port, timeout=patience)
    try:
        link.request(method, parts.path or "/", body=body or None, headers=dict(headers))
        answer = link.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        link.close()


class Running:
    """A program while it runs, in a folder of its own."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.began = time.monotonic()
        self.log = folder / "said.log"
        with self.log.open("wb") as said:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                # Installed packages are compiled; a source tree must be allowed to keep what it has compiled.
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.pid = self.process.pid

    def until(self, ready: Any, pause: float = 0.02) -> float:
        """Wait until `ready()` is true; seconds since the start. Raises `Absent`."""
        last = "it never answered"
        while time.monotonic() - self.began < PATIENCE:
            if self.process.poll() is not None:
                raise Absent(f"it ended with {self.process.returncode}: {self.words()}")
            try:
                if ready():
                    return time.monotonic() - self.began
            except (OSError, http.client.HTTPException) as error:
                last = f"{type(error).__name__}: {error}"
            time.sleep(pause)
        raise Absent(f"not ready after {PATIENCE:g} s: {last}; {self.words()}")

    def words(self) -> str:
        """The end of what it said."""
        return " ".join(self.log.read_text(encoding="utf-8", errors="replace").split())[-300:]

    def end(self) -> None:
        """End it with all below it: they are a group of their own."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(6)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
