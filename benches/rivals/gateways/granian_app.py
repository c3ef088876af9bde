"""The parts alone, as granian serves them: hello, a page, a proxy by pyreqwest, and our core before a page."""

import json
import os
import re
from pathlib import Path
from typing import Any

NAMES = ("content-type", "anthropic-version", "x-api-key")
TEXT = [("content-type", "text/plain")]
JSON = [("content-type", "application/json")]
STREAM = [("content-type", "text/event-stream")]


class Hello:
    """An answer that is always the same; a body is read."""

    def __init__(self) -> None:
        self.page = os.environ.get("PAGE", "ok").encode()

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        if scope.method == "POST":
            await proto()
        proto.response_bytes(200, TEXT, self.page)


class Passing:
    """Bytes in, bytes out; whole or as they come."""

    def __init__(self) -> None:
        from pyreqwest.client import ClientBuilder

        self.client = ClientBuilder().build()
        self.url = os.environ["UPSTREAM"] + "/v1/messages"
        self.streams = "STREAMS" in os.environ

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        body = await proto()
        asks = self.client.post(self.url).body_bytes(body)
        for name in NAMES:
            asks = asks.header(name, scope.headers.get(name) or "")
        if not self.streams:
            answer = await asks.build().send()
            proto.response_bytes(answer.status, JSON, bytes(await answer.bytes()))
            return
        async with asks.build_streamed() as answer:
            out = proto.response_stream(answer.status, STREAM)
            while (piece := await answer.body_reader.read_chunk()) is not None:
                await out.send_bytes(bytes(piece))


class Layers:
    """`FastPath` before a page: who asks, how often, where to, and is it kept? Our core with nothing around it."""

    def __init__(self) -> None:
        from fastcascade import Cache, FastPath, KeyRing, Quota, RateLimiter

        told = json.loads(Path("world.json").read_text(encoding="utf-8"))
        self.page = told["page"].encode()
        ring = KeyRing()
        for secret, name in told["secrets"].items():
            ring.add(secret, name)
        limiter = RateLimiter(Quota(10_000_000, "second"))
        self.cache: Any = Cache(100_000, ttl=3600.0)
        self.take = FastPath(routes(told["routes"]), self.cache, ring, limiter).take
        self.hit, self.refused = self._kinds()

    @staticmethod
    def _kinds() -> tuple[type, type]:
        from fastcascade import Hit, Refused

        return Hit, Refused

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        said = scope.headers.get("authorization")
        taken = self.take(scope.path, scope.method, said[7:] if said else None)
        kind = type(taken)
        if kind is self.hit:
            proto.response_bytes(200, TEXT, taken.value)
        elif kind is self.refused:
            proto.response_bytes(taken.status, TEXT, b"refused")
        else:
            self.cache.put(taken.key, self.page)
            proto.response_bytes(200, TEXT, self.page)


def routes(told: dict[str, list[str]]) -> Any:
    """The table of the mix: exact paths, what begins alike, and regular expressions."""
    from fastcascade import Route, Router

    found: list[Any] = [Route(path, path) for path in told["exact"]]
    found += [Route(path + "{rest...}", path) for path in told["prefix"]]
    found += [Route(re.compile(source), source) for source in told["regex"]]
    return Router(found)


async def page_app(scope: Any, receive: Any, send: Any) -> None:
    """ASGI: a page that may be kept."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEAD})
    await send({"type": "http.response.body", "body": PAGE})


PAGE = os.environ.get("PAGE", "ok").encode()
HEAD = [(b"content-type", b"text/plain"), (b"cache-control", b"max-age=3600"), (b"content-length", b"%d" % len(PAGE))]


def guarded() -> Any:
    """`CascadeMiddleware` with keys, a limit, routes and the cache, before `page_app`."""
    from fastcascade import KeyRing, Quota
    from fastcascade.asgi import CascadeMiddleware

    told = json.loads(Path("world.json").read_text(encoding="utf-8"))
    ring = KeyRing()
    for secret, name in told["secrets"].items():
        ring.add(secret, name)
    limit = Quota(10_000_000, "second")
    return CascadeMiddleware(page_app, keys=ring, limit=limit, router=routes(told["routes"]), cache=True)


match os.environ.get("APP"):
    case "hello":
        app: Any = Hello()
    case "passing":
        app = Passing()
    case "layers":
        app = Layers()
    case "asgi":
        app = page_app
    case "guarded":
        app = guarded()
