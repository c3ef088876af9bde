"""What apps, clients and servers may do at the edges of the protocols, which both middlewares must bear."""

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar import get as litestar_get
from litestar import post as litestar_post
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.responses import FileResponse, StreamingResponse
from starlette.routing import Route as StarletteRoute

from asgi_strict import Server, ask, says, scope_of
from fastcascade import Clock, ConfigError, KeyRing, Quota, RateLimiter, Route
from fastcascade.asgi import CascadeMiddleware
from fastcascade.caching.http import HttpCache
from fastcascade.guards import Call, Ending, Proceed
from fastcascade.wsgi import WsgiMiddleware
from test_wsgi import ask as wsgi_ask
from test_wsgi import environ_of
from test_wsgi import says as wsgi_says

FRESH = (("content-type", "text/plain"), ("cache-control", "public, max-age=60"))


async def body_of(receive: Any) -> bytes:
    """The whole body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def echoing(asked: list[bytes]) -> Any:
    """An app that answers with the body it was sent, and wants the answer to be kept."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(await body_of(receive))
        heads = [(name.encode(), value.encode()) for name, value in FRESH]
        await send({"type": "http.response.start", "status": 200, "headers": heads})
        await send({"type": "http.response.body", "body": b"said " + asked[-1]})

    return app


def test_headers_that_can_be_read_once() -> None:
    """The protocol takes any iterable of headers: a generator's go out, and are kept, with a cache and guards about."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heads = ((name.encode(), value.encode()) for name, value in FRESH)
        await send({"type": "http.response.start", "status": 200, "headers": heads})
        await send({"type": "http.response.body", "body": b"whole"})

    async def marks(call: Call, proceed: Proceed) -> Ending | None:
        call.on_head(lambda _, headers: headers.append(("X-Mark", "1")))
        return await proceed()

    kept = CascadeMiddleware(app, cache=True, guards=[marks])

    async def main() -> None:
        first, again = await ask(kept), await ask(kept)
        assert first.headers["content-type"] == again.headers["content-type"] == "text/plain"
        # A guard's header in capitals goes out in lower case, as the protocol has it.
        assert first.headers["x-mark"] == again.headers["x-mark"] == "1"
        assert again.headers["cache-status"] == "fastcascade; hit; ttl=59"

    asyncio.run(main())


def test_an_endings_own_length_is_the_only_one() -> None:
    """An ending that names its length, in whatever letters, has that header once."""

    async def ends(call: Call, proceed: Proceed) -> Ending | None:
        return Ending(418, [("Content-Length", "3"), ("Content-Type", "text/plain")], b"tea")

    seen = asyncio.run(ask(CascadeMiddleware(says(b"app"), guards=[ends])))
    assert [name for name, _ in seen.messages[0]["headers"]] == [b"content-length", b"content-type"]


@pytest.mark.parametrize("told", [True, False])
def test_a_get_with_a_body_chooses_no_one_elses_answer(told: bool) -> None:
    """An app may read the body of a GET; what it makes of that is not kept, whether a header tells of it or not."""
    asked: list[bytes] = []
    app = CascadeMiddleware(echoing(asked), cache=True)
    headers = (("content-length", "4"),) if told else ()

    async def main() -> list[bytes]:
        fat = await ask(app, headers=headers, body=[b"evil"])
        clean = [await ask(app, headers=(("content-length", "0"),)), await ask(app)]
        return [each.body for each in (fat, *clean)]

    assert asyncio.run(main()) == [b"said evil", b"said ", b"said "]
    assert asked == [b"evil", b""]


def test_a_validation_with_a_body() -> None:
    """A body that nobody announced does not stand in the way of the app's word that a kept answer still holds."""
    clock = Clock()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        known = dict(scope["headers"]).get(b"if-none-match") == b'"1"'
        heads = [(b"etag", b'"1"'), (b"cache-control", b"max-age=10")]
        await send({"type": "http.response.start", "status": 304 if known else 200, "headers": heads})
        await send({"type": "http.response.body", "body": b"" if known else b"whole"})

    kept = CascadeMiddleware(app, cache=HttpCache(clock=clock))

    async def main() -> list[tuple[int, bytes]]:
        first = await ask(kept)
        clock.advance(20)
        return [(each.status, each.body) for each in (first, await ask(kept, body=[b"evil"]), await ask(kept))]

    assert asyncio.run(main()) == [(200, b"whole")] * 3


