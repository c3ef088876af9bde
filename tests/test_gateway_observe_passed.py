"""What is passed on is observed too: its bytes unchanged, and beside it what a cascade in its place would have done."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from fastcascade import Cascade, ConfigError, Price, Tier, config
from fastcascade.blocks import Opaque, Text, Thinking, ToolCall
from fastcascade.config.models import Model
from fastcascade.gateway import loading
from fastcascade.gateway.choosing import Choosing, Named
from fastcascade.gateway.observe import Observing
from fastcascade.gateway.observe_passed import reply_of
from fastcascade.gateway.passthrough import Passthrough
from fastcascade.gateway.settings import Mode, Observe, Settings
from fastcascade.messages import Usage
from fastcascade.wire.endpoint import Done, Response
from fastcascade.wire.endpoint_paths import Words
from test_gateway_observe import Says, ladder, lines, looked
from test_gateway_passthrough import STREAMS, WHOLE
from wire import anthropic as claude
from wire import openai as gpt
from wire.server import WireServer

KEY = "provider-key-of-no-known-form"
PATHS: dict[str, str] = {
    "anthropic": "/v1/messages",
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
}
CALLED = {
    "id": "resp_1", "status": "completed", "model": "gpt-5", "usage": {"input_tokens": 3, "output_tokens": 4},
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "so"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "web_search_call", "id": "ws_1"},
    ],
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A provider of this test's own."""
    with WireServer() as running:
        yield running


def run(main: Callable[[], Awaitable[None]]) -> None:
    """In a loop of its own, and within a time."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    asyncio.run(bounded())


def passing(server: WireServer, told: list[Done], wire: str = "anthropic") -> Passthrough:
    """A provider that is passed on to, whose models cost a hundred times what the small tier does."""
    url = server.url if wire == "anthropic" else f"{server.url}/v1"
    made: Any = wire
    return Passthrough(url, KEY, made, price=Price(100.0, 100.0), name="star", on_done=told.append)


def observing(folder: Path, cascade: Cascade, raw: Passthrough, mode: Mode = "observe", **more: Any) -> Observing:
    """An endpoint at which m* is passed on, and the cascade `chat` is to take its place."""
    others = {"m*": Model(instead="chat"), "free*": Model()}
    named = Named({"chat": cascade}, "chat", others, {"m*": raw, "free*": raw})
    settings = Settings(mode=mode, observe=Observe(**{"usd": 100.0, **more}))
    return Observing({"chat": cascade}, settings, folder, default="chat", named=named, draw=lambda: 0.0)


def asking(words: str, model: str = "m-1", **more: Any) -> bytes:
    """A body in these words, with bytes that would not survive being read and written again."""
    said: dict[str, Any] = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    if words == "responses":
        said = {"input": "hi"}
    return (
        b'{ "model":' + json.dumps(model).encode() + b',  "temperature": 1.0e0, ' + json.dumps(said | more).encode()[1:]
    )


async def read(endpoint: Observing, response: Response) -> bytes:
    """All of an answer, and what is looked at beside brought to its end."""
    body = response.body
    if response.pieces is not None:
        body = b"".join([piece async for piece in response.pieces])
        await response.pieces.aclose()  # type: ignore[attr-defined] # as the gateway does
    await looked(endpoint)
    return body or b""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("words", get_args(Words))
def test_bytes_go_through_and_what_would_be_is_noted(
    tmp_path: Path, server: WireServer, words: str, stream: bool
) -> None:
    """In each format both sides get the other's bytes as they are, and a line has what would have been saved."""

    async def main() -> None:
        told: list[Done] = []
        small, large = Says("small", "hI"), Says("large", "never asked")
        raw = passing(server, told, "anthropic" if words == "anthropic" else "openai")
        endpoint = observing(tmp_path, ladder(small, large), raw)
        if stream:
            server.stream(STREAMS[words])
        else:
            server.reply(200, WHOLE[words])
        body = asking(words, stream=stream)
        answer = await read(endpoint, await endpoint.handle("POST", PATHS[words], {}, body))
        assert answer == (b"".join(STREAMS[words]) if stream else json.dumps(WHOLE[words], ensure_ascii=False).encode())
        assert server.seen[0].body["temperature"] == 1.0 and len(told) == len(server.seen) == 1
        [line] = lines(tmp_path)
        usage = told[0].answer.usage if told[0].answer else Usage()
        dear = (usage.input + usage.output) * 100 / 1e6
        assert (line["model"], line["cascade"], line["would"]["tier"]) == ("m-1", "chat", "small")
        assert line["answered"]["usd"] == pytest.approx(dear) and line["saved_usd"] == pytest.approx(dear - 0.002)
        assert line["same_text"] is (words != "responses") and not large.asked and len(small.asked) == 1
        await endpoint.aclose()

    run(main)


