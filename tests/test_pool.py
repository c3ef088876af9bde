"""A pool of instances: who is asked, what is moved or repeated, and what is learned from each call."""

import asyncio
from typing import Any, cast

import pytest

from fastcascade import BackendError, Budget, Cascade, ConfigError, Hedge, Reply, Request, Tier, notices, replay
from fastcascade.answers import Answer
from fastcascade.backends import OpenAI
from fastcascade.drive import Driver
from fastcascade.effects import Call, Outcome
from fastcascade.entry import Health, Instance, Pool, RoundRobin
from fastcascade.entry.pooled import pooled
from fastcascade.errors import FailureKind
from fastcascade.fallbacks import Breaker, Bulkhead, Region, Retry, RetryShare
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.testing import Cut, FakeClock, Fault, ScriptedBackend, Slow, Stall, Step, run_virtual

STEADY = Retry(jitter=0.0, random=lambda: 0.0)
DOWN = Fault("server", status=500)


def calm(backend: Any, **settings: Any) -> Pool:
    """A pool of one, with waits that are known beforehand."""
    return Pool(backend, **{"retry": STEADY, **settings})


def place(name: str, *script: Step, **settings: Any) -> Instance:
    """An instance with a script."""
    return Instance(ScriptedBackend(*script, name=name), name=name, **settings)


def seen(instance: Instance) -> int:
    """How often it was asked."""
    backend = instance.backend
    assert isinstance(backend, ScriptedBackend)
    return len(backend.seen)


async def asked(pool: Pool, limit: float | None = None, **fields: Any) -> Outcome:
    """What a call to the pool comes to."""
    driver = Driver(clock=asyncio.get_running_loop().time)
    return await driver.perform(Call(pool, Request.of("?", **fields), timeout=limit, label="pool/answer"))


def outcomes(
    pool: Pool, count: int = 1, pause: float = 0.0, limit: float | None = None, **fields: Any
) -> list[Outcome]:
    """What several calls come to, one after another."""

    async def main() -> list[Outcome]:
        found = []
        for _ in range(count):
            found.append(await asked(pool, limit, **fields))
            await asyncio.sleep(pause)
        return found

    return run_virtual(main())


class Yes(Gate):
    """Passes all, once the whole reply is there."""

    def judge(self, _exam: Exam, /) -> Judging:
        return Verdict(1.0)


# Repeats.


def test_what_fails_is_asked_again_after_growing_waits() -> None:
    """Pauses are 1, 2 and 4 seconds; the trace has each try, and the time of the whole call is theirs together."""
    outcome = outcomes(calm(ScriptedBackend(DOWN, DOWN, DOWN, "fourth")))[0]
    assert outcome.value == Reply("fourth", model="scripted")
    assert [(each.started, each.failure.kind) for each in outcome.tries] == [
        (0.0, "server"),
        (1.0, "server"),
        (3.0, "server"),
    ]
    assert (outcome.started, outcome.ended, outcome.by) == (0.0, 7.0, "scripted")


def test_there_is_an_end_to_it() -> None:
    """After `times` repeats the last failure is what the call comes to."""
    backend = ScriptedBackend(DOWN)
    outcome = outcomes(calm(backend))[0]
    assert outcome.failure is not None and outcome.failure.kind == "server"
    assert len(backend.seen) == 4 and len(outcome.tries) == 3


NEVER: list[FailureKind] = ["bad_request", "unsupported", "bug", "auth", "billing", "not_found", "missing", "quota"]


@pytest.mark.parametrize("kind", NEVER)
def test_what_would_fail_again_is_not_repeated(kind: FailureKind) -> None:
    """A single place that says no, and would say it again, is asked once."""
    backend = ScriptedBackend(Fault(kind))
    outcome = outcomes(calm(backend))[0]
    assert outcome.failure is not None and outcome.failure.kind == kind
    assert len(backend.seen) == 1


def test_a_call_keeps_to_its_time() -> None:
    """A pause that would outlast the time there is, is not begun; a try gets what is left, or the pool's own limit."""
    late = outcomes(calm(ScriptedBackend(DOWN)), limit=2.5)[0]
    assert (late.ended, len(late.tries)) == (1.0, 1)
    stalled = outcomes(calm(ScriptedBackend(Stall())), limit=2.5)[0]
    assert stalled.failure is not None and (stalled.failure.kind, stalled.ended) == ("timeout", 2.5)
    moved = outcomes(calm(ScriptedBackend(Stall(), "there"), timeout=3.0))[0]
    assert (moved.ended, [each.failure.kind for each in moved.tries]) == (4.0, ["timeout"])


