"""JSON schemas, compiled once and kept by content; the compiling is jsonschema_rs's."""

import json
from collections.abc import Mapping
from typing import Any, Final

from fastcascade._core import Cache, Key
from fastcascade.errors import ConfigError

__all__ = ["Compiled", "Schemas", "Unusable", "as_json"]

KEPT: Final = 256
SHOWN: Final = 200
BACKTRACKS: Final = 100_000
"""How often a `pattern` in a schema may go back before it counts as not matched: it may come from a request."""


class Unusable(Exception):
    """A schema that cannot be compiled; the message says why."""


class NotJson:
    """A text that is not JSON, and why."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        """Keep the reason."""
        self.why = why


class Compiled:
    """One schema, ready to be used."""

    __slots__ = ("_validator",)

    def __init__(self, validator: Any) -> None:
        """Take the library's own validator."""
        self._validator = validator

    def wrong(self, value: Any, where: str) -> str | None:
        """What does not fit, and where; None where all does. `value` is what `as_json` gave."""
        if isinstance(value, NotJson):
            return value.why
        try:
            if self._validator.is_valid(value):
                return None
            error = next(self._validator.iter_errors(value), None)
        except (ValueError, RecursionError, OverflowError) as problem:
            return f"{where} cannot be held against the schema: {_short(str(problem))}"
        if error is None:
            return f"{where} does not fit the schema"
        at = "".join(f"/{part}" for part in error.instance_path)
        return f"{where} does not fit the schema{' at ' + _short(at) if at else ''}: {_short(error.message)}"


class Schemas:
    """Compiles schemas, and keeps the last ones."""

    def __init__(self) -> None:
        """Import the library, which only this needs."""
        try:
            import jsonschema_rs  # noqa: PLC0415 - an extra: imported where it is needed
        except ImportError:
            raise ConfigError(
                "checking JSON against a schema needs jsonschema-rs: pip install 'fastcascade[schema]'; "
                "without it use Structure(schema=False, tools=False)"
            ) from None
        self._library = jsonschema_rs
        self._kept: Cache[Compiled | str] = Cache(max_items=KEPT)

    def compiled(self, schema: Mapping[str, Any]) -> Compiled:
        """Compile an operator's schema: one that is wrong is a `ConfigError`."""
        made = self._compile(schema)
        if isinstance(made, str):
            raise ConfigError(made)
        return made

    def wrong(self, schema: Mapping[str, Any], text: str, where: str) -> str | None:
        """What is wrong with this JSON text; raises `Unusable` for a schema that is wrong itself."""
        try:
            key = Key(schema)
        except (TypeError, ValueError, RecursionError):  # not plain dicts and lists, or too deep: not kept
            made = self._compile(schema)
        else:
            kept = self._kept.get(key)
            if kept is None:
                kept = self._compile(schema)
                self._kept.put(key, kept)
            made = kept
        if isinstance(made, str):
            raise Unusable(f"{where}: {made}")
        return made.wrong(as_json(text, where), where)

    def _compile(self, schema: Any) -> Compiled | str:
        """A schema ready to be used, or why it cannot be. Nothing is fetched: that would let a request ask for it."""
        options = self._library.FancyRegexOptions(backtrack_limit=BACKTRACKS)
        try:
            return Compiled(self._library.validator_for(_plain(schema), offline=True, pattern_options=options))
        except RecursionError:
            return "the schema cannot be used: it is nested too deep"
        except (ValueError, TypeError, OverflowError) as error:
            message = getattr(error, "message", None) or str(error)
            return f"the schema cannot be used: {_short(str(message))}"


def as_json(text: str, where: str) -> Any:
    """A text read as JSON, or a `NotJson`."""
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        return NotJson(f"{where} is not JSON: {error.msg} at character {error.pos}")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; nested too deep
        return NotJson(f"{where} cannot be read as JSON: {_short(str(error))}")


def _no_constant(word: str) -> Any:
    msg = f"{word} is not JSON"
    raise ValueError(msg)


DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


def _plain(value: Any) -> Any:
    """The same with plain dicts for whatever mappings there are."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
