"""Who is turned away by headers alone: foreign web pages where there are no keys, and bodies that are packed."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import anthropic
import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastcascade import Cascade, Tier
from fastcascade.gateway.unwelcome import unwelcome
from fastcascade.wire.endpoint import ANYONE, Caller, Done
from gateways import chat, raw, serving

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
PATHS = [CHAT, MESSAGES, RESPONSES]
OWN = [
    "http://localhost", "http://localhost:3000", "https://app.localhost:8443", "http://127.0.0.1:5173",
    "http://[::1]:80", "tauri://localhost",
]  # fmt: skip
FOREIGN = [
    "null", "https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "",
    "http://localhost@evil.example", "http://evil.example/localhost", "http://notlocalhost", "http://127.0.0.2",
    "http://localhost, https://evil.example", "http://localhost\n", "http://localhost:80:80", "http://[::2]",
    "http://0.0.0.0", "http://localhost.", "http://.localhost", "localhost", "file://",
]  # fmt: skip


def run(main: Callable[[], Awaitable[None]]) -> None:
    """In a loop of its own, and within a time."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    asyncio.run(bounded())


async def good(_: Any) -> str:
    """The answer to all."""
    return "good"


class Gate:
    """Lets in anyone."""

    def enter(self, _headers: Any, _path: str, _length: int, /) -> Caller:
        return ANYONE

    def leave(self, _caller: Caller, _done: Done | None, /) -> None:
        return


@pytest.mark.parametrize("path", PATHS)
def test_a_foreign_page_spends_nobodys_money(path: str) -> None:
    """It is answered with 403 in the format's words, which say what to do, and no model is asked."""
    asked: list[object] = []

    async def main() -> None:
        async def tier(request: Any) -> str:
            asked.append(request)
            return "good"

        async with serving(Cascade(Tier(tier))) as there:
            for origin in ("https://evil.example", "null"):
                answer = await there.client().post(path, chat("hi"), origin=origin)
                error = answer.json()["error"]
                assert answer.status == 403 and "keys" in error["message"] and "allow_anyone" in error["message"]
                assert answer.json().get("type") == "error" if path == MESSAGES else "type" in error
        assert asked == []

    run(main)


WELCOME: list[tuple[str | None, Any, dict[str, Any]]] = [
    (None, None, {}),
    *((each, None, {}) for each in OWN),
    ("null", Gate(), {}),
    ("null", None, {"allow_anyone": True}),
]


@pytest.mark.parametrize(("origin", "gate", "settings"), WELCOME)
def test_others_are_answered(origin: str | None, gate: Any, settings: dict[str, Any]) -> None:
    """Clients that are no browsers, pages of this machine, and all where there are keys or anyone may come."""

    async def main() -> None:
        async with serving(Cascade(Tier(good)), gate=gate, **settings) as there:
            headers = {} if origin is None else {"origin": origin}
            answer = await there.client().post(CHAT, chat("hi"), **headers)
            assert answer.status == 200

    run(main)


def test_what_lies_beside_needs_no_origin() -> None:
    """Health and metrics are told whatever page asks: they spend nothing."""

    async def main() -> None:
        async with serving(Cascade(Tier(good))) as there:
            for path in ("/healthz", "/readyz", "/metrics"):
                assert (await there.client().get(path, origin="https://evil.example")).status == 200

    run(main)


@pytest.mark.parametrize("origin", FOREIGN)
def test_odd_origins_are_foreign(origin: str) -> None:
    """What only looks like this machine is not it."""
    assert unwelcome({"origin": origin}, guarded=False) is not None
    assert unwelcome({"origin": origin}, guarded=True) is None


PARTS = st.sampled_from(
    ["http", "https", "://", "localhost", "127.0.0.1", "[::1]", ".", ":", "@", "/", "evil", "80", "#", "?", "\\", "%00",
     " ", "\t", "\n", "LOCALHOST", "ｌocalhost", "٣", "null", ",", "app.", "[", "]", "-"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(PARTS, max_size=8).map("".join)))
@example("http://app.localhost:80")
def test_whatever_passes_is_of_this_machine(origin: str) -> None:
    """By the reading of another parser, which knows nothing of the rule."""
    if unwelcome({"origin": origin}, guarded=False) is not None:
        return
    parts = urlsplit(origin)
    host = parts.hostname or ""
    assert parts.username is None and not parts.path and not parts.query and not parts.fragment
    assert host == "localhost" or host.endswith(".localhost") or ip_address(host).is_loopback
    assert origin.isascii() and origin.isprintable() and " " not in origin


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, zstd", "GZIP"])
def test_a_packed_body_is_refused_before_it_is_read(path: str, encoding: str) -> None:
    """It is answered with 415 that names the header, though the body has not come."""

    async def main() -> None:
        async with serving(Cascade(Tier(good))) as there:
            client = there.client()
            await client.send(raw("POST", path, headers={"content-length": "100", "content-encoding": encoding}))
            head = await client.head()
            reader, _ = await client.open()
            assert head.status == 415
            assert b"content-encoding" in await reader.readexactly(int(head.headers["content-length"]))

    run(main)


@pytest.mark.parametrize("encoding", ["identity", "Identity", "", "identity, identity"])
def test_a_body_that_is_said_to_be_as_it_is_is_read(encoding: str) -> None:
    """That header then says nothing."""

    async def main() -> None:
        async with serving(Cascade(Tier(good))) as there:
            assert (await there.client().post(CHAT, chat("hi"), content_encoding=encoding)).status == 200

    run(main)


def test_sdks_have_an_error_for_it() -> None:
    """Both raise the one that has the status, with these words."""

    async def main() -> None:
        async with serving(Cascade(Tier(good))) as there:
            told = {"content-encoding": "gzip"}
            one = anthropic.AsyncAnthropic(
                api_key="k", base_url=f"http://127.0.0.1:{there.port}", default_headers=told, max_retries=0
            )
            two = openai.AsyncOpenAI(
                api_key="k", base_url=f"http://127.0.0.1:{there.port}/v1", default_headers=told, max_retries=0
            )
            said: Any = [{"role": "user", "content": "hi"}]
            async with one, two:
                with pytest.raises(anthropic.APIStatusError, match="content-encoding") as first:
                    await one.messages.create(model="m", max_tokens=9, messages=said)
                with pytest.raises(openai.APIStatusError, match="content-encoding") as second:
                    await two.chat.completions.create(model="m", messages=said)
            assert first.value.status_code == second.value.status_code == 415
            packed = await there.client().post(CHAT, gzip.compress(chat("hi")), content_encoding="gzip")
            assert packed.status == 415

    run(main)
