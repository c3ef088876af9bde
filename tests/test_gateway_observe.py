"""Observe first: the client reads what the last tier says, and what the cascade would do is noted beside."""

import asyncio
import datetime as dt
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fastcascade import Cascade, ConfigError, Lane, Lanes, Price, Request, Tier
from fastcascade.config.models import Model
from fastcascade.errors import BackendError
from fastcascade.fallbacks import Stale, Static
from fastcascade.gates.check import UserCheck
from fastcascade.gateway.choosing import Named
from fastcascade.gateway.observe import Observing
from fastcascade.gateway.observe_log import DayPurse, Log
from fastcascade.gateway.settings import Observe, Settings
from fastcascade.messages import Reply, Usage
from fastcascade.recording import Recording, replay
from fastcascade.wire.endpoint import ANYONE, Caller, Done, Response
from gateways import Held, chat

CHAT = "/v1/chat/completions"
PRICES = {"small": Price(1.0, 1.0), "large": Price(100.0, 100.0)}


class Says:
    """A backend that says the same to all, and keeps what it was asked."""

    gives: frozenset[str] = frozenset()

    def __init__(self, name: str, text: str, error: Exception | None = None) -> None:
        self.name, self.text, self.error = name, text, error
        self.asked: list[Request] = []

    async def complete(self, request: Request, /) -> Reply:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return Reply(self.text, self.name, usage=Usage(input=1_000, output=1_000))


def run(main: Callable[[], Awaitable[None]]) -> None:
    """In a loop of its own, and within a time."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    asyncio.run(bounded())


def gate(score: float) -> UserCheck:
    """Every reply is as good as this."""
    return UserCheck(lambda _request, _text: score)


def ladder(small: Any, large: Any, score: float = 1.0, **more: Any) -> Cascade:
    """Two tiers, of which the first is a hundred times cheaper."""
    return Cascade(
        Tier(small, name="small", gate=gate(score), accept=0.5, price=PRICES["small"], **more.pop("tier", {})),
        Tier(large, name="large", price=PRICES["large"], **more.pop("top", {})),
        **more,
    )


def observing(folder: Path, cascade: Cascade, mode: str = "observe", **told: Any) -> Observing:
    """An endpoint of this cascade, which is observed."""
    on_done = told.pop("on_done", None)
    draw = told.pop("draw", lambda: 0.0)
    made: Any = mode
    settings = Settings(mode=made, observe=Observe(**{"usd": 100.0, **told}))
    return Observing({"chat": cascade}, settings, folder, default="chat", on_done=on_done, draw=draw)


async def ask(endpoint: Observing, text: str = "hi", caller: Caller = ANYONE, **told: Any) -> Response:
    """A chat completion, and what was begun beside it brought to its end."""
    headers = {f"x-cascade-{name}": value for name, value in told.pop("headers", {}).items()}
    response = await endpoint.handle("POST", CHAT, headers, chat(text, **told), caller)
    if response.pieces is not None:
        response.body = b"".join([piece async for piece in response.pieces])
    await looked(endpoint)
    return response


async def looked(endpoint: Observing) -> None:
    """Wait for what is under way beside."""
    await asyncio.gather(*endpoint._looks, return_exceptions=True)  # noqa: SLF001 - there is nothing public to wait on


def lines(folder: Path) -> list[dict[str, Any]]:
    """The log."""
    file = folder / "observe.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def text_of(response: Response) -> str:
    """What was said."""
    return str(json.loads(response.body or b"")["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    ("score", "would", "saved"),
    [(0.9, "small", 0.2 - 0.002), (0.1, "large", -0.002)],
    ids=["good enough", "not good enough"],
)
def test_what_the_cascade_would_do_is_noted(tmp_path: Path, score: float, would: str, saved: float) -> None:
    """The answer is the dear tier's, which is asked once; a line has who would have answered, and what that saves."""

    async def main() -> None:
        small, large = Says("small", "cheap  WORDS"), Says("large", "Cheap words")
        told: list[Done] = []
        endpoint = observing(tmp_path, ladder(small, large, score), on_done=told.append)
        response = await ask(endpoint)
        assert (response.status, text_of(response)) == (200, "Cheap words")
        assert dict(response.headers)["x-cascade-tier"] == "large"
        assert (len(small.asked), len(large.asked), len(told)) == (1, 1, 1)
        [line] = lines(tmp_path)
        assert line["answered"]["tier"] == "large" and line["would"]["tier"] == would
        assert line["would"]["escalated"] is (would == "large")
        assert line["would"]["tries"][0]["score"] == pytest.approx(score)
        assert line["same_text"] is (True if would == "small" else None)
        assert line["saved_usd"] == pytest.approx(saved) == endpoint.saved
        for usd in (line["saved_usd"], line["spent_usd"], line["would"]["usd"], line["answered"]["usd"]):
            assert usd == round(usd, 9)
        assert line["spent_usd"] == pytest.approx(0.002) == endpoint.purse.spent
        assert endpoint.counts["looked"] == sum(endpoint.counts.values()) == 1

    run(main)


