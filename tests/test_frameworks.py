"""The middlewares inside the servers that users have, each under its own test client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import django  # type: ignore[import-untyped]
import pytest
from django.conf import settings  # type: ignore[import-untyped]
from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]
from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]
from django.http import HttpResponse, StreamingHttpResponse  # type: ignore[import-untyped]
from django.urls import path as django_path  # type: ignore[import-untyped]
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar
from litestar import get as litestar_get
from litestar.middleware import DefineMiddleware
from litestar.response import Stream
from litestar.testing import TestClient as LitestarClient
from quart import Quart
from quart import websocket as quart_websocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from werkzeug.test import Client as WsgiClient

from asgi_strict import COMMUNICATOR, scope_of
from fastcascade import KeyRing
from fastcascade.asgi import CascadeMiddleware
from fastcascade.caching.http import HttpCache
from fastcascade.wsgi import WsgiMiddleware

ANN, BOB = "ann-" + "a" * 40, "bob-" + "b" * 40
HEADS = {"cache-control": "public, max-age=60"}
STEPS = ["/count", "/count", "/stream", "/boom", "/open"]
ASKED: list[str] = []
"""Where each app notes that it was asked."""


def given() -> dict[str, Any]:
    """The settings that every framework gets."""
    ASKED.clear()
    keys = KeyRing()
    keys.add(ANN, "ann")
    keys.add(BOB, "bob")
    return {"keys": keys, "cache": True, "log": True, "fallback": "sorry", "public": ["/open"]}


def counted() -> str:
    """What `/count` says: how often it was asked."""
    ASKED.append("count")
    return str(len(ASKED))


def promised(get: Callable[[str, dict[str, str]], tuple[int, str, dict[str, str]]]) -> None:
    """The same in each framework: refused, cached by identity, streamed, stood in for, open."""
    refused = get("/count", {})
    assert refused[0] == 401 and refused[2]["www-authenticate"].startswith("Bearer")
    assert not ASKED
    said = [get("/count", {"x-api-key": who})[1] for who in (ANN, ANN, BOB, ANN)]
    assert said == ["1", "1", "2", "1"]
    assert get("/stream", {"x-api-key": ANN})[1] == "abc"
    status, text, headers = get("/boom", {"x-api-key": ANN})
    assert (status, text, headers["x-cascade-degraded"]) == (200, "sorry", "fallback")
    assert get("/open", {})[:2] == (200, "open")


async def letters() -> AsyncIterator[bytes]:
    """A stream."""
    for letter in (b"a", b"b", b"c"):
        yield letter


def plain(answer: Any) -> tuple[int, str, dict[str, str]]:
    """An answer of a client of httpx's kind."""
    return answer.status_code, answer.text, {name.lower(): value for name, value in answer.headers.items()}


def starlette_app(**more: Any) -> Starlette:
    """With routes under a mount and a websocket, too."""

    async def count(request: Any) -> PlainTextResponse:
        return PlainTextResponse(counted(), headers=HEADS)

    async def stream(request: Any) -> StreamingResponse:
        return StreamingResponse(letters())

    async def boom(request: Any) -> PlainTextResponse:
        raise ZeroDivisionError

    async def who(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.scope["fastcascade"].identity.name)

    async def opened(request: Any) -> PlainTextResponse:
        return PlainTextResponse("open")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    routes = [
        Route("/count", count, methods=["GET", "POST"]),
        Route("/stream", stream),
        Route("/boom", boom),
        Route("/open", opened),
        Mount("/sub", routes=[Route("/{name}", who)]),
        WebSocketRoute("/ws", socket),
    ]
    return Starlette(routes=routes, **more)


@pytest.mark.parametrize("inside", [True, False])
def test_starlette(inside: bool, caplog: pytest.LogCaptureFixture) -> None:
    """As `Middleware(...)` within the app, and around it."""
    caplog.set_level("INFO", "fastcascade.access")
    sets = given()
    app: Any = (
        starlette_app(middleware=[Middleware(CascadeMiddleware, **sets)])
        if inside
        else CascadeMiddleware(starlette_app(), **sets)
    )
    with TestClient(app) as client:
        promised(lambda path, headers: plain(client.get(path, headers=headers)))
        assert client.get("/sub/x", headers={"x-api-key": BOB}).text == "bob"
        with pytest.raises(Exception) as caught, client.websocket_connect("/ws"):  # noqa: PT011 - by kind below
            pass
        assert isinstance(caught.value, WebSocketDisconnect) or getattr(caught.value, "status_code", 0) == 401
        with client.websocket_connect("/ws", headers={"x-api-key": BOB}) as talk:
            talk.send_text("hello")
            assert talk.receive_text() == "hello"
    assert "/sub/{name}" in {record.__dict__.get("path") for record in caplog.records}


def test_fastapi() -> None:
    """By `add_middleware`; an endpoint finds who asks."""
    app = FastAPI()

    @app.get("/count")
    async def count() -> Any:
        return PlainTextResponse(counted(), headers=HEADS)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(letters())

    @app.get("/boom")
    async def boom() -> None:
        raise ZeroDivisionError

    @app.get("/open")
    def opened() -> PlainTextResponse:
        return PlainTextResponse("open")

    app.add_middleware(CascadeMiddleware, **given())
    with TestClient(app) as client:
        promised(lambda path, headers: plain(client.get(path, headers=headers)))


