"""Economics: costs by path against a request by request count, break-even, intervals, and the worked figures."""

import json
import subprocess
import sys
from dataclasses import replace
from math import comb, inf, isclose, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from fastcascade.errors import ConfigError
from fastcascade.evals.economics import INSTRUCTIONS, VERDICT, Estimate, Workload, estimate
from fastcascade.evals.economics_account import percent, usd
from fastcascade.evals.economics_worked import ROUND, STATED, WORKED, climb, split, worked_document
from fastcascade.evals.live_bounds import exact
from fastcascade.evals.savings import saving
from fastcascade.messages import Usage
from fastcascade.prices import Price, PriceSheet

HAIKU, SONNET = Price(1, 5, 0.1), Price(3, 15, 0.3)
LOAD = Workload(per_day=100_000, tokens_in=1_000, tokens_out=400, escalated=0.2)
SHARE = st.floats(0, 1)


def near(left: float | None, right: float | None) -> bool:
    """Whether two sums are the same but for rounding."""
    return left is not None and right is not None and isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)


def of(load: Workload = LOAD, cheap: Price | str = HAIKU, dear: Price | str = SONNET, **others: Any) -> Estimate:
    """An estimate."""
    return estimate(load, cheap=cheap, dear=dear, **others)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """Any workload in which something comes to the cheap model."""
    parts = [draw(st.floats(0.01, 1)) for _ in range(4)]
    cached, rules, straight, _ = (part / sum(parts) for part in parts)
    return Workload(
        per_day=draw(st.floats(1, 1e7)),
        tokens_in=draw(st.floats(1, 1e5)),
        tokens_out=draw(st.floats(1, 1e4)),
        escalated=draw(SHARE),
        cached=cached,
        rules=rules,
        straight=straight,
        dear_tokens_out=draw(st.none() | st.floats(1, 1e4)),
        samples=draw(st.floats(1, 10)),
        prompt_cached=draw(SHARE),
    )


def test_it_agrees_with_a_request_by_request_count() -> None:
    """Cost, saving and shares are those of counting each request as the demo counts its own."""
    counts = {"cached": 10, "rules": 20, "cheap": 45, "escalated": 15, "straight": 10}
    load = Workload.by_path(
        {name: count / 100 for name, count in counts.items()},
        per_day=100, tokens_in=1_000, tokens_out=400, dear_tokens_out=600, samples=3,
        judge_in=1_500, judge_out=10, prompt_cached=0.5,
    )  # fmt: skip
    small = HAIKU.cost(Usage(1_000, 400, cache_read=500))
    dear = SONNET.cost(Usage(1_000, 600, cache_read=500))
    side = 3 * small + HAIKU.cost(Usage(1_500, 10))
    each = {"cached": 0.0, "rules": 0.0, "cheap": side, "escalated": side + dear, "straight": dear}
    pairs = [(each[name], dear) for name, count in counts.items() for _ in range(count)]
    made = of(load, judge=HAIKU)
    assert near(made.usd_per_day, sum(spent for spent, _ in pairs))
    assert near(made.baseline_usd_per_day, 100 * dear)
    assert near(made.saving, saving(pairs))
    assert near(made.rate, 15 / 60)
    assert near(made.pays_both, 0.15)
    assert [round(path.per_day) for path in made.paths] == list(counts.values())
    by_rules = sum(alone - spent for spent, alone in pairs[10:30]) / (100 * dear)
    assert near(made.saved_by["rules"], by_rules)


@given(workloads())
def test_the_parts_add_up(load: Workload) -> None:
    """Paths make up the total and all shares 1; the parts of the saving make up the saving."""
    made = of(load)
    assert near(sum(path.share for path in made.paths), 1.0)
    assert near(sum(path.usd_per_day for path in made.paths), made.usd_per_day)
    assert near(sum(made.saved_by.values()), made.saving)


@given(workloads())
def test_nothing_is_saved_by_the_cheap_model_at_break_even(load: Workload) -> None:
    """At the break-even rate the cheap model brings nothing, below it something, above it a loss."""
    even = of(load).break_even
    assert even is not None
    if 0 <= even <= 1:
        assert abs(of(replace(load, escalated=even)).saved_by["cheap"]) < 1e-9
    brought = of(load).saved_by["cheap"]
    assert (brought >= -1e-9) if load.rate <= even else (brought <= 1e-9)


