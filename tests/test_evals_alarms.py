"""Alarms in production: what they promise while nothing is wrong, and how soon they tell when something is."""

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from math import comb, log, sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.evals.alarms import EscalationWatch, QualityAlarm, QualityAlarms, suggest
from fastcascade.evals.live_bounds import BETS, at_least, betting, exact, more_needed
from fastcascade.notices import Notice

DELTA = 0.1


def noise(rate: float, n: int) -> float:
    """Three deviations of a share, plus one run."""
    return 3 * sqrt(rate * (1 - rate) / n) + 1 / n


def first(alarm: QualityAlarm, draw: Callable[[], tuple[float, float]], most: int) -> int | None:
    """After how many labels it goes off, looked at after each; None where it does not."""
    return next((n for n in range(1, most + 1) if alarm.add(*draw())), None)


# Bounds.


@given(st.integers(1, 60), st.data())
def test_exact_bounds_are_those_of_the_binomial(n: int, data: st.DataObject) -> None:
    """The tail is the sum of its terms, and each end leaves half of the error beyond it."""
    right = data.draw(st.integers(0, n))
    p = data.draw(st.floats(0.001, 0.999))
    naive = sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(right, n + 1))
    assert at_least(right, n, p) == pytest.approx(naive, abs=1e-10)
    low, high = exact(right, n, 0.9)
    assert 0 <= low <= right / n <= high <= 1
    if 0 < right < n:
        assert at_least(right, n, low) == pytest.approx(0.05, abs=1e-6)
        assert 1 - at_least(right + 1, n, high) == pytest.approx(0.05, abs=1e-6)


def test_bounds_say_nothing_where_there_is_nothing() -> None:
    """No labels leave all of 0 to 1; what is no share is refused; more labels of too poor quality never do."""
    assert exact(0, 0) == (0.0, 1.0)
    assert betting([]) == (0.0, 1.0)
    with pytest.raises(ValueError, match="5 of 4 is no share"):
        exact(5, 4)
    assert more_needed(0.9, 0.95, 0.05) is None
    assert more_needed(0.9501, 0.95, 1e-9) is not None
    assert more_needed(1.0, 0.95, 0.05) == 59  # 0.95 ** 59 < 0.05 < 0.95 ** 58


def test_betting_covers_a_mean_under_unequal_weights() -> None:
    """The interval misses the true mean no more often than it says, where a bad slice is drawn more often."""
    rng = random.Random(5)
    runs, missed = 150, 0
    for _ in range(runs):
        labels: list[tuple[float, float]] = []
        while len(labels) < 150:
            bad = rng.random() < 0.2
            if rng.random() < (0.5 if bad else 0.1):
                labels.append((float(rng.random() < (0.6 if bad else 0.95)), 0.2 if bad else 1.0))
        low, high = betting(labels, 1 - DELTA)
        missed += not low <= 0.2 * 0.6 + 0.8 * 0.95 <= high
    assert missed / runs <= DELTA + noise(DELTA, runs)


# The quality alarm.


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0.05, 1), st.floats(0.01, 1), st.floats(0, 1)), min_size=1, max_size=4),
    st.integers(0, 20),
)
def test_a_bet_is_fair_while_the_promise_is_just_kept(slices: list[tuple[float, float, float]], before: int) -> None:
    """Whatever slices are drawn at whatever rates, at the boundary a label leaves wealth as it is on average."""
    total = sum(share for share, _, _ in slices)
    promise = sum(share * quality for share, _, quality in slices) / total
    if not 0.01 < promise < 0.99:
        return
    floor = min(propensity for _, propensity, _ in slices)
    alarm = QualityAlarm(promise, floor=floor)
    for number in range(before):
        alarm.add(float(number % 3 > 0), slices[number % len(slices)][1])
    state, held = alarm.state(), alarm.wealth
    drawn = sum(share * propensity for share, propensity, _ in slices)
    after = 0.0
    for share, propensity, quality in slices:
        for score, chance in ((1.0, quality), (0.0, 1 - quality)):
            alarm.resume(state)
            alarm.add(score, propensity)
            after += share * propensity / drawn * chance * alarm.wealth
    assert after == pytest.approx(held, rel=1e-9)


