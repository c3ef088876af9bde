"""The review desk's page, in a browser: by keyboard alone, by several reviewers at once, with hostile texts."""

import asyncio
import http.client
import json
import threading
from collections.abc import Awaitable, Iterator
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import pytest

import browser as looks
from browser import Lens, Looked, Open, Site, barriers, console_at, shot
from fastcascade.blocks import Image, Text
from fastcascade.messages import Message, Reply, Request
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.stores.reviews import Review
from fastcascade.stores.sqlite import SQLiteReviews

if TYPE_CHECKING:
    from concurrent.futures import Future

browser, opened = looks.browser, looks.opened
"""Fixtures are known by the names they have here."""

FILE = """\
[[tiers]]
name = "small"
backend = { kind = "openai", model = "m", base_url = "http://127.0.0.1:9/v1" }

[[fallbacks]]
kind = "review"
store = "sqlite:reviews.db"
lease = 60

[gateway]
console = {}
"""
HOSTILE = '</script><img src="x" onerror="alert(1)">\u202egnp.exe \u200b\x1b[31m <b>bold</b> ' + "x" * 400
"""Markup, a text turned around, what is not seen, and a word without an end."""


class Store:
    """The desk beside the gateway, as another process of the caller's has it; on a loop in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.desk = ReviewDesk(SQLiteReviews(folder / "reviews.db"), lease=60)

    def later(self, made: Awaitable[Any]) -> "Future[Any]":
        """Begin it."""

        async def work() -> Any:
            return await made

        return asyncio.run_coroutine_threadsafe(work(), self._loop)

    def do(self, made: Awaitable[Any]) -> Any:
        """Do it, and wait for it."""
        return self.later(made).result(30)

    def submit(self, asked: str | Request = "Where is my parcel?", **more: Any) -> Review:
        """Have it wait for a person."""
        request = Request.of(asked, route="/orders") if isinstance(asked, str) else asked
        given = {"why": "failed"} | more
        return self.do(self.desk.submit(request, **given))  # type: ignore[no-any-return]

    def close(self) -> None:
        """End it."""
        self.do(self.desk.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway whose only tier is down."""
    with console_at(tmp_path_factory.mktemp("reviews"), FILE) as running:
        yield running


@pytest.fixture
def store(site: Site) -> Iterator[Store]:
    """The desk, from outside; what is left over is answered at the end, so that each test begins with nothing."""
    opened = Store(site.folder)
    try:
        yield opened
        for each in opened.do(opened.desk.store.listed()):
            left = opened.do(opened.desk.claim(each.reviewer or "tidy", each.id))
            if left is not None:
                opened.do(opened.desk.answer(left, "over"))
    finally:
        opened.close()


def held(page: Any) -> str:
    """What has the focus: its id, or its text."""
    script = "() => document.activeElement.id || document.activeElement.textContent"
    return str(page.evaluate(script))


def traced(*said: str) -> dict[str, Any]:
    """A trace in which as many tiers said this and were not trusted."""
    attempts = [
        {"tier": f"tier{n}", "model": "m", "verdict": "escalate", "score": 0.25, "reason": "below the threshold",
         "latency": 1.5, "calls": [{"label": f"tier{n}/answer", "cost_usd": 0.00125}]}
        for n in range(len(said))
    ]  # fmt: skip
    replies = [{"kind:": "Reply", "content": [{"kind:": "Text", "text": text}]} for text in said]
    outcomes = {f"tier{n}/answer": {"kind:": "Outcome", "value": reply} for n, reply in enumerate(replies)}
    return {"attempts": attempts, "outcomes": outcomes}


def asked(site: Site, text: str) -> None:
    """Ask the gateway as a caller does."""
    body = json.dumps({"model": "cascade", "messages": [{"role": "user", "content": text}]}).encode()
    link = http.client.HTTPConnection(site.base.removeprefix("http://"), timeout=60)
    link.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
    link.getresponse().read()
    link.close()


def waiting(store: Store) -> Review:
    """The only one that waits."""
    [found] = store.do(store.desk.store.listed("waiting"))
    return found  # type: ignore[no-any-return]


