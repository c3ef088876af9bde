"""Every exception fastcascade raises on purpose.

    FastcascadeError
    +-- ConfigError(ValueError)      the operator's: found when something is built, never per request
    |   +-- RouteError               a route that cannot be compiled
    |   |   +-- RouteConflict        two routes that would answer the same request
    |   |   +-- PatternError         a regular expression that cannot be had in linear time
    |   +-- CredentialError          a secret that cannot be put on the key ring
    +-- RequestError(ValueError)     the caller's
    |   +-- PathError                a path that is refused as it stands
    |   +-- WireError                a body that is not in the format it claims to be in
    +-- BackendError                 a backend that has no reply to give; the cascade acts on its `failure`
    +-- StoreError                   a store that cannot be reached, is full, or holds what cannot be read
    +-- InReview                     a wrapped function's answer that a person is to give; it has the ticket
    +-- AnswerError                  an answer that cannot be had whole; it holds the answer with its trace
        +-- NoAnswer                 no tier answered, and there is no last resort
        +-- IncompleteAnswer         a stream that broke after the client had seen its beginning

A refusal of a request (401, 403, 404, 405, 429) is not an exception: it is the value `Refused`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from fastcascade.answers import Answer

__all__ = [
    "AnswerError",
    "BackendError",
    "ConfigError",
    "CredentialError",
    "Failure",
    "FailureKind",
    "FastcascadeError",
    "InReview",
    "IncompleteAnswer",
    "NoAnswer",
    "PathError",
    "PatternError",
    "RequestError",
    "RouteConflict",
    "RouteError",
    "StoreError",
    "WireError",
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


class WireError(RequestError):
    """A body that cannot be read as the format it claims to be in; `where` is the path of the field at fault."""

    def __init__(self, message: str, where: str = "", status: int = 400) -> None:
        """Say what is wrong with it, and where."""
        super().__init__(message)
        self.where = where
        self.code = status


FailureKind: TypeAlias = Literal[
    "timeout",  # no answer within its time
    "cancelled",  # not wanted any more
    "rate_limited",  # 429
    "overloaded",  # 503, 529
    "server",  # any other 5xx, an error inside a 200
    "connection",  # refused, reset, no name, no TLS
    "cut",  # a stream that ended without its end
    "malformed",  # an answer that cannot be read
    "conflict",  # 409, 425: not now
    "auth",  # 401, 403
    "billing",  # 402, or a 429 that says the account is out of money
    "not_found",  # 404, 410: no such model, or no longer
    "bad_request",  # any other 4xx
    "unsupported",  # the request holds what this backend cannot carry
    "quota",  # the tier's own allowance
    "unavailable",  # nobody may be asked now: a breaker is open, or a provider has said to wait
    "full",  # our own limit on calls at once is reached, and so is the queue's
    "budget",  # the request's budget
    "missing",  # a recording without this call
    "bug",  # an exception nobody meant to raise
]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call has no reply. `retry_after` in seconds, where the provider said so."""

    kind: FailureKind
    message: str
    status: int | None = None
    retry_after: float | None = None
    request_id: str = ""


class BackendError(FastcascadeError):
    """Raised by a backend that has no reply to give; the driver makes it a `Failure`, which the cascade acts on."""

    status: ClassVar[int] = 502
    fault: ClassVar[Literal["operator", "caller", "backend"]] = "backend"

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        """Say what happened; no secrets in the message."""
        super().__init__(message)
        self.failure = Failure(kind, message, status, retry_after, request_id)

    @classmethod
    def of(cls, failure: Failure) -> "BackendError":
        """The error that says this."""
        error = cls(failure.kind, failure.message)
        error.failure = failure
        return error

    def __reduce__(self) -> tuple[Callable[[Failure], "BackendError"], tuple[Failure]]:
        """Pickle it by its failure."""
        return BackendError.of, (self.failure,)


class StoreError(FastcascadeError):
    """A store that outlives the process cannot be used: off, full, or damaged. The cascade goes on without it."""

    status: ClassVar[int] = 503
    fault: ClassVar[Literal["operator", "caller", "backend"]] = "backend"


class InReview(FastcascadeError):
    """A person is to answer; `ticket` is what their answer is known by."""

    status: ClassVar[int] = 202
    fault: ClassVar[Literal["operator", "caller", "backend"]] = "backend"

    def __init__(self, ticket: str) -> None:
        """Keep the ticket."""
        super().__init__(f"a person is to answer this: ticket {ticket}")
        self.ticket = ticket

    def __reduce__(self) -> tuple[type["InReview"], tuple[str]]:
        """Pickle it by its ticket."""
        return type(self), (self.ticket,)


class AnswerError(FastcascadeError):
    """The answer that was asked for cannot be had whole; `answer` says what there is, and every attempt."""

    status: ClassVar[int] = 503
    fault: ClassVar[Literal["operator", "caller", "backend"]] = "backend"

    def __init__(self, message: str, answer: "Answer") -> None:
        """Keep the answer beside the message."""
        super().__init__(message)
        self.answer = answer

    def __reduce__(self) -> tuple[type["AnswerError"], tuple[str, "Answer"]]:
        """Pickle it with its answer."""
        return type(self), (str(self), self.answer)


class NoAnswer(AnswerError):
    """No tier answered, and the cascade was told to have no last resort."""


class IncompleteAnswer(AnswerError):
    """The stream broke after the client had seen its beginning: what was seen stands, and is not the whole."""
