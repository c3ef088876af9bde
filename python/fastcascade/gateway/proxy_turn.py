"""One request that an app answers: let in, sent on, and its answer given back. It ends early as the APIs' do."""

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastcascade import spans
from fastcascade.backends.direct_parse import LinkError
from fastcascade.gateway.proxy_answer import Kept, cut, passed_back
from fastcascade.gateway.proxy_cache import pairs_of
from fastcascade.gateway.proxy_forward import Answered, Forward, Unanswered
from fastcascade.gateway.proxy_headers import HOST, Framing, Onward, Refused, back, onward, target
from fastcascade.gateway.proxy_said import CUT, address, counted, let_in, said
from fastcascade.gateway.proxy_upload import Upload
from fastcascade.gateway.work import Work
from fastcascade.guards.limits import bucket_of
from fastcascade.wire.endpoint import ANYONE, Caller, Response
from fastcascade.wire.endpoint_fields import id_of

if TYPE_CHECKING:
    from fastcascade.caching.http_records import Found, Served
    from fastcascade.gateway.app import Gateway
    from fastcascade.gateway.proxy import Routes
    from fastcascade.gateway.proxy_table import Target

__all__ = ["Turn"]

Pairs = list[tuple[str, str]]

AT_HAND: Final = 1 << 16
"""Bytes of a body that are read before it is sent, so that it can be sent again."""
SELDOM: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
"""Methods whose requests hardly have a body, though HTTP/2 does not say that they have none."""
CLOSE: Final = ("connection", "close")
log: Final = logging.getLogger("fastcascade")


