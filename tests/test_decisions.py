"""The store of decisions: what is kept of a decision, and what is read of many."""

import sqlite3
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decided import FAILED, answer_of, decision, grade, refusal
from fastcascade import Cascade, Request, Tier, replay
from fastcascade.backends import Recorded
from fastcascade.errors import ConfigError, StoreError
from fastcascade.gates import UserCheck
from fastcascade.messages import Reply, Usage
from fastcascade.prices import Price
from fastcascade.telemetry.decisions import Decisions, Writer, recording_of
from fastcascade.telemetry.events import Decision, Event
from fastcascade.testing import run_virtual

if TYPE_CHECKING:
    from fastcascade.answers import Answer

Fill = Callable[..., Decisions]
NOON = 1_800_000_000.0


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Keeps events in a store, and reads it."""

    def keep(*events: Event, texts: bool = False, now: float = NOON) -> Decisions:
        writer = Writer(tmp_path / "decisions.db", texts=texts, now=lambda: now, every=0.001)
        for each in events:
            writer(each)
        assert writer.flush(30)
        writer.close()
        assert writer.dropped == 0
        return Decisions(tmp_path / "decisions.db")

    return keep


def ladder() -> Cascade:
    """Two tiers; the small one is right in the eyes of a gate that says 0.6."""
    small, large = (Reply(said, usage=Usage(100, 20)) for said in ("small said", "large said"))
    gate = UserCheck(lambda _request, _reply: 0.6)
    return Cascade(
        Tier(Recorded({"q": small}), name="small", gate=gate, accept=0.9, price=Price(1, 2)),
        Tier(Recorded({"q": large}), name="large", price=Price(10, 20)),
    )


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Every query of a file that nobody has made yet finds nothing, and makes none."""
    read = Decisions(tmp_path / "none.db")
    assert (read.page(), read.one("x"), read.after(0, 5), read.last()) == ([], None, [], 0)
    assert (read.sums(0, by="layer"), read.funnel(0), read.graded(0)) == ([], [], [])
    assert read.savings(0).n == 0
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_its_owners_alone(fill: Fill) -> None:
    """Nobody else may read what was decided."""
    assert stat.S_IMODE(fill(decision()).path.stat().st_mode) == 0o600


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    """Neither read nor written: a StoreError names it."""
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    with pytest.raises(StoreError, match="another program"):
        Decisions(path).page()


def test_a_damaged_file_is_told_of(tmp_path: Path) -> None:
    """What is no database is a StoreError that says what to do."""
    path = tmp_path / "damaged.db"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(StoreError, match="no SQLite database"):
        Decisions(path).page()


def test_what_is_kept_is_what_was_decided(fill: Fill) -> None:
    """A row has the names, times, tokens and costs of its decision, and one() its attempts."""
    answer = answer_of("small", "large", id="r1", task="billing", feature="f")
    read = fill(decision(answer, NOON, seconds=1.5))
    (row,) = read.page()
    assert (row.id, row.at, row.seconds, row.layer, row.by) == ("r1", NOON, 1.5, "dispatch", "large")
    assert (row.slice, row.task, row.feature, row.tier, row.caller) == ("billing", "billing", "f", "large", "team")
    assert (row.cost_usd, row.baseline_usd, row.input, row.output, row.calls) == (0.011, None, 200, 40, 2)
    assert (row.escalated, row.failed, row.tiers) == (True, False, ("small", "large"))
    whole = read.one("r1")
    assert whole is not None
    assert [each["verdict"] for each in whole.attempts] == ["escalate", "accept"]
    assert whole.attempts[0]["calls"][0]["cost_usd"] == 0.001
    assert whole == read.one(row.number) == read.one(str(row.number))
    assert whole.trace is None


def test_without_texts_nothing_that_was_said_is_in_the_file(fill: Fill) -> None:
    """Neither questions, answers, reasons of gates, nor what a provider said of its failure."""
    answer = answer_of("small", id="r1", asked="SECRET question", said="SECRET answer")
    failed = replace(answer.attempts[0], verdict="failed", error=FAILED, reason="SECRET reason")
    read = fill(decision(replace(answer, attempts=(failed, *answer.attempts)), NOON))
    files = [each.read_bytes() for each in read.path.parent.iterdir()]
    assert not any(b"SECRET" in each for each in files)
    whole = read.one("r1")
    assert whole is not None
    assert whole.attempts[0]["error"] == "timeout"
    with pytest.raises(ConfigError, match="without texts"):
        recording_of(whole)


def test_a_callback_is_never_kept(fill: Fill) -> None:
    """Its address may hold a key: it is not there with texts either."""
    read = fill(decision(answer_of("small", id="r1", callback="https://x.example/?key=SECRET"), NOON), texts=True)
    whole = read.one("r1")
    assert whole is not None
    assert whole.trace is not None
    assert "SECRET" not in str(whole.trace)


