"""Reports: the page, the Markdown and the JSON say what the data say, and nothing that a user wrote gets out."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.evals import report_tables
from fastcascade.evals.evaluation import evaluate
from fastcascade.evals.outcomes import Outcomes
from fastcascade.evals.plot_parts import clean, ticks
from fastcascade.evals.report import ReportData, html_of, json_of, markdown_of, write_report
from fastcascade.evals.report_evaluation import report_of
from fastcascade.evals.report_html import DARK, LIGHT
from fastcascade.evals.report_sums import Sums, curve
from fastcascade.evals.report_words import figure

VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "</title><script src=http://evil.example>\"'&\x00\u202e|`[x](http://evil.example)\nnext"


def table(n: int, seed: int = 0, names: int = 3) -> tuple[Outcomes, np.ndarray]:
    """Made-up cases whose score is how likely the cheap answer is right."""
    draw = np.random.default_rng(seed)
    score = draw.random(n)
    outcomes = Outcomes(
        (draw.random(n) < score).astype(float),
        (draw.random(n) < 0.9).astype(float),
        draw.uniform(0.001, 0.002, n),
        draw.uniform(0.01, 0.03, n),
        slices=np.array([f"slice {each}" for each in draw.integers(0, names, n)], dtype=object) if names else None,
        name="folder/made up.csv",
    )
    return outcomes, score


class Page(HTMLParser):
    """Checks that each element is closed in its order, and keeps what could fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def drawings(page: str) -> list[ET.Element]:
    """The SVGs of a page, read as XML."""
    return [ET.fromstring(each) for each in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]  # noqa: S314  # our own


def check(data: ReportData) -> str:
    """What holds for any report; gives back the page."""
    page = html_of(data)
    read = Page(page)
    assert not read.tags & {"script", "link", "img", "iframe", "object", "image", "use", "form", "a"}
    assert not read.attributes & {"src", "href", "style", "onload", "onclick", "action"}
    for each in drawings(page):
        assert [part.tag for part in each][:2] == ["title", "desc"] and all(part.text for part in each[:2])
        assert "nan" not in ET.tostring(each, "unicode").split("<desc")[1].split("</desc>")[1].lower()
    assert json.loads(json_of(data)) == data.as_dict()
    rows = [line for line in markdown_of(data).splitlines() if line.startswith("|")]
    assert all(re.fullmatch(r"\|(?:[^|\\]|\\.)*(?:\|(?:[^|\\]|\\.)*)+\|", row) for row in rows)
    return page


def test_the_figures_of_the_page_are_those_of_the_data() -> None:
    """Each headline figure stands in the page and in the Markdown with its interval and its n."""
    outcomes, score = table(2000)
    data = ReportData.of(outcomes, score, 0.6, calibrated=score, router=score[::-1].copy(), date="2026-11-21")
    shown = "".join(Page(check(data)).text)
    assert data.date in shown and data.fingerprint in shown and "made up.csv" in shown and "folder" not in shown
    for each in data.headline.values():
        assert figure(each) in shown and figure(each).replace("$", "\\$") in markdown_of(data)
        assert each.low <= each.value <= each.high and each.n > 0
    assert len(drawings(html_of(data))) == 5
    gone = score < 0.6
    assert math.isclose(data.headline["quality"].value, np.where(gone, outcomes.dear, outcomes.cheap).mean())
    cost = outcomes.cheap_cost + np.where(gone, outcomes.dear_cost, 0)
    assert math.isclose(data.headline["cost of a case"].value, cost.mean())
    assert math.isclose(data.headline["saved of always dear"].value, 1 - cost.sum() / outcomes.dear_cost.sum())
    assert sum(each.spent.value for each in data.paths) == pytest.approx(1)
    assert sum(each.escalated.n for each in data.slices) == len(outcomes)
    assert sum(each.n_right + each.n_wrong for each in data.histogram) == len(outcomes)


def test_what_users_wrote_is_text() -> None:
    """Names full of markup, control characters and links open no element, no row and no link."""
    outcomes, score = table(50)
    names = np.array([HOSTILE, "a|b", *["c"] * 48], dtype=object)
    hostile = Outcomes(
        outcomes.cheap, outcomes.dear, outcomes.cheap_cost, outcomes.dear_cost, slices=names, name=HOSTILE
    )
    data = ReportData.of(hostile, score, 0.5, title=HOSTILE, date=HOSTILE, recommendation=HOSTILE, limits=[HOSTILE])
    page = check(data)
    assert "<script" not in page and "\x00" not in page and "\u202e" not in page
    text = markdown_of(data)
    assert "<script" not in text.replace("\\<", "") and "](http" not in text.replace("\\]", "")
    slices = text.split("## Slices")[1].strip().splitlines()
    assert sum(line.startswith("|") for line in slices[: 2 + len(data.slices)]) == 2 + len(data.slices)


