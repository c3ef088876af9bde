"""The regression gate: its error rates, its power, and what it says of them."""

import math
from itertools import pairwise, product
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastcascade import ConfigError
from fastcascade.evals.bounds import margin_p
from fastcascade.evals.compare_report import junit, markdown, text
from fastcascade.evals.comparison import Comparison, compare, judge
from fastcascade.evals.outcomes import Floats
from fastcascade.evals.paired import Pairs, exact_p, holm

TRIALS = 300


def pairs(draw: np.random.Generator, n: int, differ: float, mean: float) -> tuple[Floats, Floats]:
    """Grades of 0 and 1 of two arms that differ so often, the new one better by so much on average."""
    won, lost = (differ + mean) / 2, (differ - mean) / 2
    kind = draw.choice(4, n, p=[won, lost, (1 - differ) * 0.7, (1 - differ) * 0.3])
    return np.isin(kind, (1, 2)).astype(float), np.isin(kind, (0, 2)).astype(float)


def graded(draw: np.random.Generator, n: int, mean: float) -> tuple[Floats, Floats]:
    """Grades between, of two arms, the new one better by so much on average."""
    old = np.asarray(draw.beta(4, 2, n)) * 0.8 + 0.1
    return old, old + mean + draw.uniform(-0.08, 0.08, n)


def noise(rate: float, trials: int = TRIALS) -> float:
    """What a share may lie above a rate by chance: four deviations."""
    return 4 * math.sqrt(rate * (1 - rate) / trials)


@pytest.mark.parametrize(("n", "bound"), [(8, -0.3), (20, -0.1), (20, 0.0), (30, -0.02), (20, 0.1)])
def test_the_exact_test_keeps_its_error_for_every_rate(n: int, bound: float) -> None:
    """All results of a few cases are weighed: at the bound no rate of disagreement rejects more than stated."""
    results = [(wins, losses) for wins, losses in product(range(n + 1), repeat=2) if wins + losses <= n]
    chances = np.array([exact_p(wins, losses, n, bound) for wins, losses in results])
    counts = np.array([(wins, losses, n - wins - losses) for wins, losses in results])
    for rate in np.linspace(max(abs(bound), 0.001), 1, 60):
        likely = np.asarray(stats.multinomial.pmf(counts, n, [(rate + bound) / 2, (rate - bound) / 2, 1 - rate]))
        for delta in (0.01, 0.05, 0.1):
            assert likely[chances <= delta].sum() <= delta + 1e-9


@given(st.integers(1, 60), st.data())
@settings(max_examples=60, deadline=None)
def test_a_p_value_moves_the_right_way(n: int, data: st.DataObject) -> None:
    """One more case won never makes it harder, and a higher bound never easier beyond what the search leaves open."""
    losses = data.draw(st.integers(0, n))
    wins = data.draw(st.integers(0, n - losses))
    bounds = (-0.5, -0.1, -0.02, 0.0, 0.05, 0.4)
    found = [exact_p(wins, losses, n, bound) for bound in bounds]
    assert all(0 <= each <= 1 for each in found)
    assert all(low <= high + 1e-3 for low, high in pairwise(found))
    if losses:
        assert exact_p(wins, losses - 1, n, -0.02) <= exact_p(wins, losses, n, -0.02) + 1e-9


@pytest.mark.parametrize(("wins", "losses", "n"), [(0, 0, 300), (20, 22, 800), (50, 50, 1000), (5, 1, 60)])
def test_it_agrees_with_the_other_exact_test(wins: int, losses: int, n: int) -> None:
    """Another statistic, bounding another nuisance, comes to about the same."""
    assert exact_p(wins, losses, n, -0.02) == pytest.approx(margin_p(losses, wins, n, 0.02, 1e-4), rel=0.35, abs=1e-2)


def test_ends_are_the_test_turned_round() -> None:
    """A bound below the lower end is rejected and one above it is not, whichever test it is."""
    draw = np.random.default_rng(3)
    for old, new in (pairs(draw, 300, 0.2, 0.02), graded(draw, 300, 0.02)):
        each = Pairs(new - old)
        low, high = each.low(0.05), each.high(0.05)
        assert low < each.mean < high
        assert each.above(low - 2e-3) <= 0.05 < each.above(low + 2e-3)
        assert each.below(high + 2e-3) <= 0.05 < each.below(high - 2e-3)
    assert Pairs(np.full(5, -1.0)).low(0.05) == -1.0


@pytest.mark.parametrize(
    ("values", "held"),
    [
        ([0.001, 0.02, 0.03], [True, True, True]),
        ([0.04, 0.001, 0.03], [False, True, False]),
        ([0.02, 0.9], [True, False]),
        ([], []),
    ],
)
def test_holm_goes_step_by_step(values: list[float], held: list[bool]) -> None:
    """The least p-value must do for all, the next for the rest, and the first that does not ends it."""
    assert holm(np.array(values), 0.05) == held


