"""JSON in and out by msgspec, with the standard library's word where the two differ."""

import json
from typing import Any

from fastcascade.errors import BackendError, ConfigError

try:
    import msgspec.json as _fast
except ImportError:
    raise ConfigError("Direct needs msgspec: pip install 'fastcascade[gateway]'") from None

__all__ = ["decoded", "encoded"]


def decoded(data: bytes) -> Any:
    """What the bytes say. Raises `ValueError` or `RecursionError`.

    Half a surrogate pair and NaN are no JSON to msgspec. The SDKs take them, and so servers send them.
    """
    try:
        return _fast.decode(data)
    except ValueError:
        return json.loads(data)


def encoded(body: Any) -> bytes:
    """As JSON. Raises `BackendError` of kind unsupported for what has no form in it."""
    try:
        data = _fast.encode(body)
        if b"null" in data:  # which is what it makes of a number that is none
            json.dumps(body, allow_nan=False, default=str)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        why = str(error)
    else:
        return data
    raise BackendError("unsupported", f"the request cannot be said in JSON: {why}")
