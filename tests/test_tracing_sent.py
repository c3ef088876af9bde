"""What servers are told of the span that asks, and what is taken of the headers that come in."""

import asyncio
import contextlib
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from fastcascade import Cascade, Tier, spans
from fastcascade.backends.anthropic import Anthropic
from fastcascade.backends.direct import Direct
from fastcascade.backends.litellm import LiteLLM
from fastcascade.backends.openai import OpenAI
from fastcascade.clients import http_client
from fastcascade.fallbacks.retry import Retry
from fastcascade.telemetry.tracing import PARENT as SHAPE
from fastcascade.telemetry.tracing import Tracing
from traced import PARENT, SECRET, asks, ladder, traced
from wire import anthropic as claude
from wire import openai as gpt
from wire.server import WireServer

# What servers are told.

Making = Callable[[str], Any]
BACKENDS: dict[str, tuple[Making, str]] = {
    "direct openai": (lambda url: Direct("m", wire="openai", base_url=f"{url}/v1", api_key=SECRET), "openai"),
    "direct anthropic": (lambda url: Direct("m", wire="anthropic", base_url=url, api_key=SECRET), "anthropic"),
    "openai": (lambda url: OpenAI("m", base_url=f"{url}/v1", api_key=SECRET), "openai"),
    "anthropic": (lambda url: Anthropic("m", base_url=url, api_key=SECRET), "anthropic"),
}


def answered(server: WireServer, wire: str, *, stream: bool) -> None:
    """Queue an answer."""
    whole: Any = gpt.completion("Hi") if wire == "openai" else claude.message([claude.text("Hi")])
    if stream:
        server.stream(gpt.frames(whole) if wire == "openai" else claude.frames(whole))
    else:
        server.reply(200, whole)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", BACKENDS)
def test_each_call_says_which_span_asks(name: str, stream: bool) -> None:
    """A model's server gets the `traceparent` of the very call, and the `tracestate` of the trace; no key leaves."""
    make, wire = BACKENDS[name]

    async def main(url: str) -> None:
        cascade = Cascade(Tier(make(url), name="only"))
        if stream:
            async for _ in cascade.stream("hello"):
                pass
        else:
            assert (await cascade.run("hello")).text == "Hi"
        await cascade.aclose()

    with WireServer() as server, traced() as kept:
        answered(server, wire, stream=stream)
        assert isinstance(spans.tracer, Tracing)
        trail = spans.tracer.begun({"traceparent": PARENT, "tracestate": "a=1,b=2"})
        with trail:
            asyncio.run(main(server.url))
    call = kept.one("chat m")
    assert server.seen[0].headers["traceparent"] == asks(call)
    assert server.seen[0].headers["tracestate"] == "a=1,b=2"
    assert asks(call)[3:35] == PARENT[3:35]
    said = call.attributes or {}
    assert (said["gen_ai.provider.name"], said["server.address"]) == (wire, "127.0.0.1")
    assert said["server.port"] == int(server.url.rpartition(":")[2])
    assert SECRET not in kept.everything()


def test_each_try_of_a_retry_is_a_call_of_its_own() -> None:
    """Two tries, two spans, two `traceparent`s; the first has failed."""

    async def main(url: str) -> None:
        backend = Direct("m", wire="openai", base_url=f"{url}/v1")
        cascade = Cascade(Tier(backend, name="only"), fallbacks=[Retry(base=0.0)])
        assert (await cascade.run("hello")).text == "Hi"
        await cascade.aclose()

    with WireServer() as server, traced() as kept:
        server.reply(503, gpt.error("not now"))
        answered(server, "openai", stream=False)
        asyncio.run(main(server.url))
    first, second = kept.named("chat m")
    assert [each.headers["traceparent"] for each in server.seen] == [asks(first), asks(second)]
    assert (first.attributes or {})["error.type"] == "overloaded"
    assert second.status.status_code is StatusCode.UNSET
    assert "not now" not in kept.everything()


def test_an_sdk_client_in_process_is_traced_too() -> None:
    """What comes in by `http_client` is one request, and its headers' trace is the parent."""
    import openai  # noqa: PLC0415 - half a second

    async def main() -> None:
        client = openai.AsyncOpenAI(http_client=http_client(ladder(gate=False)), api_key=SECRET, base_url="http://x/v1")
        for stream in (False, True):
            made: Any = await client.chat.completions.create(
                model="any",
                messages=[{"role": "user", "content": "hello"}],
                stream=stream,
                extra_headers={"traceparent": PARENT},
            )
            if stream:
                async for _ in made:
                    pass
        await client.close()

    with traced() as kept:
        asyncio.run(main())
    assert [each.name.partition(" ")[0] for each in kept.spans].count("chat") == 2
    assert {f"{each.context.trace_id:032x}" for each in kept.spans if each.context} == {PARENT[3:35]}
    assert len(kept.spans) == 6
    assert SECRET not in kept.everything()


def test_litellm_is_told_which_span_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the headers that its parameters name; a stand-in for the package, which is not always there."""
    sent: list[dict[str, Any]] = []

    class Package:
        provider_list: tuple[str, ...] = ()

        @staticmethod
        async def acompletion(**given: Any) -> Any:
            sent.append(given)
            raise ConnectionError("nobody there")

    monkeypatch.setitem(sys.modules, "litellm", Package)
    with traced() as kept:
        cascade = Cascade(Tier(LiteLLM("m", extra_headers={"x-ours": "1"}), name="only"))
        with contextlib.suppress(Exception):
            asyncio.run(cascade.run("hello"))
    assert sent[0]["extra_headers"] == {"x-ours": "1", "traceparent": asks(kept.named("chat")[0])}


def test_servers_are_told_of_a_request_that_nobody_traces() -> None:
    """What is left out by its share says so to those below, by the flags of one and the same trace."""

    async def main(url: str) -> None:
        cascade = Cascade(Tier(Direct("m", wire="openai", base_url=f"{url}/v1"), name="only"))
        await cascade.run("hello")
        await cascade.aclose()

    with WireServer() as server, traced(share=0.0) as kept:
        answered(server, "openai", stream=False)
        asyncio.run(main(server.url))
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", server.seen[0].headers["traceparent"])
    assert kept.spans == ()


# What comes in.

HOSTILE = [
    "",
    "00",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
    f"{PARENT}-more",
    f"{PARENT}, {PARENT}",
    f"{PARENT}\n{PARENT}",
    "0" * 10_000,
    f"{PARENT}-{'x' * 10_000}",
    "٠٠-" + PARENT[3:],
]


@pytest.mark.parametrize("parent", HOSTILE)
def test_a_hostile_traceparent_is_passed_over(parent: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is no `traceparent` begins a trace of its own, and nobody can fill the log with it."""
    with traced() as kept:
        assert isinstance(spans.tracer, Tracing)
        with spans.tracer.begun({"traceparent": parent, "tracestate": "=" * 10_000}, served=True):
            asyncio.run(ladder().run("hello"))
    outer = kept.one("request")
    assert outer.parent is None
    assert caplog.records == []


@given(st.text("0123456789abcdef-f", max_size=70) | st.from_regex(SHAPE, fullmatch=True))
def test_a_traceparent_is_read_as_opentelemetry_does(parent: str) -> None:
    """What is taken is what its own reader takes, and it has nothing to complain of."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    ours = trace.get_current_span(Tracing._around({"traceparent": parent})).get_span_context()  # noqa: SLF001
    theirs = trace.get_current_span(TraceContextTextMapPropagator().extract({"traceparent": parent}))
    assert ours == theirs.get_span_context()
