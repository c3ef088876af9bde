"""Fields of a body as the types they must have; what is wrong is told as the API tells it, by its path."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeAlias

from fastcascade.errors import WireError

__all__ = [
    "OBJECT",
    "REQUIRED",
    "STRING",
    "Where",
    "a_count",
    "a_flag",
    "a_list",
    "a_share",
    "a_string",
    "a_text",
    "an_object",
    "texts",
    "wrong",
]

Where: TypeAlias = tuple[object, ...]
"""The path to a value, such as ("messages", 0, "content", 1): put into words only where something is wrong there."""

STRING: Final = "Input should be a valid string"
INTEGER: Final = "Input should be a valid integer"
LIST: Final = "Input should be a valid array"
OBJECT: Final = "Input should be an object"
BOOLEAN: Final = "Input should be a valid boolean"
REQUIRED: Final = "Field required"


def an_object(given: object, where: Where) -> dict[str, Any]:
    """An object; without one, an empty one."""
    if given is None:
        return {}
    if type(given) is not dict:
        wrong(where, OBJECT)
    return given


def a_list(given: object, where: Where) -> list[Any]:
    """A list, which must be there."""
    if type(given) is not list:
        wrong(where, REQUIRED if given is None else LIST)
    return given


def a_string(data: Mapping[str, Any], name: str, where: Where) -> str:
    """The field of an object that must be a text, and not an empty one."""
    value = data.get(name)
    if type(value) is not str:
        wrong((*where, name), REQUIRED if value is None else STRING)
    if not value:
        wrong((*where, name), "String should have at least 1 character")
    return value


def a_text(given: object, where: Where) -> str:
    """A text; without one, an empty one."""
    if given is None:
        return ""
    if type(given) is not str:
        wrong(where, STRING)
    return given


def texts(given: object, where: Where) -> tuple[str, ...]:
    """A list of texts; without one, an empty one."""
    if given is None:
        return ()
    for at, each in enumerate(a_list(given, where)):
        if type(each) is not str:
            wrong((*where, at), STRING)
    return tuple(a_list(given, where))


def a_flag(given: object, where: Where) -> bool:
    """True or false; without a word, false."""
    if given is None:
        return False
    if type(given) is not bool:
        wrong(where, BOOLEAN)
    return given


def a_count(given: object, where: Where, least: int) -> None:
    """Check a whole number that is not below the least."""
    if type(given) is not int:
        wrong(where, REQUIRED if given is None else INTEGER)
    if given < least:
        wrong(where, f"Input should be greater than or equal to {least}")


def a_share(given: object, where: Where) -> float | None:
    """A number from 0 to 1, or none."""
    if given is None:
        return None
    if type(given) not in (int, float):
        wrong(where, "Input should be a valid number")
    if not 0 <= given <= 1:  # type: ignore[operator] # a number, as its type says
        wrong(where, "range: 0..1")
    return given  # type: ignore[return-value]


def wrong(where: Where, what: str) -> NoReturn:
    """Raise what is wrong with the value at this path."""
    path = ".".join(map(str, where))
    message = f"{path}: {what}"
    raise WireError(message, path)
