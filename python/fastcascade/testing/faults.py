"""What can go wrong with a call, as values: the same for a backend in this process and for a server on the wire.

Error("rate_limited", retry_after=5.0)      CutStream(after=3)      WrongContent("I cannot help", "refusal")
fault_of("error:rate_limited,retry_after=5")                        # the same from a command line or a file
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import Any, Final, Literal, TypeAlias, get_args

from fastcascade.errors import ConfigError, FailureKind
from fastcascade.messages import Stop

__all__ = [
    "CutStream",
    "Error",
    "Garbage",
    "Latency",
    "Refused",
    "Reset",
    "SlowBytes",
    "StallStream",
    "Timeout",
    "Trouble",
    "WrongContent",
    "fault_of",
]

STATUS: Final[Mapping[FailureKind, int]] = {
    "timeout": 408,
    "rate_limited": 429,
    "overloaded": 503,
    "server": 500,
    "conflict": 409,
    "auth": 401,
    "billing": 402,
    "not_found": 404,
    "bad_request": 400,
}
"""How a server says what it is that went wrong; kinds that only we ourselves know have none."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The call takes so much longer, by chance up to `spread` seconds more or less. What else strikes comes then."""

    seconds: float
    spread: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a time that cannot pass."""
        _number("latency", "seconds", self.seconds)
        _number("latency", "spread", self.spread)


@dataclass(frozen=True, slots=True)
class Error:
    """The call is refused, at once. Without a `status` it has the usual one of its kind.

    `retry_after` in seconds, which a server says as `told`: in seconds, as a date, or as `retry-after-ms`. On the
    wire a kind that has no status is a 500.
    """

    kind: FailureKind
    status: int | None = None
    retry_after: float | None = None
    told: Literal["seconds", "date", "ms"] = "seconds"

    def __post_init__(self) -> None:
        """Refuse what no server could say."""
        if self.kind not in get_args(FailureKind):
            raise ConfigError(f"error: kind must be one of {', '.join(get_args(FailureKind))}, not {self.kind!r}")
        if self.status is not None and not 400 <= self.status <= 599:
            raise ConfigError(f"error: status must be from 400 to 599, not {self.status!r}")
        if self.retry_after is not None:
            _number("error", "retry_after", self.retry_after)
        if self.told not in ("seconds", "date", "ms"):
            raise ConfigError(f"error: told must be seconds, date or ms, not {self.told!r}")

    @property
    def code(self) -> int | None:
        """The status it has."""
        return self.status or STATUS.get(self.kind)


@dataclass(frozen=True, slots=True)
class Timeout:
    """No answer, ever: the caller's own patience ends it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No connection. At a rate of 1 a server does not listen meanwhile; at a lower one it hangs up on some calls."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset, `seconds` after so many pieces of the reply have come."""

    seconds: float = 0.0
    after: int = 0

    def __post_init__(self) -> None:
        """Refuse a time or place that cannot be."""
        _number("reset", "seconds", self.seconds)
        _count("reset", self.after)


@dataclass(frozen=True, slots=True)
class CutStream:
    """The reply ends after so many pieces, without its end."""

    after: int = 1

    def __post_init__(self) -> None:
        """Refuse a place that cannot be."""
        _count("cut", self.after)


@dataclass(frozen=True, slots=True)
class StallStream:
    """Nothing more comes after so many pieces of the reply, and the connection stays open."""

    after: int = 1

    def __post_init__(self) -> None:
        """Refuse a place that cannot be."""
        _count("stall", self.after)


@dataclass(frozen=True, slots=True)
class SlowBytes:
    """So many seconds pass before each piece of the reply. A whole reply has as many pieces as its text has words."""

    seconds: float

    def __post_init__(self) -> None:
        """Refuse a time that cannot pass."""
        _number("slow", "seconds", self.seconds)


@dataclass(frozen=True, slots=True)
class Garbage:
    """A reply that cannot be read. `content_type` is what a server calls it, as `text/html`; its own by default."""

    content_type: str = ""


@dataclass(frozen=True, slots=True)
class WrongContent:
    """A reply that is valid and not what was asked for: another text, an empty one, a refusal, one out of tokens."""

    text: str = ""
    stop: Stop = "end"

    def __post_init__(self) -> None:
        """Refuse what a text alone cannot end with."""
        if self.stop not in ("end", "length", "refusal"):
            raise ConfigError(f"wrong: stop must be end, length or refusal, not {self.stop!r}")


Trouble: TypeAlias = (
    Latency | Error | Timeout | Refused | Reset | CutStream | StallStream | SlowBytes | Garbage | WrongContent
)

NAMES: Final[Mapping[str, type[Any]]] = {
    "latency": Latency,
    "error": Error,
    "timeout": Timeout,
    "refused": Refused,
    "reset": Reset,
    "cut": CutStream,
    "stall": StallStream,
    "slow": SlowBytes,
    "garbage": Garbage,
    "wrong": WrongContent,
}


def fault_of(text: str) -> Trouble:
    """A fault by its name and settings: `timeout`, `latency:0.5,spread=0.1`, `error:rate_limited,retry_after=5`.

    The names are latency, error, timeout, refused, reset, cut, stall, slow, garbage and wrong. A setting of `wrong`
    cannot hold a comma.
    """
    name, _, rest = text.partition(":")
    made = NAMES.get(name.strip())
    if made is None:
        raise ConfigError(f"no fault is called {name!r}; there are {', '.join(NAMES)}")
    expected = {field.name: str(field.type) for field in fields(made)}
    given: dict[str, Any] = {}
    for place, part in enumerate(rest.split(",") if rest else ()):
        key, equals, value = part.partition("=")
        if not equals:
            key, value = (list(expected)[place] if place < len(expected) else f"number {place + 1}"), part
        key = key.strip()
        if key not in expected or key in given:
            raise ConfigError(f"fault {text!r}: {key!r} is no setting of {name}, or was given before")
        given[key] = _read(text, value.strip(), expected[key])
    try:
        trouble: Trouble = made(**given)
    except TypeError:
        raise ConfigError(f"fault {text!r}: {name} needs {next(iter(expected))}") from None
    return trouble


def _read(text: str, value: str, kind: str) -> Any:
    try:
        if "float" in kind:
            return float(value)
        return int(value) if "int" in kind else value
    except ValueError:
        raise ConfigError(f"fault {text!r}: {value!r} is not a number") from None


def _number(name: str, field: str, value: float) -> None:
    if not 0 <= value < inf:
        raise ConfigError(f"{name}: {field} must be a number of seconds from 0, not {value!r}")


def _count(name: str, after: int) -> None:
    if after < 0:
        raise ConfigError(f"{name}: after must be a number of pieces from 0, not {after!r}")
