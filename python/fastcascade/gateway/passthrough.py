"""A provider behind the gateway, as it is: bytes through, but for credentials; what was used is read on the side.

    request   a path that is allowed, the model's name, headers without the caller's credentials; the body untouched
    response  the status, headers without what is the provider's and the account's, and the bytes as they come

For what no `Request` can carry, and for callers that want the provider and nothing else. There is no ladder here: no
second tier, no cache, no gate.
"""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from fastcascade import spans
from fastcascade.backends.clients import PerLoop
from fastcascade.backends.direct import HOMES, WireName, key_of, origin_tls
from fastcascade.backends.direct_head import opening
from fastcascade.backends.direct_links import Exchange, Links, Origin
from fastcascade.backends.direct_parse import LinkError
from fastcascade.backends.failures import scrub
from fastcascade.backends.openai_client import checked_url
from fastcascade.errors import ConfigError, FastcascadeError, WireError
from fastcascade.fallbacks.static_wire import VISIBLE
from fastcascade.gateway.passthrough_account import Account, Record
from fastcascade.gateway.passthrough_headers import back, onward, proofs, query
from fastcascade.gateway.passthrough_pieces import Pieces, without
from fastcascade.gateway.passthrough_usage import Peeked, Reading, once, peek
from fastcascade.wire.endpoint_fields import MARK, id_of
from fastcascade.wire.endpoint_headers import ids
from fastcascade.wire.endpoint_models import ANYONE, Caller
from fastcascade.wire.endpoint_paths import Words, format_of
from fastcascade.wire.endpoint_refusal import Refusal, refusal_of
from fastcascade.wire.endpoint_turn import Done, Response, refused

if TYPE_CHECKING:
    from fastcascade.messages import Usage
    from fastcascade.prices import Price, PriceSheet

__all__ = ["PATHS", "Passthrough", "bare"]

PATHS: Final[Mapping[WireName, Mapping[str, Words]]] = {
    "anthropic": {"/messages": "anthropic", "/messages/count_tokens": "anthropic"},
    "openai": {"/chat/completions": "chat", "/responses": "responses", "/responses/input_tokens": "responses"},
}
"""What is passed on, without `/v1`; what is paid for is all but the counting of tokens."""
FREE: Final = frozenset({"/messages/count_tokens", "/responses/input_tokens"})
LONGEST: Final = 1_000
"""Characters of its name that are told in a header."""
OURS: Final = frozenset({401, 402, 403, 407})
"""Statuses of a provider that are about the gateway's own account, and not about whoever asks."""
BROKEN: Final[Mapping[str, tuple[int, str]]] = {
    "timeout": (504, "the provider did not answer in time"),
    "full": (503, "all connections to the provider are in use; try again later"),
}


