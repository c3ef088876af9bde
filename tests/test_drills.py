"""Drills: each scenario on several cascades, promises that are broken and said to be, and nothing left changed."""

import asyncio
import logging
import re
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import fields, is_dataclass
from math import inf
from types import FunctionType, MethodType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Budget, Cascade, ConfigError, Lane, Lanes, Quota, Reply, Request, RequestError, Tier, notices
from fastcascade.backends.rules import Rules
from fastcascade.drills import SCENARIOS, Drill, Report, Scenario, scenario_of
from fastcascade.drills import invariants as laws
from fastcascade.drills.example import example
from fastcascade.drills.load import Told
from fastcascade.drills.places import Kept
from fastcascade.drills.report import Shift, gap_of, percentile, shifts_of
from fastcascade.entry import Health, Instance, Pool, RoundRobin
from fastcascade.errors import BackendError
from fastcascade.fallbacks import Region, Retry, RetryShare, Review, Stale, Static
from fastcascade.gates import UserCheck
from fastcascade.messages import Delta
from fastcascade.notices import log, subscribe
from fastcascade.prices import Price
from fastcascade.reviews import ReviewDesk
from fastcascade.testing import Error, Refused, ScriptedBackend, run_virtual
from memory_reviews import MemoryReviews

QUICK: dict[str, Any] = {"before": 20.0, "lasting": 40.0, "rate": 4.0}


class Model:
    """A model behind an API, as far as a cascade can tell."""

    gives: frozenset[str] = frozenset()
    remote = True
    base_url: str
    price = Price(1.0, 5.0)

    def __init__(
        self, name: str = "model", dies_at: float = inf, says: Callable[[Request], object] | None = None
    ) -> None:
        self.name = name
        self.dies_at = dies_at
        self.says = says
        self.asked = 0

    async def complete(self, request: Request, /) -> Reply:
        self.asked += 1
        if self.says is not None:
            self.says(request)
        await asyncio.sleep(0.2)
        if asyncio.get_running_loop().time() >= self.dies_at:
            raise BackendError("connection", "gone for good")
        return Reply("All is well.", model=self.name)

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply]:
        reply = await self.complete(request)
        yield Delta("text", "All is ", 0)
        yield Delta("text", "well.", 0)
        yield reply

    async def probe(self) -> None:
        if asyncio.get_running_loop().time() >= self.dies_at:
            raise BackendError("connection", "gone for good")


def two() -> Cascade:
    """A primary, and a secondary that is found within two seconds."""
    places = [Instance(Model(), region="eu"), Instance(Model(), region="us", priority=1)]
    return Cascade(Tier(Pool(*places, health=Health(within=2.0)), name="fast"))


def one() -> Cascade:
    """A single backend, with what was good before and a text behind it."""
    tier = Tier(Model("only"), timeout=5.0)
    return Cascade(tier, fallbacks=[Stale(refresh=2.0), Static("Please call us.")])


def reviewed() -> Cascade:
    """Three equal instances, then another model, then people."""
    pool = Pool(*(Instance(Model(), name=name) for name in ("a", "b", "c")), balance=RoundRobin(), timeout=4.0)
    tiers = [Tier(pool, name="small"), Tier(Model("large"), timeout=4.0)]
    return Cascade(*tiers, fallbacks=[Review(ReviewDesk(MemoryReviews()))])


CASCADES = {"two": two, "one": one, "reviewed": reviewed}
ELSEWHERE = {
    ("two", "all regions off"): {"static"},
    ("two", "primary slow"): {"fast/us"},
    ("one", "primary slow"): {"stale", "static"},
    ("one", "streams cut"): {"only"},
    ("reviewed", "all regions off"): {"review"},
    ("reviewed", "store off"): {"static"},
    ("reviewed", "streams cut"): {"small/a", "small/b", "small/c"},
}
"""Who has to answer in a fault's time, where it is not as in the general case below."""
GENERAL = {"two": {"fast/us"}, "one": {"stale", "static"}, "reviewed": {"small/b", "small/c"}}
CASES = [
    (name, scenario) for name in CASCADES for scenario in SCENARIOS if scenario != "store off" or name == "reviewed"
]