def test_with_texts_a_decision_is_replayed_under_another_threshold(fill: Fill) -> None:
    """What escalated is answered by the small tier where its threshold is lower, from the store alone."""
    cascade = ladder()
    answer = run_virtual(cascade.run(Request.of("q", id="r1")))
    assert answer.text == "large said"
    whole = fill(decision(answer, NOON, ladder=cascade), texts=True).one("r1")
    assert whole is not None
    assert whole.attempts[0]["reason"]
    assert replay(cascade.adjusted(accept={"small": 0.5}), recording_of(whole)).text == "small said"
    assert replay(cascade, recording_of(whole)).text == "large said"
    assert whole.row.baseline_usd == pytest.approx(0.0014)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "dcba"),
        ({"limit": 2}, "dc"),
        ({"before": 3}, "ba"),
        ({"since": NOON + 2}, "dc"),
        ({"until": NOON + 1}, "a"),
        ({"tier": "large"}, "b"),
        ({"cascade": "other"}, "c"),
        ({"layer": "dispatch"}, "dcba"),
        ({"slice": "billing"}, "a"),
        ({"escalated": True}, "b"),
        ({"escalated": False}, "dca"),
        ({"degraded": True}, "d"),
        ({"degraded": False}, "cba"),
        ({"status": "503"}, "d"),
        ({"status": "5xx"}, "d"),
        ({"status": "failed"}, "d"),
        ({"status": "ok"}, "cba"),
        ({"text": "ILLIN"}, "a"),
        ({"text": "%"}, ""),
        ({"text": "_"}, ""),
        ({"text": "below"}, "d"),
    ],
)
def test_pages_are_of_what_is_asked_for(fill: Fill, asked: dict[str, object], found: str) -> None:
    """Each filter by itself, the newest first."""
    read = fill(
        decision(answer_of("small", id="a", task="billing"), NOON),
        decision(answer_of("small", "large", id="b"), NOON + 1),
        decision(answer_of("small", id="c"), NOON + 2, cascade="other"),
        decision(answer_of("small", id="d", degraded="below threshold"), NOON + 3, status=503),
    )
    assert "".join(each.id for each in read.page(**asked)) == found  # type: ignore[arg-type]


def test_a_status_that_is_none_is_refused(fill: Fill) -> None:
    """With what it may be."""
    with pytest.raises(ConfigError, match="5xx"):
        fill(decision()).page(status="bad")


def test_what_is_new_comes_in_order(fill: Fill) -> None:
    """after() goes on from a number, the oldest first, so that nothing is seen twice."""
    read = fill(*(decision(answer_of("small", id=name), NOON) for name in "abc"))
    assert [each.id for each in read.after(1, 10)] == ["b", "c"]
    assert [each.id for each in read.after(0, 1)] == ["a"]
    assert read.after(read.last(), 10) == []


def test_what_reached_no_cascade_is_counted(fill: Fill) -> None:
    """By minute: it is in sums by layer and way, and in no page."""
    read = fill(*(refusal(NOON) for _ in range(5)), refusal(NOON, status=401), decision(at=NOON))
    assert {each.key: each.n for each in read.sums(NOON - 60, by="way")} == {
        "guard/429": 5,
        "guard/401": 1,
        "dispatch/small": 1,
    }
    guard = next(each for each in read.sums(NOON - 60, by="layer") if each.key == "guard")
    assert (guard.n, guard.reached, guard.timed) == (6, 0, 6)
    assert guard.p50 == pytest.approx(0.001, rel=0.11)
    assert len(read.page()) == 1
    assert [each.key for each in read.sums(NOON - 60, by="layer", cascade="support")] == ["dispatch"]


def test_grades_come_to_their_decision_and_to_means(fill: Fill) -> None:
    """A label is found by its request; those that nobody drew are in no mean."""
    read = fill(
        decision(answer_of("small", id="r1", customer=""), NOON),
        grade("r1", "small", 1.0, at=NOON),
        grade("r2", "small", 0.0, at=NOON),
        grade("r3", "small", 0.0, at=NOON, propensity=None, source="thumb"),
    )
    whole = read.one("r1")
    assert whole is not None
    assert [each.score for each in whole.grades] == [1.0]
    (found,) = read.graded(NOON - 1)
    assert (found.tier, found.n, found.mean, found.given) == ("small", 2, 0.5, 1)
    assert found.low < 0.5 < found.high


