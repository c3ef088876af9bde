"""Writes TOML in all the ways there are, and knows on which line each thing has come to stand."""

import datetime as dt
import json
import random
import re
from collections.abc import Mapping
from typing import Any

Path = tuple[str | int, ...]

BARE = re.compile(r"[A-Za-z0-9_-]+")
UNPRINTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Writer:
    """Writes one document, in a style that is drawn.

    Attributes:
        text: what has been written.
        lines: where each key, table and element stands.
    """

    def __init__(self, document: Mapping[str, Any], chance: random.Random) -> None:
        self.chance = chance
        self.text = ""
        self.lines: dict[Path, int] = {}
        self.table((), (), document)
        if chance.random() < 0.2:
            self.text = self.text.replace("\n", "\r\n")

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def one_in(self, count: int) -> bool:
        return self.chance.randrange(count) == 0

    def table(self, path: Path, names: tuple[str, ...], table: Mapping[str, Any]) -> None:
        """The pairs first, then what has headers of its own."""
        later = []
        for key, value in table.items():
            tables = isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
            if (isinstance(value, dict) or tables) and not self.one_in(3):
                later.append(key)
            elif isinstance(value, dict) and value and self.one_in(2):
                self.dotted((*path, key), [key], value)
            else:
                self.gap()
                self.pair((*path, key), [key], value, end=True)
        for key in later:
            value, inner = table[key], (*names, key)
            for number, each in enumerate(value) if isinstance(value, list) else [(None, value)]:
                self.gap()
                below = (*path, key) if number is None else (*path, key, number)
                self.mark(path, names, (*path, key))
                self.lines[below] = self.line
                header = ".".join(self.key(name) for name in inner)
                self.text += f"[{header}]" if number is None else f"[[ {header} ]]"
                self.ending()
                self.table(below, inner, each)

    def mark(self, above: Path, names: tuple[str, ...], path: Path) -> None:
        """A header that names tables which have none of their own is where they begin."""
        self.lines.setdefault(path, self.line)
        if names:
            self.lines.setdefault(above, self.line)

    def dotted(self, path: Path, names: list[str], table: Mapping[str, Any]) -> None:
        for key, value in table.items():
            if isinstance(value, dict) and value and self.one_in(2):
                self.dotted((*path, key), [*names, key], value)
                continue
            self.gap()
            for end in range(len(path) - len(names) + 1, len(path) + 1):
                self.lines.setdefault(path[:end], self.line)
            self.pair((*path, key), [*names, key], value, end=True)

    def pair(self, path: Path, names: list[str], value: Any, *, end: bool = False) -> None:
        self.lines[path] = self.line
        self.text += self.chance.choice([".", " . "]).join(self.key(name) for name in names)
        self.text += self.chance.choice([" = ", "=", "\t=  "])
        self.value(path, value)
        if end:
            self.ending()

    def value(self, path: Path, value: Any) -> None:
        if isinstance(value, list):
            self.several(path, value)
        elif isinstance(value, dict):
            self.text += "{"
            for number, (key, each) in enumerate(value.items()):
                self.text += ", " if number else " "
                self.pair((*path, key), [key], each)
            self.text += "}"
        else:
            self.text += self.scalar(value)

    def several(self, path: Path, values: list[Any]) -> None:
        self.text += "["
        for number, each in enumerate(values):
            self.gap()
            self.lines[*path, number] = self.line
            self.value((*path, number), each)
            if number < len(values) - 1 or self.one_in(3):
                self.text += self.chance.choice([",", " ,\n", ", # ], }\n"])
        self.text += self.chance.choice(["]", "\n]"])

    def scalar(self, value: Any) -> str:
        if isinstance(value, str):
            return self.quoted(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, dt.datetime):
            return value.isoformat(sep=self.chance.choice(["T", " "]))
        if isinstance(value, dt.date | dt.time):
            return value.isoformat()
        return repr(value)

    def quoted(self, text: str, *, key: bool = False) -> str:
        ways = [f'"{self.escaped(text)}"']
        if not re.search(r"['\x00-\x08\x0a-\x1f\x7f]", text):
            ways.append(f"'{text}'")
        if not key:
            inner = re.sub('"""', '""\\"', text.replace("\\", "\\\\"))
            inner = UNPRINTED.sub(lambda found: f"\\u{ord(found[0]):04x}", inner)
            ways += [f'"""\n{inner}"""', f'"""\\\n  {self.escaped(text)}"""' if text[:1].strip() else ways[0]]
            if "'''" not in text and not UNPRINTED.search(text):
                ways.append(f"'''\n{text}'''")
        return self.chance.choice(ways)

    def escaped(self, text: str) -> str:
        text = json.dumps(text, ensure_ascii=False)[1:-1]
        return text.replace("\x7f", "\\u007f")

    def key(self, name: str) -> str:
        return name if BARE.fullmatch(name) and not self.one_in(4) else self.quoted(name, key=True)

    def gap(self) -> None:
        """Blank lines and notes, where there may be any."""
        if self.text.endswith("\n") or not self.text:
            self.text += self.chance.choice(["", "", "\n", '# [a] = "\n', "  "])

    def ending(self) -> None:
        self.text += self.chance.choice(["\n", "\n", "  # a note: ''' \"\"\" [\n", "\n\n"])
