"""When the HTTP cache sends what it kept and when it asks the app: rows name the section of RFC 9111."""

from typing import Any

import pytest

from caching_site import FRESH, TAGGED, Pairs, date, pairs, site
from fastcascade import ConfigError
from fastcascade.caching import HttpCache

# Kept at age 0 with max-age=60 and more; then, so much later, asked for so: what is to be done.
ASKED: list[tuple[str, str, float, str, str]] = [
    ("4.2: to its last second", "", 59.9, "", "hit"),
    ("4.2: and no longer", "", 60.0, "", "validate"),
    ("5.2.1.1: max-age", "", 30.0, "max-age=30", "hit"),
    ("5.2.1.1: max-age is over", "", 31.0, "max-age=30", "validate"),
    ("5.2.1.1: max-age=0 is a reload", "", 0.0, "max-age=0", "validate"),
    ("5.2.1.1: junk is the strictest", "", 1.0, "max-age=x", "validate"),
    ("RFC 8246, 2: reload of immutable", ", immutable", 30.0, "max-age=0", "hit"),
    ("RFC 8246, 2: no-cache of immutable", ", immutable", 30.0, "no-cache", "validate"),
    ("RFC 8246, 2: immutable is over", ", immutable", 60.0, "", "validate"),
    ("5.2.1.2: max-stale", "", 90.0, "max-stale=30", "hit"),
    ("5.2.1.2: max-stale is over", "", 91.0, "max-stale=30", "validate"),
    ("5.2.1.2: max-stale of any length", "", 900.0, "max-stale", "hit"),
    ("5.2.1.2: max-stale does not lift max-age", "", 70.0, "max-stale, max-age=65", "validate"),
    ("5.2.2.2: max-stale and must-revalidate", ", must-revalidate", 61.0, "max-stale", "validate"),
    ("5.2.2.8: max-stale and proxy-revalidate", ", proxy-revalidate", 61.0, "max-stale", "validate"),
    ("5.2.2.10: max-stale and s-maxage", ", s-maxage=60", 61.0, "max-stale", "validate"),
    ("5.2.1.3: min-fresh", "", 30.0, "min-fresh=30", "hit"),
    ("5.2.1.3: less than min-fresh", "", 31.0, "min-fresh=30", "validate"),
    ("5.2.1.4: no-cache", "", 1.0, "no-cache", "validate"),
    ("5.2.1.5: no-store", "", 1.0, "no-store", "bypass"),
    ("5.2.1.7: only-if-cached", "", 1.0, "only-if-cached", "hit"),
    ("5.2.1.7: only-if-cached, too old", "", 61.0, "only-if-cached", "gateway timeout"),
    ("RFC 5861, 3: behind", ", stale-while-revalidate=30", 89.9, "", "stale"),
    ("RFC 5861, 3: over", ", stale-while-revalidate=30", 90.0, "", "validate"),
    ("RFC 5861, 3: under s-maxage", ", s-maxage=60, stale-while-revalidate=30", 80.0, "", "stale"),
    ("5.2.2.2: never behind must-revalidate", ", must-revalidate, stale-while-revalidate=30", 61.0, "", "validate"),
    ("5.2.1.1: max-age against behind", ", stale-while-revalidate=30", 61.0, "max-age=60", "validate"),
    ("5.2.1.3: min-fresh against behind", ", stale-while-revalidate=30", 61.0, "min-fresh=0", "validate"),
    ("5.2.1: unknown directives", "", 1.0, "x, y=1", "hit"),
]


@pytest.mark.parametrize(("app", "later", "asked", "kind"), [pytest.param(*row[1:], id=row[0]) for row in ASKED])
def test_what_is_asked(app: str, later: float, asked: str, kind: str) -> None:
    """Age, the app's permissions and the client's wishes decide together what is done."""
    its = site()
    its.get(pairs(cache_control="max-age=60" + app, etag='"v1"'))
    its.clock.advance(later)
    sent = its.get(TAGGED, pairs(cache_control=asked) if asked else [])
    assert sent.kind == kind
    if kind in {"hit", "stale"}:
        assert (sent["age"], sent.body) == (str(int(later)), b"1")
    if kind == "gateway timeout":
        assert (sent.status, sent.body, sent.asked) == (504, b"", None)