@given(workloads(), st.integers(0, 50), st.integers(1, 50))
def test_the_interval_of_a_saving_is_that_of_its_rate(load: Workload, count: int, n: int) -> None:
    """The saving at the ends of the rate's interval are the ends of the saving's, and it lies between them."""
    load = replace(load, escalated=(min(count, n), n))
    made = of(load)
    assert made.rate_interval is not None
    assert made.saving_interval is not None
    assert made.saving is not None
    low, high = (of(replace(load, escalated=rate)).saving for rate in made.rate_interval)
    assert near(made.saving_interval[0], high)
    assert near(made.saving_interval[1], low)
    assert made.saving_interval[0] - 1e-9 <= made.saving <= made.saving_interval[1] + 1e-9


@pytest.mark.parametrize(
    ("count", "n"), [(0, 0), (0, 5), (5, 5), (6, 30), (1, 1_000), (500, 1_000), (99_999, 100_000), (3, 1_000_000)]
)
def test_the_interval_of_a_rate_is_exact(count: int, n: int) -> None:
    """It is that of Clopper and Pearson, for few cases and a million."""
    found = exact(count, n)
    known = binomtest(count, n).proportion_ci() if n else (0.0, 1.0)
    assert found == pytest.approx(tuple(known), rel=1e-5, abs=1e-12)
    if count and n <= 30:  # by the definition: at the lower end, so many or more are as seldom as said
        low = found[0]
        assert sum(comb(n, k) * low**k * (1 - low) ** (n - k) for k in range(count, n + 1)) == pytest.approx(0.025)


def test_a_wider_confidence_is_a_wider_interval() -> None:
    """99 % takes more room than 95 %, around the same share."""
    (low, high), (lower, higher) = exact(6, 30), exact(6, 30, 0.99)
    assert lower < low < 0.2 < high < higher


@given(workloads(), st.sampled_from([0, 1, 2, 3]))
def test_the_sensitivity_is_the_estimate_of_a_moved_input(load: Workload, at: int) -> None:
    """Each row is what the estimate says with that input alone moved; the widest swing comes first."""
    made = of(load)
    rows = {row.input: row for row in made.sensitivity}
    step = made.sensitivity[0].steps[at]
    moved = replace(load, escalated=min(1.0, load.rate * (1 + step)))
    if load.rate:
        assert near(rows["escalated"].saving[at], of(moved).saving)
    assert near(rows["tokens_in"].saving[at], of(replace(load, tokens_in=load.tokens_in * (1 + step))).saving)
    assert near(rows["dear_price"].saving[at], of(load, dear=scaled(SONNET, 1 + step)).saving)
    swings = [row.swing for row in made.sensitivity]
    assert swings == sorted(swings, reverse=True)
    assert rows["per_day"].swing == 0


def scaled(price: Price, factor: float) -> Price:
    """All rates at once."""
    return Price(price.input * factor, price.output * factor, (price.cache_read or 0) * factor)


def test_only_what_is_there_is_moved() -> None:
    """Inputs that are nothing, or one sample, have no row; a share is held at what the others leave."""
    names = {row.input for row in of().sensitivity}
    assert names == {"escalated", "tokens_in", "tokens_out", "per_day", "cheap_price", "dear_price"}
    full = replace(LOAD, cached=0.5, rules=0.45, straight=0.05, samples=2, prompt_cached=0.9)
    rows = {row.input: row for row in of(full).sensitivity}
    assert near(rows["cached"].saving[3], 1 - 0.05)
    assert "samples" in rows


def test_the_judge_is_paid_for_before_the_gate() -> None:
    """Samples and judge are paid for accepted and escalated requests alike, with the judge's default tokens."""
    judge = Price(0.5, 2)
    made = of(replace(LOAD, samples=3), judge=judge)
    verdict = judge.estimate(1_000 + 400 + INSTRUCTIONS, VERDICT)
    side = 3 * HAIKU.estimate(1_000, 400) + verdict
    costs = {path.name: path.usd_each for path in made.paths}
    assert near(costs["cheap"], side)
    assert near(costs["escalated"], side + SONNET.estimate(1_000, 400))
    assert near(made.break_even, 1 - side / SONNET.estimate(1_000, 400))


def test_the_mean_time_counts_both_waits() -> None:
    """An escalated request waits for both models, and the cache and rules for nobody."""
    load = replace(LOAD, cached=0.5, straight=0.1, cheap_seconds=1.0, dear_seconds=4.0)
    made = of(load)
    assert near(made.mean_seconds, 0.4 * (1 + 0.2 * 4) + 0.1 * 4)
    assert near(made.pays_both, 0.08)
    assert of(replace(load, dear_seconds=None)).mean_seconds is None


