"""Pools behind the gateway: who is asked, what is sent again and what never, and a region that dies under load."""

import asyncio
import subprocess
import sys
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest
import trustme

from fastcascade.entry.balance import LeastOutstanding, RoundRobin
from fastcascade.gateway.listening import listen
from fastcascade.gateway.proxy_pool import ProxiedPool
from fastcascade.gateway.proxy_settings import Check, ProxyInstance, ProxyRoute
from gateways import PATIENCE, Running, raw
from proxied import Asked, Behind, behind, ok, pool, routed, run
from real import free_port, until

ALL = ProxyRoute("*", to="app")
SERVER = """
import asyncio, sys
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            size = int((head.lower().partition(b"content-length:")[2].split() or [b"0"])[0])
            await reader.readexactly(size)
            await asyncio.sleep(0.002)
            body = sys.argv[2].encode()
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%b" % (len(body), body))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class Server:
    """A server behind, as a process that can be killed."""

    def __init__(self, name: str, port: int) -> None:
        self.inner = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(port), name], stdout=subprocess.PIPE, text=True
        )
        assert self.inner.stdout is not None
        self.port = int(self.inner.stdout.readline().split()[1])

    def kill(self) -> None:
        self.inner.kill()
        self.inner.wait()
        assert self.inner.stdout is not None
        self.inner.stdout.close()


def pool_of(there: Running) -> ProxiedPool:
    """The pool of its one route."""
    assert there.gateway.routes is not None
    return there.gateway.routes.pools["app"]


class Clients:
    """Clients that ask one request after another, and count who answers and what is lost."""

    def __init__(self, there: Running, many: int = 16) -> None:
        self.there, self.many = there, many
        self.by: dict[str, int] = {}
        self.lost: list[str] = []
        self.over = False

    async def one(self, number: int) -> None:
        client = self.there.client()
        while not self.over:
            said = await client.ask("PUT" if number % 2 else "GET", "/x", b"body" if number % 2 else b"")
            if said.status == 200:
                self.by[said.body.decode()] = self.by.get(said.body.decode(), 0) + 1
            else:
                self.lost.append(f"{said.status} {said.body!r}")

    async def run(self) -> None:
        await asyncio.gather(*(self.one(number) for number in range(self.many)))


def test_a_region_that_is_killed_under_load_loses_no_request() -> None:
    """Both processes of the primary region are killed while clients ask: the other answers all, until they are back."""

    async def main() -> None:
        one, two, far = Server("eu", free_port()), Server("eu", free_port()), Server("us", free_port())
        ports = [one.port, two.port]
        try:
            places = [ProxyInstance(f"http://127.0.0.1:{port}", region="eu") for port in ports]
            places.append(ProxyInstance(f"http://127.0.0.1:{far.port}", region="us", priority=1))
            told = pool(*places, health=Check("/", every=0.1, timeout=0.1, fall=2, rise=2), timeout=5.0)
            async with routed([ALL], {"app": told}) as there:
                clients = Clients(there)
                load = asyncio.ensure_future(clients.run())
                await until(lambda: clients.by.get("eu", 0) > 200, "what was to come")
                assert "us" not in clients.by
                one.kill()
                two.kill()
                await until(lambda: clients.by.get("us", 0) > 200, "what was to come")
                here = pool_of(there).instances
                await until(lambda: [each.alive for each in here] == [False, False, True], "what was to come")
                assert all(each.outstanding <= clients.many for each in here)
                one, two = Server("eu", ports[0]), Server("eu", ports[1])
                await until(lambda: all(each.alive for each in here), "what was to come")
                before = clients.by["eu"]
                await until(lambda: clients.by["eu"] > before + 200, "what was to come")
                clients.over = True
                await load
                assert clients.lost == []
                assert [each.outstanding for each in here] == [0, 0, 0]
                assert pool_of(there).moves > 0
        finally:
            for each in (one, two, far):
                each.kill()

    run(main)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_never_left_is_moved_whatever_it_is(method: str) -> None:
    """Where nobody listens, the same request goes to the next, with its body, and is asked there once."""

    async def main() -> None:
        async with behind() as away, behind() as here:
            await away.stop()
            async with routed([ALL], {"app": pool(away, here, ladder=True, retries=0)}) as there:
                body = b"x" * 100_000 if method == "POST" else b""
                said = await there.client().ask(method, "/", body)
                assert said.status == 200
                assert [each.body for each in here.asked] == [body]

    run(main)


async def hangs_up(_asked: Asked, _reader: Any, _writer: Any) -> str:
    """Read a request, and say nothing."""
    return "close"


AGAIN = [("GET", b"", 200), ("DELETE", b"", 200), ("PUT", b"body", 200), ("POST", b"body", 502), ("PATCH", b"", 502)]


@pytest.mark.parametrize(("method", "body", "status"), AGAIN)
def test_only_what_may_be_repeated_is(method: str, body: bytes, status: int) -> None:
    """What an app may have had before it hung up goes to another if its method is idempotent, and else not."""

    async def main() -> None:
        async with (
            behind(hangs_up) as first,
            behind() as second,
            routed([ALL], {"app": pool(first, second, ladder=True)}) as there,
        ):
            assert (await there.client().ask(method, "/", body)).status == status
            assert len(first.asked) == 1
            assert len(second.asked) == (status == 200)

    run(main)


def test_a_body_that_has_begun_to_go_is_not_repeated() -> None:
    """A long PUT that one app has had a part of is a 502: the rest of it is not there any more."""

    async def main() -> None:
        async with (
            behind(hangs_up) as first,
            behind() as second,
            routed([ALL], {"app": pool(first, second, ladder=True)}) as there,
        ):
            client = there.client()
            await client.send(raw("PUT", "/", b"x" * 200_000))
            assert (await client.head()).status == 502
            assert not second.asked

    run(main)


def test_as_many_repeats_as_are_allowed() -> None:
    """With `retries = 1` a second failure is told; with 2 a third app is asked."""

    async def main() -> None:
        for retries, status in ((0, 502), (1, 502), (2, 200)):
            async with (
                behind(hangs_up) as one,
                behind(hangs_up) as two,
                behind() as three,
                routed([ALL], {"app": pool(one, two, three, ladder=True, retries=retries)}) as there,
            ):
                assert (await there.client().get("/")).status == status

    run(main)


def test_a_kept_connection_that_had_ended_is_made_anew() -> None:
    """An app that closes connections after each answer without saying so costs no idempotent request."""

    async def once(asked: Asked, _reader: Any, writer: Any) -> str:
        writer.write(ok())
        await writer.drain()
        return "" if asked.first.startswith("GET /first") else "close"

    async def main() -> None:
        closing = asyncio.Event()

        async def closes(asked: Asked, reader: Any, writer: Any) -> str:
            if "/again" in asked.first and not closing.is_set():
                closing.set()
                return "close"  # as if it had closed just before
            return await once(asked, reader, writer)

        async with behind(closes) as app, routed([ALL], {"app": pool(app, retries=0)}) as there:
            client = there.client()
            assert (await client.get("/first")).status == 200
            assert (await client.get("/again")).status == 200
            assert app.connections == 2

    run(main)


def test_statuses_that_count_as_failures() -> None:
    """A 503 of one app is answered by another if that may be asked; where there is none, the client has it as it is."""

    async def main() -> None:
        full = ok(b"full", "503 Service Unavailable", retry_after="7")
        async with behind(full) as first, behind() as second:
            pools = {"two": pool(first, second, ladder=True), "one": pool(first)}
            routes = [ProxyRoute(f"/{name}", to=name) for name in pools]
            async with routed(routes, pools) as there:
                assert (await there.client().get("/two")).status == 200
                said = await there.client().post("/two", b"x")
                assert (said.status, said.body, said.headers["retry-after"]) == (503, b"full", "7")
                assert (await there.client().get("/one")).body == b"full"

    run(main)


def test_who_fails_again_and_again_is_left_alone() -> None:
    """After enough failures an instance gets no requests until its breaker has cooled, and the other has them all."""

    async def main() -> None:
        async with behind(hangs_up) as bad, behind() as good:
            told = pool(bad, good, balance=RoundRobin())
            async with routed([ALL], {"app": told}) as there:
                client = there.client()
                for _ in range(40):
                    assert (await client.get("/")).status == 200
                assert len(bad.asked) == 5  # outliers: five on end
                assert len(good.asked) == 40

    run(main)


def test_balance_and_weights() -> None:
    """Requests are shared out as the balancer says, by weight; with calls under way, to whoever has the fewest."""

    async def main() -> None:
        async with behind() as one, behind() as two:
            places = [ProxyInstance(one.url, weight=3), ProxyInstance(two.url)]
            async with routed([ALL], {"app": pool(*places, balance=RoundRobin())}) as there:
                client = there.client()
                for _ in range(40):
                    await client.get("/")
                assert (len(one.asked), len(two.asked)) == (30, 10)
        begun = asyncio.Event()

        async def holds(_asked: Asked, reader: Any, _writer: Any) -> None:
            begun.set()
            await reader.read()

        async with behind(holds) as busy, behind() as free:
            places = [ProxyInstance(busy.url, weight=1000), ProxyInstance(free.url)]
            async with routed([ALL], {"app": pool(*places, balance=LeastOutstanding())}) as there:
                here = pool_of(there).instances
                here[1].begin()
                await there.client().send(raw("GET", "/"))
                await begun.wait()
                here[1].end()
                for _ in range(1000):
                    here[0].begin()
                assert (await there.client().get("/")).status == 200

    run(main)


def test_checks_find_the_dead_and_the_living() -> None:
    """An app whose check fails gets no requests, though it would answer them; a status can be asked for."""

    async def sick(asked: Asked, _reader: Any, writer: Any) -> None:
        writer.write(ok(b"", "500 Internal Server Error") if asked.first.startswith("GET /healthz") else ok(b"sick"))

    async def main() -> None:
        check = Check("/healthz", every=0.05, timeout=0.05, fall=2, rise=1, status=(200,))
        async with (
            behind(sick) as first,
            behind(ok(b"well")) as second,
            routed([ALL], {"app": pool(first, second, ladder=True, health=check)}) as there,
        ):
            here = pool_of(there)
            await until(lambda: not here.instances[0].alive, "what was to come")
            assert (await there.client().get("/")).body == b"well"
            first.said = ok(b"first")
            await until(lambda: here.instances[0].alive, "what was to come")
            assert (await there.client().get("/")).body == b"first"
            asked = [each for each in first.asked if "/healthz" in each.first]
            assert asked[0].headers["connection"] == "close"

    run(main)


def test_all_dead_are_asked_rather_than_nobody() -> None:
    """Where checks find all dead, requests still try them: the checks may be wrong."""

    async def main() -> None:
        async with behind() as one, behind() as two, routed([ALL], {"app": pool(one, two)}) as there:
            for each in pool_of(there).instances:
                each.alive = False
            assert (await there.client().get("/")).status == 200

    run(main)


def test_tls_to_the_app_is_checked(tmp_path: Path) -> None:
    """An app's certificate must be of the stated authority and for its name; anything else is no connection."""
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def main() -> None:
        for issuer, name, status in ((ca, "localhost", 200), (ca, "elsewhere.example", 503), (other, "localhost", 503)):
            tls = SSLContext(PROTOCOL_TLS_SERVER)
            issuer.issue_cert(name).configure_cert(tls)
            app = Behind()
            await app.start(tls=tls)
            place = ProxyInstance(f"https://localhost:{app.port}")
            async with routed([ALL], {"app": pool(place, ca=tmp_path / "ca.pem")}) as there:
                assert (await there.client().get("/")).status == status
                assert len(app.asked) == (status == 200)
            await app.stop()

    run(main)


