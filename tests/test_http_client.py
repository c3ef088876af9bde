"""The SDKs of Anthropic and of OpenAI, answered from a cascade in process."""

import asyncio
import gc
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from pydantic import BaseModel

from fastcascade import Budget, Cascade, ConfigError, Image, Reply, Request, Text, Tier, ToolCall, ToolResult, Usage
from fastcascade.backends.function import Function
from fastcascade.clients import http_client
from fastcascade.testing import Cut, Fault, ScriptedBackend, Slow, Stall
from fastcascade.wire.endpoint import Done, Endpoint

HI: list[Any] = [{"role": "user", "content": "Hi"}]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def cascade_of(*script: Any, **settings: Any) -> tuple[Cascade, ScriptedBackend]:
    """A cascade with one tier that plays this script."""
    backend = ScriptedBackend(*script, name="scripted")
    return Cascade(Tier(backend, name="small"), **settings), backend


def claude(cascade: Any, **settings: Any) -> anthropic.AsyncAnthropic:
    """Anthropic's async client."""
    return anthropic.AsyncAnthropic(http_client=http_client(cascade), api_key="unused", **settings)


def gpt(cascade: Any, **settings: Any) -> openai.AsyncOpenAI:
    """OpenAI's async client."""
    return openai.AsyncOpenAI(http_client=http_client(cascade), api_key="unused", **settings)


def plain_claude(cascade: Any, **settings: Any) -> anthropic.Anthropic:
    """Anthropic's plain client."""
    return anthropic.Anthropic(http_client=http_client(cascade, sync=True), api_key="unused", **settings)


def plain_gpt(cascade: Any, **settings: Any) -> openai.OpenAI:
    """OpenAI's plain client."""
    return openai.OpenAI(http_client=http_client(cascade, sync=True), api_key="unused", **settings)


# Text.


def test_text() -> None:
    """All three formats answer their SDK's async client, which reads usage and how the answer came."""
    cascade, _ = cascade_of(Reply("Hello", model="scripted", usage=Usage(12, 3)))

    async def main() -> None:
        async with claude(cascade) as client:
            message = await client.messages.create(model="m", max_tokens=9, messages=HI)
            block: Any = message.content[0]
            assert (block.text, message.stop_reason, message.usage.input_tokens) == ("Hello", "end_turn", 12)
            assert message._request_id and message._request_id.startswith("req_")  # noqa: SLF001 - the SDK's way
            raw = await client.messages.with_raw_response.create(model="m", max_tokens=9, messages=HI)
            assert raw.headers["x-cascade-tier"] == "small"
        async with gpt(cascade) as other:
            chat = await other.chat.completions.create(model="m", messages=HI)
            assert chat.choices[0].message.content == "Hello" and chat.usage and chat.usage.total_tokens == 15
            assert chat._request_id  # noqa: SLF001 - likewise
            assert (await other.responses.create(model="m", input="Hi")).output_text == "Hello"

    asyncio.run(main())


def test_text_plain() -> None:
    """So do the plain clients, from plain code and from within a running event loop."""
    cascade, _ = cascade_of("Hello")

    def asked() -> None:
        with plain_claude(cascade) as client, plain_gpt(cascade) as other:
            message: Any = client.messages.create(model="m", max_tokens=9, messages=HI)
            assert message.content[0].text == "Hello"
            assert other.chat.completions.create(model="m", messages=HI).choices[0].message.content == "Hello"
            assert other.responses.create(model="m", input="Hi").output_text == "Hello"

    async def main() -> None:
        asked()

    asked()
    asyncio.run(main())


def test_base_urls() -> None:
    """The base URL may be any, with a path of its own; nothing is sent there."""
    cascade, _ = cascade_of("Hello")

    async def main() -> None:
        for base in ("https://nowhere.invalid/some/path/v1", "http://localhost:1/v1/"):
            chat = await gpt(cascade, base_url=base).chat.completions.create(model="m", messages=HI)
            assert chat.choices[0].message.content == "Hello"
        client = claude(cascade, base_url="https://nowhere.invalid/anthropic")
        assert (await client.messages.create(model="m", max_tokens=9, messages=HI)).content

    asyncio.run(main())


