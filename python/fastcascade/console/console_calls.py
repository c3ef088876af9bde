"""Calls of the console's API: which there are, who may ask for them, and what is said in JSON."""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Final
from urllib.parse import parse_qsl

from fastcascade.console.asked import Asked, Call, Person, Refusal, Said, Sight
from fastcascade.errors import BackendError, ConfigError, FastcascadeError, WireError
from fastcascade.wire.endpoint import Response

__all__ = ["MODULES", "Calls", "json_of", "query_of", "refused", "written"]

MODULES: Final = ("api_try", "api_live", "api_traces", "api_calibration", "api_reviews")
FIELDS: Final = 100
JSON: Final = ("content-type", "application/json")

log: Final = logging.getLogger("fastcascade")


class Calls:
    """All there are, by path and then by method."""

    def __init__(self, tables: Iterable[Mapping[tuple[str, str], Call]] | None = None) -> None:
        """Gather them, from those modules where nothing else is said."""
        self._exact: dict[str, dict[str, Call]] = {}
        self._below: dict[str, dict[str, Call]] = {}
        for table in _tables() if tables is None else tables:
            for (method, path), call in table.items():
                where, at = (self._below, path[:-1]) if path.endswith("/*") else (self._exact, path)
                if method in where.setdefault(at, {}):
                    raise ConfigError(f"the console has two calls for {method} {path}")
                where[at][method] = call

    def find(self, path: str) -> tuple[Mapping[str, Call], str]:
        """The calls at this path by method, and what stands at the place of "*". Raises `Refusal`."""
        found = self._exact.get(path)
        if found is not None:
            return found, ""
        # The longest place that has it; a name that is asked for may itself hold slashes.
        for at in sorted(self._below, key=len, reverse=True):
            if path.startswith(at) and len(path) > len(at):
                return self._below[at], path[len(at) :]
        raise Refusal(404, "there is no such call")

    async def answer(self, method: str, path: str, query: str, body: bytes, person: Person, sight: Sight) -> Response:
        """What is said to a call of this person, whose token was looked at already."""
        at, rest = self.find(path)
        method = "GET" if method == "HEAD" else method
        call = at.get(method)
        if call is None:
            allowed = ", ".join(sorted({*at, *(("HEAD",) if "GET" in at else ())}))
            raise Refusal(405, f"this is asked with {allowed}", allow=allowed)
        if call.role == "operator" and person.role != "operator":
            raise Refusal(403, "this is for operators, and you are a reviewer")
        asked = Asked(method, path, query_of(query), json_of(body), person, sight, rest)
        try:
            said = await call.run(asked)
        except FastcascadeError as error:
            raise _told(error) from None
        return _answered(said)


def refused(refusal: Refusal) -> Response:
    """A refusal as JSON."""
    response = Response(refusal.status, [JSON], _dumped({"error": refusal.message}))
    if refusal.retry is not None:
        response.headers.append(("retry-after", str(max(1, math.ceil(refusal.retry)))))
    if refusal.allow:
        response.headers.append(("allow", refusal.allow))
    return response


def query_of(query: str) -> dict[str, str]:
    """The query, read. Raises `Refusal`."""
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=FIELDS, errors="strict"))
    except ValueError:
        raise Refusal(400, "the query cannot be read") from None


def json_of(body: bytes) -> Any:
    """The body, read; None where there is none. Raises `Refusal`."""
    if not body:
        return None
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise Refusal(400, "the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Refusal(400, f"the body is no JSON: {error.msg.lower()} at byte {error.pos}") from None
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is no JSON that can be read") from None


def _no_number(_said: str) -> float:
    raise ValueError


def _tables() -> list[Mapping[tuple[str, str], Call]]:
    return [import_module(f"{__package__}.{name}").CALLS for name in MODULES]


def _told(error: FastcascadeError) -> Refusal:
    """In its own words, which hold no secret; only the status is another."""
    if isinstance(error, WireError):
        return Refusal(error.code if 400 <= error.code < 500 else 400, str(error))
    if isinstance(error, ConfigError) or error.fault == "caller":
        return Refusal(400, str(error))  # what was typed makes no sense, such as a threshold beyond 1
    return Refusal(502 if isinstance(error, BackendError) else 503, str(error))


def written(value: Any) -> Response:
    """A value as JSON."""
    return Response(200, [JSON], _dumped(value))


def _answered(said: Said) -> Response:
    if said.kind:
        return Response(said.status, [("content-type", said.kind)], said.raw)
    if said.status == 204:  # no content
        return Response(204, [], b"")
    return Response(said.status, [JSON], _dumped(said.value))


def _dumped(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False).encode()
    except ValueError:  # a figure that there is none of; no browser reads NaN
        return json.dumps(_finite(value), allow_nan=False).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
