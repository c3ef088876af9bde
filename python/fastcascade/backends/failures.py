"""What an HTTP API's refusal means, when it may be asked again, and what of its words may be repeated."""

import re
import time
from collections.abc import Iterable, Mapping
from typing import Final

from fastcascade.errors import FailureKind

__all__ = ["REFUSALS", "failure_kind", "retry_after", "scrub"]

LONGEST_WAIT: Final = 86_400.0
"""Seconds. No provider means a longer one, and an absurd figure must not become one."""
LONGEST_MESSAGE: Final = 1_000
"""Characters. An error page is not a message."""

BY_STATUS: Final[dict[int, FailureKind]] = {
    401: "auth",
    402: "billing",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    410: "not_found",
    425: "conflict",
    429: "rate_limited",
    499: "cut",  # somebody on the way says that we had left
    501: "unsupported",
    503: "overloaded",
    529: "overloaded",
}
BY_WORD: Final[dict[str, FailureKind]] = {
    # No wait lifts these, though most come with a 429.
    "billing_error": "billing",
    "billing_hard_limit_reached": "billing",
    "billing_not_active": "billing",
    "contract_spend_limit_reached": "billing",
    "credit_balance_exhausted": "billing",
    "enforced_spend_limit_reached": "billing",
    "insufficient_quota": "billing",
    "organization_spend_limit_exceeded": "billing",
    "organization_usage_limit_exceeded": "billing",
    "project_spend_limit_exceeded": "billing",
    "user_profile_billing_not_authorized": "billing",
    "user_profile_not_billable": "billing",
    # These are said of the key, and not of the request, whatever the status.
    "claude_code_key_creator_not_member": "auth",
    "cmek_key_disabled": "auth",
    "cmek_key_network_blocked": "auth",
    "invalid_api_key": "auth",
    "organization_on_hold": "auth",
    # A model that is gone may be a 400, 403 or 404, and not every 404 is of a model.
    "model_decommissioned": "not_found",
    "model_not_found": "not_found",
    "file_expired": "bad_request",
    "thread_not_found": "bad_request",
    # And a 400 may be what it is not.
    "request_body_timeout": "timeout",
    "thread_continue_in_flight": "conflict",
}
"""What the type or the code of an error means where it says more than the status."""
REFUSALS: Final = frozenset(
    {
        "ResponsibleAIPolicyViolation",
        "bio_policy",
        "content_filter",
        "content_policy_violation",
        "cyber_policy",
        "data_inspection_failed",
        "image_content_policy_violation",
        "invalid_prompt",
        "misalignment_policy_violation",
    }
)
"""Types and codes of errors that are a model's refusal of what was asked: nothing is wrong with the request's form."""
BY_TYPE: Final[dict[str, FailureKind]] = {
    "authentication_error": "auth",
    "conflict_error": "conflict",
    "invalid_request_error": "bad_request",
    "not_found_error": "not_found",
    "overloaded_error": "overloaded",
    "permission_error": "auth",
    "rate_limit_error": "rate_limited",
    "rate_limit_exceeded": "rate_limited",
    "request_too_large": "bad_request",
    "timeout_error": "timeout",
}
"""What the type of an error means where no status does."""

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


def failure_kind(status: int, *words: object) -> FailureKind:
    """What a refusal means: by the error's type and codes, the most exact last, where they say more than the status.

    An error inside a 200 has nothing but these, and one that calls itself nothing known is the server's. Servers
    write what they like, so that what is no text is passed over.
    """
    said = [word for word in reversed(words) if isinstance(word, str)]
    for word in said:
        if word in REFUSALS:
            return "bad_request"
        if word in BY_WORD:
            return BY_WORD[word]
    if 400 <= status < 500:
        return BY_STATUS.get(status, "bad_request")
    kinds: list[FailureKind] = [BY_TYPE[word] for word in said if word in BY_TYPE]
    by_type: FailureKind = kinds[0] if kinds else "server"
    if status < 500 or by_type == "overloaded":
        return by_type
    return BY_STATUS.get(status, "server")


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