def test_a_get_with_a_body_in_wsgi() -> None:
    """In WSGI likewise, where the length stands among the variables of CGI."""
    asked: list[Any] = []
    app = WsgiMiddleware(wsgi_says(b"app", headers=list(FRESH), asked=asked), cache=True)
    for _ in range(2):
        more: dict[str, Any] = {"wsgi.input": io.BytesIO(b"evil")}
        wsgi_ask(app, CONTENT_LENGTH="4", **more)
    assert len(asked) == 2
    assert [wsgi_ask(app).headers["cache-status"].split("; ")[1] for _ in range(2)] == ["fwd=uri-miss", "hit"]


@pytest.mark.parametrize("header", ["x-api-key", "X-Token"])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", [b"ann", b"nobody", b"ann", b"nobody"]),  # kept on a guess: neither made of who is known, nor sent to them
        ("max-age=60", [b"ann", b"nobody", b"nobody", b"nobody"]),  # as RFC 9111, 3.5 has it for Authorization
        ("max-age=60, public", [b"ann", b"ann", b"ann", b"ann"]),  # the app has said that it is for all
    ],
)
def test_open_paths_and_who_comes_with_a_credential(header: str, said: str, expected: list[bytes]) -> None:
    """What was answered to who is known is another's, on an open path, only where the app says so."""
    keys = KeyRing()
    keys.add("a" * 40, "ann")

    async def greets(scope: Any, receive: Any, send: Any) -> None:
        identity = scope["fastcascade"].identity
        heads = [(b"cache-control", said.encode())] if said else []
        await send({"type": "http.response.start", "status": 200, "headers": heads})
        await send({"type": "http.response.body", "body": b"nobody" if identity is None else b"ann"})

    cache = HttpCache(ttl=None if said else 60)
    app = CascadeMiddleware(greets, keys=keys, cache=cache, public="/open", credentials=[header])
    known = ((header.lower(), "a" * 40),)

    async def main() -> list[bytes]:
        return [(await ask(app, "/open", headers=each)).body for each in (known, (), known, ())]

    assert asyncio.run(main()) == expected


def test_answers_that_vary_by_what_cgi_names_otherwise() -> None:
    """`Vary: Content-Type` tells requests apart in WSGI too."""
    asked: list[Any] = []
    app = WsgiMiddleware(wsgi_says(b"app", headers=[*FRESH, ("Vary", "Content-Type")], asked=asked), cache=True)
    for kind in ("text/a", "text/b", "text/a"):
        wsgi_ask(app, CONTENT_TYPE=kind)
    assert len(asked) == 2