CASES: dict[str, tuple[Callable[[random.Random], tuple[float, float]], float, float]] = {
    "right or wrong": (lambda rng: (float(rng.random() < 0.9), 1.0), 0.9, 1.0),
    "fractions": (lambda rng: (rng.choice((0.7, 1.0, 1.0)), 1.0), 0.9, 1.0),
}


@pytest.mark.parametrize("name", CASES)
def test_false_alarms_stay_rare_however_often_one_looks(name: str) -> None:
    """At the boundary, with a look after each of 1,500 labels, no more runs go off than delta says."""
    draw, promise, floor = CASES[name]
    rng, runs = random.Random(11), 120
    fired = sum(
        first(QualityAlarm(promise, delta=DELTA, floor=floor), lambda: draw(rng), 1_500) is not None
        for _ in range(runs)
    )
    assert fired / runs <= DELTA + noise(DELTA, runs)


def unequal(rng: random.Random, poor: float) -> tuple[float, float]:
    """A label of two slices, the poorer of which is drawn five times as often: quality 0.8 * 0.95 + 0.2 * poor."""
    while True:
        bad = rng.random() < 0.2
        if rng.random() < (0.5 if bad else 0.1):
            return float(rng.random() < (poor if bad else 0.95)), 0.5 if bad else 0.1


def test_false_alarms_stay_rare_under_unequal_propensities() -> None:
    """A poor slice that is drawn more often does not set off the alarm of the whole; unweighted it would."""
    rng, runs = random.Random(12), 100
    promise = 0.8 * 0.95 + 0.2 * 0.7
    fired = sum(
        first(QualityAlarm(promise, delta=DELTA, floor=0.1), lambda: unequal(rng, 0.7), 800) is not None
        for _ in range(runs)
    )
    assert fired / runs <= DELTA + noise(DELTA, runs)
    naive = QualityAlarm(promise, delta=DELTA)
    assert first(naive, lambda: (unequal(rng, 0.7)[0], 1.0), 5_000) is not None


@pytest.mark.parametrize(("fall", "most"), [(0.05, 700), (0.10, 250)])
def test_a_fall_is_told_soon(fall: float, most: int) -> None:
    """Below a promise of 0.95 by 5 points, or by 10, it goes off in every run, within so many labels on average."""
    rng, runs = random.Random(13), 60
    delays = [first(QualityAlarm(0.95), lambda: (float(rng.random() < 0.95 - fall), 1.0), 5_000) for _ in range(runs)]
    found = [each for each in delays if each is not None]
    assert len(found) == runs
    assert sum(found) / runs < most


def test_a_fall_after_a_long_good_time_is_told_soon_by_the_one_that_begins_anew() -> None:
    """With `every`, 5,000 good labels do not delay the alarm; without, they have used the money up."""
    rng = random.Random(14)
    ever, anew = QualityAlarm(0.95), QualityAlarm(0.95, every=20_000)
    for _ in range(5_000):
        good = float(rng.random() < 0.97)
        ever.add(good)
        assert not anew.add(good)
    after = first(anew, lambda: (float(rng.random() < 0.85), 1.0), 1_000)
    assert after is not None
    assert after < 300
    assert ever.wealth < 1e-3


def test_false_alarms_are_far_apart_where_it_begins_anew() -> None:
    """At the boundary the mean run is at least `every`; runs are cut off, which only makes it shorter."""
    rng, runs, every = random.Random(15), 80, 200
    lengths = [
        first(QualityAlarm(0.9, every=every), lambda: (float(rng.random() < 0.9), 1.0), 2_000) or 2_000
        for _ in range(runs)
    ]
    assert sum(lengths) / runs >= every


