"""The gateway as an RSGI application: bytes in, bytes out.

    gateway = Gateway(Endpoint(cascade, on_done=heard), gate=keys)

The way of a request: `__rsgi__` takes it into work, `_answered` asks the gate, reads the body, looks among the answers
that are kept and asks the endpoint, `_streamed` passes pieces on. Whatever ends it early cancels its task (see `work`).
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from fastcascade import spans
from fastcascade.gateway import admin, requests_log
from fastcascade.gateway.beside import OWN, Beside
from fastcascade.gateway.decided import counted, decided
from fastcascade.gateway.limits import METHODS, TooLarge, broken_off, length_of, read, refused
from fastcascade.gateway.metrics import EVERY, Board, Metrics
from fastcascade.gateway.paced import Pace, Paced
from fastcascade.gateway.purges import Purges
from fastcascade.gateway.replies import Replies
from fastcascade.gateway.settings import Settings
from fastcascade.gateway.unwelcome import unwelcome
from fastcascade.gateway.work import Watch, Work, heard
from fastcascade.telemetry.events import HUB, Decision, Event, Events, by_name
from fastcascade.wire.endpoint import ANYONE, Caller, Response
from fastcascade.wire.endpoint_stream import Streamed

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.console.console import Console
    from fastcascade.gateway.proxy import Routes
    from fastcascade.wire.endpoint import Done, Endpoint

__all__ = ["Gatekeeper", "Gateway", "heard"]

CLOSE: Final = ("connection", "close")
CONSOLE: Final = "/console"
ONCE: Final = frozenset(
    {"api-key", "authorization", "content-length", "content-type", "host", "x-api-key", "x-request-id"}
)
"""Headers that are no lists: of several the last counts."""

log: Final = logging.getLogger("fastcascade")


class Gatekeeper(Protocol):
    """Who may come in, and what it takes from what they may spend."""

    def enter(
        self, headers: Mapping[str, str], path: str, body_length: int, /
    ) -> "Caller | Response | Awaitable[Caller | Response]":
        """Who asks, or what is answered instead. Nothing of the body is read yet; -1 is a length not told.

        What has to ask elsewhere comes to either when it is awaited.
        """
        ...

    def leave(self, caller: "Caller", done: "Done | None", /) -> None:
        """It is over; told once for each that came in. Without `done` no cascade was reached."""
        ...


class Gateway:
    """The application, one to a worker.

    Args:
        endpoint: answers; made with `on_done=heard`, so that what became of a request is known here.
        gate: lets callers in; None lets in anyone.
        settings: limits and the rest.
        cascades: what readiness goes by; by default those of the endpoint.
        worker: the name that metrics have for it.
        board: where metrics of all workers stand, and this one's place on it.
        routes: what is answered beside the APIs; None is nothing.
        events: who is told of each request, its metrics first; `telemetry.events.HUB` hears of it too.
        console: the console, where there is one.
        clock: seconds, as of `time.monotonic`.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        endpoint: "Endpoint",
        *,
        gate: Gatekeeper | None = None,
        settings: Settings | None = None,
        cascades: "Mapping[str, Cascade] | None" = None,
        worker: str = "0",
        board: Board | None = None,
        routes: "Routes | None" = None,
        events: Events | None = None,
        console: "Console | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve nothing yet."""
        self.endpoint, self.gate, self.routes, self.console = endpoint, gate, routes, console
        if endpoint is not None:
            endpoint.events = None  # told here, where more is known
        self.events = Events() if events is None else events
        self.settings = settings or Settings()
        self.cascades = endpoint.models.cascades if cascades is None else cascades
        self.worker, self.metrics = worker, Metrics(by_name(self.cascades), promises=self.settings.promises)
        self.metrics.observed = endpoint if hasattr(endpoint, "counts") else None
        self.events.subscribe(self.metrics)
        if self.settings.access_log:
            self.events.subscribe(requests_log.hear)
        self.draining = False
        self.on_start: Callable[[], object] | None = None
        self.watch = Watch(self.settings.limits, clock, self._publish)
        self._board = board or Board(1)
        admin = getattr(gate, "is_admin", None)
        self._own = Beside(self.settings, self.cascades, self._board, self._write, admin=admin)
        self._clock = clock
        self.pace = Pace(self.settings.limits.idle)
        self._published = (-1.0, -1)
        cache = self.settings.cache
        self._replies = replies = Replies(cache, guarded=gate is not None) if cache is not None else None
        caches = [each.cache for each in self.cascades.values() if each.cache is not None]
        self.metrics.caches = [
            *{id(each): each for each in caches}.values(),
            *(routes.caches if routes is not None else ()),
        ]
        self.metrics.routes = routes
        self.purges = Purges(
            caches,
            self._board.slate,
            int(worker) % self._board.places,
            pages=None if routes is None else routes.purge,
            forget=None if replies is None else replies.forget,
        )

    # The life of a worker.

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to look after what is in work."""
        self.watch.start(loop)
        if self.routes is not None:
            self.routes.start()
        begin = getattr(self.gate, "begin", None)
        if begin is not None:
            begin()
        if self.on_start is not None:
            self.on_start()

    def drain(self) -> None:
        """Tell every client to connect anew, and those who ask that this one is no longer ready."""
        self.draining = True

    @property
    def busy(self) -> int:
        """Requests in work."""
        return len(self.watch.all)

    def _publish(self) -> None:
        now = self._clock()
        self.purges.look()
        if now - self._published[0] >= EVERY and self.metrics.changes != self._published[1]:
            self._published = (now, self.metrics.changes)
            self._write()

    def _write(self) -> None:
        gauges = {"fastcascade_in_flight": self.busy, "fastcascade_draining": int(self.draining)}
        place = int(self.worker) % self._board.places
        if not self._board.write(place, self.metrics.packed(self.worker, gauges)):
            self._board.write(place, self.metrics.packed(self.worker, gauges, whole=False))

    # One request.

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        path: str = scope.path
        routes = self.routes
        if scope.proto != "http":
            if routes is None:
                proto.close(404)
            else:
                await routes.socket(self, scope, proto)
        elif path in OWN:
            self._own.answer(scope, proto, path, draining=self.draining)
        elif routes is not None and path not in admin.CALLS and routes.mine(path):
            if (target := routes.at_once(self, scope, proto, path)) is not None:
                await routes.answer(self, target, scope, proto, path)
        elif len(self.watch.all) >= self.settings.limits.requests:
            self._full(scope, proto, path)
        else:
            await self._worked(scope, proto, path)

    async def _worked(self, scope: Any, proto: Any, path: str) -> None:
        headers = _joined(scope.headers.items())
        if spans.tracer is None:
            await self._work(scope, proto, path, headers)
            return
        with spans.tracer.begun(headers, served=True):
            await self._work(scope, proto, path, headers)

    async def _work(self, scope: Any, proto: Any, path: str, headers: dict[str, str]) -> None:
        work = Work(proto, path, self._clock())
        work.peer, work.here = scope.client, scope.server
        self.watch.all.add(work)
        response: Response | None = None
        try:
            if self.console is not None and (path == CONSOLE or path.startswith(f"{CONSOLE}/")):
                response = await self._shown(self.console, work, scope, headers)
            else:
                response = await self._answered(work, scope, headers)
            if told := getattr(work.caller, "told", ()):  # how much of its limits is left
                response.headers = [*response.headers, *told]
            if self.draining and scope.http_version[0] == "1":
                response.headers = [*response.headers, CLOSE]
            if response.pieces is None:
                proto.response_bytes(response.status, response.headers, response.body or b"")
            else:
                await self._streamed(work, response, response.pieces)
        except asyncio.CancelledError:
            if not work.cut:
                raise
            response = self._cut(work, headers, response)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is answered
            response = self._failed(work, headers, error)
        finally:
            self.watch.leave(work)
            self._over(work, scope.method, response, headers)

    async def _answered(self, work: Work, scope: Any, headers: dict[str, str]) -> Response:
        path, method = work.path, scope.method
        length = length_of(headers, framed=scope.http_version[0] != "1") if method in METHODS else 0
        caller: Caller = ANYONE
        if "origin" in headers or "content-encoding" in headers:
            why = unwelcome(headers, guarded=self.gate is not None or self.settings.allow_anyone)
            if why is not None:
                return refused(path, headers, *why, close=True)
        if self.gate is not None:
            work.layer = "guard"
            entered = self.gate.enter(headers, path, length)
            if not isinstance(entered, Caller):  # refused, or what it may use is decided elsewhere
                entered = entered if isinstance(entered, Response) else await entered
            if isinstance(entered, Response):
                return entered
            work.caller = caller = entered
        work.layer = "entry"
        body = await self._body(work, headers, length) if length else b""
        if isinstance(body, Response):
            return body
        work.layer = "match"
        if path in admin.CALLS:
            return await admin.answered(self.purges, method, body, guarded=self.gate is not None)
        asked = f"{path}?{scope.query_string}" if scope.query_string else path
        if self._replies is None or method != "POST" or "x-cascade-regenerate" in headers:
            return await self.endpoint.handle(method, asked, headers, body, caller)
        return await self._kept(work, self._replies, asked, headers, body, caller)

    async def _shown(self, console: "Console", work: Work, scope: Any, headers: dict[str, str]) -> Response:
        """A page of the console, or a call of one: those have credentials of their own."""
        work.layer, work.by = "match", "console"
        if scope.authority:  # HTTP/2 has no host header
            headers["host"] = scope.authority
        length = length_of(headers, framed=scope.http_version[0] != "1") if scope.method in METHODS else 0
        body = await self._body(work, headers, length, console.largest) if length else b""
        if isinstance(body, Response):
            return body
        return await console.handle(scope.method, work.path, scope.query_string, headers, body, work.peer)

    async def _body(
        self, work: Work, headers: dict[str, str], length: int, bound: int | None = None
    ) -> bytes | Response:
        most = self.settings.limits.body if bound is None else bound
        work.reading = True
        try:
            body = await read(work.proto, length, most)
        except TooLarge:
            return refused(work.path, headers, 413, f"the body is larger than {most} bytes", close=True)
        work.reading = False
        return body

    async def _kept(
        self, work: Work, replies: Replies, asked: str, headers: dict[str, str], body: bytes, caller: "Caller"
    ) -> Response:
        key = replies.key(caller, asked, headers, body)
        found = replies.find(key, headers)
        if found is not None:
            self.metrics.hits += 1
            kept, told = found
            work.layer, work.by, work.detail = "cache", "bytes", kept.tier
            return Response(200, told, kept.body)
        self.metrics.misses += 1
        purges = replies.purges
        response = await self.endpoint.handle("POST", asked, headers, body, caller)
        replies.keep(key, response, work.done, purges)
        return response

    async def _streamed(self, work: Work, response: Response, pieces: AsyncIterator[bytes]) -> None:
        try:
            work.stream = work.proto.response_stream(response.status, response.headers)
            paced = Paced(self.pace, work, work.stream.send_bytes)
            try:
                if isinstance(pieces, Streamed):
                    await pieces.pump(paced.send)
                    return
                async for piece in pieces:
                    if piece:
                        await paced.send(piece)
            finally:
                paced.end()
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    # Ends before the end.

    def _cut(self, work: Work, headers: dict[str, str], response: Response | None) -> Response:
        """Say what can still be said to one whose request was ended."""
        status, message = {
            "slow": (408, f"the body did not arrive in {self.settings.limits.reading:g} s"),
            "late": (504, f"the answer took longer than {self.settings.limits.whole or 0:g} s"),
            "drained": (503, "the server is being shut down; ask again"),
            "gone": (499, "the client has closed the connection"),
            "unread": (499, f"nothing of the answer was read for {self.settings.limits.idle:g} s"),
        }[work.cut]
        if work.cut != "gone":
            self._told(work, headers, status, message)
        return Response(status, response.headers if response is not None else [], b"")

    def _failed(self, work: Work, headers: dict[str, str], error: Exception) -> Response:
        """Answer though the gateway itself failed, or see that the client has gone."""
        if type(error).__name__ in ("RSGIProtocolClosed", "RSGIProtocolError"):  # known where there is a server alone
            work.cut = "gone"
            return Response(499, [], b"")
        _complain(f"a request to {work.path[:100]!r} failed", error)
        self._told(work, headers, 500, "something went wrong here")
        return Response(500, [], b"")

    def _told(self, work: Work, headers: dict[str, str], status: int, message: str) -> None:
        if work.stream is not None:
            work.stream.send_bytes(broken_off(work.path, message))
            return
        said = refused(work.path, headers, status, message, close=True)
        work.proto.response_bytes(said.status, said.headers, said.body or b"")

    def _full(self, scope: Any, proto: Any, path: str) -> None:
        retry = self.settings.limits.retry
        said = refused(path, dict(scope.headers.items()), 503, "all places are taken; try again later", retry=retry)
        self.tell(Decision("entry", "503", time.time(), 0.0, status=503, path=counted(path)))
        proto.response_bytes(said.status, said.headers, said.body or b"")

    def tell(self, event: Event) -> None:
        """Tell whoever listens here, and whoever listens in this process."""
        self.events.tell(event)
        if HUB.listeners and self.events is not HUB:
            HUB.tell(event)

    def _over(self, work: Work, method: str, response: Response | None, headers: dict[str, str]) -> None:
        """Tell of it, and let the caller go."""
        event = decided(work, method, headers, response, self._clock() - work.began)
        if work.by != "console":
            self.tell(event)
        elif self.settings.access_log:  # who looks at decisions makes none
            requests_log.hear(event)
        done, caller = work.done, work.caller
        if self.gate is not None and caller is not None:
            try:
                self.gate.leave(caller, done)
            except Exception as error:  # noqa: BLE001 - the answer is out already
                _complain("a gatekeeper failed to let go", error)


def _complain(what: str, error: Exception) -> None:
    """Log it by name alone: its words may hold what a client has sent."""
    log.error("%s: %s", what, type(error).__name__)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; what comes several times is a list."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]}, {value}" if name in found and name not in ONCE else value
    return found