def test_retries_are_a_share_of_the_traffic() -> None:
    """In an outage calls grow by the retry budget's share and its reserve, no more."""
    backend = ScriptedBackend(DOWN)
    retry = Retry(jitter=0.0, budget=RetryShare(share=0.1, reserve=10, refill=0.0))
    outcomes(Pool(backend, retry=retry, breaker=None), 1000)
    assert 1000 < len(backend.seen) <= 1000 * 1.1 + 10


def test_all_tries_are_within_the_budget_of_the_request() -> None:
    """Each further try counts as a call, and is not made where calls, time or money are used up."""
    backend = ScriptedBackend(DOWN)
    answer = run_virtual(Cascade(Tier(calm(backend))).run("?", budget=Budget(attempts=2)))
    assert (len(backend.seen), answer.degraded) == (2, "attempts")
    assert [call.label for call in answer.calls] == ["scripted/answer~0", "scripted/answer"]


def test_tries_are_in_the_trace_and_in_a_replay() -> None:
    """The answer shows who was asked and how it went, and a replay gives the very same answer."""
    pool = Pool(place("eu", DOWN, region="eu"), place("us", "there", region="us"), retry=STEADY, balance=RoundRobin())
    cascade = Cascade(Tier(pool, name="model"))
    answer: Answer = run_virtual(cascade.run("?"))
    assert [(call.label, call.by, call.failure is None) for call in answer.calls] == [
        ("model/answer~0", "eu", False),
        ("model/answer", "us", True),
    ]
    assert replay(cascade, answer) == answer
    assert replay(cascade, answer.trace()) == answer


# Times that a provider names.


def test_a_named_time_is_waited_for_by_everybody() -> None:
    """After a 429 nobody calls before the time it named; each waits for it, a little spread, and then gets through."""
    backend = ScriptedBackend(Fault("rate_limited", retry_after=5.0), "there")
    pool = Pool(backend)

    async def main() -> list[float]:
        first = asyncio.create_task(asked(pool))
        await asyncio.sleep(1.0)
        others = [asyncio.create_task(asked(pool)) for _ in range(20)]
        found = [await each for each in (first, *others)]
        assert all(outcome.failure is None for outcome in found)
        return [outcome.ended for outcome in found]

    ended = run_virtual(main())
    assert min(ended) >= 5.0 and max(ended) <= 6.0
    assert len(set(ended)) > 5


def test_a_named_time_is_only_ever_extended() -> None:
    """A later 429 that names an earlier time changes nothing."""
    instance = place("a", "x")
    instance.close_until(10.0)
    instance.close_until(5.0)
    assert instance.closed_until == 10.0
    instance.close_until(12.0)
    assert instance.closed_until == 12.0


def test_a_time_too_far_off_is_not_waited_for() -> None:
    """Beyond the retry's cap the call fails at once, without a call, and says how long to wait."""
    backend = ScriptedBackend(Fault("rate_limited", retry_after=60.0))
    first, second = outcomes(calm(backend), 2, pause=1.0)
    assert first.failure is not None and (first.failure.kind, first.ended) == ("rate_limited", 0.0)
    assert second.failure is not None and (second.failure.kind, second.failure.retry_after) == ("unavailable", 59.0)
    assert "waits 59.0 s" in second.failure.message
    assert len(backend.seen) == 1


def test_a_429_without_a_time_closes_for_a_pause() -> None:
    """Where a provider does not say how long, the pause of a first retry is what all wait."""
    backend = ScriptedBackend(Fault("rate_limited"), "there")
    assert outcomes(calm(backend))[0].ended == 1.0


# Moves.


def test_a_key_that_is_used_up_gives_way_to_another() -> None:
    """After a 429 another key is asked at once, and the first is left alone until its time."""
    one, two = place("one", Fault("rate_limited", retry_after=30.0), "back", key="a"), place("two", "there", key="b")
    pool = Pool(one, two, retry=STEADY, balance=RoundRobin())
    found = outcomes(pool, 4, pause=1.0)
    assert [outcome.by for outcome in found] == ["two"] * 4
    assert [outcome.ended - outcome.started for outcome in found] == [0.0] * 4
    assert (seen(one), seen(two)) == (1, 4)


