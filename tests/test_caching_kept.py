"""What the HTTP cache keeps and for whom, and what it leaves out: rows name the section of RFC 9111."""

from typing import Any

import pytest

from caching_site import CREDENTIALS, FRESH, START, Pairs, date, pairs, site
from fastcascade import Cache, Clock
from fastcascade.caching import HttpCache, Stored

UNDERSTOOD = pairs(cache_control="max-age=9, must-understand, no-store")
# What an app says, what is asked, what is particular, and whether a second request is answered from here.
KEPT: list[tuple[str, Pairs, Pairs, dict[str, Any], bool]] = [
    ("3: max-age", FRESH, [], {}, True),
    ("3: HEAD brings nothing to keep", FRESH, [], {"method": "HEAD"}, False),
    ("3: POST", FRESH, [], {"method": "POST"}, False),
    ("3: nothing is said of freshness", pairs(etag='"x"'), [], {}, False),
    ("3: public alone is no freshness", pairs(cache_control="public"), [], {}, False),
    ("3: 206 is not joined", FRESH, [], {"status": 206}, False),
    ("3: 404 by explicit freshness", FRESH, [], {"status": 404}, True),
    ("3: 302 by explicit freshness", FRESH, [], {"status": 302}, True),
    ("3: 599 by explicit freshness", FRESH, [], {"status": 599}, True),
    ("3: 304 to the client's own condition", FRESH, pairs(if_none_match='"x"'), {"status": 304}, False),
    ("3: Range", FRESH, pairs(range="bytes=0-1"), {}, False),
    ("3.3: shorter than it said", [*FRESH, *pairs(content_length="7")], [], {"body": b"123"}, False),
    ("3.3: as long as it said", [*FRESH, *pairs(content_length="3")], [], {"body": b"123"}, True),
    ("3.3: length that is no number", [*FRESH, *pairs(content_length="3x")], [], {"body": b"123"}, False),
    ("3.5: credentials", FRESH, CREDENTIALS, {}, False),
    ("3.5: credentials, public", pairs(cache_control="public, max-age=9"), CREDENTIALS, {}, True),
    ("3.5: credentials, s-maxage", pairs(cache_control="s-maxage=9"), CREDENTIALS, {}, True),
    ("3.5: credentials, must-revalidate", pairs(cache_control="must-revalidate, max-age=9"), CREDENTIALS, {}, True),
    ("3.5: credentials, under a scope", FRESH, pairs(authorization="x"), {"scope": "ann"}, True),
    ("4.1: Vary: *", [*FRESH, *pairs(vary="*")], [], {}, False),
    ("4.1: Vary: , * on two lines", [*FRESH, *pairs(vary=["", "a, *"])], [], {}, False),
    ("4.2.1: s-maxage over max-age", pairs(cache_control="max-age=0, s-maxage=9"), [], {}, True),
    ("4.2.1: s-maxage over max-age, shorter", pairs(cache_control="s-maxage=0, max-age=9"), [], {}, False),
    ("4.2.1: junk in max-age", pairs(cache_control="max-age=9x"), [], {}, False),
    ("4.2.1: negative max-age", pairs(cache_control="max-age=-9"), [], {}, False),
    ("4.2.1: max-age twice, one stale", pairs(cache_control=["max-age=9", "max-age=0"]), [], {}, False),
    ("4.2.1: quoted max-age", pairs(cache_control='max-age="9"'), [], {}, True),
    ("1.2.2: huge max-age", pairs(cache_control="max-age=" + "9" * 99), [], {}, True),
    ("4.2.3: Age beyond max-age", [*FRESH, *pairs(age="60")], [], {}, False),
    ("4.2.3: Age below max-age", [*FRESH, *pairs(age="59")], [], {}, True),
    ("4.2.3: Date long ago", [*FRESH, *pairs(date=date(-60))], [], {}, False),
    ("4.2.3: the app took long", FRESH, [], {"took": 60.0}, False),
    ("5.2.2.5: no-store", pairs(cache_control="no-store, max-age=9"), [], {}, False),
    ("5.2.2.5: nO-sToRe", pairs(cache_control="max-age=9, nO-sToRe"), [], {}, False),
    ("5.2.2.3: must-understand over no-store", UNDERSTOOD, [], {}, True),
    ("5.2.2.3: must-understand, unknown status", UNDERSTOOD, [], {"status": 299}, False),
    ("5.2.2.4: no-cache", pairs(cache_control="no-cache, max-age=9"), [], {}, False),
    ("5.2.2.4: no-cache with fields", pairs(cache_control='max-age=9, no-cache="a"'), [], {}, False),
    ("5.2.2.7: private", pairs(cache_control="private, max-age=9"), [], {}, False),
    ("5.2.2.7: private, under a scope", pairs(cache_control="private, max-age=9"), [], {"scope": "ann"}, False),
    ("5.2.2.7: private with fields", pairs(cache_control='private="a", max-age=9'), [], {}, False),
    ("5.3: Expires", pairs(expires=date(9)), [], {}, True),
    ("5.3: Expires against Date", pairs(expires=date(0), date=date(-9)), [], {}, False),
    ("5.3: Expires, and Date of now", pairs(expires=date(9), date=date(0)), [], {}, True),
    ("5.3: Expires in the past", pairs(expires=date(-9)), [], {}, False),
    ("5.3: Expires: 0", pairs(expires="0"), [], {}, False),
    ("5.3: max-age over Expires", pairs(cache_control="max-age=9", expires="0"), [], {}, True),
    ("5.3: max-age=0 over Expires", pairs(cache_control="max-age=0", expires=date(9)), [], {}, False),
    ("5.2.1.5: the client says no-store", FRESH, pairs(cache_control="no-store"), {}, False),
    ("7.3: Set-Cookie, in capitals", [*FRESH, (b"Set-Cookie", b"a=b")], [], {}, False),
    ("7.3: Set-Cookie", [*FRESH, *pairs(set_cookie="a=b")], [], {}, False),
]  # fmt: skip


