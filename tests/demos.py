"""What tests of `fastcascade demo --console` share: the demo as a process, and waiting for what its traffic brings."""

import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["PATIENCE", "Demo", "command", "demonstrated", "fetch", "until"]

PATIENCE: Final = 60.0
RUN: Final = "import sys; from fastcascade.cli import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class Demo:
    """A demo that runs: the link that logs in, its address, its folder, its process and what it printed."""

    link: str
    address: str
    folder: Path
    process: "subprocess.Popen[str]"
    said: str


def command(words: Sequence[str]) -> list[str]:
    """The words of a command of ours as a process takes them."""
    return [sys.executable, "-c", RUN, *words]


@contextmanager
def demonstrated(folder: Path) -> Iterator[Demo]:
    """The demo with its console, from the moment that it has printed its link."""
    options = ["demo", "--recorded", "--requests", "1", "--console", "--for", "600", "--folder", str(folder)]
    started = subprocess.Popen(command(options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert started.stdout is not None
    killer = threading.Timer(PATIENCE, started.kill)
    killer.start()
    said: list[str] = []
    for line in started.stdout:
        said.append(line)
        if "it ends in" in line:
            break
    killer.cancel()
    found = re.search(r"(http://127\.0\.0\.1:\d+)/console/login\?once=\S+", "".join(said))
    try:
        assert found is not None, "".join(said)
        yield Demo(found[0], found[1], folder, started, "".join(said))
    finally:
        _ended(started)


def _ended(started: "subprocess.Popen[str]") -> None:
    """End it as an operator does, with its customers; what it has still to say is read, lest it wait for that."""
    if started.poll() is None:
        started.terminate()
    try:
        started.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        started.kill()
        started.communicate()


def until(there: Callable[[], Any]) -> Any:
    """What comes of it once it is there: asked again and again, with nothing but the server's own pace between."""
    ended = threading.Event()
    timer = threading.Timer(PATIENCE, ended.set)
    timer.start()
    try:
        while not ended.is_set():
            if found := there():
                return found
            ended.wait(0.05)
    finally:
        timer.cancel()
    raise AssertionError("it did not come")


def fetch(address: str) -> str:
    """The text there; empty as long as nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answered:  # noqa: S310 - our own address
            return str(answered.read().decode())
    except (urllib.error.URLError, ConnectionError):
        return ""
