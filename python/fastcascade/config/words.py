"""What a setting takes, and what it was given, in words."""

import datetime as dt
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, get_args

from fastcascade.config.families import FAMILIES
from fastcascade.config.hints import alternatives, base, choices, is_list, is_mapping, is_part
from fastcascade.config.mistakes import listed
from fastcascade.config.settings import made_of_a_path

__all__ = ["described", "given"]

NAMES: Final[Mapping[Any, tuple[str, str]]] = {
    bool: ("true or false", "true or false"),
    float: ("a number", "numbers"),
    int: ("a whole number", "whole numbers"),
    str: ("a text", "texts"),
    bytes: ("a text", "texts"),
    Path: ("a path", "paths"),
    PathLike: ("a path", "paths"),
}


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
    origin = base(hint)
    if hint is type(None):
        return ""
    if choices(hint):
        texts = [each for each in choices(hint) if isinstance(each, str)]
        return f"one of {listed(texts)}" if texts else "false"
    if origin in NAMES:
        one, several = NAMES[origin]
    elif origin in FAMILIES:
        one, several = FAMILIES[origin].what, f"{FAMILIES[origin].what.partition(' ')[2]}s"
    elif made_of_a_path(hint):
        one, several = "a path or a table", "paths or tables"
    elif is_mapping(hint) or is_part(hint):
        one, several = "a table", "tables"
    elif is_list(hint):
        parts = get_args(hint)
        alike = parts and (len(parts) == 1 or parts[1] is Ellipsis)
        of = f" of {described(parts[0], many=True)}" if alike else ""
        one, several = f"a list{of}", f"lists{of}"
    else:
        one, several = "a function as 'module:attribute'", "functions, each as 'module:attribute'"
    return several if many else one


def given(value: Any) -> str:
    """Name what was given, and never say it."""
    for kind, name in (
        (bool, "true" if value is True else "false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "a text"),
        (list, "a list"),
        (dict, "a table"),
        ((dt.date, dt.time), "a date or a time"),
    ):
        if isinstance(value, kind):
            return name
    return type(value).__name__
