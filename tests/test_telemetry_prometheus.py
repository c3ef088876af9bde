"""Counting decisions as Prometheus reads them: right sums, valid text, and room that no client can fill."""

import asyncio
import gc
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import ref

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from decided import answer_of, attempt, decision, grade, refusal
from fastcascade import Cascade, ConfigError, Tier
from fastcascade.caching.answers import AnswerCache
from fastcascade.entry import Instance, Pool
from fastcascade.fallbacks import Breaker, Retry, Review
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.gateway.metrics import Board, Metrics
from fastcascade.gateway.settings import Kept
from fastcascade.gateway.settings_seen import Promises
from fastcascade.lanes import Lane, Lanes
from fastcascade.messages import Reply, Request, Text, Usage
from fastcascade.notices import notify
from fastcascade.prices import Price
from fastcascade.reviews import ReviewDesk
from fastcascade.stores import SQLiteReviews
from fastcascade.telemetry import Decision, Prometheus, subscribe
from fastcascade.telemetry.prometheus_kinds import KINDS
from fastcascade.telemetry.prometheus_rows import Names
from fastcascade.telemetry.prometheus_seen import Seen
from fastcascade.telemetry.prometheus_text import exposition, told
from fastcascade.testing import Fault, ScriptedBackend
from gateways import chat, serving

PROMTOOL = shutil.which("promtool")
HOSTILE = 'a "b"\\\n\u2028\r{le="1"} 5'


class Scored(Gate):
    """Gives these scores, one after the other."""

    def __init__(self, *scores: float) -> None:
        self.scores, self.threshold = list(scores), 0.5

    def judge(self, exam: Exam, /) -> Judging:
        return Verdict(self.scores.pop(0), "as told")


def said(text: str, name: str, **labels: str) -> float | None:
    """The value of one series, or None."""
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"fastcascade_{name}" and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1, f"{name} {labels}: {found}"
    return found[0] if found else None