def test_pragma_counts_where_there_is_no_cache_control() -> None:
    """5.4: Pragma: no-cache is a request for validation, unless Cache-Control says what is wanted."""
    its = site()
    its.get(TAGGED)
    assert its.get(TAGGED, pairs(pragma="x, no-cache")).kind == "validate"
    assert its.get(TAGGED, pairs(pragma="no-cache", cache_control="max-age=50")).kind == "hit"


def test_clients_need_not_be_obeyed() -> None:
    """5.2.1: what clients say is advice; with `obey_client=False` they cannot push requests through to the app."""
    its = site(obey_client=False)
    its.get(TAGGED, pairs(cache_control="no-store"))
    for asked in ("no-cache", "no-store", "max-age=0", "min-fresh=999"):
        assert its.get(TAGGED, pairs(cache_control=asked, pragma="no-cache")).kind == "hit"
    its.clock.advance(61)
    assert its.get(None, pairs(cache_control="stale-if-error=99"), status=500).status == 500


BOTH = pairs(etag='"a"', last_modified=date(-9))
# The answer's headers and the client's condition, and whether it gets a 304 from here.
HELD: list[tuple[str, Pairs, Pairs, bool]] = [
    ("the same tag", pairs(etag='"a"'), pairs(if_none_match='"a"'), True),
    ("weakly the same", pairs(etag='W/"a"'), pairs(if_none_match='"b", "a"'), True),
    ("another tag", pairs(etag='"a"'), pairs(if_none_match='"b"'), False),
    ("any", pairs(), pairs(if_none_match="*"), True),
    ("tags go before dates", BOTH, pairs(if_none_match='"b"', if_modified_since=date(0)), False),
    ("tags go before dates, held", BOTH, pairs(if_none_match='"a"', if_modified_since=date(-99)), True),
    ("since then", pairs(last_modified=date(-9)), pairs(if_modified_since=date(-9)), True),
    ("changed since", pairs(last_modified=date(-9)), pairs(if_modified_since=date(-10)), False),
    ("Date where nothing is said of change", pairs(date=date(0)), pairs(if_modified_since=date(0)), True),
    ("no date at all", pairs(), pairs(if_modified_since=date(0)), False),
    ("junk", pairs(last_modified=date(-9)), pairs(if_modified_since="yesterday"), False),
]  # fmt: skip


@pytest.mark.parametrize(("app", "asked", "held"), [pytest.param(*row[1:], id=row[0]) for row in HELD])
def test_client_conditions(app: Pairs, asked: Pairs, held: bool) -> None:
    """4.3.2: a client that has the answer already is told so from here, and any other gets it whole."""
    its = site()
    its.get([*FRESH, *app])
    its.clock.advance(5)
    sent = its.get(None, asked)
    assert (sent.kind, sent.status, sent.body) == (("hit", 304, b"") if held else ("hit", 200, b"1"))
    assert sent["age"] == "5"


def test_304_has_its_headers() -> None:
    """RFC 9110, 15.4.5: a 304 says what a 200 would of caching, and nothing of a body."""
    its = site()
    app = pairs(etag='"a"', date=date(0), vary="x", content_location="/a", expires=date(60), last_modified=date(-9))
    its.get([*FRESH, *app, *pairs(content_type="a/b", content_encoding="gzip", access_control_allow_origin="*")])
    sent = its.get(None, pairs(if_none_match='"a"'))
    assert {name.decode() for name, _ in sent.headers} == {
        "access-control-allow-origin", "age", "cache-control", "cache-status", "content-location", "date", "etag",
        "expires", "vary",
    }  # fmt: skip


def test_a_condition_is_not_applied_to_an_error() -> None:
    """RFC 9110, 13.2.1: a kept 404 is sent whatever the condition."""
    its = site()
    its.get(FRESH, status=404)
    assert its.get(None, pairs(if_none_match="*")).status == 404


def test_head_is_answered_from_get() -> None:
    """4: a HEAD has the headers of the GET, its length too, and no body."""
    its = site()
    its.get(FRESH, body=b"four")
    sent = its.get(method="HEAD")
    assert (sent.kind, sent.status, sent.body, sent["content-length"]) == ("hit", 200, b"", "4")


