"""The SDKs' plain clients: what is answered without an event loop, and how they end."""

import datetime as dt
import os
import signal
import sys
import threading
from typing import Any

import anthropic
import openai
import pytest

from fastcascade import Cascade, ConfigError, Request, Tier
from fastcascade.backends import Rules
from fastcascade.backends.function import Function
from fastcascade.clients import http_client
from fastcascade.testing import Fault, ScriptedBackend, Stall
from fastcascade.wire.endpoint import Done, Endpoint

HI: list[Any] = [{"role": "user", "content": "Hi"}]
WHERE: list[int] = []


def here(_groups: dict[str, str], _request: Request) -> str:
    """A rule that notes which thread it is asked in."""
    WHERE.append(threading.get_ident())
    return "Hello"


def claude(cascade: Any, **settings: Any) -> anthropic.Anthropic:
    """Anthropic's plain client."""
    done = settings.pop("on_done", None)
    return anthropic.Anthropic(http_client=http_client(cascade, sync=True, on_done=done), api_key="unused", **settings)


def gpt(cascade: Any, **settings: Any) -> openai.OpenAI:
    """OpenAI's plain client."""
    done = settings.pop("on_done", None)
    return openai.OpenAI(http_client=http_client(cascade, sync=True, on_done=done), api_key="unused", **settings)


def test_rules_answer_in_the_thread_that_asks() -> None:
    """What needs no I/O takes no trip to another thread, in any format; streams of it come whole all the same."""
    WHERE.clear()
    told: list[Done] = []
    cascade = Cascade(Tier(Rules({"Hi": here}), name="faq"), Tier(ScriptedBackend("from the model"), name="model"))
    claudes, gpts = claude(cascade, on_done=told.append), gpt(cascade, on_done=told.append)
    message: Any = claudes.messages.create(model="m", max_tokens=9, messages=HI)
    chat = gpts.chat.completions.create(model="m", messages=HI)
    response = gpts.responses.create(model="m", input="Hi")
    assert [message.content[0].text, chat.choices[0].message.content, response.output_text] == ["Hello"] * 3
    assert [threading.get_ident()] * 3 == WHERE
    assert [(done.status, done.answer and done.answer.tier) for done in told] == [(200, "faq")] * 3
    with claudes.messages.stream(model="m", max_tokens=9, messages=HI) as stream:
        assert stream.get_final_text() == "Hello"
    other: Any = claudes.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Why?"}])
    assert other.content[0].text == "from the model"


def test_an_endpoint_of_ones_own() -> None:
    """An endpoint that answers in a way of its own is asked by that, though plain code asks."""

    class Counting(Endpoint):
        count = 0

        async def handle(self, *given: Any, **more: Any) -> Any:
            self.count += 1
            return await super().handle(*given, **more)

    endpoint = Counting(Cascade(Tier(Rules({"Hi": "Hello"}), name="faq")))
    assert gpt(endpoint).chat.completions.create(model="m", messages=HI).choices[0].message.content == "Hello"
    assert endpoint.count == 1


def test_rules_that_fail() -> None:
    """What goes wrong without a loop is the SDK's own error too, and is told of."""

    def broken(_groups: dict[str, str], _request: Request) -> str:
        raise KeyError("no such thing")

    told: list[Done] = []
    cascade = Cascade(Tier(Rules({"Hi": broken}), name="faq"), last_resort=None)
    with pytest.raises(openai.InternalServerError) as caught:
        gpt(cascade, on_done=told.append).chat.completions.create(model="m", messages=HI)
    assert "no such thing" not in str(caught.value) and caught.value.response.headers["x-should-retry"] == "false"
    assert [(done.status, done.failure) for done in told] == [(500, "no answer")]
    refused = Cascade(Tier(ScriptedBackend(Fault("bad_request", "no such field", 400))), last_resort=None)
    with pytest.raises(anthropic.BadRequestError):
        claude(refused, on_done=told.append).messages.create(model="m", max_tokens=9, messages=HI)
    assert told[-1].status == 400


def test_rules_within_a_rule() -> None:
    """A rule may ask a cascade itself, by an SDK's plain client, however that answers."""
    inner = gpt(Cascade(Tier(ScriptedBackend("deep"), name="model")))

    def asks(_groups: dict[str, str], _request: Request) -> str:
        return inner.chat.completions.create(model="m", messages=HI).choices[0].message.content or ""

    def function(_request: Request) -> str:
        return asks({}, _request)

    for tier in (Tier(Rules({"Hi": asks}), name="faq"), Tier(Function(function, free=True), name="code")):
        said = gpt(Cascade(tier)).chat.completions.create(model="m", messages=HI)
        assert said.choices[0].message.content == "deep"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_ends_the_call() -> None:
    """Control-C while a plain client waits cancels the call upstream, raises, and is told of once."""
    told: list[Done] = []
    begun = threading.Event()

    class Stalls(ScriptedBackend):
        async def complete(self, request: Request, /) -> Any:
            begun.set()
            return await super().complete(request)

    backend = Stalls(Stall())
    client = gpt(Cascade(Tier(backend, name="small")), on_done=told.append)

    def interrupt() -> None:
        assert begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        client.chat.completions.create(model="m", messages=HI)
    thread.join()
    assert [(done.status, done.failure) for done in told] == [(499, "cancelled")]


def test_how_long_it_took() -> None:
    """`elapsed` of a raw response is known, as it is with the provider, whole and streamed."""
    client = gpt(Cascade(Tier(ScriptedBackend("one two"), name="small")))
    whole = client.chat.completions.with_raw_response.create(model="m", messages=HI).http_response
    assert whole.is_closed and whole.headers["content-length"] == str(len(whole.content))
    assert b"".join(whole.iter_bytes(7)) == whole.content
    assert client.chat.completions.with_raw_response.create(model="m", messages=HI).elapsed > dt.timedelta()
    with client.chat.completions.with_streaming_response.create(model="m", messages=HI, stream=True) as streamed:
        assert list(streamed.iter_lines())[-2:] == ["data: [DONE]", ""]
    assert streamed.elapsed > dt.timedelta()


def test_what_is_no_cascade() -> None:
    """Anything else than a cascade or an endpoint is refused when the client is made, and named."""
    cascade = Cascade(Tier(ScriptedBackend("Hello")))
    wrong: list[tuple[Any, Any]] = [
        ("cascade.toml", None),
        (ScriptedBackend("Hello"), None),
        (cascade, {"x": Endpoint(cascade)}),
    ]
    for given, models in wrong:
        with pytest.raises(ConfigError, match=r"and not by (str|ScriptedBackend|Endpoint)"):
            http_client(given, models=models)
