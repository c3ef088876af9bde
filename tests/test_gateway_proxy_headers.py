"""Headers of what is passed on: what stays on a connection, what is refused, who is said to ask. Without I/O."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.gateway.proxy_headers import CREDENTIALS, HOP, MADE, Asker, Refused, back, onward, target
from fastcascade.guards.limits import Proxies

NAME = st.from_regex(r"[a-z][a-z0-9-]{0,14}", fullmatch=True)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip)
HOPS = st.sampled_from(sorted(HOP - {"transfer-encoding", "connection"}))
PAIRS = st.lists(st.tuples(NAME | HOPS, VALUE), max_size=12)


def names(lines: list[str]) -> list[str]:
    """Those of some lines."""
    return [line.partition(":")[0] for line in lines]


@given(PAIRS, st.lists(NAME, max_size=3), st.booleans())
def test_nothing_of_one_connection_goes_on(pairs: list[tuple[str, str]], listed: list[str], guarded: bool) -> None:
    """No hop-by-hop header, and none that `connection` names, is in what goes on; all others are, in their order."""
    pairs = [pair for pair in pairs if pair[0] not in MADE]
    asked = [*pairs, ("connection", ", ".join([*listed, "close"]))] if listed else pairs
    lines = onward(asked, guarded=guarded).lines
    gone = HOP | set(listed) | (CREDENTIALS if guarded else frozenset())
    assert names(lines) == [name for name, value in pairs if name not in gone and not (guarded and "fck_" in value)]
    assert not any("\n" in line[:-2] or "\r" in line[:-2] for line in lines)
    told = [name for name, _ in back(asked)]
    assert told == [name for name, _ in pairs if name not in HOP | set(listed) | {"via", "content-length"}] + ["via"]


CASES: list[tuple[list[tuple[str, str]], str, int]] = [
    ([("content-length", "3"), ("transfer-encoding", "chunked")], "1.1", 400),
    ([("transfer-encoding", "chunked"), ("content-length", "3")], "1.1", 400),
    ([("content-length", "3"), ("content-length", "3")], "1.1", 400),
    ([("content-length", "3"), ("content-length", "4")], "1.1", 400),
    ([("content-length", "3, 3")], "1.1", 400),
    ([("content-length", "+3")], "1.1", 400),
    ([("content-length", "0x3")], "1.1", 400),
    ([("content-length", "")], "1.1", 400),
    ([("content-length", "\u0663")], "1.1", 400),
    ([("transfer-encoding", "gzip, chunked")], "1.1", 501),
    ([("transfer-encoding", "chunked, chunked")], "1.1", 501),
    ([("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], "1.1", 501),
    ([("transfer-encoding", "identity")], "1.1", 501),
    ([("transfer-encoding", "chunked")], "1", 400),
    ([("transfer-encoding", "chunked")], "2", 400),
    ([("host", "a"), ("host", "b")], "1.1", 400),
    ([("expect", "a-miracle")], "1.1", 417),
]


@pytest.mark.parametrize(("pairs", "version", "status"), CASES)
def test_what_could_be_read_in_two_ways_is_refused(pairs: list[tuple[str, str]], version: str, status: int) -> None:
    """Two lengths, odd lengths and odd codings are refused, and never sent on to be read otherwise."""
    with pytest.raises(Refused) as caught:
        onward(pairs, version)
    assert caught.value.status == status


def test_how_a_body_comes() -> None:
    """A length counts as it is; chunks, and HTTP/2 without a length, have no length yet; else there is no body."""
    assert onward([("content-length", "12")]).frame.length == 12
    assert onward([("transfer-encoding", "Chunked")]).frame.length is None
    assert onward([]).frame.length == 0
    assert onward([], "1").frame.length == 0
    assert onward([], "2").frame.length is None


def test_a_key_that_the_gate_took_goes_no_further() -> None:
    """On a guarded route no credential goes on, nor the key under another name; on others they are the app's."""
    pairs = [
        ("authorization", "Bearer fck_a"),
        ("x-api-key", "b"),
        ("api-key", "c"),
        ("x-odd", "fck_a"),
        ("cookie", "d"),
    ]
    assert names(onward(pairs, guarded=True).lines) == ["cookie"]
    assert names(onward(pairs).lines) == [name for name, _ in pairs]


