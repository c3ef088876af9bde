"""Requests through the gateway to an app behind it: bodies both ways, heads, early ends, and what never goes on."""

import asyncio
import resource
from typing import Any

import pytest

from fastcascade import Cascade, Tier
from fastcascade.gateway.metrics import told
from fastcascade.gateway.proxy import Routes
from fastcascade.gateway.proxy_settings import Cached, Edit, ProxyRoute, Respond, Timeouts
from fastcascade.gateway.settings import Limits, Settings
from fastcascade.testing import ScriptedBackend
from fastcascade.wire.endpoint import ANYONE, Caller, Response
from gateways import PATIENCE, chat, raw, serving
from proxied import Asked, behind, ended, ok, pool, routed, run
from real import until

ALL = ProxyRoute("*", to="app")
MIB = 1 << 20


def test_a_request_and_its_answer_go_through() -> None:
    """Method, path, query, headers and body arrive as they were, and so does the answer; the request has one id."""

    async def main() -> None:
        said = ok(b"made", "201 Created", x_app="yes", set_cookie="a=b")
        async with behind(said) as app, routed([ALL], {"app": pool(app, tell=True)}) as there:
            client = there.client()
            found = await client.ask(
                "PATCH", "/a%20b/c?x=1&y=%2F", b"body", {"cookie": "s=1", "authorization": "Basic x"}
            )
            assert (found.status, found.body) == (201, b"made")
            assert found.headers["x-app"] == "yes"
            assert found.headers["set-cookie"] == "a=b"
            assert found.headers["x-cascade-instance"] == f"app/127.0.0.1:{app.port}"
            asked = app.asked[0]
            assert asked.first == "PATCH /a%20b/c?x=1&y=%2F HTTP/1.1"
            assert asked.body == b"body"
            assert asked.headers["authorization"] == "Basic x"
            assert asked.headers["cookie"] == "s=1"
            assert asked.headers["host"] == f"127.0.0.1:{app.port}"
            assert asked.headers["x-forwarded-host"] == "localhost"
            assert asked.headers["x-request-id"] == found.headers["x-request-id"]
            assert (await client.get("/again", **{"x-request-id": "mine"})).headers["x-request-id"] == "mine"
            assert app.connections == 1

    run(main)


def test_big_bodies_stream_both_ways_in_little_memory() -> None:
    """64 MB up and the same down, while neither is held: the process grows by a few MB."""
    piece = b"x" * MIB

    async def mirror(asked: Asked, reader: Any, writer: Any) -> str:
        left = int(asked.headers["content-length"])
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {left}\r\n\r\n".encode())
        while left:
            data = await reader.read(1 << 16)
            left -= len(data)
            writer.write(data)
            await writer.drain()
        return ""

    async def main() -> None:
        async with behind(mirror, heads=True) as app, routed([ALL], {"app": pool(app)}) as there:
            client = there.client()
            reader, writer = await client.open()
            writer.write(raw("PUT", "/big", b"", {"content-length": str(64 * MIB)}))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

            async def send() -> None:
                for _ in range(64):
                    writer.write(piece)
                    await writer.drain()

            sending = asyncio.ensure_future(send())
            assert (await client.head()).headers["content-length"] == str(64 * MIB)
            left = 64 * MIB
            while left:
                left -= len(await asyncio.wait_for(reader.read(MIB), PATIENCE))
            await sending
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert grown < 24 * 1024, grown

    run(main)