def summed(text: str, name: str, **labels: str) -> float:
    """The sum of all series of a name with these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"fastcascade_{name}" and labels.items() <= sample.labels.items()
    )


def reply(name: str) -> Reply:
    """What a model says, for a thousand tokens in and a hundred out."""
    return Reply((Text("yes"),), model=f"{name}-1", usage=Usage(1_000, 100))


def tier(name: str, *script: Any, price: Price, **settings: Any) -> Tier:
    """One whose backend plays a script."""
    return Tier(ScriptedBackend(*(script or (reply(name),)), name=name, price=price), name=name, **settings)


def shop(*scores: float, **settings: Any) -> Cascade:
    """Two tiers, of which the first gets these scores."""
    small = tier("small", price=Price(1.0, 10.0), gate=Scored(*scores) if scores else None)
    return Cascade(small, tier("large", price=Price(10.0, 100.0)), name="shop", **settings)


def test_what_a_cascade_did_is_counted_by_layer_tier_and_slice() -> None:
    """Answers, tries by verdict, calls, tokens, cost, and what the last tier alone would have cost."""
    cascade = shop(0.9, 0.1, 0.9)
    metrics = Prometheus(cascade)
    end = subscribe(metrics)
    for _ in range(3):
        cascade.run_sync("where is it?", task="parcel")
    end()
    text = metrics.text()
    parcel = {"cascade": "shop", "slice": "parcel"}
    assert said(text, "answers_total", layer="dispatch", by="small", **parcel) == 2
    assert said(text, "answers_total", layer="dispatch", by="large", **parcel) == 1
    assert said(text, "tries_total", tier="small", verdict="accept", **parcel) == 2
    assert said(text, "tries_total", tier="small", verdict="escalate", **parcel) == 1
    assert said(text, "escalations_total", tier="small") == 1
    assert said(text, "calls_total", tier="small") == 3
    assert said(text, "calls_again_total", tier="small") == 0
    assert said(text, "tokens_total", kind="input") == 4_000
    small, large = 0.002, 0.02
    assert said(text, "tier_cost_usd_total", tier="small") == pytest.approx(3 * small)
    assert said(text, "cost_usd_total") == pytest.approx(3 * small + large)
    assert said(text, "compared_usd_total", **parcel) == pytest.approx(3 * small + large)
    assert said(text, "baseline_usd_total", **parcel) == pytest.approx(3 * large)
    assert said(text, "compared_total", **parcel) == 3
    assert said(text, "layer_seconds_count", layer="dispatch") == 3
    assert said(text, "tier_seconds_count", tier="small") == 3
    assert said(text, "tier_last", tier="large") == 1


def test_answers_from_the_cache_cost_nothing_and_would_have() -> None:
    """One that is kept is counted under the cache, with its levels, and adds to the baseline alone."""

    async def main() -> str:
        cascade = shop(cache=AnswerCache(ttl=60))
        metrics = Prometheus(cascade)
        end = subscribe(metrics)
        for _ in range(3):  # the second may join what the first leaves to be kept
            await cascade.run("where is it?", temperature=0)
        end()
        text = metrics.text()
        await cascade.aclose()
        return text

    text = asyncio.run(main())
    assert summed(text, "answers_total", layer="cache") == 2
    assert said(text, "cache_level_hits_total", level="memory") == 1
    assert said(text, "compared_usd_total") == pytest.approx(0.002)
    assert said(text, "baseline_usd_total") == pytest.approx(0.06)


def test_retries_are_calls_in_whose_place_another_was_made() -> None:
    """Two failures and then a reply are three calls, two of them over what was needed."""
    pool = Pool(
        ScriptedBackend(Fault("server"), Fault("server"), reply("small"), name="eu", price=Price(1.0, 10.0)),
        retry=Retry(3, base=0.001),
    )
    cascade = Cascade(Tier(pool, name="small"), name="shop")
    metrics = Prometheus(cascade)
    end = subscribe(metrics)
    cascade.run_sync("hi")
    end()
    text = metrics.text()
    assert said(text, "calls_total", tier="small") == 3
    assert said(text, "calls_again_total", tier="small") == 2


def test_a_price_that_is_not_known_is_told_of_its_tier() -> None:
    """Neither cost nor baseline has such an answer, so that savings compare like with like."""
    metrics = Prometheus()
    metrics(decision(answer_of("small", "large", cost=False)))
    text = metrics.text()
    assert said(text, "cost_unknown_total") == 1
    assert said(text, "unpriced_total", tier="small") == said(text, "unpriced_total", tier="large") == 1
    assert said(text, "compared_total") is None


def test_degraded_and_regenerated_answers_are_counted_apart() -> None:
    """By the reason, and by the tier and model that answered when it was asked again."""
    metrics = Prometheus()
    metrics(decision(answer_of("small", degraded="deadline")))
    again = answer_of("large")
    object.__setattr__(again, "request", Request.of("what?", regenerate=True))
    metrics(decision(again))
    text = metrics.text()
    assert said(text, "degraded_total", reason="deadline") == 1
    assert said(text, "regenerations_total", tier="large") == 1


def test_grades_that_were_drawn_count_by_what_they_stand_for() -> None:
    """A mean of them is that of all answers; what nobody drew is counted apart, and nonsense not at all."""
    metrics = Prometheus(promises=Promises(quality={"small": 0.9}))
    metrics(grade("1", "small", 1.0, propensity=0.5, slice="parcel", cascade="shop"))
    metrics(grade("2", "small", 0.0, propensity=0.1, slice="parcel", cascade="shop"))
    metrics(grade("3", "small", 0.0, propensity=None, source="thumb", cascade="shop"))
    for score, propensity in ((2.0, 0.5), (float("nan"), 0.5), (1.0, 0.0), (1.0, -1.0)):
        metrics(grade("4", "small", score, propensity=propensity))
    text = metrics.text()
    of = {"tier": "small", "slice": "parcel", "cascade": "shop"}
    assert said(text, "graded_total", **of) == 2
    assert said(text, "graded_weight_total", **of) == 12
    assert said(text, "graded_weight_squares_total", **of) == 104
    assert said(text, "graded_score_total", **of) == 2
    assert said(text, "feedback_total", tier="small", source="thumb") == 1
    assert said(text, "promised_quality", tier="small") == 0.9
    assert said(text, "promised_escalation") == 0.4


def test_a_route_is_told_with_its_pool_and_its_instance() -> None:
    """Where a tier and a way stand of a cascade; a refusal has neither; of kept bytes it is who had made them."""
    cases = [
        (Decision("match", "app", 0.0, 0.1, status=200, path="/app", detail="one"), ("/app", "200", "app", "one")),
        (Decision("match", "404", 0.0, 0.1, status=404, path="other"), ("other", "404", "", "")),
        (refusal(), ("/v1/chat/completions", "429", "", "")),
        (Decision("cache", "bytes", 0.0, 0.1, status=200, path="/p", detail="small"), ("/p", "200", "small", "cache")),
        (Decision("cache", "app", 0.0, 0.1, status=200, path="/q"), ("/q", "200", "app", "cache")),
    ]
    metrics = Prometheus()
    for event, _ in cases:
        metrics(event)
    text = metrics.text()
    for _, (path, status, by, via) in cases:
        assert said(text, "requests_total", path=path, status=status, tier=by, via=via) == 1


EVENTS = st.builds(
    lambda tiers, path, status, task, seconds: decision(
        answer_of(*tiers, task=task), path=path, status=status, seconds=seconds
    ),
    st.lists(st.sampled_from(["small", "large"]), min_size=1, max_size=2, unique=True),
    st.sampled_from(["/a", "/b"]),
    st.sampled_from([200, 499]),
    st.sampled_from(["", "x", "y"]),
    st.none() | st.floats(0, 200),
) | st.builds(
    lambda status, path: refusal(status=status, path=path), st.sampled_from([401, 429]), st.sampled_from("ab")
)


@given(st.lists(EVENTS, max_size=30))
def test_whatever_comes_the_sums_are_those_of_plain_counters(events: list[Decision]) -> None:
    """Requests, answers, tries and the times, beside a naive count of the same."""
    metrics, wanted, times = Prometheus(), Counter[tuple[str, ...]](), [0, 0.0]
    for event in events:
        metrics(event)
        answer = event.answer
        via = ("", "") if answer is None else (answer.tier, answer.via)
        wanted["requests_total", event.path, str(event.status), *via] += 1
        kind = answer.request.task if answer is not None else ""
        wanted["answers_total", event.cascade, event.layer, event.by, kind] += 1
        for each in answer.attempts if answer is not None else ():
            wanted["tries_total", event.cascade, each.tier, kind, each.verdict] += 1
        if event.seconds is not None:
            times = [times[0] + 1, times[1] + event.seconds]
    text = metrics.text()
    names = ("requests_total", "answers_total", "tries_total")
    got = {
        (sample.name.removeprefix("fastcascade_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.removeprefix("fastcascade_") in names
    }
    assert got == wanted
    assert summed(text, "layer_seconds_count") == summed(text, "request_seconds_count") == times[0]
    assert summed(text, "layer_seconds_sum") == pytest.approx(times[1], rel=1e-9)


def test_a_histogram_counts_up_to_its_bounds() -> None:
    """A time that is a bound lies in its bucket, the next above it not; the last has all."""
    metrics = Prometheus()
    for seconds in (0.01, 0.0100001, 500.0):
        metrics(Decision("match", "app", 0.0, seconds, status=200, path="/a"))
    text = metrics.text()
    for bound, n in (("0.005", 0), ("0.01", 1), ("0.025", 2), ("120.0", 2), ("+Inf", 3)):
        assert said(text, "layer_seconds_bucket", layer="match", le=bound) == n


def test_a_million_clients_slices_and_paths_take_no_more_room_than_a_few() -> None:
    """Names that vary become "other": series and bytes stay as they are, and nothing is lost from the sums."""
    metrics, answer = Prometheus(), answer_of("small")
    request = SimpleNamespace(route="", task="", regenerate=False)
    object.__setattr__(answer, "request", request)
    sizes = []
    for number in range(1_000_000):
        request.task = f"slice {number}"
        who = f"client {number}"
        metrics(Decision("dispatch", "small", 0.0, 0.1, f"id {number}", 200, f"/{number}", who, "shop", answer))
        if number in (2_000, 999_999):
            metrics(refusal(path=f"/refused/{number}"))
            sizes.append((len(metrics.packed("0")), metrics.text().count("\n")))
    (early, lines), (late, more) = sizes
    assert more <= lines + 2 and late < early + 4_000
    assert Board(1).write(0, metrics.packed("0"))
    text = metrics.text()
    slices = set(re.findall(r'slice="([^"]*)"', text))
    assert len(slices) <= 52 and "other" in slices
    assert "client" not in text
    assert summed(text, "requests_total") == 1_000_002
    assert summed(text, "tries_total") == 1_000_000


def test_rows_that_are_too_many_become_one() -> None:
    """Names that are each within bounds may still be too many together; what is beyond is one row, and counted."""
    metrics = Metrics()
    for number in range(10_000):
        task, path, tier = f"s{number % 50}", f"/{number % 400}", f"t{number % 97}"
        metrics(decision(answer_of("small", task=task), path=path, cascade=tier, status=200 + number % 300))
    packed = metrics.packed("0")
    assert Board(1).write(0, packed)
    assert summed(told_as_text(packed), "requests_total") == 10_000


def told_as_text(packed: bytes) -> str:
    """The whole text of one worker."""
    return exposition([told(packed)])


def test_cascades_of_one_name_are_refused() -> None:
    """Their breakers would be one series."""
    with pytest.raises(ConfigError, match="two cascades are called 'shop'"):
        Prometheus([shop(), shop()])


def test_slices_that_lanes_name_have_a_place_whatever_clients_make_up() -> None:
    """Fifty others may come first."""
    small = tier("small", price=Price(1.0, 1.0))
    lanes = Lanes((Lane(start="small", task="parcel"), Lane(start="small", route=("a", "b"))), large_tasks=["law"])
    metrics = Prometheus([Cascade(small, lanes=lanes, name="shop")], slices=["own"])
    for number in range(200):
        metrics(decision(answer_of("small", task=f"made up {number}")))
    for kind in ("parcel", "a", "b", "law", "own"):
        metrics(decision(answer_of("small", task=kind)))
        assert said(metrics.text(), "answers_total", slice=kind, by="small") == 1


@pytest.mark.parametrize("name", [HOSTILE, "half \ud800", "x" * 100_000, "\x00", "é"])
def test_a_hostile_slice_breaks_nothing(name: str) -> None:
    """The text can be sent and read again, and no line of it is a client's."""
    metrics = Prometheus()
    answer = answer_of("small")
    object.__setattr__(answer, "request", SimpleNamespace(route="", task=name, regenerate=False, id=""))
    metrics(decision(answer))
    text = metrics.text()
    assert len(text.encode()) < 20_000
    assert summed(text, "answers_total") == 1
    labels = [each.labels for family in text_string_to_metric_families(text) for each in family.samples]
    kept = "other" if len(name) > 99 or "\ud800" in name else name
    assert {each["slice"] for each in labels if "slice" in each} == {kept}