def parts(old: Floats, new: Floats, ends: list[int], weights: Floats | None = None) -> list[Pairs]:
    """All cases, and slices that begin at these."""
    whole = np.arange(len(old))
    places = [whole, *np.split(whole, ends)]
    return [Pairs(new[at] - old[at], None if weights is None else weights[at]) for at in places]


@pytest.mark.parametrize("kind", ["exact", "betting", "weighted"])
def test_no_worse_is_seldom_said_wrongly(kind: str) -> None:
    """At the margin itself, in three slices and overall, the whole table is wrong at most a share delta of the time."""
    draw, wrong = np.random.default_rng(5), 0
    for _ in range(TRIALS):
        old, new = graded(draw, 300, -0.05) if kind == "betting" else pairs(draw, 300, 0.15, -0.05)
        weights = draw.uniform(0.5, 2, 300) if kind == "weighted" else None
        each = parts(old, new, [60, 150], weights)
        assert each[0].exact == (kind == "exact")
        wrong += any(judge(each, 0.05, 0.05)[1])
    assert wrong / TRIALS <= 0.05 + noise(0.05)


def test_a_slice_below_the_margin_is_seldom_called_no_worse() -> None:
    """Where the whole is well within the margin and two slices are at it, neither is let through more than stated."""
    draw, wrong = np.random.default_rng(9), 0
    for _ in range(TRIALS):
        worse, fine = pairs(draw, 200, 0.2, -0.05), pairs(draw, 800, 0.1, 0.02)
        old, new = (np.concatenate(each) for each in zip(worse, fine, strict=True))
        wrong += any(judge(parts(old, new, [100, 200]), 0.05, 0.05)[1][1:3])
    assert wrong / TRIALS <= 0.05 + noise(0.05)


@pytest.mark.parametrize("differ", [0.05, 0.5])
def test_worse_is_seldom_said_wrongly(differ: float) -> None:
    """Where nothing changed on average, the whole table says worse at most a share delta of the time."""
    draw = np.random.default_rng(6)
    tables = [parts(*pairs(draw, 200, differ, 0.0), [50, 100, 150]) for _ in range(TRIALS)]
    assert np.mean([any(judge(each, 0.02, 0.05)[2]) for each in tables]) <= 0.05 + noise(0.05)


@pytest.mark.parametrize(("n", "differ", "least"), [(400, 0.02, 0.85), (1000, 0.06, 0.75), (2000, 0.1, 0.85)])
def test_power_is_what_is_stated(n: int, differ: float, least: float) -> None:
    """Two arms alike but for so many cases are shown to be within 2 points this often."""
    draw = np.random.default_rng(7)
    found = [Pairs(new - old).above(-0.02) <= 0.05 for old, new in (pairs(draw, n, differ, 0.0) for _ in range(TRIALS))]
    assert np.mean(found) >= least - noise(least)


def test_a_slice_that_broke_is_found_though_the_whole_is_fine() -> None:
    """A slice that is proved worse fails the gate, and its cases are listed; the whole may be no worse."""
    old = np.ones(4000)
    new = np.ones(4000)
    new[:20] = 0
    slices = np.array(["small"] * 40 + ["large"] * 3960)
    found = compare(old, new, slices=slices, ids=[f"case-{each}" for each in range(4000)])
    verdicts = {row.name: row.verdict for row in found.rows}
    assert verdicts == {"overall": "no worse", "large": "no worse", "small": "worse"}
    assert (found.verdict, found.exit_code(), found.lost_count, found.won_count) == ("worse", 1, 20, 0)
    assert found.lost[0].case == "case-0" and found.lost[0].slice == "small" and found.overall.lower


def test_few_cases_show_nothing_and_say_how_many_would() -> None:
    """Thirty cases without one flip do not show 2 points; the exit code says so where it is asked to."""
    found = compare(np.ones(30), np.ones(30))
    assert (found.verdict, found.exit_code(), found.exit_code(strict=True)) == ("not shown", 0, 2)
    more = found.overall.more_cases
    assert more is not None and compare(np.ones(30 + more), np.ones(30 + more)).verdict == "no worse"
    assert compare(np.ones(30), np.r_[np.zeros(2), np.ones(28)]).overall.more_cases is None