def test_validation() -> None:
    """4.3.1 and 4.3.4: the app is asked by the kept validators; its 304 freshens headers and age, and not the body."""
    its = site()
    its.get([*TAGGED, *pairs(last_modified=date(-9), x_a="old", x_b="kept", content_type="a/b", date=date(0))])
    its.clock.advance(61)
    sent = its.get(
        pairs(cache_control="max-age=9", etag='"v1"', x_a="new", content_type="c/d", content_length="0"),
        pairs(accept="*/*", if_none_match='"mine"'),
        status=304,
    )
    assert sent.asked == pairs(accept="*/*", if_none_match='"v1"', if_modified_since=date(-9))
    assert (sent.kind, sent.status, sent.body) == ("validate", 200, b"1")
    assert sent["cache-status"] == "fastcascade; fwd=stale; fwd-status=304; stored"
    for again in (sent, its.get()):
        assert again.body == b"1"
        assert (again["x-a"], again["x-b"], again["content-type"], again["age"]) == ("new", "kept", "a/b", "0")
        assert (again["cache-control"], again["content-length"], again["date"]) == ("max-age=9", "1", None)
    its.clock.advance(9)
    assert its.get().kind == "validate"


def test_validation_for_a_client_that_has_it() -> None:
    """4.3.2: after the app's 304 a client whose own condition holds gets a 304 too, with the app's cookies."""
    its = site()
    its.get(TAGGED)
    its.clock.advance(61)
    sent = its.get(pairs(set_cookie="a=b"), pairs(if_none_match='"v1"'), status=304)
    assert (sent.status, sent.body, sent["set-cookie"]) == (304, b"", "a=b")
    assert its.get()["set-cookie"] is None


@pytest.mark.parametrize(
    ("said", "kind"),
    [(pairs(etag='"v2"'), "miss"), (pairs(cache_control="no-store"), "miss"), (pairs(cache_control="private"), "miss")],
)
def test_a_304_that_cannot_be_kept(said: Pairs, kind: str) -> None:
    """4.3.4: a 304 that names another answer, or forbids keeping, is served once and leaves nothing behind."""
    its = site()
    its.get(TAGGED)
    its.clock.advance(61)
    sent = its.get(said, status=304)
    assert (sent.status, sent.body) == (200, b"1")
    assert its.get(TAGGED).kind == kind


def test_new_answer_to_validation_replaces() -> None:
    """4.3.3: a full answer to a validation takes the place of what was kept."""
    its = site()
    its.get(TAGGED)
    its.clock.advance(61)
    assert its.get(TAGGED).body == b"2"
    assert (its.get().kind, its.get().body) == ("hit", b"2")


def test_what_must_always_be_validated_is_kept() -> None:
    """5.2.2.4: no-cache with a validator saves the body, and is never sent without a question."""
    its = site(ttl=60)
    its.get(pairs(cache_control="no-cache", etag='"a"'))
    for asked in ("", "max-stale", "max-age=99"):
        assert its.get(pairs(), pairs(cache_control=asked), status=304).body == b"1"
        assert its.get(pairs(), status=304).kind == "validate"


# Extra directives, the request's, how old, the failure: whether the kept answer stands in.
FAILED: list[tuple[str, str, str, float, int | None, bool]] = [
    ("4.2.4: nothing permits it", "", "", 61, None, False),
    ("RFC 5861, 4: the app raises", ", stale-if-error=30", "", 89, None, True),
    ("RFC 5861, 4: 503", ", stale-if-error=30", "", 89, 503, True),
    ("RFC 5861, 4: 500", ", stale-if-error=30", "", 89, 500, True),
    ("RFC 5861, 4: 501 is an answer", ", stale-if-error=30", "", 89, 501, False),
    ("RFC 5861, 4: over", ", stale-if-error=30", "", 90, 500, False),
    ("RFC 5861, 4: the client permits it", "", "stale-if-error=30", 89, 500, True),
    ("5.2.2.2: must-revalidate", ", must-revalidate, stale-if-error=30", "stale-if-error=30", 61, 500, False),
    ("5.2.2.10: s-maxage against the client", ", s-maxage=60", "stale-if-error=30", 61, 500, False),
    ("4.3.3: fresh, and validated by wish", ", stale-if-error=30", "no-cache", 10, 500, True),
]


