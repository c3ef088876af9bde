"""What is passed on as it is, and what is translated: by name, by wire and by caller, and through a real gateway."""

import asyncio
import json
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import pytest
from anthropic import AsyncAnthropic
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from fastcascade import ConfigError, config
from fastcascade.gateway import loading
from fastcascade.gateway.choosing import Choosing, Named
from fastcascade.gateway.key_store import KeyFile
from fastcascade.gateway.observe import Observing
from fastcascade.wire.endpoint import ANYONE, Caller, Response
from gateways import Client, Process, client_of, raw, running
from real import until
from wire import anthropic as claude
from wire import openai as gpt
from wire.server import Canned, Seen, WireServer

KEY = "provider-key-of-no-known-form"
MESSAGES, CHAT, RESPONSES, COUNT = "/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/messages/count_tokens"
WHOLE: dict[str, Any] = {
    MESSAGES: claude.message([claude.text("Hi")]),
    CHAT: gpt.completion("Hi"),
    RESPONSES: {"id": "r", "model": "m", "output": [], "usage": {"input_tokens": 12, "output_tokens": 34}},
    COUNT: {"input_tokens": 77},
}
FILE = """
[[tiers]]
name = "small"
backend = {{ kind = "rules", faq = {{ hi = "mine" }} }}
[gateway]
port = 0
keys = "keys.json"
account = "sqlite:used.db"
{more}
[gateway.models]
"small-talk" = {{ tier = "small" }}
"claude-*" = {{ passthrough = "direct", wire = "anthropic", base_url = "{url}", api_key = "env:FC_KEY", {price} }}
"claude-own" = {{ cascade = "cascade" }}
"opus" = {{ passthrough = "anthropic", base_url = "{url}", api_key = "env:FC_KEY", {price} }}
"gpt-5" = {{ passthrough = "openai", base_url = "{url}/v1", api_key = "env:FC_KEY", organization = "ours", {price} }}
"alias" = {{ passthrough = "direct", wire = "openai", base_url = "{url}/v1", model = "gpt-5", {price} }}
"echo" = {{ passthrough = "anthropic", base_url = "{echo}", api_key = "env:FC_KEY", {price} }}
"""
PRICE = "price = { input = 1000.0, output = 1000.0 }"


def asking(model: str, text: str = "hi", **more: Any) -> bytes:
    """A body that all wires can read, with what would not survive being written again."""
    said = {"messages": [{"role": "user", "content": text}], "max_tokens": 9, **more}
    return b'{ "model":' + json.dumps(model).encode() + b',  "temperature": 1.0e0, ' + json.dumps(said).encode()[1:]


class Echo(BaseHTTPRequestHandler):
    """A provider that answers with the very bytes it was sent."""

    def do_POST(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


class There(NamedTuple):
    """A gateway that runs, the provider behind it, and secrets of keys by their names."""

    process: Process
    port: int
    server: WireServer
    secrets: dict[str, str]


KEYS: dict[str, dict[str, Any]] = {
    "any": {},
    "poor": {"budget_day": 0.04},
    "claude": {"models": ["claude-h*"]},
    "exact": {"models": ["claude-haiku-9", "opus", "none-such"]},
    "bound": {"fields": {"max_tier": "small"}},
    "acme": {"fields": {"customer": "acme", "user": "u"}},
}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """One for all of these tests."""
    folder = tmp_path_factory.mktemp("gateway")
    keys = KeyFile(folder / "keys.json")
    secrets = {name: keys.create(name, **more)[1] for name, more in KEYS.items()}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FC_KEY", KEY)
        server = stack.enter_context(WireServer())
        echo = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Echo))
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        stack.callback(echo.shutdown)
        url = f"http://127.0.0.1:{echo.server_address[1]}"
        file = folder / "cascade.toml"
        file.write_text(FILE.format(url=server.url, echo=url, price=PRICE, more="access_log = true"))
        process, port = stack.enter_context(running(str(file)))
        yield There(process, port, server, secrets)
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.errors
        told = "".join(process.errors)
        assert KEY not in told and not any(secret in told for secret in secrets.values())


@pytest.fixture
def server(there: There) -> WireServer:
    """The provider, with nothing seen yet; it answers each path with a body of its own."""
    there.server.clear()
    there.server.handler = whole
    return there.server


