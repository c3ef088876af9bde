"""Who is observed, the purse of a day, and the whole of it served from a file."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Request
from fastcascade.gateway.observe import Observing
from fastcascade.gateway.observe_log import DayPurse
from fastcascade.gateway.settings import Observe
from fastcascade.wire.endpoint import ANYONE
from gateways import chat, client_of, running
from real import until
from wire import anthropic as claude
from wire.server import WireServer

CHAT = "/v1/chat/completions"


@given(st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_user_stays_on_one_side(user: str, first: float, second: float) -> None:
    """Whoever is enforced at a share is so in every worker and at every higher share, whatever the request's name."""
    low, high = sorted((first, second))
    found: list[str] = []
    for share in (low, low, high):
        endpoint = Observing.__new__(Observing)
        endpoint.mode, endpoint.observe = "observe", Observe(enforce=share)
        request = Request.of("hi", user=f"u{user}", id=str(len(found)))
        found.append(endpoint.mode_of(request, "m", "chat", ANYONE))
    assert found[0] == found[1] and (found[0] == "observe" or found[2] == "enforce")


def test_shares_come_out_as_told() -> None:
    """Of many users about the share is enforced; by request, each is drawn anew."""
    endpoint = Observing.__new__(Observing)
    for by, names in (("user", {"user"}), ("request", {"id"})):
        endpoint.mode, endpoint.observe = "observe", Observe(enforce=0.25, by=by)  # type: ignore[arg-type] # a literal
        modes = [
            endpoint.mode_of(Request.of("hi", **dict.fromkeys(names, f"n{n}")), "m", "c", ANYONE) for n in range(2_000)
        ]
        assert 0.2 < modes.count("enforce") / 2_000 < 0.3


def test_money_whose_file_cannot_be_kept_is_not_spent(tmp_path: Path) -> None:
    """Nobody is asked beside, since nothing would bound it."""
    assert not DayPurse(tmp_path / "nowhere" / "x.spent", 1.0).take(0.1)


def test_a_damaged_purse_begins_anew(tmp_path: Path) -> None:
    """What is no purse is taken for an empty day, and written over."""
    file = tmp_path / "x.spent"
    file.write_text("{")
    purse = DayPurse(file, 1.0)
    assert purse.take(0.7) and not purse.take(0.7)
    purse.settle(0.7, 0.2)
    assert json.loads(file.read_text())["usd"] == pytest.approx(0.2)


def test_a_gateway_observes_as_its_file_says(tmp_path: Path) -> None:
    """Served from a file: the last tier answers and a line is written; reloaded, the cheap one answers."""
    tier = '[[tiers]]\nname = "{0}"\nbackend = {{ kind = "rules", faq = {{ hi = "{0}" }} }}\n'
    text = f"{tier.format('small')}{tier.format('large')}[gateway]\nport = 0\nmode = 'observe'\n"
    file = tmp_path / "cascade.toml"
    file.write_text(text)

    async def asked(port: int) -> str:
        async with client_of(port) as client:
            said = await client.post(CHAT, chat("hi"))
        return said.headers["x-cascade-tier"]

    with running(str(file)) as (process, port):

        async def main() -> None:
            assert await asked(port) == "large"
            await until((tmp_path / "observe.jsonl").exists, "a line")
            assert json.loads((tmp_path / "observe.jsonl").read_text())["would"]["tier"] == "small"
            file.write_text(text.replace("'observe'", "'enforce'"))
            process.signal(signal.SIGHUP)
            process.said("reloaded")
            assert await asked(port) == "small"

        asyncio.run(main())
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.errors


def test_a_gateway_takes_over_what_it_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own model is passed on, and what a cascade would have saved is noted; reloaded, the cascade answers."""
    monkeypatch.setenv("FC_KEY", "provider-key-of-no-known-form")
    tier = '[[cascades.chat.tiers]]\nname = "{0}"\nbackend = {{ kind = "rules", faq = {{ hi = "{0}" }} }}\n'
    file = tmp_path / "cascade.toml"
    price = "price = { input = 1000.0, output = 1000.0 }"

    with WireServer() as server:
        passed = (
            f'passthrough = "anthropic", base_url = "{server.url}", api_key = "env:FC_KEY", instead = "chat", {price}'
        )
        text = f"{tier.format('small')}{tier.format('large')}[gateway]\nport = 0\nmode = 'observe'\n"
        file.write_text(f'{text}[gateway.models]\n"claude-*" = {{ {passed} }}\n')
        server.stream(claude.frames(claude.message([claude.text("Small")])))
        with running(str(file)) as (process, port):

            async def main() -> None:
                base = f"http://127.0.0.1:{port}"
                asked: Any = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
                async with AsyncAnthropic(base_url=base, api_key="none", max_retries=0) as theirs:
                    async with theirs.messages.stream(**asked) as stream:
                        assert (await stream.get_final_message()).content[0].text == "Small"  # type: ignore[union-attr] # a text
                    await until((tmp_path / "observe.jsonl").exists, "a line")
                    line = json.loads((tmp_path / "observe.jsonl").read_text())
                    assert (line["model"], line["would"]["tier"], line["same_text"]) == ("claude-x", "small", True)
                    assert line["saved_usd"] == pytest.approx(0.046)
                    async with client_of(port) as client:
                        counted = (await client.get("/metrics")).body.decode()
                    assert 'fastcascade_observed_total{worker="0",became="looked"} 1' in counted
                    file.write_text(file.read_text().replace("'observe'", "'enforce'"))
                    process.signal(signal.SIGHUP)
                    process.said("reloaded")
                    assert (await theirs.messages.create(**asked)).content[0].text == "small"
                assert len(server.seen) == 1

            asyncio.run(main())
            process.signal(signal.SIGTERM)
            assert process.end() == 0, process.errors