@pytest.mark.parametrize("kind", ["auth", "billing"])
def test_a_key_that_is_refused_gives_way_to_another(kind: FailureKind) -> None:
    """A 401 or 402 moves on to another key, never back to the same, and the operator hears of it."""
    heard: list[tuple[str, str]] = []
    end = notices.subscribe(lambda notice: heard.append((notice.kind, notice.about)))
    pool = Pool(
        place("one", Fault(kind), key="a"), place("two", DOWN, key="b"), retry=Retry(times=0), balance=RoundRobin()
    )
    outcome = outcomes(pool)[0]
    end()
    assert outcome.failure is not None and outcome.failure.kind == "server"
    assert ("auth failed", "one") in heard


def test_a_region_that_fails_gives_way_to_another() -> None:
    """A failure of the place moves on to another region at once, not to its neighbor in the same."""
    neighbors = place("eu1", DOWN, region="eu"), place("eu2", DOWN, region="eu")
    pool = Pool(*neighbors, place("us", "there", region="us", priority=1), retry=STEADY, balance=RoundRobin())
    outcome = outcomes(pool)[0]
    assert (outcome.by, outcome.ended) == ("us", 0.0)
    assert seen(neighbors[0]) + seen(neighbors[1]) == 1


def test_no_instance_gets_more_than_one_call_and_the_paid_repeats() -> None:
    """With every place down, each is asked once by a request; what goes beyond is paid for from the retry budget."""
    places = [place(f"r{number}", DOWN, region=f"r{number}") for number in range(3)]
    retry = Retry(jitter=0.0, budget=RetryShare(share=0.0, reserve=2, refill=0.0))
    outcomes(Pool(*places, retry=retry, breaker=None, outliers=None), 5)
    assert sum(map(seen, places)) == 3 * 5 + 2


def test_a_model_that_is_gone_is_told_of() -> None:
    """A 404 moves on, and the operator hears which model it is."""
    heard: list[tuple[str, str]] = []
    end = notices.subscribe(lambda notice: heard.append((notice.kind, notice.about)))
    gone = ScriptedBackend(Fault("not_found", status=404), name="old-model")
    answer = run_virtual(Cascade(Tier(calm(gone)), ScriptedBackend("new", name="new")).run("?"))
    end()
    assert (answer.text, len(gone.seen)) == ("new", 1)
    assert ("model gone", "old-model") in heard


# Side effects.


def test_what_has_effects_is_not_repeated_without_a_key() -> None:
    """Where asking changes something, only what was certainly not carried out is asked again."""
    for kind, calls in (("timeout", 1), ("connection", 1), ("server", 1), ("rate_limited", 2)):
        backend = ScriptedBackend(Fault(kind), "done")  # type: ignore[arg-type]
        outcomes(calm(backend, effects=True))
        assert len(backend.seen) == calls, kind
    backend = ScriptedBackend(Fault("timeout"), "done")
    assert outcomes(calm(backend, effects=True), idempotency="order-7")[0].value.text == "done"


def test_nobody_else_does_what_may_be_done_already() -> None:
    """After a failure that may have come too late, no tier, region or hedge carries out the same again."""
    first, second, third = (ScriptedBackend(Fault("timeout"), name=name) for name in ("a", "b", "c"))
    pools = [Pool(backend, effects=True, retry=None, name=backend.name) for backend in (first, second, third)]
    cascade = Cascade(Tier(pools[0]), Tier(pools[1]), fallbacks=[Region(Tier(pools[2]))], hedge=Hedge(after=0.1))
    assert run_virtual(cascade.run("pay")).via == "static"
    assert [len(each.seen) for each in (first, second, third)] == [1, 0, 0]
    assert run_virtual(cascade.run("pay", idempotency="order-7")).via == "static"
    assert [len(each.seen) for each in (first, second, third)] == [2, 1, 1]


def test_equal_backends_share_the_times_that_are_named() -> None:
    """Two objects for the same model, place and key are one to its provider: both wait. Another key does not."""
    pytest.importorskip("openai")
    one, two, other = (OpenAI("m", base_url="http://127.0.0.1:9/v1", api_key=key) for key in ("k1", "k1", "k2"))
    places = [Instance(backend, name=str(number)) for number, backend in enumerate((one, two, other))]
    places[0].close_until(50.0)
    assert [each.closed_until > 0 for each in places] == [True, True, False]


