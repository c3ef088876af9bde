"""Callbacks: telling a caller's server that its review has ended, in a way that it can check.

They are signed as Standard Webhooks has it (standardwebhooks.com), so that any library for that can check them, as
`verify` does. A callback is made at least once: a server that was told twice sees the same `webhook-id` twice.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from random import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote

import fastcascade.answers  # noqa: F401 - makes every kind of block readable
from fastcascade._core import __version__
from fastcascade.backends.failures import retry_after, scrub
from fastcascade.blocks import Text
from fastcascade.errors import ConfigError, RequestError
from fastcascade.records import dump
from fastcascade.reviews.signatures import Secret, Secrets, keys_of, new_secret, signed, verify
from fastcascade.stores.reviews import Review

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["Callbacks", "Delivery", "Post", "Secret", "Secrets", "new_secret", "signed", "verify"]

Post: TypeAlias = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, Mapping[str, str]]]]
"""Sends a POST with these headers and this body, following no redirect; comes to the status and the headers."""

LONGEST_URL: Final = 2_048
MOST_LINES: Final = 200
FIRST_WAIT: Final = 5.0
LONGEST_WAIT: Final = 3_600.0
TRY_FOR: Final = 86_400.0
LEAST_TRIES: Final = 5
"""Made also where the day is over: all our processes may have been off for it."""
PORTS: Final = {"http": 80, "https": 443}

URL: Final = re.compile(
    r"""(?xi) (https?) :// ([a-z0-9.-]+ | \[[0-9a-f:.]+\]) (?: : ([0-9]{1,5}) )?
    ( (?: / (?: [a-z0-9._~!$&'()*+,;=:@-] | %[0-9a-f]{2} )* )* )
    ( \? (?: [a-z0-9._~!$&'()*+,;=:@/?-] | %[0-9a-f]{2} )* )?""",
    re.ASCII,
)
STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r\n]")


class Place(NamedTuple):
    """A URL, taken apart."""

    scheme: str
    host: str
    port: int
    path: tuple[str, ...]
    target: str

    @property
    def origin(self) -> str:
        """Where it is, without what may be secret in it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")

    def within(self, prefix: "Place") -> bool:
        """Whether it is at this prefix, or below it."""
        return self[:3] == prefix[:3] and self.path[: len(prefix.path)] == prefix.path


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one try of a callback went: taken, or refused for good, or to be tried again, after `wait` seconds."""

    taken: bool
    gone: bool = False
    wait: float | None = None
    why: str = ""  # a status, or the kind of an error


class Callbacks:
    """Where callbacks may go, and what they are signed with.

    Only https is called, or http on this very machine; certificates are checked, redirects are not followed, and no
    proxy is used.

    Args:
        prefixes: URLs that may be called, and all below them: scheme, host and port must be the same, and the path
            begin with the same segments. As a mapping it gives each prefix secrets of its own, which is right where
            the servers belong to different people.
        secret: signs what goes to prefixes that have none of their own: bytes, or a text as `new_secret` makes it.
            Of several each signs, so that receivers can change to the new one at their leisure.
        timeout: seconds for one try, from looking up the name to the head of the answer.
        context: other certificates to trust, as `ssl` has it; one that checks none is refused.
        post: sends in our place, for instance through a proxy.
    """

    def __init__(
        self,
        prefixes: Collection[str] | Mapping[str, Secrets] = (),
        secret: Secrets | None = None,
        *,
        timeout: float = 10.0,
        context: "SSLContext | None" = None,
        post: Post | None = None,
    ) -> None:
        """Check the prefixes, and read the secrets."""
        if isinstance(prefixes, str):
            raise ConfigError("callbacks are a list of URL prefixes, not one text")
        if not timeout > 0:
            raise ConfigError(f"the timeout of callbacks must be above zero, not {timeout!r}")
        if context is not None and (not context.verify_mode or not context.check_hostname):
            raise ConfigError("callbacks: this ssl context checks no certificates; load the ones to trust into it")
        own = prefixes if isinstance(prefixes, Mapping) else {}
        shared = keys_of(secret) if secret is not None else ()
        self._keys: dict[Place, tuple[bytes, ...]] = {}
        for prefix in prefixes:
            keys = keys_of(own[prefix]) if prefix in own else shared
            if not keys:
                raise ConfigError("callbacks need a secret to be signed with; make one: callbacks.new_secret()")
            self._keys[_prefix(prefix)] = keys
        if context is None and post is None and any(place.scheme == "https" for place in self._keys):
            from ssl import create_default_context  # noqa: PLC0415 - not needed by who only checks signatures

            context = create_default_context()
        self.timeout = timeout
        self._context = context
        self._post: Post = post or self._send

    def __bool__(self) -> bool:
        """Whether any may be made."""
        return bool(self._keys)

    def __repr__(self) -> str:
        """Show where they may go; no secrets."""
        return f"Callbacks({[place.origin for place in self._keys]})"

    def check(self, url: str) -> None:
        """Refuse a URL that may not be called."""
        self._allowed(url)

    async def send(self, review: Review, now: float) -> Delivery:
        """Try once. Whatever goes wrong on the way is in what comes back."""
        try:
            keys = self._allowed(review.callback)
        except RequestError:
            return Delivery(taken=False, why="not allowed here")
        try:
            body = _body(review)
            headers = {
                "content-type": "application/json",
                "user-agent": f"fastcascade/{__version__}",
                **signed(_message_id(review.id), body, keys, now),
            }
            async with asyncio.timeout(self.timeout):
                status, answered = await self._post(review.callback, headers, body)
            taken = 200 <= status < 300
            wait = None if taken else retry_after(answered, now)
        except Exception as error:  # noqa: BLE001 - a receiver may do anything, and so may a user's own `post`
            return Delivery(taken=False, why=type(error).__name__)
        return Delivery(taken=taken, gone=status == 410, wait=wait, why=str(status))

    def again(self, review: Review, delivery: Delivery, now: float) -> float | None:
        """When to try again what was not taken; None is never: it is not wanted, or a day has gone by."""
        if delivery.gone:
            return None
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(review.calls, 20)) * (1.0 + 0.25 * random())
        due = now + max(wait, min(delivery.wait or 0.0, LONGEST_WAIT))
        late = due > (now if review.ended is None else review.ended) + TRY_FOR
        return None if late and review.calls + 1 >= LEAST_TRIES else due

    def _allowed(self, url: str) -> tuple[bytes, ...]:
        try:
            place = _place(url)
        except ValueError as error:
            msg = f"this callback cannot be made: {error}"
            raise RequestError(msg) from None
        fitting = [prefix for prefix in self._keys if place.within(prefix)]
        if not fitting:
            msg = f"callbacks to this address at {place.origin} are not allowed"
            raise RequestError(msg)
        return self._keys[max(fitting, key=lambda prefix: len(prefix.path))]

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        place = _place(url)
        context = self._context if place.scheme == "https" else None
        reader, writer = await asyncio.open_connection(place.host, place.port, ssl=context)
        try:
            sent = {"host": place.origin.partition("://")[2], **headers, "content-length": str(len(body))}
            lines = [f"POST {place.target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
            writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode("ascii") + body)
            return await _head(reader)
        finally:
            writer.transport.abort()  # a receiver that does not say goodbye is not waited for


def _message_id(ticket: str) -> str:
    """The same for each try of one callback. Servers log it, so it is not the ticket, which is a right to see."""
    return "msg_" + sha256(f"fastcascade callback {ticket}".encode()).hexdigest()[:32]


def _body(review: Review) -> bytes:
    from datetime import UTC, datetime  # noqa: PLC0415 - not free, and not needed to check a signature

    ended = review.ended or 0.0
    answer: dict[str, Any] | None = None
    if review.answer is not None:
        answer = {"text": review.answer.text, "model": review.answer.model}
        if any(type(block) is not Text for block in review.answer.content):
            answer["content"] = [dump(block) for block in review.answer.content]
    said = {
        "type": f"review.{review.state}",
        "timestamp": datetime.fromtimestamp(ended, UTC).isoformat().replace("+00:00", "Z"),
        "ticket": review.id,
        "request_id": review.request.id,
        "state": review.state,
        "why": review.why,
        "created": review.created,
        "ended": ended,
        "answer": answer,
    }
    return json.dumps(said, separators=(",", ":")).encode()


def _prefix(url: str) -> Place:
    try:
        place = _place(url)
    except ValueError as error:
        msg = scrub(f"callbacks cannot go to {url!r}: {error}")
        raise ConfigError(msg) from None
    if "?" in place.target:
        msg = f"callbacks cannot go to {url!r}: a prefix has no query"
        raise ConfigError(msg)
    return place._replace(path=tuple(part for part in place.path if part))


def _place(url: str) -> Place:
    """Take a URL apart. What two readers could read in two ways is refused."""
    found = URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if found is None:
        raise ValueError("it must be like https://host/path, with no name, password or fragment in it")
    scheme, host, port, path, query = found.groups()
    scheme, host = scheme.lower(), host.lower().strip("[]")
    number = int(port) if port else PORTS[scheme]
    if not 0 < number < 65_536:
        raise ValueError("there is no such port")
    if scheme == "http" and not _is_here(host):
        raise ValueError("it must be https, but on this very machine")
    parts = path.split("/")[1:]
    if any(not part for part in parts[:-1]) or any(_climbs(part) for part in parts):
        raise ValueError("its path must be plain: no empty parts, no dots alone, no slash in disguise")
    return Place(scheme, host, number, tuple(parts), (path or "/") + (query or ""))


def _climbs(part: str) -> bool:
    """Whether some server might read this segment of a path as more than a name."""
    before = ""
    while part != before:
        before, part = part, unquote(part)
    return part.partition(";")[0] in {".", ".."} or any(each in "/\\" or not each.isprintable() for each in part)


def _is_here(host: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415 - not free, and few URLs are of this kind

    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """The status and the headers of an answer, after those that only announce one. Its body is not read."""
    status, headers = 0, dict[str, str]()
    for _ in range(MOST_LINES):
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the answer broke off")
        if not status:
            found = STATUS.match(line)
            if found is None:
                raise ConnectionError("the answer is not HTTP")
            status = int(found[1])
        elif line.strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        elif status < 200:
            status, headers = 0, {}
        else:
            return status, headers
    raise ConnectionError("the answer has no end")
