"""The SDKs of Anthropic and of OpenAI, unchanged but for their base URL: against the gateway as against a provider."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from anthropic import beta_tool
from pydantic import BaseModel

from sdk_clients import claude, claude_async, connected, gpt, gpt_async, has_responses, of_claude, of_gpt
from sdk_side import CLAUDE, GPT, Side, as_gateway, as_provider, convert, weather

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
TOOLS: dict[str, Callable[..., str]] = {"weather": weather, "convert": convert}
SCHEMAS: dict[str, Any] = {
    "weather": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "convert": {"type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"]},
}
CALLED = [("weather", "Paris"), ("weather", "Oslo"), ("convert", 20.0), ("convert", 5.0)]
QUESTION = "weather in Paris and Oslo"
ANSWER = "It is 68 F and 41 F."


@pytest.fixture(scope="module", params=["gateway", "provider"])
def side(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """Where the SDKs are sent: one process of the gateway for all, then one server that speaks as the providers do."""
    made = as_gateway(tmp_path_factory.mktemp("sdks")) if request.param == "gateway" else as_provider()
    with made as one, connected(one):
        yield one


# Text and streams.


def test_text(side: Side) -> None:
    """Plain and async clients read the text, why it ended and what it took."""

    async def main() -> tuple[Any, Any]:
        async with claude_async(side) as client, gpt_async(side) as other:
            return await client.messages.create(**of_claude("hi")), await other.chat.completions.create(**of_gpt("hi"))

    with claude(side) as client, gpt(side) as other:
        plain: Any = client.messages.create(**of_claude("hi")), other.chat.completions.create(**of_gpt("hi"))
    for message, chat in (plain, asyncio.run(main())):
        assert [block.text for block in message.content] == ["hi"] and message.stop_reason == "end_turn"
        assert (message.usage.input_tokens, message.usage.output_tokens, message.role) == (12, 34, "assistant")
        assert (chat.choices[0].message.content, chat.choices[0].finish_reason) == ("hi", "stop")
        assert chat.usage.total_tokens == 46 and chat._request_id and message._request_id  # noqa: SLF001 - the SDKs' way


def test_responses(side: Side) -> None:
    """So they do of the Responses API, whole and in pieces."""
    has_responses(side)

    async def main() -> None:
        async with gpt_async(side) as client:
            assert (await client.responses.create(model=GPT, input="hi")).output_text == "hi"
            async with client.responses.stream(model=GPT, input="say one two three") as events:
                pieces = [event.delta async for event in events if event.type == "response.output_text.delta"]
                assert (await events.get_final_response()).output_text == "one two three"
            assert pieces == ["one ", "two ", "three"]

    asyncio.run(main())
    with gpt(side) as client:
        given = client.responses.create(model=GPT, input=[{"role": "user", "content": "hi"}], instructions="be brief")
        assert given.output_text == "hi" and given.status == "completed"
        assert given.usage and given.usage.total_tokens == 46
        kinds = [event.type for event in client.responses.create(model=GPT, input="say one two", stream=True)]
        assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_streams(side: Side) -> None:
    """Streams come in pieces by plain iteration and by the SDKs' helpers, and end with the whole."""
    said = ["one ", "two ", "three"]
    with claude(side) as client, gpt(side) as other:
        events: Any = client.messages.create(**of_claude("say one two three"), stream=True)
        assert [each.delta.text for each in events if each.type == "content_block_delta"] == said
        with client.messages.stream(**of_claude("say one two three")) as stream:
            assert list(stream.text_stream) == said
            assert stream.get_final_text() == "one two three"
        chunks: Any = other.chat.completions.create(**of_gpt("say one two three"), stream=True)
        pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
        assert [each for each in pieces if each] == said
        with other.chat.completions.stream(**of_gpt("say one two three")) as helped:
            assert [each.delta for each in helped if each.type == "content.delta" and each.delta] == said
            assert helped.get_final_completion().choices[0].finish_reason == "stop"