# The breaker, the bulkhead.


def test_a_breaker_keeps_calls_away_and_lets_them_back() -> None:
    """An instance that fails is left alone for the cooling, then tried, then used again; nobody waits for it."""
    backend = ScriptedBackend(DOWN, DOWN, DOWN, "back")
    breaker = Breaker(failure_threshold=3, recovery_timeout=30.0, half_open_max_calls=1)
    pool = Pool(backend, retry=None, breaker=breaker)
    found = outcomes(pool, 10, pause=5.0)
    kinds = [outcome.failure.kind if outcome.failure else "" for outcome in found]
    assert kinds == ["server"] * 3 + ["unavailable"] * 5 + [""] * 2
    assert all(outcome.ended == outcome.started for outcome in found)
    assert len(backend.seen) == 5


def test_a_breaker_is_held_by_hand_and_seen() -> None:
    """`force` holds an instance open or closed; `look` shows it; a name that is not there is an error."""
    pool = Pool(place("a", "x"), place("b", "y"), retry=None, balance=RoundRobin())
    pool.force("a", "open", 0.0)
    assert {outcome.by for outcome in outcomes(pool, 4)} == {"b"}
    states = {each.name: (each.circuit, each.usable) for each in pool.look(0.0)}
    assert states == {"a": ("held open", False), "b": ("closed", True)}
    pool.force("a", "closed", 0.0)
    assert {outcome.by for outcome in outcomes(pool, 4)} == {"a", "b"}
    with pytest.raises(ConfigError, match="no instance is called 'c'"):
        pool.force("c", "open")
    with pytest.raises(ConfigError, match="no breaker"):
        Pool(place("a", "x"), breaker=None).force("a", "open")


def test_a_bulkhead_bounds_the_calls_at_once() -> None:
    """No more than the limit are under way; those beyond the queue fail at once with a time to come again."""
    running, most = 0, 0

    class Busy(ScriptedBackend):
        async def complete(self, request: Request, /) -> Reply | None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1.0)
            running -= 1
            return await super().complete(request)

    pool = calm(Busy("x"), bulkhead=Bulkhead(limit=2, queue=3, patience=10.0))

    async def main() -> list[Outcome]:
        return await asyncio.gather(*(asked(pool) for _ in range(8)))

    found = run_virtual(main())
    assert most == 2
    kinds = [outcome.failure.kind if outcome.failure else "" for outcome in found]
    assert kinds.count("full") == 3 and kinds.count("") == 5
    assert all(outcome.failure.retry_after for outcome in found if outcome.failure)
    assert pool.instances[0].slots is not None and pool.instances[0].slots.busy == 0


def test_what_is_full_spills_over() -> None:
    """Where one instance has no room the call goes to another of the pool."""
    one, two = place("one", Slow(1.0, "x")), place("two", Slow(1.0, "x"), priority=1)
    pool = Pool(one, two, retry=STEADY, bulkhead=Bulkhead(limit=1, queue=0), health=None)

    async def main() -> list[Outcome]:
        return await asyncio.gather(*(asked(pool) for _ in range(3)))

    assert sorted("nobody" if each.failure else each.by for each in run_virtual(main())) == ["nobody", "one", "two"]


def test_what_is_full_is_said_at_once() -> None:
    """A lone instance without room fails the call without a pause, and takes nothing from the retry budget."""
    pool = Pool(place("one", Slow(5.0, "x")), bulkhead=Bulkhead(limit=1, queue=0))

    async def main() -> list[Outcome]:
        return await asyncio.gather(*(asked(pool) for _ in range(20)))

    found = run_virtual(main())
    assert [each.ended for each in found] == [5.0] + [0.0] * 19
    assert pool.allowance is not None and pool.allowance.left(0.0) >= 10.0


def test_nothing_is_held_by_calls_that_are_given_up() -> None:
    """Requests cancelled in the queue, in a pause or under way leave no slot, no permit and no count behind."""
    backend = ScriptedBackend(Stall())
    pool = calm(backend, bulkhead=Bulkhead(limit=2, queue=5, patience=60.0), hedge=Hedge(after=1.0))

    async def main() -> None:
        tasks = [asyncio.create_task(asked(pool)) for _ in range(6)]
        await asyncio.sleep(5.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main())
    instance = pool.instances[0]
    assert instance.slots is not None
    assert (instance.outstanding, instance.slots.busy, instance.slots.waiting) == (0, 0, 0)


