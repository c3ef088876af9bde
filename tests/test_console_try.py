"""The playground and the calls of "Try it": what presets come to, what a served text may cost, what is never said."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from math import isclose
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fastcascade import Cascade, Reply, Request, Tier, Usage
from fastcascade.caching.answers import AnswerCache
from fastcascade.console.api_try import CALLS
from fastcascade.console.asked import Asked, Person, Refusal, Said, Sight
from fastcascade.console.playground import Playground
from fastcascade.console.playground_models import TOPICS, Clerk
from fastcascade.console.playground_presets import PRESETS, Preset
from fastcascade.console.playground_served import Allowance
from fastcascade.gateway.settings import Settings
from fastcascade.gateway.settings_seen import ConsoleSettings, DecisionsSettings
from fastcascade.notices import Notice
from fastcascade.prices import Price
from fastcascade.telemetry.events import HUB, Event
from fastcascade.testing import run_virtual

API = "/console/api/try"
OUTCOMES = {
    "cache": "L1: passed answered skipped skipped skipped skipped",
    "exact": "L2: passed passed answered passed skipped skipped",
    "prefix": "L2: passed passed answered passed skipped skipped",
    "regex": "L2: passed passed answered passed skipped skipped",
    "unknown": "L3: passed passed passed refused skipped skipped",
    "limited": "L3: passed passed passed refused skipped skipped",
    "rules": "L4: passed passed passed passed answered skipped",
    "cheap": "L4: passed passed passed passed answered skipped",
    "escalates": "L4: passed passed passed passed answered skipped",
    "primary": "L5: passed passed passed passed passed answered",
    "all": "L5: passed passed passed passed passed answered",
    "human": "L5: passed passed passed passed passed answered",
}
TIERS = {
    "cache": ("small", []),
    "rules": ("rules", ["rules"]),
    "cheap": ("small", ["rules", "small"]),
    "escalates": ("large", ["rules", "small", "large"]),
    "primary": ("backup", ["rules", "small", "large", "backup"]),
    "all": ("", ["rules", "small", "large", "backup"]),
    "human": ("large", ["rules", "small", "large"]),
}
"""By preset: whose answer it is, and who was asked."""


def with_playground(work: Callable[[Playground], Awaitable[Any]], *, real: bool = False) -> Any:
    """Do it with a playground, in virtual time unless `real` is wanted, and close that."""

    async def whole() -> Any:
        playground = Playground()
        try:
            return await work(playground)
        finally:
            await playground.aclose()

    return asyncio.run(whole()) if real else run_virtual(whole())


def outcomes(told: dict[str, Any]) -> str:
    """Which layer answered, and what came of each."""
    return f"{told['answer']['layer']}: {' '.join(step['outcome'] for step in told['steps'])}"


# The playground.


def test_every_preset_ends_at_its_layer() -> None:
    """Each preset is answered or refused where it says, each time, and by whom it says; and it says what to look at."""

    async def work(playground: Playground) -> None:
        for _ in range(2):
            for name, preset in PRESETS.items():
                told = await playground.run(preset)
                assert outcomes(told) == OUTCOMES[name], name
                if name in TIERS:
                    answered = (told["answer"]["tier"], [each["tier"] for each in told["trace"]])
                    assert answered == TIERS[name], name
                assert preset.watch.endswith(".")

    with_playground(work)


def test_figures_are_those_of_the_run() -> None:
    """What was asked took time; the cost of L4 and L5 is that of the attempts; what was refused says its status."""

    async def work(playground: Playground) -> None:
        for name, preset in PRESETS.items():
            told = await playground.run(preset)
            asked = [step for step in told["steps"] if step["outcome"] != "skipped"]
            assert all(step["seconds"] > 0 and step["detail"] for step in asked), name
            assert isclose(sum(s["usd"] for s in asked), sum(a["usd"] for a in told["trace"]), abs_tol=1e-12), name
            assert told["answer"]["status"] == {"unknown": 401, "limited": 429}.get(name, 200)
            assert json.loads(json.dumps(told)) == told

    with_playground(work, real=True)


def test_what_was_skipped_says_what_it_would_have_taken() -> None:
    """First an estimate by price; then the median of the runs that asked; broken models do not count among these."""

    async def work(playground: Playground) -> None:
        first = await playground.run(PRESETS["exact"])
        assert first["steps"][4]["would"]["how"].startswith("estimate by price")
        assert first["steps"][4]["would"]["usd"] > 0
        assert first["steps"][5]["would"] is None
        cheap = await playground.run(PRESETS["cheap"])
        await playground.run(PRESETS["primary"])
        then = await playground.run(PRESETS["exact"])
        would = then["steps"][4]["would"]
        assert would["how"] == "median of 1 earlier run here"
        assert (would["seconds"], would["usd"]) == (cheap["steps"][4]["seconds"], cheap["steps"][4]["usd"])
        assert then["steps"][5]["would"]["usd"] > 0

    with_playground(work)


def test_a_person_answers_once() -> None:
    """Who holds the ticket's review answers it; another one, and a second answer, are told that nobody waits."""

    async def work(playground: Playground) -> None:
        told = await playground.run(PRESETS["human"])
        ticket = told["answer"]["ticket"]
        said = await playground.answer(ticket, "All of it.", "ann")
        assert said == {"came": "done", "state": "answered", "text": "All of it.", "by": "ann"}
        for who, which in (("rob", ticket), ("ann", ticket), ("ann", "rv_unknown")):
            with pytest.raises(Refusal) as refused:
                await playground.answer(which, "None of it.", who)
            assert refused.value.status == 409

    with_playground(work)