def test_a_label_weighs_by_how_seldom_its_like_is_drawn(fill: Fill) -> None:
    """One in ten that is right counts as much as ten of all that are wrong."""
    drawn = [grade("a", "small", 1.0, at=NOON, propensity=0.1)]
    drawn += [grade(f"b{n}", "small", 0.0, at=NOON, propensity=1.0) for n in range(10)]
    assert fill(*drawn).graded(NOON - 1)[0].mean == pytest.approx(0.5)


def test_savings_are_of_those_with_both_costs(fill: Fill) -> None:
    """Nine tenths are saved where a tier at a tenth of the price answers all; what is not known is told."""
    cascade = ladder()
    answers = [run_virtual(cascade.adjusted(accept={"small": 0.1}).run("q")) for _ in range(20)]
    read = fill(*(decision(each, NOON, ladder=cascade) for each in answers), decision(at=NOON))
    saved = read.savings(NOON - 1)
    assert saved.share == pytest.approx(0.9)
    assert saved.low is not None
    assert saved.high is not None
    assert saved.low <= 0.9 + 1e-9
    assert saved.high >= 0.9 - 1e-9
    assert (saved.n, saved.left_out, saved.drawn) == (20, 1, 20)
    assert read.savings(NOON - 1) == saved


def test_a_name_that_no_file_can_hold_is_kept_as_far_as_it_can(fill: Fill) -> None:
    """Half a surrogate pair and ten thousand letters, as a client may send them, stop nothing."""
    read = fill(decision(answer_of("small", id="\ud800", task="x" * 10_000), NOON))
    (row,) = read.page(text="?")
    assert (row.id, len(row.task)) == ("?", 200)
    assert read.one("\ud800") is not None


def test_sums_are_by_what_there_is(fill: Fill) -> None:
    """Anything else is refused before it could become a part of a query."""
    with pytest.raises(ConfigError, match="added up by"):
        fill(decision()).sums(0, by="tier; DROP TABLE decisions")  # type: ignore[arg-type]


MADE = st.lists(
    st.tuples(
        st.sampled_from(["small", "large", "both"]),
        st.sampled_from(["", "billing", "code"]),
        st.integers(0, 7_200),
        st.floats(0.001, 100),
        st.booleans(),
        st.sampled_from(["", "below threshold"]),
        st.sampled_from([200, 499, 503]),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(made=MADE, since=st.integers(0, 7_200))
def test_sums_are_those_of_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, str, int, float, bool, str, int]], since: int
) -> None:
    """Whatever was decided: counts, costs, escalations, failures and times are those that counting by hand gives."""
    path = tmp_path_factory.mktemp("sums") / "d.db"
    writer = Writer(path, now=lambda: NOON, every=0.001)
    told: list[tuple[Decision, Answer]] = []
    for tier, task, at, seconds, known, degraded, status in made:
        tiers = ("small", "large") if tier == "both" else (tier,)
        answer = answer_of(*tiers, task=task, cost=known, degraded=degraded)
        told.append((decision(answer, NOON + at, seconds=seconds, status=status), answer))
        writer(told[-1][0])
    assert writer.flush(30)
    writer.close()
    counted = [each for each in told if each[0].at >= NOON + since]
    read = Decisions(path)
    for by in ("slice", "tier"):
        mine: dict[str, list[tuple[Decision, Answer]]] = {}
        for event, answer in counted:
            mine.setdefault(answer.request.task if by == "slice" else answer.tier, []).append((event, answer))
        found = {each.key: each for each in read.sums(NOON + since, by="slice" if by == "slice" else "tier")}
        assert {name: each.n for name, each in found.items()} == {name: len(each) for name, each in mine.items()}
        for name, those in mine.items():
            each, costs = found[name], [answer.cost_usd for _, answer in those]
            assert each.cost_usd == pytest.approx(sum(cost for cost in costs if cost is not None))
            assert each.unknown == costs.count(None)
            assert each.escalated == sum(len(answer.attempts) > 1 for _, answer in those)
            assert each.failed == sum(event.status == 503 for event, _ in those)
            assert each.degraded == sum(bool(answer.degraded) for _, answer in those)
            times = sorted(event.seconds or 0.0 for event, _ in those)
            assert each.p50 == pytest.approx(times[(len(times) - 1) // 2], rel=0.021)
    assert [each.id for each in read.page(degraded=True, limit=100)] == [
        event.id for event, answer in reversed(told) if answer.degraded
    ]
    tried = Counter(attempt.tier for _, answer in counted for attempt in answer.attempts)
    assert {each.tier: each.tried for each in read.funnel(NOON + since)} == tried
    assert read.funnel(NOON + since, cascade="support") == read.funnel(NOON + since)
    assert sum(each.n for each in read.sums(NOON + since, by="hour")) == len(counted)