@pytest.mark.parametrize(("app", "asked", "more", "kept"), [pytest.param(*row[1:], id=row[0]) for row in KEPT])
def test_what_is_kept(app: Pairs, asked: Pairs, more: dict[str, Any], kept: bool) -> None:
    """An answer is kept and sent again exactly where its section permits it."""
    its = site()
    first = its.get(app, asked, **more)
    assert first.kind != "hit"
    assert ("; stored" in (first["cache-status"] or "")) >= kept
    second = its.get(app, [] if b"range" in dict(asked) else asked, **more)
    assert (second.kind == "hit") is kept
    assert (second.body == first.body) is kept or "body" in more or more.get("status") == 304


def test_vary() -> None:
    """4.1: an answer is sent to who asks with the same words, whatever the blanks; others get, and keep, their own."""
    its = site()
    app = [*FRESH, *pairs(vary="Accept-Language, X")]
    one, two = pairs(accept_language="de, en", x="1"), pairs(accept_language="fr")
    assert its.get(app, one).body == b"1"
    assert its.get(app, two)["cache-status"] == "fastcascade; fwd=vary-miss; fwd-status=200; stored"
    spaced = pairs(accept_language=[" de ", "en"], x="1", other="y")
    assert [its.get(app, asked).body for asked in (one, spaced, two)] == [b"1", b"1", b"2"]
    assert [its.get(app, asked).body for asked in (pairs(x="1"), pairs(), one)] == [b"3", b"4", b"1"]


def test_variants_are_bounded() -> None:
    """A client that makes up values of a Vary header pushes out old variants, and no more."""
    its = site(max_variants=3)
    app = [*FRESH, *pairs(vary="x")]
    for value in "abcd":
        its.get(app, pairs(x=value))
    kinds = {value: its.cache.find("GET", "/", pairs(x=value)).kind for value in "abcd"}
    assert kinds == {"a": "miss", "b": "hit", "c": "hit", "d": "hit"}


def test_a_variant_takes_its_own_place() -> None:
    """An answer that is fetched anew replaces its old self and pushes out no other variant."""
    its = site(max_variants=2)
    app = [*FRESH, *pairs(vary="x")]
    its.get(app, pairs(x="a"))
    for _ in range(3):
        its.get(app, pairs(x="b", cache_control="no-cache"))
    assert [its.get(app, pairs(x=value)).body for value in "ab"] == [b"1", b"4"]


def test_vary_on() -> None:
    """A header the operator names tells answers apart though the app does not say so."""
    its = site(vary_on=["X-Tenant"])
    assert its.get(FRESH, pairs(x_tenant="a")).body == b"1"
    assert its.get(FRESH, pairs(x_tenant="b")).body == b"2"
    assert its.get(FRESH, pairs(x_tenant="a")).body == b"1"


