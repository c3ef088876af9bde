"""Drills in production: a share of requests passes by the primary, and nothing else changes."""

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Answer, Cascade, ConfigError, Hedge, NoAnswer, Reply, Request, Tier, replay
from fastcascade.answers import Answer as Given
from fastcascade.drills import Drill, Drilled, ScheduledDrill
from fastcascade.drills.load import served_by
from fastcascade.drills.views import seen_through, views_of
from fastcascade.entry import Health, Instance, Pool
from fastcascade.fallbacks import Static
from fastcascade.gates import Consistency
from fastcascade.notices import subscribe
from fastcascade.prices import Price
from fastcascade.recording import record
from fastcascade.testing import Fault, ScriptedBackend, Slow, run_virtual

OFTEN: dict[str, Any] = {"first": 0.0, "every": 100.0, "lasting": 10.0}
PRICE = Price(1_000.0, 1_000.0)


def model(name: str, *script: Any) -> ScriptedBackend:
    """A model that replies at once, unless told otherwise."""
    return ScriptedBackend(*(script or (Reply(f"from {name}", model=name),)), name=name, price=PRICE)


def two(*script: Any, **settings: Any) -> tuple[Cascade, Pool]:
    """A primary and a secondary."""
    pool = Pool(
        Instance(model("eu"), region="eu"), Instance(model("us", *script), region="us", priority=1), name="fast"
    )
    return Cascade(Tier(pool, name="fast"), **settings), pool


@contextmanager
def heard() -> Iterator[list[str]]:
    """What notices of drills say."""
    said: list[str] = []
    end = subscribe(lambda notice: said.append(notice.text) if notice.kind == "drill" else None)
    try:
        yield said
    finally:
        end()


def ask(cascade: Cascade, count: int, *, spacing: float = 0.01, ids: bool = True) -> list[Answer]:
    """So many requests, one after another, in one stretch of virtual time."""

    async def all_of_them() -> list[Answer]:
        answers = []
        for number in range(count):
            answers.append(await cascade.run(f"question {number}", id=f"id-{number}" if ids else ""))
            await asyncio.sleep(spacing)
        return answers

    return run_virtual(all_of_them())


def test_a_share_passes_by_the_primary() -> None:
    """Drilled requests are answered by the secondary, all others by the primary, and the report says how many."""
    cascade, _ = two()
    drill = ScheduledDrill(share=0.3, **OFTEN)
    drill.attach(cascade)
    answers = ask(cascade, 500)
    served = [served_by(answer) for answer in answers]
    report = drill.current
    assert report is not None and report.served == {"fast/us": served.count("fast/us")}
    assert 100 < report.requests < 200 and report.others == 500 - report.requests
    assert (report.lost, report.degraded, report.aborted) == (0, 0, "")
    assert set(served) == {"fast/eu", "fast/us"} and not any(answer.degraded for answer in answers)
    assert report.struck == ("fast/eu",) and report.document()["p99"] == 0.0


def test_nobody_else_notices() -> None:
    """The primary is not called for drilled requests; no breaker, no retry budget and no ejection knows of them."""
    cascade, pool = two()
    ScheduledDrill(share=1.0, **OFTEN).attach(cascade)
    primary = pool.instances[0]
    assert primary.circuit is not None and pool.allowance is not None
    before = pool.allowance.left(0.0)
    ask(cascade, 200)
    assert primary.backend.seen == []  # type: ignore[attr-defined]
    assert (primary.circuit.state, primary.failures, primary.ejections, primary.outstanding) == ("closed", 0, 0, 0)
    assert pool.allowance.left(2.0) >= before


def test_the_same_requests_in_every_process() -> None:
    """Which requests are drilled is told by their ids alone, and others are chosen the next time."""
    drills = [ScheduledDrill(share=0.2, **OFTEN) for _ in range(2)]
    chosen = []
    for drill in drills:
        cascade, _ = two()
        drill.attach(cascade)
        chosen.append([served_by(answer) == "fast/us" for answer in ask(cascade, 100)])
    assert chosen[0] == chosen[1] and any(chosen[0]) and not all(chosen[0])
    cascade, _ = two()
    ScheduledDrill(share=0.2, first=0.0, every=1.0, lasting=0.5).attach(cascade)

    async def again() -> list[list[bool]]:
        rounds = []
        for _ in range(2):
            answers = [await cascade.run("?", id=f"id-{number}") for number in range(100)]
            rounds.append([served_by(answer) == "fast/us" for answer in answers])
            await asyncio.sleep(1.0)
        return rounds

    first, second = run_virtual(again())
    assert first == chosen[0] != second and any(second)


