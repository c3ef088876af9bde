"""The built site in a real browser, from the disk: it searches, has a dark side, and asks nobody for anything."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from docs_pages import ROOT

pytest_plugins = ("browser",)
SITE: Final = ROOT / "target" / "docs"
PAGES: Final = ("index.html", "tour.html", "gates.html", "reference/configuration.html", "api/fastcascade.html")
PATIENCE: Final = 20_000
WIDEST: Final = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of which it is noted what it asks for, and what its console says."""
    if not (SITE / "index.html").exists():
        pytest.skip("the site is built by `make docs`, which `make test` does before")
    one = browser.new_page(viewport={"width": 360, "height": 740})
    one.asked, one.said = [], []
    one.on("request", lambda request: one.asked.append(request.url))
    one.on("console", lambda said: one.said.append(said.text) if said.type in ("error", "warning") else None)
    one.on("pageerror", lambda error: one.said.append(str(error)))
    yield one
    one.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_asks_for_its_own_files_alone(page: Any, name: str, scheme: str) -> None:
    """From the disk each page comes without an error, asks no other origin, and fits a small screen, light or dark."""
    page.emulate_media(color_scheme=scheme)
    page.goto((SITE / name).as_uri())
    page.wait_for_load_state("load")
    assert page.said == [] and all(url.startswith(("file://", "data:")) for url in page.asked)
    assert page.evaluate(WIDEST) == 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.strip("rgb()").split(",")[:3])) < 380) is (scheme == "dark")


def test_search_works_from_the_disk(page: Any) -> None:
    """What is looked for is found, without a server."""
    page.goto(f"{(SITE / 'search.html').as_uri()}?q=hedging")
    page.wait_for_selector('#search-results a[href*="gates.html"]', timeout=PATIENCE)
    assert page.said == [] and all(url.startswith("file://") for url in page.asked)
