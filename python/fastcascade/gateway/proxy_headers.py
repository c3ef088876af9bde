"""Headers of what is passed on, both ways: those of one connection stay on it, and who asks is told as proxies do.

What frames a message is read once, refused where two readers could take it to mean two things, and written anew.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from fastcascade.gateway.keys import PREFIX
from fastcascade.guards.limits import Proxies

__all__ = ["Asker", "Framing", "Onward", "Refused", "back", "listed", "onward", "target", "traced"]

Pairs = list[tuple[str, str]]

HOP: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "http2-settings"),
    }
)
"""Headers of one connection. `proxy-authenticate` and `-authorization` are between a client and its own proxy."""
MADE: Final = frozenset(
    {
        *("content-length", "expect", "host", "forwarded", "via", "x-forwarded-for", "x-forwarded-host"),
        *("x-forwarded-proto", "x-real-ip", "x-request-id"),
    }
)
"""Headers of a request that are made anew, by what is known of the old ones."""
CREDENTIALS: Final = frozenset({"authorization", "x-api-key", "api-key"})
"""Where the gate looks for a key: where it took one, none of these goes on."""
ONCE: Final = frozenset({"content-length", "expect", "host"})
NOT_BACK: Final = HOP | {"via", "content-length"}
SPECIAL: Final = HOP | MADE
BEFORE: Final = MADE - {"content-length", "expect", "host", "x-request-id", "x-real-ip"}
"""What others have said before us of who asks."""
REMEMBERED: Final = 4_096
USUAL: Final = frozenset({"", "keep-alive", "close", "upgrade", "te"})
"""What `connection` may name without naming a header that would have to be looked for."""
PLAIN: Final = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@/]*", re.ASCII)
SAFE: Final = "/-._~!$&'()*+,;=:@"
LENGTH: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
HOST: Final = re.compile(r"[A-Za-z0-9.\-_~%!$&'()*+,;=:\[\]]{1,255}", re.ASCII)
CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no value may hold; a header with it does not go on."""
VIA: Final = "fastcascade"


class Refused(Exception):
    """A request that is not passed on, with the status and the words for it."""

    def __init__(self, status: int, message: str) -> None:
        """Say why."""
        super().__init__(message)
        self.status, self.message = status, message


class Framing(NamedTuple):
    """How the body of a request comes: of a length, 0 is none; None is as long as it will be."""

    length: int | None
    trailers: bool = False  # whether some were announced


NO_BODY: Final = Framing(0)


def listed(pairs: Iterable[tuple[str, str]]) -> Collection[str]:
    """The headers that `connection` names, which stay on this connection like those that always do."""
    found: set[str] = set()
    for name, value in pairs:
        if name == "connection" and value.lower() not in USUAL:
            found.update(each.strip().lower() for each in value.split(","))
    return found


class Asker:
    """Tells instances who asks, as far as it is known.

    Args:
        proxies: whose word is taken for what came before them; None is nobody's.
    """

    def __init__(self, proxies: Proxies | None = None) -> None:
        """Keep them."""
        self.proxies = proxies
        self._usual: dict[tuple[str, str, str], str] = {}

    def lines(self, peer: str, scheme: str, host: str, old: dict[str, str]) -> str:
        """The headers that say so. `peer` is an address without its port, `old` what came of those made anew."""
        if not BEFORE.isdisjoint(old):
            return self._lines(peer, scheme, host, old)
        key = (peer, scheme, host)
        known = self._usual.get(key)
        if known is None:
            if len(self._usual) >= REMEMBERED:
                self._usual.clear()
            known = self._usual[key] = self._lines(peer, scheme, host, old)
        return known

    def _lines(self, peer: str, scheme: str, host: str, old: dict[str, str]) -> str:
        trusted = self.proxies is not None and self.proxies.trusts(peer)
        before = old if trusted else {}
        chain, proto = before.get("x-forwarded-for"), before.get("x-forwarded-proto", scheme)
        asked = before.get("x-forwarded-host", host)
        told = f"x-forwarded-host: {asked}\r\n" if asked else ""
        node = f'"[{peer}]"' if ":" in peer else peer or "unknown"
        said = f"for={node};proto={scheme}" + (f';host="{host}"' if host else "")
        if (already := before.get("forwarded")) is not None:
            said = f"{already}, {said}"
        via = f"{old['via']}, 1.1 {VIA}" if "via" in old else f"1.1 {VIA}"
        return (
            f"x-forwarded-for: {f'{chain}, {peer}' if chain else peer}\r\nx-forwarded-proto: {proto}\r\n"
            f"{told}forwarded: {said}\r\nvia: {via}\r\n"
        )

    def client(self, peer: str, old: dict[str, str]) -> str:
        """Whose address counts: the first from the right that is no trusted proxy's."""
        proxies = self.proxies
        if proxies is None or not proxies.trusts(peer):
            return peer
        found = peer
        for hop in reversed(old.get("x-forwarded-for", "").split(",")[-32:]):
            address = hop.strip()
            if not address or not LENGTHLESS.fullmatch(address):
                break
            found = address
            if not proxies.trusts(address):
                break
        return found


