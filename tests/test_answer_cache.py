"""Answers of a cascade that are given again."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from typing import Any, ParamSpec

import pytest

from fastcascade import Cascade, Tier
from fastcascade.caching import AnswerCache, SemanticCache
from fastcascade.errors import BackendError, ConfigError
from fastcascade.lanes import Lane, Lanes
from fastcascade.messages import Reply, Request
from fastcascade.recording import replay

P = ParamSpec("P")


def in_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in an event loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Counting:
    """A backend that says how often it was asked."""

    gives: frozenset[str] = frozenset()

    def __init__(self, name: str, said: str = "") -> None:
        self.name, self.said = name, said
        self.asked = 0
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Event()
        self.fails = False

    async def complete(self, request: Request, /) -> Reply:
        self.asked += 1
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise BackendError("server", "it is down")
        return Reply(f"{self.said or self.name} {self.asked}", model=self.name)


def made(**settings: Any) -> tuple[Cascade, Counting, Counting]:
    """A cascade of two tiers behind a cache."""
    small, large = Counting("small"), Counting("large")
    return Cascade(Tier(small), Tier(large), cache=AnswerCache(**settings)), small, large


async def kept(cascade: Cascade, asked: Any, **fields: Any) -> Any:
    """Ask, and come back once what is done behind is done too."""
    answer = await cascade.run(asked, temperature=0.0, **fields)
    for _ in range(20):
        await asyncio.sleep(0)
    return answer


@in_a_loop
async def test_the_same_question_is_answered_again_without_a_call() -> None:
    """The second answer is the first one, says that it was kept, and costs nothing."""
    cascade, small, _ = made()
    first = await kept(cascade, "Why?")
    second = await kept(cascade, "Why?")
    assert (first.text, second.text, small.asked) == ("small 1", "small 1", 1)
    assert (first.via, second.via, second.tier, second.cost_usd) == ("", "cache", "small", 0.0)
    assert second.age is not None


@pytest.mark.parametrize(
    "other",
    [
        {"user": "b"},
        {"customer": "b"},
        {"max_tokens": 7},
        {"task": "code"},
        {"top_p": 0.5},
        {"system": "Be brief."},
    ],
)
@in_a_loop
async def test_whatever_may_change_the_answer_makes_it_another_question(other: dict[str, Any]) -> None:
    """A request that differs in who asks, or in anything that a model is told, is asked for itself."""
    cascade, small, _ = made()
    await kept(cascade, "Why?")
    answer = await kept(cascade, "Why?", **other)
    assert (answer.via, small.asked) == ("", 2)


@in_a_loop
async def test_users_of_a_customer_share_answers_where_they_are_told_to() -> None:
    """With per="customer" the user does not count, and the customer does."""
    cascade, small, _ = made(per="customer")
    await kept(cascade, "Why?", user="a", customer="x")
    assert (await kept(cascade, "Why?", user="b", customer="x")).via == "cache"
    assert (await kept(cascade, "Why?", user="b", customer="y")).via == ""
    assert small.asked == 2


@in_a_loop
async def test_what_was_drawn_by_chance_is_kept_only_where_that_is_wanted() -> None:
    """Without a temperature of 0 nothing is kept, unless `sampled`."""
    for sampled, calls in ((False, 2), (True, 1)):
        cascade, small, _ = made(sampled=sampled)
        for _ in range(2):
            await cascade.run("Why?")
            await asyncio.sleep(0.0)
            await asyncio.sleep(0.0)
        assert small.asked == calls


@in_a_loop
async def test_a_tier_that_draws_by_its_own_temperature_is_not_kept() -> None:
    """What stands in for the request's temperature counts: such an answer was drawn, whatever was asked for."""
    for temperature, calls in ((0.7, 2), (0.0, 1)):
        small = Counting("small")
        cascade = Cascade(Tier(small, temperature=temperature), cache=AnswerCache())
        for _ in range(2):
            await kept(cascade, "Why?")
        assert small.asked == calls


@in_a_loop
async def test_a_request_for_a_higher_tier_is_never_given_a_lower_ones_answer() -> None:
    """What the small tier said is not for who asks for the large one; what the large one said is for both."""
    cascade, small, large = made()
    await kept(cascade, "Why?")
    answer = await kept(cascade, "Why?", min_tier="large")
    assert (answer.text, answer.via) == ("large 1", "")
    again = await kept(cascade, "Why?")
    assert (again.text, again.tier, again.via) == ("large 1", "large", "cache")
    assert (small.asked, large.asked) == (1, 1)


