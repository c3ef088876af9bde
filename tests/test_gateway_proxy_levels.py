"""Routes that are cached, at two gateways with one Redis between them: pages made once, and forgotten by both."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fastcascade.gateway.key_store import KeyFile
from fastcascade.gateway.proxy_settings import Cached, ProxyRoute
from gateways import PATIENCE, Client, Running, Said, raw, running
from proxied import Asked, Behind, behind, ok, pool, routed, run
from real import until
from redis_server import RedisServer, redis_server

FILE = """
[gateway]
linger = 0.1
keys = "keys.json"

[gateway.shared]
url = "{url}"

[gateway.pools.app]
instances = [{{ url = "{app}" }}]

[[gateway.routes]]
path = "/own/{{rest...}}"
to = "app"
guard = true
cache = true

[[gateway.routes]]
path = "*"
to = "app"
cache = {{ negative = 60.0, within = 20.0 }}
"""


@dataclass
class App:
    """What is behind: each answer says how many there were; it is held back where the path says so."""

    said: dict[str, str] = field(default_factory=lambda: {"cache-control": "max-age=60"})
    count: int = 0
    paths: list[str] = field(default_factory=list)
    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, asked: Asked, _reader: Any, writer: Any) -> None:
        """Answer one."""
        method, path, _ = asked.first.split()
        self.count += 1
        self.paths.append(f"{method} {path}")
        body = f"{self.count} {asked.headers.get('accept-language', '')}".encode()
        if path.startswith("/slow"):
            await self.free.wait()
        if path.startswith("/missing"):
            writer.write(ok(body, "404 Not Found"))
        elif method == "GET":
            writer.write(ok(body, **{name.replace("-", "_"): value for name, value in self.said.items()}))
        else:
            writer.write(ok(b""))


@dataclass
class Pair:
    """Two gateways of one file, the store between them, and the app behind them."""

    app: App
    redis: RedisServer
    ports: list[int]
    keys: dict[str, str]

    async def ask(self, place: int, path: str, method: str = "GET", **headers: str) -> Said:
        """Ask one of them, on a connection of its own."""
        client = Client(self.ports[place])
        try:
            return await client.ask(method, path, b"", {name.replace("_", "-"): v for name, v in headers.items()})
        finally:
            await client.close()

    async def get(self, place: int, path: str, **headers: str) -> str:
        """Likewise; what it says."""
        said = await self.ask(place, path, **headers)
        assert said.status == 200, said.body
        return said.body.decode().strip()

    async def purge(self, place: int, what: bytes) -> bool:
        """Have one forget; whether it could tell the other."""
        client = Client(self.ports[place])
        headers = {"authorization": f"Bearer {self.keys['boss']}", "content-type": "application/json"}
        said = await client.ask("POST", "/admin/purge", what, headers)
        await client.close()
        assert said.status == 200, said.body
        everywhere: bool = said.json()["everywhere"]
        return everywhere


def two(folder: Path, work: Callable[[Pair], Awaitable[None]]) -> None:
    """Do something with both."""
    file = KeyFile(folder / "keys.json")
    keys = {name: file.create(name, admin=name == "boss")[1] for name in ("anna", "bert", "boss")}

    async def main(redis: RedisServer) -> None:
        app = App()
        async with behind(app) as there:
            (folder / "cascade.toml").write_text(FILE.format(url=redis.url, app=there.url), encoding="utf-8")
            async with _started(folder) as ports:
                await work(Pair(app, redis, ports, keys))

    with redis_server() as redis:
        run(lambda: main(redis))


@asynccontextmanager
async def _started(folder: Path) -> AsyncIterator[list[int]]:
    told = (str(folder / "cascade.toml"), "--port", "0")
    with running(*told) as (_, one), running(*told) as (_, other):
        yield [one, other]


async def becomes(asking: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so; the test's own timeout is the bound."""
    while not await asking():  # noqa: ASYNC110 - it happens in other processes
        await asyncio.sleep(0.01)


def test_a_thousand_identical_misses_at_two_gateways_are_one_call(tmp_path: Path) -> None:
    """All are given what the one call brings; later each gateway has it in its own memory."""

    async def work(both: Pair) -> None:
        asked = [asyncio.ensure_future(both.ask(number % 2, "/slow")) for number in range(1_000)]
        await until(lambda: both.app.count, "the first call")
        both.app.free.set()
        found = await asyncio.gather(*asked)
        assert {said.body for said in found} == {b"1 "}
        assert both.app.count == 1
        ways = Counter(said.headers["cache-status"].split(";")[-1].strip() for said in found)
        assert ways["stored"] == 1
        assert ways["collapsed"] > 0
        for place in (0, 1):
            assert (await both.ask(place, "/slow")).headers["cache-status"].startswith("fastcascade; hit; ttl=")

    two(tmp_path, work)