def during(report: Report) -> set[str]:
    """Who answered while the fault lasted."""
    return {label for label, counts in report.served.items() if counts[1]}


@pytest.mark.parametrize(("name", "scenario"), CASES)
def test_scenarios_hold(name: str, scenario: str) -> None:
    """Whatever the scenario, nobody is lost, every promise holds, and who should answers meanwhile and afterwards."""
    report = Drill(CASCADES[name](), scenario, **QUICK).run()
    assert report.broken == () and report.lost == 0
    assert report.requests == sum(sum(counts) for counts in report.served.values())
    assert ELSEWHERE.get((name, scenario), GENERAL[name]) <= during(report)
    before, after = ({label for label, counts in report.served.items() if counts[at]} for at in (0, 2))
    assert before <= after and not {"stale", "static", "review"} & before
    assert report.early == 0 and report.comeback.all is not None


def test_report_tells_what_happened() -> None:
    """A dead primary's report says who was struck, how long both ways took, what it cost in calls, what was heard."""
    report = Drill(two(), "primary off", **QUICK).run()
    assert report.struck == ("fast/eu",)
    assert report.served["fast/eu"][1] == 0 and report.served["fast/us"][0] == 0
    assert [phase.requests for phase in report.phases[:2]] == [80, 160]
    assert report.failover.first == report.failover.all == pytest.approx(0.2)
    assert report.failover_due == pytest.approx(2.0)
    assert report.comeback.first is not None and report.comeback_due is not None
    assert 0 < report.comeback.first < report.comeback_due
    calls = {each.label: each for each in report.calls}
    assert calls["fast/us"].during == calls["fast/us"].asked == calls["fast/eu"].asked == 160
    assert report.amplification == 1.0 and report.probes > 0
    assert report.notices["died"] == 1 and report.notices["failed over"] >= 1 <= report.notices["returned"]
    assert report.gap is not None and 0.2 < report.gap < 1.0


def test_document_and_text_agree() -> None:
    """The document can be written as JSON and says what the text says, in plain ASCII that fits a terminal."""
    report = Drill(example(), "all regions off", stand_in=True, **QUICK).run()
    found = report.document()
    assert found["ok"] and found["requests"] == report.requests and found["schema"] == 1
    text = str(report)
    assert text.isascii() and max(map(len, text.splitlines())) <= 120
    for label, counts in found["served"].items():
        line = next(line for line in text.splitlines() if line.startswith(f"{label} "))
        assert line.split()[1:] == [str(count or "-") for count in counts]
    assert "held: every promise" in text and f"{report.requests} requests" in text


# What is broken is said.


def naive() -> Cascade:
    """Asks five times more, whatever it costs."""
    retry = Retry(times=5, base=0.1, cap=0.1, budget=None)
    return Cascade(Tier(Pool(Model("only"), retry=retry, breaker=None), name="only"))


def hopeful() -> Cascade:
    """Does not heed what a provider says."""
    local = Model("plain")
    local.remote = False
    return Cascade(Tier(local))


def lonely() -> Cascade:
    """Has nothing behind its tier."""
    return Cascade(Tier(Model("only")), last_resort=None)


def unseen() -> Cascade:
    """Has active checks that take longer than is promised."""
    places = [Instance(Model(), region="eu"), Instance(Model(), region="us", priority=1)]
    return Cascade(Tier(Pool(*places, health=Health(within=20.0)), name="fast"))


def dying() -> Cascade:
    """Does not get well again."""
    places = [Instance(Model(dies_at=30.0), region="eu"), Instance(Model(), region="us", priority=1)]
    return Cascade(Tier(Pool(*places), name="fast"))


def talkative() -> Cascade:
    """Writes down what it is asked."""
    return Cascade(Tier(Model("only", says=lambda request: log.warning("asked %s", request.text))))


