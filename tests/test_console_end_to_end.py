"""The console over live traffic, as whoever runs the demo sees it: each page as it fills, by mouse and by keyboard."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import browser as looks
from browser import Lens, Looked, Open, Site, barriers, shot, tabbed
from demos import PATIENCE, Demo, command, demonstrated, fetch, until
from test_console_browser_try import LIT, bands, press

browser, opened = looks.browser, looks.opened
"""Fixtures, taken by their names."""

PAGES = ["try", "live", "traces", "calibration", "reviews"]
LENSES = [Lens("light"), Lens("dark"), Lens("light", 360, 740)]
STATUS = {"Rejected: 401": 401, "Rejected: 429": 429}
"""Of presets that do not end in 200."""
WAIT = PATIENCE * 1000


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, with its traffic."""
    with demonstrated(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="module")
def site(browser: Any, demo: Demo) -> Site:
    """Its console, with the session of whoever has followed the link."""
    until(lambda: fetch(f"{demo.address}/healthz"))
    context = browser.new_context()
    page = context.new_page()
    page.goto(demo.link)
    assert page.url == f"{demo.address}/console/try"
    found = Site(demo.address, demo.folder, demo.process)  # type: ignore[arg-type] # ended by the other fixture
    found.cookies["demo"] = context.cookies()
    context.close()
    return found


@pytest.fixture
def seen(site: Site, opened: Open) -> Any:
    """Opens a page of it as the person of the link."""

    def opening(path: str, lens: Lens | None = None) -> Looked:
        looked = opened(site, f"/console/{path}" if path != "live" else "", lens, who="demo")
        if path == "live":  # it never comes to rest
            looked.page.goto(f"{site.base}/console/live")
        looked.page.set_default_timeout(WAIT)
        return looked

    return opening


def filled(looked: Looked, name: str) -> None:
    """Wait until a page holds what the traffic has brought."""
    ready = {
        "try": "[data-preset]",
        "live": "#funnel .rungs li:nth-child(3)",
        "traces": "a[data-open]",
        "calibration": "#shown .verdict",
        "reviews": "#rows .review",
    }
    looked.page.locator(ready[name]).first.wait_for()


@pytest.mark.parametrize("name", LIT)
def test_every_preset(name: str, seen: Any) -> None:
    """Each of them lights its layers, under load as without, and is answered with its status."""
    looked = seen("try")
    press(looked, name)
    layer, lit = LIT[name]
    shown = bands(looked)
    asked = lit.split()
    assert [each.removeprefix("band lit ") for each in shown[: len(asked)]] == asked
    told = looked.page.locator("#tags").inner_text()
    assert layer in told and str(STATUS.get(name, 200)) in told


def test_live_fills_up(seen: Any) -> None:
    """Within a minute there are a funnel of all tiers, savings with their interval, grades, and both regions."""
    looked = seen("live")
    filled(looked, "live")
    page = looked.page
    page.locator("#savings", has_text=re.compile(r"95% interval \d+(\.\d)?% to")).wait_for()
    page.locator("#quality tbody tr", has_text="small").first.wait_for()
    page.locator("#health tbody tr", has_text="us-1").wait_for()
    assert [each.inner_text() for each in page.locator("#funnel b").all()] == ["rules", "small", "large"]
    assert re.search(r"no answer [\d,]+ ", page.locator("#funnel li").first.inner_text())
    assert "failed 0" in page.locator("#funnel li").first.inner_text()
    assert re.search(r"[1-9]", page.locator("#sums dd").first.inner_text())


def test_what_is_in_hand_is_left_alone(seen: Any) -> None:
    """While a decision has the focus, or a figure is selected, that part stands still; the others go on."""
    looked = seen("live")
    filled(looked, "live")
    page = looked.page
    link = page.locator("#last a").nth(2)
    link.focus()
    held = link.get_attribute("href")
    page.evaluate("() => getSelection().selectAllChildren(document.querySelector('#funnel'))")
    chosen = page.evaluate("() => String(getSelection())")
    before, funnel = (page.locator(each).inner_text() for each in ("#sums", "#funnel"))
    page.wait_for_function("before => document.querySelector('#sums').innerText !== before", arg=before)
    assert page.evaluate("() => document.activeElement.getAttribute('href')") == held
    assert page.evaluate("() => String(getSelection())") == chosen
    assert page.locator("#funnel").inner_text() == funnel
    page.evaluate("() => { getSelection().removeAllRanges(); document.activeElement.blur(); }")
    page.wait_for_function("before => document.querySelector('#funnel').innerText !== before", arg=funnel)


def test_little_moves_while_it_refreshes(seen: Any) -> None:
    """Figures come again without what lies below them jumping: nearly no layout shift after the first are there."""
    looked = seen("live")
    filled(looked, "live")
    looked.page.evaluate("""() => {
        window.moved = 0;
        const add = (list) => list.getEntries().forEach((each) => (window.moved += each.value));
        new PerformanceObserver(add).observe({ type: "layout-shift" });
    }""")
    times = int(looked.page.evaluate("() => document.body.dataset.drawn"))
    looked.page.wait_for_function("times => Number(document.body.dataset.drawn) >= times", arg=times + 4)
    moved = looked.page.evaluate("() => window.moved")
    sys.stdout.write(f"layout shift of four refreshes: {moved:.4f}\n")
    assert moved < 0.1


