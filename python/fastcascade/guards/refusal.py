"""What a request is refused with: the status, the headers that belong to it, and a body as RFC 9457 has it.

A body says what is wrong and nothing of why: which key, which scope and which rule is the operator's to know.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, isfinite
from typing import Final, TypeAlias

from fastcascade._core import Refused
from fastcascade.errors import ConfigError
from fastcascade.guards.guard import Call, Ending, Headers

__all__ = ["Refusals", "Render"]

Render: TypeAlias = Callable[[Call, Ending], Ending | bytes | str]
"""A user's body in the place of ours: given the refusal, comes to a body, or to another `Ending`."""

TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
}
NO_CREDENTIAL: Final = "this needs a credential"
BAD_CREDENTIAL: Final = "the credential is unknown or has expired"
TOO_OFTEN: Final = "too many requests; wait and try again"
TOO_COSTLY: Final = "the request costs more than is ever allowed at once"
BAD_PATH: Final = "the path holds dot segments or a NUL"


class Refusals:
    """Makes refusals.

    Args:
        realm: what the credentials are for, as WWW-Authenticate says it.
        schemes: the schemes that a client may come with.
        render: makes the body, and may replace the whole; without it, problem+json.
    """

    def __init__(self, realm: str = "api", schemes: Sequence[str] = ("Bearer",), render: Render | None = None) -> None:
        """See above."""
        if not realm.isascii() or not realm.isprintable() or '"' in realm or "\\" in realm:
            raise ConfigError(f"{realm!r} cannot be a realm: use plain letters, without quotes")
        self._realm = realm
        self._schemes = tuple(schemes)
        self._render = render
        self._missing = self._unauthorized(NO_CREDENTIAL, "")
        self._wrong = self._unauthorized(BAD_CREDENTIAL, "invalid_token")

    def unauthorized(self, call: Call, *, came: bool) -> Ending:
        """401: a credential is missing, or it `came` and is not taken."""
        return self._said(call, self._wrong if came else self._missing)

    def limited(self, call: Call, wait: float, fields: Headers) -> Ending:
        """429, and when to come again; a cost that is never allowed has no time to name."""
        after = [("retry-after", str(max(1, ceil(wait))))] if isfinite(wait) else []
        return self._said(call, problem(429, TOO_OFTEN if after else TOO_COSTLY, [*after, *fields]))

    def bad_path(self, call: Call) -> Ending:
        """400: a path that servers and apps do not read alike."""
        return self._said(call, problem(400, BAD_PATH))

    def of(self, call: Call, refused: Refused, *, came: bool) -> Ending:
        """What the compiled core has refused, but for 429."""
        status = refused.status
        if status == 401:
            return self.unauthorized(call, came=came)
        if status == 403:
            return self._said(call, problem(403, refused.reason, self._challenge("insufficient_scope", refused.reason)))
        if status == 405:
            return self._said(call, problem(405, refused.reason, [("allow", ", ".join(refused.allow))]))
        return self._said(call, problem(status, refused.reason))

    def _unauthorized(self, reason: str, error: str) -> Ending:
        return problem(401, reason, self._challenge(error, reason if error else ""))

    def _challenge(self, error: str, why: str) -> Headers:
        """RFC 6750: a request without a credential is told of no error."""
        said = []
        for scheme in self._schemes:
            words = f'{scheme} realm="{self._realm}"'
            if scheme == "Basic":
                words += ', charset="UTF-8"'
            elif error:
                words += f', error="{error}", error_description="{why}"'
            said.append(("www-authenticate", words))
        return said

    def _said(self, call: Call, ending: Ending) -> Ending:
        if self._render is None:
            return ending
        said = self._render(call, ending)
        if isinstance(said, Ending):
            return said
        body = said.encode() if isinstance(said, str) else said
        kept = [(name, value) for name, value in ending.headers if name != "content-type"]
        kind = "text/plain; charset=utf-8" if isinstance(said, str) else "application/json"
        return Ending(ending.status, [("content-type", kind), *kept], body)


def problem(status: int, detail: str, headers: Headers | None = None) -> Ending:
    """A refusal as application/problem+json. Nobody is to keep it: with another credential it would be another."""
    heads = [("content-type", "application/problem+json"), ("cache-control", "no-store"), *(headers or [])]
    return Ending(status, heads, _body(status, detail))


@lru_cache(64)
def _body(status: int, detail: str) -> bytes:
    return json.dumps({"title": TITLES[status], "status": status, "detail": detail}, ensure_ascii=False).encode()
