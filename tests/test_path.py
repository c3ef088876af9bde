"""`PathPolicy`: one spelling for each path, or a refusal that says where."""

import copy
import pickle
from collections.abc import Callable
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcascade
from fastcascade import PathError, PathPolicy, Router

core: Any = fastcascade

CASES = [
    ("/", {}, "/"),
    ("/a/b", {}, "/a/b"),
    ("/a/", {}, "/a/"),
    ("/a/", {"trailing_slash": "strip"}, "/a"),
    ("/a///", {"trailing_slash": "strip"}, "/a"),
    ("//", {"trailing_slash": "strip"}, "/"),
    ("/a//b", {}, "/a/b"),
    ("/a//b", {"merge_slashes": False}, "/a//b"),
    ("/a/./b", {}, "/a/b"),
    ("/a/../b", {}, "/b"),
    ("/a/..", {}, "/"),
    ("/a/b/..", {}, "/a/"),
    ("/a//../b", {}, "/b"),
    ("/a//../b", {"merge_slashes": False}, "/a/b"),
    ("/a/%2e%2E/b", {}, "/b"),
    ("/a/...", {}, "/a/..."),
    ("/a/.b", {}, "/a/.b"),
    ("/%61", {}, "/a"),
    ("/caf%C3%A9", {}, "/café"),
    ("/café", {}, "/café"),
    ("/%E2%82%AC", {}, "/€"),
    ("/%F0%9F%8D%8A", {}, "/🍊"),
    ("/a%20b", {}, "/a b"),
    ("/a+b", {}, "/a+b"),
    ("/A", {}, "/A"),
    ("/%41;v=1", {}, "/A;v=1"),
    ("/100%25", {}, "/100%25"),
    ("/%252F", {}, "/%252F"),
    ("/a%2fb", {"encoded_slash": "keep"}, "/a%2Fb"),
    ("/a%5cb", {"encoded_slash": "keep"}, "/a%5Cb"),
    ("/a%3fb%23", {}, "/a%3Fb%23"),
]

FAULTS = [
    ("", {}, 0, "start with '/'"),
    ("a", {}, 0, "start with '/'"),
    ("*", {}, 0, "start with '/'"),
    ("http://a/", {}, 0, "start with '/'"),
    ("/a%", {}, 2, "%25"),
    ("/a%2", {}, 2, "%25"),
    ("/a%2g", {}, 2, "%25"),
    ("/a%2fb", {}, 2, "slash"),
    ("/a%5Cb", {}, 2, "slash"),
    ("/a\\b", {}, 2, "backslash"),
    ("/a%00", {}, 2, "nul"),
    ("/a\0", {}, 2, "nul"),
    ("/a\n", {}, 2, "control"),
    ("/%0d%0a", {}, 1, "control"),
    ("/%7F", {}, 1, "control"),
    ("/%C2%80", {}, 1, "control"),
    ("/\x85", {}, 1, "control"),
    ("/%ff", {}, 1, "utf-8"),
    ("/%C0%AF", {}, 1, "utf-8"),
    ("/%C3", {}, 1, "utf-8"),
    ("/%ED%A0%80", {}, 1, "utf-8"),
    ("/a?b", {}, 2, "query"),
    ("/a#b", {}, 2, "fragment"),
    ("/..", {}, 1, "root"),
    ("/a/../../b", {}, 6, "root"),
    ("/%2e%2e/x", {}, 1, "root"),
    ("/a/./b", {"dot_segments": "refuse"}, 3, "dot segment"),
    ("/a/%2e%2e", {"dot_segments": "refuse"}, 3, "dot segment"),
]

ALL_POLICIES = [
    core.PathPolicy(trailing_slash=slash, encoded_slash=encoded, dot_segments=dots, merge_slashes=merge)
    for slash, encoded, dots, merge in product(
        ("keep", "strip"), ("refuse", "keep"), ("resolve", "refuse"), (True, False)
    )
]
PIECES = st.sampled_from(
    ["/", "//", ".", "..", "a", "%2e", "%2F", "%5c", "%25", "%", "%C3%A9", "%ff", "é", "\0", "?", "%00", " "]
)
SEGMENT = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\?#%"), min_size=1, max_size=8)


@pytest.mark.parametrize(("raw", "settings", "out"), CASES)
def test_every_spelling_comes_out_as_one(raw: str, settings: dict[str, Any], out: str) -> None:
    """A path comes out in the one spelling that its policy gives it."""
    assert PathPolicy(**settings).normalize(raw) == out


@pytest.mark.parametrize(("raw", "settings", "position", "words"), FAULTS)
def test_what_cannot_be_read_in_one_way_is_refused(
    raw: str, settings: dict[str, Any], position: int, words: str
) -> None:
    """An unsafe path is a `PathError` that says what is wrong and at which byte."""
    with pytest.raises(PathError, match=words) as caught:
        PathPolicy(**settings).normalize(raw)
    assert caught.value.position == position
    assert str(position) in str(caught.value)


@given(st.lists(PIECES, max_size=8).map("".join), st.sampled_from(ALL_POLICIES))
def test_normalizing_again_changes_nothing(rest: str, policy: PathPolicy) -> None:
    """What comes out is a path that comes out of the same policy as it is."""
    try:
        once = policy.normalize("/" + rest)
    except PathError:
        return
    assert policy.normalize(once) == once
    assert once.startswith("/")
    assert not {".", ".."} & set(once.split("/"))


