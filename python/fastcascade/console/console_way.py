"""One request to the console as it is known after the first look: who sent it, under which name, with which cookie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fastcascade.console import headers as heads
from fastcascade.console.asked import Refusal
from fastcascade.console.console_login import address_of
from fastcascade.gateway.proxy_headers import Asker
from fastcascade.guards.limits import Proxies

__all__ = ["Way", "Ways"]

ELSEWHERE: Final = (
    "this gateway is reached from this machine alone, and this is not a name of it: use localhost or 127.0.0.1, "
    "or set allow_plain = true under [gateway.console] where a proxy of yours passes its own name on"
)
CROSSED: Final = "this was sent by a page of another origin"


@dataclass(frozen=True, slots=True)
class Way:
    """One request.

    Args:
        method: in capitals.
        path: as it came.
        query: likewise.
        headers: by names in lower case.
        body: all of it.
        peer: the address it comes from.
        host: the name it was asked by.
        secure: whether the browser's connection is TLS.
        token: what its cookie holds; empty without.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    peer: str
    host: str
    secure: bool
    token: str

    def demand(self, *methods: str) -> None:
        """Turn other methods away; whatever is read may be asked for its headers alone. Raises `Refusal`."""
        if self.method not in methods and not (self.method == "HEAD" and "GET" in methods):
            more = ("HEAD",) if "GET" in methods else ()
            raise Refusal(405, f"this is asked with {' or '.join(methods)}", allow=", ".join((*methods, *more)))


class Ways:
    """Takes the first look.

    Args:
        secure: whether connections are TLS.
        listening: where the gateway listens, if by a name of this machine it must be asked; empty if by any.
        proxies: whose word on who asks, and how, is taken.
    """

    def __init__(self, *, secure: bool, listening: str = "", proxies: Sequence[str] = ()) -> None:
        """Keep them."""
        self._secure, self._listening = secure, listening
        self._asker = Asker(Proxies(proxies) if proxies else None)

    def look(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, peer: str) -> Way:
        """The request, as it is known."""
        address = address_of(peer, whole=True)
        proxies = self._asker.proxies
        told = headers if proxies is not None and proxies.trusts(address) else {}
        secure = self._secure or told.get("x-forwarded-proto", "").lower() == "https"
        host = told.get("x-forwarded-host") or headers.get("host", "")
        client = self._asker.client(address, dict(told)) if told else address
        token = heads.cookies(headers, secure=secure)
        return Way(method, path, query, headers, body, client, host, secure, token)

    def check(self, way: Way, *, page: bool) -> None:
        """Turn away what pages of others have sent. Raises `Refusal`."""
        if self._listening and way.host and not heads.own_name(way.host, self._listening):
            raise Refusal(403, ELSEWHERE)
        if heads.crossed(way.method, way.headers, way.host, page=page):
            raise Refusal(403, CROSSED)
