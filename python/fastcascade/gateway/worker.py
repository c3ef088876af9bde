"""One worker: a process that answers until it is told to end, then lets what is in work come to its end."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from fastcascade.config import Place
from fastcascade.errors import ConfigError
from fastcascade.gateway import listening, loading, silent, tls
from fastcascade.gateway.app import Gateway
from fastcascade.gateway.metrics import Board
from fastcascade.gateway.seen import Seen
from fastcascade.gateway.settings import Settings
from fastcascade.telemetry.events import HUB

try:
    import uvloop
    from granian._granian import SocketHolder
    from granian.constants import HTTPModes, Interfaces, SSLProtocols
    from granian.http import HTTP1Settings, HTTP2Settings
    from granian.server.embed import Server
except ImportError as error:
    raise ConfigError(
        f"the gateway needs {(error.name or 'granian').partition('.')[0]}: pip install 'fastcascade[gateway]'"
    ) from None

if TYPE_CHECKING:
    from fastcascade.gateway.joined import Joined
    from fastcascade.reviews.desk import ReviewDesk

__all__ = ["BACKLOG", "CLOSED", "FAILED", "READY", "Job", "begin"]

READY: Final = b"ready"
CLOSED: Final = b"closed"
FAILED: Final = b"failed "
BACKLOG: Final = 2_048
GRACE: Final = 2.0
"""Seconds in which requests that were ended say so to their clients."""
NAPS: Final = 0.02
MOMENT: Final = 0.1
"""Seconds in which a connection that was just accepted says what it wants."""
LOOKS: Final = 5.0
COLLECTED: Final = 10_000
"""New objects after which the collector looks at them: requests leave nothing that it alone could find."""

log: Final = logging.getLogger("fastcascade")


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is to do.

    Args:
        file: what to serve.
        settings: how.
        listener: where connections come in; shared by all workers, so that none is lost when one of them ends.
        control: says to the supervisor that it is ready, has failed, or accepts no more; its end is the supervisor's.
        place: its place on the board, which is also its name.
        board: where the metrics of all stand.
        source: where the words of the file are seen from; its own folder by default.
    """

    file: Path
    settings: Settings
    listener: socket.socket
    control: socket.socket
    place: int
    board: Board
    source: Place | None = None

    @property
    def folder(self) -> Path:
        """Where its relative paths begin."""
        return self.file.resolve().parent if self.source is None else self.source.folder