BROKEN: list[tuple[Callable[[], Cascade], str, dict[str, Any], str]] = [
    (lonely, "all regions off", {}, r"\d+ of \d+ requests were lost \(NoAnswer"),
    (lonely, "primary off", {}, r"requests were lost"),
    (
        naive,
        "primary off",
        {},
        r"only had \d+ calls in the fault's 40 s, [56]\.\d\d for each time it was asked; 1\.1 and",
    ),
    (hopeful, "429 storm", {}, r"plain was called \d+ times before the time it had named \(Retry-After\)"),
    (
        unseen,
        "primary hangs",
        {"within": 2.0},
        r"the first answer from elsewhere came after \d\d\.\d s; 2 s are promised",
    ),
    (two, "primary slow", {"within": 0.5}, r"the first answer from elsewhere came after"),
    (dying, "primary off", {}, r"after all was well, answers still do not come from where they came before"),
    (dying, "primary off", {}, r"fast/eu is still not well"),
    (talkative, "primary off", {}, r"\d+ prompts are in the log or in a notice"),
]


@pytest.mark.parametrize(("make", "scenario", "settings", "said"), BROKEN)
def test_broken_promises_are_said(
    make: Callable[[], Cascade], scenario: str, settings: dict[str, Any], said: str
) -> None:
    """A cascade that loses, repeats, presses, takes too long, stays ill or talks is found out, in a sentence."""
    report = Drill(make(), scenario, **{**QUICK, **settings}).run()
    found = "\n".join(report.broken)
    assert not report.ok
    assert re.search(said, found), found
    assert all(f"BROKEN: {each}" in str(report) for each in report.broken)


def test_a_lost_review_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket whose review the store does not have is a broken promise."""

    async def forget(self: Kept, review: Any, /) -> Any:
        return review

    monkeypatch.setattr(Kept, "add", forget)
    report = Drill(reviewed(), "all regions off", **QUICK).run()
    assert any("hold tickets of reviews that were not kept" in each for each in report.broken)


def test_a_huge_budget_is_no_excuse() -> None:
    """What is held against an outage is the default budget, whatever the cascade's own allows."""
    retry = Retry(times=5, base=0.1, cap=0.1, budget=RetryShare(share=1.0, reserve=1_000.0))
    cascade = Cascade(Tier(Pool(Model("only"), retry=retry, breaker=None), name="only"))
    assert any("for each time it was asked" in each for each in Drill(cascade, "primary off", **QUICK).run().broken)
    assert Drill(cascade, "primary off", amplification=7.0, **QUICK).run().ok


def test_deadlines_and_quiet() -> None:
    """A request is late by more than a quantum beyond its deadline, or not at all; what is in time is not spoken of."""
    late = [Told(0.0, 5.0, 5.0), Told(0.0, 5.0, 7.5), Told(0.0, 5.0, 6.0), Told(1.0)]
    assert list(laws.late(late[:1], virtual=True)) == []
    assert list(laws.late([late[2]], virtual=False)) == []
    assert "7.500 s and not 5 s" in next(laws.late(late[:3], virtual=True))
    assert list(laws.failed_over(Shift(2.1, 2.1), 2.0, 0.2)) == list(laws.not_back(Shift(1.0, 3.0), 3.0)) == []
    assert len(list(laws.failed_over(Shift(None, None), 2.0, 0.2))) == 2
    assert len(list(laws.not_back(Shift(1.0, None), 3.0))) == len(list(laws.not_back(Shift(1.0, 3.1), 3.0))) == 1


# What it is run on.


def test_stand_ins_ask_nobody() -> None:
    """With stand-ins no backend is asked and no gate is, though both cost on paper; without, they are."""
    asked: list[Model] = [Model("small"), Model("large")]
    judged: list[Reply] = []

    def judge(_request: Request, reply: Reply) -> bool:
        judged.append(reply)
        return True

    gate = UserCheck(judge)
    cascade = Cascade(Tier(asked[0], gate=gate), Tier(asked[1]), fallbacks=[Region(Tier(Model("behind")))],
                      budget=Budget(usd=1.0))  # fmt: skip
    report = Drill(cascade, "all regions off", stand_in=True, **QUICK).run()
    assert report.ok and not judged and [each.asked for each in asked] == [0, 0]
    assert "gates are left out" in " ".join(report.notes)
    assert Drill(cascade, "primary off", **QUICK).run().ok and judged and all(each.asked for each in asked)