def test_what_one_has_kept_the_other_finds_and_says_where(tmp_path: Path) -> None:
    """The first look at the other gateway is a hit of the shared level, the second one of its memory."""

    async def work(both: Pair) -> None:
        assert await both.get(0, "/a") == "1"

        async def there() -> bool:
            said = await both.ask(1, "/a")
            return said.body == b"1 " and said.headers["cache-status"].endswith("; detail=shared")

        await becomes(there)
        assert "detail" not in (await both.ask(1, "/a")).headers["cache-status"]
        assert both.app.count == 1
        metrics = (await both.ask(1, "/metrics")).body.decode()
        for level in ("memory", "shared"):
            told = f'fastcascade_cache_level_hits_total{{worker="0",cache="route *",level="{level}"}} 1\n'
            assert (told in metrics) is (both.app.count == 1)

    two(tmp_path, work)


def test_a_purge_or_a_write_at_one_gateway_is_seen_at_the_other(tmp_path: Path) -> None:
    """By path, by tag, all, and by an unsafe method; after its answer has come, the other gives nothing older."""

    async def work(both: Pair) -> None:
        both.app.said["cache-tag"] = "red, blue"

        async def written() -> bool:
            assert (await both.ask(0, "/a?x=1", "PUT")).status == 200
            return True

        for forget in (
            partial(both.purge, 0, b'{"path": "/a"}'),
            partial(both.purge, 0, b'{"tag": "blue"}'),
            partial(both.purge, 0, b'{"everything": true}'),
            written,
        ):
            first = await both.get(0, "/a?x=1")
            assert await both.get(1, "/a?x=1") == first
            assert await forget()

            async def anew(first: str = first) -> bool:
                return await both.get(1, "/a?x=1") != first

            await becomes(anew)
            assert await both.get(0, "/a?x=1") == await both.get(1, "/a?x=1") != first

    two(tmp_path, work)


def test_variants_callers_and_credentials_are_kept_apart(tmp_path: Path) -> None:
    """By what Vary names, by the key that let a caller in, and by credentials that nobody has looked at."""

    async def work(both: Pair) -> None:
        both.app.said["vary"] = "accept-language"
        german = await both.get(0, "/a", accept_language="de")
        french = await both.get(0, "/a", accept_language="fr")
        assert (german, french) == ("1 de", "2 fr")
        await becomes(lambda: _same(both, "/a", german, accept_language="de"))
        await becomes(lambda: _same(both, "/a", french, accept_language="fr"))
        del both.app.said["vary"]
        mine = {name: f"Bearer {key}" for name, key in both.keys.items()}
        anna = await both.get(0, "/own/a", authorization=mine["anna"])
        bert = await both.get(0, "/own/a", authorization=mine["bert"])
        assert anna != bert
        await becomes(lambda: _same(both, "/own/a", anna, authorization=mine["anna"]))
        assert (await both.ask(1, "/own/a")).status == 401
        with_secret = await both.get(0, "/b", authorization="Basic x")
        assert await both.get(1, "/b") != with_secret
        assert await both.get(1, "/b", authorization="Basic x") != with_secret

    async def _same(both: Pair, path: str, text: str, **headers: str) -> bool:
        return await both.get(1, path, **headers) == text

    two(tmp_path, work)


def test_without_redis_each_goes_on_by_itself_and_nothing_fails(tmp_path: Path) -> None:
    """What is in memory is given, the rest asked for. A write meanwhile is told when it is back; they share anew."""

    async def work(both: Pair) -> None:
        first = await both.get(0, "/a")
        assert await both.get(1, "/a") == first
        both.redis.kill()
        for place in (0, 1):
            assert await both.get(place, "/a") == first
            assert await both.get(place, "/new") == await both.get(place, "/new")
        assert (await both.ask(0, "/a", "PUT")).status == 200
        assert not await both.purge(0, b'{"path": "/new"}')
        assert await both.get(0, "/a") != first
        both.redis.start()

        async def told() -> bool:
            return await both.get(1, "/a") != first

        await becomes(told)

        async def shared() -> bool:
            path = f"/again/{both.app.count}"
            return await both.get(0, path) == await both.get(1, path)

        await becomes(shared)

    two(tmp_path, work)


def test_what_is_not_there_is_kept_where_the_operator_says_so(tmp_path: Path) -> None:
    """A 404 that says nothing is asked for once, for as long as `negative` says."""

    async def work(both: Pair) -> None:
        assert (await both.ask(0, "/missing")).status == 404
        await becomes(lambda: _hit(both))
        assert both.app.paths.count("GET /missing") <= 2

    async def _hit(both: Pair) -> bool:
        return "hit" in (await both.ask(1, "/missing")).headers["cache-status"]

    two(tmp_path, work)