def test_the_page_allows_nothing_but_its_own_style() -> None:
    """The policy names the style by its digest, and nothing is fetched."""
    outcomes, score = table(20)
    page = html_of(ReportData.of(outcomes, score, 0.5))
    assert "default-src 'none'; style-src 'sha256-" in page
    assert "url(" not in page and "@import" not in page and "http" not in page.replace("http-equiv", "")


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 30),
    scores=st.sampled_from(["random", "same", "nan", "some nan", "large", "huge"]),
    threshold=st.sampled_from([-1e9, 0.5, 0.0, 1e9]),
    names=st.sampled_from([0, 1, 40]),
    routed=st.booleans(),
    priced=st.booleans(),
)
def test_any_table_makes_a_report(
    n: int, scores: str, threshold: float, names: int, routed: bool, priced: bool
) -> None:
    """One case, one slice, all scores the same, none at all, no price: a whole page, and JSON that reads back."""
    outcomes, score = table(n, seed=n, names=names)
    if not priced:
        free = np.zeros(n)
        outcomes = Outcomes(outcomes.cheap, outcomes.dear, free, free, slices=outcomes.slices)
    score = {
        "random": score,
        "same": np.full(n, 0.5),
        "nan": np.full(n, np.nan),
        "some nan": np.where(score < 0.5, np.nan, score),
        "large": score * -1e6,
        "huge": np.full(n, 1e300),
    }[scores]
    check(ReportData.of(outcomes, score, threshold, calibrated=np.full(n, 0.5), router=score if routed else None))


@settings(max_examples=60, deadline=None)
@given(scores=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), min_size=1, max_size=25))
def test_the_curve_is_each_threshold_by_itself(scores: list[float]) -> None:
    """Every point is what that threshold gives when it is worked out alone, interval and all."""
    outcomes, _ = table(len(scores), seed=3)
    score, sums = np.array(scores), Sums(np.linspace(1, 2, len(scores)), 0.9)
    both = outcomes.cheap_cost + outcomes.dear_cost
    found = curve(score, (outcomes.cheap, outcomes.cheap_cost), (outcomes.dear, both), sums)
    assert found.threshold == (math.inf, *sorted({each for each in scores if not math.isnan(each)}, reverse=True))
    for at, threshold in enumerate(found.threshold):
        keep = score >= threshold
        quality = sums.share(np.where(keep, outcomes.cheap, outcomes.dear))
        cost = sums.mean(np.where(keep, outcomes.cheap_cost, both))
        seen = (found.quality[at], found.quality_low[at], found.quality_high[at])
        assert seen == pytest.approx((quality.value, quality.low, quality.high))
        paid = (found.cost[at], found.cost_low[at], found.cost_high[at])
        assert paid == pytest.approx((cost.value, cost.low, cost.high), abs=1e-9, nan_ok=True)


def test_the_oracle_is_above_the_curve() -> None:
    """Nobody who sees less than both grades does better for the same money, and it ends where the oracle stands."""
    outcomes, score = table(500)
    data = ReportData.of(outcomes, score, 0.5)
    best = np.interp(data.curve.cost, data.oracle.cost[::-1], data.oracle.quality[::-1])
    assert (best >= np.array(data.curve.quality) - 1e-9).all()
    assert data.oracle.quality[0] == pytest.approx(data.baselines[2].quality.value)


