"""The check of the built site: what a page may fetch, and that links lead somewhere."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from docs_pages import ROOT

GOOD = """<html><head><link rel="stylesheet" href="a.css"><link rel="next" href="b.html"></head>
<body id="top"><a href="b.html#there">b</a><a href="https://example.com/x">elsewhere</a><a href="#here">h</a>
<h1 id="here">x</h1><img src="data:image/png;base64,AA=="><script src="a.js"></script></body></html>"""

FETCHED = [
    '<script src="https://cdn.example.com/x.js"></script>',
    '<script src="//cdn.example.com/x.js"></script>',
    '<link rel="stylesheet" href="https://fonts.example.com/css">',
    '<link rel="preconnect" href="https://fonts.example.com">',
    '<img src="https://example.com/x.png">',
    '<img srcset="b.html 1x, https://example.com/x.png 2x">',
    '<iframe src="http://example.com"></iframe>',
    '<p style="background: url(https://example.com/x.png)">x</p>',
    "<style>@import 'https://example.com/x.css';</style>",
    '<script>fetch("https://example.com/count")</script>',
]
BROKEN = [
    '<a href="nowhere.html">x</a>',
    '<a href="b.html#nowhere">x</a>',
    '<a href="#nowhere">x</a>',
    '<a href="/b.html">x</a>',
    '<a href="../outside.html">x</a>',
    '<img src="nowhere.png">',
    '<script src="nowhere.js"></script>',
]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return import_module("docs_check").faults


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site without a fault."""
    folder = tmp_path / "site"
    folder.mkdir()
    (tmp_path / "outside.html").write_text("<p>x</p>", encoding="utf-8")
    (folder / "a.html").write_text(GOOD, encoding="utf-8")
    (folder / "b.html").write_text('<p id="there">x</p><a href="a.html">a</a>', encoding="utf-8")
    (folder / "a.css").write_text("/* url(https://example.com) */ p { color: red }", encoding="utf-8")
    (folder / "a.js").write_text("let x = 'https://example.com';", encoding="utf-8")
    return folder


def test_a_good_site_has_no_faults(check: Any, site: Path) -> None:
    """Links in the text may lead elsewhere; a text in a script that is no request is none."""
    assert check(site) == []


@pytest.mark.parametrize("given", [*FETCHED, *BROKEN])
def test_each_fault_is_found(check: Any, site: Path, given: str) -> None:
    """What a browser would fetch from another origin, and a link that leads nowhere, are told with their page."""
    (site / "bad.html").write_text(f"<html><body>{given}</body></html>", encoding="utf-8")
    found = check(site)
    assert len(found) == 1 and found[0].startswith("bad.html: ")
    assert ("elsewhere" in found[0]) is (given in FETCHED)


@pytest.mark.parametrize(
    "rule",
    ["@import 'https://example.com/x.css';", "p { src: url(//x.example/f.woff2) }", "p { background: url(no.png) }"],
)
def test_styles_are_looked_into(check: Any, site: Path, rule: str) -> None:
    """A font or a picture that a style fetches counts as one of a page."""
    (site / "a.css").write_text(rule, encoding="utf-8")
    assert len(check(site)) == 1


def test_scripts_are_looked_into(check: Any, site: Path) -> None:
    """A script that asks another origin is found, as far as the address stands in it."""
    (site / "a.js").write_text('import("https://example.com/x.js")', encoding="utf-8")
    assert check(site) == ["a.js: fetches from elsewhere"]


def test_a_folder_without_pages_is_a_fault(check: Any, tmp_path: Path) -> None:
    """Nothing built is not the same as nothing wrong."""
    assert len(check(tmp_path / "none")) == 1
