"""A JSON schema in the narrower form that Anthropic's structured outputs take, as its SDK makes it.

What that form has no word for is told to the model in the description of the place where it stood.
"""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["shape"]

FORMATS: Final = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
)
PLAIN: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
SEVERAL: Final = (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf"))


def shape(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in that form. Raises `ValueError` and the like where it has none."""
    left = dict(schema)
    made: dict[str, Any] = {}
    if (defined := left.pop("$defs", None)) is not None:
        made["$defs"] = {name: shape(each) for name, each in defined.items()}
    if (named := left.pop("$ref", None)) is not None:
        made["$ref"] = named
        return made
    kind = left.pop("type", None)
    several = [(to, left.pop(name, None)) for name, to in SEVERAL]
    if _literals(left, made):
        kind = None
    chosen = next(((to, each) for to, each in several if isinstance(each, list)), None)
    if chosen is not None:
        made[chosen[0]] = [shape(each) for each in chosen[1]]
    elif "enum" not in made and "const" not in made:
        if kind is None:
            raise ValueError("a schema needs a type, an enum, a const or alternatives")
        made["type"] = kind
    for name in ("description", "title"):
        if (said := left.pop(name, None)) is not None:
            made[name] = said
    if kind is not None:
        _of_kind(kind, left, made)
    return _told(left, made)


def _told(left: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """Put what is left into the description."""
    if left:
        told = "{" + ", ".join(f"{name}: {value}" for name, value in left.items()) + "}"
        made["description"] = f"{made['description']}\n\n{told}" if "description" in made else told
    return made


def _literals(left: dict[str, Any], made: dict[str, Any]) -> bool:
    """Take out an enum and a const of plain values; whether there was one."""
    values = left.get("enum")
    if isinstance(values, list) and values and all(map(_plain, values)):
        made["enum"] = list(left.pop("enum"))
    if "const" in left and _plain(left["const"]):
        made["const"] = left.pop("const")
    return "enum" in made or "const" in made


def _of_kind(kind: Any, left: dict[str, Any], made: dict[str, Any]) -> None:
    """What each type may say of itself."""
    if not isinstance(kind, str) or kind not in PLAIN:
        msg = f"there is no form for the type {kind!r}"
        raise ValueError(msg)
    if kind == "object":
        made["properties"] = {name: shape(each) for name, each in left.pop("properties", {}).items()}
        left.pop("additionalProperties", None)
        made["additionalProperties"] = False
        if (required := left.pop("required", None)) is not None:
            made["required"] = required
    elif kind == "string":
        form = left.get("format")
        if form and form in FORMATS:
            made["format"] = left.pop("format")
        elif not form:
            left.pop("format", None)
    elif kind == "array":
        if (items := left.pop("items", None)) is not None:
            made["items"] = shape(items)
        if left.get("minItems") in (0, 1):
            made["minItems"] = left.pop("minItems")


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
