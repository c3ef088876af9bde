"""What a setting takes, and what it was given, in words."""

import datetime
from collections.abc import Mapping, Set
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from fastcascade.config.families import FAMILIES
from fastcascade.config.hints import alternatives, is_part
from fastcascade.config.mistakes import listed

__all__ = ["described", "given", "is_list", "is_mapping"]

NAMES: Final[Mapping[Any, tuple[str, str]]] = {
    bool: ("true or false", "true or false"),
    float: ("a number", "numbers"),
    int: ("a whole number", "whole numbers"),
    str: ("a text", "texts"),
    bytes: ("a text", "texts"),
    Path: ("a path", "paths"),
    PathLike: ("a path", "paths"),
}


def is_list(hint: Any) -> bool:
    """Whether a list is one of these."""
    origin = get_origin(hint) or hint
    if not isinstance(origin, type) or issubclass(origin, str | bytes) or is_mapping(hint):
        return False
    return origin.__module__ in ("builtins", "collections.abc") and (
        issubclass(origin, Set | tuple | list) or origin.__name__ in ("Collection", "Iterable", "Sequence")
    )


def is_mapping(hint: Any) -> bool:
    """Whether a table is one of these."""
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, Mapping)


def described(hint: Any, *, many: bool = False) -> str:
    """Name what is wanted: `a number or false`, `a list of texts`."""
    found: dict[str, None] = {}
    members = alternatives(hint)
    for each in members:
        if each is int and float in members:
            continue
        found[_named(each, many=many)] = None
    if type(None) in members and bool not in members:
        found["false"] = None
    said = [each for each in found if each]
    return " or ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)


def _named(hint: Any, *, many: bool) -> str:
    if get_origin(hint) is Literal:
        choices = [each for each in get_args(hint) if isinstance(each, str)]
        return f"one of {listed(choices)}" if choices else "false"
    base = get_origin(hint) or hint
    if base in NAMES:
        return NAMES[base][many]
    if base in FAMILIES:
        what = FAMILIES[base].what
        return f"{what.partition(' ')[2]}s" if many else what
    if is_mapping(hint) or is_part(hint):
        return "tables" if many else "a table"
    if is_list(hint):
        parts = get_args(hint)
        of = f" of {described(parts[0], many=True)}" if parts and (len(parts) == 1 or parts[1] is Ellipsis) else ""
        return f"{'lists' if many else 'a list'}{of}"
    if hint is type(None):
        return ""
    return "functions, each as 'module:attribute'" if many else "a function as 'module:attribute'"


def given(value: Any) -> str:
    """Name what was given, and never say it."""
    for kind, name in (
        (bool, "true" if value is True else "false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "a text"),
        (list, "a list"),
        (dict, "a table"),
        ((datetime.date, datetime.time), "a date or a time"),
    ):
        if isinstance(value, kind):
            return name
    return type(value).__name__
