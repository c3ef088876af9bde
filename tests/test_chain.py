"""What is done when the ladder does not lead to an answer: the chain of fallbacks, and the limit before it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fastcascade import Answer, Cascade, ConfigError, NoAnswer, Request, Tier, notices, replay
from fastcascade.errors import InReview
from fastcascade.fallbacks import Breaker, Bulkhead, Region, Retry, Review, Stale, Static
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.messages import Budget, Reply
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.reviews.labels import candidates
from fastcascade.stores import SQLiteReviews
from fastcascade.testing import Fault, ScriptedBackend, Slow, Stall, Step, run_virtual
from memory_reviews import MemoryReviews

DOWN = Fault("server", status=500)


class Says(Gate):
    """Gives one score."""

    def __init__(self, score: float) -> None:
        self.score = score

    def judge(self, _exam: Exam, /) -> Judging:
        return Verdict(self.score)


def down(*before: Step) -> ScriptedBackend:
    """A backend that has stopped working, after these replies."""
    return ScriptedBackend(*before, DOWN, name="primary")


def desk(**settings: Any) -> ReviewDesk:
    """A desk on a store in memory."""
    return ReviewDesk(MemoryReviews(), **settings)


def ran(cascade: Cascade, *asked: str, pause: float = 0.0, **fields: Any) -> list[Answer]:
    """The answers to these, one after another, in virtual time."""

    async def main() -> list[Answer]:
        found = []
        for each in asked:
            found.append(await cascade.run(each, **fields))
            await asyncio.sleep(pause)
        return found

    return run_virtual(main())


def test_static_answers_when_nothing_else_does() -> None:
    """A static answer is a whole reply, says that it is one and why, and costs nothing."""
    answer = ran(Cascade(down(), fallbacks=[Static("Call us.")]), "?")[0]
    assert (answer.text, answer.via, answer.degraded, answer.cost_usd) == (
        "Call us.",
        "static",
        "no tier answered",
        0.0,
    )
    assert answer.attempts[0].error is not None


CASES_STATIC = [
    ("a text", "plain", "plain"),
    ("a reply", Reply("whole", cost_usd=0.0), "whole"),
    ("a function", lambda request: f"not now: {request.text}", "not now: ?"),
    (
        "a function that raises",
        lambda _request: 1 / 0,
        "This cannot be answered right now. Please try again in a moment.",
    ),
    (
        "a function that gives nonsense",
        lambda _request: 7,
        "This cannot be answered right now. Please try again in a moment.",
    ),
]


@pytest.mark.parametrize(("_name", "said", "text"), CASES_STATIC, ids=[case[0] for case in CASES_STATIC])
def test_the_last_answer_never_fails(_name: str, said: Any, text: str) -> None:
    """Whatever a static answer is made of, there is one."""
    assert ran(Cascade(down(), fallbacks=[Static(said)]), "?")[0].text == text


def test_a_region_is_asked_only_when_the_ladder_has_nothing() -> None:
    """Tiers behind the ladder are asked in order when all of it failed, within the same budget, and never before."""
    spare, other = ScriptedBackend("from elsewhere", name="spare"), ScriptedBackend("never", name="other")
    cascade = Cascade(down("fine"), fallbacks=[Region(spare, other)])
    first, second = ran(cascade, "?", "?")
    assert (first.text, first.via, len(spare.seen)) == ("fine", "", 1)
    assert (second.text, second.via, second.tier, second.degraded) == ("from elsewhere", "region", "spare", "")
    assert [attempt.tier for attempt in second.attempts] == ["primary", "spare"]
    assert not other.seen
    assert (
        ran(Cascade(down(), fallbacks=[Region(ScriptedBackend("no"))]), "?", budget=Budget(attempts=1))[0].via
        == "static"
    )


def test_a_stale_answer_shows_its_age() -> None:
    """When asking fails, the last accepted answer to the same question is served, marked, with its age."""
    cascade = Cascade(down("good"), fallbacks=[Stale(stale_for=100)])
    first, second = ran(cascade, "?", "?", pause=30.0)
    assert (first.via, first.age) == ("", None)
    assert (second.text, second.via, second.degraded, second.age) == ("good", "stale", "stale", 30.0)
    assert [attempt.verdict for attempt in second.attempts] == ["failed"]
    assert ran(Cascade(down("good"), fallbacks=[Stale(stale_for=100)]), "?", "?", pause=101.0)[1].via == "static"


SAME = [
    ("nothing else", {}, {}, "stale"),
    ("another user", {"user": "ann"}, {"user": "bob"}, "static"),
    ("another customer", {"customer": "a"}, {"customer": "b"}, "static"),
    ("another temperature", {"temperature": 0.0}, {"temperature": 0.5}, "static"),
    ("another route", {"route": "a"}, {"route": "b"}, "static"),
    ("another system prompt", {"system": "be kind"}, {"system": "be brief"}, "static"),
    ("a higher tier asked for", {}, {"min_tier": "primary"}, "static"),
    ("another id, session and priority", {"id": "1"}, {"id": "2", "session": "s", "priority": 3}, "stale"),
    ("asked again for a better one", {}, {"regenerate": True}, "stale"),
]


@pytest.mark.parametrize(("_name", "first", "second", "via"), SAME, ids=[case[0] for case in SAME])
def test_a_kept_answer_is_for_the_same_question_alone(
    _name: str, first: dict[str, Any], second: dict[str, Any], via: str
) -> None:
    """What may change an answer, and who asks, is part of what it is filed under."""
    cascade = Cascade(down("good"), fallbacks=[Stale()])

    async def main() -> str:
        await cascade.run("?", **first)
        return (await cascade.run("?", **second)).via

    assert run_virtual(main()) == via


def test_an_answer_may_be_shared_among_users_where_told_so() -> None:
    """`per="customer"` shares among the users of one, `per="all"` among all."""
    for per, via in (("user", "static"), ("customer", "stale"), ("all", "stale")):
        cascade = Cascade(down("good"), fallbacks=[Stale(per=per)])  # type: ignore[arg-type]

        async def main(cascade: Cascade = cascade) -> str:
            await cascade.run("?", user="ann", customer="x")
            return (await cascade.run("?", user="bob", customer="x")).via

        assert run_virtual(main()) == via


def test_only_accepted_answers_are_kept() -> None:
    """What was below its threshold is not served later as if it had been good."""
    poor = Tier(ScriptedBackend("poor", DOWN, name="primary"), gate=Says(0.1), accept=0.9)
    first, second = ran(Cascade(poor, fallbacks=[Stale()]), "?", "?")
    assert (first.degraded, second.via) == ("below threshold", "static")


def test_a_stale_answer_is_refreshed_behind_the_caller_once() -> None:
    """However many are served the stale answer, it is asked for again once; the fresh one is then there."""
    primary = ScriptedBackend("old", DOWN, DOWN, DOWN, "new", name="primary")
    cascade = Cascade(primary, fallbacks=[Stale(refresh=10.0, fresh_for=5.0)])

    async def main() -> list[Answer]:
        await cascade.run("?")
        await asyncio.sleep(5.0)
        stale = [await cascade.run("?"), await cascade.run("?")]
        assert len(primary.seen) == 3
        await asyncio.sleep(10.5)
        assert len(primary.seen) == 4  # once for both; it failed, and is tried again
        await asyncio.sleep(20.5)
        assert len(primary.seen) == 5
        return [*stale, await cascade.run("?")]

    assert [(answer.text, answer.via) for answer in run_virtual(main())] == [
        ("old", "stale"),
        ("old", "stale"),
        ("new", "cache"),
    ]
    assert len(primary.seen) == 5


def test_a_fresh_answer_is_given_without_asking() -> None:
    """Within `fresh_for` nobody is asked; for `while_refreshing` after it the kept one is given, and asked for anew."""
    primary = ScriptedBackend("one", "two", name="primary")
    cascade = Cascade(primary, fallbacks=[Stale(fresh_for=10.0, while_refreshing=10.0)])

    async def main() -> list[tuple[str, str, float | None]]:
        found: list[tuple[str, str, float | None]] = []
        for pause in (0.0, 5.0, 10.0, 1.0):
            await asyncio.sleep(pause)
            answer = await cascade.run("?")
            found.append((answer.text, answer.via, answer.age))
        return found

    assert run_virtual(main()) == [
        ("one", "", None),
        ("one", "cache", 5.0),
        ("one", "cache", 15.0),
        ("two", "cache", 1.0),
    ]
    assert len(primary.seen) == 2


@pytest.mark.parametrize("step", ["good", DOWN], ids=["answered", "failed"])
def test_a_thousand_identical_questions_make_one_call(step: Step) -> None:
    """Those who ask the same at the same time wait for one answer, or share one failure."""
    primary = ScriptedBackend(Slow(1.0, step), name="primary")  # type: ignore[arg-type]
    cascade = Cascade(primary, fallbacks=[Stale()])

    async def main() -> list[Answer]:
        return await asyncio.gather(*(cascade.run("?") for _ in range(1000)))

    answers = run_virtual(main())
    assert len(primary.seen) == 1
    assert {answer.text for answer in answers} == {answers[0].text}
    assert sum(answer.via == "joined" for answer in answers) == 999
    assert sum(answer.cost_usd or 0.0 for answer in answers) == 0.0


def test_those_who_wait_ask_themselves_when_the_first_is_given_up() -> None:
    """The caller whose run others wait for goes away; one of them takes it up, and nobody is left waiting."""
    primary = ScriptedBackend(Stall(), Slow(1.0, "good"), name="primary")
    cascade = Cascade(primary, fallbacks=[Stale()])

    async def main() -> list[str]:
        first = asyncio.create_task(cascade.run("?"))
        await asyncio.sleep(0.1)
        others = [asyncio.create_task(cascade.run("?")) for _ in range(5)]
        await asyncio.sleep(0.1)
        first.cancel()
        return [(await each).text for each in others]

    assert run_virtual(main()) == ["good"] * 5
    assert len(primary.seen) == 2


def test_who_waits_for_another_keeps_to_their_own_deadline() -> None:
    """A follower whose time is up before the leader's answer gets what the chain has."""
    cascade = Cascade(ScriptedBackend(Slow(50.0, "late"), name="primary"), fallbacks=[Stale()])

    async def main() -> tuple[Answer, Answer]:
        leader = asyncio.create_task(cascade.run("?"))
        await asyncio.sleep(0.0)
        hasty = await cascade.run("?", budget=Budget(deadline=2.0))
        return hasty, await leader

    hasty, patient = run_virtual(main())
    assert (hasty.via, hasty.degraded, hasty.latency) == ("static", "deadline", 2.0)
    assert (patient.text, patient.latency) == ("late", 50.0)