VERDICTS = [
    (replace(LOAD, escalated=0.2), "It pays: 46.7 % saved", []),
    (replace(LOAD, escalated=0.45), "It pays", ["warning: 45.0 %"]),
    (replace(LOAD, escalated=0.55), "It pays", ["redesign: 55.0 %"]),
    (replace(LOAD, escalated=0.8), "The cheap model costs more", ["redesign", "loss: it costs 13.3 %"]),
    (replace(LOAD, escalated=(6, 30)), "It pays", []),
    (replace(LOAD, escalated=(2, 5)), "Not settled", ["not settled: from n = 5"]),
    (replace(LOAD, escalated=(12, 30)), "It pays", ["not settled: from n = 30"]),
    (replace(LOAD, samples=3), "The cheap model pays at no escalation rate", ["loss"]),
    (replace(LOAD, per_day=0), "Nothing to save: there are no requests", []),
    (replace(LOAD, cached=0.4, straight=0.6), "No request comes to the cheap model", []),
]


@pytest.mark.parametrize(("load", "says", "lines"), VERDICTS)
def test_the_verdict_and_the_alerts(load: Workload, says: str, lines: list[str]) -> None:
    """Above 40 % it warns, above 50 % it says redesign; few cases are said not to settle it, a loss is called one."""
    made = of(load)
    assert made.verdict.startswith(says)
    assert len(made.alerts) == len(lines)
    assert all(found.startswith(line) for found, line in zip(made.alerts, lines, strict=True))


def test_a_dear_model_that_is_free_leaves_nothing_to_save() -> None:
    """Nothing is divided by nothing."""
    made = of(dear=Price(0, 0))
    assert made.saving is None
    assert made.break_even is None
    assert made.saved_by == {}
    assert made.verdict.startswith("Nothing to save: the dear model costs nothing")


def test_prices_are_looked_up_and_dated() -> None:
    """A model's name is looked up in the sheet, whose date comes along."""
    sheet = PriceSheet({"mine": Price(1, 5, date="2026-11-01"), "large": Price(3, 15, date="2026-11-02")}, None)
    made = of(cheap="mine", dear="large", sheet=sheet)
    assert made.sheet_date == "2026-11-01"
    assert made.models == {"cheap": "mine", "dear": "large"}
    assert near(made.usd_per_day, of().usd_per_day)


def test_long_prompts_and_unknown_cache_prices_are_said() -> None:
    """Where the price used is not quite the one that will be charged, an alert says so."""
    pytest.importorskip("genai_prices")
    sheet = PriceSheet({"plain": Price(1, 5)})
    load = replace(LOAD, tokens_in=500_000, prompt_cached=0.5)
    notes = of(load, cheap="plain", dear="gemini-2.5-pro", sheet=sheet).alerts
    assert any(note.startswith("the cheap model's price says nothing of cached prompts") for note in notes)
    assert any("gemini-2.5-pro charges otherwise for prompts this long" in note for note in notes)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"per_day": -1}, "a workload's per_day must be zero or more, not -1"),
    ({"tokens_in": nan}, "a workload's tokens_in"),
    ({"tokens_out": inf}, "a workload's tokens_out"),
    ({"escalated": 20}, "a workload's escalated must be a share from 0 to 1, not 20"),
    ({"escalated": (7, 6)}, "k of n cases escalated"),
    ({"escalated": (0, 0)}, "k of n cases escalated"),
    ({"escalated": (1.5, 6)}, "k of n cases escalated"),
    ({"escalated": True}, "a workload's escalated"),
    ({"cached": 1.5}, "a workload's cached"),
    ({"cached": 0.6, "rules": 0.6}, "together more than 1: 0.6 + 0.6 + 0"),
    ({"samples": 0}, "a workload's samples must be 1 or more"),
    ({"prompt_cached": 2}, "a workload's prompt_cached"),
    ({"dear_seconds": "3"}, "a workload's dear_seconds"),
]


@pytest.mark.parametrize(("change", "says"), REFUSED)
def test_bad_input_is_named(change: dict[str, Any], says: str) -> None:
    """What cannot be is refused, by the name of the field."""
    with pytest.raises(ConfigError) as caught:
        replace(LOAD, **change)
    assert says in str(caught.value)


