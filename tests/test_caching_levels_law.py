"""Two caches over one simulated store never serve another's page, nor one that was forgotten."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from caching_site import Pairs, pairs
from fastcascade.caching import HttpCache, Levels
from levels_world import World

PAGES: tuple[str, ...] = ("/a", "/b?x=1")
SCOPES = ("", "anna", "bert")
LANGUAGES: tuple[Pairs, ...] = ([], pairs(accept_language="de"), pairs(accept_language="fr"))


class Pair:
    """Two caches, the store between them, and one app whose pages change."""

    def __init__(self) -> None:
        self.world = world = World(2)
        self.levels = [Levels("test", link, clock=world.clock) for link in world.links]  # type: ignore[arg-type]
        self.caches = [HttpCache(levels=each, clock=world.clock) for each in self.levels]
        self.now = dict.fromkeys(PAGES, 1)
        self.least = [dict.fromkeys(PAGES, 1) for _ in self.caches]
        self.waiting: list[asyncio.Future[None]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.hits = 0

    async def visit(self, place: int, page: str, scope: str, headers: Pairs) -> None:
        """One request; what it is given is its own, and no older than what was forgotten before it came."""
        cache, least = self.caches[place], self.least[place][page]
        found = cache.find("GET", page, headers, scope)
        if found.kind != "hit":
            found = await cache.further(found, within=30)
        if found.response is not None and (found.kind != "stale" or not cache.lead(found.token)):
            self.hits += 1
            self.check(found.response.body, (page, scope, headers, least))
            return
        version = self.now[page]
        answer = body_of(page, scope, headers, version)
        said = pairs(
            cache_control="max-age=5, stale-while-revalidate=5",
            vary="accept-language",
            cache_tag=page,
            etag=f'"{version}"',
        )
        same = (b"if-none-match", b'"%d"' % version) in found.conditions
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        await future
        if same:
            self.check(cache.freshened(found.token, said).body, (page, scope, headers, least))
        else:
            assert cache.passed(found.token, 200, said)[1]
            cache.store(found.token, 200, said, answer)
        cache.release(found.token)

    def check(self, body: bytes, asked: tuple[str, str, Pairs, int]) -> None:
        """Whether it is what that request may be given."""
        page, scope, headers, least = asked
        *theirs, version = body.decode().split("|")
        assert theirs == body_of(page, scope, headers, 0).decode().split("|")[:-1]
        assert int(version) >= least

    async def forget(self, place: int, page: str, how: str) -> None:
        """The page changes, and that is told."""
        self.now[page] += 1
        self.least[place][page] = self.now[page]
        cache = self.caches[place]
        if how == "write":
            cache.invalidated("PUT", page, 200, [])
            await cache.told()
        elif how == "all":
            await cache.purged()
        else:
            await (cache.purged(tag=page) if how == "tag" else cache.purged(page.partition("?")[0]))

    def settle(self) -> None:
        """All is told: now what one has forgotten holds for both."""
        self.world.settle()
        both = {page: max(each[page] for each in self.least) for page in PAGES}
        self.least = [dict(both) for _ in self.caches]

    def step(self, act: Any) -> None:
        """Do one thing."""
        world, (name, place, *more) = self.world, act
        if name == "visit":
            self.tasks.append(world.start(self.visit(place, *more)))
        elif name == "forget":
            self.tasks.append(world.start(self.forget(place, *more)))
        elif name == "answer" and self.waiting:
            future = self.waiting.pop(place % len(self.waiting))
            if not future.done():
                world.do(future.set_result, None)
        elif name == "time":
            world.pass_time(float(more[0]))
        elif name == "settle":
            self.settle()
        elif name in ("serve", "deliver"):
            world.do(getattr(world.links[place], name))
        elif name == "news":
            world.do(world.links[place].news.deliver)
        world.spin()

    def end(self) -> None:
        """Let all that is under way come to its end; a task that failed fails the test."""
        for _ in range(50):
            self.settle()
            while self.waiting:
                self.step(("answer", 0))
            if all(each.done() for each in self.tasks):
                break
            self.world.pass_time(2.0)
        for each in self.tasks:
            each.result()
        closing = [self.world.start(each.aclose()) for each in self.levels]
        self.settle()
        for task in closing:
            task.result()
        self.world.loop.close()


def body_of(page: str, scope: str, headers: Pairs, version: int) -> bytes:
    """What the app says."""
    return "|".join((page, scope, repr(headers), str(version))).encode()


places = st.integers(0, 1)
acts = st.lists(
    st.one_of(
        st.tuples(
            st.just("visit"), places, st.sampled_from(PAGES), st.sampled_from(SCOPES), st.sampled_from(LANGUAGES)
        ),
        st.tuples(st.just("visit"), places, st.just("/a"), st.just(""), st.just(LANGUAGES[0])),
        st.tuples(st.just("forget"), places, st.sampled_from(PAGES), st.sampled_from(["write", "tag", "path", "all"])),
        st.tuples(st.just("answer"), st.integers(0, 9)),
        st.tuples(st.just("time"), places, st.sampled_from([0.1, 3.0, 7.0])),
        st.tuples(st.sampled_from(["serve", "deliver", "news", "settle", "settle"]), places),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(acts)
def test_no_cache_serves_anothers_page_nor_one_that_was_forgotten(acts: list[Any]) -> None:
    """Whatever the order in which two caches, the store and its messages go on."""
    pair = Pair()
    try:
        for act in acts:
            pair.step(act)
    finally:
        pair.end()


def test_what_one_has_made_the_other_finds_and_loses() -> None:
    """A page is taken from the store, said to be; and gone from both when one is told of a write."""
    pair = Pair()
    visit = ("visit", 0, "/a", "", LANGUAGES[1])
    for act in (visit, ("settle", 0), ("answer", 0), ("settle", 0), ("visit", 1, *visit[2:]), ("settle", 0)):
        pair.step(act)
    assert pair.hits == 1
    found = pair.caches[1].find("GET", "/a", LANGUAGES[1])
    assert found.kind == "hit"
    pair.step(("forget", 0, "/a", "write"))
    pair.settle()
    assert [each.find("GET", "/a", LANGUAGES[1]).kind for each in pair.caches] == ["miss", "miss"]
    pair.end()