def test_a_failed_request_becomes_a_review_with_a_ticket() -> None:
    """Where no tier answers, the caller gets a ticket beside the static answer, and the reviewer's words under it."""
    queue = desk()
    cascade = Cascade(down(), fallbacks=[Review(queue), Static("A person will look at it.")])

    async def main() -> tuple[Answer, str]:
        answer = await cascade.run("Is it safe?", route="claims")
        taken = await queue.claim("ann")
        assert taken is not None
        assert (taken.id, taken.why, taken.slice, taken.request.text) == (
            answer.ticket,
            "failed",
            "claims",
            "Is it safe?",
        )
        assert await queue.answer(taken, "Yes.") == "done"
        ended = await queue.wait(answer.ticket, 1.0)
        return answer, ended.answer.text if ended.answer else ""

    answer, said = run_virtual(main())
    assert (answer.text, answer.via, said) == ("A person will look at it.", "static", "Yes.")
    assert answer.ticket


def test_what_a_person_has_answered_is_kept() -> None:
    """With a Stale beside the Review, the person's answer is served when the same is asked again."""
    queue = desk()
    cascade = Cascade(down(), fallbacks=[Stale(), Review(queue)])

    async def main() -> Answer:
        await cascade.run("Is it safe?")
        taken = await queue.claim("ann")
        assert taken is not None
        await queue.answer(taken, "Yes.")
        return await cascade.run("Is it safe?")

    answer = run_virtual(main())
    assert (answer.text, answer.tier, answer.via, answer.ticket) == ("Yes.", "review", "stale", "")


