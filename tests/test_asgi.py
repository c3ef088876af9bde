"""`CascadeMiddleware` around an ASGI app, under a server that asserts the protocol."""

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_strict import COMMUNICATOR, Server, ask, says, scope_of
from fastcascade import Cache, Clock, ConfigError, KeyRing, Quota, RateLimiter, Route, Router
from fastcascade.asgi import CascadeMiddleware
from fastcascade.caching.http import HttpCache
from fastcascade.fallbacks.static import Static
from fastcascade.guards import AccessLog, Call, Ending, Proceed

ANN, BOB = "ann-" + "a" * 40, "bob-" + "b" * 40
CACHED = (("content-type", "text/plain"), ("cache-control", "public, max-age=60"))
FLEETING = (("cache-control", "public, max-age=10, stale-while-revalidate=60, stale-if-error=600"),)


@pytest.fixture
def keys() -> KeyRing:
    """Two identities."""
    ring = KeyRing()
    ring.add(ANN, "ann", ["read"])
    ring.add(BOB, "bob")
    return ring


def key(secret: str) -> tuple[tuple[str, str], ...]:
    """A request's credential."""
    return (("authorization", f"Bearer {secret}"),)


def run(coroutine: Any) -> Any:
    """To its end."""
    return asyncio.run(coroutine)


def test_what_passes_is_left_alone(keys: KeyRing) -> None:
    """With keys alone, the app's own messages go out, and it finds the call in its scope."""
    asked: list[Any] = []
    app = CascadeMiddleware(says(b"one", b"two", asked=asked), keys=keys)
    seen = run(ask(app, "/x", headers=key(ANN)))
    assert (seen.status, seen.body, len(seen.messages)) == (200, b"onetwo", 4)
    call = asked[0]["fastcascade"]
    assert call.identity.name == "ann" and ANN not in repr(call)


@pytest.mark.parametrize(
    ("headers", "status", "challenge"),
    [
        ((), 401, 'Bearer realm="api"'),
        (key("wrong"), 401, 'error="invalid_token"'),
        (key(BOB), 403, 'error="insufficient_scope"'),
    ],
)
def test_refusals_name_the_scheme(keys: KeyRing, headers: Any, status: int, challenge: str) -> None:
    """401 and 403 come with WWW-Authenticate and a problem, and the app is not asked."""
    asked: list[Any] = []
    app = CascadeMiddleware(says(asked=asked), keys=keys, router=[Route("/x", 1, scopes=["read"])])
    seen = run(ask(app, "/x", headers=headers))
    assert seen.status == status and challenge in seen.headers["www-authenticate"]
    assert seen.headers["content-type"] == "application/problem+json"
    assert json.loads(seen.body)["status"] == status
    assert not asked


def test_strict_routes_answer_404_and_405() -> None:
    """With `strict` the router answers what it does not know; without it, the app."""
    routes = {"GET /x": 1, "PUT /x": 2}
    strict = CascadeMiddleware(says(b"app"), router=routes, strict=True)
    assert run(ask(strict, "/y")).status == 404
    refused = run(ask(strict, "/x", "DELETE"))
    assert refused.status == 405 and set(refused.headers["allow"].split(", ")) >= {"GET", "PUT"}
    assert run(ask(CascadeMiddleware(says(b"app"), router=routes), "/y")).body == b"app"


def test_unknown_paths_are_guarded_too(keys: KeyRing) -> None:
    """A path that the router does not know needs a credential as any other, so no route is a way around."""
    app = CascadeMiddleware(says(b"app"), keys=keys, router=[Route("/open", 1, public=True)], public=("/health",))
    got = [run(ask(app, path)).status for path in ("/open", "/health", "/elsewhere", "/open/../elsewhere")]
    assert got == [200, 200, 401, 400]
    assert run(ask(app, "/elsewhere", headers=key(BOB))).status == 200


