"""What goes wrong between the SDKs and the gateway: errors, retries, timeouts, and clients that leave."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anthropic
import openai
import pytest

from real import until
from sdk_clients import ask, claude, claude_async, connected, gpt, of_claude, of_gpt
from sdk_side import GPT, LARGEST, Side, as_gateway, as_provider


@pytest.fixture(scope="module", params=["gateway", "provider"])
def side(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """Where the SDKs are sent: one process of the gateway for all, then one server that speaks as the providers do."""
    made = as_gateway(tmp_path_factory.mktemp("sdks")) if request.param == "gateway" else as_provider()
    with made as one, connected(one):
        yield one


LONG = "x" * (LARGEST + 1)
ERRORS: dict[int, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    400: ("BadRequestError", "BadRequestError", {}, {"messages": []}),
    401: ("AuthenticationError", "AuthenticationError", {"key": "none"}, {}),
    404: ("NotFoundError", "NotFoundError", {}, {"model": "nobody-knows"}),
    413: ("ContentTooLargeError", "APIStatusError", {}, {"messages": [{"role": "user", "content": LONG}]}),
    429: ("RateLimitError", "RateLimitError", {"key": "limited"}, {}),
    503: (
        "ServiceUnavailableError",
        "InternalServerError",
        {},
        {"messages": [{"role": "user", "content": "fail server a"}]},
    ),
}


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", list(ERRORS))
def test_errors(side: Side, status: int, streams: bool) -> None:
    """An error is of the class that the SDK has for it, with a request's id and words of its own."""
    its, theirs, settings, more = ERRORS[status]
    with claude(side, **settings) as client, gpt(side, **settings) as other:
        calls: Any = [
            (its, client.messages.create, {**of_claude("hi"), **more}),
            (theirs, other.chat.completions.create, {**of_gpt("hi"), **more}),
        ]
        if side.is_gateway:
            given = {"model": more.get("model", GPT), "input": more.get("messages", "hi")}
            calls.append((theirs, other.responses.create, given))
        for name, call, told in calls:
            if status == 429:
                with suppress(anthropic.RateLimitError, openai.RateLimitError):
                    call(**told)  # what there is room for
            with pytest.raises((anthropic.APIStatusError, openai.APIStatusError)) as caught:
                call(**told, stream=streams)
            error: Any = caught.value
            assert (type(error).__name__, error.status_code) == (name, status)
            assert error.request_id and error.message
            assert (status == 429) == ("retry-after" in error.response.headers)


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_retries_do_not_multiply(side: Side, streams: bool) -> None:
    """What the cascade has tried by every means is asked for once, though the SDK would try twice more."""
    if not side.is_gateway:
        pytest.skip("a provider leaves it to the SDK to try again")
    name = f"failing{streams}"
    with claude(side, max_retries=2) as client, gpt(side, max_retries=2) as other:
        with pytest.raises(anthropic.InternalServerError):
            client.messages.create(**of_claude(f"fail server {name}"), stream=streams)
        with pytest.raises(openai.InternalServerError):
            other.chat.completions.create(**of_gpt(f"fail rate_limited {name}"), stream=streams)
    assert ask(side, f"calls {name}") == "2"


def test_timeouts(side: Side) -> None:
    """An SDK that has waited long enough raises its own error, asks again as it was told to, and nothing runs on."""
    with claude(side, timeout=0.2, max_retries=1) as client, gpt(side, timeout=0.2) as other:
        with pytest.raises(anthropic.APITimeoutError):
            client.messages.create(**of_claude("hang late"))
        assert ask(side, "ended late") == "True"
        with pytest.raises(openai.APITimeoutError):
            other.chat.completions.create(**of_gpt("hang later"))
        assert ask(side, "ended later") == "True"
    assert ask(side, "calls later") == "2"  # the question after its end was the other
    assert ask(side, "calls late") == "3"


def left(side: Side, response: Any) -> None:
    """Check that it is on record that the client went away."""
    if side.process is None:
        return
    name = response.headers.get("request-id") or response.headers["x-request-id"]
    lines = side.process.errors

    def logged() -> bool:
        said = [json.loads(line.partition("access ")[2]) for line in list(lines) if name in line]
        return any((each["status"], each.get("failure")) == (499, "cancelled") for each in said)

    asyncio.run(until(logged, "the line of a client that left"))


def test_leaving_a_stream_ends_it(side: Side) -> None:
    """A client that leaves a stream in its midst ends the call behind it, which leaves a trace."""
    with claude(side) as client, gpt(side) as other:
        with client.messages.stream(**of_claude("hang one")) as stream:
            assert next(iter(stream.text_stream)) == "one "
            response = stream.response
        assert ask(side, "ended one") == "True"
        left(side, response)
        chunks = other.chat.completions.create(**of_gpt("hang two"), stream=True)
        assert "one " in (next(chunks).choices[0].delta.content, next(chunks).choices[0].delta.content)
        chunks.close()
        assert ask(side, "ended two") == "True"
        left(side, chunks.response)


def test_cancelling_a_task_ends_it(side: Side) -> None:
    """So does cancelling the task that reads, or waits for the whole."""

    async def main() -> None:
        async with claude_async(side) as client:
            begun = asyncio.Event()

            async def read() -> None:
                async with client.messages.stream(**of_claude("hang read")) as stream:
                    async for _ in stream.text_stream:
                        begun.set()

            task = asyncio.ensure_future(read())
            waited = asyncio.ensure_future(begun.wait())
            await asyncio.wait([task, waited], return_when=asyncio.FIRST_COMPLETED)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            waited.cancel()

    asyncio.run(main())
    assert ask(side, "ended read") == "True"