def test_an_unsure_answer_is_given_and_reviewed() -> None:
    """Where none is sure, the caller gets the best so far and a ticket; the reviewer sees every attempt."""
    queue = desk()
    cascade = Cascade(
        Tier(ScriptedBackend("perhaps", name="small"), gate=Says(0.4), accept=0.9),
        Tier(ScriptedBackend("maybe", name="large"), gate=Says(0.2), accept=0.9),
        fallbacks=[Review(queue)],
    )

    async def main() -> None:
        answer = await cascade.run("?")
        assert (answer.text, answer.degraded, answer.via) == ("perhaps", "below threshold", "")
        taken = await queue.claim("ann")
        assert taken is not None and taken.why == "unsure" and taken.best is not None
        assert (taken.id, taken.best.text) == (answer.ticket, "perhaps")
        assert len(taken.trace["attempts"]) == 2
        assert replay(cascade, answer) == answer

    run_virtual(main())


def test_good_answers_are_sampled_without_delay() -> None:
    """A share of the good answers is handed over too; these callers get no ticket and do not wait."""
    queue = desk(sample=1.0)
    cascade = Cascade(ScriptedBackend("good"), fallbacks=[Review(queue)])

    async def main() -> None:
        answer = await cascade.run("?")
        assert (answer.text, answer.ticket, answer.degraded) == ("good", "", "")
        await asyncio.sleep(0.1)
        taken = await queue.claim("ann")
        assert taken is not None and taken.why == "sampled"

    run_virtual(main())


