"""Every exception fastcascade raises on purpose.

    FastcascadeError
    +-- ConfigError(ValueError)      the operator's: found when something is built, never per request
    |   +-- RouteError               a route that cannot be compiled
    |   |   +-- RouteConflict        two routes that would answer the same request
    |   |   +-- PatternError         a regular expression that cannot be had in linear time
    |   +-- CredentialError          a secret that cannot be put on the key ring
    +-- RequestError(ValueError)     the caller's
        +-- PathError                a path that is refused as it stands

A refusal of a request (401, 403, 404, 405, 429) is not an exception: it is the value `Refused`.
"""

from typing import ClassVar, Literal

__all__ = [
    "ConfigError",
    "CredentialError",
    "FastcascadeError",
    "PathError",
    "PatternError",
    "RequestError",
    "RouteConflict",
    "RouteError",
]


class FastcascadeError(Exception):
    """The root: catch it to catch whatever fastcascade raises on purpose."""

    status: ClassVar[int] = 500
    fault: ClassVar[Literal["operator", "caller", "backend"]] = "operator"


class ConfigError(FastcascadeError, ValueError):
    """Something was built from settings that cannot work."""


class RouteError(ConfigError):
    """A route that cannot be compiled; the message names it."""


class RouteConflict(RouteError):
    """Two routes that would answer the same request; the message names both."""


class PatternError(RouteError):
    """A regular expression that is malformed, or that no linear-time matcher can run."""

    def __init__(self, message: str, index: int = 0, pattern: str = "", position: int | None = None) -> None:
        """Keep where it went wrong beside the message."""
        super().__init__(message)
        self.index = index
        self.pattern = pattern
        self.position = position


class CredentialError(ConfigError):
    """A secret that cannot be put on the key ring; the secret is never part of the message."""


class RequestError(FastcascadeError, ValueError):
    """The request cannot be served as it stands."""

    status: ClassVar[int] = 400
    fault: ClassVar[Literal["operator", "caller", "backend"]] = "caller"


class PathError(RequestError):
    """A path that is refused: bad escapes, an encoded slash, a NUL, a way out of the root."""

    def __init__(self, message: str, position: int = 0) -> None:
        """Keep the offset in the raw path beside the message."""
        super().__init__(message)
        self.position = position