@pytest.mark.parametrize(
    ("app", "asked", "later", "status", "stands_in"), [pytest.param(*row[1:], id=row[0]) for row in FAILED]
)
def test_failures(app: str, asked: str, later: float, status: int | None, stands_in: bool) -> None:
    """A stale answer stands in for a failing app exactly where somebody permits it and nobody forbids it."""
    its = site()
    its.get(pairs(cache_control="max-age=60" + app, etag='"v1"'))
    its.clock.advance(later)
    headers = pairs(cache_control=asked) if asked else []
    sent = its.get(None, headers, status=status) if stands_in or status else None
    if sent is None:
        assert its.cache.failed(its.cache.find("GET", "/", headers).token, status) is None
        return
    assert (sent.status, sent.body) == ((200, b"1") if stands_in else (status, b"2"))
    if stands_in:
        assert "detail=stale-if-error" in str(sent["cache-status"])
        assert sent["age"] == str(int(later))


def test_operator_windows() -> None:
    """4.2.4: the operator's windows hold where the app says nothing, and not against what it forbids."""
    its = site(stale_while_revalidate=10, stale_if_error=20)
    its.get(FRESH, path="/a")
    its.get(pairs(cache_control="max-age=60, must-revalidate", etag='"x"'), path="/b")
    its.get(pairs(cache_control="max-age=60, stale-while-revalidate=0", etag='"x"'), path="/c")
    its.clock.advance(65)
    assert [its.get(path=path, status=500).status for path in ("/a", "/b", "/c")] == [200, 500, 200]
    assert [its.cache.find("GET", path, []).kind for path in ("/a", "/b", "/c")] == ["stale", "validate", "validate"]


def test_stale_is_fetched_behind() -> None:
    """RFC 5861, 3: the client gets the old answer, one request fetches the new, and the token takes it in."""
    its = site()
    its.get(pairs(cache_control="max-age=60, stale-while-revalidate=30", etag='"v1"'))
    its.clock.advance(61)
    sent, other = its.get(), its.get()
    assert (sent.kind, sent.body, sent["cache-status"]) == ("stale", b"1", "fastcascade; hit; ttl=-1")
    assert sent.found.conditions == ((b"if-none-match", b'"v1"'),)
    assert its.cache.lead(sent.found.token)
    assert not its.cache.lead(other.found.token)
    its.cache.store(sent.found.token, 200, TAGGED, b"new")
    its.cache.release(sent.found.token)
    assert its.cache.lead(other.found.token)
    assert (its.get().kind, its.get().body) == ("hit", b"new")


def test_a_lost_leader_is_replaced() -> None:
    """Who led and never came back is not waited for beyond its time."""
    its = site()
    token = its.get(FRESH).found.token
    assert its.cache.lead(token, 5)
    its.clock.advance(4.9)
    assert not its.cache.lead(token, 5)
    its.clock.advance(0.1)
    assert its.cache.lead(token, 5)


def test_methods() -> None:
    """A method that is left out goes past the cache."""
    its = site(methods=["GET"])
    its.get(FRESH)
    assert (its.get().kind, its.get(method="HEAD").kind) == ("hit", "bypass")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ttl": -1}, "ttl is -1"),
    ({"ttl": float("nan")}, "ttl is nan"),
    ({"keep_stale": float("inf")}, "keep_stale is inf"),
    ({"max_body": -1}, "max_body"),
    ({"stale_if_error": -1}, "stale_if_error"),
    ({"methods": ["GET", "POST"]}, "'POST'"),
    ({"max_variants": 0}, "max_variants"),
    ({"vary_on": ["*"]}, "vary_on"),
    ({"name": 'a"b'}, "name"),
    ({"name": "1a"}, "name"),
]


@pytest.mark.parametrize(("settings", "named"), WRONG)
def test_settings_that_cannot_work(settings: dict[str, Any], named: str) -> None:
    """A setting that makes no sense is refused when the cache is built, by name."""
    with pytest.raises(ConfigError, match=named):
        HttpCache(**settings)


def test_head_is_not_sent_a_stale_answer() -> None:
    """Where a GET would be sent a stale answer a HEAD goes to the app: what it brings could not be kept."""
    its = site()
    its.get(pairs(cache_control="max-age=60, stale-while-revalidate=30", etag='"v1"'))
    its.clock.advance(61)
    found = its.cache.find("HEAD", "/", [])
    assert (found.kind, found.conditions) == ("miss", ())
    with pytest.raises(ValueError, match="nothing was to be validated"):
        its.cache.freshened(found.token, [])


def test_freshening_nothing_is_refused() -> None:
    """A 304 to a question that was not ours cannot be taken for an answer to it."""
    its = site()
    with pytest.raises(ValueError, match="nothing was to be validated"):
        its.cache.freshened(its.cache.find("GET", "/", []).token, [])
