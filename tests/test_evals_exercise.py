"""The drill: its figures against naive ones, its sentences, and what both lanes are read from."""

import asyncio
from math import comb, inf
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals_pieces import PRICE, USAGE, Counted, Same, cases, ladder
from fastcascade import Cascade, ConfigError, Tier
from fastcascade.evals.cases import Case
from fastcascade.evals.exercise import PASS, exercised
from fastcascade.evals.exercise_account import Drilled, Exercise, Figure, Gated, Tried
from fastcascade.evals.exercise_lanes import from_candidates, from_recording, lanes_of, named_lanes
from fastcascade.evals.exercise_words import cases_for
from fastcascade.evals.graders import Grade
from fastcascade.evals.live_bounds import exact
from fastcascade.evals.recorder import Recorder
from fastcascade.evals.runs import Runs
from fastcascade.evals.savings import ratio_interval, saving_interval
from fastcascade.messages import Reply, Usage
from fastcascade.prices import Price, PriceSheet

CALL = PRICE.cost(USAGE)
GRADES = st.sampled_from([0.0, 0.5, PASS, 1.0])
LANES = st.builds(Tried, GRADES, st.none() | st.floats(0.001, 1.0), st.none() | st.floats(0.0, 9.0))
GATED = st.builds(
    Gated, st.sampled_from(["kept", "sent on", "below"]), st.none() | GRADES, st.none() | st.floats(0.0, 2.0)
)
CASES = st.lists(
    st.builds(
        Drilled, st.just("q"), LANES, LANES, st.sampled_from(["", "a"]), st.sampled_from([1.0, 1.0, 2.0, 0.5]), GATED
    ),
    min_size=1,
    max_size=14,
)


def drill(drilled: list[Drilled], **told: object) -> Exercise:
    """One drill of lanes with short names."""
    return exercised(drilled, small="low", large="high", **told)  # type: ignore[arg-type] # named


def simple(n: int, wrong: int, *, low: float | None = 1.0, high: float | None = 4.0, slice_: str = "") -> list[Drilled]:
    """So many cases, the first of which the small lane fails; the large one passes all."""
    return [Drilled(f"q{at}", Tried(float(at >= wrong), low), Tried(1.0, high), slice_) for at in range(n)]


def inside(figure: Figure) -> None:
    """A value lies in its interval, and both are there or neither is."""
    if figure.value is None:
        assert figure.interval is None
    elif figure.interval is not None:
        low, high = figure.interval
        assert (-inf if low is None else low) - 1e-9 <= figure.value <= (inf if high is None else high) + 1e-9


@settings(max_examples=25)
@given(CASES)
def test_figures_are_those_of_counting(drilled: list[Drilled]) -> None:
    """Rates, qualities, dollars and counts are what adding up case by case gives, with weights and unknown costs."""
    found = drill(drilled)
    weight = rate = low = after = high = spent = alone = priced = 0.0
    known = sent = needless = through = 0
    for each in drilled:
        passed = each.small.grade >= PASS
        weight += each.weight
        rate += 0 if passed else each.weight
        low += each.weight * each.small.grade
        high += each.weight * each.large.grade
        after += each.weight * (each.small.grade if passed else each.large.grade)
        assert each.gated is not None
        sent += each.gated.went == "sent on"
        needless += each.gated.went == "sent on" and passed
        through += each.gated.went == "kept" and not passed
        if each.small.usd is not None and each.large.usd is not None:
            known += 1
            priced += each.weight
            spent += each.weight * (each.small.usd + (0 if passed else each.large.usd))
            alone += each.weight * each.large.usd
    whole, own = found.whole, found.own
    assert own is not None and (own.sent_on, own.needless, own.let_through) == (sent, needless, through)
    for figure, naive in ((whole.rate, rate), (whole.small.quality, low), (whole.after.quality, after)):
        assert figure.value == pytest.approx(naive / weight) and figure.n == len(drilled)
    assert whole.large.quality.value == pytest.approx(high / weight)
    assert whole.saving.n == whole.after.usd.n == known
    if known:
        assert whole.after.usd.value == pytest.approx(spent / priced)
        assert whole.saving.value == pytest.approx(1 - spent / alone)
    else:
        assert whole.saving.value is None and whole.after.usd.value is None
    assert whole.both + whole.only_small + whole.only_large + whole.neither == whole.n
    ways = (whole.small, whole.after, whole.large, own.way)
    for figure in (whole.rate, own.rate, *(each for way in ways for each in (way.quality, way.p50, way.p95))):
        inside(figure)
    assert exercised(drilled, small="low", large="high") == found


