"""Artefacts: small JSON files of what was fitted to outcomes, with where it comes from, that gates load."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date as calendar_date
from pathlib import Path
from typing import Any, TypeAlias, cast

from fastcascade.errors import ConfigError

__all__ = ["Artefact", "Origin", "of_kind", "origin_of", "read", "wanted", "write"]

Artefact: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]
"""Where an artefact is: a path, or its JSON object already read."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What an artefact was learned from: how many cases, when (ISO date), and the fingerprint of the data."""

    n: int | None = None
    date: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be an origin."""
        if self.n is not None and (type(self.n) is not int or self.n < 1):
            msg = f"n, the number of cases, must be a whole number from 1 on, not {self.n!r}"
            raise ConfigError(msg)
        for name, value in (("date", self.date), ("fingerprint", self.fingerprint)):
            if not isinstance(cast("object", value), str):
                msg = f"{name} must be a text, not {value!r}"
                raise ConfigError(msg)
        try:
            _ = self.date and calendar_date.fromisoformat(self.date[:10])
        except ValueError:
            msg = f"date must begin like 2026-01-31, not {self.date!r}"
            raise ConfigError(msg) from None

    def described(self) -> dict[str, Any]:
        """As an artefact has it: what is not known is left out."""
        known = {"n": self.n, "date": self.date, "fingerprint": self.fingerprint}
        return {name: value for name, value in known.items() if value}


def read(source: Artefact) -> tuple[Mapping[str, Any], str]:
    """An artefact's object, and what to call it in an error."""
    if isinstance(source, Mapping):
        return source, "artefact"
    try:
        data = json.loads(Path(source).read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"artefact {os.fspath(source)!r} cannot be read: {error.strerror or error}"
        raise ConfigError(msg) from None
    except (ValueError, RecursionError) as error:
        msg = f"artefact {os.fspath(source)!r} is not JSON: {error}"
        raise ConfigError(msg) from None
    if not isinstance(data, dict):
        msg = f"artefact {os.fspath(source)!r} must be a JSON object, not {type(data).__name__}"
        raise ConfigError(msg)
    return data, f"artefact {os.fspath(source)!r}"


def write(data: dict[str, Any], path: str | os.PathLike[str] | None) -> dict[str, Any]:
    """Write an artefact's object to a file, if there is a path."""
    if path is not None:
        Path(path).write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return data


def origin_of(data: Mapping[str, Any], fields: frozenset[str]) -> Origin:
    """The origin in an artefact; a field that is none of `fields`, of the origin's or `kind` is refused."""
    if unknown := set(data) - fields - {"kind", "n", "date", "fingerprint"}:
        msg = f"unknown field {min(map(str, unknown))!r}"
        raise ConfigError(msg)
    return Origin(data.get("n"), data.get("date", ""), data.get("fingerprint", ""))


def of_kind(data: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """An artefact's object, which must be of this kind."""
    if data.get("kind") != kind:
        msg = f"kind must be {kind!r}, not {data.get('kind')!r}"
        raise ConfigError(msg)
    return data


def wanted(data: Mapping[str, Any], name: str) -> Any:
    """A field that must be there."""
    if name not in data:
        msg = f"{name} is missing"
        raise ConfigError(msg)
    return data[name]
