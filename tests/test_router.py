"""`Router`: exact, then prefix tree, then patterns, then wildcard; the same as its naive twin for any table."""

import copy
import pickle
import re
from collections.abc import Callable
from itertools import pairwise, product
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import fastcascade
from fastcascade import Match, Route, RouteConflict, RouteError, Router, Step
from oracles import BY, Table

core: Any = fastcascade

SEGMENTS = ["a", "b", "ab", "abc", "c.d", "é", "{x}", "{x}", "{y}", "{x}...{y}", "v{x}", "{x}.json", "{x}-{y}-{z}"]
PATTERNS = [
    re.compile(r"^/a/(?P<n>\d+)$"),
    re.compile(r"b+"),
    re.compile(r"/AB(?P<rest>.*)", re.IGNORECASE),
    re.compile(r"(?P<one>c)|(?P<two>d)\.?"),
    re.compile(r"^/$"),
]
METHODS = st.none() | st.lists(
    st.sampled_from(["GET", "HEAD", "POST", "DELETE", "PURGE"]), min_size=1, max_size=3, unique=True
)
TEXTS = st.builds(
    lambda segments, tail: "/" + "/".join(segments) + tail,
    st.lists(st.sampled_from(SEGMENTS), max_size=4),
    st.sampled_from(["", "", "", "/", "/{t...}", "/a{t...}"]),
).filter(lambda text: len(set(re.findall(r"\{\w+", text))) == text.count("{") and "}{" not in text)
ROUTES = st.tuples(TEXTS | st.sampled_from(PATTERNS) | st.just("*"), METHODS)
PATHS = st.builds(
    lambda segments, end: "/" + "/".join(segments) + end,
    st.lists(
        st.sampled_from(["a", "b", "ab", "abc", "c.d", "é", "", "1", "x...y", "...", "vab", "a.json", "1-2-3-4", "AB"]),
        max_size=5,
    ),
    st.sampled_from(["", "", "/"]),
)
ASKED = st.sampled_from([None, "GET", "HEAD", "POST", "PURGE", "BREW"])


def table_of(routes: list[tuple[Any, Any]]) -> tuple[Table, list[Route[int]]]:
    """The twin and the routes for the real one, without those that the twin finds in conflict."""
    kept: list[tuple[Any, int, Any]] = []
    for target, (path, methods) in enumerate(routes):
        try:
            Table([*kept, (path, target, methods)])
        except ValueError as error:
            everything = [Route(path, target, methods) for path, target, methods in [*kept, (path, target, methods)]]
            with pytest.raises(RouteConflict) as caught:
                Router(everything)
            assert all(repr(text).replace("'", '"') in str(caught.value) for text in error.args)
        else:
            kept.append((path, target, methods))
    return Table(kept), [Route(path, target, methods) for path, target, methods in kept]


def shown(match: Match[Any] | None) -> object:
    """A match as the twin would say it."""
    return match and (match.target, match.params, match.by, match.route)


