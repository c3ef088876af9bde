"""What makes the HTTP cache forget, case by case: rows name the section of RFC 9111."""

from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Lock

import pytest

from caching_site import FRESH, TAGGED, Pairs, pairs, site


def test_query_may_be_left_out() -> None:
    """With `key_query=False` all queries of a path are one page, for writes too."""
    its = site(key_query=False)
    its.get(FRESH, path="/a?1")
    assert its.get(FRESH, path="/a?2").kind == "hit"
    its.get(method="POST", path="/a?3")
    assert its.get(FRESH, path="/a").kind == "miss"


# An unsafe answer, and the pages it leaves of /a, /b?q, /c.
WRITES: list[tuple[str, str, str, int, Pairs, list[str]]] = [
    ("4.4: POST", "POST", "/a", 200, [], ["/b?q", "/c"]),
    ("4.4: an unknown method", "MIX", "/a", 204, [], ["/b?q", "/c"]),
    ("4.4: redirected", "PUT", "/a", 303, [], ["/b?q", "/c"]),
    ("4.4: failed", "DELETE", "/a", 500, [], ["/a", "/b?q", "/c"]),
    ("4.4: refused", "DELETE", "/a", 403, [], ["/a", "/b?q", "/c"]),
    ("4.4: safe", "OPTIONS", "/a", 200, pairs(location="/c"), ["/a", "/b?q", "/c"]),
    ("4.4: Location", "POST", "/x", 201, pairs(location="/b?q"), ["/a", "/c"]),
    ("4.4: Content-Location, relative", "POST", "/x", 200, pairs(content_location="c"), ["/a", "/b?q"]),
    ("4.4: Location of the same origin", "POST", "/x", 201, pairs(location="http://Site/c"), ["/a", "/b?q"]),
    ("4.4: of another host", "POST", "/x", 201, pairs(location="http://else/c"), ["/a", "/b?q", "/c"]),
    ("4.4: of another scheme", "POST", "/x", 201, pairs(location="https://site/c"), ["/a", "/b?q", "/c"]),
    ("4.4: junk", "POST", "/x", 201, pairs(location="http://[site/c"), ["/a", "/b?q", "/c"]),
]


@pytest.mark.parametrize(
    ("method", "path", "status", "app", "left"), [pytest.param(*row[1:], id=row[0]) for row in WRITES]
)
def test_writes_invalidate(method: str, path: str, status: int, app: Pairs, left: list[str]) -> None:
    """A write that is no error makes its page, and those it names of the same origin, forgotten in every scope."""
    its = site()
    for page in ("/a", "/b?q", "/c"):
        its.get(FRESH, path=page)
        its.get(FRESH, path=page, scope="ann")
    its.get(app, method=method, path=path, status=status)
    for scope in ("", "ann"):
        kept = [page for page in ("/a", "/b?q", "/c") if its.cache.find("GET", page, [], scope).kind == "hit"]
        assert kept == left


def test_what_was_asked_before_a_write_is_not_kept() -> None:
    """An answer that was under way while its page was written may be the old page: it is not kept, nor by a 304."""
    its = site()
    slow = its.cache.find("GET", "/a", [])
    its.get(method="POST", path="/a")
    its.cache.store(slow.token, 200, FRESH, b"old")
    assert its.cache.find("GET", "/a", []).kind == "miss"
    its.get(TAGGED, path="/b")
    its.clock.advance(61)
    slow = its.cache.find("GET", "/b", [])
    its.get(method="POST", path="/b")
    its.cache.freshened(slow.token, TAGGED)
    assert its.cache.find("GET", "/b", []).kind == "miss"


def test_purge() -> None:
    """A path goes with all its queries and scopes, a tag with all that carry it, and everything with everything."""
    its = site()
    pages = {"/a": pairs(cache_tag="red, big"), "/a?x": pairs(), "/b": pairs(surrogate_key="red  blue"), "/ab": pairs()}

    def fill() -> None:
        for page, app in pages.items():
            its.get([*FRESH, *app], path=page)
            its.get([*FRESH, *app], path=page, scope="ann")

    def left() -> list[str]:
        return [page for page in pages if its.cache.find("GET", page, []).kind == "hit"]

    fill()
    assert (its.cache.purge("/a"), left()) == (4, ["/b", "/ab"])
    fill()
    assert (its.cache.purge(tag="red"), left()) == (4, ["/a?x", "/ab"])
    fill()
    assert (its.cache.purge(tag="none"), its.cache.purge("/none"), left()) == (0, 0, list(pages))
    slow = its.cache.find("GET", "/new", [])
    assert (its.cache.purge(), left()) == (8, [])
    its.cache.store(slow.token, 200, FRESH, b"")
    assert its.cache.find("GET", "/new", []).kind == "miss"
    with pytest.raises(ValueError, match="both a path and a tag"):
        its.cache.purge("/a", tag="red")


def test_threads() -> None:
    """Threads that do everything at once never see another page, nor one older than a write they know of."""
    its = site()
    pages = [f"/{number}" for number in range(4)]
    state, told = dict.fromkeys(pages, 0), dict.fromkeys(pages, 0)

    def work(seed: int) -> None:
        draw = Random(seed)
        for _ in range(400):
            page = draw.choice(pages)
            known = told[page]
            found = its.cache.find("GET", page, pairs(x=str(draw.randint(0, 1))))
            if found.response is not None:
                where, version = found.response.body.split()
                assert where.decode() == page
                assert int(version) >= known
            elif draw.random() < 0.8:
                body = f"{page} {state[page]}".encode()
                its.cache.store(found.token, 200, [*FRESH, *pairs(vary="x", cache_tag=page)], body)
            elif draw.random() < 0.5:
                with writing:
                    state[page] += 1
                    its.cache.invalidated("POST", page, 200, [])
                    told[page] = state[page]
            else:
                its.cache.purge(tag=page)

    writing = Lock()
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, seed) for seed in range(4)]:
            done.result()