@pytest.mark.parametrize("every", [None, 500.0])
def test_a_state_goes_on_where_it_was(every: float | None) -> None:
    """Saved as JSON and resumed at any label, an alarm goes off when it would have."""
    rng = random.Random(16)
    labels = [float(rng.random() < 0.85) for _ in range(600)]
    whole = QualityAlarm(0.95, every=every)
    for each in labels:
        whole.add(each)
    assert whole.fired is not None
    for cut in (0, 1, 50, whole.fired, 599):
        part = QualityAlarm(0.95, every=every)
        for each in labels[:cut]:
            part.add(each)
        other = QualityAlarm(0.95, every=every)
        other.resume(json.loads(json.dumps(part.state())))
        for each in labels[cut:]:
            other.add(each)
        assert other.state() == whole.state()


def test_it_tells_once_and_again_after_a_restart(heard: list[Notice]) -> None:
    """One notice to an alarm, with the promise and the number of labels; `restart` begins anew."""
    alarm = QualityAlarm(0.95, about="refunds")
    while not alarm.add(0.0):
        pass
    fired = alarm.fired
    alarm.add(0.0)
    assert alarm.wealth >= 20
    assert [(each.kind, each.about) for each in heard] == [("quality", "refunds")]
    assert f"95.0%, shown by {fired} labels" in heard[0].text
    alarm.restart()
    assert alarm.wealth == pytest.approx(1.0)
    assert alarm.fired is None
    while not alarm.add(0.0):
        pass
    assert len(heard) == 2
    assert "fired=" in repr(alarm)


def test_money_is_never_lost_to_overflow() -> None:
    """Whatever comes, for however long, wealth stays a number."""
    for every in (None, 1_000.0):
        alarm = QualityAlarm(0.999, every=every)
        for score in (0.0, 1.0, 0.0):
            for _ in range(2_000):
                alarm.add(score)
        assert 0 <= alarm.wealth < float("inf")


def test_threads_may_share_one() -> None:
    """Labels from four threads are all counted."""
    alarm = QualityAlarm(0.5)
    work = [threading.Thread(target=lambda: [alarm.add(1.0) for _ in range(500)]) for _ in range(4)]
    for each in work:
        each.start()
    for each in work:
        each.join()
    assert alarm.n == 2_000


MISTAKES: list[tuple[Callable[[], Any], str]] = [
    (lambda: QualityAlarm(1.0), "promise must be above 0 and below 1, not 1.0"),
    (lambda: QualityAlarm(0.9, delta=0.0), "delta must be"),
    (lambda: QualityAlarm(0.9, every=1.0), "every must be above 1"),
    (lambda: QualityAlarm(0.9, floor=0.0), "floor must be above 0, up to 1"),
    (lambda: QualityAlarm(0.9).add(1.5), "a score goes from 0 to 1, not 1.5"),
    (lambda: QualityAlarm(0.9, floor=0.1).add(1.0, 0.05), "0.05 does not lie between the alarm's floor of 0.1"),
    (lambda: QualityAlarm(0.9).resume(QualityAlarm(0.8).state()), "other settings"),
    (lambda: QualityAlarm(0.9).resume({**QualityAlarm(0.9).state(), "logs": [1.0]}), "damaged"),
    (lambda: EscalationWatch(5, 4), "5 of 4 is no escalation rate"),
    (lambda: EscalationWatch(1, 4, lines={"alert": 1.5}), "lines are rates"),
    (lambda: EscalationWatch(1, 4, window=10), "window must be 100 or more"),
    (lambda: suggest([], 1.0), "a promise and a delta"),
    (lambda: suggest([(float("nan"), 1.0)], 0.9), "label 0 needs a finite score"),
]


@pytest.mark.parametrize(("call", "said"), MISTAKES, ids=[said[:30] for _, said in MISTAKES])
def test_what_cannot_be_is_refused(call: Callable[[], Any], said: str) -> None:
    """A setting, a label or a state that makes no sense is a `ConfigError` that names it."""
    with pytest.raises(ConfigError, match=said):
        call()


