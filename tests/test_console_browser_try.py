"""The page "Try it" in a real browser: what each request shows, and what is promised of every page of the console."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import Lens, Looked, Open, Site, barriers, console_at, shot, tabbed

pytest_plugins = ("browser",)

CASCADE = """
[[tiers]]
name = "echo"
backend = { function = "answers:said" }
price = { input = 1.0, output = 5.0 }

[gateway.console]
usd = 5.0
"""
ANSWERS = """
from fastcascade import Reply, Usage

def said(request):
    return Reply(request.text, "echo", usage=Usage(10, 20))
"""
PATH = "/console/try"
LIT = {
    "Cache hit": ("L1", "passed answered"),
    "Exact route": ("L2", "passed passed answered passed"),
    "Prefix route": ("L2", "passed passed answered passed"),
    "Regex route": ("L2", "passed passed answered passed"),
    "Rejected: 401": ("L3", "passed passed passed refused"),
    "Rejected: 429": ("L3", "passed passed passed refused"),
    "Rules answer": ("L4", "passed passed passed passed answered"),
    "Cheap tier accepts": ("L4", "passed passed passed passed answered"),
    "Escalates": ("L4", "passed passed passed passed answered"),
    "Primary down": ("L5", "passed passed passed passed passed answered"),
    "All down": ("L5", "passed passed passed passed passed answered"),
    "To a person": ("L5", "passed passed passed passed passed answered"),
}
"""By preset: the layer that answers, and how those that were asked are lit; the others are dim."""
BANNED = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML|DOMParser")
HOSTILE = {
    "script": "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">",
    "end of script": "</script></pre></main><h1>taken</h1>",
    "link": "javascript:document.title='taken' <a href=\"javascript:document.title='taken'\">here</a>",
    "right to left": "safe \u202e.gpj\u202c name \u2066\u200f end",
    "long": "y" * 100_000,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with a console, whose only tier says what it is asked."""
    with console_at(tmp_path_factory.mktemp("try"), CASCADE, {"answers.py": ANSWERS}) as there:
        yield there


def press(looked: Looked, name: str) -> None:
    """Press a preset, and wait until its answer is there."""
    looked.page.get_by_role("button", name=name, exact=True).click()
    came(looked)


def came(looked: Looked) -> None:
    """Wait until the answer of the last request is there."""
    looked.page.wait_for_selector("#result:not([hidden])")
    looked.page.wait_for_selector("#send:not([disabled])")


def typed(looked: Looked, text: str, *, through: str = "") -> None:
    """Send a text of one's own."""
    looked.page.get_by_label("Text").fill(text)
    looked.page.get_by_label("Through").select_option(through)
    looked.page.get_by_role("button", name="Send", exact=True).click()
    came(looked)


def bands(looked: Looked) -> list[str]:
    """The classes of the six bands."""
    found: list[str] = looked.page.eval_on_selector_all(".band", "all => all.map(each => each.className)")
    return found


@pytest.mark.parametrize("name", LIT)
def test_each_preset_lights_what_it_asked_and_dims_the_rest(name: str, site: Site, opened: Open) -> None:
    """Layers that were asked are lit with time and cost, those below are dim, and the answer names its layer."""
    looked = opened(site, PATH)
    press(looked, name)
    layer, lit = LIT[name]
    shown = bands(looked)
    asked = lit.split()
    assert [each.removeprefix("band lit ") for each in shown[: len(asked)]] == asked
    assert shown[len(asked) :] == ["band dim"] * (6 - len(asked))
    assert layer in looked.page.locator("#tags").inner_text()
    for place in range(len(asked)):
        figures = looked.page.locator(".band .figures").nth(place).inner_text()
        assert re.search(r"\d", figures) and "$" in figures, figures
    pressed = looked.page.locator("[data-preset][aria-pressed=true]")
    assert pressed.count() == 1 and pressed.inner_text() == name
    assert looked.page.locator("#watch").inner_text()
    shot(looked, f"try {name}".replace(":", "").replace(" ", "-").lower())


def test_what_skipped_layers_would_have_taken_is_said(site: Site, opened: Open) -> None:
    """After a run that asked the models, a hit in the cache shows their median, and says that it is one."""
    looked = opened(site, PATH)
    press(looked, "Cheap tier accepts")
    press(looked, "Cache hit")
    models = looked.page.locator(".band[data-layer=L4]")
    assert "median of" in models.inner_text()
    assert "$0.0" in models.locator(".figures").inner_text()


