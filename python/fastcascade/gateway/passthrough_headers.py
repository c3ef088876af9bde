"""Which headers go on to a provider, and which come back: never a credential, nor what concerns one connection."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final
from urllib.parse import unquote_plus

from fastcascade.gateway.keys import PREFIX

__all__ = ["back", "onward", "proofs", "query"]

HOP: Final = frozenset(
    {
        *("connection", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
        *("proxy-connection", "transfer-encoding", "upgrade", "content-length", "http2-settings"),
    }
)
"""Headers of one connection, and those that are made anew."""
SECRET: Final = ("auth", "cookie", "key", "secret", "token", "credential", "password", "session", "signature")
"""What the name of a header or of a parameter has in it that may prove who asks."""
FINE: Final = frozenset({"idempotency-key"})
CALLER: Final = ("x-cascade-", "x-forwarded-", "openai-org", "openai-project", "anthropic-organization")
"""Beginnings of headers that are between the caller and the gateway, or say on whose account it is to go."""
NOT_ON: Final = frozenset(
    {
        *("accept-encoding", "forwarded", "via", "x-real-ip", "cf-connecting-ip", "true-client-ip"),
        *("origin", "referer"),  # where the caller was, with whatever its address holds
    }
)
NOT_BACK: Final = frozenset({"alt-svc", "server", "set-cookie", "strict-transport-security", "via", "report-to", "nel"})
ACCOUNT: Final = ("organization", "project", "workspace", "account", "cookie", "authenticate", "authorization")
"""What the name of a header has in it that is about the gateway's own account."""


def onward(headers: Mapping[str, str], credentials: Collection[str]) -> dict[str, str]:
    """What of a caller's headers a provider is sent; `credentials` names those that must not be."""
    listed = _listed(headers.get("connection", ""))
    return {
        name: value
        for name, value in headers.items()
        if name not in HOP
        and name not in NOT_ON
        and name not in credentials
        and name not in listed
        and not name.startswith(CALLER)
        and (name in FINE or not _proves(name))
        and PREFIX not in value  # a key of ours, wherever it was put
    }


def back(headers: Iterable[tuple[str, str]], secrets: Collection[str]) -> list[tuple[str, str]]:
    """What of a provider's headers a caller is sent."""
    headers = list(headers)
    listed = {each for name, value in headers if name == "connection" for each in _listed(value)}
    return [
        (name, value)
        for name, value in headers
        if name not in HOP
        and name not in NOT_BACK
        and name not in listed
        and not name.startswith(("cf-", "x-cascade-", "proxy-"))
        and not any(word in name for word in ACCOUNT)
        and not any(secret in value for secret in secrets)
    ]


def query(asked: str) -> str:
    """A query without what may prove who asks; the rest as it was."""
    if not asked or not asked.isascii() or not asked.isprintable() or " " in asked:
        return ""
    return "&".join(each for each in asked.split("&") if not _tells(unquote_plus(each)))


def proofs(headers: Mapping[str, str]) -> list[str]:
    """What of these headers must not be repeated to anyone."""
    return [value.removeprefix("Bearer ") for name, value in headers.items() if _proves(name)]


def _listed(value: str) -> set[str]:
    return {each.strip().lower() for each in value.split(",")} if value else set()


def _tells(asked: str) -> bool:
    return PREFIX in asked or _proves(asked.partition("=")[0].lower())


def _proves(name: str) -> bool:
    return any(word in name for word in SECRET)
