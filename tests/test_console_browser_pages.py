"""The pages live, traces and calibration in a real browser, served by a real gateway."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

import browser as looks
from browser import Lens, Open, Site, barriers, console_at, shot, tabbed
from console_shop import HOSTILE, MODELS, TOML, fill, made, record

browser, opened = looks.browser, looks.opened
"""Fixtures, taken by their names."""

MODULE = "shop_models_of_pages"
SPAN = 3 * 3600.0
BARE = """
[[tiers]]
name = "small"
[tiers.backend]
kind = "pool"
[[tiers.backend.instances]]
name = "eu"
region = "eu"
backend = { kind = "openai", model = "m", base_url = "http://127.0.0.1:9/v1" }
[[tiers.backend.instances]]
name = "us"
region = "us"
priority = 1
backend = { kind = "openai", model = "m", base_url = "http://127.0.0.1:10/v1" }

[gateway]
keys = false
console = {}
"""
LENSES = [Lens("light"), Lens("dark"), Lens("light", 360, 740)]
PAGES = ["live", "traces", "calibration"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway over three hours of decisions, and a recording."""
    folder = tmp_path_factory.mktemp("pages")
    file = made(folder, MODULE)
    record(folder, file, 400)
    fill(folder, file, 300, now=time.time(), span=SPAN)
    with console_at(folder, TOML.replace("MODULE", MODULE), {f"{MODULE}.py": MODELS}) as found:
        yield found


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway that nobody has asked anything, over a pool, without a recording and without texts."""
    folder = tmp_path_factory.mktemp("bare")
    with console_at(folder, BARE) as found:
        yield found


def drawn(looked: Any, times: int = 1) -> None:
    """Wait until the page has put up what it asked for."""
    looked.page.wait_for_function(f"() => Number(document.body.dataset.drawn ?? 0) >= {times}")


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: f"{lens.theme}-{lens.width}")
@pytest.mark.parametrize("name", PAGES)
def test_pages_have_no_barriers_and_fit(site: Site, opened: Open, name: str, lens: Lens) -> None:
    """Axe finds nothing, light and dark, and at 360 pixels nothing scrolls sideways."""
    looked = opened(site, f"/console/{name}" + ("?window=86400" if name == "live" else ""), lens)
    drawn(looked)
    shot(looked, f"{name}-{lens.theme}-{lens.width}")
    assert barriers(looked) == []
    looked.wide()


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: f"{lens.theme}-{lens.width}")
def test_one_decision_has_no_barriers_and_fits(site: Site, opened: Open, lens: Lens) -> None:
    """The same of one decision that has escalated, with everything unfolded."""
    looked = opened(site, "/console/traces?escalated=yes", lens)
    drawn(looked)
    looked.page.locator("a[data-open]").first.click()
    drawn(looked, 2)
    looked.page.locator(".verdict").wait_for()
    for each in looked.page.locator("#one summary").all():
        each.click()
    shot(looked, f"trace-{lens.theme}-{lens.width}")
    assert barriers(looked) == []
    looked.wide()


def test_live_polls_only_while_it_may(site: Site, opened: Open) -> None:
    """Figures come again by themselves, stand still while it is paused, and are said aloud only on demand."""
    looked = opened(site, "/console/live?window=86400")
    drawn(looked, 2)
    aloud = looked.page.locator("#told")
    assert aloud.inner_text() == ""
    looked.page.get_by_role("button", name="Read aloud").click()
    looked.page.wait_for_function("() => document.getElementById('told').textContent.includes('escalated')")
    looked.page.get_by_role("button", name="Pause").click()
    assert looked.page.get_by_role("button", name="Go on").get_attribute("aria-pressed") == "true"
    looked.page.wait_for_load_state("networkidle")
    before = looked.page.evaluate("() => document.body.dataset.drawn")
    looked.page.get_by_label("Window", exact=True).select_option("604800")  # a choice is answered all the same, once
    drawn(looked, int(before) + 1)
    assert "window=604800" in looked.page.url
    looked.page.get_by_role("button", name="Go on").click()
    drawn(looked, int(before) + 3)


def test_what_is_unfolded_stays_unfolded(site: Site, opened: Open) -> None:
    """A table of numbers that somebody reads is not closed by the next figures."""
    looked = opened(site, "/console/live?window=86400")
    drawn(looked)
    looked.page.locator("#hours summary").first.click()
    times = int(looked.page.evaluate("() => document.body.dataset.drawn"))
    drawn(looked, times + 2)
    assert looked.page.locator("#hours details").first.get_attribute("open") is not None


def test_a_search_is_kept_in_the_address(site: Site, opened: Open) -> None:
    """What was searched is found again by going back, from one decision and from a page of older ones."""
    looked = opened(site, "/console/traces")
    drawn(looked)
    page = looked.page
    page.get_by_label("Escalated").select_option("no")
    page.get_by_label("Tier that answered").select_option("small")
    page.get_by_role("button", name="Search").click()
    drawn(looked, 2)
    assert "escalated=no" in page.url and "tier=small" in page.url
    assert page.locator("#list tbody tr").count() == 50
    assert {"small"} == set(page.locator("#list tbody td:nth-child(4)").all_inner_texts())
    first = page.locator("a[data-open]").first.inner_text()
    page.get_by_role("button", name="Older").click()
    drawn(looked, 3)
    assert page.locator("a[data-open]").first.inner_text() != first
    page.locator("a[data-open]").first.click()
    drawn(looked, 4)
    assert page.evaluate("() => document.activeElement.tagName") == "H2"
    page.get_by_role("link", name="Back to the list").click()
    drawn(looked, 5)
    assert "before=" in page.url and "escalated=no" in page.url and "open=" not in page.url
    assert page.get_by_label("Escalated").input_value() == "no"
    page.get_by_role("button", name="Newest").click()
    drawn(looked, 6)
    assert page.locator("a[data-open]").first.inner_text() == first
    page.go_back()
    drawn(looked, 7)
    assert "before=" in page.url


def test_hostile_texts_are_texts(site: Site, opened: Open) -> None:
    """Markup that was asked and said is shown letter by letter, within its own direction, and nothing of it runs."""
    looked = opened(site, "/console/traces?text=onerror")
    drawn(looked)
    page = looked.page
    assert page.locator("#list tbody tr").count() == 1
    page.locator("a[data-open]").click()
    drawn(looked, 2)
    shown = page.locator(".turn .hostile bdi").first
    assert shown.evaluate("node => node.textContent") == HOSTILE
    assert page.locator("#one img").count() == 0


def test_other_thresholds_by_keyboard(site: Site, opened: Open) -> None:
    """A slider is reached and moved by keys: a lower threshold lets the small tier answer, for less."""
    looked = opened(site, "/console/traces?escalated=yes")
    drawn(looked)
    page = looked.page
    tabbed(looked, "#", most=60)
    page.locator("a[data-open]").first.focus()
    page.keyboard.press("Enter")
    drawn(looked, 2)
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_text("small would have answered").wait_for()
    assert re.search(r"less than it cost", page.locator(".verdict").inner_text())
    page.keyboard.press("End")
    page.get_by_text("The same: large answers").wait_for()


def test_what_was_not_asked_is_not_known(site: Site, opened: Open) -> None:
    """Of a decision that the small tier answered a stricter threshold leads to a tier that was not asked: said so."""
    looked = opened(site, "/console/traces?escalated=no&tier=small")
    drawn(looked)
    looked.page.locator("a[data-open]").first.click()
    drawn(looked, 2)
    looked.page.get_by_role("slider").fill("1")
    looked.page.get_by_text("cannot be known from this trace").wait_for()
    assert "large, which was not asked" in looked.page.locator(".verdict").inner_text()


def test_calibration_reads_off_a_threshold(site: Site, opened: Open) -> None:
    """The slider says quality, cost and escalation with intervals; the promise is a choice; the command is exact."""
    looked = opened(site, "/console/calibration")
    drawn(looked)
    page = looked.page
    page.get_by_text("fastcascade calibrate run.db --signal surely --keep 0.98 --confidence 0.95").wait_for()
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    assert "accepts nothing" in (slider.get_attribute("aria-valuetext") or "")
    assert page.get_by_role("row", name=re.compile("Escalated 100%")).count() == 1
    page.keyboard.press("Home")
    assert page.get_by_role("row", name=re.compile("Escalated 0%")).count() == 1
    page.get_by_label("Keep of the large tier's quality").select_option("0.9")
    page.get_by_text("--keep 0.9 --confidence 0.95").first.wait_for()
    assert "keep=0.9" in page.url


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: f"{lens.theme}-{lens.width}")
@pytest.mark.parametrize("name", PAGES)
def test_pages_with_nothing_to_show_say_what_brings_it(bare: Site, opened: Open, name: str, lens: Lens) -> None:
    """Before the first request each page says what is missing, without a barrier, at any width."""
    looked = opened(bare, f"/console/{name}", lens)
    drawn(looked)
    shot(looked, f"{name}-bare-{lens.theme}-{lens.width}")
    said = {
        "live": "No decisions yet",
        "traces": "No such decisions",
        "calibration": "fastcascade record cascade.toml cases.jsonl --to run.db --grader exact",
    }
    assert said[name] in looked.page.locator("main").inner_text()
    if name == "live":
        assert looked.page.locator("#health tbody tr").count() == 2
    assert barriers(looked) == []
    looked.wide()