@given(st.lists(st.sampled_from([(1, 1), (1, 0), (0, 1), (0.5, 0.75)]), min_size=2, max_size=60), st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_cases_does_not_matter(cases: list[tuple[float, float]], chance: object) -> None:
    """The same cases in another order come to the same rows."""
    other = cases.copy()
    chance.shuffle(other)  # type: ignore[attr-defined]
    rows = [compare(*np.array(each, dtype=float).T, margin=0.1).overall for each in (cases, other)]
    assert rows[0].p == pytest.approx(rows[1].p, rel=1e-9) and rows[0].verdict == rows[1].verdict


def test_cost_and_latency_have_intervals() -> None:
    """What fell by a fifth is said to have, with an interval that holds it; blocks come to the same."""
    draw = np.random.default_rng(8)
    for n in (400, 20_000):
        cost = draw.exponential(1.0, n)
        new = cost * draw.uniform(0.6, 1.0, n)
        found = compare(np.ones(n), np.ones(n), cost_old=cost, cost_new=new, latency_old=cost * 0, latency_new=new)
        change, latency = found.changes
        assert change.low < -0.2 + 2e-2 and change.high > -0.2 - 2e-2 and change.low < change.change < change.high
        assert math.isnan(latency.change) and found.as_dict()["changes"][1]["change"] is None
        assert (change.high - change.low) < 0.1 * math.sqrt(400 / n)


WRONG = [
    ({"margin": 0.0}, "margin must be above 0"),
    ({"delta": 0.7}, "delta must be"),
    ({"new": [1.0]}, "same cases"),
    ({"new": [1.0, 2.0]}, "new of case 1 must be from 0 to 1, not 2.0"),
    ({"old": ["a", "b"]}, "old must be numbers"),
    ({"old": [[1.0], [1.0]]}, "shape"),
    ({"weights": [0.0, 0.0]}, "weigh nothing"),
    ({"weights": [1.0]}, "one number to each of 2"),
    ({"slices": ["a"]}, "1 slices"),
    ({"cost_old": [1.0, 1.0]}, "both cost_old and cost_new"),
    ({"old": [], "new": []}, "at least one"),
]


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_what_cannot_be_compared_is_refused(given: dict[str, object], said: str) -> None:
    """The message names what is at fault."""
    arguments: dict[str, object] = {"old": [1.0, 0.0], "new": [1.0, 1.0]} | given
    with pytest.raises(ConfigError, match=said):
        compare(**arguments)  # type: ignore[arg-type]


def nasty(name: str) -> Comparison:
    """A comparison in which all that users write is this."""
    old, new = np.r_[np.ones(50), np.zeros(50)], np.r_[np.zeros(40), np.ones(60)]
    return compare(old, new, slices=np.full(100, name, dtype=object), ids=[name] * 100, cost_old=old, cost_new=new)


@given(st.text(max_size=40))
@settings(max_examples=30, deadline=None)
def test_what_users_wrote_breaks_no_report(name: str) -> None:
    """Any name leaves XML that parses, tables with their columns, and lines without control characters."""
    found = nasty(name)
    root = ET.fromstring(junit(found).encode())  # noqa: S314 - it is ours
    assert len(root.findall(".//testcase")) == len(found.rows)
    table = markdown(found)
    assert {line.count("|") for line in table.split("\n") if line.startswith("|")} <= {5, 6, 7}
    assert not any(each < " " and each != "\n" for each in table + text(found))


def test_markup_is_shown_and_not_obeyed() -> None:
    """HTML, links, pictures and mentions in a name come out as text."""
    said = markdown(nasty("</details><b>@team [x](http://y) ![p](q) a|b\nc"))
    inner = [line for line in said.split("\n") if "team" in line]
    assert inner and all(sign not in line for line in inner for sign in ("<b>", "</details>", "@", "](", "![", "//y."))
    assert said.count("<details>") == said.count("</details>") == 2


@pytest.mark.parametrize(("strict", "failures", "skipped"), [(False, 0, 2), (True, 2, 0)])
def test_junit_counts_what_ci_counts(strict: bool, failures: int, skipped: int) -> None:
    """What was not shown is skipped, or fails if strict; a slice called overall stays apart from the whole."""
    found = compare(np.ones(30), np.ones(30), slices=["overall"] * 30)
    suite = ET.fromstring(junit(found, strict=strict).encode())[0]  # noqa: S314 - it is ours
    assert (suite.get("failures"), suite.get("skipped"), suite.get("tests")) == (str(failures), str(skipped), "2")
    assert len({(each.get("classname"), each.get("name")) for each in suite}) == 2
    assert len(suite.findall(".//failure")) == failures and len(suite.findall(".//skipped")) == skipped


def test_text_says_verdict_numbers_and_terms() -> None:
    """The terminal shows the verdict first, each figure with its n and interval, and what the words mean."""
    said = text(compare(np.ones(30), np.ones(30), cost_old=np.ones(30), cost_new=np.ones(30) / 2))
    assert said.startswith("not shown: ") and "more cases needed" in said
    assert "cost, dollars a case: 1 -> 0.5, -50.0 %" in said
    assert "n=30" in said and "95 % confidence" in said