def test_limits_are_told() -> None:
    """429 says when to come again, and successes what is left where that is asked for."""
    clock = Clock()
    app = CascadeMiddleware(says(b"ok"), limit=RateLimiter(Quota(2, "minute"), clock=clock), tell_limits=True)
    first = run(ask(app))
    assert (
        first.headers["ratelimit"] == '"default";r=1;t=30' and first.headers["ratelimit-policy"] == '"default";q=2;w=60'
    )
    run(ask(app))
    refused = run(ask(app))
    assert refused.status == 429 and refused.headers["retry-after"] == "30"
    assert refused.headers["ratelimit"] == '"default";r=0;t=30'
    clock.advance(30)
    assert run(ask(app)).status == 200


def test_each_address_has_its_own_limit() -> None:
    """Without keys an address is the client, and a header counts only from a trusted proxy."""
    app = CascadeMiddleware(says(b"ok"), limit=Quota(1, "day"), trusted_proxies=["10.0.0.0/8"])
    claims = [(("x-forwarded-for", name),) for name in ("203.0.113.1", "203.0.113.2")]
    direct = [run(ask(app, headers=claim)).status for claim in claims]
    proxied = [run(ask(app, headers=claim, client=("10.1.2.3", 1))).status for claim in claims]
    assert (direct, proxied) == ([200, 429], [200, 200])


def test_a_routes_cost_is_taken() -> None:
    """A costly route empties the bucket sooner, and one that costs too much is refused for good."""
    routes = [Route("/dear", 1, cost=3.0), Route("/never", 2, cost=9.0)]
    app = CascadeMiddleware(says(b"ok"), router=routes, limit=Quota(4, "day"))
    assert [run(ask(app, "/dear")).status for _ in range(2)] == [200, 429]
    assert "retry-after" not in run(ask(app, "/never")).headers


def test_cached_answers_never_cross_identities(keys: KeyRing) -> None:
    """What ann was answered is found by ann alone; nobody without a credential gets to the cache at all."""
    asked: list[Any] = []

    async def own(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope)
        await says(scope["fastcascade"].identity.name.encode(), headers=CACHED)(scope, receive, send)

    app = CascadeMiddleware(own, keys=keys, cache=True)
    bodies = [run(ask(app, "/me", headers=(("x-api-key", who),))).body for who in (ANN, BOB, ANN, BOB)]
    assert bodies == [b"ann", b"bob", b"ann", b"bob"] and len(asked) == 2
    assert run(ask(app, "/me")).status == 401


def test_public_routes_share_their_answers(keys: KeyRing) -> None:
    """What a route declares public is kept once for all."""
    asked: list[Any] = []
    routes = [Route("/news", 1, public=True), Route("/mine", 2)]
    app = CascadeMiddleware(says(b"x", headers=CACHED, asked=asked), keys=keys, cache=True, router=Router(routes))
    for path in ("/news", "/mine"):
        for who in (ANN, BOB):
            run(ask(app, path, headers=(("x-api-key", who),)))
    assert [scope["path"] for scope in asked] == ["/news", "/mine", "/mine"]


def test_an_owner_set_by_a_guard_keeps_answers_apart() -> None:
    """A guard that tells sessions apart names the owner, and no session sees another's answer."""

    async def session(call: Call, proceed: Proceed) -> Ending | None:
        call.owner = call.header("x-session")
        return await proceed()

    async def own(scope: Any, receive: Any, send: Any) -> None:
        await says(scope["fastcascade"].owner.encode(), headers=CACHED)(scope, receive, send)

    app = CascadeMiddleware(own, cache=True, guards=[session])
    assert [run(ask(app, headers=(("x-session", one),))).body for one in "aba"] == [b"a", b"b", b"a"]


def test_a_hit_is_free_and_a_rewritten_path_is_another() -> None:
    """Hits take nothing from the bucket, and a path rewritten further out is filed under what it became."""
    app = CascadeMiddleware(says(b"x", headers=CACHED), cache=True, limit=Quota(2, "day"))
    assert [run(ask(app, "/a")).status for _ in range(5)] == [200] * 5
    assert run(ask(app, "/b", raw_path=b"/a")).headers["cache-status"].count("hit") == 0
    assert run(ask(app, "/c")).status == 429