class RouterMachine(RuleBasedStateMachine):
    """One router whose table is replaced now and then, beside the twin of its table."""

    @initialize(routes=st.lists(ROUTES, max_size=12))
    def start(self, routes: list[tuple[Any, Any]]) -> None:
        self.twin, real = table_of(routes)
        self.router = Router(real)

    @rule(routes=st.lists(ROUTES, max_size=12))
    def replace(self, routes: list[tuple[Any, Any]]) -> None:
        self.twin, real = table_of(routes)
        self.router.replace(real)
        assert len(self.router) == len(real)

    def expected(self, path: str, method: str | None) -> object:
        found = self.twin.match(path, method)
        return found and (found[0].target, found[1], found[0].by, found[0].text)

    @rule(path=PATHS, method=ASKED)
    def match(self, path: str, method: str | None) -> None:
        expected = self.twin.match(path, method)
        assert shown(self.router.match(path, method)) == self.expected(path, method)
        assert self.router.lookup(path, method) == (expected and expected[0].target)

    @rule(paths=st.lists(PATHS, max_size=6), method=ASKED)
    def match_many(self, paths: list[str], method: str | None) -> None:
        expected = [self.expected(path, method) for path in paths]
        assert [shown(match) for match in self.router.match_many(paths, method)] == expected
        assert [shown(match) for match in self.router.match_many(tuple(paths), method)] == expected

    @rule(path=PATHS)
    def allowed(self, path: str) -> None:
        assert set(self.router.allowed(path)) == self.twin.allowed(path)

    @rule(path=PATHS, method=ASKED)
    def explain(self, path: str, method: str | None) -> None:
        expected: list[tuple[str, str, str | None]] = []
        for by in BY:
            found = self.twin.match_by(by, path, method) or self.twin.match_by(by, path, None)
            if not any(route.by == by for route in self.twin.rules):
                expected.append((by, "empty", None))
            elif found is None:
                expected.append((by, "miss", None))
            elif found[0].takes(method):
                expected.append((by, "match", found[0].text))
                break
            else:
                expected.append((by, "wrong method", found[0].text))
        assert [(step.matcher, step.outcome, step.route) for step in self.router.explain(path, method)] == expected


TestRouterMachine = RouterMachine.TestCase
TestRouterMachine.settings = settings(max_examples=100, stateful_step_count=40)

PRECEDENCE = [
    (["/{x}", "/a"], "/a", "/a", "exact", {}),
    (["/a/{t...}", "/a/{x}"], "/a/b", "/a/{x}", "prefix", {"x": "b"}),
    (["/a/{t...}", "/a/{x}"], "/a/b/c", "/a/{t...}", "prefix", {"t": "b/c"}),
    (["/a/{t...}"], "/a/", "/a/{t...}", "prefix", {"t": ""}),
    (["/{x}/c", "/a/b"], "/a/c", "/{x}/c", "prefix", {"x": "a"}),
    (["/ab{t...}", "/a{x}"], "/abc", "/ab{t...}", "prefix", {"t": "c"}),
    (["/a/b/{x}/d", "/a/{x}/c"], "/a/b/c", "/a/{x}/c", "prefix", {"x": "b"}),
    (["/r/{a}...{b}"], "/r/1..2...3...4", "/r/{a}...{b}", "prefix", {"a": "1..2", "b": "3...4"}),
    (["/r/{a}...{b}", "/r/{a}"], "/r/1..2", "/r/{a}", "prefix", {"a": "1..2"}),
    (["translate {t...}", "trans{t...}"], "translate this", "translate {t...}", "prefix", {"t": "this"}),
    (["/{{x}}", "/{x}"], "/{x}", "/{x}", "exact", {}),
    (["/{{{x}}}"], "/{1}", "/{{{x}}}", "prefix", {"x": "1"}),
    (["*", "/{x}"], "/a", "/{x}", "prefix", {"x": "a"}),
    (["*", "/{x}"], "/a/b", "*", "wildcard", {}),
    (["*"], "", "*", "wildcard", {}),
]


@pytest.mark.parametrize(("routes", "path", "route", "by", "params"), PRECEDENCE)
def test_precedence_is_as_written(routes: list[str], path: str, route: str, by: str, params: dict[str, str]) -> None:
    """Literal beats param beats tail, whatever the order of the routes, and a failed choice is taken back."""
    for given in (routes, routes[::-1]):
        match = Router(dict.fromkeys(given, "target")).match(path)
        assert match is not None
        assert (match.route, match.by, match.params) == (route, by, params)


def test_patterns_come_after_the_tree_and_in_order() -> None:
    """The first pattern that matches anywhere wins, if no text does, and its named groups are the params."""
    routes: dict[str | re.Pattern[str], int] = {
        re.compile(r"(?P<a>\d)(?P<b>x)?"): 1,
        re.compile(r"\d\d"): 2,
        "/{n}": 3,
        "*": 4,
    }
    router = Router(routes)
    assert shown(router.match("a/12")) == (1, {"a": "1"}, "regex", r"(?P<a>\d)(?P<b>x)?")
    assert shown(router.match("a/1x")) == (1, {"a": "1", "b": "x"}, "regex", r"(?P<a>\d)(?P<b>x)?")
    assert [router.lookup(path) for path in ("/12", "a/b")] == [3, 4]