def test_scopes_are_apart() -> None:
    """House rule 1: what is kept for one identity is not there for another, nor for nobody, nor the other way."""
    its = site()
    scopes = ["", "ann", "bob", b"ann", "ann\0"]
    app = pairs(cache_control="public, max-age=60")
    bodies = [its.get(app, scope=scope).body for scope in scopes]
    assert len(set(bodies)) == len(scopes)
    assert [its.get(app, scope=scope).body for scope in scopes] == bodies


def test_private_under_a_scope() -> None:
    """With `private`, what is marked so is kept for its own scope, and never for nobody's."""
    its = site(private=True)
    app = pairs(cache_control="private, max-age=60")
    its.get(app, scope="ann")
    assert [its.get(app, scope=scope).kind for scope in ("ann", "bob", "", "")] == ["hit", "miss", "miss", "miss"]


def test_keys_are_whole() -> None:
    """2: scheme, host, path and query are the key; the host's case is not."""
    its = site()
    token = its.cache.find("GET", "/a?b", pairs(host="Site")).token
    its.cache.store(token, 200, FRESH, b"x")
    find = its.cache.find
    assert find("GET", "/a?b", pairs(host="site")).kind == "hit"
    assert find("GET", "/a?b", [], host=b"site").kind == "hit"
    assert find("GET", "/a?c", pairs(host="site")).kind == "miss"
    assert find("GET", "/A?b", pairs(host="site")).kind == "miss"
    assert find("GET", "/a?b", pairs(host="other")).kind == "miss"
    assert find("GET", "/a?b", pairs(host=["site", "other"])).kind == "miss"
    assert find("GET", "/a?b", pairs(host="site"), scheme="https").kind == "miss"


# A guess by `ttl`: status, the answer's headers, the request's, the scope, and whether it is kept.
GUESSED: list[tuple[str, int, Pairs, Pairs, str, bool]] = [
    ("nothing said", 200, [], [], "", True),
    ("a status that is cacheable by default", 404, [], [], "", True),
    ("one that is not", 302, [], [], "", False),
    ("an error", 500, [], [], "", False),
    ("asked with a cookie", 200, [], pairs(cookie="a=b"), "", False),
    ("asked with a cookie, under a scope", 200, [], pairs(cookie="a=b"), "ann", True),
    ("asked with a cookie, public", 200, pairs(cache_control="public"), pairs(cookie="a=b"), "", True),
    ("asked with credentials", 200, [], CREDENTIALS, "", False),
    ("asked with credentials, under a scope", 200, [], CREDENTIALS, "ann", True),
    ("forbidden", 200, pairs(cache_control="no-store"), [], "", False),
    ("sets a cookie", 200, pairs(set_cookie="a=b"), [], "", False),
    ("events as they happen", 200, pairs(content_type="Text/Event-Stream; charset=utf-8"), [], "", False),
]


@pytest.mark.parametrize(
    ("status", "app", "asked", "scope", "kept"), [pytest.param(*row[1:], id=row[0]) for row in GUESSED]
)
def test_guesses(status: int, app: Pairs, asked: Pairs, scope: str, kept: bool) -> None:
    """4.2.2: without a word of the app a ttl counts, where nothing hints at an answer for one alone."""
    its = site(ttl=30)
    its.get(app, asked, scope=scope, status=status)
    its.clock.advance(29)
    assert (its.get(app, asked, scope=scope, status=status).kind == "hit") is kept
    its.clock.advance(2)
    assert its.get(app, asked, scope=scope, status=status).kind != "hit" or not kept


@pytest.mark.parametrize("asked", [pairs(cookie="a=b"), pairs(authorization="x")])
def test_guesses_are_for_the_anonymous(asked: Pairs) -> None:
    """House rule 1: what was kept on a guess for nobody is not sent to who comes with credentials."""
    its = site(ttl=30)
    its.get()
    assert its.get(None, asked).kind == "miss"
    assert its.get().kind == "hit"


def test_cookies_where_they_are_wanted() -> None:
    """7.3: with `keep_cookies` an answer is kept, cookies and all."""
    its = site(keep_cookies=True)
    its.get([*FRESH, *pairs(set_cookie=["a=b", "c=d"])])
    assert (its.get().kind, its.get()["set-cookie"]) == ("hit", "a=b, c=d")