class _Server(Server):
    """Granian in this process's own loop, at a socket that is open already."""

    def __init__(self, listener: socket.socket, target: Any, settings: Settings, secure: dict[str, Any]) -> None:
        limits = settings.limits
        super().__init__(
            target,
            interface=Interfaces.RSGI,
            http=HTTPModes.auto,
            websockets=settings.websockets,
            backlog=BACKLOG,
            backpressure=limits.connections,
            http1_settings=HTTP1Settings(header_read_timeout=int(limits.idle * 1000), max_buffer_size=limits.head),
            http2_settings=HTTP2Settings(max_headers_size=limits.head, max_concurrent_streams=limits.requests),
            log_enabled=False,
            ssl_protocol_min=SSLProtocols.tls12,
            **secure,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        """Take the open socket in place of one of the server's own."""
        inside: Any = self  # the stubs do not say what these hold
        holder: Any = SocketHolder
        inside._sfd = self._listener.detach()  # noqa: SLF001 - it is this one
        inside._shd = holder(inside._sfd, False, BACKLOG)  # noqa: FBT003, SLF001 - it is no unix socket
        inside._ssp = None  # noqa: SLF001 - as above


def begin(job: Job) -> NoReturn:
    """Be the worker; the process ends with it."""
    code = 1
    try:
        code = _run(job)
    except Exception as error:  # noqa: BLE001 - the last to hear of it
        _complain(error)
    finally:
        with suppress(Exception):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _run(job: Job) -> int:
    try:
        secure = tls.checked(job.settings.tls)
        service = loading.load(job.file, job.settings, job.source)
        seen = Seen(job.settings, job.folder, job.file, service.cascades, job.board)
        gateway = Gateway(
            service.endpoint,
            gate=service.gate,
            settings=job.settings,
            cascades=service.cascades,
            worker=str(job.place),
            board=job.board,
            routes=service.routes,
            events=HUB,
            console=seen.console,
        )
        seen.counted(gateway.metrics, service.gate)
    except ConfigError as error:
        job.control.sendall(FAILED + str(error).encode(errors="replace"))
        return 2
    gc.collect()
    gc.freeze()  # what was built stays; the collector need not walk it again and again
    gc.set_threshold(COLLECTED, 10, 10)
    uvloop.run(_Worker(job, gateway, secure, service.joined, seen).main())
    return 0


class _Worker:
    """The worker's own loop."""

    def __init__(self, job: Job, gateway: Gateway, secure: dict[str, Any], joined: "Joined | None", seen: Seen) -> None:
        self.job, self.gateway, self.joined, self.seen = job, gateway, joined, seen
        self._port: int = job.listener.getsockname()[1]
        self._mark = listening.mark_of(job.listener.fileno())
        self.server: Any = _Server(job.listener, gateway, job.settings, secure)
        _log(job.settings)  # after the server's own: it sets up loggers
        self._ending = asyncio.Event()

    async def main(self) -> None:
        """Serve until told to end, and then come to the end."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        self.seen.begin()
        if self.joined is not None:
            await self.joined.begin()
        serving = loop.create_task(self.server.serve())
        ended = loop.create_task(self._ending.wait())
        self.gateway.on_start = lambda: loop.call_soon(self._started)  # right after it, the server listens
        self.job.control.setblocking(False)  # noqa: FBT003 - its name says it
        loop.add_reader(self.job.control.fileno(), self._abandoned)
        beside = (self._sweep(), self._look(), *(desk.serve() for desk in self._desks()))
        kept = [loop.create_task(each) for each in beside]
        await asyncio.wait((serving, ended), return_when=asyncio.FIRST_COMPLETED)
        for each in kept:
            each.cancel()
        if serving.done():
            raise RuntimeError("the server ended by itself")
        await self._leave(serving)

    def _desks(self) -> "list[ReviewDesk]":
        """Those that the cascades hand reviews to: overdue ones are ended here, and callbacks made."""
        reviews = [each.chain.review for each in self.gateway.cascades.values() if each.chain.review is not None]
        return list({id(each.desk): each.desk for each in reviews if hasattr(each.desk, "serve")}.values())

    async def _look(self) -> None:
        """Count what waits for people."""
        while True:
            await self.gateway.metrics.refresh()
            await asyncio.sleep(LOOKS)

    async def _sweep(self) -> None:
        """Close connections on which nothing moves."""
        idle, watch = self.job.settings.limits.idle, self.gateway.watch
        while silent.KNOWN:
            await asyncio.sleep(idle / 4)
            at_work = {int(each.peer.rpartition(":")[2] or 0) for each in watch.all}
            with suppress(OSError):  # such as no descriptor left to look with: the next look may have one
                await asyncio.to_thread(silent.sweep, self._port, idle, at_work)

    def _started(self) -> None:
        """Say so, if it is so."""
        if all(each.is_alive() for each in self.server.wrks):
            self.job.control.send(READY)

    def _abandoned(self) -> None:
        """End with the supervisor."""
        asyncio.get_running_loop().remove_reader(self.job.control.fileno())
        self._ending.set()

    async def _leave(self, serving: "asyncio.Task[None]") -> None:
        """Take leave of clients, take no more, let what is in work end, and end what does not."""
        settings, watch = self.job.settings, self.gateway.watch
        self.gateway.drain()
        await asyncio.sleep(settings.linger)
        with suppress(OSError):
            listening.turn_away(self._mark)
            await asyncio.sleep(MOMENT)
        self.server.stop()
        await asyncio.sleep(NAPS)  # the server's own thread closes the socket
        with suppress(OSError):
            self.job.control.send(CLOSED)
        await asyncio.wait((serving,), timeout=settings.drain - settings.linger)
        left = watch.end_all()
        if left:
            log.warning("%d requests were cut off: they took longer than the drain of %g s", left, settings.drain)
        for _ in range(int(GRACE / NAPS)):
            if serving.done() and not self.gateway.busy:
                break
            await asyncio.sleep(NAPS)
        watch.stop()
        await self._closed("what looks", self.seen)
        for holder in (self.gateway.endpoint, self.gateway.gate, self.gateway.routes):  # what is done beside requests
            await self._closed("what is done beside", holder)
        for name, cascade in self.gateway.cascades.items():
            await self._closed(name, cascade)
        await self._closed("what is shared", self.joined)

    async def _closed(self, name: str, thing: Any) -> None:
        """Close it, if it has something to close."""
        try:
            if hasattr(thing, "aclose"):
                await asyncio.wait_for(thing.aclose(), GRACE)
            elif hasattr(thing, "close"):
                thing.close()
        except Exception as error:  # noqa: BLE001 - it ends all the same
            log.warning("closing %s failed: %s", name, type(error).__name__)


def _complain(error: Exception) -> None:
    log.error("a worker failed: %s: %s", type(error).__name__, error)


def _log(settings: Settings) -> None:
    """Let warnings and, if wanted, the access log go to stderr; what the cascade's own file set up is left alone."""
    ours = logging.getLogger("fastcascade")
    if not (ours.handlers or logging.getLogger().handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        ours.addHandler(handler)
    if settings.access_log:
        logging.getLogger("fastcascade.access").setLevel(logging.INFO)