def test_methods_may_be_written_before_the_path_or_beside_it() -> None:
    """`"GET,POST /a"` and `methods=("GET", "POST")` are the same."""
    for route in (Route("GET,POST /a", 1), Route("/a", 1, ("GET", "POST")), Route("PUT /a", 1, ["GET", "POST"])):
        router = Router([route])
        assert [router.lookup("/a", method) for method in ("GET", "HEAD", "POST", "PUT", None)] == [1, 1, 1, None, 1]
        assert router.allowed("/a") == ("GET", "HEAD", "POST")


def test_a_path_is_told_from_a_path_under_another_method() -> None:
    """`allowed` is empty where nothing is, and `("*",)` where any method will do."""
    router = Router({"GET /a": 1, "DELETE /{x}": 2, "/any": 3})
    assert router.allowed("/a") == ("GET", "HEAD", "DELETE")
    assert router.allowed("/any") == ("*",)
    assert router.allowed("/b") == ("DELETE",)
    assert router.allowed("/b/c") == ()


def test_a_head_route_of_ones_own_is_not_displaced() -> None:
    """`HEAD` is answered by `GET` just where no route names it."""
    router = Router({"GET /a": 1, "HEAD /a": 2, "GET /b": 3})
    assert [router.lookup(path, "HEAD") for path in ("/a", "/b")] == [2, 3]


def test_a_method_of_ones_own_is_a_method() -> None:
    """Methods beside the usual nine work, and one that no route names reaches routes open to all."""
    router = Router({"PURGE /a": 1, "/b": 2})
    assert (router.lookup("/a", "PURGE"), router.lookup("/a", "LINK"), router.lookup("/b", "LINK")) == (1, None, 2)
    assert router.lookup("/a", "purge") is None


def test_targets_are_the_objects_themselves() -> None:
    """A target comes out as the object that went in, also when it is None or not hashable."""
    target: list[int] = []
    router = Router({"/a": target, "/b": None, "/c/{x}": target})
    match = router.match("/b")
    assert match is not None
    assert match.target is None
    assert router.lookup("/a") is router.lookup("/c/1") is target


def test_a_match_can_be_taken_apart() -> None:
    """A match has its parts in the order target, params, by, and shows them."""
    match Router({"/a/{x}": "t"}).match("/a/1"):
        case Match(target, params, by) as found:
            assert (target, params, by) == ("t", {"x": "1"}, "prefix")
            assert repr(found) == "Match(target='t', params={'x': '1'}, by='prefix')"
        case None:
            pytest.fail("there is a route")


def test_the_params_of_one_match_are_its_own() -> None:
    """Changing the params of a match does not change those of another."""
    router = Router({"/a/{x}": 1, "/b": 2})
    for path in ("/a/1", "/b"):
        first, second = router.match(path), router.match(path)
        assert first is not None
        assert second is not None
        before = dict(second.params)
        first.params["y"] = "2"
        assert second.params == before


def test_a_table_may_come_from_anything_with_routes() -> None:
    """A dict, another mapping, a list and a generator make the same table."""
    pairs = {"/a": 1, "/{x}": 2}
    routes = [Route(path, target) for path, target in pairs.items()]
    for given in (pairs, MappingProxyType(pairs), routes, iter(routes), tuple(routes)):
        router = core.Router(given)
        assert (len(router), router.lookup("/a"), router.lookup("/b")) == (2, 1, 2)


def test_steps_are_equal_by_content() -> None:
    """Two explanations that say the same are equal, hash alike and can be matched."""
    router = Router({"/a": 1})
    assert router.explain("/a") == router.explain("/a")
    assert len({*router.explain("/a"), *router.explain("/a")}) == 1
    match router.explain("/a"):
        case [Step("exact", "match", "/a")]:
            pass
        case steps:
            pytest.fail(repr(steps))