def test_a_file_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Of a file that the server sends by itself, the log says as many bytes as its head."""
    caplog.set_level("INFO", "fastcascade.access")
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(b"x" * 1000)

        async def sent(request: Any) -> FileResponse:
            return FileResponse(file.name)

        app = CascadeMiddleware(Starlette(routes=[StarletteRoute("/", sent)]), log=True, cache=True)
        scope = scope_of(extensions={"http.response.pathsend": {}})
        server = Server(scope)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        asyncio.run(app(scope, receive, server.send))
    assert server.seen.messages[-1]["type"] == "http.response.pathsend"
    assert [record.__dict__["bytes"] for record in caplog.records] == [1000]


def test_a_client_that_leaves_starlette(caplog: pytest.LogCaptureFixture) -> None:
    """A `send` that fails is a client that has left, also where the framework makes an error of its own of it."""
    caplog.set_level("INFO", "fastcascade.access")

    async def stream(request: Any) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        return StreamingResponse(pieces())

    app = CascadeMiddleware(Starlette(routes=[StarletteRoute("/", stream)]), log=True)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        if message.get("body") == b"two":
            raise BrokenPipeError
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    with pytest.raises(Exception):  # noqa: B017, PT011 - Starlette's, whatever it is called
        asyncio.run(app(scope_of(), receive, send))
    (record,) = caplog.records
    assert (record.__dict__["disconnected"], record.__dict__["broken"]) == (True, False)


def test_an_answer_that_breaks_off_is_logged_as_one(caplog: pytest.LogCaptureFixture) -> None:
    """An app that fails in the middle leaves a warning that says so, in both protocols, and no client is blamed."""
    caplog.set_level("INFO", "fastcascade.access")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(ask(CascadeMiddleware(app, log=True, fallback="sorry")))
    body = WsgiMiddleware(wsgi, log=True, fallback="sorry")(environ_of(), lambda *_: len)
    with pytest.raises(ZeroDivisionError):
        list(body)
    body.close()  # type: ignore[attr-defined] # the server's duty
    said = [(each.levelname, each.__dict__["broken"], each.__dict__["disconnected"]) for each in caplog.records]
    assert said == [("WARNING", True, False)] * 2


def test_a_websocket_that_is_gone_already() -> None:
    """Nothing is sent to a websocket whose client left before it could be refused."""
    keys = KeyRing()
    keys.add("a" * 40, "ann")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.disconnect", "code": 1005}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(CascadeMiddleware(says(b"app"), keys=keys)({**scope_of(), "type": "websocket"}, receive, send))
    assert sent == []


def test_a_loop_that_is_not_asyncios() -> None:
    """With every setting on, nothing here needs asyncio: servers have other loops, and stale answers wait there."""
    clock = Clock()
    asked: list[Any] = []
    fleeting = (("cache-control", "max-age=10, stale-while-revalidate=60"),)
    app = CascadeMiddleware(
        says(b"app", headers=fleeting, asked=asked), cache=HttpCache(clock=clock), single_flight=True, fallback="sorry"
    )

    def run() -> str:
        work = ask(app)
        try:
            work.send(None)  # as another loop would
        except StopIteration as done:
            return str(done.value.headers["cache-status"])
        raise AssertionError("it has waited for something")

    assert "stored" in run() and "hit" in run()
    clock.advance(20)
    assert "ttl=-10" in run() and len(asked) == 1


def test_async_guards_are_refused_in_wsgi() -> None:
    """A guard that would have to be awaited is found when the middleware is built, be it a function or an object."""

    async def function(call: Call, proceed: Proceed) -> Ending | None:
        return await proceed()

    class Object:
        on_hits = False

        async def __call__(self, call: Call, proceed: Proceed) -> Ending | None:
            return await proceed()

    for guard in (function, Object()):
        with pytest.raises(ConfigError, match="is async"):
            WsgiMiddleware(wsgi_says(b"app"), guards=[guard])  # type: ignore[list-item] # what is tested


def test_scopes_without_keys_are_no_open_door() -> None:
    """Routes that ask for scopes, with no key ring to know them by, are refused when the middleware is built."""
    routes = [Route("/open", 1, public=True), Route("/admin", 2, scopes=["admin"])]
    with pytest.raises(ConfigError, match="without a key ring"):
        CascadeMiddleware(says(b"app"), router=routes)
    with pytest.raises(ConfigError, match="without a key ring"):
        WsgiMiddleware(wsgi_says(b"app"), router=iter(routes))
    app = CascadeMiddleware(says(b"app"), router=iter(routes), keys=KeyRing())
    assert [asyncio.run(ask(app, path)).status for path in ("/open", "/admin")] == [200, 401]


def litestar_app(**settings: Any) -> Litestar:
    """Two methods of one path and another path, with the middleware in Litestar's own list."""
    said: list[int] = []

    @litestar_get("/a", media_type="text/plain", response_headers={"cache-control": "max-age=60"})
    async def read() -> str:
        said.append(1)
        return str(len(said))

    @litestar_post("/a", media_type="text/plain", status_code=200)
    async def write() -> str:
        return "written"

    @litestar_get("/b", media_type="text/plain")
    async def other() -> str:
        return "other"

    return Litestar([read, write, other], middleware=[DefineMiddleware(CascadeMiddleware, **settings)])