def whole(seen: Seen) -> Canned:
    """A whole answer."""
    return Canned.plain(
        200, WHOLE[seen.path.partition("?")[0]], {"x-echo": KEY, "set-cookie": "a=b", "request-id": "p"}
    )


def go(there: There, what: Callable[[Client], Awaitable[None]]) -> None:
    """Run it with a client."""

    async def main() -> None:
        async with client_of(there.port) as client:
            await what(client)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "model"),
    [(MESSAGES, "claude-haiku-4-5"), (MESSAGES, "opus"), (COUNT, "claude-x"), (CHAT, "gpt-5"), (RESPONSES, "gpt-5")],
)
def test_a_body_comes_back_as_it_was(there: There, server: WireServer, path: str, model: str) -> None:
    """The provider gets the name the client gave, and our key for the client's; the client gets the very bytes."""

    async def main(client: Client) -> None:
        secret = there.secrets["any"]
        said = await client.ask("POST", path, asking(model), {"x-api-key": secret, "authorization": f"Bearer {secret}"})
        assert (said.status, said.body) == (200, json.dumps(WHOLE[path], ensure_ascii=False).encode())
        assert said.headers["x-cascade-tier"] == ("claude-*" if model.startswith("claude") else model)
        assert said.headers["x-request-id"] and KEY not in repr(said) and "set-cookie" not in said.headers
        (seen,) = server.seen
        assert (seen.path, seen.body["model"], seen.headers["authorization"]) == (path, model, f"Bearer {KEY}")
        assert secret not in repr(seen) and seen.headers.get("openai-organization") == (
            "ours" if model == "gpt-5" else None
        )

    go(there, main)


def test_a_body_goes_on_as_it_was(there: There) -> None:
    """A provider that repeats what it was sent, repeats the client's bytes."""

    async def main(client: Client) -> None:
        body = b'{"z":1e2, "model":"echo",  "a":"\\u00e9\\/"}  \n'
        assert (await client.post(MESSAGES, body, x_api_key=there.secrets["any"])).body == body

    go(there, main)


@pytest.mark.parametrize(("path", "model"), [(MESSAGES, "claude-haiku-4-5"), (CHAT, "gpt-5")])
def test_a_stream_comes_as_it_comes(there: There, server: WireServer, path: str, model: str) -> None:
    """Frames arrive before the last is sent; a client that leaves is gone for the provider too."""
    frames = claude.frames(WHOLE[MESSAGES]) if path == MESSAGES else gpt.frames(WHOLE[CHAT])
    server.handler = None
    server.stream(frames)
    server.stream(frames, "stall", 1)

    async def main(client: Client) -> None:
        headers = {"x_api_key": there.secrets["any"]}
        assert (await client.post(path, asking(model, stream=True), **headers)).body == b"".join(frames)
        await client.send(raw("POST", path, asking(model, stream=True), {"x-api-key": there.secrets["any"]}))
        assert (await client.head()).headers["content-type"].startswith("text/event-stream")
        assert await anext(client.pieces()) == frames[0]
        assert not server.gone.is_set()
        await client.close()
        assert await asyncio.to_thread(server.gone.wait, 15)

    go(there, main)


def test_sdks_find_what_they_look_for(there: There, server: WireServer) -> None:
    """The providers' own SDKs, pointed at the gateway with its key, read whole answers, streams, counts and errors."""
    message, secret = WHOLE[MESSAGES], there.secrets["any"]
    asked: Any = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}

    async def main(_: Client) -> None:
        base = f"http://127.0.0.1:{there.port}"
        async with AsyncAnthropic(base_url=base, api_key=secret, max_retries=0) as theirs:
            assert (await theirs.messages.create(**asked)).id == message["id"]
            counted = await theirs.messages.count_tokens(model="opus", messages=asked["messages"])
            assert counted.input_tokens == 77
            server.handler = None
            server.stream(claude.frames(message))
            async with theirs.messages.stream(**asked) as stream:
                assert (await stream.get_final_message()).usage.output_tokens == 34
            server.reply(429, claude.error("rate_limit_error", f"slow down, {KEY}"), {"retry-after": "7"})
            with pytest.raises(anthropic.RateLimitError, match=r"slow down, \[removed\]") as caught:
                await theirs.messages.create(**asked)
            assert caught.value.response.headers["retry-after"] == "7"
            server.reply(401, claude.error("authentication_error", "invalid key"))
            with pytest.raises(anthropic.InternalServerError, match="operator"):
                await theirs.messages.create(**asked)
        async with AsyncOpenAI(base_url=f"{base}/v1", api_key=secret, max_retries=0) as others:
            server.reply(200, WHOLE[CHAT])
            said = await others.chat.completions.create(model="gpt-5", messages=asked["messages"])
            assert said.choices[0].message.content == "Hi"
            server.reply(200, {"object": "response.input_tokens", "input_tokens": 78})
            size = await others.responses.input_tokens.count(model="gpt-5", input="hi")
            assert size.input_tokens == 78 and server.seen[-1].path == "/v1/responses/input_tokens"
        assert all(secret not in repr(each) for each in server.seen)

    go(there, main)


