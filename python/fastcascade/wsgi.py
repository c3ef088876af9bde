"""`WsgiMiddleware`: what `CascadeMiddleware` does, around any WSGI app.

    app.wsgi_app = WsgiMiddleware(app.wsgi_app, keys=keys, limit=Quota(100, "minute"))      # Flask
    application = WsgiMiddleware(get_wsgi_application(), cache=True)                        # Django

The way of a request and the settings are the same; guards are plain functions, and a stale answer is fetched anew in a
thread. An app finds the `Call` in `environ["fastcascade.call"]`.
"""

import io
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from inspect import iscoroutinefunction
from threading import BoundedSemaphore, Thread
from typing import Any, Final, TypeAlias, Unpack

from fastcascade import spans
from fastcascade.caching.http import HttpCache
from fastcascade.caching.http_records import Found
from fastcascade.dropin_answering import Answering, Body
from fastcascade.dropin_fallback import given, log, once, told
from fastcascade.dropin_heard import Outer, begun
from fastcascade.dropin_parts import SAFE, Parts, Settings
from fastcascade.dropin_wsgi import Environ, StartResponse, WsgiCall, conditional
from fastcascade.errors import ConfigError
from fastcascade.guards.guard import Call, Ending, WsgiGuard
from fastcascade.telemetry.events import HUB

__all__ = ["WsgiMiddleware"]

App: TypeAlias = Callable[..., Iterable[bytes]]
REFRESHES: Final = 4
"""Stale answers fetched anew at once: each takes a thread."""