def test_headers_of_one_connection_are_not_kept() -> None:
    """3.1: what belongs to a connection, and what it names, goes no further; an app's own Cache-Status does."""
    its = site()
    of_one = pairs(connection="A, close", a="1", keep_alive="1", transfer_encoding="chunked", upgrade="x", age="3")
    its.get([*FRESH, *of_one, *pairs(b="2", cache_status="inner; hit", content_encoding="gzip")])
    sent = its.get()
    assert sorted(sent.headers) == sorted(
        [*FRESH, *pairs(age="3", b="2", cache_status=["inner; hit", "fastcascade; hit; ttl=57"],
                        content_encoding="gzip", content_length="1")]
    )  # fmt: skip


# RFC 9211: what is said to whom.
STATUS: list[tuple[str, Pairs, str]] = [
    ("GET", [], "fastcascade; fwd=uri-miss; fwd-status=200; stored"),
    ("HEAD", [], "fastcascade; fwd=uri-miss; fwd-status=200"),
    ("POST", [], "fastcascade; fwd=method; fwd-status=200"),
    ("GET", pairs(cache_control="no-store"), "fastcascade; fwd=request; fwd-status=200"),
    ("GET", pairs(range="bytes=0-"), "fastcascade; fwd=bypass; fwd-status=200"),
    ("GET", pairs(if_match='"x"'), "fastcascade; fwd=bypass; fwd-status=200"),
    ("GET", pairs(if_unmodified_since=date(0)), "fastcascade; fwd=bypass; fwd-status=200"),
]


@pytest.mark.parametrize(("method", "asked", "said"), STATUS)
def test_cache_status(method: str, asked: Pairs, said: str) -> None:
    """RFC 9211: each answer says why the app was asked, and whether it is kept."""
    assert site().get(FRESH, asked, method=method)["cache-status"] == said


def test_nothing_said() -> None:
    """With no name there is no Cache-Status; the age, which the standard wants, stays."""
    its = site(name="")
    assert its.get(FRESH)["cache-status"] is None
    sent = its.get()
    assert (sent["cache-status"], sent["age"]) == (None, "0")
    assert its.get(None, pairs(cache_control="only-if-cached"), path="/x")["cache-status"] is None


def test_large_bodies_are_not_kept() -> None:
    """Bodies beyond `max_body` are not asked for where their length is said, and not kept where it shows later."""
    its = site(max_body=4)
    assert its.get(FRESH, body=b"12345")["cache-status"] == "fastcascade; fwd=uri-miss; fwd-status=200; stored"
    token = its.cache.find("GET", "/", []).token
    assert its.cache.passed(token, 200, [*FRESH, *pairs(content_length="5")])[1] is False
    assert its.get(FRESH, body=b"1234").kind == "miss"
    assert its.get().kind == "hit"


def test_weight_is_bounded() -> None:
    """All answers together weigh no more than `max_bytes`; the least recently used go."""
    its = site(max_bytes=4000)
    for path in ("/a", "/b", "/c"):
        its.get(FRESH, path=path, body=bytes(1000))
    assert [its.cache.find("GET", path, []).kind for path in ("/a", "/b", "/c")] == ["miss", "hit", "hit"]


def test_nothing_is_shown() -> None:
    """What is kept or sent, and what it was chosen by, is in no repr."""
    its = site()
    app = [*FRESH, *pairs(vary="cookie", x="secret")]
    its.get(app, pairs(cookie="secret"), body=b"secret")
    token = its.cache.find("GET", "/", pairs(cookie="secret", cache_control="no-cache")).token
    hit = its.cache.find("GET", "/", pairs(cookie="secret"))
    assert hit.kind == "hit"
    assert token.stored is not None
    assert "secret" not in repr([token, token.stored, hit, hit.response, its.cache])


def test_own_store() -> None:
    """A cache handed in is the one that is used, be it empty."""
    clock = Clock(START)
    kept: Cache[tuple[Stored, ...]] = Cache(10, clock=clock)
    cache = HttpCache(kept, clock=clock)
    cache.store(cache.find("GET", "/", []).token, 200, FRESH, b"secret")
    assert len(kept) == 1
    assert "secret" not in repr(kept) + repr(cache)