@given(st.lists(st.text(max_size=3) | st.integers(0, 99).map(str), max_size=300), st.integers(0, 20))
def test_names_are_themselves_or_other_and_stay_so(names: list[str], most: int) -> None:
    """The first so many keep their names for ever, whatever comes between; no more than these are remembered."""
    bounded, given = Names(most, ("given",)), dict[str, str]()
    for name in names:
        assert given.setdefault(name, bounded[name]) in (name, "other")
        assert bounded[name] == given[name] and bounded["given"] == "given"
    fresh = {name for name in given.values() if name not in ("", "other", "given")}
    assert len(fresh) <= most and len(bounded) <= most + 3
    if len(set(names)) <= most:
        assert all(name == told for name, told in given.items())


def test_threads_lose_no_count() -> None:
    """Eight of them at once come to the sum of all, while another reads."""
    metrics, event = Prometheus(), decision(answer_of("small", "large"))

    def many() -> None:
        for _ in range(5_000):
            metrics(event)

    threads = [threading.Thread(target=many) for _ in range(8)]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        metrics.text()
    for each in threads:
        each.join()
    assert said(metrics.text(), "tries_total", tier="small", verdict="escalate") == 40_000


def test_workers_are_told_apart() -> None:
    """Each has its own series, in families with one head."""
    texts = []
    for worker in ("0", "1"):
        metrics = Metrics()
        metrics(decision(answer_of("small")))
        texts.append(told(metrics.packed(worker, {"fastcascade_in_flight": 3})))
    text = exposition(texts)
    for worker in ("0", "1"):
        assert said(text, "tries_total", tier="small", worker=worker) == 1
        assert said(text, "in_flight", worker=worker) == 3


