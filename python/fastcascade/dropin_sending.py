"""What an ASGI app sends on its way out: counted, put down for the cache, or held back where another answer goes out.

`Sending` stands in the place of `send`. Each message goes on at once, the same object where nothing is to be changed;
a body that is wanted for the cache is noted beside that, and given up when it becomes too long or is sent as a file.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

from fastcascade.caching.http import HttpCache
from fastcascade.caching.http_records import Served, Token
from fastcascade.dropin_asgi import Message, Send, encoded
from fastcascade.dropin_fallback import framed
from fastcascade.guards.guard import Call, Ending

__all__ = ["Sending"]

Pairs: TypeAlias = Iterable[tuple[bytes, bytes]]
MOST_KEPT: Final = 1 << 20


def _length(headers: Pairs) -> int:
    """The length of a body that the server reads by itself."""
    said = next((value for name, value in headers if name.lower() == b"content-length"), b"")
    return int(said) if said.isdigit() else 0


async def _nothing() -> None:
    """What is held back is not sent."""


class Sending:
    """One answer on its way out."""

    __slots__ = (
        "_cache",
        "_call",
        "_changes",
        "_failing",
        "_head",
        "_kept",
        "_most",
        "_send",
        "_size",
        "asked",
        "begun",
        "held",
        "over",
        "settled",
        "stood_in",
        "token",
        "unsafe",
    )

    def __init__(
        self, call: Call, send: Send, cache: HttpCache | None = None, failing: frozenset[int] = frozenset()
    ) -> None:
        """The answer to a call. `failing`: statuses that are held back for a fallback."""
        self._call = call
        self._send = send
        self._cache = cache
        self._failing = failing
        self._head: tuple[int, Any] = (0, ())
        self._kept: list[bytes] | None = None
        self._size = 0
        self._most = getattr(cache, "max_body", MOST_KEPT)
        self.token: Token | None = None
        """Of the cache, once it has been asked and had no answer."""
        self.asked = False
        """Whether the app was asked."""
        self.begun = False
        """Whether the head of an answer is out."""
        self.over = False
        """Whether the whole is."""
        self.held = False
        """Whether the app's failing answer was held back: the fallback's goes out."""
        self.stood_in = False
        """Whether another answer is out: what the app still sends goes nowhere."""
        self.settled: Callable[[], object] | None = None
        """Called when it is known that nothing will be stored, or that it has been."""
        self.unsafe: Callable[[int, Any], object] | None = None
        """Told of the head of an answer to an unsafe method, before it goes out."""

    def __call__(self, message: Message) -> Awaitable[None]:
        """In the place of `send`."""
        kind = message["type"]
        if self.held or self.stood_in:
            return _nothing()
        if kind == "http.response.body":
            return self._body(message)
        if kind == "http.response.start":
            return self._start(message)
        if kind in {"http.response.pathsend", "http.response.zerocopysend"}:
            self._give_up()
            self._call.sent += _length(self._head[1]) if kind == "http.response.pathsend" else 0
            self.over = kind == "http.response.pathsend" or not message.get("more_body", False)
        return self._send(message)

    def _start(self, message: Message) -> Awaitable[None]:
        status = message["status"]
        headers = message.get("headers", ())
        if headers.__class__ is not list and headers.__class__ is not tuple:
            # Any iterable will do for the protocol, one that can be read but once among them.
            headers = [*headers]
            message = {**message, "headers": headers}
        self._head = (status, headers)
        cache, token = self._cache, self.token
        if cache is not None and token is not None:
            stand_in = self._instead(cache, token, status, headers)
            if stand_in is not None:
                return self.serve(stand_in)
        if self.unsafe is not None:
            self.unsafe(status, headers)
        if status in self._failing:
            self.held = True
            return _nothing()
        if cache is not None and token is not None:
            changed, wanted = cache.passed(token, status, headers)
            if wanted and not message.get("trailers", False):
                self._kept = []
            elif self.settled is not None:
                self.settled()
            message = {**message, "headers": [*changed]}
        if self._call._heads:  # noqa: SLF001 - the call is ours
            message = {**message, "headers": self._edited(status, message.get("headers", ()))}
        self._call.status = status
        self.begun = True
        return self._send(message) if cache is None or self.unsafe is None else self._after(cache, message)

    def _after(self, cache: HttpCache, message: Message) -> Awaitable[None]:
        return self._told(cache, message) if cache.telling else self._send(message)

    async def _told(self, cache: HttpCache, message: Message) -> None:
        """Send it once all know what it has changed: its client may ask another process next."""
        await cache.told()
        await self._send(message)

    def _instead(self, cache: HttpCache, token: Token, status: int, headers: Any) -> Served | None:
        """What the cache answers in the place of what the app has begun to say."""
        if status == 304 and self._call.cache == "validate":
            self._call.cache = "revalidated"
            served = cache.freshened(token, headers)
        elif status >= 500:
            found = cache.failed(token, status)
            if found is None:
                return None
            self._call.cache, self._call.degraded = "stale", "stale"
            served = found
        else:
            return None
        self.stood_in = True
        if self.settled is not None:
            self.settled()
        return served

    def _body(self, message: Message) -> Awaitable[None]:
        body = message.get("body", b"")
        more = message.get("more_body", False)
        self._call.sent += len(body)
        self.over = not more
        if self._kept is not None:
            self._keep(body, more=more)
        return self._send(message)

    def _keep(self, body: Any, *, more: bool) -> None:
        kept = self._kept
        if kept is None or self._cache is None or self.token is None:
            return
        self._size += len(body)
        if self._size > self._most:
            self._give_up()
            return
        if body:
            kept.append(bytes(body))
        if more:
            return
        self._kept = None
        status, headers = self._head
        self._cache.store(self.token, status, headers, b"".join(kept))
        if self.settled is not None:
            self.settled()

    def _give_up(self) -> None:
        if self._kept is not None and self.settled is not None:
            self.settled()
        self._kept = None

    def _edited(self, status: int, headers: Pairs) -> list[tuple[bytes, bytes]]:
        """The headers after those who asked to see them."""
        plain = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        for edit in self._call._heads:  # noqa: SLF001 - the call is ours
            edit(status, plain)
        return encoded(plain)

    async def rescued(self) -> bool:
        """After the app has failed without a word: whether a stale answer has gone out instead."""
        if self._cache is None or self.token is None:
            return False
        served = self._cache.failed(self.token, None)
        if served is None:
            return False
        self._call.cache, self._call.degraded = "stale", "stale"
        await self.serve(served)
        return True

    async def serve(self, served: Served) -> None:
        """Send an answer of the cache."""
        call = self._call
        headers: list[tuple[bytes, bytes]] | tuple[tuple[bytes, bytes], ...] = served.headers
        if call.degraded:
            headers = [*headers, (b"x-cascade-degraded", call.degraded.encode())]
        await self._whole(served.status, headers, served.body)

    async def end(self, ending: Ending) -> None:
        """Send an ending."""
        if ending.degraded:
            self._call.degraded = ending.degraded
        wire = ending.wire
        if wire is None:
            wire = encoded(framed(self._call, ending)[0])
            object.__setattr__(ending, "wire", wire)  # what is kept there follows from the rest
        body = b"" if self._call.method == "HEAD" or ending.status in {204, 304} else ending.body
        await self._whole(ending.status, wire, body)

    async def _whole(self, status: int, headers: Pairs, body: bytes) -> None:
        call = self._call
        call.status = status
        self.begun = True
        edited = self._edited(status, headers) if call._heads else [*headers]  # noqa: SLF001 - the call is ours
        await self._send({"type": "http.response.start", "status": status, "headers": edited})
        call.sent += len(body)
        self.over = True
        await self._send({"type": "http.response.body", "body": body})