def test_a_failed_replacement_leaves_the_old_table() -> None:
    """When the new table cannot be built, the old one goes on."""
    router = Router({"/a": 1})

    def failing() -> Any:
        yield Route("/b", 2)
        raise LookupError("the source of routes failed")

    for bad in ({"/{": 1}, failing()):
        with pytest.raises((RouteError, LookupError)):
            router.replace(bad)
        assert (router.lookup("/a"), router.lookup("/b")) == (1, None)


@pytest.mark.timeout(20)
def test_a_long_path_costs_no_more_than_its_length() -> None:
    """Paths made to mislead the tree are answered at once: the work is nodes times bytes, never bytes squared."""
    shape = "/" + "-".join(f"{{p{n}}}" for n in range(12))
    router = Router({shape + "-z": 1, "/" + "/".join(f"{{p{n}}}" for n in range(12)) + "/z": 2, "/a/{t...}": 3})
    assert router.match("/" + "-" * 20_000) is None
    assert router.lookup("/a" * 5_000) == 3
    assert router.match("/b" * 5_000) is None


def test_deep_tables_are_built_and_dropped() -> None:
    """A route of a thousand segments, and routes that share prefixes of every length, do no harm."""
    deep = Router({"/a{p}" * 1 + "/b" * 5_000: 1} | {"/a" * n + "/{x}": n for n in range(500)})
    assert deep.lookup("/a1" + "/b" * 5_000) == 1
    assert [deep.lookup("/a" * n + "/x") for n in (0, 1, 499)] == [0, 1, 499]


def test_memory_is_stated_and_grows_with_the_table() -> None:
    """A larger table says that it holds more."""
    small, large = Router({"/a": 1}), Router({f"/{n}/{{x}}": n for n in range(1_000)})
    assert 0 < small.memory < large.memory


def test_a_router_is_neither_pickled_nor_copied() -> None:
    """Pickling and copying are refused with what to do instead."""
    router = Router({"/a": 1})
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="Router cannot be pickled; build it"):
            attempt(router)
    for part in (router.match("/a"), router.explain("/a")[0]):
        with pytest.raises(TypeError, match=type(part).__name__):
            pickle.dumps(part)


def test_routes_are_pickled_and_compared() -> None:
    """A `Route` survives pickling and is equal to one with the same fields, also with a compiled pattern."""
    for route in (Route("/a", 1), Route(re.compile("a", re.IGNORECASE), "t", ("GET",), True, ("s",), "tenant", 2.5)):
        assert pickle.loads(pickle.dumps(route)) == copy.deepcopy(route) == route
    assert Route("/a", 1) != Route("/a", 2)


def test_types_may_be_written_in_brackets() -> None:
    """`Router[int]` is what it says at run time too."""
    assert Router[int]({"/a": 1}).lookup("/a") == 1


CONFLICTS = [
    ("/a", "/a"),
    ("/{x}", "/{y}"),
    ("/a/{x...}", "/a/{y...}"),
    ("*", "*"),
    ("GET /a", "/a"),
    ("GET,POST /a", "POST,PUT /a"),
    ("/{x}...{y}", "/{a}...{b}"),
    ("/{{a}}", "/{{a}}"),
]


@pytest.mark.parametrize(("first", "second"), CONFLICTS)
def test_a_conflict_names_both_routes(first: str, second: str) -> None:
    """Two routes that would answer the same request are an error that names both."""
    with pytest.raises(RouteConflict) as caught:
        Router([Route(first, 1), Route("/other", 2), Route(second, 3)])
    for text in (first, second):
        # What stands in the message is the path; a doubled brace is told as the brace it is, or as it was written.
        path = text.split(" ")[-1]
        assert path in str(caught.value) or path.replace("{{", "{").replace("}}", "}") in str(caught.value)