def test_breakers_and_regions_are_looked_at() -> None:
    """A breaker's state, and which instances could be asked, by the order in which they are."""
    eu, us = (ScriptedBackend(reply(name), name=name, price=Price(1.0, 1.0)) for name in ("eu", "us"))
    pool = Pool(
        Instance(eu, name="eu", region="europe"),
        Instance(us, name="us", region="america", priority=5),
        breaker=Breaker(),
    )
    metrics = Prometheus({"main": Cascade(Tier(pool, name="small"))})
    circuit = pool.instances[0].circuit
    assert circuit is not None
    here = {"cascade": "main", "tier": "small", "instance": "eu", "region": "europe", "group": "0"}
    assert said(metrics.text(), "breaker_open", **here) == 0
    circuit.force("open", 0.0)
    text = metrics.text()
    assert said(text, "breaker_open", **here) == 1
    assert said(text, "instance_usable", **here) == 0
    assert said(text, "instance_usable", instance="us", group="1") == 1
    circuit.force(None, 0.0)
    assert said(metrics.text(), "breaker_open", **here) == 0.5


def test_reviews_are_counted_every_five_seconds(tmp_path: Path) -> None:
    """By state, with the age of the oldest and what is overdue; a store that is away is told of, and nothing raised."""

    async def main() -> None:
        clock, now = [0.0], [1_000.0]
        desk = ReviewDesk(SQLiteReviews(tmp_path / "reviews.db"), sla=60.0, clock=lambda: now[0])
        cascade = Cascade(tier("small", price=Price(1.0, 1.0)), fallbacks=[Review(desk)], name="shop")
        metrics = Prometheus(cascade)
        metrics.seen = Seen(metrics.cascades, clock=lambda: clock[0], now=lambda: now[0])
        await desk.submit(Request.of("one"), "failed")
        assert said(metrics.text(), "reviews", state="waiting") is None
        await metrics.refresh()
        now[0] += 30
        await desk.submit(Request.of("two"), "failed")
        await metrics.refresh()
        assert said(metrics.text(), "reviews", state="waiting") == 1
        clock[0] += 5.0
        await metrics.refresh()
        text = metrics.text()
        assert said(text, "reviews", state="waiting", cascade="shop") == 2
        assert said(text, "review_oldest_seconds") == 30
        assert said(text, "review_sla_seconds") == 60
        assert said(text, "reviews_overdue") == 0
        now[0], clock[0] = now[0] + 31, clock[0] + 5.0
        await metrics.refresh()
        assert said(metrics.text(), "reviews_overdue") == 1
        await desk.aclose()
        (tmp_path / "reviews.db").unlink()
        (tmp_path / "reviews.db").mkdir()
        clock[0] += 5.0
        await metrics.refresh()
        text = metrics.text()
        assert said(text, "review_store_up") == 0
        assert said(text, "reviews", state="waiting") is None

    asyncio.run(main())