def test_what_is_translated_is_translated(there: There, server: WireServer) -> None:
    """Another wire, a name that stands for another, and a bound of the client's go through a cascade."""

    async def main(client: Client) -> None:
        key = {"x_api_key": there.secrets["any"]}
        said = await client.post(CHAT, asking("opus"), **key)
        assert said.json()["choices"][0]["message"]["content"] == "Hi" and server.seen[-1].path == MESSAGES
        said = await client.post(MESSAGES, asking("gpt-5"), **key)
        assert said.json()["content"][0]["text"] == "Hi" and server.seen[-1].path == CHAT
        said = await client.post(CHAT, asking("alias"), **key)
        assert server.seen[-1].body["model"] == "gpt-5" and "x-echo" not in said.headers
        said = await client.post(MESSAGES, asking("opus"), x_cascade_deadline="9", **key)
        assert said.status == 200 and "x-cascade-instance" in said.headers
        before = len(server.seen)
        for model in ("cascade", "cascade/small", "small-talk", "claude-own", "who-knows"):
            assert (await client.post(MESSAGES, asking(model), **key)).json()["content"][0]["text"] == "mine", model
        assert len(server.seen) == before

    go(there, main)


def test_a_star_is_not_translated(there: There, server: WireServer) -> None:
    """A name under a star, asked for in other words or with a bound, is refused, and the error says where to ask."""

    async def main(client: Client) -> None:
        key = {"x_api_key": there.secrets["any"]}
        for path, more in ((CHAT, {}), (RESPONSES, {}), (MESSAGES, {"x_cascade_budget_usd": "1"})):
            said = await client.post(path, asking("claude-x", input="hi"), **more, **key)
            assert said.status == 404 and "POST /v1/messages" in said.json()["error"]["message"]
        assert server.seen == []

    go(there, main)


def test_keys_hold(there: There, server: WireServer) -> None:
    """A key's models and tiers hold for what is passed on; what is refused reaches nobody."""

    async def main(client: Client) -> None:
        key = {"x_api_key": there.secrets["claude"]}
        assert (await client.post(MESSAGES, asking("claude-haiku-4-5"), **key)).status == 200
        for model in ("claude-opus", "opus", "cascade"):
            assert (await client.post(MESSAGES, asking(model), **key)).status == 404
        assert (await client.post(MESSAGES, asking("opus"), x_api_key="nobody's")).status == 401
        assert (await client.post(MESSAGES, asking("claude-x"), x_api_key=there.secrets["bound"])).status >= 400
        assert len(server.seen) == 1
        assert (await client.post(MESSAGES, asking("claude-x"), x_api_key=there.secrets["acme"])).status == 200

    go(there, main)


def test_what_it_costs_is_counted(there: There, server: WireServer) -> None:
    """To count tokens is free; an answer takes of the key's budget, and metrics and the access log have its tier."""

    async def main(client: Client) -> None:
        key = {"x_api_key": there.secrets["poor"]}
        for _ in range(2):
            assert (await client.post(COUNT, asking("opus"), **key)).json() == {"input_tokens": 77}
        assert (await client.post(MESSAGES, asking("opus"), **key)).status == 200
        assert (await client.post(MESSAGES, asking("opus"), **key)).status == 402
        assert (await client.post(COUNT, asking("opus"), **key)).status == 200
        counted = (await client.get("/metrics")).body.decode()
        lines = [each for each in counted.splitlines() if 'tier="opus"' in each and 'path="/v1/messages"' in each]
        assert any('status="200"' in each for each in lines)
        assert 'path="/v1/messages/count_tokens",status="200",tier=""' in counted
        await until(lambda: any('"tier": "opus"' in each for each in there.process.errors), "a line of the log")
        line = next(each for each in there.process.errors if '"tier": "opus"' in each)
        assert '"cost_usd": 0.046' in line and '"model": "opus"' in line

    go(there, main)


