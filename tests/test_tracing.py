"""Spans of what a cascade does in process: real SDK, real sockets where something is sent."""

import asyncio
import contextlib
import json
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from fastcascade import Cascade, ConfigError, Tier, spans
from fastcascade.errors import BackendError
from fastcascade.fallbacks.hedge import Hedge
from fastcascade.messages import Request
from fastcascade.telemetry.events import HUB, Decision
from fastcascade.telemetry.tracing import Tracing
from traced import PARENT, Says, Waits, ladder, traced


def test_a_run_is_a_tree_of_spans_with_the_names_of_the_conventions() -> None:
    """The request, below it each attempt, below that its call; attributes are those of the GenAI conventions."""
    with traced() as kept:
        answer = asyncio.run(ladder().run("hello", task="chat", max_tokens=9))
    assert kept.tree() == [
        "invoke_workflow support",
        "invoke_workflow support > attempt large",
        "invoke_workflow support > attempt large > chat opus",
        "invoke_workflow support > attempt small",
        "invoke_workflow support > attempt small > chat haiku",
    ]
    root, call = kept.one("invoke"), kept.one("chat haiku")
    assert (root.kind, call.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    assert dict(call.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "says",
        "gen_ai.request.model": "haiku",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.response.model": "haiku",
        "gen_ai.response.id": "r-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "fastcascade.tier": "small",
        "fastcascade.purpose": "answer",
    }
    said = dict(root.attributes or {})
    assert said["gen_ai.operation.name"] == "invoke_workflow"
    assert said["gen_ai.workflow.name"] == "support"
    assert (said["fastcascade.layer"], said["fastcascade.tier"], said["fastcascade.slice"]) == (
        "dispatch",
        "large",
        "chat",
    )
    assert (said["fastcascade.attempts"], said["fastcascade.escalations"]) == (2, 1)
    assert said["fastcascade.cost_usd"] == answer.cost_usd


def test_an_attempt_has_what_its_gate_found() -> None:
    """Verdict, score and the kind of gate; its reason only with texts, since it may repeat what was said."""
    with traced() as kept:
        asyncio.run(ladder().run("hello"))
    said = dict(kept.one("attempt small").attributes or {})
    assert said["fastcascade.verdict"] == said["gen_ai.evaluation.score.label"] == "escalate"
    assert (said["gen_ai.evaluation.score.value"], said["gen_ai.evaluation.name"]) == (0.25, "unsure")
    assert "gen_ai.evaluation.explanation" not in said


def test_what_was_said_is_part_of_it_only_with_texts() -> None:
    """Prompts and answers leave when that is switched on, in the form of the conventions, and never else."""
    request = Request.of("the prompt of a user", system="be brief")
    with traced() as kept:
        asyncio.run(ladder().run(request))
    assert "the prompt" not in kept.everything()
    assert "I am" not in kept.everything()
    with traced(texts=True) as kept:
        asyncio.run(ladder().run(request))
    said = dict(kept.one("chat haiku").attributes or {})
    assert json.loads(str(said["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "the prompt of a user"}]}
    ]
    assert json.loads(str(said["gen_ai.system_instructions"])) == [{"type": "text", "content": "be brief"}]
    assert json.loads(str(said["gen_ai.output.messages"])) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "I am haiku"}], "finish_reason": "stop"}
    ]
    assert "gen_ai.evaluation.explanation" in (kept.one("attempt small").attributes or {})


def test_a_failure_is_told_by_its_kind_and_not_in_the_providers_words() -> None:
    """`error.type` is the kind of failure, on the call, its attempt, and the request where nobody else answered."""
    error = BackendError("rate_limited", "the provider said this", status=429)
    cascade = Cascade(Tier(Says("haiku", error), name="only"), last_resort=None)
    with traced() as kept, pytest.raises(Exception, match="only"):
        asyncio.run(cascade.run("hello"))
    for name, kind in (("chat", "rate_limited"), ("attempt", "rate_limited"), ("invoke", "no answer")):
        span = kept.one(name)
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == kind
    assert (kept.one("chat").attributes or {})["http.response.status_code"] == 429
    assert "the provider said" not in kept.everything()


def test_a_call_that_took_too_long_is_a_timeout() -> None:
    """Whoever was cut off by the tier's own limit has failed; it was not given up."""

    async def main() -> None:
        await Cascade(Tier(Waits("slow"), name="slow", timeout=0.01), Tier(Says("opus"), name="large")).run("hello")

    with traced() as kept:
        asyncio.run(main())
    assert (kept.one("chat slow").attributes or {})["error.type"] == "timeout"