def test_a_trace_is_found_and_replayed(seen: Any) -> None:
    """A search finds what escalated; with a threshold of zero the small tier would have answered, for less."""
    looked = seen("traces")
    page = looked.page
    filled(looked, "traces")
    page.get_by_label("Escalated").select_option("yes")
    page.get_by_label("Degraded").select_option("no")

    def found() -> bool:
        times = int(page.evaluate("() => document.body.dataset.drawn ?? 0"))
        page.get_by_role("button", name="Search").click()
        page.wait_for_function("times => Number(document.body.dataset.drawn) > times", arg=times)
        return bool(page.locator("a[data-open]").count())

    until(found)
    page.locator("a[data-open]").first.click()
    page.locator("#one .verdict", has_text="The same: large answers").wait_for()
    assert page.locator(".fall-head", has_text="small").first.inner_text()
    slider = page.get_by_label("Accept small")
    slider.focus()
    page.keyboard.press("Home")
    page.locator("#one .verdict", has_text=re.compile("small would have answered.* less than it cost")).wait_for()
    assert barriers(looked) == []


def test_what_calibration_suggests_can_be_typed(seen: Any, demo: Demo) -> None:
    """The page ends with a verdict, and its command, run as it stands in the demo's folder, comes to the same."""
    looked = seen("calibration")
    looked.page.locator("#shown .verdict", has_text="On these 400 cases").wait_for()  # it is recorded meanwhile
    verdict = looked.page.locator("#shown .verdict").first.inner_text()
    typed = [each.inner_text() for each in looked.page.locator(".apply pre.code").all()]
    line = next((each for each in typed if each.startswith("fastcascade calibrate")), "")
    assert "Accept small from a score of" in verdict and line, verdict
    done = subprocess.run(
        command(shlex.split(line)[1:]), cwd=demo.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    # Where the curve leaves a score as it is, no other one is told beside it.
    raw = re.search(r"raw score ([\d.]+)", done.stdout) or re.search(r"accept from\s+([\d.]+)", done.stdout)
    told = re.search(r"Accept small from a score of ([\d.]+) on", verdict)
    assert raw is not None and told is not None, done.stdout
    assert float(raw[1]) == pytest.approx(float(told[1]), abs=1e-4)
    assert (demo.folder / "curve.json").exists()
    assert any(each.startswith("accept = ") for each in typed)


def test_a_review_is_answered_by_keyboard_alone(seen: Any) -> None:
    """Claimed, written, and sent without waiting: no mouse, while others come in."""
    looked = seen("reviews")
    filled(looked, "reviews")
    page = looked.page
    tabbed(looked, "Claim next", 20)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=re.compile("^Review: ")).wait_for()
    page.keyboard.press("e")
    page.keyboard.type("We look into it, and write to you.")
    page.keyboard.press("Control+Enter")
    page.get_by_role("heading", name="Answered; it goes out in 10 s").wait_for()
    page.locator("#main").focus()
    tabbed(looked, "Send now")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Answer sent").wait_for()
    page.locator("#sums", has_text=re.compile("[1-9]\\d* answered")).wait_for()


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: f"{lens.theme}-{lens.width}")
@pytest.mark.parametrize("name", PAGES)
def test_no_barriers_while_data_comes_in(name: str, lens: Lens, seen: Any) -> None:
    """Axe finds nothing in a page that fills, light and dark, and at 360 pixels nothing scrolls sideways."""
    looked = seen(name, lens)
    filled(looked, name)
    shot(looked, f"demo-{name}-{lens.theme}-{lens.width}")
    assert barriers(looked) == []
    looked.wide()


@pytest.mark.parametrize("name", PAGES)
def test_little_comes_before_the_first_paint(name: str, seen: Any) -> None:
    """Few requests and few bytes: the page's own parts. When that was is printed, and not asserted."""
    looked = seen(name)
    filled(looked, name)
    told = looked.page.evaluate("""() => {
        const paint = performance.getEntriesByName("first-contentful-paint")[0].startTime;
        const before = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .filter((each) => each.startTime < paint && !each.name.startsWith("data:"));
        return { paint, sizes: before.map((each) => each.transferSize) };
    }""")
    size = sum(told["sizes"])
    sys.stdout.write(f"{name}: painted after {told['paint']:.0f} ms, {len(told['sizes'])} requests, {size} bytes\n")
    assert len(told["sizes"]) <= 12
    assert size < 100_000


def test_what_was_typed_outlives_the_session(seen: Any) -> None:
    """Whose session ends in the middle of a text goes on after signing in again; who has typed nothing is led away."""
    looked = seen("try")
    looked.excused.append("status of 401")
    page = looked.page
    held = page.context.cookies()
    page.get_by_label("Text").fill("Do you deliver on Sunday?")
    page.context.clear_cookies()
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("alert").filter(has_text="Your session has ended").wait_for()
    assert barriers(looked) == []
    assert page.get_by_role("link", name="Sign in in another tab").get_attribute("target") == "_blank"
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("Nobody is signed in yet.").wait_for()
    page.context.add_cookies(held)
    page.get_by_role("button", name="Go on").click()
    page.locator("#tags", has_text="200").wait_for()
    assert page.get_by_label("Text").input_value() == "Do you deliver on Sunday?"
    assert page.locator(".ended").count() == 0
    page.get_by_label("Text").fill("")
    page.context.clear_cookies()
    page.get_by_role("button", name="Cache hit").click()
    page.wait_for_url("**/console/login?next=try")
