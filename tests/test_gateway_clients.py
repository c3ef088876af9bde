"""Frameworks that people build with, unchanged but for a base URL, against the gateway; and some of them in process.

They pin SDKs of their own, so that they are tested in an environment of their own: `make test-clients`.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastcascade import Cascade, Tier
from fastcascade.backends.function import Function
from fastcascade.clients import http_client
from sdk_side import CLAUDE, GPT, Side, as_gateway, convert, told, weather

WHERE = "the clients are tested in an environment of their own: make test-clients"
lc_anthropic: Any = pytest.importorskip("langchain_anthropic", reason=WHERE)
lc_openai: Any = pytest.importorskip("langchain_openai", reason=WHERE)
lc_messages: Any = pytest.importorskip("langchain_core.messages", reason=WHERE)
ai: Any = pytest.importorskip("pydantic_ai", reason=WHERE)
ai_anthropic: Any = pytest.importorskip("pydantic_ai.models.anthropic", reason=WHERE)
ai_openai: Any = pytest.importorskip("pydantic_ai.models.openai", reason=WHERE)
via_anthropic: Any = pytest.importorskip("pydantic_ai.providers.anthropic", reason=WHERE)
via_openai: Any = pytest.importorskip("pydantic_ai.providers.openai", reason=WHERE)
anthropic: Any = pytest.importorskip("anthropic", reason=WHERE)
openai: Any = pytest.importorskip("openai", reason=WHERE)
pydantic: Any = pytest.importorskip("pydantic", reason=WHERE)
pytest.importorskip("llm", reason=WHERE)

pytestmark = pytest.mark.filterwarnings("ignore")  # they warn of what they do themselves
QUESTION = "weather in Paris and Oslo"
ANSWER = "It is 68 F and 41 F."
City: Any = pydantic.create_model("City", name=(str, ...), people=(int, ...))
OSLO = City(name="Oslo", people=700_000)
APIS = ["messages", "chat", "responses"]


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """One process of the gateway for all."""
    with as_gateway(tmp_path_factory.mktemp("clients")) as one:
        yield one


# langchain.


def chain(side: Side, api: str) -> Any:
    """Its model for an API."""
    settings = {"api_key": side.keys["good"], "max_retries": 0}
    if api == "messages":
        return lc_anthropic.ChatAnthropic(model=CLAUDE, base_url=side.url, **settings)
    responses = api == "responses"
    return lc_openai.ChatOpenAI(model=GPT, base_url=f"{side.url}/v1", use_responses_api=responses, **settings)


def looped(model: Any) -> str:
    """Run tools until there is an answer."""
    tools: dict[str, Any] = {"weather": weather, "convert": convert}
    bound = model.bind_tools(list(tools.values()))
    messages: list[Any] = [lc_messages.HumanMessage(QUESTION)]
    for turn in range(3):
        messages.append(bound.invoke(messages))
        calls = messages[-1].tool_calls
        assert len(calls) == (0 if turn == 2 else 2)
        for call in calls:
            result = tools[call["name"]](**call["args"])
            messages.append(lc_messages.ToolMessage(result, tool_call_id=call["id"]))
    return str(messages[-1].text)


@pytest.mark.parametrize("api", APIS)
def test_langchain(side: Side, api: str) -> None:
    """A model of langchain chats, streams, runs a loop of tools and reads a typed answer."""
    model = chain(side, api)
    said = model.invoke("hi")
    assert said.text == "hi" and said.usage_metadata["output_tokens"] == 34
    pieces = [str(chunk.text) for chunk in model.stream("say one two three")]
    assert [each for each in pieces if each] == ["one ", "two ", "three"]
    assert looped(model) == ANSWER
    assert model.with_structured_output(City).invoke("which?") == OSLO


def test_langchain_async(side: Side) -> None:
    """So it does where it is awaited; its models share their connections, and so this test has one loop for all."""

    async def main() -> None:
        for api in APIS:
            model = chain(side, api)
            assert (await model.ainvoke("hi")).text == "hi"
            assert "".join([str(chunk.text) async for chunk in model.astream("say one two")]) == "one two"
            if api != "chat":
                await (model._async_client if api == "messages" else model.root_async_client).close()  # noqa: SLF001

    asyncio.run(main())


def test_langchain_raises_what_the_sdk_raises(side: Side) -> None:
    """What cannot be answered comes through it as the SDK's own error."""
    with pytest.raises(anthropic.InternalServerError):
        chain(side, "messages").invoke("fail server chain")
    with pytest.raises(openai.InternalServerError):
        chain(side, "chat").invoke("fail server chain")


# pydantic-ai.