def test_notices_are_counted_for_as_long_as_somebody_holds_it() -> None:
    """All kinds are there from the start, at zero; and being told does not keep it alive."""
    metrics = Prometheus()
    assert said(metrics.text(), "notices_total", kind="quality") == 0
    notify("quality", "accepted answers", "below")
    assert said(metrics.text(), "notices_total", kind="quality") == 1
    gone = ref(metrics)
    del metrics
    gc.collect()
    assert gone() is None
    notify("returned", "accepted answers", "well")


def test_a_notice_may_be_made_while_an_event_is_counted() -> None:
    """As by a price of a user's own: it is counted too, and nothing waits for itself."""

    class Backend(ScriptedBackend):
        """Says that its price is old."""

        @property
        def price(self) -> Price:
            notify("at risk", "a price", "it is a year old")
            return Price(1.0, 1.0)

        @price.setter
        def price(self, price: Any) -> None:
            """Whatever it is told."""

    ladder = Cascade(tier("small", price=Price(1.0, 1.0)), Tier(Backend("yes", name="large"), name="large"))
    metrics = Prometheus()
    metrics(decision(answer_of("small"), ladder=ladder))
    notices = said(metrics.text(), "notices_total", kind="at risk")
    assert notices is not None and notices >= 1


def test_what_alerts_go_by_is_there_before_anything_happened() -> None:
    """A counter that begins above zero has not increased: tiers have theirs at zero."""
    text = Prometheus(shop()).text()
    for each in ("small", "large"):
        assert said(text, "unpriced_total", cascade="shop", tier=each) == 0
        assert said(text, "calls_total", cascade="shop", tier=each) == 0