def test_streams_async(side: Side) -> None:
    """Likewise with the async clients; usage comes at the end where it is asked for."""
    said = ["one ", "two ", "three"]

    async def main() -> None:
        async with claude_async(side) as client, gpt_async(side) as other:
            async with client.messages.stream(**of_claude("say one two three")) as stream:
                assert [text async for text in stream.text_stream] == said
                assert (await stream.get_final_message()).stop_reason == "end_turn"
            usage: Any = {"include_usage": True}
            chunks: Any = await other.chat.completions.create(**of_gpt("hi"), stream=True, stream_options=usage)
            listed = [chunk async for chunk in chunks]
            assert listed[-1].usage.total_tokens == 46 and not listed[-1].choices
            async with other.chat.completions.stream(**of_gpt("say one two three")) as helped:
                pieces = [each.delta async for each in helped if each.type == "content.delta"]
                assert [each for each in pieces if each] == said

    asyncio.run(main())


def test_fifty_streams_at_once(side: Side) -> None:
    """Fifty streams at once, of both SDKs, each come to their own end."""

    async def main() -> None:
        async with claude_async(side) as client, gpt_async(side) as other:

            async def one(number: int) -> str:
                async with client.messages.stream(**of_claude(f"say this is {number}")) as stream:
                    return await stream.get_final_text()

            async def two(number: int) -> str:
                async with other.chat.completions.stream(**of_gpt(f"say this is {number}")) as stream:
                    return str((await stream.get_final_completion()).choices[0].message.content)

            said = await asyncio.gather(*((one, two)[number % 2](number) for number in range(50)))
            assert said == [f"this is {number}" for number in range(50)]

    asyncio.run(main())


# Agents.


class Run:
    """What an agent did: its turns, and the tools it ran."""

    def __init__(self) -> None:
        self.turns = 0
        self.called: list[tuple[str, Any]] = []

    def use(self, name: str, given: dict[str, Any]) -> str:
        """Run a tool."""
        self.called.append((name, *given.values()))
        return TOOLS[name](**given)

    def check(self, text: str | None) -> None:
        """Three turns, of which two called two tools each."""
        assert (text, self.turns, self.called) == (ANSWER, 3, CALLED)


async def agent_of_claude(side: Side, run: Run, *, streams: bool) -> str:
    """Anthropic's loop."""
    tools: list[Any] = [{"name": name, "input_schema": schema} for name, schema in SCHEMAS.items()]
    told = of_claude(QUESTION, tools=tools)
    async with claude_async(side) as client:
        while True:
            run.turns += 1
            if streams:
                async with client.messages.stream(**told) as stream:
                    message: Any = await stream.get_final_message()
            else:
                message = await client.messages.create(**told)
            if message.stop_reason != "tool_use":
                return str(message.content[0].text)
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": run.use(block.name, block.input)}
                for block in message.content if block.type == "tool_use"
            ]  # fmt: skip
            told["messages"] += [
                {"role": "assistant", "content": message.content},
                {"role": "user", "content": results},
            ]


async def agent_of_chat(side: Side, run: Run, *, streams: bool) -> str:
    """The loop with chat completions."""
    tools = [{"type": "function", "function": {"name": name, "parameters": it}} for name, it in SCHEMAS.items()]
    told = of_gpt(QUESTION, tools=tools)
    async with gpt_async(side) as client:
        while True:
            run.turns += 1
            if streams:
                async with client.chat.completions.stream(**told) as stream:
                    choice: Any = (await stream.get_final_completion()).choices[0]
            else:
                choice = (await client.chat.completions.create(**told)).choices[0]
            if choice.finish_reason != "tool_calls":
                return str(choice.message.content)
            told["messages"].append(choice.message)
            for call in choice.message.tool_calls:
                result = run.use(call.function.name, json.loads(call.function.arguments))
                told["messages"].append({"role": "tool", "tool_call_id": call.id, "content": result})


async def agent_of_responses(side: Side, run: Run, *, streams: bool) -> str:
    """The loop with responses."""
    has_responses(side)
    tools: Any = [{"type": "function", "name": name, "parameters": it, "strict": False} for name, it in SCHEMAS.items()]
    given: list[Any] = [{"role": "user", "content": QUESTION}]
    async with gpt_async(side) as client:
        while True:
            run.turns += 1
            if streams:
                async with client.responses.stream(model=GPT, input=given, tools=tools) as stream:
                    response: Any = await stream.get_final_response()
            else:
                response = await client.responses.create(model=GPT, input=given, tools=tools)
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                return str(response.output_text)
            given += response.output
            for call in calls:
                result = run.use(call.name, json.loads(call.arguments))
                given.append({"type": "function_call_output", "call_id": call.call_id, "output": result})