def test_runs_at_once_do_not_meet() -> None:
    """While all providers are down for one, they are not for another: faults are the run's own."""

    async def work(playground: Playground) -> None:
        names = ["all", "cheap", "primary", "escalates", "human", "regex"]
        told = await asyncio.gather(*(playground.run(PRESETS[name]) for name in names))
        assert [outcomes(each) for each in told] == [OUTCOMES[name] for name in names]

    with_playground(work)


def test_the_same_at_the_same_time_is_asked_once() -> None:
    """Two runs of one question share one call: the second has its answer from the first, and says so."""

    async def work(playground: Playground) -> None:
        first, second = await asyncio.gather(*(playground.run(PRESETS["escalates"]) for _ in range(2)))
        assert outcomes(first) == OUTCOMES["escalates"]
        assert outcomes(second) == "L1: passed answered passed passed skipped skipped"
        assert (second["answer"]["via"], second["trace"]) == ("joined", [])
        assert second["answer"]["text"] == first["answer"]["text"]

    with_playground(work)


def test_a_kept_answer_is_for_the_same_words_of_the_same_caller() -> None:
    """What one caller was told is not given to another, nor for other words."""

    async def work(playground: Playground) -> None:
        first = Preset("", "", text="customs duty", keep=True)
        assert outcomes(await playground.run(first)).startswith("L4")
        assert outcomes(await playground.run(first)).startswith("L1")
        assert outcomes(await playground.run(Preset("", "", text="customs  duty", keep=True))).startswith("L4")
        other = Preset("", "", text="customs duty", keep=True, key="bursty")
        assert outcomes(await playground.run(other)).startswith("L4")
        assert outcomes(await playground.run(Preset("", "", text="customs duty", keep=True, key=""))).startswith("L3")

    with_playground(work)


def test_a_kept_answer_outlives_the_providers_of_the_playground() -> None:
    """With everything down, the last good answer to the same question is given, and said to be old."""

    async def work(playground: Playground) -> None:
        await playground.run(Preset("", "", text="duty and customs"))
        told = await playground.run(Preset("", "", text="duty and customs", condition="all"))
        assert (told["answer"]["via"], told["answer"]["degraded"]) == ("stale", "stale")
        assert "CN23" in told["answer"]["text"]

    with_playground(work)


def test_bad_paths_are_refused_at_the_entry() -> None:
    """What the path policy refuses goes no further than L0."""

    async def work(playground: Playground) -> None:
        told = await playground.run(Preset("", "", "GET", "/a%2Fb", key=""))
        assert outcomes(told) == "L0: refused skipped skipped skipped skipped skipped"
        assert told["answer"]["status"] == 400

    with_playground(work)


def test_nobody_is_told_of_a_playground_run_and_no_secret_is_in_it(tmp_path: Path) -> None:
    """Whoever listens to events hears nothing of it, what is said holds no key, and closing leaves no file behind."""
    events: list[Event] = []
    end = HUB.subscribe(events.append)

    async def work(playground: Playground) -> Path:
        for preset in PRESETS.values():
            said = json.dumps(await playground.run(preset))
            assert not any(secret in said for secret in playground.parts.secrets.values())
        return Path(playground.parts.folder.name)

    try:
        folder = with_playground(work)
    finally:
        end()
    assert events == []
    assert not folder.exists()
    assert tmp_path.exists()


@given(st.text(max_size=200), st.integers(0, 5), st.floats(0.0, 2.0, allow_nan=False), st.booleans())
def test_a_clerk_says_the_same_to_the_same(text: str, seed: int, temperature: float, wide: bool) -> None:
    """What it says depends on the text and the seed alone, and is written down, or nothing."""
    clerk = Clerk("small", 0.0, Price(1.0, 1.0), overlooks=0.5, wide=wide)
    request = Request.of(text or "?", seed=seed, temperature=temperature)
    said = clerk.look_up(request)
    assert said == clerk.look_up(request)
    assert said in {"", *(topic.answer for topic in TOPICS)}