def test_slices_share_the_chance_of_a_false_alarm() -> None:
    """Each of three alarms has a third of delta; a poor slice sets off its own before the whole."""
    alarms = QualityAlarms(0.9, {"a": 0.9, "b": 0.8}, delta=0.06)
    assert alarms.whole.delta == pytest.approx(0.02)
    assert {name: each.promise for name, each in alarms.slices.items()} == {"a": 0.9, "b": 0.8}
    fired: list[str] = []
    for number in range(300):
        fired += [each.about for each in alarms.add(0.0 if number % 4 == 0 else 1.0, slice="ab"[number % 4 == 0])]
    assert fired[0] == "b"
    other = QualityAlarms(0.9, {"a": 0.9, "b": 0.8}, delta=0.06)
    other.resume(json.loads(json.dumps(alarms.state())))
    assert other.state() == alarms.state()
    assert QualityAlarms(0.9, ["a"], every=100.0).whole.every == 200.0


# Escalation.


def test_no_drift_is_told_while_nothing_drifts() -> None:
    """Over runs of calibration and service at one rate, drift is told in delta of them at most."""
    rng, runs, told = random.Random(17), 60, 0
    for _ in range(runs):
        watch = EscalationWatch(sum(rng.random() < 0.2 for _ in range(400)), 400, delta=DELTA, lines={})
        for _ in range(1_500):
            watch.add(rng.random() < 0.2)
        told += watch.fired is not None
    assert told / runs <= DELTA + noise(DELTA, runs)


@pytest.mark.parametrize(("rate", "which"), [(0.3, "above"), (0.1, "below")])
def test_drift_either_way_is_told(rate: float, which: str, heard: list[Notice]) -> None:
    """From 20 % to 30 % or to 10 %, one notice says which way it went."""
    rng = random.Random(18)
    watch = EscalationWatch(400, 2_000, about="refunds", lines={})
    for _ in range(3_000):
        watch.add(rng.random() < rate)
    assert watch.fired is not None
    assert watch.fired < 1_500
    assert [(each.kind, each.about) for each in heard] == [("escalation", "refunds")]
    assert f"escalation is {which} the" in heard[0].text


def test_the_lines_are_told_and_are_over_again() -> None:
    """Above 40 % it is an alert, above 50 % a redesign, told once each, and ok when the rate is back."""
    rng = random.Random(19)
    watch = EscalationWatch(35, 100)
    seen: list[str] = []
    for rate in (0.38, 0.46, 0.62, 0.25):
        for _ in range(4_000):
            seen += [text for text in watch.add(rng.random() < rate) if "line" in text]
        seen.append(watch.status)
    said = [each.partition(";")[0] for each in seen]
    over = "escalation is above the line of"
    assert said == ["ok", f"{over} 40% (alert)", "alert", f"{over} 50% (redesign)", "redesign", "ok"]
    rate, low, high = watch.rate
    assert low < rate < high
    assert rate == pytest.approx(0.25, abs=0.05)


def test_a_watch_goes_on_where_it_was() -> None:
    """Saved as JSON and resumed in the middle, it tells the same at the same requests."""
    rng = random.Random(20)
    asked = [rng.random() < 0.45 for _ in range(2_500)]
    whole = EscalationWatch(30, 100, every=1_000)
    told = [whole.add(each) for each in asked]
    part = EscalationWatch(30, 100, every=1_000)
    for each in asked[:1_200]:
        part.add(each)
    other = EscalationWatch(30, 100, every=1_000)
    other.resume(json.loads(json.dumps(part.state())))
    assert [other.add(each) for each in asked[1_200:]] == told[1_200:]
    assert other.state() == whole.state()
    other.restart()
    assert other.state() == EscalationWatch(30, 100, every=1_000).state()


@pytest.mark.parametrize("escalated", [0, 50])
def test_calibration_where_all_or_none_escalated_can_be_watched(escalated: int) -> None:
    """At a rate of 0 or 1 one side cannot be left, and the other can."""
    watch = EscalationWatch(escalated, 50, lines={})
    for _ in range(500):
        watch.add(escalated > 0)
    assert watch.fired is None
    for _ in range(500):
        watch.add(escalated == 0)
    assert watch.fired is not None


