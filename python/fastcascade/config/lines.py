"""Where each thing of a TOML text stands: `tomllib` gives values and no positions.

The text is known to be right, since `tomllib` has read it: what is scanned here is only what tells keys and values
apart. A key stands on the line it begins on, an element of a list likewise, and a table on that of its header.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, TypeAlias

__all__ = ["Path", "lines_of"]

Path: TypeAlias = tuple[str | int, ...]
"""Keys, and numbers of elements, from the top down."""

BLANK: Final = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
SPACE: Final = re.compile(r"[ \t]*")
BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
TEXTS: Final = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r'"""(?:[^\\]|\\.)*?""""{0,2}',  # up to two quotes may stand before the three that end it
        r"'''.*?''''{0,2}",
        r'"(?:[^"\\]|\\.)*"',
        r"'[^']*'",
    )
)
SCALAR: Final = re.compile(r"[^,\]}\n#]+")


def lines_of(text: str) -> dict[Path, int]:
    """The line, from 1, of every key, table and element."""
    return _Scan(text).document()


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.ends = [found.start() for found in re.finditer("\n", self.text)]
        self.at = 0
        self.found: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}  # tables so far in each array of tables

    @property
    def line(self) -> int:
        return bisect_right(self.ends, self.at - 1) + 1

    def document(self) -> dict[Path, int]:
        base: Path = ()
        self.skip(BLANK)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                base = self.header()
            else:
                self.pair(base)
            self.skip(BLANK)
        return self.found

    def header(self) -> Path:
        line, several = self.line, self.text.startswith("[[", self.at)
        self.at += 2 if several else 1
        parts = self.key()
        self.at += 2 if several else 1
        path = self.below((), parts[:-1], line)
        path = (*path, parts[-1])
        if not several:
            self.found[path] = line  # its own header, whatever named it before
            return path
        self.found.setdefault(path, line)
        number = self.counts[path] = self.counts.get(path, -1) + 1
        path = (*path, number)
        self.found[path] = line
        return path

    def pair(self, base: Path) -> None:
        line = self.line
        parts = self.key()
        path = (*self.below(base, parts[:-1], line), parts[-1])
        self.found[path] = line
        self.at += 1  # the sign between key and value
        self.skip(SPACE)
        self.value(path)

    def below(self, path: Path, parts: Sequence[str], line: int) -> Path:
        """Go down; of an array of tables into the latest."""
        for part in parts:
            path = (*path, part)
            self.found.setdefault(path, line)
            if path in self.counts:
                path = (*path, self.counts[path])
        return path

    def key(self) -> list[str]:
        parts = []
        while True:
            self.skip(SPACE)
            bare = BARE.match(self.text, self.at)
            if bare is not None:
                parts.append(bare[0])
                self.at = bare.end()
            else:
                start = self.at
                self.quoted()
                parts.append(next(iter(tomllib.loads(f"{self.text[start : self.at]}=0"))))
            self.skip(SPACE)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def value(self, path: Path) -> None:
        first = self.text[self.at]
        if first == "[":
            self.elements(path)
        elif first == "{":
            self.inline(path)
        elif first in "\"'":
            self.quoted()
        else:
            self.skip(SCALAR)

    def elements(self, path: Path) -> None:
        self.at += 1
        number = 0
        while self.another("]"):
            self.found[*path, number] = self.line
            self.value((*path, number))
            number += 1

    def inline(self, path: Path) -> None:
        self.at += 1
        while self.another("}"):
            self.pair(path)

    def another(self, end: str) -> bool:
        """Go to what comes next, or past the end."""
        self.skip(BLANK)
        if self.text.startswith(",", self.at):
            self.at += 1
            self.skip(BLANK)
        if self.text.startswith(end, self.at):
            self.at += 1
            return False
        return True

    def quoted(self) -> None:
        for pattern in TEXTS:
            found = pattern.match(self.text, self.at)
            if found is not None:
                self.at = found.end()
                return

    def skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
