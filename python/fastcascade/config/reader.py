"""From a tree of settings to the things they describe, by what the constructors say they take.

A mistake does not end the reading: it is noted, what it spoils becomes `BAD`, and the rest is read all the same.
"""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, Final, get_args

from fastcascade.config.building import BAD, spoiled
from fastcascade.config.document import Node
from fastcascade.config.families import FAMILIES
from fastcascade.config.hints import alternatives, base, choices, is_list, is_mapping, is_part
from fastcascade.config.kinds import Kinds
from fastcascade.config.mistakes import Mistakes, meant
from fastcascade.config.references import NotFound, References, is_secret
from fastcascade.config.settings import made_of_a_path, settings_of
from fastcascade.config.tables import Tables
from fastcascade.config.words import described, given

__all__ = ["Reader"]

Options = tuple[Any, ...]
PLAIN: Final = (bool, int, float, str, bytes, type(None), Path, PathLike)
LONGEST: Final = 40


class Reader:
    """Reads one file.

    Args:
        references: looks up what stands outside of it.
        mistakes: is told what is wrong.
    """

    def __init__(self, references: References, mistakes: Mistakes) -> None:
        """Keep both."""
        self.references = references
        self.mistakes = mistakes
        self.tables = Tables(self)
        self.kinds = Kinds(self)

    # Values.

    def read(self, node: Node, hint: Any, *, secret: bool = False) -> Any:
        """What a value comes to where this is wanted."""
        options = alternatives(hint)
        if Any in options or object in options:
            return self._anything(node, secret=secret)
        match node.value:
            case bool():
                found = self._switch(node, hint, options)
            case int() | float():
                found = self._number(node, hint, options)
            case str():
                found = self._text(node, hint, options, secret=secret)
            case list():
                found = self._list(node, hint, options, secret=secret)
            case dict():
                found = self._table(node, hint, options)
            case _:
                found = self.wrong(node, hint)
        return found

    def _anything(self, node: Node, *, secret: bool) -> Any:
        """What nobody says the form of is taken as it stands."""
        value = node.value
        if isinstance(value, str):
            return self.resolved(node, secret=secret)
        if isinstance(value, list):
            read = [self._anything(each, secret=secret) for each in node]
            return BAD if spoiled(read) else read
        if isinstance(value, dict):
            pairs = {key: self._anything(node[key], secret=is_secret(key)) for key in node.keys}
            return BAD if spoiled(pairs.values()) else pairs
        return value

    def _switch(self, node: Node, hint: Any, options: Options) -> Any:
        value: bool = node.value
        if bool in options or any(choice is value for option in options for choice in choices(option)):
            return value
        if not value and type(None) in options:
            return None
        for option in options if value else ():
            if is_part(option) and settings_of(option).lightest:
                return self.build(option, Node({}, node.path, node.lines))
        return self.wrong(node, hint)

    def _number(self, node: Node, hint: Any, options: Options) -> Any:
        value = node.value
        if isinstance(value, int) and int in options:
            return value
        if float not in options:
            return self.wrong(node, hint)
        try:
            float(value)
        except OverflowError:
            return self.wrong(node, hint, "it is too large")
        return value

    def _text(self, node: Node, hint: Any, options: Options, *, secret: bool) -> Any:
        words = [choice for option in options for choice in choices(option) if isinstance(choice, str)]
        text = node.value if node.value in words else self.resolved(node, secret=secret or bytes in options)
        if text is BAD or text in words:
            return text
        if any(base(each) in (Path, PathLike) for each in options):
            return self.references.path(text)
        if str in options:
            return text
        part = next((each for each in options if made_of_a_path(each)), None)
        if part is not None:
            return self.kinds.of_first(node, part, self.references.path(text))
        return self._name(node, hint, options, words, text)

    def _name(self, node: Node, hint: Any, options: Options, words: list[str], text: str) -> Any:
        """What a text says that cannot be meant as it stands."""
        family = next((each for each in options if each in FAMILIES), None)
        if family is not None:
            return self.kinds.of_text(node, FAMILIES[family], text)
        if any(_by_reference(each) for each in options) and (":" in text or not words):
            return self.object(node, text)
        return self.unknown(node, "value", text, words) if words else self.wrong(node, hint)

    def _list(self, node: Node, hint: Any, options: Options, *, secret: bool) -> Any:
        wanted = next((each for each in options if is_list(each)), None)
        if wanted is None:
            once = self.tables.depth(node) == 1 and node.value and isinstance(node.value[0], dict)
            return self.wrong(node, hint, f"write [{node.name}], once" if once else "")
        args = get_args(wanted) or (Any,)
        origin = base(wanted)
        parts = [args[0]] * len(node.value)
        if origin is tuple and len(args) > 1 and args[1] is not Ellipsis:
            if len(args) != len(node.value):
                return self.mistake(node, f"must have {len(args)} elements, not {len(node.value)}")
            parts = list(args)
        read = [self.read(each, part, secret=secret) for each, part in zip(node, parts, strict=True)]
        return BAD if spoiled(read) else origin(read) if origin in (list, set, frozenset) else tuple(read)

    def _table(self, node: Node, hint: Any, options: Options) -> Any:
        value = node.value
        families = [each for each in options if each in FAMILIES]
        parts = [each for each in options if is_part(each) and each not in FAMILIES]
        mappings = [each for each in options if is_mapping(each) and _has_names(each)]
        if set(value) == {"function"} and any(_by_reference(each) for each in options):
            return self._function(node["function"])
        if families and ("kind" in value or not (parts or mappings)):
            return self.kinds.of_table(node, FAMILIES[families[0]], families[0])
        if len(parts) > 1:
            return self.kinds.one_of(node, parts)
        if parts and not (mappings and settings_of(parts[0]).strange(value)):
            return self.build(parts[0], node)
        if mappings:
            return self._mapping(node, mappings[0])
        several = self.tables.depth(node) == 1 and any(is_list(each) for each in options)
        return self.wrong(node, hint, f"write [[{node.name}]]" if several else "")

    def _mapping(self, node: Node, hint: Any) -> Any:
        keys, values = get_args(hint) or (str, Any)
        words = [choice for each in alternatives(keys) for choice in choices(each)]
        headers = node.path[-1:] == ("headers",)
        read: dict[str, Any] = {}
        for key in node.keys:
            if words and key not in words:
                read[key] = self.unknown(node[key], "key", key, words)
            else:
                read[key] = self.read(node[key], values, secret=headers and is_secret(key))
        return BAD if spoiled(read.values()) else read

    def _function(self, node: Node) -> Any:
        return self.object(node, node.value) if isinstance(node.value, str) else self.wrong(node, Callable[..., Any])

    def build(self, target: Callable[..., Any], node: Node) -> Any:
        """Make one of a table of settings."""
        return self.tables.build(target, node)

    # What stands elsewhere.

    def resolved(self, node: Node, *, secret: bool) -> Any:
        """The text that a text stands for."""
        try:
            return self.references.text(node.value, secret=secret)
        except NotFound as error:
            return self.mistake(node, str(error))

    def object(self, node: Node, text: str) -> Any:
        """What a name of the form `module:attribute` stands for."""
        try:
            return self.references.object(text)
        except NotFound as error:
            return self.mistake(node, str(error))

    # Mistakes.

    def mistake(self, node: Node, problem: str) -> Any:
        """Take note."""
        self.mistakes.add(node.line, node.name, problem)
        return BAD

    def wrong(self, node: Node, hint: Any, more: str = "") -> Any:
        """Take note of a value of another kind than is wanted; never of the value itself."""
        said = f"must be {described(hint)}, not {given(node.value)}"
        return self.mistake(node, f"{said}; {more}" if more else said)

    def stray(self, node: Node, known: list[str]) -> Any:
        """Take note of a key that is none of those there are."""
        near = meant(str(node.path[-1]), known)
        return self.mistake(node, f"no such setting; did you mean {near!r}?" if near else _among(known))

    def unknown(self, node: Node, what: str, name: str, names: list[str]) -> Any:
        """Take note of a word that is none of those there are."""
        near = meant(name, names)
        hint = f"did you mean {near!r}? There are" if near else "there are"
        shown = f": {name!r}" if len(name) <= LONGEST else ""
        return self.mistake(node, f"no such {what}{shown}; {hint}: {', '.join(names)}")


def _among(known: list[str]) -> str:
    return f"no such setting; there are: {', '.join(known)}"


def _has_names(hint: Any) -> bool:
    """Whether the keys of a mapping can be those of a table."""
    keys = alternatives((get_args(hint) or (str,))[:1][0])
    return any(each in (str, Any) or choices(each) for each in keys)


def _by_reference(hint: Any) -> bool:
    """Whether it is made by code, and named in a file."""
    origin = base(hint)
    if origin in FAMILIES:
        return FAMILIES[origin].adopt is not None or FAMILIES[origin].has == ("__call__",)
    return not (choices(hint) or origin in PLAIN or is_part(origin) or is_mapping(hint) or is_list(hint))
