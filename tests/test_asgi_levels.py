"""`CascadeMiddleware` with a cache that is shared: two apps in front of one store, each with its own memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from caching_site import Pairs, pairs
from fastcascade import CascadeMiddleware
from fastcascade.caching import HttpCache, Levels
from fastcascade.shared.shared import Shared
from redis_server import redis_server


@dataclass
class App:
    """Says how often it was asked, once it is let."""

    said: Pairs
    status: int = 200
    asked: list[str] = field(default_factory=list)
    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        """Answer one."""
        self.asked.append(f"{scope['method']} {scope['path']}")
        body = b"%d" % len(self.asked)
        await self.free.wait()
        if self.status == 0:
            raise RuntimeError("broken")
        await send({"type": "http.response.start", "status": self.status, "headers": self.said})
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        await send({"type": "http.response.body", "body": body[1:]})


async def get(app: Any, path: str = "/", method: str = "GET") -> tuple[int, bytes, str]:
    """One request: status, body, and what is said of the cache."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    await app({**scope, "headers": [(b"host", b"site")], "client": ("127.0.0.1", 1), "scheme": "http"}, receive, send)
    said = dict(sent[0]["headers"]).get(b"cache-status", b"").decode()
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:]), said


@asynccontextmanager
async def both(url: str, app: App, **settings: Any) -> AsyncIterator[list[Any]]:
    """The app behind two middlewares, as in two processes."""
    shared = [Shared(url) for _ in range(2)]
    levels = [Levels("site", each) for each in shared]
    try:
        yield [CascadeMiddleware(app, cache=HttpCache(levels=each, **settings)) for each in levels]
    finally:
        for one, each in zip(levels, shared, strict=True):
            await one.aclose()
            await each.aclose()


def run(work: Callable[[str], Awaitable[None]]) -> None:
    """With a store of its own, within a time."""

    async def bounded(url: str) -> None:
        async with asyncio.timeout(30):
            await work(url)

    with redis_server() as server:
        asyncio.run(bounded(server.url))


async def asked(app: App, count: int) -> None:
    """Wait until the app was asked so often."""
    while len(app.asked) < count:  # noqa: ASYNC110 - it happens in tasks that tell nobody
        await asyncio.sleep(0.001)


def test_one_call_for_all_and_a_write_is_told_before_its_answer() -> None:
    """Requests at both wait for one call; after a PUT has been answered by one, the other has the new page."""
    app = App(pairs(cache_control="max-age=60"))

    async def work(url: str) -> None:
        async with both(url, app) as fronts:
            tasks = [asyncio.ensure_future(get(fronts[number % 2])) for number in range(200)]
            await asked(app, 1)
            app.free.set()
            found = await asyncio.gather(*tasks)
            assert {each[1] for each in found} == {b"1"}
            assert app.asked == ["GET /"]
            for front in fronts:
                assert (await get(front))[2].startswith("fastcascade; hit; ttl=")
            await get(fronts[0], method="PUT")
            while (await get(fronts[1]))[1] == b"1":  # noqa: ASYNC110 - it was told; hearing of it takes a moment
                await asyncio.sleep(0.001)
            assert (await get(fronts[0]))[1] == (await get(fronts[1]))[1] == b"3"

    run(work)


def test_what_is_not_kept_or_fails_lets_the_others_go() -> None:
    """Each then has the app's own answer, or its failure; nobody is left waiting."""
    app = App(pairs(cache_control="no-store"))

    async def work(url: str) -> None:
        async with both(url, app, max_body=1) as fronts:
            for path, status in (("/never", 200), ("/broken", 0), ("/long", 200)):
                app.status, app.asked = status, ["x"] * 9
                if path == "/long":
                    app.said = pairs(cache_control="max-age=60")
                app.free.clear()
                tasks = [asyncio.ensure_future(get(fronts[0], path)) for _ in range(10)]
                await asked(app, 10)
                app.free.set()
                found = await asyncio.gather(*tasks, return_exceptions=True)
                assert len(app.asked) == 19
                if status:
                    assert len({each[1] for each in found if isinstance(each, tuple)}) == 10
                else:
                    assert {type(each) for each in found} == {RuntimeError}

    run(work)


def test_a_stale_page_is_sent_and_fetched_anew_once_behind_it() -> None:
    """However many ask at both, the app is asked once; then both have the new page."""
    app = App(pairs(cache_control="max-age=0, stale-while-revalidate=60"))

    async def work(url: str) -> None:
        async with both(url, app) as fronts:
            app.free.set()
            assert (await get(fronts[0]))[1] == b"1"
            while (await get(fronts[1]))[1] != b"1" and len(app.asked) < 3:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)
            app.free.clear()
            before = len(app.asked)
            app.said = pairs(cache_control="max-age=60")
            found = await asyncio.gather(*(get(fronts[number % 2]) for number in range(50)))
            assert len({each[1] for each in found}) == 1
            await asked(app, before + 1)
            app.free.set()
            new = b"%d" % (before + 1)
            for front in fronts:
                while (await get(front))[1] != new:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.001)
            assert len(app.asked) == before + 1

    run(work)
