"""What every page of the console stands on: its figures in words, its elements, its charts, its theme, its way out."""

from collections.abc import Iterator
from typing import Any

import pytest

from browser import Lens, Looked, Open, Site, barriers, chromium, console_at, shot

pytest_plugins = ("browser",)

CASCADE = """
[[tiers]]
name = "rules"
backend = { kind = "rules", rules = { "hello" = "hi" } }

[gateway.console]
"""
PATH = "/console/try"
SHELL = "/console/static/shell.js"
CHART = "/console/static/chart.js"
SAID = [
    ("money(0)", "$0"),
    ("money(null)", "unknown"),
    ("money(NaN)", "unknown"),
    ("money(1234.5)", "$1,234.50"),
    ("money(0.000092)", "$0.0000920"),
    ("money(0.5)", "$0.500"),
    ("money(-0.25)", "−$0.250"),
    ("money(1e-12)", "<$0.000000001"),
    ("seconds(0)", "0 s"),
    ("seconds(null)", "unknown"),
    ("seconds(3.1e-8)", "31 ns"),
    ("seconds(0.0000456)", "45.6 µs"),
    ("seconds(0.5821)", "582 ms"),
    ("seconds(9.999)", "10.0 s"),
    ("seconds(119)", "119 s"),
    ("seconds(600)", "10.0 min"),
    ("seconds(7200)", "2.00 h"),
    ("seconds(864000)", "10.0 d"),
    ("percent(0.1234)", "12.3%"),
    ("percent(0.1234, 50)", "12%"),
    ("percent(0.1234, 5000)", "12.3%"),
    ("percent(0.5, 0)", "–"),
    ("percent(null)", "–"),
    ("count(1234567)", "1,234,567"),
    ("count(null)", "unknown"),
    ("ago(100, 102)", "just now"),
    ("ago(100, 160)", "60 s ago"),
    ("ago(0, 3600)", "60 min ago"),
    ("ago(0, 86400)", "24 h ago"),
    ("ago(0, 864000)", "10 d ago"),
    ("ago(200, 100)", "in 2 min"),
]
"""Calls of shell.js, and what they say."""
CHARTS = {
    "bars": "bars({title: 'Share by layer', label: 'Share', format: (x) => `${Math.round(100 * x)}%`, rows: ["
    "{name: 'cache', value: 0.42, low: 0.4, high: 0.44}, {name: 'a layer of quite a long name', value: 0.2, low: 0.1,"
    " high: 0.3, note: 'n 12'}, {name: 'none', value: null}]})",
    "lines": "lines({title: 'Latency', series: [{name: 'p50', points: [{x: 0, y: 1}, {x: 1, y: null}, {x: 2, y: 3},"
    " {x: 3, y: 2}]}, {name: 'p99', tone: 'ink', dash: true, points: [{x: 0, y: 4}, {x: 3, y: 5}]}],"
    " x: {label: 'Hour'}, y: {label: 'Seconds', min: 0}, marks: [{y: 4.5, label: 'promised'}]})",
    "curve": "curve({title: 'Reliability', diagonal: true, series: [{name: 'small', points: [{x: 0.1, y: 0.2, low: 0.1,"
    " high: 0.3}, {x: 0.5, y: 0.4, low: 0.3, high: 0.5}, {x: 0.9, y: 0.95, low: 0.9, high: 1}]}],"
    " x: {label: 'Said', min: 0, max: 1}, y: {label: 'Right', min: 0, max: 1},"
    " marks: [{x: 0.5, y: 0.4, label: 'now'}]})",
    "scatter": "scatter({title: 'Cost and quality', points: [{x: 0.001, y: 0.7, name: 'small'}, {x: 0.01, y: 0.9,"
    " name: '<b>large</b>', tone: 'warn'}], x: {label: 'Dollars', min: 0}, y: {label: 'Quality'},"
    " marks: [{x: 0.005, label: 'budget'}]})",
    "nothing": "lines({title: 'Nothing', series: [{name: 'none', points: []}]})",
    "one point": "lines({title: 'One', series: [{name: 'one', points: [{x: 5, y: 5}]}]})",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with a console."""
    with console_at(tmp_path_factory.mktemp("shell"), CASCADE) as there:
        yield there


def test_figures_in_words(site: Site, opened: Open) -> None:
    """Money, times, shares, counts and ages are said to the precision they need; what is not known is said to be."""
    page = opened(site, PATH).page
    calls = ", ".join(f"s.{call}" for call, _ in SAID)
    said = page.evaluate(f"import('{SHELL}').then((s) => [{calls}])")
    assert list(zip([call for call, _ in SAID], said, strict=True)) == SAID


def test_elements_hold_text_alone(site: Site, opened: Open) -> None:
    """Children are text whatever they look like; handlers, styles and documents as attributes are refused."""
    page = opened(site, PATH).page
    made = page.evaluate(f"""import('{SHELL}').then((s) => {{
        const refused = ["onclick", "ONERROR", "style", "srcdoc"].map((name) => {{
            try {{ s.el("p", {{ [name]: "x" }}); return false; }} catch {{ return true; }}
        }});
        const held = ["<b>bold</b>", [0, null, false, ["x"]]];
        const node = s.el("p", {{ hidden: false, "data-a": true, title: null }}, held);
        return [refused, node.childElementCount, node.textContent, node.getAttributeNames()];
    }})""")
    assert made == [[True] * 4, 0, "<b>bold</b>0x", ["data-a"]]


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("lens", [Lens(), Lens("dark", 360)], ids=str)
def test_charts_have_names_and_numbers(name: str, lens: Lens, site: Site, opened: Open) -> None:
    """A chart is an image with a title, drawn without gaps in its numbers, with a table of these, at any width."""
    looked = opened(site, PATH, lens)
    draw(looked, CHARTS[name])
    picture = looked.page.locator("#main svg[role=img]")
    assert picture.count() == 1
    assert picture.get_attribute("aria-label") == picture.locator("title").first.text_content()
    displayed = "all => all.map((each) => getComputedStyle(each).display)"
    assert "none" not in picture.locator(".line, .bar, .band, .point, .ring").evaluate_all(displayed)
    assert "NaN" not in picture.evaluate("each => each.outerHTML")
    looked.page.locator("#main summary").click()
    rows = looked.page.locator("#main details tbody tr")
    assert rows.count() == {"bars": 3, "lines": 6, "curve": 3, "scatter": 2, "nothing": 0, "one point": 1}[name]
    assert barriers(looked) == []
    looked.wide()
    shot(looked, f"chart-{name.replace(' ', '-')}-{lens.theme}")


def draw(looked: Looked, chart: str) -> None:
    """Put a chart in the place of what the page shows."""
    looked.page.evaluate(f"""import('{CHART}').then((c) => {{
        const {{ bars, lines, curve, scatter }} = c;
        const heading = document.createElement("h1");
        heading.textContent = "Charts";
        document.getElementById("main").replaceChildren(heading, {chart});
    }})""")


def test_the_theme_is_kept(site: Site, opened: Open) -> None:
    """The switch goes from the system's to light to dark and back, and the next page has what was chosen."""
    looked = opened(site, PATH, Lens("dark"))
    button = looked.page.locator("#theme")
    grounds = [ground(looked)]
    for said in ("Theme: light", "Theme: dark", "Theme: system"):
        button.click()
        assert button.inner_text() == said
        grounds.append(ground(looked))
    assert grounds[0] == grounds[2] == grounds[3] != grounds[1]
    button.click()
    looked.go("/console/reviews")
    assert looked.page.locator("#theme").inner_text() == "Theme: light"
    assert ground(looked) == grounds[1]


def ground(looked: Looked) -> Any:
    """The color of the page."""
    return looked.page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_signing_out(site: Site, opened: Open) -> None:
    """One is led to the form, and the session is over: the next page leads there too."""
    looked = opened(site, PATH, who="")
    looked.page.goto(f"{site.base}/console/login")
    looked.page.get_by_label("Name").fill("ann")
    looked.page.get_by_label("Password").fill("a-password-of-tests-alone")
    looked.page.get_by_role("button", name="Sign in").click()
    looked.page.wait_for_url("**/console/try")
    assert looked.page.locator("#who").inner_text() == "ann"
    looked.page.get_by_role("button", name="Sign out").click()
    looked.page.wait_for_url("**/console/login")
    assert barriers(looked) == []
    looked.go(PATH)
    assert "/console/login" in looked.page.url


def test_a_session_that_ended_leads_to_the_form(site: Site, opened: Open) -> None:
    """A call that is told 401 leads to the login, not to an error."""
    looked = opened(site, PATH)
    looked.excused.append("status of 401")
    looked.page.context.clear_cookies()
    looked.page.get_by_role("button", name="Exact route", exact=True).click()
    looked.page.wait_for_url("**/console/login?next=try")


def test_what_is_wrong_with_a_page_fails_its_test(site: Site, opened: Open) -> None:
    """An error and a warning in the console, an error of a script, and a request that leaves are all noticed."""
    looked = opened(site, PATH)
    looked.sound()
    with looked.page.expect_event("pageerror"):
        looked.page.evaluate("""() => {
            console.error("first");
            console.warn("second");
            fetch("http://fourth.invalid/").catch(() => null);
            setTimeout(() => { throw new Error("third"); });
        }""")
    with pytest.raises(AssertionError) as caught:
        looked.sound()
    for part in ("console error: first", "console warning: second", "page error: third", "fourth.invalid"):
        assert part in str(caught.value)
    looked.wrong.clear()


def test_without_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that need one are skipped with what to do; where all tests are to run, they fail."""
    monkeypatch.setattr("browser.NAMES", ("no-such-browser",))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        chromium()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        chromium()