def test_models_are_listed(there: There) -> None:
    """Names of what is passed through are listed, each key's own, and one under a star is described by its name."""

    async def main(client: Client) -> None:
        mine, theirs = ({"x-api-key": there.secrets[name]} for name in ("any", "claude"))
        listed = (await client.ask("GET", "/v1/models", b"", mine)).json()["data"]
        assert {"opus", "gpt-5", "small-talk", "cascade"} <= {each["id"] for each in listed}
        assert not any("*" in each["id"] for each in listed)
        exact = {"x-api-key": there.secrets["exact"]}
        listed = (await client.ask("GET", "/v1/models", b"", exact)).json()["data"]
        assert [each["id"] for each in listed] == ["opus", "claude-haiku-9"]
        listed = (await client.ask("GET", "/v1/models", b"", theirs)).json()["data"]
        assert [each["id"] for each in listed] == []
        said = await client.ask("GET", "/v1/models/claude-haiku-9", b"", theirs)
        assert said.json()["id"] == "claude-haiku-9"
        assert (await client.ask("GET", "/v1/models/opus", b"", theirs)).status == 404

    go(there, main)


def test_a_star_is_no_model(there: There, server: WireServer) -> None:
    """Asked for as a model, a star is a 404 that says to name one, and goes to no provider."""

    async def main(client: Client) -> None:
        for name in ("any", "claude"):
            key = {"x-api-key": there.secrets[name]}
            star = "claude-*" if name == "any" else "claude-h*"
            told = [await client.ask("POST", path, asking(star), key) for path in (MESSAGES, COUNT, CHAT)]
            for said in (*told, await client.ask("GET", f"/v1/models/{star}", b"", key)):
                assert said.status == 404 and "name one of them" in said.json()["error"]["message"]
        assert server.seen == []

    go(there, main)


def test_a_model_is_described_by_the_name_that_was_asked_for(there: There) -> None:
    """Whatever a name stands for, both SDKs find a model of that very name."""

    async def main(_: Client) -> None:
        base, secret = f"http://127.0.0.1:{there.port}", there.secrets["any"]
        async with (
            AsyncAnthropic(base_url=base, api_key=secret, max_retries=0) as theirs,
            AsyncOpenAI(base_url=f"{base}/v1", api_key=secret, max_retries=0) as others,
        ):
            for name in ("small-talk", "claude-own", "opus", "claude-haiku-9", "alias", "cascade", "cascade/small"):
                assert (await theirs.models.retrieve(name)).id == (await others.models.retrieve(name)).id == name
        async with AsyncAnthropic(base_url=base, api_key=there.secrets["claude"], max_retries=0) as theirs:
            with pytest.raises(anthropic.NotFoundError):
                await theirs.models.retrieve("opus")

    go(there, main)


# Which name is meant.


def file_of(folder: Path, models: str, gateway: str = "") -> Path:
    """A file with these models."""
    tier = '[[tiers]]\nname = "small"\nbackend = { kind = "rules", faq = { hi = "mine" } }\n'
    file = folder / "cascade.toml"
    file.write_text(f"{tier}[gateway]\n{gateway}\n[gateway.models]\n{models}")
    return file


def names_of(folder: Path, *stars: str) -> Named:
    """Names of a file."""
    lines = [
        f'"{each}" = {{ passthrough = "anthropic", base_url = "http://x.test", api_key = "env:FC_KEY" }}'
        for each in stars
    ]
    endpoint = loading.load(file := file_of(folder, "\n".join(lines)), loading.settings_of(file)).endpoint
    assert isinstance(endpoint, Choosing) and isinstance(endpoint.models, Named)
    return endpoint.models


STARTS = st.text("ab/", max_size=4)