def test_one_cache_and_one_limit_for_all_routes_of_litestar() -> None:
    """Litestar makes middlewares per route: what cannot be shared is refused, and what is shared holds for all."""
    for settings in ({"limit": Quota(2, "day")}, {"cache": True}):
        with pytest.raises(ConfigError, match="put CascadeMiddleware around the app"):
            litestar_app(**settings)
    with LitestarClient(litestar_app(cache=HttpCache())) as client:
        assert [client.get("/a").text, client.get("/a").text] == ["1", "1"]
        assert client.post("/a").text == "written"
        assert client.get("/a").text == "2"
    limiter = RateLimiter(Quota(2, "day"), clock=Clock())
    with LitestarClient(litestar_app(limit=limiter)) as client:
        assert [client.get(path).status_code for path in ("/a", "/b", "/b")] == [200, 200, 429]
    around: Any = CascadeMiddleware(Litestar([]), cache=True, limit=Quota(2, "day"))
    assert callable(around)


async def forgets(call: Call, proceed: Proceed) -> Any:
    """Goes on, and keeps to itself what came of it."""
    await proceed()


async def silent(call: Call, proceed: Proceed) -> Any:
    """Neither goes on nor ends the request."""


async def mistaken(call: Call, proceed: Proceed) -> Any:
    """Gives what is no ending."""
    return "refused"


async def again(call: Call, proceed: Proceed) -> Any:
    """Goes on twice."""
    await proceed()
    return await proceed()


def plainly(guard: Any) -> Any:
    """The same guard in plain code."""
    name = guard.__name__

    def plain(call: Call, proceed: Any) -> Any:
        if name == "mistaken":
            return "refused"
        said = proceed() if name != "silent" else None
        return proceed() if name == "again" else said if name == "right" else None

    return plain


@pytest.mark.parametrize(
    ("guard", "wrong"), [(forgets, "None"), (silent, "None"), (mistaken, "not str"), (again, "again")]
)
@pytest.mark.parametrize("on_hits", [True, False])
def test_guards_that_leave_a_request_open(guard: Any, wrong: str, on_hits: bool) -> None:
    """A guard's mistake is an error that names it, in either protocol, and never a request without an answer."""

    class Guard:
        def __init__(self, function: Any) -> None:
            self.on_hits = on_hits
            self.function = function

        def __call__(self, call: Call, proceed: Any) -> Any:
            return self.function(call, proceed)

    asked: list[Any] = []
    limit = Quota(1, "day")
    # What `forgets` keeps to itself is a refusal; of what the app has begun there is nothing to hand on.
    inside: list[Any] = [stops] if guard is forgets else []
    app = CascadeMiddleware(says(b"app", asked=asked), guards=[Guard(guard), *inside], limit=limit)
    with pytest.raises((TypeError, RuntimeError), match=wrong):
        asyncio.run(ask(app))
    assert len(asked) == (1 if guard is again else 0)
    plain: list[Any] = [Guard(plainly(guard)), *([plainly_stops] if guard is forgets else [])]
    wsgi = WsgiMiddleware(wsgi_says(b"app", asked=asked), guards=plain, limit=limit)
    with pytest.raises((TypeError, RuntimeError), match=wrong):
        wsgi_ask(wsgi)
    assert len(asked) == (2 if guard is again else 0)


class Stops:
    """Refuses whatever comes, next to the app."""

    on_hits = False

    async def __call__(self, call: Call, proceed: Proceed) -> Ending | None:
        return Ending.text(403, "no")


stops = Stops()


def plainly_stops(call: Call, proceed: Any) -> Ending | None:
    """The same in plain code."""
    return Ending.text(403, "no")


plainly_stops.on_hits = False  # type: ignore[attr-defined] # how a guard says so