def test_pieces_go_out_at_once() -> None:
    """A stream is not held up: each piece is out before the next is made, with a cache, a log and a fallback on."""

    async def main() -> None:
        server = Server(scope_of())
        order: list[str] = []

        async def streaming(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=9")]})
            for number in range(3):
                await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
                order.append(server.seen.body.decode())
            await send({"type": "http.response.body", "more_body": False})

        app = CascadeMiddleware(streaming, cache=True, log=True, fallback="sorry")
        await app(server.seen.scope, Server.send, server.send)
        server.check()
        assert order == ["0", "01", "012"]
        assert (await ask(app)).body == b"012" and len(order) == 3

    run(main())


def test_a_cache_of_ones_own_is_used() -> None:
    """A `Cache` bounds what is kept."""
    kept = Cache[Any](max_items=5)
    asked: list[Any] = []
    app = CascadeMiddleware(says(b"x", headers=CACHED, asked=asked), cache=kept)
    assert [run(ask(app)).body for _ in range(2)] == [b"x", b"x"] and (len(asked), len(kept)) == (1, 1)


def test_an_error_of_the_apps_is_no_disconnect(caplog: pytest.LogCaptureFixture) -> None:
    """A file that is not there is an error of the app's; a `send` that fails is a client that has left."""
    caplog.set_level(logging.INFO, "fastcascade.access")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/missing":
            raise FileNotFoundError
        await says(b"x")(scope, receive, send)

    async def broken(message: Any) -> None:
        raise ConnectionResetError

    around = CascadeMiddleware(app, log=True)
    with pytest.raises(FileNotFoundError):
        run(ask(around, "/missing"))
    with pytest.raises(ConnectionResetError):
        run(around(scope_of("/x"), None, broken))
    logged = [(record.__dict__["status"], record.__dict__["disconnected"]) for record in caplog.records]
    assert logged == [(500, False), (200, True)]


def test_long_bodies_are_not_kept() -> None:
    """A body above `max_body` goes through and is asked for again."""
    asked: list[Any] = []
    app = CascadeMiddleware(says(b"x" * 9, b"y" * 9, headers=CACHED, asked=asked), cache=HttpCache(max_body=10))
    assert [len(run(ask(app)).body) for _ in range(2)] == [18, 18] and len(asked) == 2


def test_files_are_sent_by_the_server() -> None:
    """`http.response.pathsend` passes as it is, and nothing is kept of it."""

    async def file(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=9")]})
        await send({"type": "http.response.pathsend", "path": "/a"})

    app = CascadeMiddleware(file, cache=True, log=True, fallback="sorry")
    for _ in range(2):
        seen = run(ask(app, extensions={"http.response.pathsend": {}}))
        assert seen.messages[-1] == {"type": "http.response.pathsend", "path": "/a"}


def test_trailers_pass() -> None:
    """An answer with trailers passes whole and is not kept without them."""

    async def trailing(scope: Any, receive: Any, send: Any) -> None:
        heads = [(b"cache-control", b"max-age=9")]
        await send({"type": "http.response.start", "status": 200, "headers": heads, "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        await send({"type": "http.response.trailers", "headers": [(b"sum", b"1")], "more_trailers": False})

    app = CascadeMiddleware(trailing, cache=True, log=True)
    assert [run(ask(app)).messages[-1]["type"] for _ in range(2)] == ["http.response.trailers"] * 2


def test_stale_answers_are_fetched_anew_behind() -> None:
    """Within stale-while-revalidate the old answer goes out at once, and one fetch in the background renews it."""

    async def main() -> None:
        clock, asked = Clock(), 0
        renewed = asyncio.Event()

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            nonlocal asked
            asked += 1
            await says(b"%d" % asked, headers=FLEETING)(scope, receive, send)
            if asked == 2:
                renewed.set()

        app = CascadeMiddleware(counted, cache=HttpCache(clock=clock))
        assert (await ask(app)).body == b"1"
        clock.advance(20)
        assert [(await ask(app)).body for _ in range(2)] == [b"1", b"1"]
        await renewed.wait()
        assert ((await ask(app)).body, asked) == (b"2", 2)

    run(main())


@pytest.mark.parametrize("raises", [True, False])
def test_stale_answers_stand_in_for_failures(raises: bool) -> None:
    """Within stale-if-error a failing app is stood in for, whether it raises or says 500; the fallback comes after."""
    clock, works = Clock(), True

    async def flaky(scope: Any, receive: Any, send: Any) -> None:
        if not works and raises:
            raise ZeroDivisionError
        await says(b"x", status=200 if works else 500, headers=FLEETING)(scope, receive, send)

    app = CascadeMiddleware(flaky, cache=HttpCache(clock=clock), fallback="sorry")
    run(ask(app))
    works = False
    clock.advance(100)
    seen = run(ask(app))
    assert (seen.status, seen.body, seen.headers["x-cascade-degraded"]) == (200, b"x", "stale")
    clock.advance(1000)
    assert run(ask(app)).body == b"sorry"


def test_a_304_renews_what_is_kept() -> None:
    """A stale answer with a validator is asked about by its condition, and the client gets the kept body."""
    clock, conditions = Clock(), []

    async def tagged(scope: Any, receive: Any, send: Any) -> None:
        condition = dict(scope["headers"]).get(b"if-none-match")
        conditions.append(condition)
        heads = [(b"etag", b'"1"'), (b"cache-control", b"max-age=10")]
        status = 304 if condition else 200
        await send({"type": "http.response.start", "status": status, "headers": heads})
        await send({"type": "http.response.body", "body": b"" if condition else b"whole"})

    app = CascadeMiddleware(tagged, cache=HttpCache(clock=clock))
    run(ask(app))
    clock.advance(20)
    seen = run(ask(app))
    assert (seen.status, seen.body, conditions) == (200, b"whole", [None, b'"1"'])


def test_unsafe_methods_forget_what_is_kept() -> None:
    """After a POST that went well, the page is asked for anew."""
    asked: list[Any] = []
    app = CascadeMiddleware(says(b"x", headers=CACHED, asked=asked), cache=True)
    for method in ("GET", "GET", "POST", "GET"):
        run(ask(app, "/page", method))
    assert [scope["method"] for scope in asked] == ["GET", "POST", "GET"]


def test_requests_for_one_thing_wait_for_the_first() -> None:
    """With `single_flight`, ten requests at once ask the app once; what is not kept is not waited for twice."""

    async def main(headers: Any) -> int:
        asked: list[Any] = []
        came, go = asyncio.Event(), asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            asked.append(scope)
            came.set()
            await go.wait()
            await says(b"x", headers=headers)(scope, receive, send)

        app = CascadeMiddleware(slow, cache=True, single_flight=True)
        crowd = [asyncio.create_task(ask(app)) for _ in range(10)]
        await came.wait()
        go.set()
        assert {seen.body for seen in await asyncio.gather(*crowd)} == {b"x"}
        return len(asked)

    assert run(main(CACHED)) == 1
    assert run(main((("cache-control", "no-store"),))) == 10


@pytest.mark.parametrize(
    ("fallback", "status", "body"),
    [
        ("sorry", 200, b"sorry"),
        (Static("static"), 200, b"static"),
        ({"ok": False}, 200, b'{"ok": false}'),
        (Ending.text(503, "later", {"Retry-After": "9"}), 503, b"later"),
        (lambda call, error: f"{call.path} {type(error).__name__}", 200, b"/x ZeroDivisionError"),
        (lambda call, error: 1 / 0, 200, b"This cannot be answered right now. Please try again in a moment."),
    ],
)
def test_an_app_that_raises_is_stood_in_for(fallback: Any, status: int, body: bytes) -> None:
    """Whatever the fallback is, it goes out whole and marked, and the error is logged."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    seen = run(ask(CascadeMiddleware(broken, fallback=fallback), "/x"))
    assert (seen.status, seen.body, seen.headers["x-cascade-degraded"]) == (status, body, "fallback")


def test_an_async_fallback_is_awaited_and_a_500_is_stood_in_for() -> None:
    """An app that says 500, and then raises as some frameworks do, is answered for by the fallback too."""

    async def fallback(call: Call, error: BaseException | None) -> Ending:
        await asyncio.sleep(0)
        return Ending.json(200, {"error": error is not None})

    async def framework(scope: Any, receive: Any, send: Any) -> None:
        await says(b"Internal Server Error", status=500)(scope, receive, send)
        raise ZeroDivisionError

    seen = run(ask(CascadeMiddleware(framework, fallback=fallback)))
    assert (seen.status, seen.body) == (200, b'{"error": false}')


def test_errors_after_the_beginning_go_on() -> None:
    """Once the head is out nothing can stand in: the error reaches the server, and nothing is kept."""

    async def cut(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    cache = HttpCache()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            run(ask(CascadeMiddleware(cut, cache=cache, fallback="sorry")))


def test_guards_compose(keys: KeyRing) -> None:
    """Guards run outermost first, may end the request, change the headers, replace an ending, and hear of the end."""
    told: list[str] = []

    class Named:
        def __init__(self, name: str, *, on_hits: bool = True) -> None:
            self.name, self.on_hits = name, on_hits

        async def __call__(self, call: Call, proceed: Proceed) -> Ending | None:
            told.append(self.name)
            call.on_head(lambda status, headers: headers.append(("x-" + self.name, str(status))))
            call.on_end(lambda call: told.append(f"{self.name} {call.status} {call.sent}"))
            if call.header("x-stop") == self.name:
                return Ending.text(418, "stop")
            ended = await proceed()
            return Ending.text(419, "changed") if ended is not None and ended.status == 418 else ended

    app = CascadeMiddleware(
        says(b"abc", headers=CACHED), keys=keys, cache=True, guards=[Named("in", on_hits=False), Named("out")]
    )
    seen = run(ask(app, headers=(("x-api-key", ANN),)))
    assert told == ["out", "in", "out 200 3", "in 200 3"] and {"x-out", "x-in"} <= set(seen.headers)
    told.clear()
    hit = run(ask(app, headers=(("x-api-key", ANN),)))
    assert told == ["out", "out 200 3"] and "x-in" not in hit.headers and hit.headers["x-out"] == "200"
    stopped = run(ask(app, "/y", headers=(("x-api-key", ANN), ("x-stop", "in"))))
    assert (stopped.status, stopped.body) == (419, b"changed")


def test_a_guard_that_raises_lets_nobody_in() -> None:
    """An error in a guard is the server's to answer, or the fallback's; the app is not asked."""
    asked: list[Any] = []

    async def broken(call: Call, proceed: Proceed) -> Ending | None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(ask(CascadeMiddleware(says(asked=asked), guards=[broken])))
    assert run(ask(CascadeMiddleware(says(asked=asked), guards=[broken], fallback="sorry"))).body == b"sorry"
    assert not asked


def socket(headers: Any = (), **more: Any) -> dict[str, Any]:
    """The scope of a websocket."""
    scope = scope_of("/ws", headers=headers, **more)
    return {**scope, "type": "websocket", "scheme": "ws", "subprotocols": []}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """A websocket that says what it hears."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def test_websockets_are_refused_before_they_are_accepted(keys: KeyRing) -> None:
    """Without a credential: closed as a policy violation, or an HTTP answer where the server offers that."""

    async def main() -> None:
        app = CascadeMiddleware(echo, keys=keys, log=True)
        closed = COMMUNICATOR(app, socket())
        await closed.send_input({"type": "websocket.connect"})
        message = await closed.receive_output()
        assert (message["type"], message["code"]) == ("websocket.close", 1008)
        await closed.wait()
        denied = COMMUNICATOR(app, socket(extensions={"websocket.http.response": {}}))
        await denied.send_input({"type": "websocket.connect"})
        start = await denied.receive_output()
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
        assert b"www-authenticate" in dict(start["headers"])
        assert (await denied.receive_output())["type"] == "websocket.http.response.body"
        await denied.wait()

    run(main())


def test_websockets_pass_untouched(keys: KeyRing, caplog: pytest.LogCaptureFixture) -> None:
    """With a credential a websocket is the app's, and its end is in the log."""
    caplog.set_level(logging.INFO, "fastcascade.access")

    async def main() -> None:
        app = CascadeMiddleware(echo, keys=keys, cache=True, log=True, fallback="sorry")
        talk = COMMUNICATOR(app, socket(key(ANN)))
        await talk.send_input({"type": "websocket.connect"})
        assert (await talk.receive_output())["type"] == "websocket.accept"
        await talk.send_input({"type": "websocket.receive", "text": "hello"})
        assert (await talk.receive_output())["text"] == "hello"
        await talk.send_input({"type": "websocket.disconnect", "code": 1000})
        await talk.wait()

    run(main())
    record = caplog.records[-1].__dict__
    assert (record["status"], record["bytes"], record["identity"]) == (101, 5, "ann")


def test_the_lifespan_is_the_apps() -> None:
    """Scopes that are not of a request go on as the same objects."""
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.extend((scope, receive, send))

    given_ = ({"type": "lifespan", "state": {}}, object(), object())
    run(CascadeMiddleware(app, cache=True, log=True)(*given_))
    assert all(one is other for one, other in zip(got, given_, strict=True)) and set(got[0]) == {"type", "state"}


def test_one_record_a_request(keys: KeyRing, caplog: pytest.LogCaptureFixture) -> None:
    """Method, template, status, bytes, client, identity, cache and id are logged; secrets and line ends are not."""
    caplog.set_level(logging.INFO, "fastcascade.access")
    app = CascadeMiddleware(
        says(b"abc", headers=CACHED), keys=keys, cache=True, log=AccessLog(), router={"/users/{id}": 1},
        credentials=("query:key", "bearer"),
    )  # fmt: skip
    for _ in range(2):
        run(ask(app, f"/users/42?key={ANN}", headers=(("x-request-id", "7\nforged"),)))
    run(ask(app, "/evil\r\nline"))
    first, second, third = (record.__dict__ for record in caplog.records)
    assert (first["path"], first["status"], first["bytes"], first["identity"]) == ("/users/{id}", 200, 3, "ann")
    assert (first["cache"], second["cache"], first["client"]) == ("miss", "hit", "198.51.100.7")
    assert first["request_id"] == "7\\nforged" and third["path"] == "/evil\\r\\nline" and third["status"] == 401
    assert not any(ANN in str(record.__dict__) for record in caplog.records)


def test_a_client_that_goes_away_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A disconnect in the middle, told or as a cancellation, leaves a record that says so."""
    caplog.set_level(logging.INFO, "fastcascade.access")

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async def main() -> None:
        app = CascadeMiddleware(listening, log=True)
        server = Server(scope_of())

        async def gone() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        await app(server.seen.scope, gone, server.send)
        server = Server(scope_of())
        task = asyncio.create_task(app(server.seen.scope, asyncio.Event().wait, server.send))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert [record.__dict__["disconnected"] for record in caplog.records] == [True, True]


def test_heads_have_no_body(keys: KeyRing) -> None:
    """A refusal of HEAD has the headers of a GET's and no body."""
    seen = run(ask(CascadeMiddleware(says(), keys=keys), "/", "HEAD"))
    assert seen.body == b"" and int(seen.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"strict": True},
        {"guards": [3]},
        {"single_flight": True},
        {"public": ["health"]},
        {"fallback": ""},
        {"realm": 'a"b'},
        {"credentials": ()},
        {"credentials": ["cookie:"]},
        {"trusted_proxies": ["nowhere"]},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any) -> None:
    """A mistake is told when the middleware is built."""
    with pytest.raises(ConfigError):
        CascadeMiddleware(says(), **settings)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["/mine", "/shared", "/news"]),
            st.sampled_from([ANN, BOB, "unknown", ""]),
            st.sampled_from(["authorization", "x-api-key"]),
            st.sampled_from(["GET", "HEAD", "POST"]),
            st.sampled_from(["public, max-age=60", "max-age=5, stale-while-revalidate=60", "private", "no-store", ""]),
            st.integers(0, 20),
        ),
        max_size=12,
    )
)
def test_whoever_asks_gets_their_own(steps: list[tuple[str, str, str, str, str, int]]) -> None:
    """Whatever is asked by whom, however it may be cached: off public routes an answer is for who asked, or a 401."""

    async def own(scope: Any, receive: Any, send: Any) -> None:
        identity = scope["fastcascade"].identity
        said = dict(scope["headers"])[b"x-say"].decode()
        body = b"nobody" if identity is None else identity.name.encode()
        await says(body, headers=(("cache-control", said),))(scope, receive, send)

    async def main() -> None:
        clock = Clock()
        ring = KeyRing()
        ring.add(ANN, "ann", tenant="t")
        ring.add(BOB, "bob", tenant="t")
        routes = [Route("/mine", 1), Route("/shared", 2, share="tenant"), Route("/news", 3, public=True)]
        app = CascadeMiddleware(own, keys=ring, router=routes, cache=HttpCache(clock=clock, ttl=30))
        for path, secret, header, method, say, later in steps:
            value = f"Bearer {secret}" if header == "authorization" else secret
            seen = await ask(app, path, method, ((header, value), ("x-say", say)) if secret else (("x-say", say),))
            await asyncio.sleep(0)
            clock.advance(later)
            if path == "/news":
                assert seen.status == 200
            elif secret in {ANN, BOB}:
                assert seen.status == 200 and seen.body in {secret[:3].encode(), b""}
            else:
                assert seen.status == 401

    run(main())