def test_steps_are_read_aloud(site: Site, opened: Open) -> None:
    """The live region says each layer with what came of it."""
    looked = opened(site, PATH)
    press(looked, "Rejected: 401")
    looked.page.locator("#told", has_text="L3 guard: refused, 401").wait_for()


def test_a_person_answers_what_was_handed_over(site: Site, opened: Open) -> None:
    """The ticket of the preset leads to what is typed into the page, as the words of who is signed in."""
    looked = opened(site, PATH)
    press(looked, "To a person")
    looked.page.get_by_label("Your answer").fill("<b>All of it.</b>")
    looked.page.get_by_role("button", name="Answer it").click()
    looked.page.wait_for_selector("#person .hostile")
    assert looked.page.locator("#person .hostile").inner_text() == "<b>All of it.</b>"
    assert "By ann" in looked.page.locator("#person").inner_text()


def test_a_typed_text_goes_through_the_playground(site: Site, opened: Open) -> None:
    """It is answered by what the service knows; the second time by the cache."""
    looked = opened(site, PATH)
    typed(looked, "What is the customs duty abroad, and which declaration?")
    assert "CN23" in looked.page.locator("#answer").inner_text()
    typed(looked, "What is the customs duty abroad, and which declaration?")
    assert "from the cache" in looked.page.locator("#tags").inner_text()


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("width", [1280, 360])
def test_what_a_model_says_is_text(kind: str, width: int, site: Site, opened: Open) -> None:
    """A model that says scripts, links, bidi characters or very much is shown as it is, and nothing of it happens."""
    looked = opened(site, PATH, Lens(width=width))
    text = f"{kind} {width} {HOSTILE[kind]}"
    before = looked.page.title()
    typed(looked, text, through="cascade")
    answer = looked.page.locator("#answer .hostile")
    assert answer.text_content() == text
    assert answer.locator("bdi").evaluate("each => each.children.length") == 0
    assert looked.page.locator("main h1").count() == 1
    assert looked.page.locator("#answer a, #answer script, #answer img").count() == 0
    assert looked.page.title() == before
    assert barriers(looked) == []
    looked.wide()


def test_a_served_run_is_estimated_bounded_and_can_be_copied(site: Site, opened: Open) -> None:
    """The estimate stands there before, L0 and L2 are said not to have been asked, and there is a trace to open."""
    looked = opened(site, PATH)
    looked.page.get_by_label("Text").fill("What does it cost?")
    looked.page.get_by_label("Through").select_option("cascade")
    looked.page.locator("#cost", has_text="Left today: $").wait_for()
    looked.page.get_by_role("button", name="Send", exact=True).click()
    came(looked)
    assert "chosen by hand" in looked.page.locator(".band[data-layer=L2]").inner_text()
    assert "signed in as ann" in looked.page.locator(".band[data-layer=L3]").inner_text()
    assert looked.page.get_by_role("button", name="Copy as curl").is_visible()
    assert looked.page.get_by_role("link", name="Open its trace").is_visible()


def test_what_the_gateway_refuses_is_said(site: Site, opened: Open) -> None:
    """A text that is too long ends in a sentence that names the bound, and the next one can be sent."""
    looked = opened(site, PATH)
    looked.excused.append("status of 413")
    looked.page.get_by_label("Text").fill("z" * 200_001)
    looked.page.get_by_role("button", name="Send", exact=True).click()
    looked.page.wait_for_selector("#problem .wrong")
    assert "at most 200000 characters" in looked.page.locator("#problem").inner_text()
    press(looked, "Exact route")


@pytest.mark.parametrize("lens", [Lens(), Lens("dark"), Lens(width=360), Lens("dark", 360)], ids=str)
def test_axe_finds_nothing(lens: Lens, site: Site, opened: Open) -> None:
    """No barrier, before a request, after one, and in the form of a person; and no sideways scrolling."""
    looked = opened(site, PATH, lens)
    assert barriers(looked) == []
    for name in ("Cache hit", "Escalates", "Rejected: 429", "To a person"):
        press(looked, name)
        assert barriers(looked) == []
        looked.wide()


