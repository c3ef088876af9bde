"""A model asked without its provider's SDK: bytes out, bytes in, each parsed once. For gateways.

    Direct("claude-haiku-5-5", wire="anthropic")
    Direct("gpt-5.2-mini", wire="openai")
    Direct("qwen3", wire="openai", base_url="http://127.0.0.1:8000/v1")

Requests, replies and failures are those of `Anthropic` and `OpenAI`. What is not here: the SDKs' own ways to find
credentials, clients for other clouds, HTTP proxies, redirects (a redirect is a failure of the server's).
"""

import os
import ssl
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from fastcascade import spans
from fastcascade.backends.clients import PerLoop, account
from fastcascade.backends.direct_anthropic import Messages
from fastcascade.backends.direct_head import lines, opening
from fastcascade.backends.direct_links import Exchange, Links, Origin
from fastcascade.backends.direct_openai import Chat
from fastcascade.backends.direct_parse import LinkError
from fastcascade.backends.direct_stream import Stream
from fastcascade.backends.direct_wire import Said, Wire
from fastcascade.backends.failures import scrub
from fastcascade.backends.openai_client import checked_url
from fastcascade.backends.openai_wire import Dialect, MaxTokensField
from fastcascade.errors import BackendError, ConfigError
from fastcascade.messages import Reply, Request

if TYPE_CHECKING:
    from fastcascade.prices import Price

__all__ = ["Direct", "WireName", "origin_tls"]

WireName: TypeAlias = Literal["anthropic", "openai"]

HOMES: Final[Mapping[str, str]] = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "openai": ("OPENAI_API_KEY",),
}
SECRET: Final = ("auth", "cookie", "key", "secret", "token")
"""What the name of a header has in it whose value must not be repeated."""
PATIENCE: Final = 600.0
"""Seconds to wait for each read, as the SDKs do."""
HEADS: Final = 64
"""Ways to ask that are remembered."""


