"""What guards are made of: credentials, addresses, limits, refusals and the log, without a server."""

import json
import logging
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_strict import scope_of
from fastcascade import Clock, ConfigError, KeyRing, Quota, RateLimiter
from fastcascade.dropin_asgi import AsgiCall
from fastcascade.dropin_front import Open, ambiguous
from fastcascade.guards import AccessLog, Call, Credentials, Ending, JsonFormatter, Proxies, RateFields, Refusals
from fastcascade.guards.access_log import FIELDS, LONGEST, safe
from fastcascade.guards.limits import bucket_of

BASIC = b64encode(b"user:secret").decode()
LONE = b64encode(b"secret:").decode()


def call(path: str = "/", headers: Any = (), **more: Any) -> AsgiCall:
    """A request."""
    return AsgiCall(scope_of(path, headers=headers, **more))


@pytest.mark.parametrize(
    ("sources", "path", "headers", "secret"),
    [
        ("bearer", "/", [("authorization", "Bearer secret")], "secret"),
        ("bearer", "/", [("authorization", "bearer  secret ")], "secret"),
        ("bearer", "/", [("authorization", f"Basic {BASIC}")], ""),
        ("bearer", "/", [("authorization", "Bearer")], ""),
        ("basic", "/", [("authorization", f"Basic {BASIC}")], "secret"),
        ("basic", "/", [("authorization", f"Basic {LONE}")], "secret"),
        ("basic", "/", [("authorization", "Basic %%%")], ""),
        ("x-api-key", "/", [("x-api-key", "secret")], "secret"),
        ("X-Own", "/", [("x-own", "secret")], "secret"),
        ("cookie:key", "/", [("cookie", "a=1; key=secret; key=other")], "secret"),
        ("cookie:key", "/", [("cookie", "a=1"), ("cookie", 'key="secret"')], "secret"),
        ("cookie:key", "/", [("cookie", "keys=no; nokey=no; key")], ""),
        ("query:key", "/?a=1&key=se%63ret", [], "secret"),
        ("query:key", "/?keys=no", [], ""),
        (("x-api-key", "bearer"), "/", [("authorization", "Bearer other"), ("x-api-key", "secret")], "secret"),
        (("bearer", "x-api-key"), "/", [("authorization", "Bearer secret"), ("x-api-key", "other")], "secret"),
        ("x-api-key", "/", [("x-api-key", "secret"), ("x-api-key", "other")], "secret"),
    ],
)
def test_credentials_are_found_where_they_may_stand(sources: Any, path: str, headers: Any, secret: str) -> None:
    """Each source is read as its standard has it; of several the first that is configured counts."""
    assert Credentials(sources).find(call(path, headers)) == secret


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_query_is_read_as_it_was_written(secret: str) -> None:
    """Whatever stands in a query, encoded, is found again."""
    assert Credentials("query:k").find(call(f"/?j=1&k={quote(secret)}")) == secret


@pytest.mark.parametrize("sources", [(), "cookie:", "cookie:a b", "query:", "two words", "header:x"])
def test_sources_that_are_none_are_refused(sources: Any) -> None:
    """A misspelt source is an error when it is built: else nobody, or everybody, would be let in."""
    with pytest.raises(ConfigError):
        Credentials(sources)


