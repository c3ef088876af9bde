"""JSON in and out; by msgspec where it is installed, which takes a fifth of the time."""

import json
import math
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from fastcascade.errors import WireError
from fastcascade.wire.format import Json

__all__ = ["read", "written"]

msgspec: Any = None
with suppress(ModuleNotFoundError):  # it comes with the extra `gateway`
    msgspec = import_module("msgspec.json")


def read(body: bytes) -> Json:
    """The object that a body is. Raises `WireError`."""
    try:
        found: Any = _plain(body) if msgspec is None else msgspec.decode(body)
    except RecursionError:
        raise WireError("the body is nested too deep") from None
    except ValueError as error:
        msg = f"the body is no JSON: {_brief(error)}"
        raise WireError(msg) from None
    if not isinstance(found, dict):
        msg = f"the body must be a JSON object, not {type(found).__name__}"
        raise WireError(msg)
    return found


def _plain(body: bytes) -> Any:
    """As msgspec reads it: UTF-8 alone, numbers that are finite, and texts that have a form in UTF-8."""
    found = json.loads(body.decode(), parse_constant=_no_json, parse_float=_finite)
    if b"\\u" in body:  # the one way to write half of a surrogate pair
        json.dumps(found, ensure_ascii=False).encode()
    return found


def written(value: Json) -> bytes:
    """As JSON. Halves of surrogate pairs, which UTF-8 has no form for, are escaped."""
    try:
        if msgspec is not None:
            body: bytes = msgspec.encode(value)
            return body
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _brief(error: ValueError) -> str:
    """What is wrong and where, without a word of the body."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is no UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return "a text holds half of a surrogate pair"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at character {error.pos}"
    return str(error).removeprefix("JSON is malformed: ")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_json(digits[:20])


def _no_json(word: str) -> NoReturn:
    msg = f"{word} is no number"
    raise ValueError(msg)
