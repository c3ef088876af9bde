"""What is wrong with a built site: links that lead nowhere, and anything that a page would load from elsewhere.

A link in the text may lead to another site. What a browser fetches by itself, such as a script or a font, may not.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

__all__ = ["faults"]

FETCHED: Final = {
    **dict.fromkeys(("script", "img", "iframe", "source", "audio", "video", "track", "embed", "input"), "src"),
    **dict.fromkeys(("link", "use", "image"), "href"),
    "object": "data",
}
"""What a browser fetches without being asked, by the element that says so."""
NOT_FETCHED: Final = frozenset({"index", "search", "next", "prev", "canonical", "author", "license"})
"""Of `<link>`, what is a link and no more."""
IN_STYLE: Final = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")
COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
IN_SCRIPT: Final = re.compile(
    r"""(?:fetch|import|importScripts|src\s*=|new\s+(?:Worker|EventSource|WebSocket))\s*\(?\s*["'](\w+:)?//"""
)


class Page(HTMLParser):
    """What a page links to, what it fetches, and what can be linked to in it."""

    def __init__(self) -> None:
        """Know nothing yet."""
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element refers to."""
        said = {name: value or "" for name, value in attrs}
        self.anchors |= {said[name] for name in ("id", "name") if name in said}
        self.inside = tag if tag in ("style", "script") else ""
        if "style" in said:
            self.fetched += IN_STYLE.findall(said["style"])
        if "srcset" in said:
            self.fetched += [each.split()[0] for each in said["srcset"].split(",") if each.strip()]
        if tag in ("a", "form", "area"):
            self.links += [said[name] for name in ("href", "action") if name in said]
        elif tag == "link" and set(said.get("rel", "").split()) <= NOT_FETCHED:
            self.links.append(said.get("href", ""))
        elif (name := FETCHED.get(tag)) in said:
            self.fetched.append(said[name])

    def handle_data(self, data: str) -> None:
        """Look into styles and scripts that stand in the page."""
        if self.inside == "style":
            self.fetched += IN_STYLE.findall(data)
        elif self.inside == "script" and IN_SCRIPT.search(data):
            self.fetched.append(f"https://a script: {data.strip()[:60]}")

    def handle_endtag(self, tag: str) -> None:
        """Be outside of it again."""
        self.inside = "" if tag == self.inside else self.inside


def faults(site: Path) -> list[str]:
    """One line for each, with the page that has it."""
    site = site.resolve()
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        return [f"{site}: no page was made"]
    found: list[str] = []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        found += [f"{name}: fetches {each} from elsewhere" for each in page.fetched if _elsewhere(each)]
        for link in [*page.links, *(each for each in page.fetched if not _elsewhere(each))]:
            found += [f"{name}: {why}" for why in _broken(link, path, site, pages)]
    found += [fault for path in sorted(site.rglob("*.css")) for fault in _style(path, site)]
    found += [
        f"{path.relative_to(site).as_posix()}: fetches from elsewhere"
        for path in sorted(site.rglob("*.js"))
        if IN_SCRIPT.search(path.read_text(encoding="utf-8"))
    ]
    return found


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page


def _elsewhere(link: str) -> bool:
    parts = urlsplit(link)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def _broken(link: str, path: Path, site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return
    if parts.path.startswith("/"):
        yield f"{link} begins at a root, which a page opened from a disk has not"
        return
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site) or not target.is_file():
        yield f"{link} leads nowhere"
    elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors | {"", "top"}:
        yield f"{link}: there is no such place on that page"


def _style(path: Path, site: Path) -> Iterator[str]:
    name = path.relative_to(site).as_posix()
    for each in IN_STYLE.findall(COMMENT.sub("", path.read_text(encoding="utf-8"))):
        if _elsewhere(each):
            yield f"{name}: fetches {each} from elsewhere"
        elif not each.startswith(("data:", "#")) and not (path.parent / urlsplit(each).path).is_file():
            yield f"{name}: {each} leads nowhere"