@given(st.floats(0.01, 1.0), st.integers(0, 10**9))
def test_the_share_is_kept(share: float, seed: int) -> None:
    """About the share of all ids is chosen, whatever they look like."""
    cascade, _ = two()
    drill = ScheduledDrill(share=share, **OFTEN)
    drill.attach(cascade)
    count = 1_000
    for number in range(count):
        flow = cascade.flow(Request.of("?", id=f"{seed}/{number}"), 0.0)
        flow.close()
    picked = sum(drill._chosen(Request.of("?", id=f"{seed}/{number}")) for number in range(count))  # noqa: SLF001
    assert abs(picked - share * count) <= 6 * (share * (1 - share) * count) ** 0.5 + 1


def test_without_ids_they_are_drawn() -> None:
    """Requests without an id are drawn for, one by one."""
    draws = iter([0.0, 0.5, 0.09, 0.1] * 5)
    cascade, _ = two()
    ScheduledDrill(share=0.1, draw=lambda: next(draws), **OFTEN).attach(cascade)
    served = [served_by(answer) for answer in ask(cascade, 20, ids=False)]
    assert served == ["fast/us", "fast/eu", "fast/us", "fast/eu"] * 5


def test_now_and_then() -> None:
    """A drill begins at its time, lasts as long as it is to, is told of, and comes again; its reports are kept."""
    cascade, _ = two()
    drill = ScheduledDrill(share=1.0, first=5.0, every=20.0, lasting=4.0)
    drill.attach(cascade)
    with heard() as said:
        answers = ask(cascade, 50, spacing=1.0)
    off = {number for number, answer in enumerate(answers) if served_by(answer) == "fast/us"}
    assert off == {*range(5, 9), *range(25, 29), *range(45, 49)}
    assert [report.requests for report in drill.reports] == [4, 4, 4] and all(each.over for each in drill.reports)
    assert len(said) == 6 and "begins: 100 % of requests find fast/eu off, for 4 s" in said[0]
    assert said[1] == "a scheduled drill has ended: 4 requests drilled, 0 degraded, 0 lost"


# It ends by itself.


def failing() -> Cascade:
    """Its secondary fails, and so a drill does harm."""
    return two(Fault("server"), fallbacks=[Static("Please call us.")])[0]


def test_a_drill_that_does_harm_is_ended() -> None:
    """When more than the bound of drilled requests are degraded, the rest of the drill is called off, and told."""
    cascade = failing()
    drill = ScheduledDrill(share=1.0, degraded=0.1, **{**OFTEN, "lasting": 99.0})
    drill.attach(cascade)
    with heard() as said:
        answers = ask(cascade, 50)
    degraded = [answer for answer in answers if answer.degraded]
    assert len(degraded) == 3  # a tenth of twenty, and one
    report = drill.reports[-1]
    assert drill.current is None and "3 of 3 requests were degraded" in report.aborted
    assert "was ended early" in said[-1] and all(served_by(answer) == "fast/eu" for answer in answers[3:])


def test_a_lost_request_ends_it_at_once() -> None:
    """One request without an answer is enough to end a drill."""
    cascade, _ = two(Fault("server"), last_resort=None)
    drill = ScheduledDrill(share=1.0, degraded=1.0, **OFTEN)
    drill.attach(cascade)
    with pytest.raises(NoAnswer):
        ask(cascade, 1)
    assert drill.reports[-1].lost == 1 and drill.reports[-1].aborted
    assert served_by(ask(cascade, 1)[0]) == "fast/eu"


def test_only_what_the_drill_adds_counts() -> None:
    """Where requests are degraded without it too, the drill is not to blame."""
    report = Drilled("primary off", (), 0.0, requests=100, degraded=12, others=1_000, others_degraded=100)
    assert report.excess == pytest.approx(2.0)
    assert Drilled("primary off", (), 0.0, requests=10, degraded=2).excess == 2.0