# Hedging.


def test_the_slowest_calls_are_asked_twice() -> None:
    """After a while another instance is asked; the faster reply is taken, the loser cancelled and written down."""
    slow, quick = place("slow", Slow(60.0, "late")), place("quick", Slow(1.0, "soon"))
    pool = Pool(slow, quick, retry=STEADY, hedge=Hedge(after=2.0), balance=RoundRobin())
    first, second = outcomes(pool, 2)
    assert [(outcome.value.text, outcome.by, outcome.ended - outcome.started) for outcome in (first, second)] == [
        ("soon", "quick", 3.0),
        ("soon", "quick", 1.0),
    ]
    assert [(each.by, each.failure.kind) for each in first.tries] == [("slow", "cancelled")]
    assert isinstance(slow.backend, ScriptedBackend) and slow.backend.cancelled == 1
    assert slow.outstanding == quick.outstanding == 0


def test_hedges_are_a_share_of_the_traffic() -> None:
    """However slow everything is, no more than the share and a burst get a second call."""
    backend = ScriptedBackend(Slow(10.0, "late"))
    pool = calm(backend, hedge=Hedge(after=1.0, share=0.05, burst=3))
    outcomes(pool, 200)
    assert 200 < len(backend.seen) <= 200 * 1.05 + 3


def test_of_two_that_are_asked_a_failure_waits_for_the_other() -> None:
    """A runner that fails does not end the race while the other may reply."""
    slow, failing = place("slow", Slow(5.0, "late")), place("failing", Slow(1.0, DOWN))
    pool = Pool(slow, failing, retry=None, hedge=Hedge(after=2.0), balance=RoundRobin())
    outcome = outcomes(pool)[0]
    assert (outcome.value.text, outcome.ended) == ("late", 5.0)


# Health.


class Probed(ScriptedBackend):
    """A backend whose active checks can be made to fail."""

    well = True
    probes = 0

    async def probe(self) -> None:
        self.probes += 1
        if not self.well:
            raise BackendError("connection", "refused")


def test_a_dead_primary_is_found_and_its_calls_are_moved() -> None:
    """Calls under way to a primary that hangs are moved when active checks find it dead, within the time set."""
    primary, secondary = Probed(Stall(), name="primary"), ScriptedBackend("moved", name="secondary")
    pool = Pool(
        Instance(primary), Instance(secondary, priority=1), retry=STEADY, health=Health(within=2.0), name="model"
    )
    heard: list[str] = []
    end = notices.subscribe(lambda notice: heard.append(notice.kind))

    async def main() -> tuple[list[Outcome], Outcome, Outcome]:
        calls = [asyncio.create_task(asked(pool)) for _ in range(20)]
        await asyncio.sleep(5.0)
        primary.well = False
        moved = [await each for each in calls]
        during = await asked(pool)
        primary.well = True
        primary.script = ("back",)
        await asyncio.sleep(10.0)
        return moved, during, await asked(pool)

    moved, during, after = run_virtual(main())
    end()
    assert {outcome.by for outcome in moved} == {"secondary"}
    assert max(outcome.ended for outcome in moved) <= 7.0
    assert (during.by, after.by) == ("secondary", "primary")
    assert {"died", "failed over", "returned"} <= set(heard)


def test_active_checks_are_on_where_there_is_somewhere_to_go() -> None:
    """With a second priority there are active checks, within 30 seconds; without one there are none."""
    assert Pool(place("a", "x"), place("b", "x")).health is None
    health = Pool(place("a", "x"), place("b", "x", priority=1)).health
    assert health is not None


# As a backend.


def test_a_pool_is_a_backend_of_its_own() -> None:
    """It completes and streams without a cascade, raises what a backend raises, and closes what it has."""

    async def main() -> None:
        pool = calm(ScriptedBackend(DOWN, "one two"))
        reply = await pool.complete(Request.of("?"))
        assert reply is not None and reply.text == "one two"
        items = [item async for item in pool.stream(Request.of("?"))]
        assert "".join(item.text for item in items[:-1] if item is not None) == "one two"
        with pytest.raises(BackendError, match="as scripted"):
            await calm(ScriptedBackend(Fault("bad_request"))).complete(Request.of("?"))
        with pytest.raises(BackendError, match="as scripted"):
            async for _ in calm(ScriptedBackend(Fault("bad_request"))).stream(Request.of("?")):
                pass
        await pool.aclose()

    run_virtual(main())