def test_other_paths() -> None:
    """What a cascade has no answer to is an error that says what it has, and that is not repeated."""
    cascade, backend = cascade_of("Hello")
    with pytest.raises(openai.NotFoundError, match="a cascade answers POST /v1/messages"):
        plain_gpt(cascade).embeddings.create(model="m", input="x")
    assert not backend.seen


# Streams.


def test_streams() -> None:
    """Streams come piece by piece, in each format, and end with the whole."""
    cascade, _ = cascade_of("one two three")

    async def main() -> None:
        async with claude(cascade).messages.stream(model="m", max_tokens=9, messages=HI) as stream:
            assert [text async for text in stream.text_stream] == ["one ", "two ", "three"]
            block: Any = (await stream.get_final_message()).content[0]
            assert block.text == "one two three"
        chunks = await gpt(cascade).chat.completions.create(model="m", messages=HI, stream=True)
        said = [chunk.choices[0].delta.content async for chunk in chunks if chunk.choices]
        assert [each for each in said if each] == ["one ", "two ", "three"]
        async with gpt(cascade).responses.stream(model="m", input="Hi") as events:
            said = [event.delta async for event in events if event.type == "response.output_text.delta"]
            assert said == ["one ", "two ", "three"]
            assert (await events.get_final_response()).output_text == "one two three"

    asyncio.run(main())


def test_streams_plain() -> None:
    """Plain clients stream too: their pieces come before the answer is whole."""
    let = threading.Event()

    def told(_request: Request) -> Iterator[str]:
        yield "one "
        assert let.wait(10)
        yield "two"

    cascade = Cascade(Tier(Function(told, free=True), name="small"))
    with plain_claude(cascade).messages.stream(model="m", max_tokens=9, messages=HI) as stream:
        pieces = stream.text_stream
        assert next(pieces) == "one "
        let.set()
        assert list(pieces) == ["two"]
    chunks = plain_gpt(cascade).chat.completions.create(model="m", messages=HI, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two"


def test_stream_broken() -> None:
    """A stream that breaks off raises the SDK's own error, after what had come; it is never taken for whole."""
    cascade, _ = cascade_of(Cut("one two three", after=1))

    async def main() -> None:
        async with claude(cascade).messages.stream(model="m", max_tokens=9, messages=HI) as stream:
            pieces = aiter(stream.text_stream)
            assert await anext(pieces) == "one "
            with pytest.raises(anthropic.APIStatusError):
                await anext(pieces)
        chunks = await gpt(cascade).chat.completions.create(model="m", messages=HI, stream=True)
        with pytest.raises(openai.APIError):
            async for _ in chunks:
                pass

    asyncio.run(main())


def left(cascade: Cascade, told: "list[Done]", gone: threading.Event) -> Endpoint:
    """An endpoint that says when a request has ended."""

    def done(each: Done) -> None:
        told.append(each)
        gone.set()

    return Endpoint(cascade, on_done=done)


def test_cancel() -> None:
    """Leaving a stream in its midst cancels the call upstream, and leaves a trace; so does cancelling the task."""
    cascade, backend = cascade_of(Stall("one two", after=1))
    told: list[Done] = []

    async def main() -> None:
        client = claude(left(cascade, told, threading.Event()))
        async with client.messages.stream(model="m", max_tokens=9, messages=HI) as stream:
            assert await anext(aiter(stream.text_stream)) == "one "
        assert backend.cancelled == 1
        chunks = await gpt(left(cascade, told, threading.Event())).chat.completions.create(
            model="m", messages=HI, stream=True
        )

        async def read() -> None:
            async for _ in chunks:
                pass

        task = asyncio.ensure_future(read())
        for _ in range(50):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await chunks.close()

    asyncio.run(main())
    assert backend.cancelled == 2
    assert [(done.status, done.answer and done.answer.text) for done in told] == [(499, "one "), (499, "one ")]


@pytest.mark.parametrize("how", ["close", "forget"])
def test_cancel_plain(how: str) -> None:
    """Closing a plain client's stream cancels the call upstream, in the loop behind it; forgetting it does too."""
    cascade, backend = cascade_of(Stall("one two", after=1))
    told: list[Done] = []
    gone = threading.Event()
    client = plain_claude(left(cascade, told, gone))
    stream: Any = client.messages.create(model="m", max_tokens=9, messages=HI, stream=True)
    assert next(stream).type == "message_start"
    if how == "close":
        stream.close()
    del stream
    gc.collect()
    assert gone.wait(10)
    assert backend.cancelled == 1 and [done.status for done in told] == [499]


# Tools, pictures, structured output.


TOOL: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def weather(request: Request) -> Reply:
    """Asks for the weather, and says what it was told."""
    last = request.messages[-1].content
    results = [block for block in last if isinstance(block, ToolResult)]
    if not results:
        assert request.tools[0].name == "weather"
        return Reply((Text("Let me see."), ToolCall("call_1", "weather", '{"city": "Oslo"}')), stop="tool")
    return Reply(f"It is {results[0].content[0].text}.")  # type: ignore[union-attr] # it is a text


def test_tools_anthropic() -> None:
    """An agent's loop with tools runs through a cascade: a call, its result, the answer."""
    cascade = Cascade(Tier(Function(weather, free=True)))

    async def main() -> None:
        client = claude(cascade)
        tools: list[Any] = [{"name": "weather", "description": "tells it", "input_schema": TOOL}]
        messages: list[Any] = list(HI)
        first = await client.messages.create(model="m", max_tokens=99, messages=messages, tools=tools)
        assert first.stop_reason == "tool_use"
        call: Any = first.content[1]
        assert (call.name, call.input) == ("weather", {"city": "Oslo"})
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "cold"}
        messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        last: Any = await client.messages.create(model="m", max_tokens=99, messages=messages, tools=tools)
        assert last.content[0].text == "It is cold."

    asyncio.run(main())


