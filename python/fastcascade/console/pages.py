"""Pages and what they are made of: read from the package once, composed, and kept as bytes.

A page is its own part of <main>, put into the shell; nothing in it is anybody's data: its script asks for that. What
may be asked for is a fixed list of names: no path is ever made from what a client has sent.
"""

import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Final

from fastcascade.console.asked import Role

__all__ = ["PAGES", "Page", "Pages", "Static"]


@dataclass(frozen=True, slots=True)
class Page:
    """What a page is called, and for whom it is."""

    title: str
    role: Role = "operator"


PAGES: Final[Mapping[str, Page]] = {
    "try": Page("Try it"),
    "live": Page("Live"),
    "traces": Page("Traces"),
    "calibration": Page("Calibration"),
    "reviews": Page("Reviews", "reviewer"),
}
KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
LINKED: Final = re.compile(r'[ \t]*<(?:link|script)\b[^>]*"/console/static/([\w.-]+)"[^>]*>(?:</script>)?\n?')
PLACE: Final = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Static:
    """A file as it is sent."""

    kind: str
    body: bytes
    tag: str = field(default="")

    def __post_init__(self) -> None:
        """Name it by its content."""
        object.__setattr__(self, "tag", f'"{hashlib.sha256(self.body).hexdigest()[:32]}"')


class Pages:
    """All there are."""

    def __init__(self) -> None:
        """Read and compose them."""
        parts: dict[str, str] = {}
        self.static: dict[str, Static] = {}
        for each in resources.files("fastcascade.console").joinpath("static").iterdir():
            stem, _, kind = each.name.rpartition(".")
            if kind in KINDS:
                self.static[each.name] = Static(KINDS[kind], each.read_bytes())
            elif kind == "html":
                parts[stem] = each.read_text(encoding="utf-8")
        self._login = parts["login"]
        self._pages = {
            name: self._composed(parts["shell"], {"title": page.title, "page": name, "main": parts[name]}).encode()
            for name, page in PAGES.items()
            if name in parts
        }

    def page(self, name: str) -> bytes | None:
        """A page whole; None where there is no such page."""
        return self._pages.get(name)

    def login(self, action: str, *, problem: str = "") -> bytes:
        """Where one logs in: `problem` is why one has not."""
        told = f'<p class="wrong" id="problem" role="alert">{html.escape(problem)}</p>' if problem else ""
        said = ' aria-describedby="problem"' if problem else ""
        words = {"action": html.escape(action), "problem": told, "said": said}
        return self._composed(self._login, words).encode("utf-8", "replace")

    def _composed(self, text: str, words: Mapping[str, str]) -> str:
        """The text with its places filled, in one pass: what is put in is not looked through for places again."""
        made = PLACE.sub(lambda found: words.get(found[1], ""), text)
        return LINKED.sub(lambda found: found[0] if found[1] in self.static else "", made)