def test_rules_cannot_be_off() -> None:
    """What needs no network goes on when everybody is off, and alone cannot be drilled."""
    rules = Rules({"opening hours": "From nine to five."})
    report = Drill(Cascade(Tier(rules), Tier(Model("large"))), "all regions off", **QUICK).run()
    assert report.struck == ("large",) and report.served["rules"][1] == report.phases[1].requests
    with pytest.raises(ConfigError, match="all of its tiers are local"):
        Drill(Cascade(Tier(rules)), "all regions off")


def test_regions_fail_together() -> None:
    """With the primary go those of its region in other tiers; a named tier is entered, and its own primary struck."""

    def pool() -> Pool:
        return Pool(Instance(Model(), region="eu"), Instance(Model(), region="us", priority=1))

    cascade = Cascade(Tier(pool(), name="small"), Tier(pool(), name="large"))
    assert Drill(cascade, "primary off").run().struck == ("small/eu", "large/eu")
    report = Drill(cascade, "primary off", tier="large", **QUICK).run()
    assert report.served["large/us"][1] == report.phases[1].requests


def test_quotas_go_by_the_drills_clock() -> None:
    """A tier's quota is counted in the drill's time, and the cascade's own is not touched."""
    tier = Tier(Model("small"), quota=Quota(60, per="minute", burst=1))
    cascade = Cascade(tier, Tier(Model("large")))
    report = Drill(cascade, "primary off", before=20.0, lasting=5.0, rate=0.9).run()
    assert report.served["small"][0] == report.phases[0].requests
    assert tier.admit(Request.of("?")) == (0.0, 0.0)


def test_a_scenario_of_ones_own() -> None:
    """Any faults can be a scenario, on whom one likes; requests can be one's own."""
    mine = Scenario("mine", "half of them fail", "primary", ((Error("server"), 0.5),))
    report = Drill(two(), mine, requests=["How late is it?", Request.of("And now?", session="s")], **QUICK).run()
    assert report.ok and report.scenario == "mine" and report.served["fast/us"][1] > 0


def test_at_most_so_many_requests() -> None:
    """A bound on requests holds: the rate is lowered to fit."""
    drill = Drill(two(), "primary off", most=50, **QUICK)
    report = drill.run()
    assert report.requests <= 50 and report.rate < QUICK["rate"]
    assert drill.run().served["fast/us"][1] == report.served["fast/us"][1]  # run again, it begins anew
    assert any("says little" in note for note in report.notes)


def test_within_a_running_loop() -> None:
    """A drill can be run from within an event loop, and errors come out of it as they are."""

    async def within(drill: Drill) -> Report:
        return drill.run()

    assert asyncio.run(within(Drill(two(), "primary off", **QUICK))).ok
    with pytest.raises(RequestError):
        asyncio.run(within(Drill(two(), "primary off", requests=[[]], **QUICK)))


def test_in_real_time() -> None:
    """With a real clock it takes as long as it takes, and finds the same."""
    settings: dict[str, Any] = {"before": 0.3, "lasting": 0.3, "after": 0.3, "rate": 30.0}
    report = Drill(two(), "primary off", virtual=False, stand_in=True, latency=0.01, **settings).run()
    assert report.ok and report.served["fast/us"][1] == report.phases[1].requests > 0


# Nothing is left changed.


