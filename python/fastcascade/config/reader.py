"""From a tree of settings to the things they describe, by what the constructors say they take.

A mistake does not end the reading: it is noted, what it spoils becomes `BAD`, and the rest is read all the same.
"""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from fastcascade.config.building import BAD
from fastcascade.config.document import Node, spelled
from fastcascade.config.families import FAMILIES
from fastcascade.config.hints import alternatives, is_part
from fastcascade.config.kinds import Kinds
from fastcascade.config.mistakes import Mistakes, meant
from fastcascade.config.references import NotFound, References, is_secret
from fastcascade.config.settings import Settings, settings_of
from fastcascade.config.words import described, given, is_list, is_mapping

__all__ = ["Reader"]

Options = tuple[Any, ...]


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
        self.kinds = Kinds(self)

    # Values.

    def read(self, node: Node, hint: Any, *, secret: bool = False) -> Any:
        """What a value comes to where this is wanted."""
        options = alternatives(hint)
        value = node.value
        if Any in options or object in options:
            return self._anything(node, secret=secret)
        if isinstance(value, bool):
            return self._switch(node, hint, options)
        if isinstance(value, int | float):
            return self._number(node, hint, options)
        if isinstance(value, str):
            return self._text(node, hint, options, secret=secret)
        if isinstance(value, list):
            return self._list(node, hint, options, secret=secret)
        if isinstance(value, dict):
            return self._table(node, hint, options)
        return self.wrong(node, hint)

    def _anything(self, node: Node, *, secret: bool) -> Any:
        """What nobody says the form of is taken as it stands."""
        value = node.value
        if isinstance(value, str):
            return self.resolved(node, secret=secret)
        if isinstance(value, list):
            return _whole([self._anything(each, secret=secret) for each in node])
        if isinstance(value, dict):
            read = {key: self._anything(node[key], secret=is_secret(key)) for key in node.keys}
            return BAD if BAD in read.values() else read
        return value

    def _switch(self, node: Node, hint: Any, options: Options) -> Any:
        value: bool = node.value
        if bool in options or any(each is value for option in options for each in _choices(option)):
            return value
        if not value and type(None) in options:
            return None
        for option in options:
            if value and is_part(option) and settings_of(option).lightest:
                return self.build(option, Node({}, node.path, node.lines))
        return self.wrong(node, hint)

    def _number(self, node: Node, hint: Any, options: Options) -> Any:
        value = node.value
        if isinstance(value, int) and int in options:
            return value
        if float not in options:
            return self.wrong(node, hint)
        try:
            return float(value)
        except OverflowError:
            return self.wrong(node, hint, "it is too large")

    def _text(self, node: Node, hint: Any, options: Options, *, secret: bool) -> Any:
        choices = [choice for option in options for choice in _choices(option) if isinstance(choice, str)]
        if node.value in choices:
            return node.value
        text = self.resolved(node, secret=secret or bytes in options)
        if text is BAD or text in choices:
            return text
        if any((get_origin(each) or each) in (Path, PathLike) for each in options):
            return self.references.path(text)
        if str in options:
            return text
        family = next((each for each in options if each in FAMILIES), None)
        if family is not None:
            return self.kinds.of_text(node, FAMILIES[family], text)
        if any(_by_reference(each) for each in options) and (":" in text or not choices):
            return self.object(node, text)
        if choices:
            return self.unknown(node, "value", text, choices)
        return self.wrong(node, hint)

    def _list(self, node: Node, hint: Any, options: Options, *, secret: bool) -> Any:
        wanted = next((each for each in options if is_list(each)), None)
        if wanted is None:
            tables = node.value and all(isinstance(each, dict) for each in node.value)
            once = len(node.path) == 1 and tables and any(is_part(each) for each in options)
            return self.wrong(node, hint, f"write [{node.name}], once" if once else "")
        args = get_args(wanted) or (Any,)
        base = get_origin(wanted) or wanted
        if base is tuple and len(args) > 1 and args[1] is not Ellipsis:
            if len(args) != len(node.value):
                return self.wrong(node, hint, f"it must have {len(args)} elements, not {len(node.value)}")
            return _whole([self.read(each, one) for each, one in zip(node, args, strict=True)], tuple)
        read = [self.read(each, args[0], secret=secret) for each in node]
        return _whole(read, base if base in (list, set, frozenset) else tuple)

    def _table(self, node: Node, hint: Any, options: Options) -> Any:
        value = node.value
        families = [each for each in options if each in FAMILIES]
        parts = [each for each in options if is_part(each) and each not in FAMILIES]
        mappings = [each for each in options if is_mapping(each) and _by_text(each)]
        if set(value) == {"function"} and any(_by_reference(each) for each in (*options, *families)):
            return self._function(node["function"])
        if families and ("kind" in value or not (parts or mappings)):
            return self.kinds.of_table(node, FAMILIES[families[0]], families[0])
        if len(parts) > 1:
            return self.kinds.one_of(node, parts)
        if parts and not (mappings and _foreign(value, settings_of(parts[0]))):
            return self.build(parts[0], node)
        if mappings:
            return self._mapping(node, mappings[0])
        several = len(node.path) == 1 and any(is_list(each) for each in options)
        return self.wrong(node, hint, f"write [[{node.name}]]" if several else "")

    def _mapping(self, node: Node, hint: Any) -> Any:
        keys, values = get_args(hint) or (str, Any)
        choices = [choice for each in alternatives(keys) for choice in _choices(each)]
        headers = node.path[-1:] == ("headers",)
        read: dict[str, Any] = {}
        for key in node.keys:
            if choices and key not in choices:
                read[key] = self.unknown(node[key], "key", key, choices)
            else:
                read[key] = self.read(node[key], values, secret=headers and is_secret(key))
        return BAD if BAD in read.values() else read

    def _function(self, node: Node) -> Any:
        return self.object(node, node.value) if isinstance(node.value, str) else self.wrong(node, Callable[..., Any])

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

    # Tables.

    def build(self, target: Callable[..., Any], node: Node, leave: frozenset[str] = frozenset()) -> Any:
        """Make one of a table. The keys to `leave` are somebody else's."""
        return self.kinds.build(target, node, leave)

    def values(
        self, settings: Settings, node: Node, leave: frozenset[str], known: frozenset[str] = frozenset()
    ) -> tuple[dict[str, Any], frozenset[str]]:
        """Read the settings of a table: those that are right, and the names of those that are not."""
        read: dict[str, Any] = {}
        doubtful: set[str] = set()
        for key in node.keys:
            if key in leave:
                continue
            setting = settings.by_name.get(key)
            if setting is None and settings.rest is None:
                doubtful.add(self._stray(node[key], settings, (*settings.by_name, *leave, *known)))
                continue
            hint = settings.rest if setting is None else setting.hint
            value = self.read(node[key], hint, secret=is_secret(key))
            if value is BAD:
                doubtful.add(key)
            else:
                read[key] = value
        for setting in settings.by_name.values():
            if setting.required and setting.name not in read and setting.name not in doubtful | leave:
                self.mistake(node, f"{setting.name!r} is missing")
        return read, frozenset(doubtful)

    def _stray(self, node: Node, settings: Settings, known: tuple[str, ...]) -> str:
        """Tell of a key that is no setting; which one was meant, if that can be guessed."""
        key = str(node.path[-1])
        homes = self.kinds.homes(settings, key)
        near = meant(key, known)
        if len(homes) == 1:
            self.mistake(node, f"no such setting here; it belongs in {spelled((*node.path[:-1], homes[0]))!r}")
        elif near:
            self.mistake(node, f"no such setting; did you mean {near!r}?")
        elif len(node.path) > 1 and self.kinds.is_top(key):
            self.mistake(node, "no such setting here; it is one of the whole file: put it before the first [table]")
        else:
            self.mistake(node, f"no such setting; there are: {', '.join(known)}")
        return near or key

    # Mistakes.

    def mistake(self, node: Node, problem: str) -> Any:
        """Take note."""
        self.mistakes.add(node.line, node.name, problem)
        return BAD

    def wrong(self, node: Node, hint: Any, more: str = "") -> Any:
        """Take note of a value of another kind than is wanted; never of the value itself."""
        said = f"must be {described(hint)}, not {given(node.value)}"
        return self.mistake(node, f"{said}; {more}" if more else said)

    def unknown(self, node: Node, what: str, name: str, names: list[str]) -> Any:
        """Take note of a word that is none of those there are."""
        near = meant(name, names)
        hint = f"did you mean {near!r}? There are" if near else "there are"
        shown = repr(name) if len(name) <= 40 else "of that length"
        return self.mistake(node, f"no such {what}: {shown}; {hint}: {', '.join(names)}")


def _whole(read: list[Any], base: Callable[[list[Any]], Any] = list) -> Any:
    return BAD if BAD in read else base(read)


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def _by_text(hint: Any) -> bool:
    """Whether the keys of a mapping can be those of a table."""
    keys = alternatives((get_args(hint) or (str,))[0])
    return any(each in (str, Any) or _choices(each) for each in keys)


def _by_reference(hint: Any) -> bool:
    """Whether it is made by code, and named in a file."""
    base = get_origin(hint) or hint
    if base in FAMILIES:
        return FAMILIES[base].adopt is not None or FAMILIES[base].has == ("__call__",)
    if base is Literal or base is type(None) or is_part(base) or is_mapping(base) or is_list(base):
        return False
    return base not in (bool, int, float, str, bytes, Path, PathLike)


def _foreign(value: Mapping[str, Any], settings: Settings) -> bool:
    """Whether no key of a table is a setting, nor near to one."""
    return not any(key in settings.by_name or meant(key, settings.by_name) for key in value)
