"""What tests in a browser share: a Chromium that is there already, a gateway with a console, what pages must not do.

Of every page it is promised that there is no error and no warning in its console, no request that fails or leaves for
elsewhere, no barrier that axe knows of, and no sideways scrolling.

A test module has the fixtures by `pytest_plugins = ("browser",)`, and imports the rest; since it does so first, pytest
must not want to rewrite what is asserted here: PYTEST_DONT_REWRITE.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pytest

from fastcascade.console.people_file import PeopleFile
from fastcascade.console.people_record import Cost
from gateways import Process, running

__all__ = [
    "Lens",
    "Looked",
    "Open",
    "Site",
    "barriers",
    "browser",
    "chromium",
    "console_at",
    "opened",
    "shot",
    "tabbed",
]

FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
SHOTS: Final = Path(__file__).parents[1] / "target" / "console"
PATIENCE: Final = 20_000.0
"""Milliseconds until what is waited for has not come."""
PASSWORD: Final = "a-password-of-tests-alone"
QUICK: Final = Cost(1024, 8, 1)
SEEN: Final = ("error", "warning")
Theme: TypeAlias = Literal["light", "dark"]
Open: TypeAlias = Callable[..., "Looked"]


def chromium() -> str:
    """Where it is. Without one a test is skipped, but for where all tests are to run: there it fails."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return found
    why = "there is no Chromium to look at pages with: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for the tests of a module: while it is there, none of them can run an event loop of its own."""
    path = chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it is slow to load, and of the dev group

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield started
        finally:
            started.close()


# A gateway with a console.


@dataclass
class Site:
    """A gateway that runs, and who may see its console."""

    base: str
    folder: Path
    process: Process
    cookies: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The only origin that pages may ask."""
        return self.base


@contextmanager
def console_at(folder: Path, text: str, files: Mapping[str, str] | None = None) -> Iterator[Site]:
    """A gateway as a process, with the operator "ann" and the reviewer "rob". `text` is its file, without [gateway]."""
    for name, content in (files or {}).items():
        (folder / name).write_text(content, encoding="utf-8")
    people = PeopleFile(folder / "console.json", cost=QUICK)
    people.add("ann", "operator", PASSWORD)
    people.add("rob", "reviewer", PASSWORD)
    file = folder / "cascade.toml"
    file.write_text(text, encoding="utf-8")
    with running(str(file), "--port", "0") as (process, port):
        yield Site(f"http://127.0.0.1:{port}", folder, process)


# What is looked at.


@dataclass
class Looked:
    """A page that is open, and what was wrong with it so far. `excused` are parts of texts that a test expects."""

    page: Any
    site: Site
    wrong: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Go to a path of the console, and wait until what it asks for is there."""
        self.page.goto(f"{self.site.base}{path}", wait_until="networkidle")

    def sound(self) -> None:
        """Fail, if anything was wrong."""
        left = [each for each in self.wrong if not any(part in each for part in self.excused)]
        assert not left, "\n".join(left)

    def wide(self) -> None:
        """Fail, if the page scrolls sideways."""
        widths = self.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], f"the page is {widths[0]} wide, in a window of {widths[1]}"

    def watch(self) -> "Looked":
        """Listen to all that a page tells."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("request", self._request)
        return self

    def _said(self, message: Any) -> None:
        if message.type in SEEN:
            self.wrong.append(f"console {message.type}: {message.text}")

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # given up by the page, or by its end
            self.wrong.append(f"failed: {request.url} {request.failure}")

    def _request(self, request: Any) -> None:
        self.asked.append(request.url)
        if not request.url.startswith((f"{self.site.host}/", "data:")):
            self.wrong.append(f"asked elsewhere: {request.url}")


@dataclass(frozen=True)
class Lens:
    """How a page is looked at."""

    theme: Theme = "light"
    width: int = 1280
    height: int = 900
    still: bool = True

    def settings(self) -> dict[str, Any]:
        """For a context of the browser."""
        return {
            "color_scheme": self.theme,
            "viewport": {"width": self.width, "height": self.height},
            "reduced_motion": "reduce" if self.still else "no-preference",
        }


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Opens pages: `opened(site, "/console/try", Lens("dark", 360), who="rob")`. At the end all must be sound."""
    contexts: list[Any] = []
    pages: list[Looked] = []

    def opening(site: Site, path: str = "", lens: Lens | None = None, *, who: str = "ann") -> Looked:
        context = browser.new_context(**(lens or Lens()).settings())
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        if who:
            context.add_cookies(_session(browser, site, who))
        looked = Looked(context.new_page(), site).watch()
        pages.append(looked)
        if path:
            looked.go(path)
        return looked

    yield opening
    try:
        for each in pages:
            each.sound()
    finally:
        for context in contexts:
            context.close()


def _session(browser: Any, site: Site, who: str) -> list[Any]:
    """The cookies of one who has logged in by the form, once for each site."""
    if who not in site.cookies:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{site.base}/console/login")
        page.get_by_label("Name").fill(who)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/login" not in url)
        site.cookies[who] = context.cookies()
        context.close()
    return site.cookies[who]


# What is promised of each.


def barriers(looked: Looked) -> list[str]:
    """What axe finds in the page as it is: each rule that is broken, with the elements that break it.

    Its script is evaluated by the debugger, which the page's own policy does not bind: the page stays as it is served.
    """
    import axe_playwright_python  # type: ignore[import-untyped] # noqa: PLC0415 - of the dev group

    script = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    debugger = looked.page.context.new_cdp_session(looked.page)
    debugger.send("Runtime.evaluate", {"expression": script})
    run = "axe.run(document, {resultTypes: ['violations']}).then(found => JSON.stringify(found.violations))"
    came = debugger.send("Runtime.evaluate", {"expression": run, "awaitPromise": True, "returnByValue": True})
    debugger.detach()
    assert "exceptionDetails" not in came, came
    found = json.loads(came["result"]["value"])
    return [f"{each['id']}: {node['html'][:200]} {node['any'][:1]}" for each in found for node in each["nodes"]]


def tabbed(looked: Looked, name: str, most: int = 80) -> None:
    """Press Tab until an element of this text or name has the focus."""
    held = "() => [document.activeElement].map((e) => `${e.ariaLabel} ${e.id} ${e.textContent}`)[0]"
    for _ in range(most):
        looked.page.keyboard.press("Tab")
        if name in looked.page.evaluate(held):
            return
    raise AssertionError(f"{name!r} is not reached by Tab")


def shot(looked: Looked, name: str) -> Path:
    """Take a picture, to be looked at by a person; it is not committed."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = SHOTS / f"{name}.png"
    looked.page.screenshot(path=str(path), full_page=True)
    return path