def state(thing: Any, seen: dict[int, Any] | None = None) -> Any:
    """All there is to see of an object of ours, and of what it holds."""
    seen = {} if seen is None else seen
    if id(thing) in seen or isinstance(thing, FunctionType | MethodType | type) or thing is None:
        return id(thing)
    seen[id(thing)] = thing
    if isinstance(thing, dict):
        return {key if isinstance(key, str) else id(key): state(value, seen) for key, value in thing.items()}
    if isinstance(thing, list | tuple | set | frozenset):
        return [state(each, seen) for each in thing]
    if not type(thing).__module__.startswith(("fastcascade", "test_", "memory_")):
        return thing if isinstance(thing, str | int | float) else id(thing)
    names = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    names += [each.name for each in fields(thing)] if is_dataclass(thing) else []
    held = {name: getattr(thing, name) for name in names if hasattr(thing, name)}
    return id(thing), {name: state(value, seen) for name, value in (held | getattr(thing, "__dict__", {})).items()}


def ears() -> tuple[int, list[logging.Handler]]:
    """Who listens to notices and to the log."""
    return len(notices._subscribers), list(log.handlers)  # noqa: SLF001 - nothing else says so


@pytest.mark.parametrize("scenario", ["primary off", "429 storm", "store off"])
def test_nothing_is_left_changed(scenario: str) -> None:
    """Of the cascade that was drilled, its pools, balancers, breakers, shelves and queues, all is as it was before."""
    cascade = reviewed()
    before, listening = state(cascade), ears()
    Drill(cascade, scenario, stand_in=True, **QUICK).run()
    assert state(cascade) == before
    assert ears() == listening
    run_virtual(cascade.run("?"))
    assert state(cascade) != before  # as it would be, had it been asked


def test_nothing_is_left_changed_by_an_interrupt() -> None:
    """The same where the drill is interrupted halfway."""
    cascade = two()
    count = iter(range(1_000))

    def strike(_request: Request) -> None:
        if next(count) == 100:
            signal.raise_signal(signal.SIGINT)

    for each in cascade.tiers[0].backend.instances:  # type: ignore[attr-defined]
        each.backend.says = strike
    before, listening = state(cascade.tiers[0].backend.instances[0].circuit), ears()  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        Drill(cascade, "primary off", **QUICK).run()
    assert state(cascade.tiers[0].backend.instances[0].circuit) == before  # type: ignore[attr-defined]
    assert ears() == listening


def test_notices_frame_a_drill() -> None:
    """Whoever listens for notices hears a drill begin and end, also one that fails."""
    heard: list[str] = []
    end = subscribe(lambda notice: heard.append(notice.kind))
    try:
        Drill(two(), "primary off", **QUICK).run()
    finally:
        end()
    assert heard[0] == heard[-1] == "drill" and set(heard[1:-1]) >= {"died", "failed over", "returned"}


# Names and settings.


@pytest.mark.parametrize("name", ["primary off", "primary-off", "Primary_Off", " 429  storm"])
def test_names_are_read_kindly(name: str) -> None:
    """A scenario is found by its name however its words are joined."""
    assert scenario_of(name).name in SCENARIOS


@pytest.mark.parametrize(
    ("name", "near"), [("primry off", "did you mean 'primary off'"), ("xyz", "there are: primary")]
)
def test_unknown_names(name: str, near: str) -> None:
    """A name that is none is refused with the nearest, if there is one, and all there are."""
    with pytest.raises(ConfigError, match=near):
        scenario_of(name)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rate": 0.0}, "rate must be above zero"),
        ({"before": 0.0}, "before must be above zero"),
        ({"lasting": -1.0}, "lasting must be above zero"),
        ({"after": 0.0}, "after must be above zero"),
        ({"within": 0.0}, "within must be above zero"),
        ({"most": 0}, "most must be above zero"),
        ({"latency": -1.0}, "latency is in seconds"),
        ({"tier": "?"}, "there is no tier '?'"),
    ],
)
def test_bad_settings(settings: dict[str, Any], said: str) -> None:
    """What cannot work is refused when the drill is made."""
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        Drill(two(), "primary off", **settings)