@in_a_loop
async def test_lanes_that_send_a_request_up_hold_for_what_is_kept_too() -> None:
    """After a lane has been added, an answer from below where it enters is not given."""
    cascade, small, large = made()
    await kept(cascade, "Why?", task="law")
    lanes = Lanes([Lane(start="large", task="law")])
    other = Cascade(Tier(small), Tier(large), cache=cascade.cache, lanes=lanes)
    assert (await kept(other, "Why?", task="law")).text == "large 1"


@in_a_loop
async def test_a_tier_that_is_no_more_there_answers_nothing() -> None:
    """What a tier said that the cascade does not have is not given."""
    cascade, _, large = made()
    await kept(cascade, "Why?")
    other = Cascade(Tier(large), cache=cascade.cache)
    assert (await kept(other, "Why?")).text == "large 1"


@in_a_loop
async def test_a_regenerated_answer_is_asked_for_and_kept() -> None:
    """`regenerate` does not look, goes large, and what comes of it is what is given from then on."""
    cascade, _, large = made()
    await kept(cascade, "Why?")
    answer = await kept(cascade, "Why?", regenerate=True)
    assert (answer.text, large.asked) == ("large 1", 1)
    assert (await kept(cascade, "Why?")).text == "large 1"


@in_a_loop
async def test_a_thousand_who_ask_the_same_make_one_call() -> None:
    """All that come while it is being asked are given that answer."""
    cascade, small, _ = made()
    small.gate = asyncio.Event()
    asked = [asyncio.ensure_future(cascade.run("Why?", temperature=0.0)) for _ in range(1_000)]
    await small.begun.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    small.gate.set()
    answers = await asyncio.gather(*asked)
    assert {each.text for each in answers} == {"small 1"}
    assert small.asked == 1
    assert sorted({each.via for each in answers}) == ["", "cache"]


@in_a_loop
async def test_when_the_one_who_asks_gives_up_another_does() -> None:
    """A caller who is cancelled takes nobody along: the next asks."""
    cascade, small, _ = made()
    small.gate = asyncio.Event()
    first = asyncio.ensure_future(cascade.run("Why?", temperature=0.0))
    await small.begun.wait()
    second = asyncio.ensure_future(cascade.run("Why?", temperature=0.0))
    for _ in range(10):
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    small.gate.set()
    assert (await second).text == "small 2"


@in_a_loop
async def test_a_degraded_answer_is_not_kept() -> None:
    """What falls short in anything is asked for again."""
    cascade, small, large = made()
    small.fails = large.fails = True
    assert (await kept(cascade, "Why?")).via == "static"
    small.fails = large.fails = False
    assert (await kept(cascade, "Why?")).text == "small 2"


@in_a_loop
async def test_a_kept_answer_is_replayed_as_a_stream() -> None:
    """Who asks for a stream is given the kept answer in pieces, and what a stream came to is kept."""
    cascade, small, _ = made()
    async with cascade.stream("Why?", temperature=0.0) as stream:
        said = "".join([delta.text async for delta in stream])
    for _ in range(20):
        await asyncio.sleep(0)
    async with cascade.stream("Why?", temperature=0.0) as stream:
        again = "".join([delta.text async for delta in stream])
        answer = stream.answer
    assert (said, again, small.asked) == ("small 1", "small 1", 1)
    assert answer is not None
    assert answer.via == "cache"


@in_a_loop
async def test_a_purge_by_tag_forgets_what_has_it_and_nothing_else() -> None:
    """Tags are the tier, the model, the task, the route, the customer and the user."""
    cascade, small, _ = made()
    assert cascade.cache is not None
    for customer in ("a", "b"):
        await kept(cascade, "Why?", customer=customer)
    await cascade.cache.purge(tag="customer:a")
    assert (await kept(cascade, "Why?", customer="b")).via == "cache"
    assert (await kept(cascade, "Why?", customer="a")).via == ""
    await cascade.cache.purge(tag="tier:small")
    assert (await kept(cascade, "Why?", customer="b")).via == ""
    await cascade.cache.purge(everything=True)
    assert (await kept(cascade, "Why?", customer="a")).via == ""
    assert small.asked == 5