def test_a_share_interval_is_wilsons() -> None:
    """Five right of ten is 23.7 to 76.3 in a hundred; none right of ten is 0 to 27.8."""
    sums = Sums(np.ones(10), 0.95)
    half, none = sums.share(np.repeat([0.0, 1.0], 5)), sums.share(np.zeros(10))
    assert (half.low, half.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert (none.low, none.high) == pytest.approx((0.0, 0.2775), abs=1e-4)


@pytest.mark.parametrize(
    ("threshold", "cheap_cost", "start"),
    [(0.5, 0.001, "Keep the cheap"), (-1.0, 0.001, "Never escalate"), (0.9, 1.0, "Do not cascade")],
)
def test_the_advice_follows_the_figures(threshold: float, cheap_cost: float, start: str) -> None:
    """A sentence says to cascade, never to escalate, or not to cascade where no saving is shown."""
    outcomes, score = table(300)
    priced = Outcomes(outcomes.cheap, outcomes.dear, np.full(300, cheap_cost), outcomes.dear_cost)
    assert ReportData.of(priced, score, threshold).recommendation.startswith(start)


def test_decisions_that_are_given_are_the_ones_shown() -> None:
    """Decisions of one's own, by slice or held out, stand in the place of the threshold's."""
    outcomes, score = table(100)
    data = ReportData.of(outcomes, score, 0.5, decisions=np.ones(100, dtype=bool))
    assert data.headline["quality"] == data.headline["quality of always dear"]
    assert any("No cheap answer was kept" in each for each in data.limits)


def test_tables_are_as_wide_as_their_heads() -> None:
    """Each row of each table has one text to each column."""
    outcomes, score = table(400, names=60)
    data = ReportData.of(outcomes, score, 0.5, calibrated=score)
    makers = (report_tables.headline, report_tables.about, report_tables.others, report_tables.reliability)
    found = [each(data) for each in (*makers, report_tables.histogram, report_tables.slices, report_tables.paths)]
    for each in (*found, report_tables.curve(data.curve, "x")):
        assert each.rows and {len(row) for row in each.rows} == {len(each.head)}
    assert len(data.slices) == 31 and data.slices[-1].name.endswith("others together")


def brightness(color: str) -> float:
    """The relative luminance of WCAG 2."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    lit = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * lit[0] + 0.7152 * lit[1] + 0.0722 * lit[2]


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_colors_hold_the_contrast_of_text(colors: dict[str, str]) -> None:
    """Ink, notes and all series have a contrast of 4.5 or more on the paper and on the shade."""
    for ground in ("paper", "shade"):
        for name in ("ink", "muted", "c1", "c2", "c3", "c4", "c5"):
            one, other = sorted((brightness(colors[name]), brightness(colors[ground])))
            assert (other + 0.05) / (one + 0.05) >= 4.5, (name, ground)


def test_a_million_cases_make_a_small_file(tmp_path: Path) -> None:
    """However many cases and slices, each kind of file stays below a megabyte."""
    n = 1_000_000
    draw = np.random.default_rng(1)
    score = draw.random(n)
    names = np.array([f"slice {each}" for each in range(5000)], dtype=object)[draw.integers(0, 5000, n)]
    grades = (draw.random(n) < score).astype(float)
    outcomes = Outcomes(grades, np.ones(n), np.full(n, 0.001), np.full(n, 0.01), slices=names)
    data = ReportData.of(outcomes, score, 0.7, calibrated=score, router=score)
    for end in (".html", ".md", ".json"):
        assert 1000 < write_report(data, tmp_path / f"report{end}").stat().st_size < 1_000_000


def test_a_report_is_written_as_its_name_ends(tmp_path: Path) -> None:
    """The end of the name chooses; another end, or no such folder, is refused by name."""
    outcomes, score = table(30)
    data = ReportData.of(outcomes, score, 0.5)
    for end, make in ((".html", html_of), (".md", markdown_of), (".JSON", json_of)):
        assert write_report(data, str(tmp_path / f"a{end}")).read_text(encoding="utf-8") == make(data)
    with pytest.raises(ConfigError, match=r"a\.pdf must end in \.html, \.md, \.json"):
        write_report(data, tmp_path / "a.pdf")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(data, tmp_path / "none" / "a.md")


def test_columns_that_do_not_fit_are_refused() -> None:
    """A score of another length, or a level that is none, is named."""
    outcomes, score = table(30)
    with pytest.raises(ConfigError, match="score must have one value to each of 30 cases"):
        ReportData.of(outcomes, score[:3], 0.5)
    with pytest.raises(ConfigError, match="level must be between 0 and 1"):
        ReportData.of(outcomes, score, 0.5, level=95)


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-9, 1e6))
def test_ticks_are_round_and_inside(low: float, span: float) -> None:
    """There is at least one tick, they rise, and none lies outside but by rounding."""
    found = ticks(low, low + span)
    assert found == sorted(found) and 1 <= len(found) <= 12
    assert low - span * 1e-3 - 1e-6 <= found[0] and found[-1] <= low + span * 1.001 + 1e-6


@given(st.text(st.characters(codec=None)))
def test_any_text_can_stand_in_a_drawing(text: str) -> None:
    """What is cleaned is well-formed, UTF-8, and has no markup of its own."""
    safe = clean(text)
    assert len(ET.fromstring(f"<text>{safe}</text>")) == 0  # noqa: S314  # what is tested
    safe.encode()


def test_the_report_of_an_evaluation_shows_what_was_decided_and_compared() -> None:
    """It has each rule with its intervals, the aim, and figures of the decisions on cases that no rule had seen."""
    outcomes, score = table(300)
    outcomes = replace(outcomes, signals={"confidence": score}, sense={"confidence": 1})
    outcomes = replace(outcomes, cheap_seconds=np.full(300, 0.5), dear_seconds=np.full(300, 2.0))
    found = evaluate(outcomes, 0.9, strategy="raw", repeats=1)
    data = report_of(outcomes, found, date="2026-01-31")
    assert [each.name for each in data.rules] == [each.strategy for each in found.strategies]
    assert data.headline["saved of always dear"].value == pytest.approx(found.saving)
    assert data.headline["quality kept of always dear"].value == pytest.approx(found.quality_ratio)
    for text in (html_of(data), markdown_of(data)):
        assert [each for each in ("keep 90 %", "random mix", "median ", "2026-01-31") if each not in text] == []
    low = json.loads(json_of(data))["rules"][0]["saving"]["low"]
    assert low == pytest.approx(found.strategies[0].saving_interval[0])


def test_a_report_that_says_not_to_cascade_pays_for_one_model() -> None:
    """Always-dear is never charged for a cheap answer that nobody asks for."""
    outcomes, score = table(120)
    outcomes = replace(outcomes, cheap=np.zeros(120), signals={"confidence": score}, sense={"confidence": 1})
    data = report_of(outcomes, evaluate(outcomes, 0.99, strategy="raw", repeats=1))
    assert data.recommendation.startswith("Do not cascade")
    assert data.headline["saved of always dear"].value == 0 and data.headline["cases that went on"].value == 1
    assert [each.name for each in data.paths] == ["cheap alone", "dear alone"]
