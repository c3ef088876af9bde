"""Whole answers kept as bytes: the very same request of the same caller is answered before its JSON is read."""

import itertools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from fastcascade._core import Cache
from fastcascade.answers import tag_of
from fastcascade.wire.endpoint_fields import id_of

if TYPE_CHECKING:
    from fastcascade.gateway.settings import Kept
    from fastcascade.wire.endpoint import Caller, Done, Response

__all__ = ["KeptReply", "Replies"]

Headers = list[tuple[str, str]]
Key = tuple[str | bytes, ...]

MARKS: Final = ("x-cascade-", "anthropic-", "openai-")
"""Headers that begin so may change the answer, and are part of what is asked."""
TYPES: Final = ("content-type", "content-encoding", "idempotency-key")
CREDENTIALS: Final = ("authorization", "x-api-key", "api-key")
"""Who asks, where nobody has told callers apart: answers never cross from one credential to another."""
IDS: Final = frozenset({"request-id", "x-request-id"})
CHANGED: Final = IDS | {"x-cascade-via", "x-cascade-cost-usd", "connection"}


class KeptReply(NamedTuple):
    """An answer as it goes out, but for the names under which it gives the request's id."""

    headers: Headers
    ids: tuple[str, ...]
    body: bytes
    tier: str


class Replies:
    """The answers that one worker keeps.

    Args:
        kept: for how long, and how many.
        guarded: whether callers are told apart before; else their credentials tell them apart.
    """

    def __init__(self, kept: "Kept", *, guarded: bool) -> None:
        """Keep none yet."""
        self._every, self._ttl = kept.every, kept.ttl
        self._credentials = () if guarded else CREDENTIALS
        self._named = f"req_{os.urandom(8).hex()}"
        self._numbers = itertools.count()
        self.purges = 0
        """How often something was forgotten: what was being made meanwhile is not kept."""
        self._cache: Cache[KeptReply] = Cache(kept.items, kept.memory, kept.ttl)

    def key(self, caller: "Caller", path: str, headers: Mapping[str, str], body: bytes) -> Key:
        """What is asked, and by whom. The cache keeps a keyed digest of it alone."""
        parts: list[str | bytes] = [caller.name, caller.tenant, path, body]
        if caller.models is not None:  # who may ask for less than before is not given what was kept before
            parts.append(repr(sorted(caller.models)))
        if caller.fields:
            # What it may spend changes from one request to the next, and an answer that is kept costs nothing.
            told = [pair for pair in caller.fields.items() if pair[0] != "budget"]
            parts.append(repr(sorted(told, key=lambda pair: pair[0])))
        for name in headers:
            if name.startswith(MARKS) or name in TYPES or name in self._credentials:
                parts += (name, headers[name])
        return tuple(parts)

    def find(self, key: Key, headers: Mapping[str, str]) -> tuple[KeptReply, Headers] | None:
        """One that is kept, and the headers that it goes out with."""
        kept = self._cache.get(key)
        if kept is None:
            return None
        given = "x-request-id" in headers
        request_id = id_of(headers) if given else f"{self._named}{next(self._numbers):x}"
        told = kept.headers.copy()
        for name in kept.ids:
            told.append((name, request_id))
        return kept, told

    def keep(self, key: Key, response: "Response", done: "Done | None", purges: int = 0) -> None:
        """Keep an answer that may be given again: whole, good, and asked for without chance.

        `purges` is how many there had been when it was asked for.
        """
        answer = done.answer if done is not None else None
        if done is None or answer is None or response.body is None or response.status != 200 or purges != self.purges:
            return
        if answer.degraded or answer.ticket or not (self._every or done.asked.request.temperature == 0):
            return
        left = self._ttl - (answer.age or 0.0)  # what another cache had kept is no younger for being kept here too
        if left <= 0.0:
            return
        headers = [pair for pair in response.headers if pair[0] not in CHANGED]
        headers += [("x-cascade-via", "cache"), ("x-cascade-cost-usd", "0")]
        ids = tuple(name for name, _ in response.headers if name in IDS)
        kept = KeptReply(headers, ids, response.body, answer.tier)
        self._cache.put(key, kept, left, len(response.body), answer.tags)

    def forget(self, tag: str | None = None) -> int:
        """Forget those with a tag, or all; how many these were."""
        self.purges += 1
        if tag is not None:
            return self._cache.invalidate(tag_of(tag))
        gone = len(self._cache)
        self._cache.clear()
        return gone
