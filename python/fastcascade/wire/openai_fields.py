"""The fields of a body of OpenAI's, checked: each raises a `WireError` that names the path of what is wrong."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from fastcascade.blocks import nothing
from fastcascade.errors import WireError
from fastcascade.messages import Image, Tool
from fastcascade.wire.format import Json

__all__ = [
    "BY",
    "called",
    "choice",
    "count",
    "flag",
    "image",
    "listed",
    "mapping",
    "named",
    "number",
    "optional",
    "refuse",
    "text",
    "tool",
    "wrong",
]

BY: Final = "openai"
"""The name under which is kept what only this provider knows."""
DATA_URL: Final = re.compile(r"data:([^;,]+)(?:;[^;,]*)*;base64,(.*)", re.DOTALL)
NO_SCHEMA: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
"""The arguments of a tool that names none."""
KINDS: Final = ((bool, "true or false"), (int | float, "a number"), (str, "a text"), (list, "a list"))
ASKED: Final = {"auto": "auto", "none": "none", "required": "any"}


def refuse(where: str, message: str) -> NoReturn:
    """Say that what stands at a path cannot be."""
    raise WireError(message, where)


def wrong(where: str, wanted: str, given: object) -> NoReturn:
    """Say that something else was wanted; what was given is told by its kind alone, for it may be a secret."""
    if given is None:
        refuse(where, f"{where} is missing: it must be {wanted}")
    kind = next((name for made, name in KINDS if isinstance(given, made)), "an object")
    refuse(where, f"{where} must be {wanted}, not {kind}")


def text(given: Any, where: str) -> str:
    """A text."""
    return given if isinstance(given, str) else wrong(where, "a text", given)


def named(given: Any, where: str) -> str:
    """A text that is not empty."""
    return text(given, where) or refuse(where, f"{where} must not be empty")


def optional(given: Any, where: str) -> str:
    """A text, which may be missing."""
    return "" if given is None else text(given, where)


def number(given: Any, where: str) -> float:
    """A number."""
    return given if isinstance(given, int | float) and not isinstance(given, bool) else wrong(where, "a number", given)


def count(given: Any, where: str, least: int = 0) -> int:
    """A whole number that is not below `least`."""
    if not isinstance(given, int) or isinstance(given, bool):
        wrong(where, "a whole number", given)
    return given if given >= least else refuse(where, f"{where} must be at least {least}, not {given}")


def flag(given: Any, where: str) -> bool:
    """True or false; what is missing is false."""
    return bool(given) if given is None or isinstance(given, bool) else wrong(where, "true or false", given)


def listed(given: Any, where: str) -> Sequence[Any]:
    """A list."""
    return given if isinstance(given, list | tuple) else wrong(where, "a list", given)


def mapping(given: Any, where: str) -> Mapping[str, Any]:
    """An object."""
    return given if type(given) is dict or isinstance(given, Mapping) else wrong(where, "an object", given)


def image(url: str, more: Mapping[str, Any]) -> Image:
    """A picture by its URL, which may hold it; `more` is what a part of a message says of it besides."""
    extra = {BY: more} if more else nothing()
    inline = DATA_URL.fullmatch(url) if url.startswith("data:") else None
    return Image(url=url, extra=extra) if inline is None else Image(inline[2], inline[1], extra=extra)


def tool(function: Mapping[str, Any], where: str, more: Json) -> Tool:
    """A function that a model may call; `more` is said of it besides, and travels to OpenAI alone."""
    schema = function.get("parameters")
    name = named(function.get("name"), f"{where}.name")
    description = optional(function.get("description"), f"{where}.description")
    schema = NO_SCHEMA if schema is None else mapping(schema, f"{where}.parameters")
    return Tool(name, description, schema, {BY: more} if more else nothing())


def choice(given: Any, where: str) -> str:
    """A choice of tools that is one word, in the words of a request."""
    return ASKED.get(given) or refuse(where, f"{where} must be auto, none, required or an object, not {given[:40]!r}")


def called(name: str, where: str) -> str:
    """A choice that is the name of a tool."""
    if name in ("auto", "any", "none"):
        refuse(where, f"{where} asks for a tool called {name!r}, which is a word for a choice: give it another name")
    return name