# Suggestions.


def scored(rng: random.Random, n: int) -> list[tuple[float, float]]:
    """Labels of which one at a score of s is right with probability 0.7 + 0.3 s."""
    return [(score, float(rng.random() < 0.7 + 0.3 * score)) for score in (rng.random() for _ in range(n))]


def test_a_suggestion_keeps_its_promise() -> None:
    """Of many suggestions, a share of delta at most has a true quality below what was promised."""
    rng, runs, wrong, found = random.Random(21), 150, 0, 0
    for _ in range(runs):
        said = suggest(scored(rng, 600), 0.9, delta=DELTA)
        if said.threshold is not None:
            found += 1
            wrong += 0.7 + 0.15 * (1 + said.threshold) < 0.9  # the mean of 0.7 + 0.3 s from there to 1
    assert wrong / runs <= DELTA + noise(DELTA, runs)
    assert found > runs / 2


def test_a_suggestion_shows_what_it_rests_on() -> None:
    """The bounds hold the promise, n counts the labels from the threshold up, and few labels are "not yet"."""
    labels = scored(random.Random(22), 3_000)
    said = suggest(labels, 0.9)
    assert said.threshold is not None
    above = [right for score, right in labels if score >= said.threshold]
    assert said.n == len(above)
    assert said.quality == pytest.approx(sum(above) / said.n)
    assert said.low >= 0.9 > said.threshold
    assert said.accepted == pytest.approx(said.n / 3_000)
    few = suggest(labels[:20], 0.9)
    assert few.threshold is None
    assert few.more is not None
    assert few.why.startswith("not yet: 20 labels")
    assert suggest([], 0.9).why == "not yet: there are no labels"
    never = suggest([(0.5, 0.0)] * 500, 0.9)
    assert (never.threshold, never.more) == (None, None)


def test_ties_are_taken_whole() -> None:
    """A threshold never lies within labels of one score."""
    labels = [(1.0, 1.0)] * 100 + [(0.5, 1.0)] * 100 + [(0.1, 0.0)] * 100
    said = suggest(labels, 0.95)
    assert (said.threshold, said.n) == (0.5, 200)


def test_suggestions_count_labels_by_their_propensity() -> None:
    """What was drawn five times as often counts a fifth, in the mean and in what would be accepted."""
    labels = [(0.9, 1.0, 0.5)] * 500 + [(0.9, 1.0, 0.1)] * 300 + [(0.2, 0.0, 0.1)] * 100
    said = suggest(labels, 0.9)
    assert said.threshold == 0.9
    assert said.accepted == pytest.approx((1_000 + 3_000) / (1_000 + 3_000 + 1_000))
    assert said.low >= 0.9


# Where it runs.


def test_nothing_in_production_needs_numpy() -> None:
    """Alarms, shadow sampling, feedback and what is written from a log import without numpy and scipy."""
    names = "print('numpy' in sys.modules, 'scipy' in sys.modules)"
    modules = ("alarms", "alarm_files", "shadow", "shadow_outcomes", "feedback")
    code = f"import sys, {', '.join(f'fastcascade.evals.{each}' for each in modules)}; {names}"
    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "False"]


def test_a_stake_fits_the_falls_that_matter() -> None:
    """For falls of 2 to 50 points from 0.95 some stake grows at nearly the best rate there is, 0.85 of it."""
    for fall in (0.02, 0.03, 0.05, 0.1, 0.2, 0.5):
        wrong, allowed = 0.05 + fall, 0.05
        best = wrong * log(wrong / allowed) + (1 - wrong) * log((1 - wrong) / (1 - allowed))
        grown = max(wrong * log(1 + bet * (1 / allowed - 1)) + (1 - wrong) * log(1 - bet) for bet in BETS)
        assert grown >= 0.85 * best
