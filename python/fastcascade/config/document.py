"""A TOML text as a tree in which everything knows its line and its path."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastcascade.config.lines import Path, lines_of
from fastcascade.config.mistakes import Mistakes

__all__ = ["Node", "parsed", "spelled"]

PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One value of the file."""

    value: Any
    path: Path
    lines: dict[Path, int]

    @property
    def line(self) -> int:
        """Where it begins; of what has no place of its own, where that begins which holds it."""
        path = self.path
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    @property
    def name(self) -> str:
        """Its path as one would write it."""
        return spelled(self.path)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of a table."""
        return tuple(self.value)

    def __getitem__(self, key: str | int) -> "Node":
        """What it holds there."""
        return Node(self.value[key], (*self.path, key), self.lines)

    def __iter__(self) -> Iterator["Node"]:
        """Go through the elements of a list."""
        return (self[number] for number in range(len(self.value)))


def spelled(path: Path) -> str:
    """A path as one would write it: `tiers[0].pool."odd key"`."""
    said = ""
    for part in path:
        if isinstance(part, int):
            said += f"[{part}]"
        else:
            key = part if BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            said += f".{key}" if said else key
    return said


def parsed(text: str, mistakes: Mistakes) -> Node:
    """Read a text; what is no TOML is raised at once, since nothing after it can be known."""
    line: int | None = None
    column: int | None = None
    try:
        return Node(tomllib.loads(text), (), lines_of(text))
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        place = PLACE.search(said)
        problem = PLACE.sub("", said)
        if place is not None and place[1]:
            line, column = int(place[1]), int(place[2])
        elif place is not None:
            line = text.count("\n") + 1
            problem += ", where the file ends"
    except RecursionError:
        problem = "nested too deep"
    except ValueError as error:  # a whole number of thousands of digits
        problem = str(error)
    mistakes.add(line, "", f"not TOML: {problem[:1].lower()}{problem[1:]}", column=column)
    raise mistakes.error()