def test_a_remote_backend_is_pooled_by_itself() -> None:
    """What is asked over a network is retried without being told; the same backend comes to the same pool."""

    class Remote(ScriptedBackend):
        remote = True

    backend = Remote(DOWN, "there")
    tier = Tier(backend)
    assert tier.backend is pooled(backend) and isinstance(tier.backend, Pool)
    assert run_virtual(Cascade(tier).run("?")).text == "there"
    plain = ScriptedBackend("x")
    assert Tier(plain).backend is plain


WRONG: list[tuple[str, Any, str]] = [
    ("nobody in it", lambda: Pool(), "at least one instance"),
    ("no time", lambda: Pool(place("a", "x"), timeout=0), "timeout must be above zero"),
    ("a hedge by likelihood", lambda: Pool(place("a", "x"), hedge=Hedge(likely=0.5)), "not by `likely`"),
    ("a number for checks", lambda: Pool(place("a", "x"), health=cast("Any", 2.0)), "health is a Health"),
    ("a class for a retry", lambda: Pool(place("a", "x"), retry=cast("Any", Retry)), "retry is a Retry"),
    ("a text for a backend", lambda: Pool(cast("Any", "x")), "is neither"),
    ("a pool in a pool", lambda: Pool(Pool(place("a", "x"))), "is a pool itself"),
    ("no weight", lambda: place("a", "x", weight=0.0), "weight"),
    ("a negative priority", lambda: place("a", "x", priority=-1), "priority"),
]


@pytest.mark.parametrize(("_name", "make", "message"), WRONG, ids=[case[0] for case in WRONG])
def test_settings_that_cannot_work_are_refused(_name: str, make: Any, message: str) -> None:
    """What could never work is an error when it is built."""
    with pytest.raises(ConfigError, match=message):
        make()


def test_an_instance_is_in_one_pool() -> None:
    """Its state is shared by all who ask it, and so cannot be kept by two."""
    instance = place("a", "x")
    Pool(instance)
    with pytest.raises(ConfigError, match="in another pool already"):
        Pool(instance)


# Streams.


def test_a_stream_that_breaks_unseen_begins_anew() -> None:
    """A cut before anything was shown is invisible: the same model is asked again, and its stream is whole."""
    eu, us = place("eu", Cut("never seen", after=2), region="eu"), place("us", "one two three", region="us")
    pool = Pool(eu, us, retry=STEADY, balance=RoundRobin())
    gated = Tier(pool, name="model", gate=Yes())
    cascade = Cascade(gated, ScriptedBackend("large", name="large"))

    async def main() -> tuple[str, Answer | None]:
        stream = cascade.stream("?")
        return "".join([piece async for piece in stream.text()]), stream.answer

    text, answer = run_virtual(main())
    assert text == "one two three" and answer is not None
    assert [(call.by, call.failure and call.failure.kind) for call in answer.calls] == [("eu", "cut"), ("us", None)]
    assert replay(cascade, answer, streaming=True) == answer
    assert eu.outstanding == us.outstanding == 0


def test_a_stream_that_does_not_begin_is_moved() -> None:
    """What fails before its first piece is asked elsewhere, within the time there is, and its place is given back."""
    pool = Pool(place("a", DOWN, region="a"), place("b", "one two", region="b"), retry=STEADY, balance=RoundRobin())

    async def main() -> tuple[str, Answer | None]:
        stream = Cascade(Tier(pool)).stream("?")
        return "".join([piece async for piece in stream.text()]), stream.answer

    text, answer = run_virtual(main())
    assert text == "one two" and answer is not None and answer.calls[-1].by == "b"
    assert [each.outstanding for each in pool.instances] == [0, 0]


def test_a_stream_left_early_gives_its_place_back() -> None:
    """Whoever stops reading leaves no slot taken."""
    pool = calm(ScriptedBackend(Stall("one two three", after=2)), bulkhead=Bulkhead(limit=1, queue=0))

    async def main() -> None:
        async with Cascade(Tier(pool)).stream("?") as stream:
            async for _ in stream:
                break

    clock = FakeClock()
    run_virtual(main(), clock)
    assert pool.instances[0].slots is not None and pool.instances[0].slots.busy == 0
    assert pool.instances[0].outstanding == 0
