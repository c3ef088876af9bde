"""The whole cascade over the real SDKs and real sockets: a cheap tier on one wire format, a large one on the other."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fastcascade import (
    Answer,
    Cascade,
    IncompleteAnswer,
    Message,
    Price,
    PriceSheet,
    Request,
    Text,
    Tier,
    Tool,
    ToolCall,
    ToolResult,
    gates,
)
from fastcascade.backends import Anthropic, OpenAI
from fastcascade.fallbacks import Retry
from wire import anthropic as claude
from wire import openai as chat
from wire.server import Canned, Fault, Seen, WireServer

pytest.importorskip("anthropic")
pytest.importorskip("openai")

CHEAP, DEAR = Price(1.0, 5.0), Price(3.0, 15.0)
SPLIT = 6  # characters of a piece


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without their pauses: these are real, and tested elsewhere."""
    monkeypatch.setattr(Retry, "delay", lambda _self, _nth: 0.0)


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A server that speaks both formats."""
    with WireServer() as running:
        yield running


def cheap(server: WireServer) -> OpenAI:
    """A small model behind an OpenAI-compatible endpoint."""
    return OpenAI("small-1", api_key="made-up", base_url=f"{server.url}/v1")


def large(server: WireServer) -> Anthropic:
    """A large one behind Anthropic's."""
    return Anthropic("large-1", api_key="made-up", base_url=server.url)


def built(server: WireServer, gate: gates.Gate | None = None, stall: float = 30.0) -> Cascade:
    """The cheap tier with a gate, and the large one."""
    return Cascade(
        Tier(cheap(server), gate=gate or gates.Hedging(commit_after=40), accept=0.7, price=CHEAP, stall=stall),
        Tier(large(server), price=DEAR),
        prices=PriceSheet(source=None),
    )


def run(cascade: Cascade, asked: str | Request = "How far is it?", **fields: object) -> Answer:
    """Run it, and close its clients."""

    async def asking() -> Answer:
        try:
            return await cascade.run(asked, **fields)
        finally:
            await cascade.aclose()

    return asyncio.run(asking())


def stream(cascade: Cascade, asked: str = "How far is it?") -> tuple[str, Answer, bool]:
    """Stream it: what was seen, the answer, whether it is incomplete."""

    async def reading() -> tuple[str, Answer, bool]:
        seen = ""
        streaming = cascade.stream(asked)
        try:
            async for text in streaming.text():
                seen += text
        except IncompleteAnswer as error:
            return seen, error.answer, True
        finally:
            await streaming.aclose()
            await cascade.aclose()
        assert streaming.answer is not None
        return seen, streaming.answer, False

    return asyncio.run(reading())


def pieces(said: str) -> list[str]:
    """A text in pieces, as models send it."""
    return [said[at : at + SPLIT] for at in range(0, len(said), SPLIT)]


def both(server: WireServer, small: Canned, big: str = "It is 4 km.") -> None:
    """Answer each format in its own way, streamed where a stream is asked for."""
    whole = claude.message([claude.text(big)])

    def answer(seen: Seen) -> Canned:
        if seen.path.endswith("/chat/completions"):
            return small
        return Canned.streamed(claude.frames(whole, pieces)) if seen.body.get("stream") else Canned.plain(body=whole)

    server.handler = answer


def says(text: str) -> Canned:
    """The small model's reply."""
    return Canned.plain(body=chat.completion(text))


def streams(text: str, fault: Fault | None = None, at: int = 0) -> Canned:
    """The small model's reply as a stream."""
    return Canned.streamed(chat.frames(chat.completion(text), pieces), fault, at)


def test_the_cheap_tier_answers_where_it_is_sure(server: WireServer) -> None:
    """A plain statement passes the gate: one call, at the cheap price."""
    both(server, says("It is 4 km."))
    answer = run(built(server))
    assert (answer.text, answer.tier, len(server.seen)) == ("It is 4 km.", "small-1", 1)
    assert answer.reply is not None
    assert answer.reply.usage is not None
    assert answer.cost_usd == pytest.approx(CHEAP.cost(answer.reply.usage))


def test_a_doubtful_answer_escalates_across_providers(server: WireServer) -> None:
    """A hedged reply is paid for, and the other provider is asked."""
    both(server, says("I'm not sure, it might be 3 or maybe 5 km, it depends."))
    answer = run(built(server))
    assert (answer.text, answer.tier, answer.degraded) == ("It is 4 km.", "large-1", "")
    assert [attempt.verdict for attempt in answer.attempts] == ["escalate", "accept"]
    assert answer.cost_usd == pytest.approx(sum(attempt.cost_usd or 0.0 for attempt in answer.attempts))


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_refused_call_goes_to_the_other_provider_at_once(server: WireServer, status: int) -> None:
    """One try, no retries of the SDK's own, and the next tier answers."""
    both(server, Canned.plain(status, chat.error("no"), {"retry-after": "30"}))
    answer = run(built(server))
    assert (answer.tier, len(server.seen)) == ("large-1", 2)
    assert answer.attempts[0].error is not None
    assert answer.attempts[0].error.status == status