def test_litestar() -> None:
    """As a `DefineMiddleware`, and around the app."""

    @litestar_get("/count", media_type="text/plain", response_headers=HEADS)
    async def count() -> str:
        return counted()

    @litestar_get("/stream")
    async def stream() -> Stream:
        return Stream(letters())

    @litestar_get("/boom")
    async def boom() -> None:
        raise ZeroDivisionError

    @litestar_get("/open", media_type="text/plain")
    async def opened() -> str:
        return "open"

    handlers = [count, stream, boom, opened]
    within = Litestar(handlers, middleware=[DefineMiddleware(CascadeMiddleware, **given() | {"cache": HttpCache()})])
    with LitestarClient(within) as client:
        promised(lambda path, headers: plain(client.get(path, headers=headers)))
    around: Any = CascadeMiddleware(Litestar(handlers), **given())
    with TestClient(around) as outside:
        promised(lambda path, headers: plain(outside.get(path, headers=headers)))


def test_quart() -> None:
    """Around `app.asgi_app`; websockets too."""
    app = Quart(__name__)

    @app.get("/count")
    async def count() -> Any:
        return counted(), 200, HEADS

    @app.get("/stream")
    async def stream() -> Any:
        return letters()

    @app.get("/boom")
    async def boom() -> str:
        raise ZeroDivisionError

    @app.get("/open")
    async def opened() -> str:
        return "open"

    @app.websocket("/ws")
    async def ws() -> None:
        await quart_websocket.send(await quart_websocket.receive())

    app.asgi_app = CascadeMiddleware(app.asgi_app, **given())  # type: ignore[method-assign]

    async def main() -> None:
        client = app.test_client()

        async def got(path: str, headers: dict[str, str]) -> tuple[int, str, dict[str, str]]:
            answer = await client.get(path, headers=headers)
            text = await answer.get_data(as_text=True)
            return answer.status_code, text, {name.lower(): value for name, value in answer.headers.items()}

        answers = {}
        for path in STEPS:
            for name, headers in {"": {}, "ann": {"x-api-key": ANN}}.items():
                answers[path, name] = await got(path, headers)
        assert answers["/count", ""][0] == 401 and answers["/count", "ann"][1] == "1"
        assert (await got("/count", {"x-api-key": BOB}))[1] == "2"
        assert (await got("/count", {"x-api-key": ANN}))[1] == "1"
        assert answers["/stream", "ann"][1] == "abc"
        assert answers["/boom", "ann"][1] == "sorry" and answers["/open", ""][1] == "open"
        async with client.websocket("/ws", headers={"x-api-key": ANN}) as talk:
            await talk.send("hello")
            assert await talk.receive() == "hello"

    asyncio.run(main())


def test_flask() -> None:
    """Around `app.wsgi_app`."""
    app = Flask(__name__)

    @app.get("/count")
    def count() -> Any:
        return counted(), 200, HEADS

    @app.get("/stream")
    def stream() -> Any:
        return iter([b"a", b"b", b"c"])

    @app.get("/boom")
    def boom() -> str:
        raise ZeroDivisionError

    @app.get("/open")
    def opened() -> str:
        return "open"

    app.wsgi_app = WsgiMiddleware(app.wsgi_app, **given())  # type: ignore[method-assign]
    client = app.test_client()

    def get(path: str, headers: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        answer = client.get(path, headers=headers)
        return answer.status_code, answer.text, {name.lower(): value for name, value in answer.headers.items()}

    promised(get)


def django_views() -> Any:
    """The URLs of a Django of our own."""

    def count(request: Any) -> HttpResponse:
        return HttpResponse(counted(), headers=HEADS)

    def stream(request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(iter([b"a", b"b", b"c"]))

    async def astream(request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(letters())

    def boom(request: Any) -> HttpResponse:
        raise ZeroDivisionError

    def opened(request: Any) -> HttpResponse:
        return HttpResponse("open")

    views = {"count": count, "stream": stream, "astream": astream, "boom": boom, "open": opened}
    return [django_path(name, view) for name, view in views.items()]


@pytest.fixture(scope="module")
def django_site() -> None:
    """A Django that is set up once for the process."""
    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=tuple(django_views()), ALLOWED_HOSTS=["*"], SECRET_KEY="for tests", LOGGING_CONFIG=None
        )
        django.setup()


def test_django_under_wsgi(django_site: None) -> None:
    """Around `get_wsgi_application()`, under werkzeug's client (Django's own does not speak WSGI)."""
    app = WsgiMiddleware(get_wsgi_application(), **given())
    wire = WsgiClient(app)

    def get(path: str, headers: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        answer = wire.get(path, headers=headers)
        return answer.status_code, answer.text, {name.lower(): value for name, value in answer.headers.items()}

    promised(get)


def test_django_under_asgi(django_site: None) -> None:
    """Around `get_asgi_application()`, spoken to as Django's manual has it, by asgiref's communicator."""
    app = CascadeMiddleware(get_asgi_application(), **given())

    def get(path: str, headers: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        async def main() -> tuple[int, str, dict[str, str]]:
            scope = scope_of(path.replace("stream", "astream"), headers=headers.items())
            talk = COMMUNICATOR(app, scope)
            await talk.send_input({"type": "http.request", "body": b""})
            start = await talk.receive_output(10)
            body, more = b"", True
            while more:
                message = await talk.receive_output(10)
                body, more = body + message.get("body", b""), message.get("more_body", False)
            await talk.wait()
            heads = {name.decode().lower(): value.decode() for name, value in start["headers"]}
            return start["status"], body.decode(), heads

        return asyncio.run(main())

    promised(get)