@given(
    st.lists(st.binary(max_size=8), max_size=5),
    st.sampled_from([200, 201, 204, 301, 404, 500, 503]),
    st.sampled_from([CACHED, FLEETING, (("cache-control", "no-store"),), ()]),
    st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]),
    st.booleans(),
)
def test_whatever_an_app_says_goes_out_in_order(
    pieces: list[bytes], status: int, headers: Any, method: str, raises: bool
) -> None:
    """With everything on, any answer keeps the protocol, and a repeated request gets the same answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await says(*pieces, status=status, headers=headers)(scope, receive, send)
        if raises and status == 500:
            raise ZeroDivisionError

    async def main() -> None:
        around = CascadeMiddleware(app, cache=True, log=True, fallback="sorry", limit=Quota(9, "day"), tell_limits=True)
        seen = [await ask(around, "/x", method) for _ in range(3)]
        if status != 500:
            body = b"".join(pieces)
            assert {one.status for one in seen} == {status}
            assert {one.body for one in seen} <= {body, b""} and seen[0].body == body
        else:
            assert {one.status for one in seen} == {200}

    run(main())


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", "/x"), ("Get", "/x"), ("GET", "/x/"), ("GET", "//x"), ("GET", "/x//"), ("GET", "/y"), ("get", "//y")],
)
def test_what_apps_read_alike_is_guarded_alike(keys: KeyRing, method: str, path: str) -> None:
    """Letters of a method and slashes too many, for which some frameworks have no eye, lead past no scope."""
    asked: list[Any] = []
    routes = [Route("GET /x", 1, scopes=["read"]), Route("/y/", 1, scopes=["read"])]
    app = CascadeMiddleware(says(b"app", asked=asked), keys=keys, router=routes)
    assert run(ask(app, path, method, headers=key(BOB))).status == 403
    assert run(ask(app, path, method)).status == 401
    assert not asked
    assert run(ask(app, path, method, headers=key(ANN))).status == 200
    other = run(ask(app, "/z/", method, headers=key(BOB)))
    assert other.status == 200  # the table does not know it, nor anything like it


def test_connections_of_other_kinds_are_not_let_through(keys: KeyRing) -> None:
    """What cannot be guarded raises, where there are keys; the lifespan is the app's own."""
    asked: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(ValueError, match="webtransport"):
        run(CascadeMiddleware(inner, keys=keys)({"type": "webtransport", "path": "/"}, nothing, nothing))
    run(CascadeMiddleware(inner, keys=keys)({"type": "lifespan"}, nothing, nothing))
    run(CascadeMiddleware(inner)({"type": "webtransport", "path": "/"}, nothing, nothing))
    assert asked == ["lifespan", "webtransport"]