def test_a_store_that_is_off_costs_no_answer() -> None:
    """Without the store there is no ticket, but there is an answer, and the operator hears of it."""
    store = MemoryReviews()
    cascade = Cascade(down(), fallbacks=[Review(ReviewDesk(store)), Static("Sorry.")])
    heard: list[str] = []
    end = notices.subscribe(lambda notice: heard.append(notice.kind))
    store.off = True
    try:
        answer = ran(cascade, "?")[0]
    finally:
        end()
    assert (answer.text, answer.ticket) == ("Sorry.", "")
    assert "store off" in heard


def test_time_is_kept_back_for_the_review() -> None:
    """A ladder that takes all the time it has leaves enough of the deadline to hand the request over."""
    queue = desk()
    cascade = Cascade(ScriptedBackend(Stall(), name="primary"), fallbacks=[Review(queue, reserve=0.5)])
    answer = ran(cascade, "?", budget=Budget(deadline=10.0))[0]
    assert answer.ticket and answer.degraded == "deadline"
    assert answer.latency == 9.5


def test_the_chain_is_followed_in_its_order() -> None:
    """Stale before region serves the kept answer, region before stale asks elsewhere first."""
    for links, via in (("region first", "region"), ("stale first", "stale")):
        region, stale = Region(ScriptedBackend("elsewhere", name="spare")), Stale()
        chain = [region, stale] if links == "region first" else [stale, region]
        assert ran(Cascade(down("good"), fallbacks=chain), "?", "?")[1].via == via


REFUSED = [
    ("what is no link", ["stale"], "fallbacks[0] is 'stale'"),
    ("two of a kind", [Stale(), Stale()], "fallbacks[1]: there is a Stale already"),
    ("something after static", [Static("x"), Stale()], "nothing is ever asked after Static"),
    ("a bulkhead", [Bulkhead(3)], "a bulkhead is no fallback"),
    ("a link by itself", Static("x"), "fallbacks is a list of links"),
]


