"""The gateway as a service: one supervisor that holds the socket, and workers that answer.

The supervisor reads no cascade. A new worker reads the file and says whether it is good; only then the one it takes
the place of is told to end. So a broken file, or a broken certificate, changes nothing but what is said. All workers
accept from one and the same socket: what waits there is taken by whoever is left.

    SIGTERM, SIGINT   no more requests after `linger`, those in work have `drain`; a second one ends at once
    SIGHUP            new workers from the file as it is now, one after the other; the old ones drain

A file may also be one that is published (following.py): each new version is served as a changed file is.
"""

import gc
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import ConfigError
from fastcascade.gateway import loading
from fastcascade.gateway.listening import address_of, listen
from fastcascade.gateway.metrics import Board
from fastcascade.gateway.settings import MOST_WORKERS, Settings
from fastcascade.gateway.staff import Member, Staff
from fastcascade.gateway.watched import Watched

if TYPE_CHECKING:
    from fastcascade.gateway.following import Following

__all__ = ["Supervisor", "serve"]

TICK: Final = 0.5
"""Seconds between two looks at files and at the time."""
SLACK: Final = 4.0
"""Seconds beyond the drain after which a worker that still lives is killed."""
SOONEST: Final = 0.1
LATEST: Final = 30.0
"""Seconds until a worker that died is replaced: the first time, and at most."""
STEADY: Final = 60.0
"""Seconds after which a death has nothing to do with those before."""

PLACES: Final = 2 * MOST_WORKERS
"""Workers at once: a reload may want any number of them, while those before still drain."""

Say = Callable[[str], object]


def serve(
    file: "str | os.PathLike[str] | Following", options: Mapping[str, Any] | None = None, *, reload: bool = False
) -> int:
    """Serve a cascade until told to end; the exit code. Raises `ConfigError` for what the operator must change.

    Args:
        file: the cascade's configuration, or where it is published.
        options: settings of the server that go before the file's, by their names in `Settings`.
        reload: whether to begin anew when the file, what lies beside it, or a certificate changes.
    """
    path, source = (Path(file), None) if isinstance(file, str | os.PathLike) else (Path(), file)
    try:
        supervisor = Supervisor(path, options, source, reload=reload)
        gc.freeze()  # what is loaded stays: neither we nor our workers look through it again, and its pages stay shared
        gc.enable()  # whoever called may have had it wait until here
        try:
            return supervisor.run()
        finally:
            gc.unfreeze()
    finally:
        if source is not None:
            source.end()