def test_a_log_can_be_replayed_under_other_thresholds(tmp_path: Path) -> None:
    """Each line is a recording: another threshold gives another answer, and asks nobody."""

    async def main() -> None:
        cascade = ladder(Says("small", "a"), Says("large", "b"), 0.7)
        await ask(observing(tmp_path, cascade))
        [recording] = Recording.load(tmp_path / "observe.jsonl")
        assert replay(cascade, recording).tier == "small"
        strict = replay(cascade.adjusted(accept={"small": 0.8}), recording)
        assert (strict.tier, strict.text) == ("large", "b") and strict.cost_usd == pytest.approx(0.202)

    run(main)


def test_what_is_forwarded_is_unchanged(tmp_path: Path) -> None:
    """No gate, no settings of a tier's own and no fallback touch it; lanes and bounds are for the cascade alone."""

    async def main() -> None:
        large = Says("large", "so")
        cascade = ladder(
            Says("small", "a"), large, top={"gate": gate(0.0), "accept": 0.9, "temperature": 0.3, "max_tokens": 5},
            fallbacks=[Stale(fresh_for=60), Static("sorry")], lanes=Lanes([Lane(end="small")]),
        )  # fmt: skip
        endpoint = observing(tmp_path, cascade)
        for _ in range(2):
            response = await ask(endpoint, temperature=0.9, headers={"min-tier": "small"})
            assert text_of(response) == "so"
        assert [(each.temperature, each.max_tokens, each.min_tier) for each in large.asked] == [(0.9, None, "")] * 2
        assert [line["would"]["tier"] for line in lines(tmp_path)] == ["small", "small"]

    run(main)


def test_a_stream_is_forwarded_as_it_comes(tmp_path: Path) -> None:
    """Its pieces are the last tier's, before anything is asked beside."""

    async def main() -> None:
        small, held = Says("small", "a"), Held("b")
        endpoint = observing(tmp_path, ladder(small, held))
        response = await endpoint.handle("POST", CHAT, {}, chat("hi", stream=True))
        assert response.pieces is not None
        first = await anext(response.pieces)
        assert b'"b"' in first and not small.asked
        held.free.set()
        rest = b"".join([piece async for piece in response.pieces])
        assert b"[DONE]" in rest
        await looked(endpoint)
        assert len(small.asked) == 1 and len(lines(tmp_path)) == 1

    run(main)


def test_a_failure_beside_goes_no_further(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A cheap tier that fails is noted as one; a fault of our own is counted, and logged by its name alone."""

    async def main() -> None:
        broken = Says("small", "", BackendError("server", "no"))
        endpoint = observing(tmp_path, ladder(broken, Says("large", "b")))
        assert text_of(await ask(endpoint)) == "b"
        assert lines(tmp_path)[0]["would"]["tries"][0]["verdict"] == "failed"
        endpoint.log = None  # type: ignore[assignment] # a fault of ours
        with caplog.at_level(logging.ERROR, "fastcascade"):
            assert text_of(await ask(endpoint)) == "b"
        assert "AttributeError" in caplog.text and endpoint.counts["failed"] == 1

    run(main)


def test_what_is_not_answered_is_counted(tmp_path: Path) -> None:
    """An error of the last tier is the client's error, with no answer made up; nobody is asked beside."""

    async def main() -> None:
        small = Says("small", "a")
        endpoint = observing(tmp_path, ladder(small, Says("large", "", BackendError("server", "no"))))
        response = await ask(endpoint)
        assert response.status >= 500 and not small.asked
        assert endpoint.counts["unanswered"] == 1 and not lines(tmp_path)

    run(main)


def test_money_of_a_day_is_the_bound(tmp_path: Path) -> None:
    """When the day's dollars are spent nobody is asked beside, in another worker neither; the next day they are."""

    async def main() -> None:
        small = Says("small", "a")
        cascade = ladder(small, Says("large", "b"))
        day = [dt.date(2026, 1, 1)]
        workers = [observing(tmp_path, cascade, usd=0.005, usd_each=0.003) for _ in range(2)]
        for each in workers:
            each.purse = DayPurse(each.purse.path, 0.005, lambda: day[0])
            for _ in range(3):
                assert (await ask(each)).status == 200
        assert len(small.asked) == 2 and workers[1].counts["budget"] == 3
        day[0] = dt.date(2026, 1, 2)
        await ask(workers[1])
        assert len(small.asked) == 3

    run(main)


def test_one_run_takes_no_more_than_its_share(tmp_path: Path) -> None:
    """A tier that would cost more than one run may take is not asked."""

    async def main() -> None:
        small = Says("small", "a")
        endpoint = observing(tmp_path, ladder(small, Says("large", "b")), usd=0.1, usd_each=0.000_000_1)
        await ask(endpoint)
        assert not small.asked and lines(tmp_path)[0]["spent_usd"] == 0.0

    run(main)


def test_only_so_many_are_looked_at_at_once(tmp_path: Path) -> None:
    """While all places are taken, requests are answered and counted as busy; the end of the worker is counted too."""

    async def main() -> None:
        held = Held()
        endpoint = observing(tmp_path, ladder(held, Says("large", "b")), at_once=1)
        for _ in range(3):
            assert (await endpoint.handle("POST", CHAT, {}, chat("hi"))).status == 200
        await held.asked.wait()
        assert (held.calls, endpoint.counts["busy"]) == (1, 2)
        await endpoint.aclose()
        assert held.cancelled.is_set() and endpoint.counts["cancelled"] == 1

    run(main)


def test_a_share_is_drawn(tmp_path: Path) -> None:
    """What is not drawn is answered, and counted."""

    async def main() -> None:
        draws = iter([0.2, 0.3, 0.9])
        endpoint = observing(tmp_path, ladder(Says("s", "a"), Says("l", "b")), share=0.3, draw=lambda: next(draws))
        for _ in range(3):
            assert text_of(await ask(endpoint)) == "b"
        assert (endpoint.counts["looked"], endpoint.counts["drawn"]) == (1, 2)

    run(main)


MODES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("observe", {}, {}, "large"),
    ("enforce", {}, {}, "small"),
    ("observe", {"routes": {"code": "enforce"}}, {"headers": {"route": "code"}}, "small"),
    ("observe", {"routes": {"code": "enforce"}}, {"headers": {"task": "code"}}, "small"),
    ("observe", {"routes": {"code": "enforce"}}, {}, "large"),
    ("enforce", {"routes": {"code": "observe"}}, {"headers": {"route": "code"}}, "large"),
    ("observe", {"models": {"chat": "enforce"}}, {"model": "chat"}, "small"),
    ("observe", {"models": {"chat": "enforce"}, "routes": {"x": "observe"}}, {"headers": {"route": "x"}}, "large"),
    ("observe", {"enforce": 1.0}, {}, "small"),
    ("observe", {}, {"model": "chat/small"}, "small"),
    ("observe", {}, {"headers": {"max-tier": "small"}}, "small"),
]


