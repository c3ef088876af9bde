"""What OpenAI's two formats say alike: errors, and which models there are. Nothing here reads a request.

    status  type                   code                 what the SDK raises
    400     invalid_request_error                       BadRequestError
    401     invalid_request_error  invalid_api_key      AuthenticationError
    402     insufficient_quota     insufficient_quota   APIStatusError
    403     invalid_request_error  permission_denied    PermissionDeniedError
    404     invalid_request_error  model_not_found      NotFoundError
    409     invalid_request_error  conflict             ConflictError, after it has tried again
    413     invalid_request_error  request_too_large    APIStatusError
    422     invalid_request_error                       UnprocessableEntityError
    429     requests               rate_limit_exceeded  RateLimitError, after it has tried again
    5xx     server_error           server_error         InternalServerError, after it has tried again

The SDK goes by the status; the type, code and param are attributes of what it raises. A `kind` takes the place of the
code: "insufficient_quota" is a type of its own too, and so is every kind that ends in "_error".
"""

from collections.abc import Iterable
from typing import Final

from fastcascade.wire.format import Json

__all__ = ["error", "model", "models"]

INVALID: Final = "invalid_request_error"
CALLED: Final[dict[int, tuple[str, str | None]]] = {
    401: (INVALID, "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: (INVALID, "permission_denied"),
    404: (INVALID, "model_not_found"),
    405: (INVALID, "method_not_allowed"),
    408: (INVALID, "request_timeout"),
    409: (INVALID, "conflict"),
    413: (INVALID, "request_too_large"),
    415: (INVALID, "unsupported_media_type"),
    429: ("requests", "rate_limit_exceeded"),
}
"""Statuses that have a name; the others are invalid_request_error below 500 and server_error from there on."""
SERVER: Final = ("server_error", "server_error")


def error(status: int, message: str, *, kind: str = "", where: str = "") -> Json:
    """The body of an error."""
    name, code = CALLED.get(status) or (SERVER if status >= 500 else (INVALID, None))
    if kind:
        code = kind
        if kind.endswith("_error") or kind == "insufficient_quota":
            name = kind
    return {"error": {"message": message, "type": name, "param": where or None, "code": code}}


def model(name: str, created: int = 0) -> Json:
    """One model. `created` is in seconds since 1970; 0 says that nobody knows."""
    return {"id": name, "object": "model", "created": created, "owned_by": "fastcascade"}


def models(names: Iterable[str], created: int = 0) -> Json:
    """All models."""
    return {"object": "list", "data": [model(name, created) for name in names]}