class Turn:
    """One request.

    Args:
        routes: whose it is.
        gateway: where it came in.
        target: where it goes.
        scope: what the server says of it.
        proto: what the server gives to answer with.
        path: its path.
    """

    __slots__ = (
        "_answered",
        "_guarded",
        "_id",
        "_instance",
        "_kept",
        "_status",
        "gateway",
        "pairs",
        "path",
        "peer",
        "proto",
        "routes",
        "scope",
        "sent",
        "target",
        "work",
    )

    def __init__(
        self, routes: "Routes", gateway: "Gateway", target: "Target", scope: Any, proto: Any, path: str
    ) -> None:
        """Take it into work."""
        self.routes, self.gateway, self.target = routes, gateway, target
        self.scope, self.proto, self.path = scope, proto, path
        self.work = work = Work(proto, path, gateway.watch.clock())
        work.peer, work.here = scope.client, scope.server
        self.pairs: Pairs = scope.headers.items()
        self.peer = address(work.peer)
        self.sent: Onward
        self._answered: Answered | None = None
        self._status, self._id, self._instance = 500, "", ""
        self._kept = False  # whether what went out was kept
        self._guarded = target.told.guard and gateway.gate is not None
        gateway.watch.all.add(work)

    async def run(self) -> None:
        """Answer it."""
        if spans.tracer is None:
            await self._run()
            return
        with spans.tracer.begun(dict(self.pairs), served=True):
            await self._run()

    async def _run(self) -> None:
        work = self.work
        try:
            await self._let_in()
        except Refused as refusal:
            self._refuse(refusal)
        except asyncio.CancelledError:
            if not work.cut:
                raise
            await self._ended(*CUT[work.cut])
        except LinkError:
            self._refuse(Refused(502, "the answer of the server behind broke off"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is answered
            await self._failed(error)
        finally:
            self.gateway.watch.leave(work)
            self._over()

    # In.

    async def _let_in(self) -> None:
        gateway, told, scope = self.gateway, self.target.told, self.scope
        self.sent = onward(self.pairs, scope.http_version, guarded=self._guarded, drop=self.target.drop_out)
        frame = self.sent.frame
        if told.body is not None and frame.length is not None and frame.length > told.body:
            raise Refused(413, f"the body is larger than {told.body} bytes")
        caller: Caller = ANYONE
        if told.guard:
            if gateway.gate is None:
                raise Refused(503, "this takes a key, and nobody can look at it")
            entered = await let_in(gateway.gate, dict(self.pairs), self.path)
            if isinstance(entered, Response):
                self._status = entered.status
                self.proto.response_bytes(entered.status, entered.headers, entered.body or b"")
                return
            self.work.caller = caller = entered
        if self.target.limiter is not None:
            bucket = (
                f"key {caller.name}"
                if self._guarded
                else bucket_of(None, self.routes.asker.client(self.peer, self.sent.old))
            )
            if wait := await self.target.wait(bucket):
                raise Unanswered(429, "too many requests", wait)
        if self.target.fixed is not None:
            self._status, fixed, body = self.target.fixed
            self.proto.response_bytes(self._status, self._with_told(fixed), body)
            return
        await self._asked(caller)

    # On, and back.

    async def _asked(self, caller: "Caller") -> None:
        target_, scope, pool = self.target, self.scope, self.target.pool
        if pool is None or target_.times is None or scope.method == "CONNECT":
            raise Refused(501, "tunnels are not made here")
        at = target(target_.rewritten(self.path), scope.query_string)
        lines, old, _ = self.sent
        host = scope.authority or old.get("host", "")
        if host and HOST.fullmatch(host) is None:
            raise Refused(400, "the host of the request is none")
        self._id = id_of(old)
        cache, found = target_.cache, None
        if cache is not None:
            whose = f"{caller.tenant} {caller.name}" if self._guarded else ""
            found = cache.find(scope.method, at, self.pairs, whose, scope.scheme, host)
            if found.kind != "hit":
                found = await cache.further(found)
            # What may be sent stale is, unless it falls to this one to ask anew.
            if found.response is not None and (found.kind != "stale" or found.token.lead is None):
                return self._served(found.response)
            if found.kind == "stale" or found.conditions:
                lines = [each for each in lines if not each.startswith(("if-none-match:", "if-modified-since:"))]
                lines += [f"{name}: {value}\r\n" for name, value in pairs_of(found.conditions)]
        try:
            return await self._passed_on(lines, at, host, found)
        finally:
            if cache is not None and found is not None:
                cache.over(found)

    async def _passed_on(self, lines: list[str], at: str, host: str, found: "Found | None") -> None:
        """Ask the app, and give its answer back."""
        target_, scope, pool, cache = self.target, self.scope, self.target.pool, self.target.cache
        if pool is None or target_.times is None:
            raise AssertionError("looked at before")
        _, old, frame = self.sent
        lines.append(self.routes.asker.lines(self.peer, scope.scheme, host, old))
        lines.append(f"x-request-id: {self._id}\r\n{target_.out}")
        body, upload = await self._body(frame)
        told_host = host if pool.told.host == "client" and host else ""
        forward = Forward(pool, target_.times, scope.method, at, "".join(lines), told_host, body, upload)
        try:
            self._answered = answered = await forward.answer()
        except Unanswered:
            if cache is not None and found is not None and (stale := cache.failed(found, None)) is not None:
                return self._served(stale)
            raise
        self._instance, self._status = answered.instance.name, answered.head.status
        await self._given(answered, found, at, host)
        return None

    async def _body(self, frame: Framing) -> tuple[bytes, Upload | None]:
        """The whole body, where it is short; else what sends it on."""
        length, most, proto = frame.length, self.target.told.body, self.proto
        if length == 0:
            return b"", None
        if length is not None and length <= AT_HAND:
            self.work.reading = True
            body: bytes = await proto()
            self.work.reading = False
            if len(body) != length:
                raise Refused(400, "the body of the request broke off")
            return body, None
        if length is None and self.scope.http_version[0] != "1" and self.scope.method in SELDOM:
            pieces = [piece async for piece in proto if piece]
            whole = b"".join(pieces)
            if len(whole) > AT_HAND:
                raise Refused(413, "the body is too large for this method")
            return whole, None
        return b"", Upload(proto, length, most, sure=self.scope.http_version[0] == "1" and not frame.trailers)

    async def _given(self, answered: Answered, found: "Found | None", at: str, host: str) -> None:
        """Give an answer back, and keep it where it may be."""
        target_, scope, cache = self.target, self.scope, self.target.cache
        theirs = answered.head.fields.all()
        kept: Kept | None = None
        told = original = back(theirs, drop=target_.drop_back)
        if cache is not None and found is not None:
            await cache.invalidated(scope.method, at, self._status, theirs, scope.scheme, host)
            stands_in = None
            if self._status == 304 and found.conditions:
                stands_in = cache.freshened(found, told)
            elif self._status in (answered.pool.failing | {500}):
                stands_in = cache.failed(found, self._status)
            if stands_in is not None:
                return self._served(stands_in)
            told, wanted = cache.passed(found, self._status, original)
            kept = Kept(cache.most, partial(cache.let_go, found)) if wanted else None
        told += target_.back
        if "x-request-id:" not in answered.head.fields.low:
            told.append(("x-request-id", self._id))
        elif theirs_id := answered.head.fields.first("x-request-id"):
            self._id = theirs_id  # the log has the one that the client sees
        if answered.pool.told.tell:
            told.append(("x-cascade-instance", f"{answered.pool.name}/{answered.instance.name}"))
        await passed_back(self.gateway.pace, self.work, answered, scope.method, self._with_told(told), kept)
        if kept is not None and cache is not None and found is not None and (body := kept.body) is not None:
            cache.store(found, self._status, original, body)
        return None

    def _served(self, served: "Served") -> None:
        """Give an answer that was kept."""
        self._status, self._kept = served.status, True
        told = [*pairs_of(served.headers), *self.target.back, ("x-request-id", self._id)]
        send = self.proto.response_empty if self.scope.method == "HEAD" else self.proto.response_bytes
        more = () if self.scope.method == "HEAD" else (served.body,)
        send(served.status, self._with_told(told), *more)

    def _with_told(self, headers: Pairs) -> Pairs:
        """With how much of its limits is left, and the wish to be left where this worker takes leave."""
        if more := getattr(self.work.caller, "told", ()):
            headers = [*headers, *more]
        if self.gateway.draining and self.scope.http_version[0] == "1":
            headers = [*headers, CLOSE]
        return headers

    # Ends.

    def _refuse(self, refusal: Refused) -> None:
        self._status = refusal.status
        more: Pairs = [("x-request-id", self._id)] if self._id else []
        wait = getattr(refusal, "wait", None)
        if wait is not None:
            more.append(("retry-after", f"{max(1, round(wait + 0.5))}"))
        if refusal.status in (400, 408, 413, 417, 501) and self.scope.http_version[0] == "1":
            more.append(CLOSE)  # what is left of the request is nobody's
        if refusal.status != 499:
            said(self.proto, refusal.status, refusal.message, more)

    async def _ended(self, status: int, message: str) -> None:
        """It was ended early: what can still be said is."""
        self._status = status
        if self.work.stream is not None:
            answered = self._answered
            await cut(self.work, known=answered is not None and answered.link.length is not None)
        elif message:
            said(self.proto, status, message, [CLOSE] if self.scope.http_version[0] == "1" else [])

    async def _failed(self, error: Exception) -> None:
        if type(error).__name__ in ("RSGIProtocolClosed", "RSGIProtocolError"):  # known where there is a server alone
            self.work.cut, self._status = "gone", 499
            return
        log.error("a request to %r failed: %s", self.path[:100], type(error).__name__)
        await self._ended(500, "something went wrong here")

    def _over(self) -> None:
        gateway, answered = self.gateway, self._answered
        self._answered = None
        pool = self.target.pool.name if self.target.pool is not None else ""
        if answered is not None:
            answered.end()
        seconds = gateway.watch.clock() - self.work.began
        parent = next((value for name, value in self.pairs if name == "traceparent"), "")
        counted(
            gateway,
            self.target.name,
            self._status,
            seconds,
            pool,
            self._instance,
            layer="cache" if self._kept else None,
            method=self.scope.method,
            request_id=self._id,
            work=self.work,
            parent=parent,
        )
        if gateway.gate is not None and self.work.caller is not None:
            gateway.gate.leave(self.work.caller, None)