@pytest.mark.parametrize(("_name", "links", "message"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_chain_that_makes_no_sense_is_refused(_name: str, links: list[Any], message: str) -> None:
    """A mistake in the list is found when the cascade is built, and names the place."""
    with pytest.raises(ConfigError, match=message.replace("[", r"\[").replace("]", r"\]")):
        Cascade(down(), fallbacks=links)


def test_retry_and_breaker_in_the_chain_hold_for_every_tier() -> None:
    """A retry in the list asks again where a tier's backend fails; a pool of one's own keeps its own."""
    primary = ScriptedBackend(DOWN, DOWN, "third", name="primary")
    answer = ran(Cascade(primary, fallbacks=[Retry(times=2, jitter=0.0), Breaker(failure_threshold=9)]), "?")[0]
    assert (answer.text, answer.latency, len(answer.calls)) == ("third", 3.0, 3)


def test_those_beyond_the_limit_are_answered_at_once() -> None:
    """With all places taken and the queue full, a request gets the static answer, and when to come again."""
    primary = ScriptedBackend(Slow(10.0, "good"), name="primary")
    cascade = Cascade(primary, bulkhead=Bulkhead(limit=1, queue=1, patience=60.0))

    async def main() -> list[Answer]:
        return await asyncio.gather(*(cascade.run(f"{number}", priority=number) for number in range(4)))

    answers = run_virtual(main())
    assert [answer.degraded for answer in answers] == ["", "overloaded", "overloaded", ""]
    assert [answer.latency for answer in answers] == [10.0, 0.0, 0.0, 20.0]
    turned_away = answers[1]
    assert turned_away.via == "static" and turned_away.retry_after is not None and turned_away.retry_after > 0
    assert replay(cascade, turned_away) == turned_away
    assert len(primary.seen) == 2


def test_the_place_is_given_back_however_a_request_ends() -> None:
    """A request that is cancelled, in the queue or under way, leaves its place to the next."""
    cascade = Cascade(ScriptedBackend(Stall(), Stall(), "good"), bulkhead=Bulkhead(limit=1, queue=5, patience=60.0))

    async def main() -> str:
        for _ in range(2):
            running = asyncio.create_task(cascade.run("?"))
            waiting = asyncio.create_task(cascade.run("?"))
            await asyncio.sleep(1.0)
            waiting.cancel()
            running.cancel()
            await asyncio.gather(running, waiting, return_exceptions=True)
        return (await cascade.run("?")).text

    assert run_virtual(main()) == "good"
    assert cascade.slots is not None and cascade.slots.busy == 0


def test_a_refusal_may_be_the_answer() -> None:
    """By default a model's refusal goes up; where refusals are accepted, it stands, and says that it is one."""
    refusing = Reply("I will not.", stop="refusal")
    ladder = (ScriptedBackend(refusing, name="small"), ScriptedBackend("Here you are.", name="large"))
    assert ran(Cascade(*ladder), "?")[0].text == "Here you are."
    stays = ran(Cascade(*ladder, refusals="accept"), "?")[0]
    assert (stays.text, stays.tier, stays.degraded) == ("I will not.", "small", "refused")


def test_without_a_last_resort_no_answer_is_an_error() -> None:
    """`last_resort=None` and no Static raise `NoAnswer`, with the trace, when to try again, and the ticket."""
    cascade = Cascade(
        ScriptedBackend(Fault("rate_limited", retry_after=7.0)), fallbacks=[Review(desk())], last_resort=None
    )
    with pytest.raises(NoAnswer) as caught:
        ran(cascade, "?")
    assert caught.value.answer.ticket
    assert caught.value.answer.retry_after == 7.0


def test_whatever_the_chain_found_is_replayed() -> None:
    """An answer that was kept, joined, stale or handed over comes out of its own trace again, without a call."""
    primary = ScriptedBackend(Slow(1.0, "good"), DOWN, name="primary")
    cascade = Cascade(primary, fallbacks=[Stale(), Review(desk()), Static("Sorry.")])

    async def main() -> list[Answer]:
        both = await asyncio.gather(cascade.run("a"), cascade.run("a"))
        return [*both, await cascade.run("a"), await cascade.run("b")]

    answers = run_virtual(main())
    assert [answer.via for answer in answers] == ["", "joined", "stale", "static"]
    calls = len(primary.seen)
    assert [replay(cascade, answer) for answer in answers] == answers
    assert [replay(cascade, answer.trace()) for answer in answers] == answers
    assert len(primary.seen) == calls


def test_streams_fall_back_too() -> None:
    """A stream that could not begin ends with the chain's answer, piece by piece."""
    cascade = Cascade(down("good"), fallbacks=[Stale()])

    async def main() -> list[str]:
        found = []
        for _ in range(2):
            stream = cascade.stream("?")
            found.append("".join([piece async for piece in stream.text()]))
            assert stream.answer is not None
            found.append(stream.answer.via)
        return found

    assert run_virtual(main()) == ["good", "", "good", "stale"]


# Each link alone, around any async function.


def test_links_wrap_any_async_function() -> None:
    """Static, Stale, Region and Review do for a function what they do for a cascade."""
    calls: list[str] = []

    async def flaky(text: str) -> str:
        calls.append(text)
        if len(calls) > 1:
            raise ConnectionError("gone")
        return f"good {text}"

    async def elsewhere(text: str) -> str:
        return f"elsewhere {text}"

    async def main() -> None:
        stale = Static("sorry")(Stale()(flaky))
        assert [await stale("a"), await stale("a"), await stale("b")] == ["good a", "good a", "sorry"]
        assert await Region(elsewhere)(flaky)("c") == "elsewhere c"
        assert await Static(lambda text: f"no {text}")(flaky)("d") == "no d"
        queue = desk()
        with pytest.raises(InReview) as caught:
            await Review(queue)(flaky)("e")
        held = await queue.get(caught.value.ticket)
        assert held is not None and held.request == Request.of("e")

    run_virtual(main())


def test_identical_calls_of_a_wrapped_function_are_made_once() -> None:
    """Callers of the same arguments at the same time share one call, its value or its error."""
    calls = 0

    @Stale()
    async def slow(text: str) -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(1.0)
        if text == "bad":
            raise ValueError(text)
        return text

    async def main() -> None:
        assert await asyncio.gather(*(slow("a") for _ in range(100))) == ["a"] * 100
        failed = await asyncio.gather(*(slow("bad") for _ in range(100)), return_exceptions=True)
        assert all(isinstance(each, ValueError) for each in failed)

    run_virtual(main())
    assert calls == 2


def test_a_reviewer_sees_what_each_attempt_said(tmp_path: Path) -> None:
    """A review holds the words of every attempt, the rejected ones too, so that any of them can be picked."""
    kept = ReviewDesk(SQLiteReviews(tmp_path / "reviews.db"))
    tiers = [
        Tier(ScriptedBackend(f"It is {name}."), gate=Says(0.1), accept=0.9, name=name) for name in ("small", "large")
    ]

    async def scenario() -> None:
        answer = await Cascade(*tiers, fallbacks=[Review(kept)]).run("Is it far?")
        claimed = await kept.claim("ann")
        assert claimed is not None and claimed.id == answer.ticket and claimed.best is not None
        assert [said and said.text for said in candidates(claimed)] == ["It is small.", "It is large."]
        assert await kept.answer(claimed, pick=0) == "done"
        answered = await kept.wait(answer.ticket)
        assert answered.answer is not None and answered.answer.text == "It is small."
        await kept.aclose()

    asyncio.run(scenario())