def test_by_keyboard_alone(site: Site, store: Store, opened: Open) -> None:
    """All tiers are down; a reviewer claims, writes, sends, undoes and sends again; the caller has the answer."""
    asked(site, "Where is my parcel?")
    ticket = waiting(store).id
    caller = store.later(store.desk.wait(ticket, 60))
    page = opened(site, "/console/reviews", who="rob").page
    page.locator("#sums", has_text="1 waiting").wait_for()
    page.keyboard.press("j")
    assert "Where is my parcel?" in held(page)
    page.keyboard.press("c")
    page.get_by_role("heading", name="Review: no tier answered").wait_for()
    assert held(page) == "work-title"
    page.get_by_text("failed", exact=True).last.wait_for()
    page.keyboard.press("e")
    assert held(page) == "text"
    page.keyboard.type("At the gaet: just uce.")  # the keys of shortcuts are letters here
    page.keyboard.press("Control+Enter")
    page.get_by_role("heading", name="Answered; it goes out in 10 s").wait_for()
    assert held(page) == "work-title" and not caller.done()
    page.keyboard.press("u")
    page.get_by_role("heading", name="Review: no tier answered").wait_for()
    assert held(page) == "text" and page.locator("#text").input_value() == "At the gaet: just uce."
    page.keyboard.press("Control+a")
    page.keyboard.type("At the gate.")
    page.keyboard.press("Escape")
    assert held(page) == "work-title"
    page.keyboard.press("Control+Enter")
    page.get_by_role("heading", name="Answered; it goes out in 10 s").wait_for()
    page.get_by_role("heading", name="Answer sent").wait_for()
    review = caller.result(30)
    assert (review.state, review.answer.text, review.reviewer) == ("answered", "At the gate.", "rob")


def test_pick_skip_and_release(site: Site, store: Store, opened: Open) -> None:
    """Numbers pick what an attempt said, e edits a copy, s goes on to another one, r gives back."""
    first = store.submit("first", why="unsure", best=Reply("Perhaps."), trace=traced("Perhaps.", "It is on its way."))
    second = store.submit("second", why="unsure")
    looked = opened(site, "/console/reviews")
    page = looked.page
    page.locator("#sums", has_text="2 waiting").wait_for()
    page.keyboard.press("c")
    page.get_by_role("heading", name="Review: no tier was sure enough").wait_for()
    page.get_by_text("best so far", exact=True).wait_for()
    page.keyboard.press("s")
    page.locator("#work").get_by_text("second", exact=True).wait_for()
    page.keyboard.press("r")
    page.get_by_role("heading", name="No review is open").wait_for()
    assert held(page) == "next"
    assert {each.id for each in store.do(store.desk.store.listed("waiting"))} == {first.id, second.id}
    page.locator("button.review", has_text="first").click()
    page.get_by_role("heading", name="Review: no tier was sure enough").wait_for()
    page.keyboard.press("2")
    page.get_by_text("Picked: attempt 2, as it stands.").wait_for()
    page.keyboard.press("e")
    assert page.locator("#text").input_value() == "It is on its way."
    assert page.locator("#picked").inner_text() == ""
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Send now").click()
    page.get_by_role("heading", name="Answer sent").wait_for()
    answered = store.do(store.desk.get(first.id))
    assert answered.answer.text == "It is on its way." and answered.reviewer == "ann"


def test_two_reviewers(site: Site, store: Store, opened: Open) -> None:
    """Two pages never have the same review; each sees what the other has, and a lost one is told with the text kept."""
    ticket = store.submit("one").id
    hers, his = (opened(site, "/console/reviews", who=who) for who in ("ann", "rob"))
    ann, rob = hers.page, his.page
    ann.locator("#sums", has_text="1 waiting").wait_for()
    rob.locator("#sums", has_text="1 waiting").wait_for()
    ann.keyboard.press("c")
    ann.get_by_role("heading", name="Review: no tier answered").wait_for()
    rob.locator(".holder", has_text="with ann").wait_for()
    rob.keyboard.press("c")
    rob.locator("#told", has_text="Nothing waits").wait_for(state="attached")
    ann.keyboard.press("e")
    ann.keyboard.type("typed in vain")
    store.do(store.desk.claim("ann", ticket))  # as in another tab: this page's lease is worth nothing now
    ann.keyboard.press("Control+Enter")
    ann.get_by_text("Your text is kept here, and was not sent").wait_for()
    assert ann.locator("#text").input_value() == "typed in vain"
    assert barriers(hers) == []
    shot(hers, "reviews-lost")
    assert store.do(store.desk.get(ticket)).state == "claimed"
    ann.get_by_role("button", name="Take it over here").click()
    ann.locator("#lost:empty").wait_for(state="attached")
    assert held(ann) == "work-title" and ann.locator("#text").input_value() == "typed in vain"
    ann.keyboard.press("Control+Enter")
    ann.get_by_role("button", name="Send now").click()
    ann.get_by_role("heading", name="Answer sent").wait_for()
    assert store.do(store.desk.get(ticket)).answer.text == "typed in vain"


def test_a_reload_loses_nothing(site: Site, store: Store, opened: Open) -> None:
    """After a reload one's own is there to go on with; an answer that is held back goes out without the page."""
    ticket = store.submit("one").id
    page = opened(site, "/console/reviews").page
    page.locator("#sums", has_text="1 waiting").wait_for()
    page.keyboard.press("c")
    page.get_by_role("heading", name="Review: no tier answered").wait_for()
    page.reload()
    page.locator("button.review", has_text="yours").click()
    page.get_by_role("heading", name="Review: no tier answered").wait_for()
    page.keyboard.press("e")
    page.keyboard.type("sent without the page")
    page.keyboard.press("Control+Enter")
    page.get_by_role("heading", name="Answered").wait_for()
    page.goto("about:blank")
    review = store.do(store.desk.wait(ticket, 30))
    assert review.answer.text == "sent without the page"


