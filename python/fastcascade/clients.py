"""The SDKs of Anthropic and of OpenAI, answered from a cascade in process: no server, no other change.

    client = anthropic.AsyncAnthropic(http_client=http_client(cascade), api_key="unused")
    client = openai.OpenAI(http_client=http_client(cascade, sync=True), api_key="unused")

Streams, tools, typed responses, token counts and lists of models work as with the provider; how an answer came is in
the headers of the raw response, `x-cascade-tier` and its like. Errors that the cascade has tried to mend are marked as
final, so that an SDK's own retries do not multiply them. A timeout of the SDK's bounds the cascade's deadline.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, overload

from fastcascade.cascade import Cascade
from fastcascade.errors import ConfigError
from fastcascade.wire.endpoint import ANYONE, Caller, Done, Endpoint

if TYPE_CHECKING:
    import httpx2

__all__ = ["http_client"]


@overload
def http_client(
    cascade: Cascade | Endpoint,
    *,
    sync: Literal[False] = ...,
    models: Mapping[str, Cascade] | None = ...,
    caller: Caller = ...,
    on_done: Callable[[Done], object] | None = ...,
) -> "httpx2.AsyncClient": ...


@overload
def http_client(
    cascade: Cascade | Endpoint,
    *,
    sync: Literal[True],
    models: Mapping[str, Cascade] | None = ...,
    caller: Caller = ...,
    on_done: Callable[[Done], object] | None = ...,
) -> "httpx2.Client": ...


def http_client(
    cascade: Cascade | Endpoint,
    *,
    sync: bool = False,
    models: Mapping[str, Cascade] | None = None,
    caller: Caller = ANYONE,
    on_done: Callable[[Done], object] | None = None,
) -> "httpx2.AsyncClient | httpx2.Client":
    """An HTTP client for an SDK, whose requests are answered by this cascade.

    Closing it, as the SDK's clients do, leaves the cascade open: it may have other users. What it runs for plain code
    is run in the background, as `Cascade.run_sync` does.

    Args:
        cascade: answers whatever model is asked for; or an `Endpoint` with settings of its own.
        sync: for the SDK's plain client, rather than its async one.
        models: cascades that are asked for by name, beside it.
        caller: who asks, and what is set for it.
        on_done: told once of each request, however it ended.
    """
    try:
        from fastcascade import client_transports as transports  # noqa: PLC0415 - it loads an HTTP client
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "httpx2":
            raise
        msg = "http_client needs httpx2, which comes with the SDKs: install 'fastcascade[anthropic]' or [openai]"
        raise ConfigError(msg) from None
    if isinstance(cascade, Endpoint):
        if models is not None or on_done is not None:
            raise ConfigError("an endpoint has models and on_done of its own: give them to it")
        endpoint = cascade
    else:
        named = dict(models or {})
        given: tuple[object, ...] = (cascade, *named.values())
        for each in given:
            if not isinstance(each, Cascade):
                msg = f"http_client is answered by a Cascade or an Endpoint, and not by {type(each).__name__}"
                raise ConfigError(msg)
        first = "cascade"
        while first in named:
            first += "-"
        endpoint = Endpoint({first: cascade, **named}, default=first, on_done=on_done)
    return transports.made(endpoint, caller, sync=sync)