@settings(max_examples=40, deadline=None)
@given(st.sets(STARTS, min_size=1, max_size=5), STARTS)
def test_the_longest_star_is_meant(tmp_path_factory: pytest.TempPathFactory, starts: set[str], model: str) -> None:
    """Of all stars that a name falls under it is the longest, whatever their order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FC_KEY", KEY)
        names = names_of(tmp_path_factory.mktemp("x"), *(f"{each}*" for each in starts))
    fitting = [each for each in starts if model.startswith(each)]
    assert names.known(model) == (f"{max(fitting, key=len)}*" if fitting else "")


def test_bytes_are_read_once_where_nothing_is_passed(tmp_path: Path) -> None:
    """Without anything that can be passed on it is a plain endpoint; in either mode a pass-through is one."""
    file = file_of(tmp_path, 'raw = { passthrough = "rules", faq = { hi = "c" } }')
    assert type(loading.load(file, loading.settings_of(file)).endpoint).__name__ == "Endpoint"
    assert config.load_all(file).models["raw"].raw is None
    own = 'raw = { passthrough = "openai", base_url = "http://127.0.0.1:9/v1" }'
    file = file_of(tmp_path, own, "mode = 'observe'")
    endpoint = loading.load(file, loading.settings_of(file)).endpoint
    assert isinstance(endpoint, Observing)

    async def main() -> Response:
        response = await endpoint.handle("POST", "/chat/completions", {}, asking("raw"))
        await endpoint.aclose()
        return response

    assert asyncio.run(main()).status == 502  # nobody is there, and it was not a tier that found out


HELD: list[tuple[dict[str, str], Caller, bool]] = [
    ({}, ANYONE, True),
    ({"x-cascade-deadline": "3"}, ANYONE, False),
    ({"x-cascade-deadline": "3"}, Caller("k", locked=frozenset({"budget"})), True),
    ({}, Caller("k", locked=frozenset({"options"})), False),
    ({}, Caller("k", fields={"temperature": 0}), False),
    ({}, Caller("k", fields={"customer": "acme"}, locked=frozenset({"customer", "priority"})), True),
]


@pytest.mark.parametrize(("headers", "caller", "passed"), HELD)
def test_what_must_be_held_is_not_passed_on(
    tmp_path: Path, headers: dict[str, str], caller: Caller, passed: bool
) -> None:
    """Bytes go on as they are where nothing that is set, locked or bounded would be lost by that."""
    file = file_of(tmp_path, 'raw = { passthrough = "openai", base_url = "http://127.0.0.1:9/v1" }')
    endpoint = loading.load(file, loading.settings_of(file)).endpoint
    assert isinstance(endpoint, Choosing)
    assert (endpoint.passed(f"{CHAT}?beta=true", headers, asking("raw"), caller) is not None) is passed


BROKEN = [
    ('"a*b" = { passthrough = "openai", base_url = "http://x.test/v1" }', "a star stands at the end"),
    ('"a*" = { tier = "small" }', "a star stands at the end"),
    ('"a*" = { passthrough = "rules", faq = { hi = "c" } }', "a name with a star is for anthropic"),
    ('"a*" = { passthrough = "openai", base_url = "http://x.test/v1", model = "m" }', "and no model"),
    ('"a" = { passthrough = "openai", base_url = "http://x.test/v1", headers = { host = "x" } }', "'host' cannot be"),
]


@pytest.mark.parametrize(("models", "said"), BROKEN)
def test_what_cannot_be_passed_on_is_a_mistake(tmp_path: Path, models: str, said: str) -> None:
    """Stars elsewhere, stars for what is no provider, and headers that cannot be sent are found at once."""
    file = file_of(tmp_path, models)
    with pytest.raises(ConfigError, match=said):
        loading.load(file, loading.settings_of(file))


def test_no_key_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read of a file shows no secret, and the key of the environment is found where the backend finds it."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    file = file_of(
        tmp_path, '"claude-*" = { passthrough = "anthropic", headers = { x-api-key = "env:ANTHROPIC_API_KEY" } }'
    )
    found = config.load_all(file).models["claude-*"].raw
    assert found is not None and KEY not in repr(found)
    assert (found.api_key, found.base_url) == (KEY, "https://api.anthropic.com")
