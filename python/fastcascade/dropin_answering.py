"""What a WSGI app answers, on its way out: counted, put down for the cache, or held back where another answer goes out.

The server's `start_response` is called when the first piece of the body is there, and not when the app calls ours: so
an app that fails in between can still be stood in for, which is what PEP 3333 has `exc_info` for.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from fastcascade.caching.http import HttpCache
from fastcascade.caching.http_records import Served, Token
from fastcascade.dropin_fallback import framed
from fastcascade.dropin_wsgi import StartResponse, Write, WsgiCall, decoded, encoded, line
from fastcascade.guards.guard import Ending, Headers

__all__ = ["Answering", "Body"]

MOST_KEPT: Final = 1 << 20


class Answering:
    """One answer on its way out: `start` is what the app is given as `start_response`."""

    def __init__(
        self,
        call: WsgiCall,
        start: StartResponse,
        cache: HttpCache | None = None,
        failing: frozenset[int] = frozenset(),
    ) -> None:
        """The answer to a call. `failing`: statuses that are held back for a fallback."""
        self._call = call
        self._start = start
        self._cache = cache
        self._failing = failing
        self._head: tuple[str, Headers, Any] | None = None
        self._write: Write | None = None
        self._kept: list[bytes] | None = None
        self._most = getattr(cache, "max_body", MOST_KEPT)
        self._size = 0
        self.token: Token | None = None
        """Of the cache, once it has been asked and had no answer."""
        self.held = False
        """Whether the app's failing answer was held back: the fallback's goes out."""
        self.served: Served | None = None
        """The cache's answer, where it goes out instead of the app's."""
        self.unsafe: Callable[[int, Any], object] | None = None
        """Told of the head of an answer to an unsafe method, before it goes out."""

    def start(self, status: str, headers: Headers, exc_info: Any = None) -> Write:
        """In the place of `start_response`."""
        if self._head is not None and exc_info is None:
            raise AssertionError("start_response was called twice without exc_info")
        if self.begun and exc_info is not None:
            raise exc_info[1]
        self._head = (status, list(headers), exc_info)
        return self.write

    @property
    def begun(self) -> bool:
        """Whether the head of an answer is out."""
        return self._write is not None

    @property
    def elsewhere(self) -> bool:
        """Whether another answer goes out: what the app still says goes nowhere."""
        return self.held or self.served is not None

    def write(self, data: bytes) -> None:
        """In the place of what `start_response` gives back."""
        self.flush()
        if self._write is not None:
            self.seen(data)
            self._write(data)

    def flush(self) -> None:
        """Send the app's head, unless another answer goes out."""
        if self.begun or self.elsewhere:
            return
        if self._head is None:
            raise AssertionError("the app gave a body before it called start_response")
        text, headers, exc_info = self._head
        status = int(text[:3])
        cache, token = self._cache, self.token
        if cache is not None and token is not None:
            self._instead(cache, token, status, headers)
            if self.served is not None:
                return
        if self.unsafe is not None:
            self.unsafe(status, encoded(headers))
        if status in self._failing:
            self.held = True
            return
        if cache is not None and token is not None:
            changed, wanted = cache.passed(token, status, encoded(headers))
            self._kept = [] if wanted else None
            headers = decoded(changed)
        self._out(text, headers, exc_info)

    def _instead(self, cache: HttpCache, token: Token, status: int, headers: Headers) -> None:
        if status == 304 and self._call.cache == "validate":
            self._call.cache = "revalidated"
            self.served = cache.freshened(token, encoded(headers))
        elif status >= 500:
            self.served = cache.failed(token, status)
            if self.served is not None:
                self._call.cache, self._call.degraded = "stale", "stale"

    def _out(self, status: str, headers: Headers, exc_info: Any = None) -> None:
        for edit in self._call._heads:  # noqa: SLF001 - the call is ours
            edit(int(status[:3]), headers)
        self._call.status = int(status[:3])
        self._write = self._start(status, headers, exc_info) if exc_info else self._start(status, headers)

    def seen(self, data: bytes) -> None:
        """Count a piece of the body, and put it down for the cache."""
        self._call.sent += len(data)
        if self._kept is not None:
            self._size += len(data)
            self._kept.append(data)
            if self._size > self._most:
                self._kept = None

    def broken(self) -> None:
        """The app has failed in the middle of its body."""
        self._call.broken = True

    def whole(self) -> None:
        """The body was seen to its end."""
        if self._kept is not None and self._cache is not None and self.token is not None and self._head is not None:
            status, headers, _ = self._head
            self._cache.store(self.token, int(status[:3]), encoded(headers), b"".join(self._kept))
        self._kept = None

    def rescued(self) -> bool:
        """After the app has failed without a word: whether a stale answer can go out instead."""
        if self.begun or self._cache is None or self.token is None:
            return False
        self.served = self._cache.failed(self.token, None)
        if self.served is not None:
            self._call.cache, self._call.degraded = "stale", "stale"
        return self.served is not None

    def serve(self, served: Served) -> list[bytes]:
        """Send an answer of the cache."""
        headers = decoded(served.headers)
        if self._call.degraded:
            headers.append(("x-cascade-degraded", self._call.degraded))
        self._out(line(served.status), headers)
        self._call.sent += len(served.body)
        return [served.body]

    def end(self, ending: Ending) -> list[bytes]:
        """Send an ending."""
        self._call.degraded = ending.degraded or self._call.degraded
        headers, body = framed(self._call, ending)
        self._out(line(ending.status), headers)
        self._call.sent += len(body)
        return [body]


class Body:
    """The rest of an app's body, piece by piece; `done` is called once, when it is over or given up."""

    def __init__(self, answering: Answering, result: Iterable[bytes]) -> None:
        """Of what an app gave back; nothing is read yet."""
        self._answering = answering
        self._result = result
        self._pieces: Iterator[bytes] | None = None
        self._first: bytes | None = None
        self._ended = False
        self.done: Callable[[bool], object] | None = None

    def prime(self) -> None:
        """Read up to the first piece: then the head is known, and an app that fails has failed."""
        self._pieces = iter(self._result)
        self._first = next(self._pieces, None)
        self._answering.flush()
        if self._first is None:
            self._finish()

    def _finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._answering.whole()

    def __iter__(self) -> Iterator[bytes]:
        """Itself."""
        return self

    def __next__(self) -> bytes:
        """The next piece."""
        piece, self._first = self._first, None
        if piece is None:
            piece = self._next()
        if piece is None:
            self._finish()
            raise StopIteration
        self._answering.seen(piece)
        return piece

    def _next(self) -> bytes | None:
        if self._ended or self._pieces is None:
            return None
        try:
            return next(self._pieces, None)
        except BaseException:
            self._answering.broken()
            raise

    def close(self) -> None:
        """Close what the app gave back."""
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        finally:
            done, self.done = self.done, None
            if done is not None:
                done(self._ended)