def model_of(side: Side, api: str) -> Any:
    """Its model for an API."""
    key = side.keys["good"]
    if api == "messages":
        provider = via_anthropic.AnthropicProvider(base_url=side.url, api_key=key)
        return ai_anthropic.AnthropicModel(CLAUDE, provider=provider)
    provider = via_openai.OpenAIProvider(base_url=f"{side.url}/v1", api_key=key)
    made = ai_openai.OpenAIResponsesModel if api == "responses" else ai_openai.OpenAIChatModel
    return made(GPT, provider=provider)


@pytest.mark.parametrize("api", APIS)
def test_pydantic_ai(side: Side, api: str) -> None:
    """An agent of pydantic-ai chats, streams, runs tools, and reads typed answers by a tool and by a schema."""

    async def main() -> None:
        async with model_of(side, api) as model:
            assert (await ai.Agent(model).run("hi")).output == "hi"
            async with ai.Agent(model).run_stream("say one two three") as stream:
                pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
            assert pieces == ["one ", "two ", "three"]
            assert (await ai.Agent(model, tools=[weather, convert]).run(QUESTION)).output == ANSWER
            assert (await ai.Agent(model, output_type=City).run("which?")).output == OSLO
            assert (await ai.Agent(model, output_type=ai.NativeOutput(City)).run("which?")).output == OSLO

    asyncio.run(main())


# llm.

MODELS = """
- model_id: ours
  model_name: gpt-5
  api_base: "{url}/v1"
  api_key_name: ours
  supports_tools: true
  supports_schema: true
- model_id: ours-responses
  model_name: gpt-5
  api_base: "{url}/v1"
  api_key_name: ours
  responses: true
  supports_tools: true
  supports_schema: true
"""
FUNCTIONS = """
def weather(city: str) -> str:
    return {"Paris": "Paris: 20 C", "Oslo": "Oslo: 5 C"}[city]

def convert(celsius: float) -> str:
    return f"{celsius * 9 / 5 + 32:g} F"
"""


def test_llm(side: Side, tmp_path: Path) -> None:
    """The command `llm` chats, streams, runs a loop of tools and reads typed answers from a model in its own list."""

    def begun(number: int, model: str, *options: str) -> subprocess.Popen[str]:
        own = tmp_path / str(number)  # each makes its database there
        own.mkdir()
        (own / "extra-openai-models.yaml").write_text(MODELS.format(url=side.url), encoding="utf-8")
        (own / "keys.json").write_text(json.dumps({"ours": side.keys["good"]}), encoding="utf-8")
        command = [sys.executable, "-m", "llm", "-m", model, *options]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, env={**os.environ, "LLM_USER_PATH": str(own)}, text=True, **pipes)

    wanted = [
        ("ours", "say one two three", "one two three"),
        ("ours", QUESTION, "--functions", FUNCTIONS, ANSWER),
        (
            "ours-responses",
            "which?",
            "--no-stream",
            "--schema",
            "name, people int",
            '{"name": "Oslo", "people": 700000}',
        ),
    ]
    running = [begun(number, *each[:-1]) for number, each in enumerate(wanted)]
    ended = [(process.communicate(timeout=60), process.returncode) for process in running]
    for ((out, problems), code), each in zip(ended, wanted, strict=True):
        assert code == 0 and out.strip().endswith(each[-1]), problems


# In process.


def test_langchain_in_process() -> None:
    """A model of langchain takes the HTTP client of a cascade, plain and async, and there is no server."""
    cascade = Cascade(Tier(Function(told, free=True), name="small"))
    with http_client(cascade, sync=True) as plain:
        model = lc_openai.ChatOpenAI(
            model=GPT, api_key="unused", http_client=plain, http_async_client=http_client(cascade)
        )
        assert model.invoke("hi").text == "hi"
        assert "".join(str(chunk.text) for chunk in model.stream("say one two three")) == "one two three"
        assert looped(model) == ANSWER
        assert model.with_structured_output(City).invoke("which?") == OSLO
        assert asyncio.run(model.ainvoke("hi")).text == "hi"


def test_pydantic_ai_in_process() -> None:
    """So does pydantic-ai, with the SDKs' clients that are made of it."""
    cascade = Cascade(Tier(Function(told, free=True), name="small"))

    async def main() -> None:
        async with (
            anthropic.AsyncAnthropic(api_key="unused", http_client=http_client(cascade)) as claude,
            openai.AsyncOpenAI(api_key="unused", http_client=http_client(cascade)) as gpt,
        ):
            its, theirs = (
                via_anthropic.AnthropicProvider(anthropic_client=claude),
                via_openai.OpenAIProvider(openai_client=gpt),
            )
            for model in (
                ai_anthropic.AnthropicModel(CLAUDE, provider=its),
                ai_openai.OpenAIChatModel(GPT, provider=theirs),
                ai_openai.OpenAIResponsesModel(GPT, provider=theirs),
            ):
                assert (await ai.Agent(model, tools=[weather, convert]).run(QUESTION)).output == ANSWER
                assert (await ai.Agent(model, output_type=City).run("which?")).output == OSLO

    asyncio.run(main())
