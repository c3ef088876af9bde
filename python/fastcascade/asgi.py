"""`CascadeMiddleware`: put it around any ASGI app, and requests meet the cache, the guards and the fallback first.

    app = CascadeMiddleware(app, keys=keys, limit=Quota(100, "minute"), cache=True, log=True, fallback="Back soon.")
    app.add_middleware(CascadeMiddleware, keys=keys)      # Starlette and FastAPI
    app.asgi_app = CascadeMiddleware(app.asgi_app)        # Quart

Litestar makes a middleware anew for each route: put this around it. CORS belongs outside, or refusals lack its headers.

A request takes this way: its path is looked at, its credential identified, its route found (`Front.gate`); guards of
yours; the cache; the limit (`Front.charge`); guards of yours with `on_hits = False`; the app; the fallback where that
has failed. An app finds the `Call` in `scope["fastcascade"]`.

Streams pass piece by piece, websockets are guarded before they are accepted and then left alone, the lifespan always.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, Unpack

from fastcascade import spans
from fastcascade.caching.http import HttpCache
from fastcascade.caching.http_records import Found
from fastcascade.dropin_asgi import (
    AsgiCall,
    Receive,
    Scope,
    Send,
    bodied,
    conditional,
    counting,
    left,
    nobody,
    turned_away,
    unsent,
    watching,
)
from fastcascade.dropin_fallback import given, log, once, told
from fastcascade.dropin_heard import begun
from fastcascade.dropin_parts import SAFE, Parts, Settings
from fastcascade.dropin_refresh import Flights, Refreshes
from fastcascade.dropin_sending import Sending
from fastcascade.guards.guard import Ending, Guard
from fastcascade.telemetry.events import HUB

__all__ = ["CascadeMiddleware"]

App: TypeAlias = Callable[..., Awaitable[None]]
"""An ASGI app. Each framework has types of its own for the three that it is called with."""


class CascadeMiddleware:
    """Stands before an ASGI app; `Settings` says what it can be told."""

    def __init__(self, app: App, **settings: Unpack[Settings[Guard]]) -> None:
        """Around an app."""
        self.app = app
        self._parts = parts = Parts[Guard](app, **settings)
        self._front = parts.front
        self._together = parts.front.together
        self._bare = parts.bare
        self._refreshes = Refreshes()
        self._flights = Flights() if parts.single_flight else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One connection."""
        kind = scope["type"]
        if kind == "http":
            call = AsgiCall(scope, self._parts.proxies)
            if not self._bare or HUB.listeners:
                if spans.tracer is None:
                    await self._seen(call, receive, send)
                    return
                with spans.tracer.begun(spans.told(call.header), served=True):
                    await self._seen(call, receive, send)
                return
            ending = self._front.admit(call)
            if ending is None and self._together is not None:
                ending = await self._together.charge(call)
            if ending is not None:
                await Sending(call, send).end(ending)
                return
            # The app's own scope, and no copy: what stands outside reads there which route was taken.
            scope["fastcascade"] = call
            await self.app(scope, receive, send)
        elif kind == "websocket":
            await self._websocket(AsgiCall(scope, self._parts.proxies), receive, send)
        elif kind == "lifespan" or self._front.keys is None:
            await self.app(scope, receive, send)
        else:
            msg = f"a connection of type {kind} cannot be guarded, and is not let through"
            raise ValueError(msg)

    async def _seen(self, call: AsgiCall, receive: Receive, send: Send) -> None:
        """A request of which there is something to see on its way out."""
        parts, within = self._parts, "fastcascade" in call.scope
        call.scope["fastcascade"] = call
        sending = Sending(call, send, parts.cache, parts.failing)
        access = parts.log if parts.log is not None and parts.log.wanted() else None
        started = time.perf_counter() if access is not None else 0.0
        outer = begun(within=within)
        if access is not None or outer is not None:
            receive = watching(call, receive, lambda: sending.over)
        try:
            ending = self._front.gate(call)
            if ending is None:
                if parts.outer:
                    ending = await self._chain(parts.outer, call, partial(self._cached, call, receive, sending))
                else:
                    ending = await self._cached(call, receive, sending)
            answered = sending.begun or (sending.asked and not sending.held)
            ending = given(ending, answered=answered)
            if ending is not None and not sending.begun:
                await sending.end(ending)
        except asyncio.CancelledError:
            call.gone = not sending.over
            raise
        except Exception as error:
            if sending.begun or parts.fallback is None:
                call.gone = sending.begun and not sending.over and left(error)
                call.broken = sending.begun and not call.gone
                call.status = call.status or 500
                raise
            log.exception("a guard or the cache has failed; the fallback answers")
            await sending.end(await parts.fallback.amade(call, error))
        finally:
            told(call)
            if access is not None:
                access.write(call, started)
            if outer is not None:
                outer.end(call)

    async def _chain(
        self, guards: Sequence[Guard], call: AsgiCall, last: Callable[[], Awaitable[Ending | None]]
    ) -> Ending | None:
        """Guards around what comes last."""
        if not guards:
            return await last()
        return await guards[0](call, partial(self._chain, guards[1:], call, last))

    async def _cached(self, call: AsgiCall, receive: Receive, sending: Sending) -> Ending | None:
        """The cache, and behind it the app."""
        call.went_on = True
        once(begun=sending.begun)
        cache = self._parts.cache
        if cache is None:
            ending = self._front.charge(call) if self._together is None else await self._together.charge(call)
            if ending is not None:
                return ending
            if not self._parts.inner:
                return await self._ask(call, call.scope, receive, sending)
            return await self._guarded(call, call.scope, receive, sending)
        found = self._look(cache, call)
        if found.kind == "hit" and found.response is not None:
            await sending.serve(found.response)
            return None
        if cache.levels is not None:
            return await self._further(cache, call, found, receive, sending)
        flights = self._flights
        if flights is not None and found.kind == "miss" and call.method == "GET":
            if await flights.joined(found.token.key):
                found = self._look(cache, call)
            else:
                sending.settled = flights.lead(found.token.key)
        try:
            return await self._found(cache, call, found, receive, sending)
        finally:
            if sending.settled is not None:
                sending.settled()

    async def _further(
        self, cache: HttpCache, call: AsgiCall, found: Found, receive: Receive, sending: Sending
    ) -> Ending | None:
        """What is not in memory: others may have it, or be about to."""
        found = await cache.further(found)
        call.cache = found.kind
        if found.kind == "stale":  # what is fetched anew behind its answer is over later
            return await self._found(cache, call, found, receive, sending)
        sending.settled = partial(cache.let_go, found.token)
        try:
            return await self._found(cache, call, found, receive, sending)
        finally:
            cache.release(found.token)

    def _look(self, cache: HttpCache, call: AsgiCall) -> Found:
        scope = call.scope
        found = cache.find(
            call.method,
            call.target,
            scope["headers"],
            self._front.owner(call),
            scheme=scope.get("scheme", "http"),
        )
        call.cache = found.kind
        return found

    async def _found(
        self, cache: HttpCache, call: AsgiCall, found: Found, receive: Receive, sending: Sending
    ) -> Ending | None:
        """Answer from the cache, or ask the app and let the cache see what it says."""
        if found.response is not None:
            if found.kind == "stale" and cache.lead(found.token):
                self._refreshes.begin(partial(self._refreshed, cache, call, found), partial(cache.release, found.token))
            await sending.serve(found.response)
            return None
        ending = self._front.charge(call) if self._together is None else await self._together.charge(call)
        if ending is not None:
            return ending
        sending.token = found.token
        if found.token.keep:
            receive = bodied(found.token, receive)
        scope = conditional(call.scope, found) if found.kind == "validate" else call.scope
        if call.method not in SAFE:
            sending.unsafe = partial(
                cache.invalidated,
                call.method,
                call.target,
                scheme=scope.get("scheme", "http"),
                host=call.header("host"),
            )
        return await self._guarded(call, scope, receive, sending)

    async def _guarded(self, call: AsgiCall, scope: Scope, receive: Receive, sending: Sending) -> Ending | None:
        return await self._chain(self._parts.inner, call, partial(self._ask, call, scope, receive, sending))

    async def _ask(self, call: AsgiCall, scope: Scope, receive: Receive, sending: Sending) -> Ending | None:
        """The app; and what stands in for it where it fails."""
        fallback = self._parts.fallback
        once(begun=sending.begun)
        sending.asked = True
        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if sending.stood_in or sending.held:
                log.exception("the app has failed; another answer stands in")
            elif sending.begun:
                raise
            elif await sending.rescued():
                log.exception("the app has failed; a stale answer stands in")
            elif fallback is None:
                raise
            else:
                log.exception("the app has failed; the fallback answers")
                return await fallback.amade(call, error)
        if fallback is not None and (sending.held or not (sending.begun or call.gone)):
            return await fallback.amade(call, None)
        return None

    async def _refreshed(self, cache: HttpCache, call: AsgiCall, found: Found) -> None:
        """Fetch a stale answer anew, for the cache alone."""
        scope = {**conditional(call.scope, found), "extensions": {}}  # the answer is to be kept, not sent as a file
        again = AsgiCall(scope, self._parts.proxies)
        again.identity, again.match, again.public, again.owner = call.identity, call.match, call.public, call.owner
        again.cache = "validate" if found.conditions else "miss"
        scope["fastcascade"] = again
        sending = Sending(again, unsent, cache)
        sending.token = found.token
        await self._chain(self._parts.inner, again, partial(self.app, scope, nobody(), sending))

    async def _websocket(self, call: AsgiCall, receive: Receive, send: Send) -> None:
        """Refused before it is accepted, or left alone."""
        call.kind = "websocket"
        parts = self._parts
        access = parts.log if parts.log is not None and parts.log.wanted() else None
        started = time.perf_counter() if access is not None else 0.0
        call.scope["fastcascade"] = call

        async def ask() -> Ending | None:
            call.went_on = True
            await self.app(call.scope, receive, send if access is None else counting(call, send))
            return None

        try:
            ending = self._front.admit(call)
            if ending is None and self._together is not None:
                ending = await self._together.charge(call)
            if ending is None:
                ending = given(await self._chain((*parts.outer, *parts.inner), call, ask), answered=call.went_on)
            if ending is not None and not call.went_on:
                await turned_away(call, ending, receive, send)
        finally:
            told(call)
            if access is not None:
                access.write(call, started)