@pytest.mark.parametrize(
    ("one", "two"), [*pairwise(["/a", "/{x}", "/{x...}", "*", "GET /b", "HEAD /b", "/A"]), ("GET /a", "POST /a")]
)
def test_what_is_no_conflict_is_none(one: str, two: str) -> None:
    """Routes that differ in place or in method live side by side."""
    assert len(Router([Route(one, 1), Route(two, 2)])) == 2


BAD_TEMPLATES = [
    ("/a{", "}"),
    ("/a}", "{"),
    ("/{}", "name"),
    ("/{1a}", "name"),
    ("/{a b}", "name"),
    ("/{a}{b}", "touch"),
    ("/{a}{b...}", "touch"),
    ("/{a}/{a}", "twice"),
    ("/{a...}/b", "end"),
    ("/{a...}{b...}", ""),
    ("/{{a}", "{"),
    ("", "empty"),
]


@pytest.mark.parametrize(("text", "word"), BAD_TEMPLATES)
def test_a_bad_template_is_named_with_its_fault(text: str, word: str) -> None:
    """A text that is no template is an error with the text, the place and what to do."""
    with pytest.raises(RouteError) as caught:
        Router({text: 1})
    assert f'"{text}"' in str(caught.value)
    assert word in str(caught.value)
    assert "byte" in str(caught.value)


def raising() -> Any:
    """A source of routes that fails."""
    yield Route("/a", 1)
    raise LookupError("no more routes")