AGENTS: dict[str, Callable[..., Any]] = {
    "messages": agent_of_claude, "chat": agent_of_chat, "responses": agent_of_responses,
}  # fmt: skip


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", list(AGENTS))
def test_agents(side: Side, api: str, streams: bool) -> None:
    """An agent's loop runs through: three turns, two of which call two tools at once, with each of the three APIs."""
    run = Run()
    run.check(asyncio.run(AGENTS[api](side, run, streams=streams)))


def test_tool_runner(side: Side) -> None:
    """Anthropic's own loop runs the tools by itself, where it sends the whole conversation each time."""
    with claude(side) as client:
        tools: Any = [beta_tool(weather), beta_tool(convert)]
        runner: Any = client.beta.messages.tool_runner
        last = runner(**of_claude(QUESTION), tools=tools, thread=False).until_done()
    assert last.content[0].text == ANSWER


def test_tool_runner_with_threads(side: Side) -> None:
    """It does so too where it would rather send what is new alone: it is told that nothing is stored here."""
    with claude(side) as client:
        tools: Any = [beta_tool(weather), beta_tool(convert)]
        runner: Any = client.beta.messages.tool_runner
        last = runner(**of_claude(QUESTION), tools=tools).until_done()
    assert last.content[0].text == ANSWER


# What else is in a request.


def test_pictures(side: Side) -> None:
    """A picture comes through both SDKs."""
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    asked = {"type": "text", "text": "what is it?"}
    url = f"data:image/png;base64,{PIXEL}"
    with claude(side) as client, gpt(side) as other:
        message: Any = client.messages.create(**of_claude([{"type": "image", "source": source}, asked]))
        chat = other.chat.completions.create(**of_gpt([{"type": "image_url", "image_url": {"url": url}}, asked]))
    assert message.content[0].text == chat.choices[0].message.content == "pictures: image/png"


class City(BaseModel):
    """What is to be found."""

    name: str
    people: int


def test_typed(side: Side) -> None:
    """`parse` gives what the type says."""
    oslo = City(name="Oslo", people=700_000)
    with claude(side) as client, gpt(side) as other:
        assert client.messages.parse(**of_claude("which?"), output_format=City).parsed_output == oslo
        chat = other.chat.completions.parse(**of_gpt("which?"), response_format=City)
        assert chat.choices[0].message.parsed == oslo
        if side.is_gateway:
            assert other.responses.parse(model=GPT, input="which?", text_format=City).output_parsed == oslo


def test_stop_texts(side: Side) -> None:
    """What ends at a stop text says so, in the words of each."""
    with claude(side) as client, gpt(side) as other:
        message: Any = client.messages.create(**of_claude("count", stop_sequences=["three"]))
        assert (message.content[0].text, message.stop_reason) == ("one two ", "stop_sequence")
        chat = other.chat.completions.create(**of_gpt("count", stop=["three"])).choices[0]
        assert (chat.message.content, chat.finish_reason) == ("one two ", "stop")


def test_counts_and_models(side: Side) -> None:
    """Tokens are counted, and models listed and told of, to both SDKs."""
    with claude(side) as client, gpt(side) as other:
        counted = client.messages.count_tokens(model=CLAUDE, messages=[{"role": "user", "content": "a few words here"}])
        assert counted.input_tokens > 1
        if side.is_gateway:
            assert other.responses.input_tokens.count(model=GPT, input="a few words here").input_tokens > 1
        listed = {each.id for each in client.models.list()}
        assert {CLAUDE, GPT} <= listed == {each.id for each in other.models.list()}
        assert {client.models.retrieve(CLAUDE).id, other.models.retrieve(GPT).id} <= listed
        with pytest.raises(openai.NotFoundError):
            other.models.retrieve("none")