def test_chunks_go_on_as_they_come() -> None:
    """A piece of an answer reaches the client, and a piece of a body the app, before the next one exists."""

    async def turns(_asked: Asked, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while size := int(await reader.readline(), 16):
            data = (await reader.readexactly(size + 2))[:-2]
            writer.write(b"%x\r\n%b\r\n" % (size, data))
            await writer.drain()
        await reader.readexactly(2)
        writer.write(b"0\r\n\r\n")

    async def main() -> None:
        async with behind(turns, heads=True) as app, routed([ALL], {"app": pool(app)}) as there:
            client = there.client()
            await client.send(raw("POST", "/talk", b"", {"transfer-encoding": "chunked"}))
            await client.send(b"3\r\none\r\n")
            assert (await client.head()).headers["transfer-encoding"] == "chunked"
            pieces = client.pieces()
            assert await anext(pieces) == b"one"
            await client.send(b"3\r\ntwo\r\n")
            assert await anext(pieces) == b"two"
            await client.send(b"0\r\n\r\n")
            with pytest.raises(StopAsyncIteration):
                await anext(pieces)

    run(main)


def test_a_client_that_goes_away_ends_the_call_behind() -> None:
    """An answer that nobody waits for any more is not waited for here either."""
    begun = asyncio.Event()

    async def slow(_asked: Asked, reader: Any, _writer: Any) -> None:
        begun.set()
        await reader.readexactly(1)

    async def main() -> None:
        async with behind(slow) as app, routed([ALL], {"app": pool(app)}) as there:
            client = there.client()
            await client.send(raw("GET", "/slow"))
            await begun.wait()
            await client.close()
            await asyncio.wait_for(app.gone.wait(), PATIENCE)

    run(main)


BODILESS = [
    ("HEAD", ok(b"", "200 OK").replace(b"length: 0", b"length: 42"), "42"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None),
    ("GET", b'HTTP/1.1 304 Not Modified\r\netag: "a"\r\n\r\n', None),
    ("GET", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", None),
]


@pytest.mark.parametrize(("method", "said", "length"), BODILESS)
def test_answers_without_a_body(method: str, said: bytes, length: str | None) -> None:
    """To HEAD, and with 204 and 304, there is none, whatever length is told; the connection serves the next request."""

    async def main() -> None:
        async with behind(said) as app, routed([ALL], {"app": pool(app)}) as there:
            client = there.client()
            for _ in range(2):
                await client.send(raw(method, "/"))
                head = await client.head()
                assert head.headers.get("content-length") == length
            assert app.connections == 1

    run(main)


def test_who_expects_100_is_told_to_go_on() -> None:
    """The body is asked for once somebody is there to take it; the app is not asked to say so again."""

    async def main() -> None:
        async with behind() as app, routed([ALL], {"app": pool(app)}) as there:
            client = there.client()
            await client.send(raw("POST", "/", b"", {"expect": "100-continue", "content-length": "4"}))
            assert (await client.head()).status == 100
            await client.send(b"body")
            assert (await client.head()).status == 200
            assert app.asked[0].body == b"body"
            assert "expect" not in app.asked[0].headers

    run(main)


SMUGGLED = [
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;\r\nabc\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc",
    b"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n GET /admin HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
]


@pytest.mark.parametrize("message", SMUGGLED)
def test_what_hides_a_request_in_another_is_refused(message: bytes) -> None:
    """The app sees no whole request of it, and the client's connection is closed."""

    async def main() -> None:
        async with behind() as app, routed([ALL], {"app": pool(app)}) as there:
            client = there.client()
            await client.send(message)
            said = await ended(client)
            assert said.split()[1] in (b"400", b"501"), said
            assert not app.asked

    run(main)


def test_two_framings_come_to_one() -> None:
    """Where a length stands beside chunks, the chunks count, the app is told of these alone, and no more is read."""

    async def main() -> None:
        async with behind() as app, routed([ALL], {"app": pool(app)}) as there:
            client = there.client()
            headers = {"transfer-encoding": "chunked", "content-length": "3"}
            await client.send(raw("POST", "/", b"", headers) + b"4\r\nbody\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n")
            await ended(client)
            assert [each.first.split()[1] for each in app.asked] in ([], ["/"])
            for each in app.asked:
                assert "content-length" not in each.headers
                assert each.body == b"body"

    run(main)


CUT = [
    b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 100,
    b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n" + b"x" * 100,
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n" + b"x" * 100 + b"\r\n",
]


@pytest.mark.parametrize("said", CUT)
def test_what_breaks_off_does_not_look_whole(said: bytes) -> None:
    """A client whose answer was cut behind has its connection cut, with less than was promised and no last chunk."""

    async def dies(_asked: Asked, _reader: Any, writer: Any) -> str:
        writer.write(said)
        await writer.drain()
        return "close"

    async def main() -> None:
        async with behind(dies) as app, routed([ALL], {"app": pool(app)}) as there:
            client = there.client()
            await client.send(raw("GET", "/"))
            head = await client.head()
            rest = await ended(client)
            assert head.status == 200
            assert rest.count(b"x") == 100
            assert not rest.endswith(b"0\r\n\r\n")

    run(main)


def test_a_body_that_breaks_off_has_no_end_behind() -> None:
    """The app is never told that a body is over which was not; its connection is cut instead."""

    async def main() -> None:
        async with behind() as app, routed([ALL], {"app": pool(app)}) as there:
            for message in (
                raw("POST", "/", b"", {"content-length": "200000"}) + b"x" * 10,
                raw("POST", "/", b"", {"transfer-encoding": "chunked"}) + b"3\r\nabc\r\n",
            ):
                app.gone.clear()
                client = there.client()
                await client.send(message)
                await until(lambda: app.connections > 0, "what was to come")
                await client.close()
                await asyncio.wait_for(app.gone.wait(), PATIENCE)
                assert not app.asked

    run(main)


def test_slow_and_absent_servers() -> None:
    """One that says nothing in time is a 504, one that speaks no HTTP a 502, one that is away a 503 with a time."""

    async def never(_asked: Asked, reader: Any, _writer: Any) -> None:
        await reader.read()

    async def main() -> None:
        async with behind(never) as slow, behind(b"nonsense\r\n\r\n") as odd, behind() as none:
            await none.stop()
            pools = {
                "slow": pool(slow, timeout=0.2),
                "odd": pool(odd),
                "none": pool(none),
            }
            routes = [ProxyRoute(f"/{name}", to=name) for name in pools]
            async with routed(routes, pools) as there:
                client = there.client()
                assert (await client.get("/slow")).status == 504
                assert (await client.get("/odd")).status == 502
                said = await client.get("/none")
                assert (said.status, said.headers["retry-after"]) == (503, "2")
                assert "127.0.0.1" not in said.body.decode()

    run(main)


def test_routes_by_the_compiled_table() -> None:
    """Exact before prefix before pattern before the wildcard; hosts first; 404, and 405 with what is allowed."""

    async def main() -> None:
        routes = [
            ProxyRoute("*", host="b.example", respond=Respond(body="host")),
            ProxyRoute("/a", methods=["GET"], respond=Respond(status=203, body="exact", headers={"x-a": "1"})),
            ProxyRoute("/a/{rest...}", respond=Respond(body="prefix")),
            ProxyRoute(regex=r"^/v\d+/legacy", respond=Respond(body="pattern")),
        ]
        async with routed(routes) as there:
            client = there.client()
            said = await client.get("/a")
            assert (said.status, said.body, said.headers["x-a"]) == (203, b"exact", "1")
            assert (await client.get("/a/b/c")).body == b"prefix"
            assert (await client.get("/v12/legacy/x")).body == b"pattern"
            assert (await client.get("/a", host="b.example:80")).body == b"host"
            assert (await client.get("/other")).status == 404
            said = await client.ask("DELETE", "/a")
            assert (said.status, said.headers["allow"]) == (405, "GET, HEAD")
            await client.send(raw("HEAD", "/a"))
            assert (await client.head()).headers["content-length"] == "5"
            assert 'path="/a",status="203"' in told(there.gateway.metrics.packed("0", {}))

    run(main)


def test_paths_and_headers_are_rewritten() -> None:
    """A prefix is taken off and another put before; headers are taken off and set, both ways."""
    route = ProxyRoute(
        "/old/{rest...}",
        to="app",
        strip="/old",
        add="/new",
        request=Edit({"x-set": "ours"}, ["cookie"]),
        response=Edit({"x-frame": "deny"}, ["x-inner"]),
    )

    async def main() -> None:
        async with (
            behind(ok(x_inner="1", x_frame="no")) as app,
            routed([route], {"app": pool(app, host="client")}) as there,
        ):
            said = await there.client().get("/old/a", cookie="c", **{"x-set": "theirs"})
            assert app.asked[0].first == "GET /new/a HTTP/1.1"
            assert ("x-set", "ours") in app.asked[0].pairs
            assert ("x-set", "theirs") not in app.asked[0].pairs
            assert "cookie" not in app.asked[0].headers
            assert app.asked[0].headers["host"] == "localhost"
            assert said.headers["x-frame"] == "deny"
            assert "x-inner" not in said.headers

    run(main)


class Gate:
    """Lets in whoever has the key, and takes it off."""

    def __init__(self) -> None:
        self.left = 0

    def enter(self, headers: Any, _path: str, _length: int, /) -> Caller | Response:
        return Caller("ann") if headers.pop("authorization", "") == "Bearer k" else Response(401, [], b"no")

    def leave(self, _caller: Caller, _done: Any, /) -> None:
        self.left += 1


def test_guarded_routes_take_a_key_and_keep_it() -> None:
    """Without the key there is 401 and nobody behind is asked; with it the app is, without the key. Others are open."""

    async def main() -> None:
        gate = Gate()
        routes = [ProxyRoute("/in", to="app", guard=True), ProxyRoute("/open", to="app")]
        async with behind() as app, routed(routes, {"app": pool(app)}, gate=gate) as there:
            client = there.client()
            assert (await client.get("/in")).status == 401
            assert not app.asked
            assert (await client.get("/in", authorization="Bearer k")).status == 200
            assert "authorization" not in app.asked[0].headers
            assert (await client.get("/open", authorization="Bearer k")).status == 200
            assert app.asked[1].headers["authorization"] == "Bearer k"
            assert gate.left == 1
        async with behind() as app, routed(routes, {"app": pool(app)}) as there:
            assert (await there.client().get("/in", authorization="Bearer k")).status == 503
            assert not app.asked

    run(main)


def test_limits_of_a_route() -> None:
    """Who asks too often is told when to come back, and what is too large is refused before the app has it."""
    routes = [ProxyRoute("/few", to="app", limit="2/hour"), ProxyRoute("/small", to="app", body=10)]

    async def main() -> None:
        async with behind() as app, routed(routes, {"app": pool(app)}) as there:
            client = there.client()
            assert [(await client.get("/few")).status for _ in range(3)] == [200, 200, 429]
            assert (await client.post("/small", b"x" * 10)).status == 200
            assert (await client.post("/small", b"x" * 11)).status == 413
            client = there.client()
            await client.send(
                raw("POST", "/small", b"", {"transfer-encoding": "chunked"}) + b"b\r\nxxxxxxxxxxx\r\n0\r\n\r\n"
            )
            assert (await client.head()).status == 413
            assert [each.first.split()[1] for each in app.asked] == ["/few", "/few", "/small"]

    run(main)


def test_answers_are_kept_as_the_app_says() -> None:
    """A second asker has what is fresh from here; a write, or a purge, makes its page forgotten."""
    said = {"GET": ok(b"page", cache_control="max-age=60", etag='"1"'), "PUT": ok(b"")}
    routes = [ProxyRoute("/kept/{id}", to="app", cache=Cached())]

    async def app_of(asked: Asked, _reader: Any, writer: Any) -> None:
        writer.write(said[asked.first.split()[0]])

    async def main() -> None:
        async with behind(app_of) as app, routed(routes, {"app": pool(app)}) as there:
            client = there.client()
            assert (await client.get("/kept/1")).body == b"page"
            again = await client.get("/kept/1")
            assert again.body == b"page"
            assert "hit" in again.headers["cache-status"]
            assert len(app.asked) == 1
            assert (await client.get("/kept/1", **{"if-none-match": '"1"'})).status == 304
            assert (await client.get("/kept/1", authorization="Basic x")).status == 200
            assert (await client.ask("PUT", "/kept/1", b"new")).status == 200
            await client.get("/kept/1")
            assert [each.first.split()[0] for each in app.asked] == ["GET", "PUT", "GET"]
            assert there.gateway.routes is not None
            there.gateway.routes.purge(path="/kept/1")
            await client.get("/kept/1")
            assert len(app.asked) == 4

    run(main)


def test_a_body_that_does_not_come_is_given_up() -> None:
    """A client that stops within its body is told 408, and no blame falls on the app."""

    async def main() -> None:
        route = ProxyRoute("*", to="app", timeout=Timeouts(head=0.2))
        async with behind(heads=False) as app, routed([route], {"app": pool(app)}) as there:
            client = there.client()
            await client.send(raw("POST", "/", b"", {"content-length": "200000"}) + b"x")
            assert (await client.head()).status == 408
            assert there.gateway.routes is not None
            assert there.gateway.routes.pools["app"].instances[0].failures == 0

    run(main)


def test_places_are_counted() -> None:
    """While all places are taken there is 503 with a time to wait; fixed answers go out all the same."""
    begun = asyncio.Event()

    async def slow(_asked: Asked, reader: Any, _writer: Any) -> None:
        begun.set()
        await reader.read()

    async def main() -> None:
        routes = [ALL, ProxyRoute("/ping", respond=Respond(body="pong"))]
        limits = Limits(requests=1, connections=10)
        async with behind(slow) as app, routed(routes, {"app": pool(app)}, limits=limits) as there:
            await there.client().send(raw("GET", "/slow"))
            await begun.wait()
            said = await there.client().get("/other")
            assert (said.status, said.headers["retry-after"]) == (503, "1")
            assert (await there.client().get("/ping")).body == b"pong"

    run(main)


def test_apis_and_routes_beside_each_other() -> None:
    """Own paths first, then those of the APIs where there are cascades, then the table, down to its wildcard."""

    async def main() -> None:
        async with behind() as app:
            told = Settings(routes=(ALL,), pools={"app": pool(app)})
            async with serving(Cascade(Tier(ScriptedBackend("good")))) as there:
                there.gateway.routes = routes = Routes(told)
                client = there.client()
                assert (await client.post("/v1/chat/completions", chat("hi"))).headers["x-cascade-tier"]
                assert (await client.get("/healthz")).body == b"ok\n"
                assert (await client.get("/v1/models")).json()["data"]
                assert (await client.get("/v1/other")).body == b"hello"
                assert (await client.get("/")).body == b"hello"
                assert [each.first.split()[1] for each in app.asked] == ["/v1/other", "/"]
                await routes.aclose()

    assert ANYONE.name == ""
    run(main)


def test_metrics_say_which_instances_are_there() -> None:
    """Each instance of each pool has a gauge: 1, or 0 while active checks find it dead."""

    async def main() -> None:
        async with behind() as app, routed([ProxyRoute(path="*", to="app")], {"app": pool(app)}) as there:
            assert there.gateway.routes is not None
            (instance,) = there.gateway.routes.pools["app"].instances
            for alive in (True, False):
                instance.alive = alive
                line = f'pool="app",instance="{instance.name}"}} {int(alive)}'
                assert line in told(there.gateway.metrics.packed("0", {}))

    run(main)