def test_thirty_cases_are_shown_for_what_they_are() -> None:
    """Intervals are the exact ones, and the sentences tell how wide they are and what would make them narrower."""
    found = drill(simple(30, 8))
    assert found.whole.rate == Figure(8 / 30, exact(8, 30), 30)
    assert found.whole.small.quality.interval == exact(22, 30)
    assert found.whole.after.quality.value == found.whole.large.quality.value == 1.0
    assert found.whole.saving.value == pytest.approx(1 - (30 + 8 * 4) / 120)
    low, high = found.whole.saving.interval or (None, None)
    assert low is not None and high is not None and 0.2 < low < 0.484 < high < 0.7
    said = "\n".join(found.said)
    assert "30 cases leave the escalation rate anywhere from 12.3 to 45.9 %, 34 points wide" in said
    assert "would halve that" in said and "bring it to 5 points either way" in said
    assert "perfect gate" in said and "as high as 45.9 %, above the warning line of 40.0 %" in said
    assert "show nothing" not in said and "nothing yet" in drill(simple(9, 2)).said[0]
    assert drill(simple(9, 2)).whole.saving.interval is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(13, "warning: 43.3 % escalate, above 40.0 %"), (16, "redesign: 53.3 % escalate, above 50.0 %")],
)
def test_lines_that_are_crossed_are_told(wrong: int, said: str) -> None:
    """Above 40 % it warns, above 50 % it says redesign; below both by its whole interval it says neither."""
    assert said in drill(simple(30, wrong)).said
    quiet = "\n".join(drill(simple(300, 30)).said)
    assert "warning" not in quiet and "redesign" not in quiet and "not settled" not in quiet


def test_a_loss_is_told() -> None:
    """A small lane that with its failures costs more than the flagship alone is called a loss."""
    found = drill(simple(20, 8, low=3.0))
    assert found.whole.saving.value == pytest.approx(1 - (60 + 32) / 80)
    assert any(each.startswith("loss: the small lane") and "15.0 % more than high" in each for each in found.said)


@pytest.mark.parametrize(("wrong", "word"), [(0, "none"), (20, "all")])
def test_a_draw_of_one_kind_is_told(wrong: int, word: str) -> None:
    """Where none or all escalated the bootstrap knows one rate only, and what the rate's ends would save is told."""
    found = drill(simple(20, wrong))
    ends = sorted(1 - 1 / 4 - each for each in exact(wrong, 20))
    assert any(
        each.startswith(f"{word} escalated") and f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %" in each
        for each in found.said
    )


def test_costs_that_are_not_known_are_not_guessed() -> None:
    """Without a price there is no saving; where some are priced, it is of those, and their number is told."""
    none = drill(simple(12, 3, low=None))
    assert none.whole.saving == Figure(None, None, 0) and none.whole.large.usd.value is None
    assert any("no saving is told" in each for each in none.said)
    some = drill([*simple(12, 3), *simple(3, 0, high=None)])
    assert some.whole.saving.n == 12 and any("dollars are of 12 cases" in each for each in some.said)


def test_slices_stand_by_themselves() -> None:
    """A slice of five cases has figures of its own, one of four has none, and a single slice is the whole."""
    drilled = [*simple(6, 2, slice_="a"), *simple(5, 5, slice_="b"), *simple(4, 0, slice_="c")]
    found = drill(drilled)
    assert list(found.slices) == ["a", "b"]
    assert found.slices["a"].rate == Figure(2 / 6, exact(2, 6), 6) and found.slices["b"].escalated == 5
    assert found.slices["a"].saving.interval is None  # too few for a bootstrap
    assert any("by itself" in each for each in found.said) and drill(simple(30, 3, slice_="a")).slices == {}


def test_weights_widen_the_interval() -> None:
    """Cases that count differently have an interval by betting, no narrower than what they are worth allows."""
    drilled = [Drilled(f"q{at}", Tried(float(at % 3 > 0)), Tried(1.0), weight=1.0 + 9 * (at < 3)) for at in range(30)]
    found, plain = drill(drilled), drill(simple(30, 10))
    assert found.effective == pytest.approx(57**2 / (3 * 100 + 27)) and plain.effective == 30
    inside(found.whole.rate)
    assert found.whole.rate.interval is not None and plain.whole.rate.interval is not None
    width, narrow = ((high or 0) - (low or 0) for low, high in (found.whole.rate.interval, plain.whole.rate.interval))
    assert width > narrow