def test_grading(site: Site, store: Store, opened: Open) -> None:
    """What is only checked is right or wrong with one key."""
    tickets = [store.submit(f"check {n}", why="sampled", best=Reply("It is.")).id for n in range(2)]
    page = opened(site, "/console/reviews").page
    page.locator("#sums", has_text="2 waiting").wait_for()
    for key, said in (("y", "Graded as right"), ("x", "Graded as wrong")):
        page.keyboard.press("c")
        page.get_by_role("heading", name="Review: drawn to be checked").wait_for()
        page.keyboard.press(key)
        page.get_by_role("heading", name=said).wait_for()
    for _ in tickets:
        page.get_by_role("button", name="Send now").first.click()
        page.get_by_role("heading", name="Answer sent").wait_for()
    page.locator("#outbox:empty").wait_for(state="attached")
    answers = [store.do(store.desk.wait(ticket, 20)).answer.text for ticket in tickets]
    assert sorted(answers) == ["", "It is."]


def test_keys_can_be_switched_off(site: Site, store: Store, opened: Open) -> None:
    """Switched off, single keys do nothing, also after a reload; the list of them is a dialog that Escape closes."""
    store.submit("one")
    page = opened(site, "/console/reviews").page
    page.locator("#sums", has_text="1 waiting").wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Shortcuts").wait_for()
    page.keyboard.press("c")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Single-key shortcuts: on").click()
    page.keyboard.press("c")
    page.reload()
    page.get_by_role("button", name="Single-key shortcuts: off").wait_for()
    page.locator("#sums", has_text="1 waiting").wait_for()
    page.keyboard.press("c")
    assert page.get_by_role("heading", name="No review is open").is_visible()
    assert store.do(store.desk.counts()).waiting == 1


def fill(store: Store) -> None:
    """A queue with one of each kind, and hostile texts in every place."""
    turns = (Message("user", (Text(HOSTILE), Image("AAAA", "image/png"))),)
    request = Request(turns, system=(Text(HOSTILE),), route=HOSTILE[:60])
    store.submit(request, why="unsure", best=Reply(HOSTILE), trace=traced(HOSTILE, "It is on its way."))
    store.submit("checked", why="sampled", best=Reply("It is."))
    late = ReviewDesk(store.desk.store, sla=60, clock=lambda: time() - 3_600)
    lapsed = Request.of("One that should have been answered long ago.", route="/refunds")
    while store.do(store.desk.claim("sam", store.do(late.submit(lapsed, "asked")).id)) is None:
        pass  # the gateway's upkeep let it expire before sam had it
    taken = store.submit("One that somebody else has.", why="unsure").id
    store.do(store.desk.claim("bob, who has a long name and \u202eturns it around", taken))
    store.submit("A plain question, which is long enough to be more than one line in the queue. " * 3)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_open_to_all(site: Site, store: Store, opened: Open, theme: Any, width: int) -> None:
    """Hostile texts are shown as text; no barrier that axe knows of, no sideways scrolling; empty, full and open."""
    looked: Looked = opened(site, "/console/reviews", Lens(theme, width), who="rob")
    page = looked.page
    page.get_by_text("Nothing waits").wait_for()
    assert barriers(looked) == []
    fill(store)
    page.locator("#sums", has_text="3 waiting, 1 overdue, 2 claimed").wait_for()
    page.locator("button.review", has_text="</script>").click()
    page.get_by_role("heading", name="Review: no tier was sure enough").wait_for()
    page.get_by_text("System instructions").click()
    page.keyboard.press("2")
    assert page.locator("#work img, #work script, #work b, #rows img").count() == 0
    assert HOSTILE.split("\x1b", maxsplit=1)[0] in page.locator("#work .hostile").nth(1).text_content()
    assert page.locator(".placeholder").inner_text().startswith("Picture, not loaded")
    assert "U+202E U+200B U+001B" in page.locator("#work .unsaid").first.inner_text()
    looked.wide()
    assert barriers(looked) == []
    shot(looked, f"reviews-{theme}-{width}")
    page.keyboard.press("Control+Enter")
    page.get_by_role("heading", name="Answered").wait_for()
    looked.wide()
    assert barriers(looked) == []
    shot(looked, f"reviews-held-{theme}-{width}")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("heading", name="Review: no tier was sure enough").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Shortcuts").wait_for()
    assert barriers(looked) == []
    shot(looked, f"reviews-keys-{theme}-{width}")
