"""What a constructor says of its parameters, as far as the type hints can be resolved."""

import inspect
import types
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any, Final, ForwardRef, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from fastcascade._core import Quota, TextPolicy

__all__ = ["Foreign", "alternatives", "base", "choices", "is_list", "is_mapping", "is_part", "resolved"]

NATIVE: Final[Mapping[Any, dict[str, Any]]] = {
    Quota: {"n": float, "per": Literal["second", "minute", "hour", "day"] | float, "burst": float | None},
    TextPolicy: {"form": Literal["keep", "nfc", "nfkc"], "fold_case": bool, "collapse_space": bool},
}
"""What classes of the core, which have no hints at run time, take."""
WHERE: Final = ("fastcascade", *(f"fastcascade.{name}" for name in ("caching", "entry", "fallbacks", "reviews")))
"""Where names are looked up that a module imports for type checkers alone."""
LATER: Final = {"AnswerCache": "fastcascade.caching.answers"}
"""What is loaded where a file names it, and not to find out what a file may name."""
MOST_NAMES: Final = 100


class Foreign:
    """A type that is not known here: what is of it can only be made by code."""


def resolved(target: Callable[..., Any]) -> dict[str, Any]:
    """The hints of a constructor or a function."""
    if target in NATIVE:
        return NATIVE[target]
    function: Any = getattr(target, "__init__") if isinstance(target, type) else target  # noqa: B009 - of the class
    space = getattr(inspect.unwrap(function), "__globals__", {})
    extra: dict[str, Any] = {}
    for _ in range(MOST_NAMES):
        try:
            return get_type_hints(function, space, extra)
        except NameError as error:
            name = str(error.name)
            extra[name] = _looked_up(name)
        except (TypeError, AttributeError, SyntaxError):  # somebody's own hints, which say nothing
            break
    return {}


def _looked_up(name: str) -> Any:
    if name in LATER:
        later: Any = TypeVar  # it stands for its bound, which is looked up when it is wanted
        return later(name, bound=f"{LATER[name]}.{name}")
    for module in WHERE:
        found = getattr(import_module(module), name, None)
        if isinstance(found, type):
            return found
    return Foreign


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union; a type variable stands for its bound."""
    if isinstance(hint, TypeVar):
        bound = hint.__bound__
        if isinstance(bound, ForwardRef):
            module, _, name = bound.__forward_arg__.rpartition(".")
            return (getattr(import_module(module), name),)
        return alternatives(bound) if bound is not None else (Any,)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(each for member in get_args(hint) for each in alternatives(member))
    return (hint,)


def is_part(hint: Any) -> bool:
    """Whether a table of settings can make it: one of our own classes, or anybody's dataclass."""
    if hint in NATIVE or (isinstance(hint, type) and is_dataclass(hint)):
        return True
    if not isinstance(hint, type) or hint is Foreign or getattr(hint, "_is_protocol", False):
        return False
    return hint.__module__.startswith("fastcascade.") and not hint.__module__.endswith("._core")


def base(hint: Any) -> Any:
    """The class behind a hint: `tuple` of `tuple[int, ...]`."""
    origin: Any = get_origin(hint)
    return hint if origin is None else origin


def choices(hint: Any) -> tuple[Any, ...]:
    """The values of a `Literal`."""
    return get_args(hint) if get_origin(hint) is Literal else ()


def is_mapping(hint: Any) -> bool:
    """Whether a table is one of these."""
    origin = base(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def is_list(hint: Any) -> bool:
    """Whether a list is one of these."""
    origin = base(hint)
    if not isinstance(origin, type) or origin.__module__ not in ("builtins", "collections.abc"):
        return False
    return issubclass(origin, AbstractSet | tuple | list) or origin.__name__ in ("Collection", "Iterable", "Sequence")