def test_the_loser_of_a_hedge_ends_without_being_an_error() -> None:
    """A call that was not wanted any more has a span that ends, and says so."""

    async def main() -> None:
        cascade = Cascade(
            Tier(Waits("slow"), name="slow", quality=0.5), Tier(Says("opus"), name="large"), hedge=Hedge(likely=0.1)
        )
        await cascade.run("hello")

    with traced() as kept:
        asyncio.run(main())
    lost = kept.one("chat slow")
    assert (lost.attributes or {})["fastcascade.cancelled"] is True
    assert lost.status.status_code is StatusCode.UNSET
    assert (kept.one("attempt slow").attributes or {})["fastcascade.verdict"] == "cancelled"


def test_a_run_that_is_cancelled_leaves_no_span_open() -> None:
    """All spans end when whoever waits gives up, and the request's says that it was."""

    async def main(stream: bool) -> None:
        slow = Waits("slow")
        cascade = Cascade(Tier(slow, name="slow"))

        async def go() -> None:
            if not stream:
                await cascade.run("hello")
            async for _ in cascade.stream("hello"):
                pass

        task = asyncio.create_task(go())
        await slow.asked.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    for stream in (False, True):
        with traced() as kept:
            asyncio.run(main(stream))
        assert len(kept.spans) == 3
        assert all((each.attributes or {}).get("fastcascade.cancelled") for each in kept.named("chat"))
        assert (kept.one("invoke").attributes or {})["fastcascade.cancelled"] is True


def test_the_span_of_a_stream_ends_when_it_does() -> None:
    """While pieces come neither the call's span nor the request's has ended; at the end both have."""

    async def main() -> None:
        stream = ladder(gate=False).stream("hello")
        await anext(stream)
        assert kept.spans == ()
        async for _ in stream:
            pass
        assert len(kept.spans) == 3

    with traced() as kept:
        asyncio.run(main())
    said = kept.one("chat").attributes or {}
    assert said["gen_ai.request.stream"] is True
    assert "gen_ai.response.time_to_first_chunk" in said


def test_a_stream_that_is_left_ends_its_spans() -> None:
    """Leaving early is no error, and nothing stays open."""

    async def main() -> None:
        async with ladder(gate=False).stream("hello") as stream:
            await anext(stream)

    with traced() as kept:
        asyncio.run(main())
    assert len(kept.spans) == 3
    assert all(each.status.status_code is StatusCode.UNSET for each in kept.spans)


def test_two_streams_read_in_turns_do_not_mix() -> None:
    """Pieces of two answers asked for by one task, one by one: each call stands in its own request's trace."""

    async def main() -> None:
        streams = [ladder(gate=False).stream("hello") for _ in range(2)]
        for _ in range(3):
            for each in streams:
                await anext(each, None)
        assert trace.get_current_span().get_span_context().is_valid is False

    with traced() as kept:
        asyncio.run(main())
    ids = {each.context.trace_id for each in kept.spans if each.context}
    assert len(ids) == 2
    assert kept.tree().count("invoke_workflow support > attempt small > chat haiku") == 2


def test_requests_at_the_same_time_do_not_mix() -> None:
    """Of fifty at once each has its own trace, whole; nothing is current when they are over."""

    async def main() -> None:
        cascade = ladder()
        await asyncio.gather(*(cascade.run("hello") for _ in range(50)))
        assert trace.get_current_span().get_span_context().is_valid is False

    with traced() as kept:
        asyncio.run(main())
    sizes: dict[int, int] = {}
    for each in kept.spans:
        assert each.context is not None
        sizes[each.context.trace_id] = sizes.get(each.context.trace_id, 0) + 1
    assert sorted(sizes.values()) == [5] * 50


@pytest.mark.parametrize("way", ["run", "run_sync", "stream"])
def test_the_span_that_is_current_is_the_parent(way: str) -> None:
    """In process a request belongs to the trace of whoever asks, also on the loop behind plain code."""
    cascade = ladder()
    backend: Any = cascade.tiers[0].backend

    async def streamed() -> None:
        async for _ in cascade.stream("hello"):
            pass

    with traced() as kept:
        with kept.provider.get_tracer("user").start_as_current_span("handler") as outer:
            if way == "run_sync":
                cascade.run_sync("hello")
            else:
                asyncio.run(cascade.run("hello") if way == "run" else streamed())
        root = kept.one("invoke")
        assert root.parent is not None
        assert root.parent.span_id == outer.get_span_context().span_id
        inside = getattr(backend, "straight", None)
        called = (inside.backend if inside is not None else backend).inside[0]
        assert called == kept.one("chat haiku").context


