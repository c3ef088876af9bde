"""The API of the live page: its figures on a real store, what holds now, and how often it adds up."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console_shop import asked, fill, made, sight_of, value
from fastcascade import Cascade, Pool, Tier
from fastcascade.backends import Recorded
from fastcascade.console.api_live import Lately, live
from fastcascade.console.api_live_alerts import alerts
from fastcascade.console.api_live_health import elsewhere, pools, samples
from fastcascade.console.asked import Refusal, Sight
from fastcascade.entry.instance import Instance
from fastcascade.errors import StoreError
from fastcascade.gateway.settings_seen import Promises
from fastcascade.telemetry.decisions_rows import GradedBy, Sum

MODULE = "shop_models_of_live"
N = 200


@pytest.fixture(scope="module")
def sight(tmp_path_factory: pytest.TempPathFactory) -> Sight:
    """A cascade, and fifty minutes of its decisions."""
    folder = tmp_path_factory.mktemp("live")
    file = made(folder, MODULE)
    return sight_of(file, fill(folder, file, N))


def figures(sight: Sight, **query: str) -> Any:
    """What the page is given."""
    return value(asyncio.run(live(asked(sight, "/console/api/live", **query))))


def fresh(sight: Sight, **changes: Any) -> Sight:
    """The same, with nothing kept from before."""
    return replace(sight, kept={}, **changes)


def test_figures_agree_with_the_rows(sight: Sight) -> None:
    """Funnel, paths, cost and escalation add up to what the single decisions say."""
    assert sight.decisions is not None
    rows = sight.decisions.page(limit=10 * N)
    found = figures(fresh(sight))["figures"]
    escalated = sum(each.escalated for each in rows)
    assert (found["total"]["reached"], found["total"]["escalated"]) == (N, escalated)
    assert found["total"]["n"] == N + N // 10
    assert found["total"]["cost_usd"] == pytest.approx(sum(each.cost_usd or 0 for each in rows))
    small, large = found["funnel"]
    assert (small["tier"], small["tried"], small["escalated"]) == ("small", N, escalated)
    assert (large["tier"], large["tried"], large["accepted"]) == ("large", escalated, escalated)
    assert small["low"] < escalated / N < small["high"]
    assert {each["key"]: each["n"] for each in found["paths"]} == {
        "dispatch/small": N - escalated, "dispatch/large": escalated, "cache/memory": N // 10,
    }  # fmt: skip
    baseline = sum(each.baseline_usd or 0 for each in rows)
    assert found["saved"]["share"] == pytest.approx(1 - found["total"]["cost_usd"] / baseline)
    assert found["saved"]["low"] < found["saved"]["share"] < found["saved"]["high"] and found["saved"]["n"] == N
    graded = [each for each in found["graded"] if each["tier"] == "small"]
    assert graded[0]["n"] == N // 2 and graded[0]["promised"] == 0.9
    assert found["slices"][0]["key"] == "shop" and found["slices"][0]["low"] == found["saved"]["low"]
    assert sum(each["reached"] for each in found["hours"]) == N


def test_a_window_holds_what_is_in_it(sight: Sight) -> None:
    """A quarter of an hour has fewer decisions than an hour, and all a day has."""
    n = [figures(fresh(sight), window=each)["figures"]["total"]["reached"] for each in ("900", "3600", "86400")]
    assert n[0] == N * 900 // 3000 and n[1] == n[2] == N


@pytest.mark.parametrize(
    ("query", "status"), [({"window": "5"}, 400), ({"after": "x"}, 400), ({"cascade": "nobody"}, 404)]
)
def test_what_makes_no_sense_is_refused(sight: Sight, query: dict[str, str], status: int) -> None:
    """A window, a number or a cascade that there is not."""
    with pytest.raises(Refusal) as refused:
        figures(fresh(sight), **query)
    assert refused.value.status == status


def test_the_stream_tells_what_is_new(sight: Sight) -> None:
    """First the last ones; then only what came after; and that there were more than are told."""
    first = figures(fresh(sight))["last"]
    assert [each["number"] for each in first["rows"]] == list(range(N, N - 40, -1)) and first["number"] == N
    assert figures(fresh(sight), after=str(N))["last"] == {"rows": [], "number": N, "skipped": False}
    some = figures(fresh(sight), after=str(N - 3))["last"]
    assert [each["number"] for each in some["rows"]] == [N, N - 1, N - 2] and not some["skipped"]
    assert figures(fresh(sight), after="1")["last"]["skipped"]


def test_without_a_store_health_and_alerts_are_there(sight: Sight) -> None:
    """Nothing kept: no figures, and what the worker knows itself."""
    found = figures(fresh(sight, decisions=None))
    assert not found["kept"] and "figures" not in found and found["alerts"] == []
    assert "health" in found


def test_a_store_that_is_not_there_yet_is_empty(sight: Sight, tmp_path: Path) -> None:
    """Before the first decision all figures are none, and nothing is raised."""
    assert sight.decisions is not None
    found = figures(fresh(sight, decisions=type(sight.decisions)(tmp_path / "none.db")))
    assert found["figures"]["total"]["n"] == 0 and found["figures"]["saved"]["share"] is None
    assert found["last"]["rows"] == [] and found["figures"]["funnel"] == []


def test_a_store_that_is_away_is_told(sight: Sight, tmp_path: Path) -> None:
    """With 503 and its name, and nobody is left waiting."""
    path = tmp_path / "theirs.db"
    path.write_bytes(b"no database at all" * 100)
    assert sight.decisions is not None
    with pytest.raises(Refusal) as refused:
        figures(fresh(sight, decisions=type(sight.decisions)(path)))
    assert refused.value.status == 503 and "theirs.db" in refused.value.message


# What holds now.


def told(**changes: Any) -> Sum:
    """A quarter of an hour in which all is well."""
    usual = {"key": "shop", "n": 100, "reached": 100, "cost_usd": 1.0, "unknown": 0, "baseline_usd": 2.0,
             "compared_usd": 1.0, "compared": 100, "timed": 100, "p50": 0.1, "p95": 0.2, "p99": 0.3,
             "escalated": 30, "degraded": 0, "failed": 0}  # fmt: skip
    return Sum(**{**usual, **changes})


QUIET = elsewhere("")
CASES: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({}, []),
    ({"escalated": 40}, []),
    ({"escalated": 45}, [("warn", "Escalation of shop is high")]),
    ({"escalated": 55}, [("bad", "Escalation of shop is high")]),
    ({"reached": 19, "escalated": 19}, []),
    ({"failed": 2}, [("bad", "Requests of shop fail")]),
    ({"degraded": 6}, [("warn", "Answers of shop are degraded")]),
    ({"unknown": 1}, [("warn", "A price of shop is unknown")]),
]


@pytest.mark.parametrize(("changes", "wanted"), CASES, ids=[str(changes) for changes, _ in CASES])
def test_alerts_hold_where_their_rule_does(changes: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    """Above 40 % warns, ten points more is bad; a share of few says nothing; each says its n."""
    found = alerts([told(**changes)], [], Promises(), [], QUIET)
    assert [(each["level"], each["what"]) for each in found] == wanted
    assert all("of 100" in each["why"] for each in found)


GRADES = [
    (0.95, 0.90, 0.98, 100, []),
    (0.85, 0.80, 0.92, 100, ["Quality of small may be below its promise"]),
    (0.85, 0.80, 0.89, 100, ["Quality of small is below its promise"]),
    (0.10, 0.00, 0.30, 19, []),
]


@pytest.mark.parametrize(("mean", "low", "high", "n", "wanted"), GRADES)
def test_quality_is_told_by_its_interval(mean: float, low: float, high: float, n: int, wanted: list[str]) -> None:
    """Below for sure where the whole interval is; perhaps where the mean is; a tier without a promise never."""
    graded = [GradedBy(tier, "", n, mean, low, high, 0) for tier in ("small", "large")]
    found = alerts([], graded, Promises(quality={"small": 0.9}), [], QUIET)
    assert [each["what"] for each in found] == wanted


def test_pools_are_told_with_their_breakers() -> None:
    """A pool is there once, whoever asks it; a breaker held open, a failover and a pool that is shut are told."""
    pool = Pool(Instance(Recorded({}), name="eu", region="eu"), Instance(Recorded({}), name="us", priority=1), name="m")
    shop = Cascade(Tier(pool, name="small"), Tier(pool, name="large"))
    seen = pools({"shop": shop})
    assert [each["pool"] for each in seen] == ["m"]
    assert [use["tier"] for use in seen[0]["asked_by"]] == ["small", "large"]
    assert alerts([], [], Promises(), seen, QUIET) == []
    pool.force("eu", "open")
    found = alerts([], [], Promises(), pools({"shop": shop}), QUIET)
    assert [each["what"] for each in found] == ["m has failed over"] and "held open" in found[0]["why"]
    pool.force("us", "open")
    found = alerts([], [], Promises(), pools({"shop": shop}), QUIET)
    assert [each["what"] for each in found] == ["Nobody of m can be asked"]


BOARD = r"""# HELP fastcascade_breaker_open 1 for a breaker that is open
fastcascade_breaker_open{worker="0",cascade="shop",tier="small",instance="e\"u",region="",group="0"} 1
fastcascade_breaker_open{worker="1",cascade="shop",tier="small",instance="e\"u",region="",group="0"} 0.5
fastcascade_breaker_open{worker="1",cascade="shop",tier="small",instance="us",region="",group="1"} 0
fastcascade_instance_usable{worker="1",cascade="shop",tier="small",instance="us",region="",group="1"} 0
fastcascade_reviews_overdue{worker="0",cascade="shop"} 2
fastcascade_reviews_overdue{worker="1",cascade="shop"} 2
fastcascade_key_spent_usd{worker="0",key="team",period="day",kind="hard"} 12
fastcascade_key_budget_usd{worker="0",key="team",period="day",kind="hard"} 10
fastcascade_key_spent_usd{worker="0",key="team",period="day",kind="soft"} 5
fastcascade_key_budget_usd{worker="0",key="team",period="day",kind="soft"} 10
fastcascade_dropped_total{worker="0",for="decisions"} 3
fastcascade_in_flight{worker="0"} 4
fastcascade_in_flight{worker="1"} 5
fastcascade_requests_total{worker="0",path="/x"} 99
what is no line of this kind {
"""


def test_the_board_is_read() -> None:
    """Breakers by worker, reviews once, keys by period and kind, sums over workers; other lines are passed over."""
    found = elsewhere(BOARD)
    assert found["workers"] == 2 and found["in_flight"] == 9 and found["overdue"] == 2 and found["dropped"] == 3
    assert found["breakers"] == {'shop / small / e"u': 2} and found["shut"] == {"shop / small / us": 1}
    assert {each["kind"]: each["spent"] for each in found["keys"]} == {"hard": 12, "soft": 5}
    assert all(name != "fastcascade_requests_total" for name, _, _ in samples(BOARD))
    what = [(each["level"], each["what"]) for each in alerts([], [], Promises(), [], found)]
    assert what == [
        ("bad", "Reviews are overdue"),
        ("bad", "The budget of the key team is spent"),
        ("warn", 'The breaker of shop / small / e"u is open'),
        ("warn", "Decisions were dropped"),
    ]


# How often it adds up.


class Made:
    """What is made at a cost of time, and counts how often."""

    def __init__(self, clock: "Clock", cost: float) -> None:
        self.clock, self.cost, self.times = clock, cost, 0
        self.go = asyncio.Event()

    async def __call__(self) -> dict[str, Any]:
        self.times += 1
        await self.go.wait()
        self.clock.at += self.cost
        return {"times": self.times}


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def run(test: Callable[[Clock], Any]) -> None:
    """In a loop of its own."""
    asyncio.run(test(Clock()))


@pytest.mark.parametrize(("cost", "kept"), [(0.001, 1.0), (0.2, 4.0), (1.5, 30.0), (60.0, 300.0)])
def test_figures_are_kept_by_what_they_cost(cost: float, kept: float) -> None:
    """A second at least, twenty times as long as they took, and five minutes at most."""

    async def test(clock: Clock) -> None:
        lately, make = Lately(clock), Made(clock, cost)
        make.go.set()
        assert (await lately.get("k", make))["took"] == pytest.approx(cost)
        clock.at += kept * 0.99
        again = await lately.get("k", make)
        assert make.times == 1 and again["age"] == pytest.approx(kept * 0.99)
        clock.at += kept * 0.02
        await lately.get("k", make)
        assert make.times == 2

    run(test)


def test_who_comes_meanwhile_waits_for_the_same() -> None:
    """Ten viewers at once cost one look; one that goes away takes nobody's figures with it."""

    async def test(clock: Clock) -> None:
        lately, make = Lately(clock), Made(clock, 0.1)
        waiting = [asyncio.ensure_future(lately.get("k", make)) for _ in range(10)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        make.go.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError) and make.times == 1
        assert all(each["times"] == 1 for each in found[1:] if isinstance(each, dict))

    run(test)


def test_a_failure_is_not_kept() -> None:
    """What could not be added up is tried again by the next who asks."""

    async def test(clock: Clock) -> None:
        lately, make = Lately(clock), Made(clock, 0.1)
        make.go.set()

        async def fails() -> dict[str, Any]:
            raise StoreError("away")

        with pytest.raises(StoreError):
            await lately.get("k", fails)
        assert (await lately.get("k", make))["times"] == 1

    run(test)


def test_closing_ends_what_is_under_way() -> None:
    """Nothing is left behind when the console closes."""

    async def test(clock: Clock) -> None:
        lately, make = Lately(clock), Made(clock, 0.1)
        waiting = asyncio.ensure_future(lately.get("k", make))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await lately.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(asyncio.all_tasks()) == 1

    run(test)


def test_viewers_share_what_was_added_up(sight: Sight) -> None:
    """Two calls of one moment read the store once for their sums."""
    shared = fresh(sight)

    async def both() -> list[Any]:
        calls = [live(asked(shared, "/console/api/live", window="86400")) for _ in range(5)]
        return [value(each) for each in await asyncio.gather(*calls)]

    made_at = {each["figures"]["made"] for each in asyncio.run(both())}
    assert len(made_at) == 1