REFUSED: list[tuple[Callable[[], object], Any, list[str]]] = [
    (lambda: core.Router(), TypeError, ["routes"]),
    (lambda: core.Router(None), TypeError, ["routes", "NoneType"]),
    (lambda: core.Router(7), TypeError, ["routes", "int"]),
    (lambda: core.Router("/a"), TypeError, ["Route", "str"]),
    (lambda: core.Router(["/a"]), TypeError, ["Route", "str"]),
    (lambda: core.Router([("/a", 1)]), TypeError, ["Route", "tuple"]),
    (lambda: core.Router({7: 1}), TypeError, ["path", "int"]),
    (lambda: core.Router({b"/a": 1}), TypeError, ["path", "bytes"]),
    (lambda: core.Router({re.compile(b"a"): 1}), TypeError, ["bytes", "str"]),
    (lambda: core.Router({"/\ud800": 1}), UnicodeEncodeError, ["surrogates"]),
    (lambda: core.Router(raising()), LookupError, ["no more routes"]),
    (lambda: core.Router({}, PathPolicy=1), TypeError, ["PathPolicy"]),
    (lambda: core.Router({}, None), TypeError, ["positional"]),
    (lambda: core.Router([Route("/a", 1, "GET")]), TypeError, ["methods", "GET"]),
    (lambda: core.Router([Route("/a", 1, [])]), RouteError, ["/a", "method"]),
    (lambda: core.Router([Route("/a", 1, ["get"])]), RouteError, ["/a", '"get"', "upper-case"]),
    (lambda: core.Router([Route("/a", 1, ["*"])]), RouteError, ["/a", '"*"']),
    (lambda: core.Router([Route("/a", 1, [""])]), RouteError, ["/a", '""']),
    (lambda: core.Router([Route("/a", 1, ["GET POST"])]), RouteError, ["/a", "GET POST"]),
    (lambda: core.Router([core.Route("/a", 1, [7])]), TypeError, ["methods", "int"]),
    (lambda: core.Router([core.Route("/a", 1, 7)]), TypeError, ["methods", "int"]),
    (lambda: core.Router([Route("/a", 1, [f"M{chr(65 + n)}" for n in range(23)])]), RouteError, ["/a", "22"]),
    (lambda: core.Router([Route("/a", 1, scopes="admin")]), TypeError, ["scopes", "admin"]),
    (lambda: core.Router([core.Route("/a", 1, scopes=[7])]), TypeError, ["scopes", "int"]),
    (lambda: core.Router([core.Route("/a", 1, scopes=7)]), TypeError, ["scopes", "int"]),
    (lambda: core.Router([core.Route("/a", 1, share="all")]), ValueError, ["/a", "share", "tenant", "all"]),
    (lambda: core.Router([Route("/a", 1, cost=float("nan"))]), RouteError, ["/a", "cost"]),
    (lambda: core.Router([Route("/a", 1, cost=float("inf"))]), RouteError, ["/a", "cost", "inf"]),
    (lambda: core.Router([Route("/a", 1, cost=-1)]), RouteError, ["/a", "cost", "-1"]),
    (lambda: core.Router([core.Route("/a", 1, cost="1")]), TypeError, ["cost", "str"]),
    (lambda: core.Route("/a"), TypeError, ["target"]),
    (lambda: core.Route("/a", 1, method="GET"), TypeError, ["method"]),
    (lambda: core.Router({}).match(), TypeError, ["path"]),
    (lambda: core.Router({}).match(None), TypeError, ["path", "NoneType"]),
    (lambda: core.Router({}).match(b"/a"), TypeError, ["path", "bytes"]),
    (lambda: core.Router({}).match("/a", "GET", 1), TypeError, ["2", "3"]),
    (lambda: core.Router({}).match("/a", b"GET"), TypeError, ["method", "bytes"]),
    (lambda: core.Router({}).match("/a", verb="GET"), TypeError, ["verb", "method"]),
    (lambda: core.Router({}).match("/a", path="/a"), TypeError, ["path", "twice"]),
    (lambda: core.Router({}).match("/a", **{"\ud800": 1}), (TypeError, UnicodeEncodeError), []),
    (lambda: core.Router({}).match("/\ud800"), UnicodeEncodeError, ["surrogates"]),
    (lambda: core.Router({}).match("/", "\ud800"), UnicodeEncodeError, ["surrogates"]),
    (lambda: core.Router({}).lookup(7), TypeError, ["path", "int"]),
    (lambda: core.Router({}).lookup("/a", method=7), TypeError, ["method", "int"]),
    (lambda: core.Router({}).match_many("/a"), TypeError, ["paths", "[path]"]),
    (lambda: core.Router({}).match_many(7), TypeError, ["int"]),
    (lambda: core.Router({}).match_many(["/a", 7]), TypeError, ["path", "int"]),
    (lambda: core.Router({}).match_many(path="/a"), TypeError, ["path", "paths"]),
    (lambda: core.Router({}).allowed(7), TypeError, ["path", "int"]),
    (lambda: core.Router({}).explain(7), TypeError, ["path", "int"]),
    (lambda: core.Router({}).explain("/", 7), TypeError, ["method", "int"]),
    (lambda: core.Router({}).replace(None), TypeError, ["routes", "NoneType"]),
    (lambda: core.Match(), TypeError, ["Match"]),
    (lambda: core.Step(), TypeError, ["Step"]),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_is_wrong_is_named(
    call: Callable[[], object], error: Any, words: list[str], told: Callable[[BaseException], str]
) -> None:
    """Arguments of the wrong kind, number or name, and routes that cannot work, are named in the error."""
    with pytest.raises(error) as caught:
        call()
    assert [word for word in words if word not in told(caught.value)] == []


@pytest.mark.parametrize(("attribute", "of"), list(product(["target", "route", "new"], ["match", "router", "step"])))
def test_everything_is_frozen(attribute: str, of: str) -> None:
    """Nothing can be set on a router or on what it returns."""
    router = Router({"/a": 1})
    frozen: dict[str, Any] = {"match": router.match("/a"), "router": router, "step": router.explain("/a")[0]}
    with pytest.raises(AttributeError):
        setattr(frozen[of], attribute, 2)


def test_strange_paths_are_no_match() -> None:
    """Empty, long, binary-looking and astral paths are answered like any other."""
    router = Router({"/a": 1, "/b/{x}": 2, re.compile("^c+$"): 3})
    for path in ("", "/", "a", "/a/", "/a\0", "//a", "/b/", "/b//", "\U0001f34a", "/" * 10_000, "c" * 99_999 + "d"):
        assert router.match(path) is None
    assert router.lookup("/b/\0\n\U0001f34a") == 2
    assert router.lookup("c" * 99_999) == 3
