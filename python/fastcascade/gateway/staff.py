"""The workers of a supervisor: made by forking, heard through a pair of sockets, ended by SIGTERM."""

import os
import signal
import socket
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Final

from fastcascade.config import Place
from fastcascade.gateway import worker
from fastcascade.gateway.metrics import Board
from fastcascade.gateway.settings import Settings

__all__ = ["Member", "Staff"]

LONGEST: Final = 65_536
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Member:
    """One worker as its supervisor sees it."""

    __slots__ = ("closed", "control", "deadline", "failure", "instead", "leaving", "pid", "place", "ready")

    def __init__(self, pid: int, place: int, control: socket.socket, instead: "Member | None") -> None:
        """It has begun, and is not ready yet; `instead` is whose place it is to take."""
        self.pid, self.place, self.control, self.instead = pid, place, control, instead
        self.ready = self.leaving = self.closed = False
        self.failure = ""
        self.deadline = inf

    def hear(self) -> bool:
        """Take note of what it says; False when it has ended."""
        try:
            said = self.control.recv(LONGEST)
        except OSError:
            said = b""
        if said == worker.READY:
            self.ready = True
        elif said == worker.CLOSED:
            self.closed = True
        elif said.startswith(worker.FAILED):
            self.failure = said[len(worker.FAILED) :].decode(errors="replace")
        return bool(said)


class Staff:
    """All workers there are.

    Args:
        file: what they serve.
        listener: where they accept.
        board: where their metrics stand; it has a place for each, and for those who drain.
        source: where the words of the file are seen from; its own folder by default.
    """

    def __init__(self, file: Path, listener: socket.socket, board: Board, source: Place | None = None) -> None:
        """None yet."""
        self.file, self.listener, self.board, self.source = file, listener, board, source
        self.members: list[Member] = []

    def ready(self) -> list[Member]:
        """Those at work."""
        return [each for each in self.members if each.ready and not each.leaving]

    def accepting(self) -> bool:
        """Whether some who are to end still take connections."""
        return any(each.leaving and not each.closed for each in self.members)

    def has_room(self) -> bool:
        """Whether one more has a place."""
        return len(self.members) < self.board.places

    def fork(self, settings: Settings, instead: Member | None = None) -> Member:
        """Begin one."""
        taken = {each.place for each in self.members}
        place = next(each for each in range(self.board.places) if each not in taken)
        # Each message arrives whole, or not at all.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A signal that came before the new process knows what to do with it would be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid == 0:
            job = worker.Job(self.file, settings, self.listener, theirs, place, self.board, self.source)
            self._become(job, ours)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        theirs.close()
        member = Member(pid, place, ours, instead)
        self.members.append(member)
        return member

    def _become(self, job: worker.Job, ours: socket.socket) -> None:
        """In the new process: let go of what is the supervisor's, whose end would else not be noticed."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # What a terminal sends goes to all; it is the supervisor who ends its workers.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        ours.close()
        for each in self.members:
            each.control.close()
        worker.begin(job)

    def end(self, member: Member, deadline: float) -> None:
        """Ask it to end by then."""
        if not member.leaving:
            member.leaving, member.deadline = True, deadline
            with suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGTERM)

    def overdue(self, now: float) -> list[Member]:
        """Those who should have ended."""
        return [each for each in self.members if now > each.deadline]

    def kill(self, member: Member | None = None) -> None:
        """End one at once, or all."""
        for each in tuple(self.members) if member is None else (member,):
            each.leaving, each.deadline = True, inf
            with suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
            if member is None:
                self.bury(each)

    def bury(self, member: Member) -> int:
        """Take one that has ended off the list; how it ended, as the shell counts."""
        if member not in self.members:
            return 0
        self.members.remove(member)
        self.board.clear(member.place)
        member.control.close()
        try:
            return os.waitstatus_to_exitcode(os.waitpid(member.pid, 0)[1])
        except ChildProcessError:
            return 0