def test_what_would_go_up_costs_what_it_did(tmp_path: Path, server: WireServer) -> None:
    """Where the small tier is not good enough its answer stands in for the last tier's, which nobody asks."""

    async def main() -> None:
        large = Says("large", "never asked")
        endpoint = observing(tmp_path, ladder(Says("small", "poor"), large, 0.1), passing(server, []))
        server.reply(200, WHOLE["anthropic"])
        await read(endpoint, await endpoint.handle("POST", PATHS["anthropic"], {}, asking("anthropic")))
        [line] = lines(tmp_path)
        assert line["would"]["tier"] == "large" and line["saved_usd"] == pytest.approx(-0.002) and not large.asked
        await endpoint.aclose()

    run(main)


def test_what_nobody_counted_is_estimated(tmp_path: Path, server: WireServer) -> None:
    """A stream of completions need not say what it used: what it cost is estimated, and the line says so."""

    async def main() -> None:
        raw = passing(server, [], "openai")
        endpoint = observing(tmp_path, ladder(Says("small", "a"), Says("large", "b")), raw)
        whole = gpt.completion("Hi there, and a good day to you")
        for counted in (True, False):
            frames = [each for each in gpt.frames(whole) if counted or b'"usage":{' not in each.replace(b" ", b"")]
            server.stream(frames)
            await read(endpoint, await endpoint.handle("POST", PATHS["chat"], {}, asking("chat", stream=True)))
        said = [line["answered"] for line in lines(tmp_path)]
        assert [each["estimated"] for each in said] == [False, True]
        assert said[1]["usd"] == pytest.approx(len("Hi there, and a good day to you") // 4 * 100 / 1e6)
        await endpoint.aclose()

    run(main)


ENFORCED: list[tuple[Mode, dict[str, Any], dict[str, str], bool]] = [
    ("observe", {}, {}, False),
    ("enforce", {"routes": {"x": "observe"}}, {}, True),
    ("observe", {"models": {"m*": "enforce"}}, {}, True),
    ("observe", {"models": {"m-1": "enforce"}}, {}, True),
    ("observe", {"routes": {"code": "enforce"}}, {"x-cascade-route": "code"}, True),
    ("enforce", {"routes": {"code": "observe"}}, {"x-cascade-route": "code"}, False),
    ("observe", {"enforce": 1.0}, {}, True),
]


@pytest.mark.parametrize(("mode", "more", "headers", "enforced"), ENFORCED)
def test_it_is_enforced_by_parts(
    tmp_path: Path, server: WireServer, mode: Mode, more: dict[str, Any], headers: dict[str, str], enforced: bool
) -> None:
    """By model, route and share the cascade answers in its place, and the provider is not asked."""

    async def main() -> None:
        endpoint = observing(
            tmp_path, ladder(Says("small", "ours"), Says("large", "b")), passing(server, []), mode, **more
        )
        server.reply(200, WHOLE["anthropic"])
        response = await endpoint.handle("POST", PATHS["anthropic"], headers, asking("anthropic"))
        text = json.loads(await read(endpoint, response))["content"][0]["text"]
        assert (text, len(server.seen)) == (("ours", 0) if enforced else ("Hi", 1))
        await endpoint.aclose()

    run(main)


@pytest.mark.parametrize("by", ["user", "request"])
def test_it_is_drawn_once(tmp_path: Path, server: WireServer, by: str) -> None:
    """A request of a client that gives it no id is drawn once: it is passed on, or it is the cascade's."""

    async def main() -> None:
        small, large = Says("small", "ours"), Says("large", "b")
        endpoint = observing(tmp_path, ladder(small, large), passing(server, []), enforce=0.5, by=by, share=0.5)
        endpoint._draw = lambda: 1.0  # noqa: SLF001 - none is looked at
        for _ in range(40):
            server.reply(200, WHOLE["anthropic"])
            await read(endpoint, await endpoint.handle("POST", PATHS["anthropic"], {}, asking("anthropic")))
        assert len(small.asked) + len(server.seen) == 40 and not large.asked
        assert endpoint.counts["drawn"] == len(server.seen) and 5 < len(small.asked) < 35
        await endpoint.aclose()

    run(main)


def test_nothing_is_lost_in_silence(tmp_path: Path, server: WireServer) -> None:
    """What is no answer, broke off or cannot be read is counted, and passed on all the same."""

    async def main() -> None:
        endpoint = observing(tmp_path, ladder(Says("small", "a"), Says("large", "b")), passing(server, []))
        path = PATHS["anthropic"]

        async def ask(**more: Any) -> int:
            response = await endpoint.handle("POST", path, {}, asking("anthropic", **more))
            await read(endpoint, response)
            return response.status

        server.reply(429, claude.error("rate_limit_error"))
        assert (await ask(), endpoint.counts["unanswered"]) == (429, 1)
        server.stream(STREAMS["anthropic"][:3])
        assert (await ask(stream=True), endpoint.counts["unread"]) == (200, 1)
        server.reply(200, {"not": "a message"})
        assert (await ask(), endpoint.counts["unread"]) == (200, 2)
        server.reply(200, WHOLE["anthropic"])
        assert (await ask(temperature="hot"), endpoint.counts["unread"]) == (200, 3)
        server.stream(STREAMS["anthropic"], "stall", 2)
        response = await endpoint.handle("POST", path, {}, asking("anthropic", stream=True))
        assert response.pieces is not None
        await anext(response.pieces)
        await response.pieces.aclose()  # type: ignore[attr-defined] # a client that goes away
        assert endpoint.counts["unanswered"] == 2
        server.reply(200, WHOLE["anthropic"])
        assert await ask(model="free-1") == 200  # passed on, and no cascade is to take its place
        assert sum(endpoint.counts.values()) == 5 and not lines(tmp_path)
        await endpoint.aclose()

    run(main)


def test_what_is_translated_is_observed_too(tmp_path: Path, server: WireServer) -> None:
    """A client of the other format is answered by the provider that it named, and the cascade is looked at beside."""

    async def main() -> None:
        own, large = Says("own", "Through"), Says("large", "never asked")
        endpoint = observing(tmp_path, ladder(Says("small", "through"), large), passing(server, []))
        through = Cascade(Tier(own, price=Price(100.0, 100.0)), last_resort=None)
        assert isinstance(endpoint.models, Named)
        endpoint.models.others["m-1"] = Model(through=through, instead="chat")
        response = await endpoint.handle("POST", PATHS["chat"], {}, asking("chat"))
        said = json.loads(await read(endpoint, response))["choices"][0]["message"]["content"]
        [line] = lines(tmp_path)
        assert (said, line["would"]["tier"], line["same_text"]) == ("Through", "small", True) and not large.asked
        assert line["saved_usd"] == pytest.approx(0.2 - 0.002) and not server.seen
        await endpoint.aclose()

    run(main)


@pytest.mark.parametrize("theirs", ["", "req_of_theirs"])
@pytest.mark.parametrize("given", ["", "mine-1"])
def test_a_request_has_one_id(tmp_path: Path, server: WireServer, given: str, theirs: str) -> None:
    """By what a client is told, its request is found in the log; the provider hears of an id only from the client."""

    async def main() -> None:
        endpoint = observing(tmp_path, ladder(Says("small", "a"), Says("large", "b")), passing(server, []))
        server.reply(200, WHOLE["anthropic"], {"x-request-id": theirs} if theirs else {})
        headers = {"x-request-id": given} if given else {}
        response = await endpoint.handle("POST", PATHS["anthropic"], headers, asking("anthropic"))
        await read(endpoint, response)
        [line] = lines(tmp_path)
        assert line["id"] == dict(response.headers)["x-request-id"] == (theirs or given or line["id"])
        assert server.seen[0].headers.get("x-request-id", "") == given
        await endpoint.aclose()

    run(main)


def test_tokens_are_counted_by_the_provider(tmp_path: Path, server: WireServer) -> None:
    """To count tokens is no question to a model: it is passed on, and not looked at."""

    async def main() -> None:
        endpoint = observing(tmp_path, ladder(Says("small", "a"), Says("large", "b")), passing(server, []))
        server.reply(200, {"input_tokens": 77})
        response = await endpoint.handle("POST", "/v1/messages/count_tokens", {}, asking("anthropic"))
        assert json.loads(response.body or b"") == {"input_tokens": 77} and not endpoint.counts.total()
        await endpoint.aclose()

    run(main)


def test_a_response_is_read_whole(tmp_path: Path) -> None:
    """What was thought, said and called is read, what is of no use here is kept as it came; a failure is no answer."""
    reply = reply_of("responses", json.dumps(CALLED).encode(), stream=False)
    assert reply is not None and reply.stop == "tool" and reply.usage == Usage(3, 4)
    assert reply.content == (
        Thinking("hm", by="openai"), Text("so"), ToolCall("c", "f", "{}"),
        Opaque("openai", {"type": "web_search_call", "id": "ws_1"}),
    )  # fmt: skip
    for status, why, wanted in (("incomplete", "max_output_tokens", "length"), ("failed", None, None)):
        details = {"reason": why} if why else None
        said = {**CALLED, "status": status, "incomplete_details": details}
        found = reply_of("responses", json.dumps(said).encode(), stream=False)
        assert (found.stop if found else None) == wanted
    refused = {**CALLED, "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]}
    found = reply_of("responses", json.dumps(refused).encode(), stream=False)
    assert found is not None and (found.stop, found.text) == ("refusal", "no")


@pytest.mark.parametrize("words", get_args(Words))
def test_whatever_comes_is_read_or_is_none(words: Words) -> None:
    """What is cut off or is something else makes no error."""
    for body in (
        b"",
        b"{}",
        b"[]",
        b"null",
        b"data: {}\n\n",
        b"data: [DONE]\n\n",
        *(each[:-5] for each in STREAMS[words]),
    ):
        for stream in (False, True):
            assert reply_of(words, body, stream=stream) is None
    assert reply_of("chat", b"".join(gpt.frames(gpt.completion("a"))), stream=True) is not None


FILE = """
[[cascades.chat.tiers]]
name = "small"
backend = {{ kind = "rules", faq = {{ hi = "mine" }} }}
price = {{ input = 1.0, output = 1.0 }}
[gateway]
{gateway}
[gateway.models]
"opus" = {{ passthrough = "anthropic", base_url = "http://127.0.0.1:9", api_key = "env:FC_KEY"{more} }}
"""


def written(folder: Path, gateway: str = "", more: str = "") -> Path:
    """A file with one name that is passed on."""
    file = folder / "cascade.toml"
    file.write_text(FILE.format(gateway=gateway, more=more))
    return file


def test_a_file_says_who_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`instead` names a cascade, which answers where nothing is observed; one that is not there is a mistake."""
    monkeypatch.setenv("FC_KEY", KEY)
    file = written(tmp_path, more=', instead = "chat"')
    assert config.load_all(file).models["opus"].instead == "chat"

    async def main() -> None:
        for text in ("", "mode = 'observe'\nobserve = { models = { opus = 'enforce' } }"):
            file = written(tmp_path, text, ', instead = "chat"')
            endpoint = loading.load(file, loading.settings_of(file)).endpoint
            assert isinstance(endpoint, Choosing)
            response = await endpoint.handle("POST", PATHS["anthropic"], {}, asking("anthropic", "opus"))
            assert json.loads(response.body or b"")["content"][0]["text"] == "mine"
            await endpoint.aclose()

    run(main)
    with pytest.raises(ConfigError, match=r"opus\.instead: no such cascade: 'chad'; did you mean 'chat'"):
        config.load_all(written(tmp_path, more=', instead = "chad"'))


def test_what_cannot_be_compared_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To observe a name that is passed on, and has no cascade to be compared with, is refused by that name."""
    monkeypatch.setenv("FC_KEY", KEY)
    file = written(tmp_path, "observe = { models = { opus = 'observe' } }")
    with pytest.raises(ConfigError, match=r"'opus' is passed through, and there is no cascade .* instead = 'NAME'"):
        loading.load(file, loading.settings_of(file))