def test_axe_would_find_something(site: Site, opened: Open) -> None:
    """The check sees what is wrong: an input without a name, and text that is too faint."""
    looked = opened(site, PATH)
    looked.page.evaluate("""() => {
        const input = document.createElement("input");
        const faint = document.createElement("p");
        faint.textContent = "hardly to be read";
        faint.style.color = "rgb(190, 190, 190)";
        document.getElementById("main").append(input, faint);
    }""")
    assert {each.partition(":")[0] for each in barriers(looked)} == {"label", "color-contrast"}


def test_keyboard_alone(site: Site, opened: Open) -> None:
    """With Tab, Enter and the typing keys one chooses a preset, sends a text and turns the theme."""
    looked = opened(site, PATH)
    keys = looked.page.keyboard
    tabbed(looked, "Skip to the content", 1)
    keys.press("Enter")
    tabbed(looked, "Exact route", 4)
    keys.press("Enter")
    came(looked)
    assert "L2, from a route" in looked.page.locator("#tags").inner_text()
    tabbed(looked, "text ")
    keys.type("Do you deliver on Sunday?")
    keys.press("Control+Enter")
    looked.page.locator("#tags", has_text="tier rules").wait_for()
    keys.press("Home")
    looked.page.locator(".mark").focus()
    tabbed(looked, "Theme: system")
    keys.press("Enter")
    keys.press("Enter")
    assert looked.page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_every_control_has_a_name(site: Site, opened: Open) -> None:
    """What a screen reader says of each control is what stands there; the layers are an ordered list."""
    looked = opened(site, PATH)
    tree = looked.page.locator("main").aria_snapshot()
    for name in (*LIT, "Send"):
        assert f'button "{name}"' in tree, tree
    for name in ('textbox "Text"', 'combobox "Through"', 'combobox "While"', 'list "Layers"', 'heading "Try it"'):
        assert name in tree, tree


def test_the_token_moves_unless_less_motion_is_wanted(site: Site, opened: Open) -> None:
    """The token is animated down to its layer; where one asked for less motion, it is there at once."""
    for still in (True, False):
        looked = opened(site, PATH, Lens(still=still))
        looked.page.evaluate("""() => {
            window.moves = 0;
            const animate = Element.prototype.animate;
            Element.prototype.animate = function (...given) { window.moves += 1; return animate.apply(this, given); };
        }""")
        press(looked, "Rejected: 401")
        assert (looked.page.evaluate("window.moves") == 0) is still
        band = looked.page.locator(".band[data-layer=L3]").bounding_box()
        token = looked.page.locator(".token").bounding_box()
        assert band["y"] <= token["y"] <= band["y"] + band["height"]


def test_little_is_needed_for_the_first_paint(site: Site, opened: Open) -> None:
    """A page comes with few requests and few bytes: its own parts, without fonts, frameworks or pictures."""
    looked = opened(site)
    looked.go(PATH)
    told = looked.page.evaluate("""() => ({
        paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
        sizes: [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .filter((each) => !each.name.includes("/api/"))
            .map((each) => [each.name, each.transferSize]),
    })""")
    size = sum(size for _, size in told["sizes"])
    sys.stdout.write(f"first paint after {told['paint']:.0f} ms: {len(told['sizes'])} requests, {size} bytes\n")
    assert len(told["sizes"]) <= 10
    assert size < 100_000


def test_a_reviewer_is_shown_reviews_alone(site: Site, opened: Open) -> None:
    """Whoever reviews is led to the desk, and sees no link to what is not theirs."""
    looked = opened(site, PATH, who="rob")
    assert looked.page.url.endswith("/console/reviews")
    assert links(looked) == ["Reviews"]


def links(looked: Looked) -> list[Any]:
    """The pages that can be seen in the top bar."""
    return [each.inner_text() for each in looked.page.locator("nav a").all() if each.is_visible()]


def test_no_script_can_put_markup_in() -> None:
    """Nothing in the scripts of the console makes elements of text, or runs text."""
    static = Path(__file__).parents[1] / "python" / "fastcascade" / "console" / "static"
    for file in static.glob("*.js"):
        banned = BANNED.search(file.read_text(encoding="utf-8"))
        assert banned is None, f"{file.name}: {banned}"