@pytest.mark.parametrize(
    ("trusted", "peer", "header", "value", "client"),
    [
        ([], "10.0.0.1", "x-forwarded-for", "1.1.1.1", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "x-forwarded-for", "1.1.1.1", "1.1.1.1"),
        (["10.0.0.0/8"], "11.0.0.1", "x-forwarded-for", "1.1.1.1", "11.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "x-forwarded-for", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (["10.0.0.0/8"], "10.0.0.1", "x-forwarded-for", "1.1.1.1, 10.0.0.2", "1.1.1.1"),
        (["10.0.0.0/8"], "10.0.0.1", "x-forwarded-for", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (["10.0.0.0/8"], "10.0.0.1", "x-forwarded-for", "1.1.1.1, nonsense, 10.0.0.2", "10.0.0.2"),
        (["10.0.0.0/8"], "10.0.0.1", "x-forwarded-for", "", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "x-forwarded-for", "1.1.1.1:4711", "1.1.1.1"),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", "x-forwarded-for", "2001:db8::1", "2001:db8::1"),
        (["unix"], "", "x-forwarded-for", "[2001:db8::1]:80", "2001:db8::1"),
        (["*"], "9.9.9.9", "x-forwarded-for", "6.6.6.6, 1.1.1.1", "6.6.6.6"),
        (["10.0.0.1"], "10.0.0.1", "forwarded", 'for=6.6.6.6, For="[2001:db8::1]:80";proto=https', "2001:db8::1"),
        (["10.0.0.1"], "10.0.0.1", "forwarded", "for=1.1.1.1;by=10.0.0.1", "1.1.1.1"),
        (["10.0.0.1"], "10.0.0.1", "forwarded", "for=_hidden", "10.0.0.1"),
    ],
)
def test_proxies_are_believed_as_far_as_they_are_trusted(
    trusted: list[str], peer: str, header: Any, value: str, client: str
) -> None:
    """Read from the right, up to the first address that is not one of ours; the other header is not read at all."""
    assert Proxies(trusted, header).client(call(headers=[(header, value)]), peer) == client
    assert Proxies(["0.0.0.0/0"], header).client(call(headers=[("x-other", value)]), "1.2.3.4") == "1.2.3.4"


@given(st.lists(st.text(max_size=20), max_size=50), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_no_header_of_proxies_breaks_anything(lines: list[str], header: Any) -> None:
    """Whatever a client writes there, an address comes out."""

    class Lines(Call):
        def lines(self, name: str) -> list[str]:
            return lines

    assert Proxies("*", header).client(Lines({}, "GET", "/"), "1.1.1.1")


def test_buckets() -> None:
    """Identities and addresses never share a bucket, and whoever has an IPv6 network has one bucket in all of it."""
    ring = KeyRing()
    ann, other = ring.add("a" * 40, "ann"), ring.add("b" * 40, "ann", tenant="t")
    assert len({bucket_of(ann, ""), bucket_of(other, ""), bucket_of(None, "ann"), bucket_of(None, "")}) == 4
    assert bucket_of(None, "2001:db8::1") == bucket_of(None, "2001:db8::ffff:1") != bucket_of(None, "2001:db8:0:1::1")
    assert bucket_of(None, "::ffff:1.2.3.4") == "1.2.3.4"


@pytest.mark.parametrize(
    ("quota", "said"),
    [
        (Quota(100, "minute"), '"default";q=100;w=60'),
        (Quota(0.5, "second"), '"default";q=1;w=2'),
        (Quota(3, 0.5), '"default";q=6;w=1'),
    ],
)
def test_limits_are_told_in_whole_numbers(quota: Quota, said: str) -> None:
    """The draft allows integers alone; what is left never reads below zero."""
    limiter = RateLimiter(quota, clock=Clock())
    fields = RateFields(limiter)
    assert fields.policy == said
    limiter.settle("x", 0, 1000)
    assert dict(fields.left("x"))["ratelimit"].startswith('"default";r=0;t=')


def test_a_users_body_keeps_our_headers() -> None:
    """A text takes the place of the problem and leaves WWW-Authenticate; an `Ending` takes the place of all."""
    ended = Refusals("r", ("Basic", "Bearer"), lambda call, ending: f"{call.path} {ending.status}").unauthorized(
        call("/x"), came=True
    )
    assert (ended.status, ended.body) == (401, b"/x 401") and ended.headers[0][1].startswith("text/plain")
    assert [value[:6] for name, value in ended.headers if name == "www-authenticate"] == ["Basic ", "Bearer"]
    own = Refusals(render=lambda call, ending: Ending.json(499, [])).bad_path(call())
    assert own == Ending.json(499, [])


@given(st.text())
def test_nothing_that_is_logged_breaks_a_line(text: str) -> None:
    """Whatever comes from a client is one line of printable letters, of bounded length."""
    said = safe(text)
    assert (
        said.isprintable()
        and len(said) <= 10 * (LONGEST + 3)
        and (said == text or not text.isprintable() or len(text) > LONGEST)
    )


def test_a_record_as_json(caplog: pytest.LogCaptureFixture) -> None:
    """The formatter gives one line with every field; failures are warnings."""
    caplog.set_level(logging.INFO, "own")
    one = call("/x?key=secret")
    one.status = 503
    AccessLog("own").write(one, 0.0)
    text = JsonFormatter().format(caplog.records[0])
    line = json.loads(text)
    assert set(FIELDS) < set(line) and (line["level"], line["status"], line["path"]) == ("warning", 503, "/x")
    assert "\n" not in text and "secret" not in text


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        ("/a/../b", True),
        ("/a/./b", True),
        ("/..", True),
        ("/a/.", True),
        ("/a\0", True),
        ("/é/../b", True),
        ("/\udcff", True),
        ("/a/..\\b", True),
        ("/a\\..\\b", True),
        ("/a/..;/b", True),
        ("/a\\b", False),
        ("/a;..", False),
        ("/.well-known/x", False),
        ("/a..b/...", False),
        ("/é", False),
        ("", False),
    ],
)
def test_ambiguous_paths(path: str, bad: bool) -> None:
    """Dot segments, NUL and what is no text; names that begin with a dot are none of these."""
    assert ambiguous(path) is bad


def test_public_paths() -> None:
    """Exact paths, beginnings, and either under one method alone."""
    opened = Open(["/health", "/static/*", "OPTIONS *", "get /one"])
    assert all(
        opened.has(*one) for one in [("GET", "/health"), ("PUT", "/static/x"), ("OPTIONS", "/x"), ("GET", "/one")]
    )
    assert not any(opened.has(*one) for one in [("GET", "/healthy"), ("GET", "/static"), ("POST", "/one")])


def test_what_an_app_is_mounted_under_is_not_matched() -> None:
    """The path is what frameworks route by; the target is what was asked for."""
    assert call("/sub/x", root_path="/sub").path == "/x" and call("/subway", root_path="/sub").path == "/subway"
    assert call("/sub", root_path="/sub").path == "/"
    one = call("/sub/é?q=1", root_path="/sub", raw_path=b"/sub/%C3%A9")
    assert one.target == "/sub/%C3%A9?q=1"


def test_a_call_made_by_hand_says_what_it_lacks() -> None:
    """The parts that a protocol must give are asked of it."""
    with pytest.raises(NotImplementedError):
        Call({}, "GET", "/").header("x")
