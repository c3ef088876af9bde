"""The supervisor's side of what is published: which version is to be served, and what became of it.

Another process fetches (courier.py); here is no loop, no thread and no waiting but at the start. What was served last
is kept as a copy: with it a gateway begins where the store is away, or what is published cannot be served.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from fastcascade.config import Place
from fastcascade.errors import ConfigError
from fastcascade.gateway.copies import Copies, default_folder

__all__ = ["Following"]

PATIENCE: Final = 10.0
"""Seconds until the first word of what is published."""
AGAIN: Final = 1.0
"""Seconds until a courier that died is replaced."""
LARGEST: Final = 65_536
LONGEST: Final = 2_000
LEAVE: Final = 3.0
"""Seconds that a courier has to take leave."""


class Following:
    """One name that is followed.

    Args:
        url: where it is published.
        name: what is followed.
        place: where relative paths begin, and whether code may be named.
        copies: the folder of copies.
        prefix: what names of keys there begin with.
        timeout: seconds for one command.
    """

    def __init__(
        self,
        url: str,
        name: str = "default",
        *,
        place: Place,
        copies: Path | None = None,
        prefix: str = "fastcascade",
        timeout: float = 2.0,
    ) -> None:
        """Check what can be; nothing is begun yet."""
        from fastcascade.shared.published import NAME  # noqa: PLC0415 - for those who follow
        from fastcascade.shared.target import Target  # noqa: PLC0415 - as above

        if not NAME.fullmatch(name):
            raise ConfigError(f"nothing is published under the name {name!r}: letters, digits, '_', '.' and '-'")
        self.where = Target.of(url).where
        self.name, self.place = name, place
        self.copies = Copies((copies or default_folder()).resolve(), name)
        self.newest = Path()  # what is to be served
        self._errand = {
            "url": url,
            "prefix": prefix,
            "timeout": timeout,
            "name": name,
            "folder": str(self.copies.folder),
        }
        self._say: Callable[[str], object] = print
        self._me = f"{socket.gethostname()}:{os.getpid()}"
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._begin_at = 0.0
        self._numbers: dict[Path, tuple[int, str]] = {}
        self._tried: Path | None = None
        self._standing: dict[str, Any] = {"gateway": self._me, "runs": 0, "digest": "", "refused": 0, "why": ""}
        self._away = ""

    def begin(self, say: Callable[[str], object]) -> Path:
        """The file to begin with. `ConfigError` where there is none to be had."""
        self._say = say
        self.copies.make()
        self._begin()
        deadline, told = time.monotonic() + PATIENCE, dict[str, Any]()
        while not told and (left := deadline - time.monotonic()) > 0:
            told = self._message(left) or {}
        if "wrong" in told:
            raise ConfigError(told["wrong"])
        if "file" in told:
            self._take(told)
            return self.newest
        why = told.get("away", f"{self.where} says nothing") if "none" not in told else ""
        said = why or f"nothing is published as {self.name!r} at {self.where}"
        good = self.copies.good()
        if good is None:
            todo = (
                "and there is no copy of what was served before: start it" if why else "fastcascade publish does that"
            )
            raise ConfigError(f"{said}; {todo}")
        self._away = why
        self._say(f"warning: {said}; serving the last good copy, {_number(good.number)}")
        self._numbers[good.file] = (good.number, "")
        self.newest = self._tried = good.file
        return good.file

    def heard(self, now: float) -> bool:
        """Whether there is another version to be served, `newest`."""
        if self._control is None:
            if now >= self._begin_at:
                self._begin()
            return False
        before = self._tried
        while (told := self._message(0.0)) is not None:
            if "file" in told:
                self._take(told)
                if self._away:
                    self._away = ""
                    self._say(f"{self.where} is there again")
            elif told.get("away") and not self._away:
                self._away = told["away"]
                self._say(f"warning: {self._away}; what runs goes on")
        return self._tried != before

    def runs(self, file: Path) -> None:
        """It is served by now."""
        number, digest = self._numbers.get(file, (0, ""))
        self._standing |= {"runs": number, "digest": digest}
        if number >= self._standing["refused"]:
            self._standing |= {"refused": 0, "why": ""}
        try:
            self.copies.keep(file)
        except OSError as error:
            self._say(f"warning: {self.copies.folder} cannot be written: {error.strerror}; there is no copy of this")
        self._send(self._standing)

    def refused(self, file: Path, why: str) -> None:
        """It cannot be served, for this reason."""
        self._standing |= {"refused": self._numbers.get(file, (0, ""))[0], "why": why[:LONGEST]}
        self._send(self._standing)

    def fall_back(self, file: Path, why: str) -> Path | None:
        """What to begin with in place of this one, which cannot be served; None where there is no other."""
        good = self.copies.good()
        if good is None or good.file == file:
            return None
        self.refused(file, why)
        self._say(f"warning: {why}\nserving the last good copy, {_number(good.number)}")
        self._numbers.setdefault(good.file, (good.number, ""))
        return good.file

    def end(self) -> None:
        """Follow no more."""
        control, self._control = self._control, None
        if control is not None:
            control.close()
        self._reap()

    # The courier.

    def _begin(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # What it is told holds a password, maybe: not on its command line, nor in its environment.
            command = [sys.executable, "-P", "-m", "fastcascade.gateway.courier"]
            self._process = subprocess.Popen(command, stdin=theirs.fileno())  # noqa: S603 - it is ours
        self._control = ours
        self._send(self._errand)
        if self._standing["runs"]:
            self._send(self._standing)

    def _message(self, patience: float) -> dict[str, Any] | None:
        """The next that it says; None where there is none by then."""
        control = self._control
        if control is None:
            return None
        control.settimeout(patience)
        try:
            said = control.recv(LARGEST)
        except (BlockingIOError, TimeoutError):
            return None
        except OSError:
            said = b""
        if said:
            told: dict[str, Any] = json.loads(said)
            return told
        control.close()
        self._control, self._begin_at = None, time.monotonic() + AGAIN
        self._reap()
        return None

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(LEAVE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _send(self, what: dict[str, Any]) -> None:
        if self._control is not None:
            self._control.settimeout(0.0)
            with suppress(OSError):  # it died, and the next will be told
                self._control.send(json.dumps(what).encode())

    def _take(self, told: dict[str, Any]) -> None:
        file = Path(told["file"])
        self._numbers[file] = (int(told["number"]), str(told["digest"]))
        self.newest = self._tried = file


def _number(number: int) -> str:
    return f"version {number}"