def test_connections_are_kept_and_bounded() -> None:
    """No more connections than allowed go to an instance, and those that are free are used again."""

    async def main() -> None:
        async with behind() as app, routed([ALL], {"app": pool(app, connections=2)}) as there:
            clients = [there.client() for _ in range(8)]
            for _ in range(5):
                said = await asyncio.gather(*(each.get("/") for each in clients))
                assert {each.status for each in said} == {200}
            assert app.connections <= 2

    run(main)


def test_no_descriptor_is_left_open() -> None:
    """When the gateway ends, so do its connections to apps."""

    async def main() -> None:
        async with behind() as app:
            async with routed([ALL], {"app": pool(app)}) as there:
                await there.client().get("/")
            await asyncio.wait_for(app.gone.wait(), PATIENCE)
        listen("127.0.0.1", app.port).close()

    run(main)


def test_an_answer_before_its_request_was_read() -> None:
    """An app that refuses a long body at once is heard, and its connection with half a request is not used again."""

    async def refuses(_asked: Asked, reader: Any, writer: Any) -> str:
        writer.write(ok(b"no", "413 Content Too Large", connection="close"))
        await writer.drain()
        await reader.read()
        return "close"

    async def main() -> None:
        async with behind(refuses, heads=True) as app, routed([ALL], {"app": pool(app)}) as there:
            client = there.client()
            await client.send(raw("POST", "/", b"", {"content-length": "10000000"}) + b"x" * 100_000)
            assert (await client.head()).status == 413
            await client.close()
            assert len(app.asked) == 1

    run(main)
