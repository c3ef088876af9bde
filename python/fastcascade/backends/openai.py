"""Any endpoint that speaks chat completions, through OpenAI's own SDK: OpenAI, vLLM, Ollama, Groq and the like."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastcascade import spans
from fastcascade.backends.clients import PerLoop, account
from fastcascade.backends.failures import scrub
from fastcascade.backends.openai_client import NO_KEY, checked_client, checked_url, key_for, sdk, tls
from fastcascade.backends.openai_events import Events
from fastcascade.backends.openai_failures import REQUEST_ID, Failures
from fastcascade.backends.openai_reply import Pieces, read
from fastcascade.backends.openai_wire import Dialect, MaxTokensField, chat, own_options
from fastcascade.errors import ConfigError
from fastcascade.messages import Delta, Reply, Request

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from fastcascade.prices import Price

__all__ = ["OpenAI"]

SECRET: Final = ("auth", "cookie", "key", "secret", "token")
"""What the name of a header has in it whose value must not be repeated."""
OPENAI: Final = "https://api.openai.com/v1"
DRAIN: Final = 0.1
"""Seconds to wait for the end of a body whose last event has come, so that its connection can be used again."""


class OpenAI:
    """A model behind chat completions.

        OpenAI("gpt-5-mini")                                            # key from OPENAI_API_KEY
        OpenAI("qwen3", base_url="http://127.0.0.1:8000/v1")            # vLLM, Ollama...: no key needed
        OpenAI("grok-4", base_url="https://api.x.ai/v1", api_key=key, logprobs=False)

    Set `logprobs=False` for an endpoint or a reasoning model that gives none: gates that need them then say so when
    the cascade is built, and requests do not ask for them. Older endpoints want `max_tokens_field="max_tokens"`.
    DeepSeek and others want a model's thinking back: `thinking_field="reasoning_content"` (vLLM: "reasoning").

    The key in OPENAI_API_KEY is sent only where no `base_url` is given: it is nobody else's business. Without a
    `price` the price sheet is asked. `timeout` is in seconds, for each read; the SDK's own is ten minutes. A
    `client` of your own belongs to the event loop it is first used in, and closing it is yours. The SDK's own
    retries are off in any case.
    """

    speaks = "openai"
    remote = True  # asked over a network: a tier makes it a pool, which retries

    def __init__(  # noqa: PLR0913 # the settings of one thing, all but one named
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: "AsyncOpenAI | None" = None,
        logprobs: bool = True,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        max_tokens_field: MaxTokensField = "max_completion_tokens",
        thinking_field: str | None = None,
        price: "Price | None" = None,
        organization: str | None = None,
    ) -> None:
        """Check the settings and load the SDK; nothing is sent."""
        if not model:
            raise ConfigError("a model needs a name")
        if max_tokens_field not in ("max_completion_tokens", "max_tokens"):
            msg = f"max_tokens_field must be max_completion_tokens or max_tokens, not {max_tokens_field!r}"
            raise ConfigError(msg)
        if timeout is not None and not timeout > 0:
            msg = f"timeout must be above zero, not {timeout!r}; None is the SDK's own"
            raise ConfigError(msg)
        self.name = model
        self.gives = frozenset({"logprobs"}) if logprobs else frozenset[str]()
        self.base_url = checked_url(base_url)
        self.provider = self.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI  # whose prices hold
        self.price = price
        options: dict[str, Any] = {"max_retries": 0}
        if timeout is not None:
            options["timeout"] = timeout
        if headers:
            options["default_headers"] = dict(headers)
        self._clients: PerLoop[AsyncOpenAI] | None = None
        self._client: Callable[[], AsyncOpenAI]
        if client is None:
            key = key_for(api_key, base_url)
            library = sdk()
            options |= {"api_key": key, "base_url": base_url, "organization": organization}
            self._clients = PerLoop(
                lambda: library.AsyncOpenAI(**options, http_client=library.DefaultAsyncHttpxClient(verify=tls())),
                lambda made: made.close(),
            )
            self._client = self._clients.get
        elif api_key or base_url or organization:
            raise ConfigError("a client brings its own api_key, base_url and organization: give those, or a client")
        else:
            given = checked_client(client).with_options(**options)
            key = given.api_key
            self.base_url = self.provider = str(given.base_url)
            self._client = lambda: given
        self.account = account("openai", self.provider, model, str(key), organization)  # who share its rate limits
        secrets = [value for name, value in (headers or {}).items() if any(word in name.lower() for word in SECRET)]
        hide = partial(scrub, secrets=(*secrets, key) if key != NO_KEY else tuple(secrets))
        self._dialect = Dialect("openai", max_tokens_field, thinking_field, hide)

    async def complete(self, request: Request, /) -> Reply:
        """Ask, and wait for the whole reply."""
        sent = self._sent(request)
        with Failures(self._dialect) as failures:
            response = await self._client().chat.completions.with_raw_response.create(**sent)
            request_id = response.headers.get(REQUEST_ID) or ""
            return read(response.http_response.content, self._dialect, self.name, request_id)
        return failures.settle()

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply]:
        """Ask, and give the reply as it comes; at last the whole."""
        sent = self._sent(request, stream=True)
        reply: Reply | None = None
        with Failures(self._dialect) as failures:
            async with self._client().chat.completions.with_streaming_response.create(**sent) as response:
                failures.begun = True
                failures.request_id = response.headers.get(REQUEST_ID) or ""
                # An endpoint that does not stream answers with one body; so do some that failed.
                whole = "json" in response.headers.get("content-type", "")
                events = Events(whole=whole)
                pieces = Pieces(self._dialect, self.name, failures.request_id)
                arriving = response.iter_bytes()
                async for data in arriving:
                    for event, error in events.feed(data):
                        for delta in pieces.event(event, error=error):
                            yield delta
                    if pieces.done:
                        await _drain(arriving)
                        break
                for delta in pieces.event(events.end()):
                    yield delta
                pieces.done = pieces.done or whole
                reply = pieces.reply()
        yield failures.settle() if reply is None else reply

    async def probe(self) -> None:
        """See whether anybody is there: ask what is known of the model, which costs no tokens.

        Whatever is answered, short of a failure of the server's, is a sign of life: a key that is refused too. Raises
        `BackendError`.
        """
        with Failures(self._dialect) as failures:  # a list of all models can be long, and has no limit
            await self._client().models.with_raw_response.retrieve(self.name)
            return
        if not 0 < (failures.failure.failure.status or 0) < 500:
            raise failures.failure

    async def aclose(self) -> None:
        """Close the connections of the running loop; not those of a client of your own."""
        if self._clients is not None:
            await self._clients.aclose()

    def __repr__(self) -> str:
        """Show which model of which endpoint, and no secret."""
        where = f", base_url={scrub(self.base_url)!r}" if self.base_url else ""
        return f"OpenAI({self.name!r}{where}{'' if self.gives else ', logprobs=False'})"

    def _sent(self, request: Request, *, stream: bool = False) -> dict[str, Any]:
        sent = chat(request, self.name, self._dialect, logprobs=bool(self.gives))
        own = own_options(request, "openai")
        told = own.pop("stream_options", {})
        if stream:
            sent["stream"] = True
            if told is not None:  # an endpoint that knows no such thing is spared it
                sent["stream_options"] = {"include_usage": True, **told}
        if own:
            sent["extra_body"] = own
        if spans.tracer is not None:
            sent["extra_headers"] = spans.headers()
        return sent


async def _drain(arriving: AsyncIterator[bytes]) -> None:
    """Read on to the end of the body, which is all but there."""
    from asyncio import timeout  # noqa: PLC0415 # importing the package must not load asyncio

    with suppress(Exception):  # the reply is whole, whatever becomes of its connection
        async with timeout(DRAIN):
            async for _ in arriving:
                pass