@pytest.mark.parametrize(("mode", "told", "asked", "tier"), MODES)
def test_enforced_is_what_is_told(
    tmp_path: Path, mode: str, told: dict[str, Any], asked: dict[str, Any], tier: str
) -> None:
    """By route, by model, by share and by tier: who answers tells which mode it was."""

    async def main() -> None:
        endpoint = observing(tmp_path, ladder(Says("s", "a"), Says("l", "b")), mode, **told)
        response = await ask(endpoint, **asked)
        assert dict(response.headers)["x-cascade-tier"] == tier

    run(main)


def test_a_price_must_be_known(tmp_path: Path) -> None:
    """What cannot be bounded is not begun: the error names the tier."""
    with pytest.raises(ConfigError, match=r"price of tier 'mystery' of 'chat' is not known"):
        observing(tmp_path, Cascade(Tier(Says("mystery", "a")), Tier(Says("large", "b"), price=PRICES["large"])))


def test_a_log_without_texts_holds_none(tmp_path: Path) -> None:
    """With texts = false neither question nor answers are in it; and nobody else may read either log."""

    async def main() -> None:
        endpoint = observing(tmp_path, ladder(Says("s", "secret-a"), Says("l", "secret-b")), texts=False)
        await ask(endpoint, "secret-q")
        file = tmp_path / "observe.jsonl"
        assert "secret" not in file.read_text() and lines(tmp_path)[0]["would"]["tier"] == "small"
        assert file.stat().st_mode & 0o077 == 0

    run(main)


def test_a_log_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Lines that are lost are counted; the log tells of the first of them."""

    async def main() -> None:
        endpoint = observing(tmp_path, ladder(Says("s", "a"), Says("l", "b")))
        endpoint.log = Log(tmp_path / "nowhere" / "observe.jsonl")
        for _ in range(2):
            assert text_of(await ask(endpoint)) == "b"
        assert endpoint.counts["unwritten"] == 2
        assert caplog.text.count("cannot be written") == 1

    with caplog.at_level(logging.ERROR, "fastcascade"):
        run(main)


def test_other_names_are_names(tmp_path: Path) -> None:
    """A name may mean a tier or something passed through; who may use a name need not be allowed what it means."""

    async def main() -> None:
        through = Cascade(Tier(Says("own", "through"), price=PRICES["small"]), last_resort=None)
        chatting = ladder(Says("s", "a"), Says("l", "b"))
        endpoint = observing(tmp_path, chatting, "enforce", models={"chat": "enforce"})
        others: Mapping[str, Model] = {"top": Model("chat", "large"), "raw": Model(through=through), "c": Model("chat")}
        endpoint.models = Named({"chat": chatting}, "chat", others)
        only = Caller("k", models=frozenset({"top"}))
        for model, caller, said in (("top", only, "b"), ("raw", ANYONE, "through"), ("c", ANYONE, "a")):
            assert text_of(await ask(endpoint, caller=caller, model=model)) == said
        for model in ("raw", "chat", "chat/large"):
            assert (await ask(endpoint, caller=only, model=model)).status == 404
        assert endpoint.models.names(only) == ["top"]
        assert endpoint.models.names(ANYONE) == ["chat", "chat/small", "chat/large", "top", "raw", "c"]

    run(main)