@pytest.mark.parametrize("n", [1, 7, 30, 80])
def test_times_go_by_their_order(n: int) -> None:
    """p50 and p95 are the times that this share stays within; their ends hold by the binomial, added up."""
    draw = Random(n)
    times = [draw.random() for _ in range(n)]
    found = drill([Drilled("q", Tried(1.0, None, each), Tried(1.0, None, each)) for each in times]).whole.large
    for share, figure in ((0.5, found.p50), (0.95, found.p95)):
        assert figure.n == n and figure.value is not None and figure.interval is not None
        assert sum(each <= figure.value for each in times) >= share * n - 1e-9
        assert sum(each < figure.value for each in times) < share * n
        chance = [comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
        low, high = figure.interval
        below = sum(each <= low for each in times) if low is not None else 0
        above = sum(each <= high for each in times) if high is not None else n + 1
        assert sum(chance[:below]) <= 0.025 + 1e-12 and sum(chance[above:]) <= 0.025 + 1e-12
        assert below == n or sum(chance[: below + 1]) > 0.025 or below + 1 == above
        inside(figure)
    assert (found.p95.interval or (0, 0))[1] is None or n == 80


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_how_many_cases_narrow_an_interval(rate: int) -> None:
    """With that many cases it is as narrow as was asked, and with three in four of them it is not yet."""

    def half(n: int) -> float:
        low, high = exact(round(rate * n), n)
        return (high - low) / 2

    found = cases_for(rate, 0.05)
    assert found is not None and half(found) <= 0.05 < half(3 * found // 4)
    assert cases_for(0.5, 1e-6) is None


def test_a_mean_is_drawn_as_a_saving_is() -> None:
    """The interval of a ratio is that of its saving turned round, for any confidence, and narrower for a lower one."""
    pairs = [(1.0 + at % 4, 5.0) for at in range(20)]
    low, high = ratio_interval(pairs) or (0.0, 0.0)
    assert saving_interval(pairs) == (1 - high, 1 - low)
    less = ratio_interval(pairs, confidence=0.8) or (0.0, 0.0)
    assert low < less[0] < less[1] < high and ratio_interval(pairs[:9]) is None


def test_what_cannot_be_drilled_is_refused() -> None:
    """No case, none that weighs anything, and a grade that all or none would pass are told."""
    with pytest.raises(ConfigError, match="none was given"):
        drill([])
    with pytest.raises(ConfigError, match="3 ungraded"):
        drill([], left_out={"ungraded": 3, "failed": 0})
    with pytest.raises(ConfigError, match="no case is left"):
        drill([Drilled("q", Tried(1.0), Tried(1.0), weight=0.0)])
    for grade in (0.0, 1.5):
        with pytest.raises(ConfigError, match="grade that passes"):
            drill(simple(3, 1), passing=grade)


# What both lanes said.


def recorded(path: Path, cascade: Cascade, asked: list[Case]) -> tuple[list[Drilled], dict[str, int]]:
    """Record them, and read what came of it."""
    with Runs(path, make=True) as runs:
        asyncio.run(Recorder(cascade, runs, version="1", grader=Same(), named="same").run(asked))
        return from_recording(cascade, "1", asked, runs, "small", "large")


def test_a_recording_is_read(tmp_path: Path) -> None:
    """A lane is its own reply alone, while the cascade's own way pays for its gate's samples as well."""
    asked = cases(9)
    found, left_out = recorded(tmp_path / "run.db", ladder(lambda _: None), asked)
    assert left_out == {} and [each.id for each in found] == [case.id for case in asked]
    for each, case in zip(found, asked, strict=True):
        assert each.small.grade == float(len(case.text) % 7 == 3) and each.large.grade == 1.0
        assert each.small.usd == pytest.approx(CALL) and each.large.usd == pytest.approx(CALL)
        assert each.slice == case.slice and each.small.seconds is not None
        assert each.gated is not None and each.gated.went == "kept"  # it agrees with itself always
        assert each.gated.usd is not None and 2 * CALL <= each.gated.usd <= 3 * CALL
        assert each.gated.grade == each.small.grade
    made = drill(found).own
    assert made is not None and made.let_through == sum(each.small.grade == 0 for each in found) and not made.sent_on


def test_failed_and_ungraded_cases_are_counted(tmp_path: Path) -> None:
    """A case of which a call failed, or that could not be graded, is in no figure, and is counted by why."""
    small, large = (Counted(name, lambda _: "3", lambda _: None) for name in ("small", "large"))
    large.down = True
    down = Cascade(Tier(small, price=PRICE), Tier(large, price=PRICE))
    found, left_out = recorded(tmp_path / "a.db", down, cases(4))
    assert found == [] and list(left_out.values()) == [4] and "failed" in next(iter(left_out))

    class Odd(Same):
        async def grade(self, case: Case, reply: Reply | str, /) -> Grade:
            return Grade(None, "as told") if case.slice == "odd" else await super().grade(case, reply)

    with Runs(tmp_path / "b.db", make=True) as runs:
        asyncio.run(Recorder(ladder(lambda _: None), runs, version="1", grader=Odd()).run(cases(5)))
        read, left = from_recording(ladder(lambda _: None), "1", cases(5), runs, "small", "large")
    assert left == {"ungraded": 2} and [each.id for each in read] == ["c0", "c2", "c4"]


def test_lanes_of_a_cascade() -> None:
    """The small lane is the first tier that asks a model, the flagship the last; what cannot be is told."""
    low, middle, high = (Counted(name, str, pytest.fail) for name in ("low", "middle", "high"))
    low.free = True  # type: ignore[attr-defined] # as rules are
    cascade = Cascade(Tier(low), Tier(middle), Tier(high))
    assert lanes_of(cascade) == ("middle", "high") and lanes_of(cascade, "low", "middle") == ("low", "middle")
    for small, large, said in (
        ("tiny", None, "--small: there is no tier 'tiny'; there are: low, middle, high"),
        (None, "huge", "--large: there is no tier 'huge'"),
        ("high", "middle", "stands above 'middle'"),
        ("high", None, "one tier for both, 'high'"),
    ):
        with pytest.raises(ConfigError, match=said):
            lanes_of(cascade, small, large)
    with pytest.raises(ConfigError, match="one tier for both, 'middle'"):
        lanes_of(Cascade(Tier(middle)))
    with pytest.raises(ConfigError, match="asks no model"):
        lanes_of(Cascade(Tier(low)))


def test_candidates_are_graded_and_priced() -> None:
    """Answers that cases bring are graded without a call; their cost is reported, else reckoned, else unknown."""
    sheet = PriceSheet({"low": Price(1.0, 2.0), "high": Price(10.0, 20.0)}, source=None)
    asked = [
        Case("a", "x" * 40, "3", candidates={"low": "3", "high": "3" * 8}),
        Case("b", "y", "3", candidates={"low": Reply("4", usage=Usage(100, 50)), "high": Reply("3", cost_usd=0.5)}),
        Case("c", "z", "3", candidates={"low": "3"}),
    ]
    assert named_lanes(asked) == ("low", "high")
    found, left_out, estimated = asyncio.run(from_candidates(asked, "low", "high", sheet, Same()))
    assert left_out == {"without a candidate of each lane": 1} and estimated
    assert [(each.small.grade, each.large.grade) for each in found] == [(1.0, 0.0), (0.0, 0.0)]
    assert found[0].small.usd == pytest.approx(12e-6) and found[0].large.usd == pytest.approx(140e-6)
    assert found[1].small.usd == pytest.approx(200e-6) and found[1].large.usd == 0.5
    bare, _, _ = asyncio.run(from_candidates(asked, "low", "high", PriceSheet(source=None), Same()))
    assert bare[0].small.usd is None and bare[1].large.usd == 0.5
    nobody, ungraded, _ = asyncio.run(from_candidates(asked, "low", "high", sheet))
    assert nobody == [] and ungraded["ungraded"] == 2
    assert drill(found).own is None


def test_cases_without_two_candidates_are_refused() -> None:
    """Without candidates, with one name only, or with a name that is none, what is to be done is told."""
    with pytest.raises(ConfigError, match="--cascade"):
        named_lanes(cases(2))
    one = [Case("a", "x", candidates={"low": "3"})]
    with pytest.raises(ConfigError, match="one candidate for both, 'low'"):
        named_lanes(one)
    with pytest.raises(ConfigError, match="--large: there is no candidate 'high'; there are: low"):
        named_lanes(one, None, "high")
