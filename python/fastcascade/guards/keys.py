"""Where a credential may stand in a request. What is found is given to the key ring and to nobody else.

Sources, in the order in which they are looked at:

    "bearer"         Authorization: Bearer SECRET
    "basic"          Authorization: Basic; the password is the secret, or the user name where there is no password
    "x-api-key"      that header; any other name of a header likewise
    "cookie:NAME"    a cookie
    "query:NAME"     a part of the query: mind that queries end in the logs of others
"""

from binascii import Error, a2b_base64
from collections.abc import Callable, Iterable
from re import compile as regex
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from fastcascade.errors import ConfigError
from fastcascade.guards.guard import Call

__all__ = ["SOURCES", "Credentials"]

Reader: TypeAlias = Callable[[Call], str]
SOURCES: Final = ("bearer", "x-api-key")
NAME: Final = regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Credentials:
    """Finds the credential of a request; of several, that of the source named first."""

    def __init__(self, sources: Iterable[str] = SOURCES) -> None:
        """`sources`, see above."""
        self.sources = (sources,) if isinstance(sources, str) else tuple(sources)
        if not self.sources:
            raise ConfigError('credentials need a source: credentials=("bearer", "x-api-key")')
        self._readers = tuple(_reader(source) for source in self.sources)

    def find(self, call: Call) -> str:
        """The secret that came with a request; empty where there is none."""
        for reader in self._readers:
            secret = reader(call)
            if secret:
                return secret
        return ""

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers of an operator's own that are looked at, beside Authorization and Cookie."""
        return tuple(each.lower() for each in self.sources if each not in {"bearer", "basic"} and ":" not in each)

    @property
    def schemes(self) -> tuple[str, ...]:
        """What a client is told to come with, as schemes of WWW-Authenticate."""
        found = tuple(name for source, name in (("bearer", "Bearer"), ("basic", "Basic")) if source in self.sources)
        return found or ("ApiKey",)


def _reader(source: str) -> Reader:
    if source == "bearer":
        return bearer
    if source == "basic":
        return basic
    kind, colon, name = source.partition(":")
    if colon and kind == "cookie" and NAME.fullmatch(name):
        return lambda call: cookie(call.lines("cookie"), name)
    if colon and kind == "query" and name:
        return lambda call: query(call.query, name)
    if not colon and NAME.fullmatch(source):
        header = source.lower()
        return lambda call: call.header(header)
    raise ConfigError(
        f"{source!r} is no source of credentials: name bearer, basic, a header, cookie:NAME or query:NAME"
    )


def bearer(call: Call) -> str:
    """The token of `Authorization: Bearer`."""
    value = call.header("authorization")
    return value[7:].strip() if value[:7].lower() == "bearer " else ""


def basic(call: Call) -> str:
    """The password of `Authorization: Basic`, or its user name where the password is empty."""
    value = call.header("authorization")
    if value[:6].lower() != "basic ":
        return ""
    try:
        user, _, password = a2b_base64(value[6:].strip(), strict_mode=True).decode().partition(":")
    except (Error, ValueError):
        return ""
    return password or user


def cookie(lines: Iterable[str], name: str) -> str:
    """The value of a cookie; the first of that name, as browsers send the closest path first."""
    for line in lines:
        for part in line.split(";"):
            found, equals, value = part.strip().partition("=")
            if equals and found == name:
                return value.strip('"')
    return ""


def query(text: str, name: str) -> str:
    """The value of a part of a query, decoded; the first of that name."""
    for part in text.split("&"):
        found, _, value = part.partition("=")
        if _plain(found) == name:
            return _plain(value)
    return ""


def _plain(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode(errors="replace")