class Direct:
    """A model behind Messages or chat completions.

    The keys in ANTHROPIC_API_KEY and OPENAI_API_KEY are sent only where no `base_url` is given: they are nobody
    else's business. It never asks twice. A call that is cancelled, or a stream that is left, closes its connection.

    Args:
        model: the model's name, as the provider has it.
        wire: how the provider speaks: "anthropic" or "openai".
        base_url: of another server that speaks the same: without `/v1` for Anthropic's wire, with it for OpenAI's.
        api_key: else that of the environment.
        timeout: in seconds, for each read; ten minutes where none is given. A deadline is the cascade's to set.
        headers: sent with every request.
        price: what the model costs, where the price sheet does not know.
        connections: how many at once; more calls wait for their turn, no longer than `timeout`.
        ca: a file of certificates to trust in place of the system's.
        max_tokens: for requests that do not say (Anthropic's wire).
        classic: whether the model takes a temperature and a number of thinking tokens (Anthropic's wire).
        logprobs: whether the model gives any (OpenAI's wire).
        max_tokens_field: what older endpoints call it (OpenAI's wire).
        thinking_field: where an endpoint wants a model's thinking back (OpenAI's wire).
        organization: whose account it is (OpenAI's wire).
    """

    remote = True  # asked over a network: a tier makes it a pool, which retries

    def __init__(  # noqa: PLR0913 - the settings of one thing, all but the first named
        self,
        model: str,
        *,
        wire: WireName,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        price: "Price | None" = None,
        connections: int = 1000,
        ca: str | Path | None = None,
        max_tokens: int | None = None,
        classic: bool = False,
        logprobs: bool | None = None,
        max_tokens_field: MaxTokensField | None = None,
        thinking_field: str | None = None,
        organization: str | None = None,
    ) -> None:
        """Check the settings; no connection is made."""
        _check(model, wire, timeout, connections, max_tokens)
        theirs = {"max_tokens": max_tokens, "classic": classic or None}
        others = {
            "logprobs": logprobs, "max_tokens_field": max_tokens_field, "thinking_field": thinking_field,
            "organization": organization,
        }  # fmt: skip
        _misplaced(wire, others if wire == "anthropic" else theirs)
        self.name = model
        self.price = price
        self.base_url = checked_url(base_url) or None
        self.provider = self.base_url or HOMES[wire]  # whose prices hold
        self._wire_name = self.speaks = wire
        key = key_of(wire, api_key, base_url)
        given = dict(headers or {})
        if organization:
            given.setdefault("openai-organization", organization)
        secrets = [value for name, value in given.items() if any(word in name.lower() for word in SECRET)]
        self._secrets = tuple(each for each in (*secrets, key) if each)
        self.wire: Wire
        if wire == "anthropic":
            self.wire = Messages(model, max_tokens or 4096, classic=classic)
            self.gives: frozenset[str] = frozenset()
        else:
            field = max_tokens_field or "max_completion_tokens"
            dialect = Dialect("openai", field, thinking_field, partial(scrub, secrets=self._secrets))
            self.gives = frozenset({"logprobs"}) if logprobs is not False else frozenset()
            self.wire = Chat(model, dialect, logprobs=bool(self.gives))
        at = urlsplit(self.provider)
        always = {"user-agent": "fastcascade", "content-type": "application/json", "accept": "application/json"}
        always |= {"authorization": f"Bearer {key}"} if key else {}
        always |= {"accept-encoding": "gzip", **self.wire.always}
        self._always = always | {name.lower(): value for name, value in given.items()}
        root = at.path.rstrip("/")
        self._path = f"{root}{self.wire.path}"
        self._post = opening("POST", self._path, at, self._always)
        self._heads: dict[tuple[tuple[str, str], ...], bytes] = {}
        self._get = opening("GET", f"{root}{self.wire.alive}", at, self._always)
        self._patience = PATIENCE if timeout is None else timeout
        self._most = connections
        self._tls = partial(origin_tls, None if ca is None else str(ca))
        if ca is not None:
            self._tls()
        self._clients = PerLoop(self._connect, _close)
        self.account = account(wire, self.provider, model, str(key), organization)  # who share its rate limits

    async def complete(self, request: Request, /) -> Reply:
        """Ask, and wait for the whole reply."""
        said = self.wire.asks(request, stream=False)
        request_id = ""
        try:
            exchange = await self.sent(said)
            try:
                request_id = self.wire.request_id(exchange)
                body = await exchange.whole()
            finally:
                exchange.close()
            if 200 <= exchange.status < 300:
                return self.wire.reply(body, request_id, said.not_sent)
            return self.wire.refused(exchange, body, request_id)
        except (LinkError, BackendError) as error:
            failure = self.failure(error, request_id, stream=False)
        try:
            raise failure
        finally:
            del failure  # which has this frame in its traceback: a circle that waits for the collector

    def stream(self, request: Request, /) -> Stream:
        """Ask, and give the reply as it comes; at last the whole."""
        return Stream(self, request)

    async def sent(self, said: Said) -> Exchange:
        """Send a request; gives its response once the head of it has come. Raises `LinkError`."""
        return await self._clients.get().ask(self._message(said))

    async def probe(self) -> None:
        """See whether anybody is there: ask what is known of a model, which costs no tokens.

        Whatever is answered, short of a failure of the server's, is a sign of life: a key that is refused too. Raises
        `BackendError`.
        """
        try:
            exchange = await self._clients.get().ask(self._get + b"\r\n", "GET")
            try:
                body = await exchange.whole()
            finally:
                exchange.close()
            if exchange.status >= 500:
                self.wire.refused(exchange, body, self.wire.request_id(exchange))
        except (LinkError, BackendError) as error:
            failure = self.failure(error, "", stream=False)
        else:
            return
        try:
            raise failure
        finally:
            del failure  # which has this frame in its traceback: a circle that waits for the collector

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._clients.aclose()

    def __repr__(self) -> str:
        """Show which model of which endpoint, and no secret."""
        where = f", base_url={scrub(self.base_url, self._secrets)!r}" if self.base_url else ""
        return f"Direct({self.name!r}, wire={self._wire_name!r}{where})"

    def _message(self, said: Said) -> bytes:
        opened = self._opened(said.headers) if said.headers else self._post
        if spans.tracer is not None:
            opened += "".join(lines(spans.headers())).encode("ascii")
        return b"%bcontent-length: %d\r\n\r\n%b" % (opened, len(said.body), said.body)

    def _opened(self, headers: Mapping[str, str]) -> bytes:
        """The head with these headers in it. There are few ways to ask, each of which is checked and written once."""
        key = tuple(headers.items())
        known = self._heads.get(key)
        if known is not None:
            return known
        own = {name.lower(): value for name, value in key}
        try:
            if self._always.keys().isdisjoint(own):
                opened = self._post + "".join(lines(own)).encode("ascii")
            else:
                opened = opening("POST", self._path, urlsplit(self.provider), {**self._always, **own})
        except ConfigError as error:
            raise BackendError("unsupported", str(error)) from None
        if len(self._heads) < HEADS:
            self._heads[key] = opened
        return opened

    def _connect(self) -> Links:
        return Links(Origin.of(self.provider, self._tls), self._patience, self._most)

    def failure(self, error: LinkError | BackendError, request_id: str, *, stream: bool) -> BackendError:
        """What it means, without a secret and without the context that would keep one."""
        if isinstance(error, LinkError):
            told = scrub(str(error), self._secrets)
            return BackendError(self.wire.broken(error, stream=stream), told, request_id=request_id)
        had = error.failure
        return BackendError(
            had.kind,
            scrub(had.message, self._secrets),
            status=had.status,
            retry_after=had.retry_after,
            request_id=request_id or had.request_id,
        )


@cache
def origin_tls(ca: str | None) -> ssl.SSLContext:
    """The certificates that are trusted, read once: that takes longer than all the rest of making a client."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        msg = f"the certificates in {ca!r} cannot be read: {type(error).__name__}"
        raise ConfigError(msg) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def key_of(wire: WireName, given: str | None, base_url: str | None) -> str:
    """The key to send, or nothing; that of the environment goes to the provider itself alone."""
    named = KEYS[wire]
    found = given or ("" if base_url else next((key for name in named if (key := os.environ.get(name))), ""))
    if not found and not base_url:
        msg = f"no key for the {wire} wire: give api_key, set {named[0]}, or give the base_url of another endpoint"
        raise ConfigError(msg)
    if not found.isascii() or not (found.isprintable() and found == found.strip()):
        raise ConfigError("api_key has a character that no header can carry; look for a line end or a space")
    return found


def _check(model: str, wire: str, timeout: float | None, connections: int, max_tokens: int | None) -> None:
    if not model:
        raise ConfigError("a model needs a name")
    if wire not in HOMES:
        msg = f"wire must be one of {', '.join(HOMES)}, not {wire!r}"
        raise ConfigError(msg)
    if timeout is not None and not timeout > 0:
        msg = f"timeout must be above zero, not {timeout!r}; None is ten minutes"
        raise ConfigError(msg)
    for name, count in (("connections", connections), ("max_tokens", max_tokens)):
        if count is not None and count < 1:
            msg = f"{name} must be at least 1, not {count!r}"
            raise ConfigError(msg)


def _misplaced(wire: WireName, settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if value is not None:
            msg = f"{name} has no meaning on the {wire} wire"
            raise ConfigError(msg)


async def _close(links: Links) -> None:
    await links.aclose()