def test_by_hand() -> None:
    """A drill under way can be stopped, and the next comes all the same."""
    cascade, _ = two()
    drill = ScheduledDrill(share=1.0, **OFTEN)
    drill.attach(cascade)
    assert served_by(ask(cascade, 1)[0]) == "fast/us"
    drill.stop()
    assert served_by(ask(cascade, 1)[0]) == "fast/eu"
    assert drill.reports[-1].aborted == "stopped by hand"
    drill.stop()  # nothing, where none is under way
    assert len(drill.reports) == 1


# Ways of asking.


def test_plain_code_and_streams() -> None:
    """`run_sync` and streams are drilled as `run` is."""
    cascade, _ = two()
    drill = ScheduledDrill(share=1.0, **{**OFTEN, "lasting": 99.0})
    drill.attach(cascade)
    assert served_by(cascade.run_sync("?")) == "fast/us"

    async def streamed() -> tuple[str, str]:
        async with cascade.stream("?") as stream:
            said = "".join([piece async for piece in stream.text()])
        assert stream.answer is not None
        return said, served_by(stream.answer)

    assert asyncio.run(streamed()) == ("from us", "fast/us")
    assert drill.current is not None and drill.current.requests == 2


CASCADES: dict[str, Callable[[], Cascade]] = {
    "gated": lambda: Cascade(
        Tier(Pool(Instance(model("eu")), Instance(model("us"), priority=1), name="p"), name="a",
             gate=Consistency(k=3, agree="exact"), quota=None),
        Tier(model("large")),
    ),
    "hedged": lambda: Cascade(
        Tier(Pool(Instance(model("eu")), Instance(model("us", Slow(3.0)), priority=1), name="p"), name="a"),
        Tier(model("large")),
        hedge=Hedge(after=1.0),
    ),
    "hedged in the pool": lambda: Cascade(
        Tier(Pool(Instance(model("eu")), Instance(model("us", Slow(3.0)), priority=1),
                  Instance(model("ap"), priority=1), hedge=Hedge(after=1.0), name="p"), name="a"),
    ),
    "watched": lambda: Cascade(
        Tier(Pool(Instance(model("eu")), Instance(model("us"), priority=1), health=Health(within=1.0), name="p"),
             name="a"),
    ),
    "plain": lambda: Cascade(Tier(model("small")), Tier(model("large"))),
    "one": lambda: Cascade(Tier(Pool(model("small")), name="a"), Tier(model("large"))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASCADES)
def test_every_kind_of_cascade(name: str) -> None:
    """Whatever calls a request makes, none goes to the primary, it has a good answer, and its book is right."""
    cascade, free = CASCADES[name](), CASCADES[name]()
    first = cascade.tiers[0].backend
    struck = first.instances[0].backend if isinstance(first, Pool) else first
    ScheduledDrill(share=1.0, **OFTEN).attach(cascade)
    (answer,), (usual,) = ask(cascade, 1), ask(free, 1)
    assert not answer.degraded and answer.reply is not None and struck.seen == []  # type: ignore[attr-defined]
    names = {attempt.tier for attempt in (*answer.attempts, *usual.attempts)}
    assert names <= {tier.name for tier in cascade.tiers}
    made = [call for call in answer.calls if call.failure is None]
    assert made and all(call.cost_usd is None or call.cost_usd >= 0 for call in made)
    for call in answer.calls:
        if call.failure is not None and call.failure.kind == "unavailable":
            assert call.cost_usd == 0.0  # nobody was asked, and nobody is paid


def test_a_single_backend_falls_through() -> None:
    """Where the primary is all there is, the chain answers at once, without a retry or a pause."""
    pool = Pool(model("only"))
    cascade = Cascade(Tier(pool, name="only"), fallbacks=[Static("Please call us.")])
    ScheduledDrill(share=1.0, degraded=1.0, **OFTEN).attach(cascade)
    (answer,) = ask(cascade, 1)
    assert (answer.via, answer.text, answer.latency) == ("static", "Please call us.", 0.0)


def test_all_regions() -> None:
    """With "all regions off" nobody is asked, and what the chain has left is seen."""
    cascade, pool = two(fallbacks=[Static("Please call us.")])
    ScheduledDrill("all regions off", share=1.0, degraded=1.0, **OFTEN).attach(cascade)
    assert [answer.via for answer in ask(cascade, 5)] == ["static"] * 5
    assert not any(each.backend.seen for each in pool.instances)  # type: ignore[attr-defined]


# On and off.


def test_detached_it_is_as_before() -> None:
    """Off again, the cascade has its class, its attributes and its ways back; a drill under way is ended."""
    cascade, _ = two()
    kind, before = type(cascade), dict(vars(cascade))
    drill = ScheduledDrill(share=1.0, **OFTEN)
    detach = drill.attach(cascade)
    assert type(cascade).__name__ == "Cascade" and repr(cascade).startswith("Cascade(")
    assert served_by(ask(cascade, 1)[0]) == "fast/us"
    detach()
    assert type(cascade) is kind and vars(cascade) == before and drill.reports[-1].aborted == "detached"
    assert served_by(ask(cascade, 1)[0]) == "fast/eu"
    drill.attach(cascade)  # and on again
    assert served_by(ask(cascade, 1)[0]) == "fast/us"


def test_one_for_one() -> None:
    """A cascade has one scheduled drill, and a drill one cascade."""
    cascade, other = two()[0], two()[0]
    drill = ScheduledDrill()
    drill.attach(cascade)
    for second, on in ((drill, other), (ScheduledDrill(), cascade)):
        with pytest.raises(ConfigError, match="one scheduled drill for each cascade"):
            second.attach(on)


def test_copies_run_their_own_way() -> None:
    """A copy with other thresholds runs by these, and a replay is never drilled."""
    tier = Tier(model("small", Reply("a"), Reply("b"), Reply("c")), gate=Consistency(k=3, agree="exact"))
    cascade = Cascade(tier, Tier(model("large")))
    recording = run_virtual(record(cascade, Request.of("?", id="1")))
    ScheduledDrill(share=1.0, **OFTEN).attach(cascade)
    for accept, name in ((0.0, "small"), (1.0, "large")):
        assert replay(cascade.adjusted(accept={"small": accept}), recording).tier == name
    assert isinstance(copy.copy(cascade), Cascade)


def test_a_drill_of_a_drilled_cascade() -> None:
    """A drill in virtual time is of the cascade without its schedule."""
    cascade, _ = two()
    drill = ScheduledDrill(share=1.0, **OFTEN)
    drill.attach(cascade)
    report = Drill(cascade, "primary off", stand_in=True, before=5.0, lasting=5.0).run()
    assert report.served["fast/eu"][0] == report.phases[0].requests and drill.current is None
    assert served_by(ask(cascade, 1)[0]) == "fast/us"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scenario": "primary slow"}, "a drill in production is one of primary off, all regions off"),
        ({"share": 0.0}, "share"),
        ({"share": 1.1}, "share"),
        ({"lasting": 0.0}, "lasting"),
        ({"every": 60.0}, "every"),
        ({"first": -1.0}, "first"),
        ({"degraded": 2.0}, "degraded"),
    ],
)
def test_bad_settings(settings: dict[str, Any], said: str) -> None:
    """What cannot work, or would break something, is refused when the drill is made."""
    with pytest.raises(ConfigError, match=said):
        ScheduledDrill(**settings)


def test_unknown_tiers() -> None:
    """A tier that is not there is refused when the drill is attached, and the cascade is as it was."""
    cascade, _ = two()
    with pytest.raises(ConfigError, match="there is no tier"):
        ScheduledDrill(tier="slow").attach(cascade)
    assert type(cascade) is Cascade


def test_flows_pass_through() -> None:
    """A flow seen through no view is the flow itself: the same effects, the same answer."""
    cascade, pool = two()
    assert views_of(pool, frozenset()) is None
    flow = seen_through(cascade.flow(Request.of("?"), 0.0), {})
    effect = next(flow)
    assert effect.backend is pool  # type: ignore[union-attr]
    flow.close()
    assert isinstance(run_virtual(cascade.run("?")), Given)