class Passthrough:
    """Passes requests on to a provider. Its `handle` is shaped as that of `Endpoint`.

    Args:
        base_url: of the provider, as `Direct` has it; None is the provider's own.
        api_key: the gateway's key there; it takes the place of the caller's.
        wire: how the provider speaks.
        name: what it is called in records, as a tier is.
        models: the provider's models that may be asked for; None is any that the caller may use.
        price: what they cost; else `prices` are asked.
        prices: a price sheet.
        on_done: told once of each request that was passed on, however it ended.
        credentials: headers beyond the usual that hold the caller's credentials.
        headers: sent with every request, in the place of the caller's.
        timeout: in seconds, for each read.
        connections: how many at once.
        ca: a file of certificates to trust in place of the system's.
        clock: what requests are timed by.
    """

    def __init__(  # noqa: PLR0913 - the settings of one thing, all but three named
        self,
        base_url: str | None,
        api_key: str | None,
        wire: WireName,
        *,
        name: str = "passthrough",
        models: Collection[str] | None = None,
        price: "Price | None" = None,
        prices: "PriceSheet | None" = None,
        on_done: Callable[[Done], object] | None = None,
        credentials: Collection[str] = (),
        headers: Mapping[str, str] | None = None,
        timeout: float = 600.0,
        connections: int = 1000,
        ca: str | Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Check the settings; no connection is made."""
        if wire not in HOMES:
            msg = f"wire must be one of {', '.join(HOMES)}, not {wire!r}"
            raise ConfigError(msg)
        if not timeout > 0 or connections < 1:
            raise ConfigError("a pass-through's timeout must be above zero, and its connections at least 1")
        self.name, self.models = name, None if models is None else frozenset(models)
        self._url = checked_url(base_url) or HOMES[wire]
        self._key = key_of(wire, api_key, base_url)
        self._at, self.wire = urlsplit(self._url), wire
        self._paths = PATHS[wire]
        self._credentials = frozenset(each.lower() for each in credentials)
        given = {each.lower(): value for each, value in (headers or {}).items()}
        self._secrets = tuple({each for each in (self._key, *proofs(given)) if each})
        self._hidden = tuple(each.encode() for each in self._secrets)
        self._always = {"accept-encoding": "identity"}  # so that what was used can be read, and nothing is unpacked
        if self._key:
            self._always["authorization"] = f"Bearer {self._key}"
        self._always |= given
        opening("POST", self._at.path or "/", self._at, self._always)  # what cannot be sent is found now
        self._account = Account(name, self._url, price, prices, on_done, clock)
        self._clock = clock
        tls = None if ca is None else str(ca)
        origin_tls(tls) if tls is not None else None
        self._links = PerLoop(
            lambda: Links(Origin.of(self._url, lambda: origin_tls(tls)), timeout, connections), _close
        )

    async def handle(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        caller: Caller = ANYONE,
        *,
        within: float | None = None,
    ) -> Response:
        """Pass one request on. Header names are in lower case; nothing but cancellation is raised.

        `within` is not used: a provider that is slow is the caller's own choice here.
        """
        del within
        request_id, at = id_of(headers), bare(path)
        words = self._paths.get(at)
        if words is None or method != "POST":
            first: Words = "anthropic" if self.wire == "anthropic" else "chat"
            allowed = ", ".join(f"POST /v1{each}" for each in self._paths)
            refusal = Refusal(404, f"there is nothing to pass on at this path; it is for {allowed}")
            return refused(format_of(first), first, refusal, request_id)
        try:
            peeked = peek(body)
            self._check(peeked, caller)
        except FastcascadeError as error:
            return refused(format_of(words), words, refusal_of(error, request_id), request_id)
        return await self.forward(peeked, path, headers, body, caller, request_id)

    async def forward(
        self,
        peeked: Peeked,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        caller: Caller,
        request_id: str = "",
    ) -> Response:
        """Pass on a request to one of its own paths, where it is known that this caller may ask for this model.

        `request_id` is what whoever asks calls it, where that is no header's: headers go on to the provider.
        """
        request_id, at = request_id or id_of(headers), bare(path)
        trail, model = spans.current(), "" if at in FREE else peeked.model
        span = None
        if trail is not None:
            span = trail.passed(self.name, self._url, "POST", model=model, speaks=self.wire, stream=peeked.stream)
        try:
            return await self._forwarded(peeked, path, headers, body, caller, request_id, span)
        finally:
            if span is not None:
                span.left()

    async def _forwarded(  # noqa: PLR0917 - it is called in one place
        self,
        peeked: Peeked,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        caller: Caller,
        request_id: str,
        span: spans.CallSpan | None,
    ) -> Response:
        at = bare(path)
        words = self._paths[at]
        try:
            once(body)
            record = self._account.open(peeked, headers, caller, request_id, free=at in FREE)
            record.span = span
            message = self._message(at, query(path.partition("?")[2]), headers, body)
        except FastcascadeError as error:
            if span is not None:
                span.answered(0, "bad request")
            return refused(format_of(words), words, refusal_of(error, request_id), request_id)
        try:
            exchange = await self._links.get().ask(message, decode=False)
        except LinkError as error:
            status, told = BROKEN.get(error.kind, (502, "the provider cannot be reached"))
            # Who did not answer in time may well have worked, and bill for it.
            record.done(status, "no answer", Reading(words) if error.kind == "timeout" else None)
            return refused(format_of(words), words, Refusal(status, told, final=False), request_id)
        except BaseException:
            record.done(499, "cancelled", Reading(words))
            raise
        return await self._answer(exchange, words, record, request_id)

    def cost(self, model: str, usage: "Usage") -> float | None:
        """What that costs there; None where it is not known."""
        return self._account.cost(model, usage)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._links.aclose()

    def __repr__(self) -> str:
        """Show where to, and no secret."""
        return f"Passthrough({scrub(self._url, self._secrets)!r}, wire={self.wire!r}, name={self.name!r})"

    def _check(self, peeked: Peeked, caller: Caller) -> None:
        model = peeked.model
        known = self.models is None or model in self.models
        if not known or not (caller.may(model, "") or caller.may(self.name, model)):
            msg = f"the model {model!r} does not exist, or you may not use it"
            raise WireError(msg, "model", 404)

    def _message(self, path: str, asked: str, headers: Mapping[str, str], body: bytes) -> bytes:
        root = self._at.path.rstrip("/")
        if self.wire == "anthropic":
            path = f"/v1{path}"  # which the other's base URL has
        sent = onward(headers, self._credentials)
        if spans.tracer is not None and (told := spans.headers()):
            sent = {name: value for name, value in sent.items() if name not in spans.NAMES} | told
        sent |= self._always
        target = f"{root}{path}?{asked}" if asked else f"{root}{path}"
        try:
            opened = opening("POST", target, self._at, sent)
        except ConfigError as error:
            raise WireError(str(error)) from None
        return b"".join((opened, b"content-length: %d\r\n\r\n" % len(body), body))

    async def _answer(self, exchange: Exchange, words: Words, record: Record, request_id: str) -> Response:
        status, style = exchange.status, format_of(words)
        told = back(exchange.headers, self._secrets)
        told.append((f"{MARK}tier", quote(self.name[:LONGEST], safe=VISIBLE)))
        given = {name for name, _ in told}
        told += [each for each in ids(words, request_id) if each[0] not in given]
        if 200 <= status < 300 and exchange.header("content-type").startswith("text/event-stream"):
            return Response(status, told, pieces=Pieces(exchange, record, Reading(words), style, self._hidden))
        try:
            body = await exchange.whole()
        except LinkError:
            record.done(502, "no answer", Reading(words))
            return refused(style, words, Refusal(502, "the provider's answer broke off", final=False), request_id)
        except BaseException:
            record.done(499, "cancelled", Reading(words))
            raise
        finally:
            exchange.close()
        if status in OURS:
            record.done(502, "no answer", None)
            message = "the provider cannot be asked as it is set up; this is for the gateway's operator to mend"
            return refused(style, words, Refusal(502, message), request_id)
        if status >= 300:
            record.done(status, "bad request" if status < 500 else "no answer", None)
            return Response(status, told, without(body, self._hidden))
        reading = Reading(words)
        reading.whole(body)
        record.done(status, "", reading)
        return Response(status, told, without(body, self._hidden))


def bare(path: str) -> str:
    """A path as it is known here: without a query, `/v1` and a slash at the end."""
    at = path.partition("?")[0].rstrip("/")
    return at[3:] if at.startswith("/v1/") else at


async def _close(links: Links) -> None:
    await links.aclose()
