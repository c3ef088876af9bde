"""Signatures of callbacks after Standard Webhooks (standardwebhooks.com): made here, and checked by the receiver."""

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias, cast

from fastcascade.errors import ConfigError, RequestError

__all__ = ["Secret", "Secrets", "keys_of", "new_secret", "signed", "verify"]

Secret: TypeAlias = str | bytes
Secrets: TypeAlias = Secret | Collection[Secret]

MARK: Final = "whsec_"
LEAST_KEY: Final = 24  # bytes, as the standard asks
STAMP: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


def new_secret() -> str:
    """A secret to sign with, for us and for the receiver."""
    from secrets import token_bytes  # noqa: PLC0415 - needed once in a lifetime

    return MARK + base64.b64encode(token_bytes(32)).decode()


def keys_of(given: Secrets) -> tuple[bytes, ...]:
    """The keys that secrets stand for."""
    return tuple(_key(each) for each in ((given,) if isinstance(given, str | bytes) else given))


def signed(message_id: str, body: bytes, keys: Collection[bytes], now: float) -> dict[str, str]:
    """The three headers of a message with this body, one signature for each key."""
    stamp = str(int(now))
    marks = " ".join(_signature(key, message_id, stamp, body) for key in keys)
    return {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": marks}


def verify(
    body: bytes | str, headers: Mapping[str, str], secret: Secrets, now: float | None = None, tolerance: float = 300.0
) -> dict[str, Any]:
    """What a callback says, if it is ours and not an old one repeated; else raises `RequestError`.

    For whoever receives callbacks. The body must be as it came: read as JSON and written again it is another. Of
    several secrets any will do. `now` in seconds since 1970.
    """
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    named = {name.lower(): value.strip() for name, value in headers.items()}
    try:
        message_id, stamp, marks = (named[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        msg = f"a callback must have the header {error.args[0]}"
        raise RequestError(msg) from None
    if not STAMP.fullmatch(stamp):
        raise RequestError("the webhook-timestamp of a callback must be whole seconds since 1970")
    given = [mark.encode("utf-8", "surrogatepass") for mark in marks.split()]
    wanted = [_signature(key, message_id, stamp, raw).encode() for key in keys_of(secret)]
    if not any(hmac.compare_digest(mark, each) for mark in given for each in wanted):
        raise RequestError("no signature of this callback is right")
    if abs(int(stamp) - (time.time() if now is None else now)) > tolerance:
        raise RequestError("this callback was sent too long ago, or a clock is wrong")
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise RequestError("the body of a callback must be an object in JSON")
    return cast("dict[str, Any]", said)


def _key(secret: Secret) -> bytes:
    if isinstance(secret, str):
        try:
            secret = base64.b64decode(secret.removeprefix(MARK), validate=True) if secret.startswith(MARK) else b""
        except (binascii.Error, ValueError):
            secret = b""
        if not secret:
            msg = f"a secret given as a text must be {MARK!r} and base64; make one with callbacks.new_secret()"
            raise ConfigError(msg)
    if len(secret) < LEAST_KEY:
        msg = f"a secret must have at least {LEAST_KEY} bytes, not {len(secret)}"
        raise ConfigError(msg)
    return secret


def _signature(key: bytes, message_id: str, stamp: str, body: bytes) -> str:
    content = f"{message_id}.{stamp}.".encode("utf-8", "surrogatepass") + body
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
