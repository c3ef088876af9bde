"""Other people's routers, each filled through its public interface with as many of the user's routes as it takes."""

import functools
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fastcascade.cli.routefile import Line

__all__ = ["ROUTERS", "Finder", "RouterRival"]

PARAM = re.compile(r"\{([^{}]*?)(\.\.\.)?\}")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Build: TypeAlias = "Callable[[Sequence[Line], dict[str, Line]], Finder]"


@dataclass
class Finder:
    """A filled router: what to call, what with, how to read its answer, and the lines it was not given."""

    fn: Callable[..., object]
    left_out: set[int]
    answer: Callable[[Any, str], object]
    with_method: bool = True
    convert: Callable[[list[str], str], Sequence[Any]] | None = None

    def arguments(self, paths: list[str], method: str) -> Sequence[Any]:
        """What each call is given, made off the clock."""
        if self.convert is not None:
            return self.convert(paths, method)
        return [(path, method) for path in paths] if self.with_method else paths


@dataclass(frozen=True)
class RouterRival:
    """How to get a rival, and which of our calls does the like."""

    name: str
    package: str | None
    role: Literal["rival", "limit"]
    ours: Literal["match", "lookup"]
    note: str
    build: Build


def _plain(line: Line) -> bool:
    """Whether it is a template of plain names, the most the frameworks have in common."""
    bare = PARAM.sub("", line.path)
    names = [name for name, _ in PARAM.findall(line.path)]
    return line.regex is None and line.path != "*" and not set("{}<>") & set(bare) and all(map(str.isidentifier, names))


def _spelled(path: str, param: str, tail: str) -> str:
    return PARAM.sub(lambda found: (tail if found[2] else param).format(found[1]), path)


def known_paths(lines: Sequence[Line], paths: dict[str, Line]) -> Finder:
    """A dict of every path that will be asked: no router can do with less."""
    return Finder(paths.get, set(), lambda found, _: found, with_method=False)


def re_loop(lines: Sequence[Line], paths: dict[str, Line]) -> Finder:
    """One pattern after the other, as is written in an afternoon; it takes every route."""
    order = ("exact", "prefix", "regex", "wildcard")
    ordered = sorted(lines, key=lambda line: order.index(line.kind))
    rows = [(_pattern(line).search, frozenset(line.methods), line) for line in ordered]

    def find(path: str, method: str) -> tuple[Line, dict[str, Any]] | None:
        for search, methods, line in rows:
            found = search(path)
            if found is not None and (not methods or method in methods):
                return line, found.groupdict()
        return None

    return Finder(find, set(), lambda found, _: found and found[0])


def _pattern(line: Line) -> re.Pattern[str]:
    if line.regex is not None:
        return line.regex
    if line.path == "*":
        return re.compile("")
    parts, at = [r"\A"], 0
    for found in PARAM.finditer(line.path):
        group = f"(?P<{found[1]}>" if found[1].isidentifier() else "("
        parts += [re.escape(line.path[at : found.start()]), group, ".*)" if found[2] else "[^/]+)"]
        at = found.end()
    return re.compile("".join([*parts, re.escape(line.path[at:]), r"\Z"]))


def remembered(lines: Sequence[Line], paths: dict[str, Line]) -> Finder:
    """`functools.lru_cache` over that loop, large enough that it is never run while the clock is."""
    loop = re_loop(lines, paths)
    find = functools.lru_cache(maxsize=2 * len(paths) + 1)(loop.fn)
    return Finder(find, set(), loop.answer)


def falcon(lines: Sequence[Line], paths: dict[str, Line]) -> Finder:
    """falcon's generated router; all methods of a path are one resource."""
    router = importlib.import_module("falcon.routing").CompiledRouter()
    by_path: dict[str, dict[str, Line]] = {}
    for line in filter(_plain, lines):
        for method in line.methods or METHODS:
            by_path.setdefault(line.path, {}).setdefault(method, line)
    given: set[int] = set()
    for path, methods in by_path.items():
        # Resources answer with methods named on_get, on_post...; nothing here calls them.
        verbs = {f"on_{method.lower()}": lambda self, req, resp, **params: None for method in methods}
        resource = type("Resource", (), {**verbs, "lines": methods})()
        try:
            router.add_route(_spelled(path, "{{{}}}", "{{{}:path}}"), resource)
        except ValueError:
            continue
        given.update(line.number for line in methods.values())
    router.find("/")

    def answer(found: Any, method: str) -> object:
        return found and found[0].lines.get(method)

    return Finder(router.find, _others(lines, given), answer, with_method=False)


def werkzeug(lines: Sequence[Line], paths: dict[str, Line]) -> Finder:
    """werkzeug's map."""
    routing = importlib.import_module("werkzeug.routing")
    rules, given = routing.Map(), set()
    for line in filter(_plain, lines):
        path = _spelled(line.path, "<{}>", "<path:{}>")
        try:
            rules.add(routing.Rule(path, endpoint=line, methods=line.methods or None))
        except (ValueError, LookupError):
            continue
        given.add(line.number)
    return Finder(rules.bind("localhost").match, _others(lines, given), lambda found, _: found[0])


def starlette(lines: Sequence[Line], paths: dict[str, Line]) -> Finder:
    """starlette's list of routes, walked as its router does."""
    routing = importlib.import_module("starlette.routing")
    full, routes, given = routing.Match.FULL, [], set()

    async def handler() -> None:
        return None

    for line in filter(_plain, lines):
        try:
            route = routing.Route(_spelled(line.path, "{{{}}}", "{{{}:path}}"), handler, methods=line.methods or None)
        except (ValueError, AssertionError):
            continue
        route.methods = set(line.methods or METHODS)
        routes.append((route, line))
        given.add(line.number)

    def find(scope: dict[str, Any]) -> tuple[Line, Any] | None:
        for route, line in routes:
            match, child = route.matches(scope)
            if match is full:
                return line, child["path_params"]
        return None

    def scopes(paths: list[str], method: str) -> list[dict[str, Any]]:
        return [{"type": "http", "path": path, "method": method, "root_path": "", "headers": []} for path in paths]

    return Finder(find, _others(lines, given), lambda found, _: found and found[0], with_method=False, convert=scopes)


def _others(lines: Sequence[Line], given: set[int]) -> set[int]:
    return {line.number for line in lines} - given


ROUTERS = (
    RouterRival("dict.get", None, "limit", "lookup", "each path known beforehand; no method, no params", known_paths),
    RouterRival(
        "functools.lru_cache", None, "limit", "match", "over the re loop, each request seen before", remembered
    ),
    RouterRival("re loop", None, "rival", "match", "", re_loop),
    RouterRival("falcon", "falcon", "rival", "match", "finds the path; the method is not looked up", falcon),
    RouterRival("werkzeug", "werkzeug", "rival", "match", "", werkzeug),
    RouterRival("starlette", "starlette", "rival", "match", "", starlette),
)