class WsgiMiddleware:
    """Stands before a WSGI app; `Settings` says what it can be told."""

    def __init__(self, app: App, **settings: Unpack[Settings[WsgiGuard]]) -> None:
        """Around an app."""
        self.app = app
        self._parts = parts = Parts[WsgiGuard](app, **settings)
        for guard in parts.outer + parts.inner:
            if iscoroutinefunction(guard) or iscoroutinefunction(type(guard).__call__):
                raise ConfigError(f"guard {guard!r} is async, and WSGI awaits nothing: take a plain function")
        if parts.single_flight:
            raise ConfigError("single_flight=True is for ASGI: in WSGI each request that waits holds a thread")
        if parts.cache is not None and parts.cache.levels is not None:
            raise ConfigError("an HttpCache with levels is for ASGI: WSGI has no event loop to ask them in")
        self._front = parts.front
        self._bare = parts.bare
        self._refreshes = BoundedSemaphore(REFRESHES)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        call, within = WsgiCall(environ, self._parts.proxies), "fastcascade.call" in environ
        environ["fastcascade.call"] = call
        if not self._bare or HUB.listeners:
            if spans.tracer is None:
                return self._seen(call, start_response, within=within)
            with spans.tracer.begun(spans.told(call.header), served=True).within():
                return self._seen(call, start_response, within=within)
        ending = self._front.gate(call)
        if ending is None:
            ending = self._charged(call)
        if ending is not None:
            return Answering(call, start_response).end(ending)
        return self.app(environ, start_response)

    def _seen(self, call: WsgiCall, start_response: StartResponse, *, within: bool) -> Iterable[bytes]:
        """A request of which there is something to see on its way out."""
        parts = self._parts
        answering = Answering(call, start_response, parts.cache, parts.failing)
        started = time.perf_counter()
        outer = begun(within=within)
        if outer is not None:
            call.on_end(partial(_over, outer, spans.current()))
        bodies: list[Iterable[bytes]] = []
        try:
            ending = self._front.gate(call)
            if ending is None:
                ending = self._chain(parts.outer, call, partial(self._cached, call, answering, bodies))
            ending = given(ending, answered=answering.begun or answering.served is not None)
        except Exception as error:
            _dropped(bodies)
            if answering.begun or parts.fallback is None:
                call.status = call.status or 500
                self._over(call, started)
                raise
            log.exception("a guard or the cache has failed; the fallback answers")
            ending = parts.fallback.made(call, error)
        if ending is not None and not answering.begun:
            _dropped(bodies)
            bodies = [answering.end(ending)]
        elif answering.served is not None and not answering.begun:
            _dropped(bodies)
            bodies = [answering.serve(answering.served)]
        result = bodies[-1] if bodies else []
        if isinstance(result, Body):
            result.done = partial(self._ended, call, started)
        else:
            self._over(call, started)
        return result

    def _charged(self, call: WsgiCall) -> Ending | None:
        """Whether it is not too often. Where the limit is shared this thread waits for the loop behind plain code."""
        together = self._front.together
        if together is None:
            return self._front.charge(call)
        from fastcascade.background import result  # noqa: PLC0415 - asyncio, for those who share a limit

        return result(together.charge(call))

    def _ended(self, call: WsgiCall, started: float, whole: bool) -> None:  # noqa: FBT001 - told by `Body`
        call.gone = not whole and not call.broken
        self._over(call, started)

    def _over(self, call: WsgiCall, started: float) -> None:
        told(call)
        if self._parts.log is not None:
            self._parts.log.write(call, started)

    def _chain(self, guards: Sequence[WsgiGuard], call: WsgiCall, last: Callable[[], Ending | None]) -> Ending | None:
        """Guards around what comes last."""
        if not guards:
            return last()
        return guards[0](call, partial(self._chain, guards[1:], call, last))

    def _cached(self, call: WsgiCall, answering: Answering, bodies: list[Iterable[bytes]]) -> Ending | None:
        """The cache, and behind it the app."""
        call.went_on = True
        once(begun=answering.begun)
        cache = self._parts.cache
        environ = call.scope
        if cache is not None:
            owner = self._front.owner(call)
            found = cache.find(call.method, call.target, call.headers, owner, scheme=call.scheme)
            call.cache = found.kind
            if found.response is not None:
                if found.kind == "stale" and cache.lead(found.token):
                    self._refresh(cache, call, found)
                answering.served = found.response
                return None
            answering.token = found.token
            if found.kind == "validate":
                environ = conditional(environ, found)
            if call.method not in SAFE:
                answering.unsafe = partial(
                    cache.invalidated, call.method, call.target, scheme=call.scheme, host=call.header("host")
                )
        ending = self._charged(call)
        if ending is not None:
            return ending
        return self._chain(self._parts.inner, call, partial(self._ask, call, environ, answering, bodies))

    def _ask(
        self, call: WsgiCall, environ: Environ, answering: Answering, bodies: list[Iterable[bytes]]
    ) -> Ending | None:
        """The app; and what stands in for it where it fails."""
        fallback = self._parts.fallback
        once(begun=answering.begun)
        try:
            bodies.append(_begun(self.app(environ, answering.start), answering, environ, bodies))
        except Exception as error:
            if answering.begun:
                raise
            if answering.elsewhere or answering.rescued():
                log.exception("the app has failed; another answer stands in")
            elif fallback is None:
                raise
            else:
                log.exception("the app has failed; the fallback answers")
                return fallback.made(call, error)
        if fallback is not None and answering.held:
            return fallback.made(call, None)
        return None

    def _refresh(self, cache: HttpCache, call: WsgiCall, found: Found) -> None:
        """Fetch a stale answer anew in a thread, unless enough of them are at it."""
        if not self._refreshes.acquire(blocking=False):
            cache.release(found.token)
            return

        def fetched() -> None:
            try:
                self._refreshed(cache, call, found)
            except Exception:  # noqa: BLE001 - an app may raise anything, and nobody waits for this
                log.exception("a stale answer could not be fetched anew")
            finally:
                cache.release(found.token)
                self._refreshes.release()

        Thread(target=fetched, name="fastcascade-refresh", daemon=True).start()

    def _refreshed(self, cache: HttpCache, call: WsgiCall, found: Found) -> None:
        environ = conditional(call.scope, found)
        environ.update({"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "", "wsgi.multithread": True})
        environ.pop("wsgi.file_wrapper", None)  # the answer is to be kept, not sent as a file
        again = WsgiCall(environ, self._parts.proxies)
        again.identity, again.match, again.public, again.owner = call.identity, call.match, call.public, call.owner
        again.cache = "validate" if found.conditions else "miss"
        environ["fastcascade.call"] = again
        answering = Answering(again, _unsent, cache)
        answering.token = found.token

        def ask() -> Ending | None:
            body = Body(answering, self.app(environ, answering.start))
            try:
                body.prime()
                for _ in body:
                    pass
            finally:
                body.close()
            return None

        self._chain(self._parts.inner, again, ask)


def _begun(
    result: Iterable[bytes], answering: Answering, environ: Environ, bodies: list[Iterable[bytes]]
) -> Iterable[bytes]:
    """What an app gave back, read to its first piece, so that its head is known."""
    wrapper: Any = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type) and isinstance(result, wrapper):
        answering.flush()  # the server sends the file by itself, and must be given this very object
        return result
    body = Body(answering, result)
    bodies.append(body)
    body.prime()
    return body


def _dropped(bodies: list[Iterable[bytes]]) -> None:
    """Close what is not sent."""
    for body in bodies[-1:]:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def _unsent(*_: Any) -> Callable[[bytes], object]:
    """The `start_response` of an answer that nobody waits for."""
    return len


def _over(outer: Outer, trail: spans.Trail | None, call: Call) -> None:
    """A request is over, maybe long after its app has returned, and wherever its body was read."""
    with spans.within(trail):
        outer.end(call)