LENGTHLESS: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}", re.ASCII)
"""What an address is made of, without a port or a zone."""


class Onward(NamedTuple):
    """What of a request goes on: lines of headers as they are, those that are made anew, and how its body comes."""

    lines: list[str]
    old: dict[str, str]
    frame: Framing


def onward(  # noqa: C901 - one pass
    pairs: Sequence[tuple[str, str]], version: str = "1.1", *, guarded: bool = False, drop: Collection[str] = ()
) -> Onward:
    """Sort the headers of a request, in one pass. Raises `Refused` for what two servers could read in two ways.

    `drop` are names that a route takes off or sets itself. Where the gate has taken a key, no credential goes on.
    """
    lines: list[str] = []
    old: dict[str, str] = {}
    named = False
    for name, value in pairs:
        if name in SPECIAL:
            if name in MADE:
                if name in old and name in ONCE:
                    raise Refused(400, f"a request has one {name}")
                old[name] = f"{old[name]}, {value}" if name in old else value
            elif name == "connection":
                named = named or value.lower() not in USUAL
            elif name == "transfer-encoding":
                if name in old or value.strip().lower() != "chunked":
                    raise Refused(501, "no transfer-encoding but chunked is understood here")
                old[name] = value
            elif name == "trailer":
                old[name] = value
        elif (drop and name in drop) or (guarded and (name in CREDENTIALS or PREFIX in value)):
            continue
        else:
            lines.append(f"{name}: {value}\r\n")
    if named:
        names = listed(pairs)
        lines = [each for each in lines if each.partition(":")[0] not in names]
    return Onward(lines, old, _framing(old, version))


def _framing(old: dict[str, str], version: str) -> Framing:
    coded, told = "transfer-encoding" in old, old.get("content-length")
    if told is not None and LENGTH.fullmatch(told) is None:
        raise Refused(400, "a content-length is a number")
    if coded and (told is not None or version != "1.1"):
        raise Refused(400, "a request has a content-length or a transfer-encoding, and never both")
    if "expect" in old and old["expect"].strip().lower() != "100-continue":
        raise Refused(417, "nothing but 100-continue can be expected here")
    if told is not None:
        return Framing(int(told), "trailer" in old)
    if coded or version[0] != "1":
        return Framing(None, "trailer" in old)
    return NO_BODY


def traced(head: str, told: Mapping[str, str]) -> str:
    """Lines of headers that say which span asks, in the place of what the client has said of its own."""
    kept = [each for each in head.split("\r\n") if each and not each.startswith(("traceparent:", "tracestate:"))]
    return "".join(f"{each}\r\n" for each in (*kept, *(f"{name}: {value}" for name, value in told.items())))


def back(pairs: Sequence[tuple[str, str]], *, drop: Collection[str] = ()) -> Pairs:
    """The headers of an answer that go on to the client, without its length, which is the framing's."""
    names: Collection[str] = ()
    via = ""
    told: Pairs = []
    for pair in pairs:
        name = pair[0]
        if name in NOT_BACK:
            if name == "via":
                via = f"{via}{pair[1]}, "
            elif name == "connection" and pair[1].lower() not in USUAL:
                names = listed(pairs)
        elif not (drop and name in drop):
            value = pair[1]
            if value.isascii() and value.isprintable():
                told.append(pair)
            elif CONTROL.search(value) is None:
                told.append((name, _text(value)))
    if names:
        told = [each for each in told if each[0] not in names]
    told.append(("via", f"{via}1.1 {VIA}"))
    return told


def _text(value: str) -> str:
    """A value as the server takes it, which writes it in UTF-8: most that are not ASCII were in UTF-8 already."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def target(path: str, query: str) -> str:
    """What is asked for upstream. Raises `Refused` for what servers read differently.

    The server has decoded the path already, so what was matched and what is sent are one and the same.
    """
    if PLAIN.fullmatch(path) is None:
        if not path.startswith("/") or not path.isprintable() or "\\" in path or "\ufffd" in path:
            raise Refused(400, "the path has characters that servers read differently")
        encoded = quote(path, safe=SAFE)
    else:
        encoded = path
    if "/." in path and any(each.partition(";")[0] in (".", "..") for each in path.split("/")):
        raise Refused(400, "the path has dot segments, which servers read differently")
    return f"{encoded}?{query}" if query else encoded