def test_tools_openai() -> None:
    """So it does for OpenAI's two formats, streamed or whole."""
    cascade = Cascade(Tier(Function(weather, free=True)))
    function = {"name": "weather", "description": "tells it", "parameters": TOOL}
    client = plain_gpt(cascade)
    tools: list[Any] = [{"type": "function", "function": function}]
    messages: list[Any] = list(HI)
    first = client.chat.completions.create(model="m", messages=messages, tools=tools).choices[0]
    assert first.finish_reason == "tool_calls" and first.message.tool_calls
    call: Any = first.message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "cold"}]
    with client.chat.completions.stream(model="m", messages=messages, tools=tools) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices[0].message.content == "It is cold."
    flat: list[Any] = [{"type": "function", "strict": False, **function}]
    given: Any = client.responses.create(model="m", input=HI, tools=flat)
    called = next(item for item in given.output if item.type == "function_call")
    asked: Any = [*HI, called, {"type": "function_call_output", "call_id": called.call_id, "output": "cold"}]
    assert client.responses.create(model="m", input=asked, tools=flat).output_text == "It is cold."


def test_images() -> None:
    """A picture comes to the tier as it was given, whichever SDK it was given by."""
    cascade, backend = cascade_of("A dot.")
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    url = f"data:image/png;base64,{PIXEL}"
    theirs: Any = [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "?"}]}]
    part = {"type": "image_url", "image_url": {"url": url}}
    ours: Any = [{"role": "user", "content": [part, {"type": "text", "text": "?"}]}]
    given: Any = [{"role": "user", "content": [{"type": "input_image", "image_url": url, "detail": "auto"}]}]
    plain_claude(cascade).messages.create(model="m", max_tokens=9, messages=theirs)
    plain_gpt(cascade).chat.completions.create(model="m", messages=ours)
    plain_gpt(cascade).responses.create(model="m", input=given)
    pictures = [block for each in backend.seen for block in each.messages[0].content if isinstance(block, Image)]
    assert len(pictures) == 3 and len({(each.data, each.media_type) for each in pictures}) == 1


class City(BaseModel):
    """What is to be found."""

    name: str
    people: int


