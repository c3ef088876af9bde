"""The values of the cascade as JSON, and back: for traces and recordings."""

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

from fastcascade.errors import ConfigError, Failure

__all__ = ["dump", "known", "load"]

KIND = "kind:"
_kinds: dict[str, type] = {}


def known(*kinds: type) -> None:
    """Make these dataclasses readable by `load`."""
    _kinds.update({kind.__name__: kind for kind in kinds})


def dump(value: Any) -> Any:
    """Turn a value into what JSON holds. Fields that have their default are left out."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(name): dump(each) for name, each in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [dump(each) for each in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = {
            name: dump(held)
            for name, default in _fields(type(value))
            if (held := getattr(value, name)) is not default and held != default
        }
        return {KIND: type(value).__name__, **shown}
    listing = getattr(value, "tolist", None)
    if listing is not None:  # an array of numbers
        return listing()
    msg = f"a {type(value).__name__} cannot be kept in a trace or a recording"
    raise ConfigError(msg)


def load(data: Any) -> Any:
    """Turn back what `dump` made. Lists inside dataclasses come back as tuples."""
    if isinstance(data, list):
        return [load(each) for each in data]
    if not isinstance(data, dict):
        return data
    name = data.get(KIND)
    if name is None:
        return {key: load(each) for key, each in data.items()}
    if name not in _kinds:
        msg = f"a recording holds a {name!r}, which this version does not know"
        raise ConfigError(msg)
    try:
        return _kinds[name](**{key: _frozen(load(each)) for key, each in data.items() if key != KIND})
    except TypeError as error:
        msg = f"a recording holds a {name} that cannot be read: {error}"
        raise ConfigError(msg) from None


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


@cache
def _fields(kind: type) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (each.name, each.default if each.default is not dataclasses.MISSING else _made(each))
        for each in dataclasses.fields(kind)
        if each.repr
    )


def _made(field: "dataclasses.Field[Any]") -> Any:
    return dataclasses.MISSING if field.default_factory is dataclasses.MISSING else field.default_factory()


known(Failure)