def told(asker: Asker, peer: str, scheme: str, host: str, old: dict[str, str]) -> dict[str, str]:
    """What is said of who asks."""
    lines = asker.lines(peer, scheme, host, old).split("\r\n")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def test_who_asks_is_told_and_strangers_are_not_believed() -> None:
    """A stranger's word on who asks is replaced by what is seen; that of a trusted proxy is kept and added to."""
    old = {
        "x-forwarded-for": "6.6.6.6",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "h",
        "forwarded": "for=6.6.6.6",
    }
    seen = told(Asker(), "1.2.3.4", "http", "a.example", old)
    assert seen == {
        "x-forwarded-for": "1.2.3.4",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "a.example",
        "forwarded": 'for=1.2.3.4;proto=http;host="a.example"',
        "via": "1.1 fastcascade",
    }
    seen = told(Asker(Proxies(["1.2.3.0/24"])), "1.2.3.4", "http", "a.example", old)
    assert seen["x-forwarded-for"] == "6.6.6.6, 1.2.3.4"
    assert (seen["x-forwarded-proto"], seen["x-forwarded-host"]) == ("https", "h")
    assert seen["forwarded"] == 'for=6.6.6.6, for=1.2.3.4;proto=http;host="a.example"'
    assert told(Asker(), "::1", "http", "", {"via": "1.0 b"})["via"] == "1.0 b, 1.1 fastcascade"
    assert told(Asker(), "::1", "http", "", {})["forwarded"] == 'for="[::1]";proto=http'


def test_whose_address_counts() -> None:
    """The first from the right that is no trusted proxy's, and a peer that is none itself."""
    asker = Asker(Proxies(["10.0.0.0/8"]))
    assert asker.client("10.1.1.1", {"x-forwarded-for": "9.9.9.9, 8.8.8.8, 10.2.2.2"}) == "8.8.8.8"
    assert asker.client("7.7.7.7", {"x-forwarded-for": "9.9.9.9"}) == "7.7.7.7"
    assert asker.client("10.1.1.1", {"x-forwarded-for": "junk"}) == "10.1.1.1"


@pytest.mark.parametrize("path", ["/a/../b", "/..", "/a/.", "/a/..;x/b", "/a\\b", "/a\0", "a", "/a\nb", "/\ufffd", "*"])
def test_paths_that_servers_read_differently_are_refused(path: str) -> None:
    """Dot segments, control characters, backslashes and what was not UTF-8 are refused."""
    with pytest.raises(Refused):
        target(path, "")


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs", "Cn", "Co", "Zl", "Zp", "Zs", "Cf")), max_size=20))
def test_a_path_goes_on_as_what_it_was_matched_as(path: str) -> None:
    """Whatever is sent decodes to the path that was matched, and is one word of plain ASCII."""
    try:
        sent = target(f"/{path}", "q=1")
    except Refused:
        assert any(mark in f"/{path}" for mark in ("/.", "\\", "\ufffd"))
        return
    assert sent.isascii()
    assert " " not in sent
    assert unquote(sent.removesuffix("?q=1")) == f"/{path}"


def test_headers_back_are_such_as_the_server_can_write() -> None:
    """Values in UTF-8 stay what they are; with control characters they do not go on: they would break the server."""
    pairs: Any = [
        ("x-a", "caf\u00c3\u00a9"),
        ("x-b", "caf\u00e9"),
        ("x-c", "a\x01b"),
        ("x-d", "a\tb"),
        ("via", "1.1 z"),
    ]
    assert back(pairs) == [("x-a", "café"), ("x-b", "café"), ("x-d", "a\tb"), ("via", "1.1 z, 1.1 fastcascade")]
