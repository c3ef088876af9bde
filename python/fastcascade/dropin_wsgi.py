"""The alphabet of WSGI: a request as its environ tells of it, and headers in its words."""

from collections.abc import Callable, Iterable, MutableMapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import quote

from fastcascade.caching.http_records import Found
from fastcascade.guards.guard import Call, Headers
from fastcascade.guards.limits import Proxies

__all__ = ["Environ", "StartResponse", "Write", "WsgiCall", "conditional", "decoded", "encoded", "line"]

Environ: TypeAlias = MutableMapping[str, Any]
Write: TypeAlias = Callable[[bytes], object]
StartResponse: TypeAlias = Callable[..., Write]


class WsgiCall(Call):
    """A request as WSGI tells of it."""

    _client: str | None = None

    def __init__(self, environ: Environ, proxies: Proxies | None = None) -> None:
        """Of an environ."""
        self.scope = environ
        self._proxies = proxies
        self.method = environ.get("REQUEST_METHOD", "GET")
        path: str = environ.get("PATH_INFO", "")
        # What is no UTF-8 keeps its surrogates, and is refused as ambiguous.
        self.path = path if path.isascii() else path.encode("latin-1").decode("utf-8", "surrogateescape")
        self.path = self.path or "/"

    def header(self, name: str) -> str:
        """A header of the request."""
        key = name.upper().replace("-", "_")
        value: str = self.scope.get("HTTP_" + key) or ""
        if not value and key in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            value = self.scope.get(key) or ""
        return value

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All of them, as the cache reads them."""
        scope = self.scope
        found = [(_name(key), value.encode("latin-1")) for key, value in scope.items() if key.startswith("HTTP_")]
        for key in ("CONTENT_LENGTH", "CONTENT_TYPE"):  # the two that stand there without the prefix
            value: str = scope.get(key) or ""
            if value:
                found.append((_name(f"HTTP_{key}"), value.encode("latin-1")))
        return found

    @property
    def query(self) -> str:
        """What follows the question mark, as it came."""
        query: str = self.scope.get("QUERY_STRING") or ""
        return query

    @property
    def peer(self) -> str:
        """The address that the connection is from."""
        address: str = self.scope.get("REMOTE_ADDR") or ""
        return address

    @property
    def client(self) -> str:
        """The client's address, behind proxies that are trusted."""
        if self._client is None:
            self._client = self.peer if self._proxies is None else self._proxies.client(self, self.peer)
        return self._client

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        scheme: str = self.scope.get("wsgi.url_scheme") or "http"
        return scheme

    @property
    def target(self) -> str:
        """The path with the query: what the cache files under."""
        path = self.scope.get("SCRIPT_NAME", "") + self.scope.get("PATH_INFO", "")
        raw = quote(path.encode("latin-1"), safe="/:@!$&'()*+,;=~-._")
        return f"{raw}?{self.query}" if self.query else raw


@lru_cache(1024)
def _name(key: str) -> bytes:
    return key[5:].replace("_", "-").lower().encode("latin-1")


def conditional(environ: Environ, found: Found) -> Environ:
    """The environ with the cache's conditions in the place of the client's."""
    changed = {**environ}
    for name in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE"):
        changed.pop(name, None)
    for header, value in found.conditions:
        changed["HTTP_" + header.decode("latin-1").upper().replace("-", "_")] = value.decode("latin-1")
    return changed


def line(status: int) -> str:
    """A status with its phrase."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Status"


def encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers as the cache has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers as WSGI has them."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