def test_typed() -> None:
    """Typed responses come back as what they were asked for, and the tier is told the schema."""
    cascade, backend = cascade_of('{"name": "Oslo", "people": 700000}')
    expected = City(name="Oslo", people=700_000)

    async def main() -> None:
        message = await claude(cascade).messages.parse(model="m", max_tokens=99, messages=HI, output_format=City)
        assert message.parsed_output == expected
        chat = await gpt(cascade).chat.completions.parse(model="m", messages=HI, response_format=City)
        assert chat.choices[0].message.parsed == expected
        assert (await gpt(cascade).responses.parse(model="m", input="Hi", text_format=City)).output_parsed == expected

    asyncio.run(main())
    assert all(each.schema is not None and "people" in each.schema["properties"] for each in backend.seen)


def test_count_and_models() -> None:
    """Token counts and lists of models come without a call, in the types of the SDKs."""
    cascade, backend = cascade_of("Hello")
    client = plain_claude(Endpoint({"chat": cascade}))
    assert client.messages.count_tokens(model="chat", messages=HI).input_tokens >= 1
    assert [each.id for each in client.models.list()] == ["chat", "chat/small"]
    assert client.models.retrieve("chat").id == "chat"
    other = plain_gpt(Endpoint({"chat": cascade}))
    assert [each.id for each in other.models.list()] == ["chat", "chat/small"]
    counted = other.responses.input_tokens.count(model="chat", input="x" * 400, instructions="y" * 40)
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", 110)
    with pytest.raises(openai.BadRequestError, match="conversation cannot be followed"):
        other.responses.input_tokens.count(model="chat", input="Hi", conversation="conv_1")
    with pytest.raises(openai.NotFoundError):
        other.models.retrieve("none")
    assert not backend.seen


def test_several_cascades() -> None:
    """Beside the cascade for any name there may be others, by name."""
    cascade, _ = cascade_of("Hello")
    client = http_client(cascade, sync=True, models={"code": cascade_of("def f")[0], "cascade": cascade_of("Third")[0]})
    with openai.OpenAI(http_client=client, api_key="unused") as other:
        said = [
            other.chat.completions.create(model=name, messages=HI).choices[0].message.content
            for name in ("gpt-x", "code", "cascade", "code/small")
        ]
    assert said == ["Hello", "def f", "Third", "def f"]
    with pytest.raises(ConfigError):
        http_client(Endpoint(cascade), models={"code": cascade})


# Errors.

ERRORS: list[tuple[Fault, str]] = [
    (Fault("bad_request", "no such field", 400), "BadRequestError"),
    (Fault("bad_request", "no such field", 422), "UnprocessableEntityError"),
    (Fault("unsupported", "no pictures"), "BadRequestError"),
    (Fault("auth", "bad key", 401), "InternalServerError"),
    (Fault("rate_limited", "slow", 429), "InternalServerError"),
    (Fault("server", "down", 500), "InternalServerError"),
]


@pytest.mark.parametrize(("fault", "name"), ERRORS)
def test_errors(fault: Fault, name: str) -> None:
    """An error is the SDK's own class for it, and what the cascade has tried is not tried again by the SDK."""
    for make, kind in ((plain_claude, anthropic), (plain_gpt, openai)):
        cascade, backend = cascade_of(fault, last_resort=None)
        client: Any = make(cascade, max_retries=2)
        ask: Any = client.messages.create if kind is anthropic else client.chat.completions.create
        # What is overloaded or unavailable has a class of its own at Anthropic's, below that for any 5xx.
        with pytest.raises(getattr(kind, name)) as caught:
            ask(model="m", max_tokens=9, messages=HI)
        assert caught.value.request_id and caught.value.message
        assert len(backend.seen) == 1


def test_wrong_requests() -> None:
    """A body or a header that cannot be read is a bad request, and names what is wrong."""
    cascade, backend = cascade_of("Hello")
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        plain_claude(cascade).messages.create(model="m", max_tokens=9, messages=HI, extra_body={"temperature": "hot"})
    with pytest.raises(openai.BadRequestError, match="x-cascade-deadline"):
        plain_gpt(cascade, default_headers={"x-cascade-deadline": "soon"}).responses.create(model="m", input="Hi")
    assert not backend.seen


