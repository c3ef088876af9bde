"""Websockets through the gateway, with a real client and a real server on either side."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fastcascade.gateway.proxy_settings import ProxyInstance, ProxyRoute
from fastcascade.wire.endpoint import Caller, Response
from gateways import PATIENCE
from proxied import behind, pool, routed, run

TALK = ProxyRoute("/talk/{rest...}", to="app", websocket=True)
logging.getLogger("websockets").setLevel(logging.CRITICAL)


@dataclass
class Echo:
    """An app that says what it hears."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    codes: list[int | None] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.paths.append(socket.request.path)
        self.headers.append(socket.request.headers)
        try:
            async for message in socket:
                if message == "close":
                    await socket.close(4001, "enough")
                elif message == "parts":
                    await socket.send(["a", "b", "c"])
                elif message == "ping":
                    await (await socket.ping())
                    await socket.send("pong")
                else:
                    await socket.send(message)
        finally:
            await socket.wait_closed()
            self.codes.append(socket.close_code)
            self.over.set()

    async def ended(self) -> int | None:
        await asyncio.wait_for(self.over.wait(), PATIENCE)
        self.over.clear()
        return self.codes[-1]


@asynccontextmanager
async def echo() -> AsyncIterator[Echo]:
    """One that listens."""
    there = Echo()

    def first(_socket: Any, offered: Any) -> Any:
        return next(iter(offered), None)

    async with serve(there.talk, "127.0.0.1", 0, select_subprotocol=first, max_size=None) as server:
        there.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield there


def address(port: int, path: str = "/talk/a?b=1") -> str:
    """Where a client connects."""
    return f"ws://127.0.0.1:{port}{path}"


def test_messages_go_both_ways() -> None:
    """Texts, bytes, large ones and ones in fragments arrive whole and in order; pings are answered on either side."""

    async def main() -> None:
        async with echo() as app, routed([TALK], {"app": pool(ProxyInstance(app.url))}) as there:
            async with connect(address(there.port), max_size=None, additional_headers={"cookie": "s=1"}) as socket:
                for message in ("hi", "ümläut", b"\0\xff", b"x" * 5_000_000, ""):
                    await socket.send(message)
                    assert await socket.recv() == message
                await socket.send("parts")
                assert await socket.recv() == "abc"
                await socket.send("ping")
                assert await socket.recv() == "pong"
                await asyncio.wait_for(await socket.ping(), PATIENCE)
            assert await app.ended() == 1000
            assert app.paths == ["/talk/a?b=1"]
            assert app.headers[0]["cookie"] == "s=1"
            assert app.headers[0]["x-forwarded-for"] == "127.0.0.1"
            assert "sec-websocket-extensions" not in app.headers[0]
            assert not there.gateway.watch.all

    run(main)


def test_the_end_of_either_side_ends_the_other() -> None:
    """An app that closes has its client's connection closed; a client that is lost is told to the app as gone."""

    async def main() -> None:
        async with echo() as app, routed([TALK], {"app": pool(ProxyInstance(app.url))}) as there:
            async with connect(address(there.port)) as socket:
                await socket.send("close")
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
            assert await app.ended() == 4001
            socket = await connect(address(there.port))
            await socket.send("hi")
            assert await socket.recv() == "hi"
            socket.transport.abort()
            assert await app.ended() == 1001

    run(main)


def test_no_time_is_too_long_and_the_end_of_the_worker_is_told() -> None:
    """A websocket outlives the time that requests have; when its worker ends, the app hears that it goes away."""

    async def main() -> None:
        async with echo() as app, routed([TALK], {"app": pool(ProxyInstance(app.url))}) as there:
            async with connect(address(there.port)) as socket:
                there.gateway.watch.look(there.gateway.watch.clock() + 1e9)
                await socket.send("hi")
                assert await socket.recv() == "hi"
                there.gateway.watch.end_all()
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
            assert await app.ended() == 1001

    run(main)


async def refused(port: int, path: str) -> int:
    """The status that a client gets in place of a websocket."""
    with pytest.raises(InvalidStatus) as caught:
        await connect(address(port, path))
    return caught.value.response.status_code


class Gate:
    """Lets in whoever has the key."""

    def enter(self, headers: Any, _path: str, _length: int, /) -> Caller | Response:
        return Caller("ann") if headers.get("authorization") == "Bearer k" else Response(401, [], b"")

    def leave(self, _caller: Caller, _done: Any, /) -> None:
        return None


def test_who_gets_none_is_told_by_a_status() -> None:
    """No route, one that takes none, no key, nobody behind, and an app that does not want to: each has its status."""
    plain = ProxyRoute("/plain", to="app")
    kept = ProxyRoute("/kept", to="app", websocket=True, guard=True)
    away = ProxyRoute("/away", to="away", websocket=True)
    http = ProxyRoute("/http", to="http", websocket=True)

    async def main() -> None:
        async with echo() as app, behind() as none, behind() as web:
            await none.stop()
            pools = {"app": pool(ProxyInstance(app.url)), "away": pool(none), "http": pool(web)}
            async with routed([TALK, plain, kept, away, http], pools, gate=Gate()) as there:
                assert await refused(there.port, "/nothing") == 404
                assert await refused(there.port, "/plain") == 404
                assert await refused(there.port, "/kept") == 401
                assert await refused(there.port, "/away") == 502
                assert await refused(there.port, "/http") == 502
                async with connect(
                    address(there.port, "/kept"), additional_headers={"authorization": "Bearer k"}
                ) as it:
                    await it.send("in")
                    assert await it.recv() == "in"
                assert "authorization" not in app.headers[0]

    run(main)


def test_the_next_instance_takes_who_finds_the_first_away() -> None:
    """A websocket is connected to another instance where the first refuses connections."""

    async def main() -> None:
        async with echo() as app, behind() as none:
            await none.stop()
            places = [ProxyInstance(none.url), ProxyInstance(app.url, priority=1)]
            async with routed([TALK], {"app": pool(*places)}) as there:
                async with connect(address(there.port)) as socket:
                    await socket.send("hi")
                    assert await socket.recv() == "hi"
                assert await app.ended() == 1000

    run(main)
