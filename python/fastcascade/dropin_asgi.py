"""The alphabet of ASGI: a request as its scope tells of it, and the messages that stand around one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote

from fastcascade.caching.http_records import Found, Token
from fastcascade.dropin_fallback import framed
from fastcascade.guards.guard import Call, Ending
from fastcascade.guards.limits import Proxies

__all__ = [
    "AsgiCall",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "bodied",
    "conditional",
    "counting",
    "left",
    "nobody",
    "turned_away",
    "unsent",
    "watching",
]

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
REPLACED: Final = frozenset({b"if-none-match", b"if-modified-since"})


class AsgiCall(Call):
    """A request as ASGI tells of it."""

    _client: str | None = None

    def __init__(self, scope: Scope, proxies: Proxies | None = None) -> None:
        """Of a scope."""
        self.scope = scope
        self._proxies = proxies
        self.method = scope.get("method", "GET")
        path: str = scope["path"]
        self._root = root = scope.get("root_path", "")
        if root and path.startswith(root) and path[len(root) :][:1] in {"", "/"}:
            path = path[len(root) :] or "/"
        self.path = path

    def header(self, name: str) -> str:
        """The first of that name, as frameworks read it. Looked through each time: a dict of all costs more."""
        wanted = name.encode("latin-1")
        for found, value in self.scope["headers"]:
            if found == wanted:
                return str(value, "latin-1")
        return ""

    def lines(self, name: str) -> list[str]:
        """Every line of a header, in order."""
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for found, value in self.scope["headers"] if found == wanted]

    @property
    def query(self) -> str:
        """What follows the question mark, as it came."""
        query: bytes = self.scope.get("query_string", b"")
        return query.decode("latin-1")

    @property
    def peer(self) -> str:
        """The address that the connection is from."""
        client = self.scope.get("client")
        return client[0] or "" if client else ""

    @property
    def client(self) -> str:
        """The client's address, behind proxies that are trusted."""
        if self._client is None:
            self._client = self.peer if self._proxies is None else self._proxies.client(self, self.peer)
        return self._client

    @property
    def template(self) -> str:
        """The route of our router, or of the framework where it has left one in the scope."""
        if self.match is not None:
            return self.match.route
        known = self.scope.get("path_template") or getattr(self.scope.get("route"), "path", None)
        if not isinstance(known, str) or not known:
            return self.path
        root: str = self.scope.get("root_path", "")  # what a route is mounted under was added on the way to it
        return root.removeprefix(self._root) + known

    @property
    def target(self) -> str:
        """The path as it came on the wire, with the query: what the cache files under."""
        path: str = self.scope["path"]
        raw = (self.scope.get("raw_path") or b"").decode("latin-1")
        # Whoever rewrites the path may have left the raw one behind: then it names another thing.
        if raw != path and ("%" not in raw or unquote(raw) != path):
            raw = quote(path, safe="/:@!$&'()*+,;=~-._")
        query = self.query
        return f"{raw}?{query}" if query else raw


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them, which takes their names in lower case alone, as HTTP/2 does."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


def conditional(scope: Scope, found: Found) -> Scope:
    """The scope with the cache's conditions in the place of the client's."""
    kept = [pair for pair in scope["headers"] if pair[0] not in REPLACED]
    return {**scope, "headers": [*kept, *found.conditions]}


def watching(call: Call, receive: Receive, over: Callable[[], bool]) -> Receive:
    """`receive`, with a note of it when the client goes away before the end."""

    async def watched() -> Message:
        message = await receive()
        if message["type"] == "http.disconnect" and not over():
            call.gone = True
        return message

    return watched


def bodied(token: Token, receive: Receive) -> Receive:
    """`receive`, with a note of it when the request has a body: nobody else's answer may hang on that (fat GET)."""

    async def received() -> Message:
        message = await receive()
        if message.get("body"):
            token.fat = True
        return message

    return received


def left(error: Exception) -> bool:
    """Whether a client has left: servers say so by an `OSError` from `send`, frameworks by what they make of it."""
    return isinstance(error, OSError) or isinstance(error.__context__, OSError)


def counting(call: Call, send: Send) -> Send:
    """The `send` of a websocket, with a note of what it was accepted with and how many bytes went out."""

    def counted(message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "websocket.accept":
            call.status = 101
        elif kind == "websocket.send":
            call.sent += len(message.get("bytes") or message.get("text") or "")
        elif kind == "websocket.close" and not call.status:
            call.status = 403
        elif kind == "websocket.http.response.start":
            call.status = message["status"]
        return send(message)

    return counted


def nobody() -> Receive:
    """The `receive` of a request without a body, whose client never goes away."""
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await asyncio.get_running_loop().create_future()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


async def unsent(message: Message) -> None:
    """The `send` of an answer that nobody waits for."""


async def turned_away(call: Call, ending: Ending, receive: Receive, send: Send) -> None:
    """Refuse a websocket: with an HTTP answer where the server can, else by closing it (policy violation)."""
    call.status = ending.status
    if (await receive())["type"] != "websocket.connect":  # nothing may be sent before it, nor once they are gone
        call.gone = True
        return
    if "websocket.http.response" in (call.scope.get("extensions") or {}):
        headers, body = framed(call, ending)
        call.sent += len(body)
        heads = encoded(headers)
        await send({"type": "websocket.http.response.start", "status": ending.status, "headers": heads})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": f"refused: {ending.status}"})
