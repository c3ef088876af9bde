"""The protocol of a guard: it sees a `Call`, and goes on or says what the request ends with.

    class Office:
        async def __call__(self, call, proceed):
            if not open_now():
                return Ending.text(503, "come back at nine")      # the app is never asked
            call.on_head(lambda status, headers: headers.append(("x-office", "open")))
            return await proceed()

What `proceed` gives back is what the request ended with further in: an `Ending` that has not been sent yet, and may be
changed or replaced, or None where the app's own answer is on its way already, piece by piece. A guard hands that on.
In WSGI it is the same without `async` and `await`.

A guard sees every request, also those that the cache will answer. One with the attribute `on_hits = False` is asked
only where the app would be: right for what costs time, wrong for what decides who may see an answer.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from fastcascade._core import Identity, Match

__all__ = ["Call", "Ending", "Guard", "Headers", "Proceed", "WsgiGuard", "WsgiProceed"]

Headers: TypeAlias = list[tuple[str, str]]
"""Names in lower case with their values, in order."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a request ends with when it is not the app that answers.

    Not to be changed in place, for the same one may be sent again: `dataclasses.replace` makes another.
    `degraded` says why, where this stands in for an answer that could not be had; it becomes `x-cascade-degraded`.
    """

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    degraded: str = ""
    wire: "list[tuple[bytes, bytes]] | None" = field(default=None, init=False, repr=False, compare=False)
    """The headers in bytes, once they have been sent: most refusals are one and the same object."""

    @classmethod
    def text(cls, status: int, text: str, headers: Mapping[str, str] | None = None) -> "Ending":
        """A plain text."""
        return cls(status, _headers("text/plain; charset=utf-8", headers), text.encode())

    @classmethod
    def json(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> "Ending":
        """A value as JSON."""
        return cls(status, _headers("application/json", headers), json.dumps(value, ensure_ascii=False).encode())


def _headers(content_type: str, more: Mapping[str, str] | None) -> Headers:
    named = {name.lower(): value for name, value in (more or {}).items()}
    return [*({"content-type": content_type} | named).items()]


class Call:
    """One request as guards see it, and what has come of it so far. Made by the middleware, never by hand."""

    kind: Literal["http", "websocket"] = "http"
    method: str
    """As it came; `GET` for a websocket."""
    path: str
    """Decoded, and without what the app is mounted under."""
    scope: MutableMapping[str, Any]
    """The ASGI scope, or the WSGI environ."""
    identity: Identity | None = None
    """Who asks, once a credential has proved it."""
    match: Match[Any] | None = None
    """The route, where there is a router and it knows the path."""
    public: bool = False
    """Whether this needs no credential: its answers may be shared by everybody."""
    owner: str = ""
    """Whose answer it is, beyond the identity: a guard that decides by something else who may see what (a session, a
    plan) writes it here, and the cache keeps the answers of each owner apart."""
    status: int = 0
    """What was answered; 0 until then."""
    sent: int = 0
    """Bytes of the answer's body so far."""
    cache: str = ""
    """What the cache did: hit, stale (what it had stood in), miss, validate (too old, and the app gave another),
    revalidated (too old, and the app said it still holds), bypass, gateway timeout; empty without one."""
    degraded: str = ""
    """Why the answer is not the app's own, where it stands in for one."""
    gone: bool = False
    """Whether the client went away before the end."""
    broken: bool = False
    """Whether the app failed once its answer had begun: the status was sent, and the rest was not."""
    went_on: bool = False
    """Whether the app, or the cache before it, was asked."""

    # What nobody has asked for is not made: these are shared, and replaced when first written.
    _heads: tuple[Callable[[int, Headers], object], ...] = ()
    _ends: tuple[Callable[["Call"], object], ...] = ()
    __hash__: ClassVar[Any] = object.__hash__

    def __init__(self, scope: MutableMapping[str, Any], method: str, path: str) -> None:
        """Of one request."""
        self.scope = scope
        self.method = method
        self.path = path

    def header(self, name: str) -> str:
        """A header of the request by its name in lower case; empty where it is not there."""
        raise NotImplementedError

    def lines(self, name: str) -> list[str]:
        """Every line of a header, in order."""
        value = self.header(name)
        return [value] if value else []

    @property
    def query(self) -> str:
        """What follows the question mark, as it came."""
        raise NotImplementedError

    @property
    def peer(self) -> str:
        """The address that the connection is from; empty where there is none, as on a Unix socket."""
        raise NotImplementedError

    @property
    def client(self) -> str:
        """The client's address: the peer's, or what trusted proxies say of it."""
        return self.peer

    @property
    def template(self) -> str:
        """The route's own text where one is known, else the path: fit for logs and metrics."""
        return self.path if self.match is None else self.match.route

    @property
    def request_id(self) -> str:
        """The request's id as its sender named it, for the log."""
        return self.header("x-request-id")

    def on_head(self, edit: Callable[[int, Headers], object]) -> None:
        """Have `edit(status, headers)` called before an answer goes out; it may change the headers in place.

        For guards: where there are none, and no cache, log or fallback, nobody looks at what the app answers.
        """
        self._heads = (*self._heads, edit)

    def on_end(self, tell: Callable[["Call"], object]) -> None:
        """Have `tell(call)` called when all is over, however it ended. For guards, as `on_head` is."""
        self._ends = (*self._ends, tell)

    def __repr__(self) -> str:
        """No header and no query: there may be secrets in them."""
        return f"<{type(self).__name__} {self.method} {self.path!r}>"


Proceed: TypeAlias = Callable[[], Awaitable[Ending | None]]
WsgiProceed: TypeAlias = Callable[[], Ending | None]


class Guard(Protocol):
    """What may end a request, or change what goes on, before an ASGI app."""

    async def __call__(self, call: Call, proceed: Proceed, /) -> Ending | None:
        """Go on with `return await proceed()`, or end the request with an `Ending`."""
        ...


class WsgiGuard(Protocol):
    """The same before a WSGI app."""

    def __call__(self, call: Call, proceed: WsgiProceed, /) -> Ending | None:
        """Go on with `return proceed()`, or end the request with an `Ending`."""
        ...