def test_timeouts() -> None:
    """An SDK's timeout bounds the cascade's deadline: what it has by then is its answer, in time."""
    cascade, backend = cascade_of(Slow(30.0))

    async def main() -> None:
        client = claude(cascade, timeout=0.4, max_retries=2)
        message: Any = await client.messages.create(model="m", max_tokens=9, messages=HI)
        assert "try again" in message.content[0].text

    asyncio.run(main())
    assert len(backend.seen) == 1
    deadline = backend.seen[0].budget
    assert deadline is not None and deadline.deadline is not None and deadline.deadline < 0.4
    strict, backend = cascade_of(Slow(30.0), last_resort=None)
    with pytest.raises(openai.InternalServerError, match="in time"):
        plain_gpt(strict, timeout=0.4, max_retries=2).chat.completions.create(model="m", messages=HI)
    assert len(backend.seen) == 1


@pytest.mark.parametrize("make", [plain_claude, claude])
def test_stream_timeouts(make: Callable[..., Any]) -> None:
    """A stream in which nothing comes for as long as the SDK will wait ends with the SDK's own error."""
    cascade, backend = cascade_of(Stall("one two", after=1))
    client = make(Endpoint(cascade), timeout=0.05, max_retries=0)

    async def waited() -> None:
        async for _ in await client.messages.create(model="m", max_tokens=9, messages=HI, stream=True):
            pass

    def plain() -> None:
        for _ in client.messages.create(model="m", max_tokens=9, messages=HI, stream=True):
            pass

    with pytest.raises(httpx2.ReadTimeout):
        asyncio.run(waited()) if make is claude else plain()
    assert backend.cancelled == 1


def test_late_streams() -> None:
    """A stream of which nothing comes in time is an error, once, and its call is cancelled."""
    cascade, backend = cascade_of(Stall(), last_resort=None)
    told: list[Done] = []
    client = plain_gpt(Endpoint(cascade, on_done=told.append), timeout=0.05, max_retries=2)
    with pytest.raises(openai.InternalServerError, match="within 0"):
        client.chat.completions.create(model="m", messages=HI, stream=True)
    assert (len(backend.seen), backend.cancelled) == (1, 1)
    assert [(done.status, done.failure) for done in told] == [(504, "no answer")]


def test_default_timeout_and_budget() -> None:
    """An SDK's usual timeout of ten minutes leaves the cascade's own deadline alone."""
    cascade, backend = cascade_of("Hello", budget=Budget(30.0))
    plain_claude(cascade).messages.create(model="m", max_tokens=9, messages=HI)
    assert backend.seen[0].budget is None


# Many at once, and the end.


def test_many() -> None:
    """A hundred calls at once, whole and streamed, each get their own answer."""

    async def echo(request: Request) -> str:
        await asyncio.sleep(0)
        return f"said {request.text}"

    cascade = Cascade(Tier(Function(echo, free=True)))

    async def one(client: anthropic.AsyncAnthropic, number: int) -> str:
        asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": str(number)}]}
        if number % 2:
            message: Any = await client.messages.create(**asked)
            return str(message.content[0].text)
        async with client.messages.stream(**asked) as stream:
            return await stream.get_final_text()

    async def main() -> list[str]:
        async with claude(cascade) as client:
            return await asyncio.gather(*(one(client, number) for number in range(100)))

    expected = [f"said {number}" for number in range(100)]
    assert asyncio.run(main()) == expected
    client = plain_gpt(cascade)

    def plain(number: int) -> str | None:
        chat = client.chat.completions.create(model="m", messages=[{"role": "user", "content": str(number)}])
        return chat.choices[0].message.content

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(plain, range(100))) == expected


def test_secrets() -> None:
    """What a client gives for a provider's key comes to nobody: no format is shown it."""
    from fastcascade.wire.anthropic import MESSAGES  # noqa: PLC0415 - watched in this test alone

    shown: list[str] = []

    class Watching:
        def __getattr__(self, name: str) -> Any:
            return getattr(MESSAGES, name)

        def read(self, body: Any, headers: Any) -> Any:
            shown.extend(headers.values())
            return MESSAGES.read(body, headers)

    watching: Any = {"anthropic": Watching()}
    endpoint = Endpoint(cascade_of("Hello")[0], formats=watching)
    client = anthropic.Anthropic(http_client=http_client(endpoint, sync=True), api_key="sk-secret")
    client.messages.create(model="m", max_tokens=9, messages=HI)
    assert shown and not any("secret" in value for value in shown)