def test_bad_shares_and_models_are_named() -> None:
    """Paths that do not exist or do not add up, and models without a price, are refused by name."""
    rest: dict[str, Any] = {"per_day": 1, "tokens_in": 1, "tokens_out": 1}
    with pytest.raises(ConfigError, match="there is no path 'chep'"):
        Workload.by_path({"chep": 1.0}, **rest)
    with pytest.raises(ConfigError, match=r"must add up to 1, not 0\.5"):
        Workload.by_path({"cheap": 0.5}, **rest)
    assert Workload.by_path({"straight": 1.0}, **rest).rate == 0
    with pytest.raises(ConfigError, match="no price for the dear model 'none-such'"):
        of(dear="none-such")
    with pytest.raises(ConfigError, match="genai-prices is not installed"):
        of(dear="none-such", sheet=PriceSheet(None, None))
    unpriced: Any = 3
    with pytest.raises(ConfigError, match="the cheap model must be a Price or a model's name, not int"):
        of(cheap=unpriced)


def test_the_worked_figures_are_reproduced() -> None:
    """The claimed totals come out of a split, and ours of the same prices paid on the way up."""
    three, two, savings, lines = WORKED
    assert near(split(100_000, (0.6, 0.3, 0.1), ROUND), three.claimed["usd"])
    assert near(three.ours.values["usd"], 910)
    assert near(three.ours.values["saving"], 0.09)
    assert near(split(1_000_000, (0.8, 0.2), STATED), two.claimed["usd"])
    assert near(two.ours.values["usd"], 2_300)
    assert near(two.ours.values["saving"], two.claimed["saving"])
    assert near(two.readings[0].values["saving"], 0.776)
    assert savings.readings[-1].values["rate for 84 %"] is None
    assert lines.readings[-1].values["break-even, 3 samples"] == 0


def test_the_worked_figures_are_estimates_too() -> None:
    """What the tables say of two models is what `estimate` says of them: one way of counting, not two."""
    cheap, dear = (Price(0, 0, per_call=each) for each in STATED)
    load = Workload(per_day=1_000_000, tokens_in=0, tokens_out=0, escalated=0.2)
    made = of(load, cheap, dear)
    assert near(made.usd_per_day, WORKED[1].ours.values["usd"])
    assert near(made.saving, WORKED[1].ours.values["saving"])
    assert near(of(replace(load, samples=3), cheap, dear).usd_per_day, WORKED[1].readings[1].values["usd"])
    known = split(1_000_000, (0.8, 0.2), STATED)
    assert near(made.usd_per_day - known, 200_000 * STATED[0])
    assert near(climb(1_000_000, (0.8, 0.2), STATED), made.usd_per_day)
    for reading, ratio in zip(WORKED[3].readings, (0.01, 0.03, 1 / 12, 1 / 3), strict=True):
        priced = of(load, Price(0, 0, per_call=0.01 * ratio), dear)
        assert near(reading.values["break-even"], priced.break_even)
    for reading, ratio in zip(WORKED[2].readings, (0.01, 0.03, 1 / 12, 1 / 3), strict=True):
        if (rate := reading.values["rate for 84 %"]) is not None:
            small = Price(0, 0, per_call=0.01 * ratio)
            assert near(of(replace(load, escalated=rate), small, dear).saving, 0.84)


def test_documents_are_json() -> None:
    """Both documents go through JSON, with no number that JSON lacks."""
    made = of(replace(LOAD, escalated=(6, 30)))
    found = json.loads(json.dumps([made.document(), worked_document()], allow_nan=False))
    assert found[0]["break_even"] == made.break_even
    assert near(found[0]["usd_per_month"], 30 * made.usd_per_day)
    assert found[1][0]["ours"]["values"]["usd"] == 910


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (0, "$0.00"),
        (1e-20, "$0.00"),
        (0.0123456, "$0.01235"),
        (1e-6, "$1.000e-06"),
        (-5, "-$5.00"),
        (1e4, "$10,000.00"),
    ],
)
def test_dollars_are_readable(amount: float, said: str) -> None:
    """Large amounts to the cent, small ones to four digits."""
    assert usd(amount) == said
    assert percent(0.12345) == "12.3 %"


def test_it_needs_no_numpy() -> None:
    """Whoever has no numpy can still estimate."""
    code = "import sys, fastcascade.evals.economics, fastcascade.cli.estimate; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
