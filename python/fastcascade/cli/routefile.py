r"""A route table as text: one route a line, or a JSON mapping; what is wrong in it is said with its line.

# a comment
GET /users/{id}
GET,HEAD /files/{path...}
/health                       every method
re:^/v\d+/legacy              a regular expression, matched anywhere in the path
*                             whatever is left
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from fastcascade import PatternError, Route, RouteError, Router
from fastcascade.cli import builtin
from fastcascade.cli.file_error import FileError

__all__ = ["FileError", "Line", "Table", "compiled", "load", "parse"]

METHODS = re.compile(r"([A-Z-]+(?:,[A-Z-]+)*)[ \t]+(.*)")
SPACE = re.compile(r"\s*")
# Other frameworks' spellings, which are plain text here.
FOREIGN = re.compile(r"/(:[A-Za-z_]\w*|<[^/<>]+>|\*\w*)(?=/|$)")


@dataclass(frozen=True, slots=True)
class Line:
    """One route and where it stands."""

    number: int
    methods: tuple[str, ...]
    path: str
    regex: re.Pattern[str] | None = None

    def route(self) -> Route["Line"]:
        """As the router takes it; the target is the line itself."""
        return Route(self.regex or self.path, self, methods=self.methods or None)

    @property
    def kind(self) -> str:
        """Which matcher holds it."""
        if self.regex is not None:
            return "regex"
        return "wildcard" if self.path == "*" else "prefix" if "{" in self.path.replace("{{", "") else "exact"


@dataclass(frozen=True, slots=True)
class Table:
    """All routes of one source, known to compile."""

    source: str
    lines: tuple[Line, ...]
    router: Router[Line]
    warnings: tuple[str, ...] = ()


def load(name: str | None) -> Table:
    """Read a file; without a name, the built-in table."""
    if name is None:
        return parse(builtin.TEXT, builtin.SOURCE)
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(name, None, f"not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise FileError(name, None, f"cannot be read: {error.strerror or error}") from None
    return parse(text, name)


def parse(text: str, source: str) -> Table:
    """Take a file's text apart, by the file's ending."""
    pairs = _json_routes(text, source) if source.lower().endswith(".json") else _text_routes(text)
    lines, warnings = [], []
    for number, route in pairs:
        line = _read_line(route, number, source)
        lines.append(line)
        if line.regex is None and (foreign := FOREIGN.search(line.path)):
            warnings.append(
                f"{source}:{number}: '{foreign[1]}' is plain text here; a param is {{name}}, a tail {{rest...}}"
            )
    if not lines:
        raise FileError(source, None, "it has no routes; write one a line, such as 'GET /users/{id}'")
    return Table(source, tuple(lines), compiled(lines, source), tuple(warnings))


def compiled(lines: Sequence[Line], source: str) -> Router[Line]:
    """The router of some lines; an error names the first line it comes from."""
    try:
        return Router(line.route() for line in lines)
    except RouteError:
        number, problem = _first_bad(lines)
        raise FileError(source, number, problem) from None


def _first_bad(lines: Sequence[Line]) -> tuple[int, str]:
    # A table that is refused stays refused with more routes behind, so the shortest refused part ends at the culprit.
    low, high, problem = 0, len(lines), ""
    while low < high:
        middle = (low + high) // 2
        try:
            Router(line.route() for line in lines[: middle + 1])
            low = middle + 1
        except PatternError as error:
            high, problem = middle, f"'re:{lines[middle].path}': {error}; no look-around and no back-references here"
        except RouteError as error:
            high, problem = middle, str(error)
    return lines[low].number, problem


def _read_line(text: str, number: int, source: str) -> Line:
    methods: tuple[str, ...] = ()
    if split := METHODS.fullmatch(text):
        methods, text = tuple(split[1].split(",")), split[2]
    if text.startswith("re:"):
        return Line(number, methods, text[3:], _regex(text[3:], number, source))
    if text != "*" and not text.startswith("/"):
        _refuse(text, number, source)
    if any(char.isspace() for char in text):
        problem = f"a space in '{text}'; one route a line, 'METHOD /path', %20 for a space, comments on their own line"
        raise FileError(source, number, problem)
    return Line(number, methods, text)


def _regex(text: str, number: int, source: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise FileError(source, number, f"'re:{text}' is no regular expression: {error}") from None


def _refuse(text: str, number: int, source: str) -> NoReturn:
    first, *others = text.split(maxsplit=1) or ["", ""]
    rest = "".join(others)
    if rest.startswith(("/", "re:")):
        problem = f"'{first}' is no method; write methods in capitals, several with commas: 'GET,POST {rest}'"
    elif METHODS.fullmatch(text + " x") and "/" not in text:
        problem = f"'{text}' has no path; write '{text} /path'"
    else:
        problem = f"'{text}' is no path; a path begins with '/', a regular expression with 're:', the wildcard is '*'"
    raise FileError(source, number, problem)


def _text_routes(text: str) -> list[tuple[int, str]]:
    stripped = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))
    return [(number, line) for number, line in stripped if line and not line.startswith("#")]


def _json_routes(text: str, source: str) -> list[tuple[int, str]]:
    """The keys of a mapping with the lines they stand on; what they map to does not matter here."""
    try:
        top = json.loads(text)
    except json.JSONDecodeError as error:
        raise FileError(source, error.lineno, f"not JSON: {error.msg.lower()} at column {error.colno}") from None
    except RecursionError:
        raise FileError(source, None, "nested too deep; write a mapping of routes to anything") from None
    if not isinstance(top, dict):
        raise FileError(source, 1, 'not a mapping; write {"GET /users/{id}": "name", ...}')
    # Once more, key by key, as the decoder tells no positions; what stands between them is known to be right.
    decode, found, at = json.JSONDecoder().raw_decode, [], text.index("{") + 1
    while (key_at := text.find('"', at)) >= 0:
        key, key_end = decode(text, key_at)
        found.append((text.count("\n", 0, key_at) + 1, key.strip()))
        after_colon = SPACE.match(text, text.index(":", key_end) + 1)
        _, at = decode(text, after_colon.end() if after_colon else key_end)
    return found