def test_a_gate_on_log_probabilities_sees_them(server: WireServer) -> None:
    """Log-probabilities are asked for on the wire because the gate needs them, and decide."""
    sure = chat.completion("Four", tokens=[chat.token("Four", -0.05)])
    unsure = chat.completion("Four", tokens=[chat.token("Four", -2.5)])
    both(server, Canned.plain(body=sure))
    gated = Cascade(Tier(cheap(server), gate=gates.Logprobs()), Tier(large(server)), prices=PriceSheet(source=None))
    assert run(gated).tier == "small-1"
    assert server.seen[0].body["logprobs"] is True
    both(server, Canned.plain(body=unsure))
    assert run(gated).tier == "large-1"


def test_a_conversation_with_tools_is_carried_across(server: WireServer) -> None:
    """A tool called by one provider's model, with its result, is read by the other's in its own form."""
    both(server, says("I'm not sure, maybe, it depends on many things, I think."))
    request = Request(
        (
            Message("user", "How far is Ulm?"),
            Message("assistant", (Text("I look."), ToolCall("call_1", "distance", '{"to": "Ulm", "ü": 1}'))),
            Message("user", (ToolResult("call_1", (Text("4 km, größer"),)),)),
        ),
        tools=(Tool("distance", "How far", {"type": "object", "properties": {"to": {"type": "string"}}}),),
    )
    assert run(built(server), request).tier == "large-1"
    small, big = server.seen
    assert small.body["messages"][1]["tool_calls"][0]["function"]["name"] == "distance"
    assert small.body["messages"][2] == {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": "4 km, größer",
    }
    assert big.body["messages"][1]["content"][1] == {
        "type": "tool_use",
        "id": "call_1",
        "name": "distance",
        "input": {"to": "Ulm", "ü": 1},
    }
    assert big.body["messages"][2]["content"][0]["tool_use_id"] == "call_1"


def test_a_tool_call_alone_is_an_answer(server: WireServer) -> None:
    """A reply that only calls a tool is not empty, and is not escalated for it."""
    call = chat.completion(None, "tool_calls", calls=[chat.tool_call("c1", "distance", '{"to": "Ulm"}')])
    both(server, Canned.plain(body=call))
    tools = (Tool("distance", schema={"type": "object", "required": ["to"]}),)
    answer = run(built(server, gates.Structure()), replace(Request.of("How far?"), tools=tools))
    assert (answer.tier, answer.tool_calls[0].input) == ("small-1", {"to": "Ulm"})


LONG = "Ulm lies exactly four kilometers from here, straight down the road and over the bridge. " * 4
BEFORE: list[tuple[Fault, int]] = [("cut", 2), ("drop_end", 3), ("garble", 2), ("reset", 2)]


@pytest.mark.parametrize(("fault", "at"), BEFORE)
def test_a_break_before_the_commit_point_is_never_seen(server: WireServer, fault: Fault, at: int) -> None:
    """What breaks while it is held back is answered by the other provider, and the client sees that alone."""
    both(server, streams(LONG, fault, at))
    seen, answer, incomplete = stream(built(server))
    assert (seen, answer.tier, incomplete) == ("It is 4 km.", "large-1", False)
    assert answer.attempts[0].verdict == "failed"


def test_a_stream_that_stalls_is_given_up(server: WireServer) -> None:
    """A tier that goes silent before its commit point is left for the next."""
    both(server, streams(LONG, "stall", 2))
    seen, answer, incomplete = stream(built(server, stall=0.2))
    assert (seen, answer.tier, incomplete) == ("It is 4 km.", "large-1", False)
    assert answer.attempts[0].error is not None
    assert answer.attempts[0].error.kind == "timeout"


@pytest.mark.parametrize("fault", ["cut", "drop_end", "garble"])
def test_a_break_after_the_commit_point_is_never_a_clean_end(server: WireServer, fault: Fault) -> None:
    """Once the client has seen something, a break ends the stream as incomplete; no other tier joins in."""
    frames = len(chat.frames(chat.completion(LONG), pieces))
    both(server, streams(LONG, fault, frames - 4))
    seen, answer, incomplete = stream(built(server))
    assert incomplete
    assert seen == answer.text
    assert LONG.startswith(seen)
    assert len(seen) > len(LONG) / 2
    assert (len(server.seen), answer.degraded) == (1, "incomplete")


def test_a_slow_stream_comes_whole(server: WireServer) -> None:
    """Byte by byte, in the middle of letters and of frames, a stream is what was said."""
    both(server, streams("Größe: 4 km, 你好.", "slow"))
    assert stream(built(server))[0] == "Größe: 4 km, 你好."


def test_cancelling_a_run_hangs_up(server: WireServer) -> None:
    """A run that is given up closes its connection: the provider can stop."""
    both(server, Canned.streamed([b"x"], "stall", 0))

    async def give_up() -> None:
        cascade = built(server)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cascade.run("q"), 0.3)
        await cascade.aclose()

    asyncio.run(give_up())
    assert server.gone.wait(10)