@in_a_loop
async def test_what_was_being_made_while_it_was_purged_is_not_kept() -> None:
    """A purge holds for answers under way too, whole ones and streams."""
    for streaming in (False, True):
        cascade, small, _ = made()
        assert cascade.cache is not None
        small.gate = asyncio.Event()

        async def asked(cascade: Cascade = cascade, streaming: bool = streaming) -> None:
            if streaming:
                async with cascade.stream("Why?", temperature=0.0) as stream:
                    async for _ in stream:
                        pass
            else:
                await cascade.run("Why?", temperature=0.0)

        running = asyncio.ensure_future(asked())
        await small.begun.wait()
        await cascade.cache.purge(everything=True)
        small.gate.set()
        await running
        for _ in range(20):
            await asyncio.sleep(0)
        assert (await kept(cascade, "Why?")).via == ""


class Letters:
    """An embedder that counts letters, for texts that the guard tells apart anyway."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False

    async def __call__(self, texts: Sequence[str], /) -> list[list[float]]:
        self.asked += 1
        if self.fails:
            raise BackendError("server", "it is down")
        return [[1.0 + text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]


@in_a_loop
async def test_what_means_the_same_is_answered_again_and_its_opposite_is_not() -> None:
    """With a semantic cache other words for a question are answered by what was kept for it; see its own tests."""
    cascade, small, _ = made(semantic=SemanticCache(Letters()))
    await kept(cascade, "How do I enable 2FA?", user="a")
    near = await kept(cascade, "Please, how can I enable 2FA?", user="a")
    assert (near.text, near.via, near.tier, near.cost_usd) == ("small 1", "semantic", "small", 0.0)
    for other, user in (("How do I disable 2FA?", "a"), ("How can I enable 2FA?", "b")):
        assert (await kept(cascade, other, user=user)).via == ""
    assert small.asked == 3
    assert cascade.cache is not None
    assert cascade.cache.savings.semantic == 1
    again = replay(cascade, near.trace())
    assert (again.text, again.via) == ("small 1", "semantic")


@in_a_loop
async def test_a_purge_holds_for_other_words_too() -> None:
    """What was purged is not found by what means the same."""
    cascade, _, _ = made(semantic=SemanticCache(Letters()))
    assert cascade.cache is not None
    await kept(cascade, "How do I enable 2FA?", user="a")
    await cascade.cache.purge(tag="user:a")
    assert (await kept(cascade, "How can I enable 2FA?", user="a")).via == ""


@in_a_loop
async def test_a_higher_tier_is_not_answered_for_by_other_words_either() -> None:
    """Who asks for the large tier is not given what the small one said to something alike."""
    cascade, _, large = made(semantic=SemanticCache(Letters()))
    await kept(cascade, "How do I enable 2FA?", user="a")
    await kept(cascade, "How can I enable 2FA?", user="a", min_tier="large")
    assert large.asked == 1


@in_a_loop
async def test_an_embedder_that_fails_costs_nothing_but_its_hits() -> None:
    """The question is asked, and others that wait for it are answered."""
    embedder = Letters()
    cascade, small, _ = made(semantic=SemanticCache(embedder))
    embedder.fails = True
    assert (await kept(cascade, "How do I enable 2FA?", user="a")).text == "small 1"
    assert (await kept(cascade, "How do I enable 2FA?", user="a")).via == "cache"
    assert small.asked == 1


@in_a_loop
async def test_a_recorded_hit_replays_as_it_was() -> None:
    """A replay of an answer that was kept gives it again, and asks the cache nothing."""
    cascade, small, _ = made()
    await kept(cascade, "Why?")
    hit = await kept(cascade, "Why?")
    again = replay(cascade, hit.trace())
    assert (again.text, again.via, small.asked) == ("small 1", "cache", 1)


def test_plain_code_is_served_from_it_too() -> None:
    """`run_sync` finds what `run_sync` has kept."""
    cascade, small, _ = made()
    first = cascade.run_sync("Why?", temperature=0.0)
    for _ in range(100):
        second = cascade.run_sync("Why?", temperature=0.0)
    assert (first.text, second.text, second.via, small.asked) == ("small 1", "small 1", "cache", 1)
    cascade.close()


def test_it_tells_what_it_saved() -> None:
    """Savings count the answers that were given again."""
    cascade, _, _ = made()
    for _ in range(3):
        cascade.run_sync("Why?", temperature=0.0)
    assert cascade.cache is not None
    assert cascade.cache.savings.given == 2
    assert sum(each.origin.hits for each in cascade.cache.stats()) == 1
    cascade.close()


@pytest.mark.parametrize(
    "settings", [{"ttl": 0}, {"ttl": float("inf")}, {"within": 0}, {"per": "everybody"}, {"shared": "http://x"}]
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    """Each is an error that names it."""
    with pytest.raises(ConfigError):
        AnswerCache(**settings)