# What a served text may cost.


class Spending(RuleBasedStateMachine):
    """An allowance beside a model of it: lists of what was spent, and on which day."""

    def __init__(self) -> None:
        super().__init__()
        self.allowance, self.now = Allowance(1.0), 0.0
        self.spent: list[tuple[int, float]] = []
        self.holds: list[float] = []

    def left(self) -> float:
        """What the model says is left."""
        day = int(self.now // 86_400)
        today = sum(cost for when, cost in self.spent if when == day)
        return max(0.0, 1.0 - today - sum(self.holds))

    @rule(expected=st.floats(0.0, 2.0))
    def hold(self, expected: float) -> None:
        """A run begins, or is refused where too little is left."""
        left = self.left()
        if left <= 1e-9 or abs(expected - left) < 1e-9:
            return  # where sums of floats decide
        try:
            self.holds.append(self.allowance.hold(expected, self.now))
        except Refusal as refusal:
            assert refusal.status == 402
            assert expected > left
        else:
            assert expected <= left + 1e-9
            assert self.holds[-1] <= left + 1e-9

    @precondition(lambda self: self.holds)
    @rule(cost=st.none() | st.floats(0.0, 0.5), data=st.data())
    def settle(self, cost: float | None, data: st.DataObject) -> None:
        """A run ends; what it cost is known, or is not."""
        held = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        self.allowance.settle(held, cost, self.now)
        self.spent.append((int(self.now // 86_400), held if cost is None else cost))

    @rule(seconds=st.floats(0.0, 100_000.0))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds

    @invariant()
    def agrees(self) -> None:
        """Both say the same is left."""
        assert isclose(self.allowance.left(self.now), self.left(), abs_tol=1e-6)


test_an_allowance_is_never_passed = Spending.TestCase
test_an_allowance_is_never_passed.__doc__ = "Of a day's money no more is held than there is left."


# The calls.


class Site:
    """The calls, with a sight of their own."""

    def __init__(self, *cascades: Cascade, usd: float = 1.0, workers: int = 1) -> None:
        settings = Settings(console=ConsoleSettings(usd=usd), decisions=DecisionsSettings(), workers=workers)
        named = {cascade.name: cascade for cascade in cascades}
        self.now = 1_000_000.0
        self.sight = Sight(named, settings, Path(), now=lambda: self.now)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the operator "ann"."""
        call = CALLS[method, path]
        assert call.role == "operator"
        said: Said = await call.run(Asked(method, path, {}, body, Person("ann", "operator"), self.sight))
        assert json.loads(json.dumps(said.value)) == said.value
        return said.value

    async def refused(self, body: Any, path: str = "/run") -> tuple[int, str]:
        """Ask what is refused."""
        with pytest.raises(Refusal) as caught:
            await self.ask("POST", API + path, body)
        return caught.value.status, caught.value.message

    async def aclose(self) -> None:
        """Close what the calls have kept."""
        for each in self.sight.kept.values():
            if hasattr(each, "aclose"):
                await each.aclose()


def on_site(site: Site, work: Callable[[Site], Awaitable[Any]]) -> Any:
    """Do it, and close the site."""

    async def whole() -> Any:
        try:
            return await work(site)
        finally:
            await site.aclose()

    return asyncio.run(whole())


def said(request: Request) -> Reply:
    """A model that repeats what it is asked."""
    return Reply(request.text, "echo", usage=Usage(1_000, 1_000))


def served(name: str = "echo", *, priced: bool = True, **more: Any) -> Cascade:
    """A cascade of one tier; a run costs 0.006 dollars."""
    price = Price(1.0, 5.0) if priced else None
    return Cascade(Tier(said, name="echo", price=price, expected_output=1_000), name=name, **more)


def test_the_page_is_told_what_there_is() -> None:
    """Presets with their requests, conditions, the cascades of the gateway, and what is left of this worker's share."""

    async def work(site: Site) -> None:
        shown = await site.ask("GET", API)
        assert [each["id"] for each in shown["presets"]] == list(PRESETS)
        assert shown["cascades"] == ["echo"]
        assert (shown["a_day"], shown["left"]) == (0.25, 0.25)

    on_site(Site(served(), workers=4), work)


def test_what_cannot_be_run_is_refused() -> None:
    """Bodies that are none, presets and cascades that are not there, texts that are empty or too long."""

    async def work(site: Site) -> None:
        for body, status in (
            (None, 422), ([], 422), ({}, 422), ({"text": 3}, 422), ({"text": " "}, 422), ({"preset": "nope"}, 404),
            ({"preset": ["cache"]}, 404), ({"text": "x" * 200_001}, 413), ({"text": "x", "condition": "odd"}, 422),
            ({"text": "x", "condition": []}, 422),
        ):  # fmt: skip
            assert (await site.refused(body))[0] == status, body
        assert (await site.refused({"text": "x"}, "/served"))[0] == 422
        assert (await site.refused({"text": "x", "cascade": "gone"}, "/served"))[0] == 404
        assert (await site.refused({"ticket": "", "text": "x"}, "/person"))[0] == 422

    on_site(Site(served()), work)


def test_a_typed_text_is_run_under_its_condition() -> None:
    """The playground answers it; with everything down, by its last answer."""

    async def work(site: Site) -> None:
        well = await site.ask("POST", f"{API}/run", {"text": "Do you deliver on Sunday?"})
        assert well["answer"]["tier"] == "rules"
        down = await site.ask("POST", f"{API}/run", {"text": "an address change", "condition": "all"})
        assert down["answer"]["via"] == "static"

    on_site(Site(), work)


def test_a_served_text_is_run_within_what_is_left() -> None:
    """It is estimated before, asked under a budget, told to whoever listens, and counted; then too little is left."""
    events: list[Any] = []
    end = HUB.subscribe(events.append)

    async def work(site: Site) -> None:
        body = {"cascade": "echo", "text": "hello"}
        before = await site.ask("POST", f"{API}/estimate", body)
        assert before["left"] == 0.01
        assert 0.005 < before["most"] < 0.006
        told = await site.ask("POST", f"{API}/served", body)
        assert outcomes(told) == "L4: skipped skipped skipped passed answered skipped"
        assert told["answer"]["text"] == "hello"
        assert isclose(told["left"], 0.004)
        assert [each.answer.request.id for each in events] == [told["decision_id"]]
        assert events[0].answer.request.user == "console/ann"
        assert events[0].answer.request.budget.usd == 0.01
        status, message = await site.refused(body, "/served")
        assert (status, len(events)) == (402, 1)
        assert "too little is left" in message
        site.now += 86_400
        assert (await site.ask("POST", f"{API}/served", body))["answer"]["status"] == 200

    try:
        on_site(Site(served(), usd=0.01), work)
    finally:
        end()


def test_a_price_that_is_not_known_is_no_bound() -> None:
    """A cascade whose cost cannot be bounded is not run, and the page is told why; nor is any without money."""

    async def work(site: Site) -> None:
        assert (await site.ask("POST", f"{API}/estimate", {"cascade": "odd", "text": "x"}))["most"] is None
        status, message = await site.refused({"cascade": "odd", "text": "x"}, "/served")
        assert status == 422
        assert "price" in message

    on_site(Site(served("odd", priced=False)), work)

    async def nothing(site: Site) -> None:
        assert (await site.refused({"cascade": "echo", "text": "x"}, "/served"))[0] == 402

    on_site(Site(served(), usd=0.0), nothing)


def test_a_served_answer_from_the_cache_says_so() -> None:
    """The second time L1 answers, nothing is paid, and L4 is dim."""

    async def work(site: Site) -> None:
        body = {"cascade": "echo", "text": "hello"}
        first = await site.ask("POST", f"{API}/served", body)
        assert outcomes(first) == "L4: skipped passed skipped passed answered skipped"
        again = await site.ask("POST", f"{API}/served", body)
        assert outcomes(again) == "L1: skipped answered skipped passed skipped skipped"
        assert again["left"] == first["left"]

    on_site(Site(served(cache=AnswerCache(sampled=True))), work)


def test_a_served_run_that_fails_is_told_and_settled(heard: list[Notice]) -> None:
    """Where no tier answers and there is no last resort, the trace is shown all the same, and its cost counted."""

    def broken(_request: Request) -> str:
        raise ValueError("its own words")

    async def work(site: Site) -> None:
        told = await site.ask("POST", f"{API}/served", {"cascade": "broken", "text": "x"})
        assert told["answer"]["status"] == 503
        assert [each["verdict"] for each in told["trace"]] == ["failed"]
        assert "its own words" not in json.dumps(told)
        left = (await site.ask("GET", API))["left"]
        assert left in (1.0, pytest.approx(0.99))

    tier = Tier(broken, name="broken", price=Price(1.0, 5.0))
    on_site(Site(Cascade(tier, name="broken", last_resort=None)), work)
    assert heard is not None