@given(st.text(max_size=20), st.sampled_from(ALL_POLICIES))
def test_any_text_is_normalized_or_refused(raw: str, policy: PathPolicy) -> None:
    """Whatever comes in, either a path comes out or a `PathError` that points into the text."""
    try:
        assert policy.normalize(raw).startswith("/")
    except PathError as error:
        assert 0 <= error.position <= len(raw.encode())


@given(st.lists(SEGMENT.filter(lambda segment: segment not in (".", "..")), min_size=1, max_size=4), st.data())
def test_escapes_are_decoded_once(segments: list[str], data: st.DataObject) -> None:
    """However much of a plain path is escaped, it comes out plain."""
    always = data.draw(st.booleans())
    raw = "/".join(quote(part, safe="") if always or data.draw(st.booleans()) else part for part in segments)
    assert PathPolicy().normalize("/" + raw) == "/" + "/".join(segments)


def test_settings_can_be_pickled_copied_and_compared() -> None:
    """A policy survives pickling and copying, and is equal just to those with its settings."""
    for policy in ALL_POLICIES:
        assert [other for other in ALL_POLICIES if other == policy] == [policy]
        for same in (pickle.loads(pickle.dumps(policy)), copy.copy(policy), copy.deepcopy(policy), eval(repr(policy))):
            assert same == policy


def test_a_router_matches_every_spelling() -> None:
    """A route written for one spelling answers all of them, with or without params."""
    router = Router({"/caf%C3%A9/menu": 1, "/a//b": 2}, normalize=PathPolicy())
    assert [
        router.lookup(path) for path in ("/café/menu", "/caf%c3%a9/%6denu", "/x/../café/./menu", "//café//menu")
    ] == [1] * 4
    assert router.lookup("/a/b") == router.lookup("/a//b") == 2


@pytest.mark.parametrize("template", ["/caf%C3%A9/{id}", "/café/{id}", "/café//{id}", "/./café/{id}"])
def test_a_template_is_brought_into_form_like_a_plain_route(template: str) -> None:
    """The literal parts of a template are spelled as the paths they are compared with."""
    match = Router({template: 1}, normalize=PathPolicy()).match("/caf%C3%A9/7")
    assert match is not None
    assert match.params == {"id": "7"}


def test_trailing_slashes_follow_the_policy_in_templates_too() -> None:
    """With `strip`, a template that ends with a slash answers the path without."""
    router = Router({"/a/{id}/": 1, "/b/": 2}, normalize=PathPolicy(trailing_slash="strip"))
    assert [router.lookup(path) for path in ("/a/1", "/a/1/", "/b", "/b//")] == [1, 1, 2, 2]


def test_a_route_that_its_policy_refuses_is_named() -> None:
    """A plain route that no path could ever equal is an error when the table is built."""
    with pytest.raises(fastcascade.RouteError, match="a%2Fb"):
        Router({"/a%2Fb": 1}, normalize=PathPolicy())


def test_a_bad_path_raises_where_the_router_is_asked() -> None:
    """A router passes on what its policy refuses, and explains it as refused."""
    router = Router({"/a": 1}, normalize=PathPolicy())
    for ask in (router.match, router.lookup, router.allowed):
        with pytest.raises(PathError, match="root"):
            ask("/../a")
    with pytest.raises(PathError, match="root"):
        router.match_many(["/a", "/../a"])
    assert [(step.matcher, step.outcome) for step in router.explain("/../a")] == [("normalize", "refused")]


REFUSED: list[tuple[Callable[[], object], Any, list[str]]] = [
    (lambda: core.PathPolicy("keep"), TypeError, ["positional"]),
    (lambda: core.PathPolicy(slash="keep"), TypeError, ["slash"]),
    (lambda: core.PathPolicy(trailing_slash="drop"), ValueError, ["trailing_slash", "strip", "drop"]),
    (lambda: core.PathPolicy(encoded_slash="decode"), ValueError, ["encoded_slash", "keep", "decode"]),
    (lambda: core.PathPolicy(dot_segments=""), ValueError, ["dot_segments", "resolve"]),
    (lambda: core.PathPolicy(dot_segments=None), TypeError, ["dot_segments"]),
    (lambda: core.PathPolicy(merge_slashes="no"), TypeError, ["merge_slashes"]),
    (lambda: core.PathPolicy().normalize(b"/a"), TypeError, ["path", "bytes"]),
    (lambda: core.PathPolicy().normalize(), TypeError, ["path"]),
    (lambda: core.PathPolicy().normalize("/", 1), TypeError, ["positional"]),
    (lambda: core.PathPolicy().normalize("/\ud800"), UnicodeEncodeError, ["surrogates"]),
    (lambda: core.Router({}, normalize="path"), TypeError, ["normalize", "str"]),
    (lambda: core.Router({}, normalize=PathPolicy), TypeError, ["normalize", "type"]),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_wrong_settings_are_named(
    call: Callable[[], object], error: Any, words: list[str], told: Callable[[BaseException], str]
) -> None:
    """A setting or argument that does not exist, or has a wrong value, is named in the error."""
    with pytest.raises(error) as caught:
        call()
    assert [word for word in words if word not in told(caught.value)] == []
