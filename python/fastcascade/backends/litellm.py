"""Any model that litellm reaches, through litellm: `pip install 'fastcascade[litellm]'`."""

import os
from collections.abc import AsyncIterator, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from fastcascade import spans
from fastcascade.backends.failures import scrub
from fastcascade.backends.openai_failures import REFUSING, Failures
from fastcascade.backends.openai_reply import Pieces, read
from fastcascade.backends.openai_wire import Dialect, chat, own_options
from fastcascade.errors import BackendError, ConfigError
from fastcascade.messages import Delta, Reply, Request

if TYPE_CHECKING:
    from fastcascade.prices import Price

__all__ = ["LiteLLM"]

SECRET: Final = ("credential", "key", "password", "secret", "token")
"""What the name of a parameter has in it whose value must not be repeated."""
ONCE: Final = {"num_retries": 0, "max_retries": 0}
OURS: Final = frozenset({*ONCE, "fallbacks", "context_window_fallback_dict", "messages", "model", "n", "stream"})
REQUEST_ID: Final = "llm_provider-x-request-id"


class LiteLLM:
    """A model by the name litellm gives it; `params` go to every call: `api_key`, `api_base`, `timeout`...

        LiteLLM("groq/llama-3.3-70b-versatile", api_key=key)

    Requests are translated as for chat completions (see openai_wire.py), with `options["litellm"]` beside them.
    Set `logprobs` where the model gives log-probabilities: litellm refuses to ask those that do not.

    What litellm changes is changed here too. In streams it loses the text of a refusal, and whether the wire's own
    end came after the finish reason; a whole reply without a reason it ends with "stop"; and usage that the provider
    does not report it counts itself. It fetches its price list from the network when it is imported, unless
    LITELLM_LOCAL_MODEL_COST_MAP is "True".
    """

    remote = True  # asked over a network: a tier makes it a pool, which retries

    def __init__(
        self,
        model: str,
        *,
        logprobs: bool = False,
        thinking_field: str | None = None,
        price: "Price | None" = None,
        **params: Any,
    ) -> None:
        """Check the settings and load litellm; nothing is sent."""
        if not model:
            raise ConfigError("a model needs a name")
        if taken := sorted(OURS.intersection(params)):
            msg = f"litellm may not be told {taken[0]}: what is asked, and how often, is for the cascade to say"
            raise ConfigError(msg)
        try:
            os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it fetches one while it is imported
            self._litellm: Any = import_module("litellm")  # seconds, paid when a backend is built
        except ImportError:
            raise ConfigError("the LiteLLM backend needs litellm: pip install 'fastcascade[litellm]'") from None
        self.name = model
        self.gives = frozenset({"logprobs"}) if logprobs else frozenset[str]()
        self.price = price
        # What the price sheet knows it by: "groq/llama-3" is llama-3 at groq's.
        before, _, after = model.rpartition("/")
        self.provider, self.listed = before or None, after
        self.base_url: str | None = params.get("api_base") or params.get("base_url") or _address(self._litellm, model)
        self._params = params
        secrets = [value for name, value in params.items() if any(word in name.lower() for word in SECRET)]
        hide = partial(scrub, secrets=tuple(value for value in secrets if isinstance(value, str)))
        self._dialect = Dialect("litellm", "max_tokens", thinking_field, hide)

    async def complete(self, request: Request, /) -> Reply:
        """Ask, and wait for the whole reply."""
        sent = self._sent(request)
        with _Failures(self._dialect) as failures:
            response = await self._litellm.acompletion(**sent)
            return read(_plain(response), self._dialect, self.name, _request_id(response))
        return failures.settle()

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply]:
        """Ask, and give the reply as it comes; at last the whole."""
        sent = self._sent(request)
        sent["stream_options"] = {"include_usage": True, **sent.get("stream_options", {})}
        reply: Reply | None = None
        with _Failures(self._dialect) as failures:
            arriving = await self._litellm.acompletion(**sent, stream=True)
            failures.begun = True
            failures.request_id = _request_id(arriving)
            pieces = Pieces(self._dialect, self.name, failures.request_id)
            try:
                async for chunk in arriving:
                    for delta in pieces.feed(_plain(chunk)):
                        yield delta
            finally:
                await _close(arriving)
            if not _finished(arriving):
                raise BackendError("cut", "the stream ended without a finish_reason", request_id=failures.request_id)
            pieces.done = True
            reply = pieces.reply()
        yield failures.settle() if reply is None else reply

    def __repr__(self) -> str:
        """Show which model, and none of its parameters."""
        return f"LiteLLM({self.name!r}{', logprobs=True' if self.gives else ''})"

    def _sent(self, request: Request) -> dict[str, Any]:
        asked = chat(request, self.name, self._dialect, logprobs=bool(self.gives))
        # Without the package mcp, litellm 1.106 fails wherever there are tools, unless told not to look among them
        # for servers.
        spared = {"_skip_mcp_handler": True} if request.tools and find_spec("mcp") is None else {}
        sent = {**self._params, **asked, **own_options(request, "litellm"), **ONCE, **spared}
        if spans.tracer is not None:
            sent["extra_headers"] = {**(sent.get("extra_headers") or {}), **spans.headers()}
        return sent


class _Failures(Failures):
    """Looks below litellm's exceptions, which forget much of those they were made from: when to ask again, and who."""

    def _meant(self, error: Exception) -> BackendError | None:
        below: BaseException | None = error
        while below is not None and type(below).__module__.partition(".")[0] == "litellm":
            below = getattr(below, "original_exception", None) or below.__cause__ or below.__context__
        meant = super()._meant(below) if isinstance(below, Exception) else None
        meant = meant or super()._meant(error)
        if meant is not None and self.refusal is None and type(error).__name__ in REFUSING:
            self._refused("content_filter", meant)  # litellm knows some by their words
        return meant


def _address(litellm: Any, model: str) -> str | None:
    """Where litellm will ask, as far as it says: active checks see whether anybody is there."""
    if model.partition("/")[0] not in litellm.provider_list:
        return None  # which it would print a line about
    try:
        address: str | None = litellm.get_llm_provider(model)[3]
    except Exception:  # noqa: BLE001 - it has not been asked for anything yet, and the first call will tell
        return None
    return address


def _plain(response: Any) -> Any:
    """A response or a chunk as plain values; what litellm files under a name of its own is put back in its place."""
    body = response.model_dump()
    for choice in body.get("choices") or ():
        said = choice.get("delta") or choice.get("message") or {}
        for name, value in (said.pop("provider_specific_fields", None) or {}).items():
            if value and not said.get(name):
                said[name] = value
    return body


def _request_id(response: Any) -> str:
    hidden: Mapping[str, Any] = getattr(response, "_hidden_params", None) or {}
    return (hidden.get("additional_headers") or {}).get(REQUEST_ID) or ""


def _finished(stream: Any) -> bool:
    """Whether the provider said that it was done: litellm ends every stream with a reason, if need be its own."""
    reasons = ("received_finish_reason", "intermittent_finish_reason")
    return any(getattr(stream, name, "unknown") is not None for name in reasons)


async def _close(stream: Any) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
