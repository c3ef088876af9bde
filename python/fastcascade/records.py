"""The values of the cascade as JSON, and back: for traces and recordings."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, Final

from fastcascade.errors import ConfigError, Failure

__all__ = ["dump", "known", "load", "read_lines", "write_line"]

KIND: Final = "kind:"
ESCAPE: Final = "="
ITEMS: Final = "items"
SEQUENCES: Final[dict[str, Any]] = {kind.__name__: kind for kind in (list, tuple, set, frozenset)}
_kinds: dict[str, type] = {}


def known(*kinds: type) -> None:
    """Make these dataclasses readable by `load`."""
    _kinds.update({kind.__name__: kind for kind in kinds})


def dump(value: Any) -> Any:
    """Turn a value into what JSON holds. Fields that have their default are left out.

    What `load` could not turn back is refused by name: bytes, objects, dataclasses that are not `known`.
    """
    return _dump(value, tuple if isinstance(value, tuple) else list)


def load(data: Any) -> Any:
    """Turn back what `dump` made. A number that is not finite, a set, a tuple among lists come back as they were.

    Arrays come back as lists, and a tuple by itself does too.
    """
    return _load(data, list)


def write_line(value: Any) -> str:
    """A value as one line of JSON, in which nothing else ends a line."""
    line = json.dumps(dump(value), ensure_ascii=False, allow_nan=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as a model may write it
        line = json.dumps(dump(value), allow_nan=False)
    return f"{line}\n"


def read_lines(path: str | Path) -> Iterator[tuple[int, Any]]:
    """The JSON of each line that is not blank, with its number. Lines end as files' lines do, not as a text's may."""
    where = str(path)
    with Path(path).open(encoding="utf-8-sig") as file:
        try:
            for number, line in enumerate(file, 1):
                where = f"{path}, line {number}"
                if line.strip():
                    yield number, json.loads(line)
        except UnicodeDecodeError as error:
            msg = f"{path}: this is not UTF-8: {error}"
            raise ConfigError(msg) from None
        except (ValueError, RecursionError) as error:
            msg = f"{where}: this is not JSON: {error}"
            raise ConfigError(msg) from None


def _dump(value: Any, bare: Any) -> Any:  # noqa: PLR0911 - one for each kind of value
    """`bare` is the kind of sequence that is an array of JSON in this place; others are marked."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else {KIND: "float", ITEMS: str(value)}
    if isinstance(value, Mapping):
        return {_key(name): _dump(each, list) for name, each in value.items()}
    for name, kind in SEQUENCES.items():
        if isinstance(value, kind):
            items = [_dump(each, tuple if kind is tuple else list) for each in value]
            return items if kind is bare else {KIND: name, ITEMS: items}
    if _kinds.get(type(value).__name__) is type(value):
        shown = {name: _dump(held, tuple) for name, held in _held(value)}
        return {KIND: type(value).__name__, **shown}
    listing = getattr(value, "tolist", None)
    if listing is not None and not isinstance(value, type | bytes | memoryview):  # an array of numbers
        return _dump(listing(), bare)
    return _refuse(value)


def _refuse(value: Any) -> Any:
    what = type(value).__name__
    msg = f"a {what} cannot be kept in a trace or a recording"
    if isinstance(value, bytes | bytearray | memoryview):
        msg = f"{what} cannot be kept in a trace or a recording; make a text of them, such as base64"
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        msg = f"{msg} as it is; make it readable: fastcascade.records.known({what})"
    raise ConfigError(msg)


def _key(name: Any) -> str:
    """A name in an object. The one that tells kinds apart is escaped where it is somebody's own."""
    if not isinstance(name, str):
        if isinstance(name, bool) or not isinstance(name, int):
            msg = f"a mapping with a {type(name).__name__} for a key cannot be kept in a trace or a recording"
            raise ConfigError(msg)
        return str(name)  # as JSON has it
    return ESCAPE + name if name.endswith(KIND) and name.lstrip(ESCAPE) == KIND else name


def _load(data: Any, bare: Any) -> Any:
    if isinstance(data, list):
        items = [_load(each, bare) for each in data]
        return items if bare is list else tuple(items)
    if not isinstance(data, dict):
        return data
    if KIND not in data:
        return {_unescaped(key): _load(each, list) for key, each in data.items()}
    name = data[KIND]
    try:
        if name == "float":
            return float(data[ITEMS])
        if name in SEQUENCES:
            return SEQUENCES[name](_load(each, tuple if name == "tuple" else list) for each in data[ITEMS])
        if name not in _kinds:
            msg = f"a recording holds a {name!r}, which this version does not know"
            raise ConfigError(msg)
        return _kinds[name](**{key: _load(each, tuple) for key, each in data.items() if key != KIND})
    except (TypeError, KeyError) as error:
        msg = f"a recording holds a {name} that cannot be read: {error}"
        raise ConfigError(msg) from None


def _unescaped(key: str) -> str:
    return key[1:] if key.startswith(ESCAPE) and key.lstrip(ESCAPE) == KIND else key


def _held(value: Any) -> Iterable[tuple[str, Any]]:
    """The fields that differ from their defaults."""
    kind: Any = type(value)
    for name, default in _fields(kind):
        held = getattr(value, name)
        # Only like is compared with like: an array does not say of itself whether it is equal.
        if held is not default and not (type(held) is type(default) and held == default):
            yield name, held


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
