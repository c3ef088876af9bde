"""What a constructor says of its parameters, as far as the type hints can be resolved."""

import inspect
import sys
import types
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from fastcascade._core import Quota, TextPolicy

__all__ = ["Foreign", "alternatives", "is_part", "resolved"]

NATIVE: Final[Mapping[Any, dict[str, Any]]] = {
    Quota: {"n": float, "per": Literal["second", "minute", "hour", "day"] | float, "burst": float | None},
    TextPolicy: {"form": Literal["keep", "nfc", "nfkc"], "fold_case": bool, "collapse_space": bool},
}
"""What classes of the core, which have no hints at run time, take."""
WHERE: Final = ("fastcascade", "fastcascade.entry", "fastcascade.fallbacks", "fastcascade.reviews")
"""Where names are looked up that a module imports for type checkers alone."""
LONGEST: Final = 100


class Foreign:
    """A type that is not known here: what is of it can only be made by code."""


def resolved(target: Callable[..., Any]) -> dict[str, Any]:
    """The hints of a constructor or a function."""
    if target in NATIVE:
        return NATIVE[target]
    function: Any = target.__init__ if isinstance(target, type) else target
    space = getattr(inspect.unwrap(function), "__globals__", {})
    extra: dict[str, Any] = {}
    for _ in range(LONGEST):
        try:
            return get_type_hints(function, space, extra)
        except NameError as error:
            extra[error.name] = _looked_up(error.name)
        except (TypeError, AttributeError, SyntaxError):  # somebody's own hints, which say nothing
            break
    return {}


def _looked_up(name: str) -> Any:
    for module in WHERE:
        found = getattr(import_module(module), name, None)
        if isinstance(found, type):
            return found
    return Foreign


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union; a type variable stands for its bound."""
    if isinstance(hint, TypeVar):
        return alternatives(hint.__bound__) if hint.__bound__ is not None else (Any,)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(each for member in get_args(hint) for each in alternatives(member))
    return (hint,)


def is_part(hint: Any) -> bool:
    """Whether it is one of our own classes, which a table of settings can make."""
    if hint in NATIVE:
        return True
    if not isinstance(hint, type) or getattr(hint, "_is_protocol", False) or hint is Foreign:
        return False
    module = sys.modules.get(hint.__module__)
    return hint.__module__.startswith("fastcascade.") and module is not None and not hint.__module__.endswith("._core")