def test_budgets_of_keys_are_told_of_a_hundred_at_most() -> None:
    """By key, period and kind."""
    metrics = Metrics()
    keys = [("key 7", "day", "hard", 1.5, 10.0)]  # of one name with another
    keys += [(f"key {n}", period, "hard", 1.5, 10.0) for n in range(500) for period in ("day", "month")]
    metrics.spending = lambda: keys
    text = told_as_text(metrics.packed("0"))
    assert said(text, "key_spent_usd", key="key 7", period="day", kind="hard") == 1.5
    assert summed(text, "key_budget_usd") == 2_000


def test_what_was_dropped_is_told() -> None:
    """By what it was for."""
    metrics = Metrics()
    metrics.dropped["decisions"] = lambda: 7
    assert said(told_as_text(metrics.packed("0")), "dropped_total", what="decisions") == 7


def test_prometheus_client_can_serve_it() -> None:
    """Its registry takes the collector, finds names that are taken, and tells the same samples."""
    metrics = Prometheus(shop(), promises=Promises(quality={"small": 0.9}))
    metrics(decision(answer_of("small", "large", task="parcel")))
    registry = prometheus_client.CollectorRegistry()
    registry.register(metrics.collector())
    theirs = prometheus_client.generate_latest(registry).decode()
    assert flat(theirs) == flat(metrics.text())
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(metrics.collector())


def flat(text: str) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
    """All samples of a text."""
    return {
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_without_prometheus_client_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And everything else works without it."""
    for name in [name for name in sys.modules if name.startswith("prometheus_client")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "fastcascade.telemetry.prometheus_client", raising=False)
    with pytest.raises(ConfigError, match="prometheus_client is not installed: pip install prometheus-client"):
        Prometheus().collector()
    assert "build_info" in Prometheus().text()


def full() -> str:
    """A text with every family in it that a gateway can have, from two workers."""
    instance = SimpleNamespace(name="one", alive=True, circuit=SimpleNamespace(state="open"))
    texts = []
    for worker in ("0", "1"):
        metrics = Metrics(promises=Promises(quality={"small": 0.9}))
        metrics.routes = SimpleNamespace(pools={"app": SimpleNamespace(instances=[instance])})  # type: ignore[assignment]
        metrics.observed = SimpleNamespace(counts={"same": 2}, spent=0.5, saved=1.5)
        metrics.spending = lambda: [("team", "day", "hard", 1.0, 2.0)]
        metrics.dropped["decisions"] = lambda: 0
        for event in events():
            metrics(event)
        texts.append(told(metrics.packed(worker, {"fastcascade_in_flight": 1, "fastcascade_draining": 0})))
    return exposition(texts)


def events() -> Iterable[Any]:
    """One of each kind."""
    yield decision(answer_of("small", "large", task=HOSTILE, degraded="deadline"))
    yield decision(answer_of("small", cost=False))
    yield refusal()
    yield grade("1", "small", 1.0, cascade="support")
    yield grade("2", "small", 0.0, propensity=None, source="thumb")
    failed = answer_of("small")
    object.__setattr__(failed, "attempts", (attempt("small", "failed", 0.001),))
    yield decision(failed)


def test_the_text_is_what_the_format_allows() -> None:
    """Each family has one head and its own samples, and is one that KINDS has."""
    text = full()
    heads = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(heads) == len(set(heads)) and set(heads) <= set(KINDS)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name, (kind, _) in KINDS.items():
        if name in heads:
            assert families[name.removesuffix("_total") if kind == "counter" else name].type == kind
    assert all(name.endswith("_total") == (kind == "counter") for name, (kind, _) in KINDS.items())


def served() -> str:
    """What a gateway tells that has answered, refused and found in its cache."""

    async def main() -> str:
        async with serving(shop(), cache=Kept()) as there:
            client = there.client()
            for path in ("/v1/chat/completions", "/v1/chat/completions", "/made/up"):
                await client.post(path, chat("hi", temperature=0))
            return (await client.get("/metrics")).body.decode()

    return asyncio.run(main())


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: it is part of Prometheus")
@pytest.mark.parametrize("made", [full, served])
def test_promtool_finds_nothing_wrong_with_the_text(made: Callable[[], str]) -> None:
    """Neither faults nor names that are against the customs."""
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=made(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