class Supervisor:
    """Keeps workers at work. Everything happens in `run`; signals only wake it."""

    def __init__(
        self,
        file: Path,
        options: Mapping[str, Any] | None = None,
        source: "Following | None" = None,
        *,
        reload: bool = False,
        say: Say | None = None,
    ) -> None:
        """Read the settings, and open the socket."""
        if not hasattr(os, "fork"):
            raise ConfigError("the gateway needs a POSIX system; on Windows, run it in WSL or in a container")
        self._say = say or _said
        self.options, self.source = options, source
        self.place = source.place if source is not None else None
        self.file = file if source is None else source.begin(self._say)
        self.settings = self._first_settings()
        self.listener = listen(self.settings.host, self.settings.port)
        self.address = address_of(self.listener, secure=self.settings.tls is not None)
        self.staff = Staff(self.file, self.listener, Board(PLACES), self.place)
        beside = self.file if self.place is None else self.place.folder / self.file.name
        self._watched = Watched(beside) if reload else None
        self._before = (self.file, self.settings)  # what runs while another is tried
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._turns: list[Member] = []  # who is to be replaced
        self._wanted = 0
        self._again = self._stopping = self._announced = self._changing = False
        self._died = 0
        self._last_death = self._respawn_at = self._look_at = 0.0
        self._code = 0

    def _first_settings(self) -> Settings:
        try:
            return loading.settings_of(self.file, self.options, self.place)
        except ConfigError as error:
            good = self.source.fall_back(self.file, str(error)) if self.source is not None else None
            if good is None:
                raise
            self.file = good
        return loading.settings_of(self.file, self.options, self.place)

    # Running.

    def run(self) -> int:
        """Until all is over."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - its name says it
        theirs.setblocking(False)  # noqa: FBT003 - as above
        before = {each: signal.signal(each, self._signaled) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        woken = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._selector.register(ours, selectors.EVENT_READ)
        try:
            self._wanted = self.settings.workers
            for _ in range(self._wanted):
                self._hire()
            while not (self._stopping and not self.staff.members):
                self._turn(ours)
        finally:
            signal.set_wakeup_fd(woken)
            for each, handler in before.items():
                signal.signal(each, handler)
            self.staff.kill()
            self.listener.close()
            self._selector.close()
            ours.close()
            theirs.close()
        return self._code

    def _signaled(self, number: int, _frame: Any) -> None:
        self._signals.append(number)

    def _turn(self, woken: socket.socket) -> None:
        for key, _ in self._selector.select(TICK):
            if key.data is None:
                with suppress(BlockingIOError):
                    woken.recv(4096)
            elif key.data in self.staff.members:
                self._told(key.data)
        while self._signals:
            if self._signals.pop(0) == signal.SIGHUP:
                self._reload()
            else:
                self._stop()
        now = time.monotonic()
        for member in self.staff.overdue(now):
            self._say(f"worker {member.pid} did not end in time and was killed")
            self.staff.kill(member)
        if self._respawn_at and now >= self._respawn_at:
            self._respawn_at = 0.0
            self._fill()
        if not self._stopping:
            self._look(now)

    def _look(self, now: float) -> None:
        """See whether there is something new to be served."""
        if self._watched is not None and now >= self._look_at:
            self._look_at = now + TICK
            if self._watched.changed(self.settings.tls):
                self._reload()
        if self.source is not None and self._announced and self.source.heard(now):
            self._reload()

    # Members come and go.

    def _hire(self, instead: Member | None = None) -> None:
        member = self.staff.fork(self.settings, instead)
        self._selector.register(member.control, selectors.EVENT_READ, member)

    def _told(self, member: Member) -> None:
        """Hear what a worker says, or that it has ended."""
        if not member.hear():
            self._selector.unregister(member.control)
            self._ended(member, self.staff.bury(member))
        elif member.ready and member.instead is not None:
            old, member.instead = member.instead, None
            self._end(old)
            self._turns = [each for each in self._turns if each is not old]
            self._next()
        if self._stopping:
            return
        if not self._announced and len(self.staff.ready()) >= self._wanted:
            self._announced = True
            many = f", {self._wanted} workers" if self._wanted > 1 else ""
            self._say(f"listening at {self.address}{many}")
            self._runs()
        if self._changing and not self._turns and not self.staff.accepting():
            self._changing = False
            self._say("reloaded")
            self._runs()
            self._once_more()

    def _ended(self, member: Member, code: int) -> None:
        if member.leaving:
            return
        why = member.failure or f"a worker ended by itself, with {code}"
        if not self._announced:
            if self._fell_back(why):
                return
            self._code = self._code or 2
            if not self._stopping:
                self._stop()
                raise ConfigError(why)
        elif member.instead is not None:
            self._turns.clear()
            self._changing = False
            self._refused(why)
            self._once_more()
        elif not self._stopping:
            now = time.monotonic()
            self._died = 0 if now - self._last_death > STEADY else self._died + 1
            self._last_death = now
            wait = min(LATEST, SOONEST * 2**self._died)
            self._say(f"{why}; another begins in {wait:g} s")
            self._respawn_at = now + wait

    def _fill(self) -> None:
        """Bring the staff to its number, after a death or when another number is wanted."""
        if self._stopping:
            return
        there = [each for each in self.staff.members if not each.leaving and each.instead is None]
        for _ in range(self._wanted - len(there)):
            if not self.staff.has_room():
                self._respawn_at = time.monotonic() + 1.0  # once some of those who drain are gone
                break
            self._hire()
        for member in there[self._wanted :]:
            self._end(member)

    def _end(self, member: Member) -> None:
        self.staff.end(member, time.monotonic() + self.settings.drain + SLACK)

    # Reloads and the end.

    def _reload(self) -> None:
        if self._stopping or not self._announced:
            return
        if self._changing:
            self._again = True
            return
        before = self.settings
        self._before = (self.file, before)
        if self.source is not None:
            self.file = self.source.newest
        try:
            self.settings = loading.settings_of(self.file, self.options, self.place)
        except ConfigError as error:
            self._refused(str(error))
            return
        self.staff.file = self.file
        if (self.settings.host, self.settings.port) != (before.host, before.port):
            self._say("another address is listened at only after a restart")
        self._turns, self._changing = self.staff.ready(), True
        self._next()

    def _next(self) -> None:
        """Replace the next of those whose turn it is; room on the board is what a long drain may have to wait for."""
        if self._turns:
            if self.staff.has_room():
                self._hire(instead=self._turns[0])
                return
            self._turns.clear()
            self._changing = False
            self._say("a reload was left unfinished: too many old workers still drain; ask for it again")
        self._wanted = self.settings.workers
        self._fill()

    def _runs(self) -> None:
        """What is served by now is good."""
        if self.source is not None:
            self.source.runs(self.file)

    def _refused(self, why: str) -> None:
        """What was to be served is not."""
        self._say(f"{why}\nnothing was changed: what ran before still runs")
        if self.source is not None:
            self.source.refused(self.file, why)
            self.file, self.settings = self._before
            self.staff.file = self.file

    def _fell_back(self, why: str) -> bool:
        """Begin with the copy of what was good last, where what is published cannot be served; whether there is one."""
        good = self.source.fall_back(self.file, why) if self.source is not None and not self._stopping else None
        if good is None:
            return False
        for each in tuple(self.staff.members):
            self._selector.unregister(each.control)
            self.staff.kill(each)
            self.staff.bury(each)
        self.file = self.staff.file = good
        self.settings = loading.settings_of(good, self.options, self.place)
        self._wanted = self.settings.workers
        for _ in range(self._wanted):
            self._hire()
        return True

    def _once_more(self) -> None:
        if self._again:
            self._again = False
            self._reload()

    def _stop(self) -> None:
        if self._stopping:
            self.staff.kill()
            return
        self._stopping = True
        self.listener.close()
        for member in tuple(self.staff.members):
            self._end(member)


def _said(text: str) -> None:
    sys.stdout.write(f"fastcascade: {text}\n")
    sys.stdout.flush()