def test_real_backends_take_real_time() -> None:
    """A backend with an address is not asked in virtual time; stood in for, it may be drilled so."""
    real = Model()
    real.base_url = "http://127.0.0.1:9"
    cascade = Cascade(Tier(Pool(Instance(real, region="eu"), Instance(Model(), region="us", priority=1)), name="fast"))
    with pytest.raises(ConfigError, match="takes real time"):
        Drill(cascade, "primary off")
    report = Drill(cascade, "primary hangs", stand_in=True, **QUICK).run()
    assert report.ok and report.notices["died"] == 1 and real.asked == 0


def test_store_off_needs_a_store() -> None:
    """A cascade that hands nothing to people cannot be drilled without its store."""
    with pytest.raises(ConfigError, match="needs a Review"):
        Drill(two(), "store off")


def test_flapping_is_on_and_off() -> None:
    """A scenario with a period strikes by turns, from the start to the end and not beyond."""
    flapping = Scenario("f", "f", "primary", ((Refused(), 1.0),), period=3.0)
    assert list(flapping.spells(10.0, 20.0)) == [(10.0, 13.0), (16.0, 19.0)]
    assert list(flapping.spells(0.0, 7.0)) == [(0.0, 3.0), (6.0, 7.0)]


# The figures.


@given(st.lists(st.floats(0.0, 1e6), min_size=1), st.floats(0.1, 100.0))
def test_percentiles(values: list[float], percent: float) -> None:
    """A percentile is the smallest value that at least so many percent do not exceed."""
    found = percentile(values, percent)
    assert found is not None
    shares = {value: 100 * sum(each <= value for each in values) / len(values) for value in values}
    assert found == min(value for value, share in shares.items() if share >= percent - 1e-9)


REQUESTS = st.lists(
    st.tuples(st.integers(0, 29), st.integers(1, 9), st.sampled_from(["home", "away", "lost", "cache"])), max_size=30
)


@given(REQUESTS)
def test_shifts(drawn: list[tuple[int, int, str]]) -> None:
    """The first answer from elsewhere, and from when on all came from there, as found by trying each moment."""
    all_told = [
        Told(float(began), ended=float(began + took), label=label, lost="x" * (label == "lost"), kept=label == "cache")
        for began, took, label in drawn
    ]
    over, _ = shifts_of(all_told, 10.0, 20.0, lambda each: each.label == "home")
    held = [each for each in all_told if 10 <= each.began < 20 and not each.kept]
    away = [each for each in held if each.label == "away"]
    assert over.first == min((each.ended - 10 for each in away), default=None)
    settled = [
        moment
        for moment in range(31)
        if any(each.began >= moment for each in held) and all(each in away for each in held if each.began >= moment)
    ]
    assert (over.all is None) == (not settled)
    if settled:
        least = min(each.ended for each in held if each.began >= settled[0]) - 10
        assert over.first is not None and over.all == max(over.first, least)


@given(REQUESTS)
def test_gaps(drawn: list[tuple[int, int, str]]) -> None:
    """The longest time without an answer is that between two that follow one another."""
    all_told = [
        Told(float(began), ended=float(began + took), lost="x" * (label == "lost")) for began, took, label in drawn
    ]
    ends = sorted(each.ended for each in all_told if not each.lost and each.ended >= 10)
    naive_gap = max((b - a for a, b in zip([10.0, *ends], ends, strict=False)), default=None)
    assert gap_of(all_told, 10.0) == naive_gap


def test_log_is_heard_and_left_alone() -> None:
    """A drill takes its ear off the log again."""
    level, handlers = log.level, list(log.handlers)
    Drill(two(), "primary off", **QUICK).run()
    assert (log.level, log.handlers) == (level, handlers)
    assert isinstance(log, logging.Logger)


def test_a_drill_that_strikes_nobody_asked_is_broken() -> None:
    """Where no request goes to whom a scenario strikes, nothing was shown, and the report says so."""
    idle, busy = (Tier(Pool(ScriptedBackend("x", name=name)), name=name) for name in ("idle", "busy"))
    cascade = Cascade(idle, busy, lanes=Lanes([Lane(start="busy")]))
    report = Drill(cascade, "primary off", stand_in=True, **QUICK).run()
    assert any("nothing was tested" in each for each in report.broken)