# One gateway, without Redis.


def _busy(there: Running, count: int) -> bool:
    """Whether so many requests are in work."""
    return there.gateway.busy == count


ROUTE = ProxyRoute("*", to="app", cache=Cached())


async def _many(there: Any, app: Behind, free: asyncio.Event, count: int, calls: int) -> list[Said]:
    """So many at once; the app is let when it has been asked so often."""
    clients = [there.client() for _ in range(count)]
    tasks = [asyncio.ensure_future(each.get("/")) for each in clients]
    await until(lambda: len(app.asked) >= calls, "calls")
    free.set()
    return list(await asyncio.gather(*tasks))


def test_misses_are_joined_without_redis() -> None:
    """In one worker too one request goes, and the others are given what it brings."""
    free = asyncio.Event()

    async def slow(_asked: Asked, _reader: Any, writer: Any) -> None:
        await free.wait()
        writer.write(ok(b"page", cache_control="max-age=60"))

    async def main() -> None:
        async with behind(slow) as app, routed([ROUTE], {"app": pool(app)}) as there:
            found = await _many(there, app, free, 50, 1)
            assert {said.body for said in found} == {b"page"}
            assert len(app.asked) == 1

    run(main)


def test_an_uncacheable_route_is_not_made_a_queue() -> None:
    """The first answer lets all others go at once, who are under way together; then nobody waits for a while."""
    gates = [asyncio.Event(), asyncio.Event()]

    async def never(asked: Asked, _reader: Any, writer: Any) -> None:
        number = len(apps[0].asked)
        await gates[0 if number <= 1 else 1].wait()
        writer.write(ok(f"{number}".encode(), cache_control="no-store"))

    apps: list[Behind] = []

    async def main() -> None:
        async with behind(never) as app, routed([ROUTE], {"app": pool(app)}) as there:
            apps.append(app)
            tasks = [asyncio.ensure_future(there.client().get("/")) for _ in range(20)]
            await until(lambda: app.asked, "the first call")
            gates[0].set()
            await until(lambda: len(app.asked) == 20, "the others, while none of them has an answer")
            gates[1].set()
            assert {said.status for said in await asyncio.gather(*tasks)} == {200}
            gates[1].clear()
            tasks = [asyncio.ensure_future(there.client().get("/")) for _ in range(5)]
            await until(lambda: len(app.asked) == 25, "all, at once")
            gates[1].set()
            await asyncio.gather(*tasks)

    run(main)


def test_the_one_that_goes_has_its_answer_as_it_comes() -> None:
    """It streams to its client while others wait for the whole; a body too long lets them go before it ends."""
    more = asyncio.Event()

    async def long(_asked: Asked, _reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await writer.drain()
        if len(apps[0].asked) == 1:
            await more.wait()
        writer.write(b"8\r\nlong end\r\n0\r\n\r\n")

    apps: list[Behind] = []

    async def main() -> None:
        for most, calls in ((1_000, 1), (2, 2)):
            more.clear()
            route = ProxyRoute("*", to="app", cache=Cached(body=most))
            async with behind(long) as app, routed([route], {"app": pool(app)}) as there:
                apps[:] = [app]
                first, second = there.client(), there.client()
                await first.send(raw("GET", "/"))
                assert (await first.head()).status == 200
                pieces = first.pieces()
                assert await anext(pieces) == b"one"
                waiting = asyncio.ensure_future(second.get("/"))
                if calls == 2:
                    assert (await asyncio.wait_for(waiting, PATIENCE)).body == b"onelong end"
                else:
                    await until(partial(_busy, there, 2), "the second to wait")
                more.set()
                assert await anext(pieces) == b"long end"
                assert (await waiting).body == b"onelong end"
                assert len(app.asked) == calls

    run(main)


def test_a_client_that_goes_away_leaves_its_place_to_the_next() -> None:
    """The call is made again, by one that waits: no other client sees that the first has gone."""
    free = asyncio.Event()

    async def slow(_asked: Asked, _reader: Any, writer: Any) -> None:
        await free.wait()
        writer.write(ok(b"page", cache_control="max-age=60"))

    async def main() -> None:
        async with behind(slow, heads=True) as app, routed([ROUTE], {"app": pool(app)}) as there:
            first = there.client()
            await first.send(raw("GET", "/"))
            await until(lambda: app.asked, "the first call")
            others = [asyncio.ensure_future(there.client().get("/")) for _ in range(5)]
            await until(lambda: there.gateway.busy == 6, "the others")
            await first.close()
            await until(lambda: len(app.asked) == 2, "the next call")
            free.set()
            assert {said.body for said in await asyncio.gather(*others)} == {b"page"}
            assert len(app.asked) == 2

    run(main)
