"""What an HTTP API's refusal means, when it may be asked again, and what of its words may be repeated."""

import re
import time
from collections.abc import Iterable, Mapping
from typing import Final

from fastcascade.errors import FailureKind

__all__ = ["failure_kind", "retry_after", "scrub"]

LONGEST_WAIT: Final = 86_400.0
"""Seconds. No provider means a longer one, and an absurd figure must not become one."""
LONGEST_MESSAGE: Final = 1_000
"""Characters. An error page is not a message."""

BY_STATUS: Final[dict[int, FailureKind]] = {
    401: "auth",
    403: "auth",
    404: "not_found",
    408: "timeout",
    429: "rate_limited",
}
BY_TYPE: Final[dict[str, FailureKind]] = {
    "authentication_error": "auth",
    "billing_error": "bad_request",
    "invalid_api_key": "auth",
    "invalid_request_error": "bad_request",
    "model_not_found": "not_found",
    "not_found_error": "not_found",
    "overloaded_error": "overloaded",
    "permission_error": "auth",
    "rate_limit_error": "rate_limited",
    "rate_limit_exceeded": "rate_limited",
    "request_too_large": "bad_request",
    "timeout_error": "timeout",
}

KEYS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<=://)[^\s/@]+(?=@)",  # the name and password in a URL
        r"(?i)\b(?:bearer|basic)\s+[\w.~+/=*-]{8,}",
        r"""(?ix) (?<![a-z]) (?:api[-_\ ]?key|authorization|(?:access|auth|api|refresh)[-_\ ]?token|secret|password)
        (?:\ (?:provided|given|used))? ["']? \s? [:=] \s? ["']? (?! \s) [^\s"',;}]{4,}""",
        r"\b(?:sk|pk|rk|gsk|xai|hf|fw|pplx|nvapi|csk|r8|tgp|AIza|AKIA|ASIA|ghp|glpat)[-_A-Z0-9][\w*.-]{6,}",
        r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?",  # a JSON web token
        r"\b(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{32,}\b",
    )
)
SECONDS: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]*)?|\.[0-9]{1,15}", re.ASCII)


def failure_kind(status: int, error_type: str = "") -> FailureKind:
    """What a status means; where the status says nothing is wrong, what the type of the error means.

    An error inside a 200 comes with a type alone, and one of a type unknown is the server's.
    """
    if 400 <= status < 500:
        return BY_STATUS.get(status, "bad_request")
    by_type = BY_TYPE.get(error_type, "server")
    if status >= 500:
        return "overloaded" if status in (503, 529) or by_type == "overloaded" else "server"
    return by_type


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """How many seconds a provider asks to wait; None where it does not say, or not so that it can be read.

    Reads `retry-after-ms`, then `retry-after` as seconds or as a date; `now` in seconds since 1970 is what a date
    is compared with. A date in the past is 0.
    """
    exact = _seconds(_header(headers, "retry-after-ms"))
    if exact is not None:
        return min(exact / 1000, LONGEST_WAIT)
    text = _header(headers, "retry-after")
    seconds = _seconds(text)
    if seconds is None and text:
        until = _date(text)
        seconds = None if until is None else until - (time.time() if now is None else now)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Take out of a message whatever is one of these secrets, or looks like a key, and what is too long of it."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[removed]")
    text = text[: 4 * LONGEST_MESSAGE]
    for pattern in KEYS:
        text = pattern.sub("[removed]", text)
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}..."


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if value is None:
        value = next((each for key, each in headers.items() if key.lower() == name), "")
    return value.strip()


def _seconds(text: str) -> float | None:
    # `float` would read "nan", "inf", "1_0" and the digits of every script.
    return float(text) if SECONDS.fullmatch(text) else None


def _date(text: str) -> float | None:
    from datetime import UTC  # noqa: PLC0415 # dates are rare, and these imports are not free
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        when = parsedate_to_datetime(text)
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