def test_a_share_of_none_traces_nothing_but_what_came_with_a_trace() -> None:
    """Without a parent nobody gets a span; with one everybody does."""
    cascade = ladder()
    with traced(share=0.0) as kept:
        asyncio.run(cascade.run("hello"))
        assert kept.spans == ()
        with kept.provider.get_tracer("user").start_as_current_span("handler"):
            asyncio.run(cascade.run("hello"))
    assert len(kept.spans) == 6


def test_what_was_answered_before_anything_was_traced_has_its_span_afterwards() -> None:
    """A decision told where no request is under way is one span, below what it names, as long as it took."""
    with traced() as kept:
        HUB.tell(
            Decision("cache", "bytes", 1_000.5, 0.25, status=200, path="/v1/messages", method="POST", parent=PARENT)
        )
        HUB.tell(Decision("entry", "503", 1_001.0, None, status=503, parent="0" * 10_000))
    hit, full = kept.named("POST")[0], kept.one("request")
    assert (hit.start_time, hit.end_time) == (1_000_250_000_000, 1_000_500_000_000)
    assert hit.parent is not None
    assert f"{hit.parent.span_id:016x}" == PARENT[36:52]
    assert (full.parent, full.status.status_code) == (None, StatusCode.ERROR)


def test_what_runs_beside_a_request_has_its_calls_in_the_same_trace() -> None:
    """A flow that goes on when its request is over adds calls to the trace, and opens no attempt that nobody ends."""
    with traced() as kept:
        assert isinstance(spans.tracer, Tracing)
        with spans.tracer.begun() as trail:
            trail.call(Says("haiku"), Request.of("x"), "small/answer").end(None)
        trail.call(Says("opus"), Request.of("x"), "large/answer").end(None)
    assert kept.tree() == [
        "request",
        "request > attempt small",
        "request > attempt small > chat haiku",
        "request > chat opus",
    ]


# Switching it on and off.


def test_only_one_traces_at_a_time() -> None:
    """A second one is refused, and after the first has ended nothing is left of it."""
    before = HUB.listeners
    with traced(), pytest.raises(ConfigError, match="traces already"):
        Tracing().begin()
    assert spans.tracer is None
    assert HUB.listeners == before
    with pytest.raises(ConfigError, match="share"):
        Tracing(share=2)


def test_an_answer_that_asked_nobody_has_its_span_afterwards() -> None:
    """A kept or a static answer is one span, as long as it took."""
    with traced() as kept:
        Cascade(lambda _: None, last_resort="Back soon.").run_sync("hello")
    root = kept.one("invoke")
    assert (root.attributes or {})["fastcascade.via"] == "static"
    assert (root.attributes or {})["fastcascade.layer"] == "fallback"


@pytest.mark.parametrize("when", ["on_start", "on_end"])
def test_a_processor_that_fails_loses_no_request(when: str) -> None:
    """Whatever somebody's processor of spans raises, the answer comes, whole and as a stream."""

    class Failing(SpanProcessor):
        pass

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    setattr(Failing, when, fail)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Failing())

    async def main() -> None:
        assert (await ladder().run("hello")).text == "I am opus"
        assert "".join([piece async for piece in ladder(gate=False).stream("hello").text()]) == "I am haiku"

    with Tracing(provider):
        asyncio.run(main())


ALONE = """
import asyncio, sys
for name in ("opentelemetry.sdk", "opentelemetry.exporter"):
    sys.modules[name] = None
from fastcascade import Cascade, Tier
from fastcascade.errors import ConfigError
from fastcascade.telemetry.tracing import Tracing

async def says(request):
    return "fine"

with Tracing():
    assert asyncio.run(Cascade(Tier(says)).run("hello")).text == "fine"
    assert Cascade(Tier(says)).run_sync("hello").text == "fine"
from fastcascade.gateway.settings_seen import TracingSettings
from fastcascade.telemetry.tracing_served import tracing_of
try:
    tracing_of(TracingSettings())
except ConfigError as error:
    assert "fastcascade[otel]" in str(error), error
else:
    raise AssertionError
"""


def test_without_the_sdk_it_does_nothing_and_harms_nothing() -> None:
    """With the API alone spans are no-ops; a gateway that is to send them says what is missing."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", ALONE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_the_package_loads_no_opentelemetry() -> None:
    """Nobody pays for it who does not trace."""
    code = (
        "import sys, fastcascade; fastcascade.Cascade; assert not any('opentelemetry' in each for each in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
