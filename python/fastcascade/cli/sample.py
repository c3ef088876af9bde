"""Texts that a regular expression matches, made by walking its parsed form at random.

Python keeps its parser private, so a version that moves it costs the samples, never the command.
"""

import functools
import importlib
import random
import re
import string
from typing import Any

__all__ = ["sample"]

LETTERS = string.ascii_lowercase + string.digits
ALPHABET = LETTERS + string.ascii_uppercase + "-_.~"
MORE = 8  # how often an unbounded repeat is repeated at most


class _Unsupported(Exception):
    pass


def sample(pattern: re.Pattern[str], rng: random.Random) -> str | None:
    """A path the pattern matches, or None where none could be made."""
    try:
        text = _walk(_parsed(pattern.pattern, pattern.flags), rng)
    except (_Unsupported, ImportError, AttributeError, re.error):
        return None
    path = text if text.startswith("/") else f"/{''.join(rng.choices(LETTERS, k=6))}{text}"
    return path if pattern.search(path) and "\n" not in path else None


@functools.lru_cache(maxsize=256)
def _parsed(pattern: str, flags: int) -> Any:
    return importlib.import_module("re._parser").parse(pattern, flags)


def _walk(items: Any, rng: random.Random) -> str:
    return "".join(_one(str(op), arg, rng) for op, arg in items)


def _one(op: str, arg: Any, rng: random.Random) -> str:  # noqa: PLR0911 - a return to each kind of node
    match op:
        case "LITERAL":
            return chr(arg)
        case "ANY" | "NOT_LITERAL" | "IN":
            return _char(op, arg, rng)
        case "AT":
            return ""
        case "BRANCH":
            return _walk(rng.choice(arg[1]), rng)
        case "SUBPATTERN":
            return _walk(arg[-1], rng)
        case "ATOMIC_GROUP":
            return _walk(arg, rng)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, inner = arg
            return "".join(_walk(inner, rng) for _ in range(rng.randint(low, min(int(high), low + MORE))))
        case _:
            raise _Unsupported(op)


def _char(op: str, arg: Any, rng: random.Random) -> str:
    if op == "ANY":
        return rng.choice(LETTERS)
    if op == "NOT_LITERAL":
        return rng.choice([char for char in LETTERS if ord(char) != arg])
    return rng.choice(_choices(tuple((str(kind), value) for kind, value in arg)))


@functools.lru_cache(maxsize=256)
def _choices(items: tuple[tuple[str, Any], ...]) -> str:
    negate = items[0][0] == "NEGATE"
    fits = [char for char in ALPHABET if negate != any(_is(char, kind, value) for kind, value in items)]
    if fits:
        # Plain characters first: nearly every class has some, and real paths are made of them.
        return "".join([char for char in fits if char in LETTERS] or fits)
    kind, value = items[0]
    if kind in ("LITERAL", "RANGE"):
        return chr(value if kind == "LITERAL" else value[0])
    raise _Unsupported(kind)


def _is(char: str, kind: str, value: Any) -> bool:
    if kind == "LITERAL":
        return ord(char) == int(value)
    if kind == "RANGE":
        return bool(value[0] <= ord(char) <= value[1])
    if kind == "CATEGORY":
        name = str(value)
        has = (
            char.isdigit() if "DIGIT" in name else char.isspace() if "SPACE" in name else char.isalnum() or char == "_"
        )
        return has != ("NOT" in name)
    return False
