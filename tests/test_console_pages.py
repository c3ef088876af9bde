"""Pages of the console: each is whole, holds no script or style of its own, and asks nothing of other origins."""

import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from fastcascade.console.pages import PAGES, Pages

STATIC = {
    each.name: each.read_text(encoding="utf-8")
    for each in resources.files("fastcascade.console").joinpath("static").iterdir()
    if each.name.rpartition(".")[2] in ("html", "js", "css", "svg")
}
HTML = sorted(name for name in STATIC if name.endswith(".html"))
SCRIPTS = sorted(name for name in STATIC if name.endswith(".js"))
STYLES = sorted(name for name in STATIC if name.endswith(".css"))
NAMED = re.compile(r"/console/static/([\w.-]+)")
IMPORTED = re.compile(
    r"""(?m)^\s*(?:import|export)\b(?:[^;"'=]*\bfrom)?\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']"""
)
ORIGINS = re.compile(r"""(?:https?:)?//[\w-]+[.:\w-]*|\bwss?://""", re.IGNORECASE)
XMLNS = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml")
MARKUP = re.compile(
    r"\binnerHTML\b|\bouterHTML\b|\binsertAdjacentHTML\b|\bdocument\s*\.\s*write|\beval\b|\bnew\s+Function\b|\bFunction\s*\("
    r"|\bcreateContextualFragment\b|\bDOMParser\b|\bsetHTML(?:Unsafe)?\b|\bparseHTMLUnsafe\b|\bsrcdoc\s*="
    r"""|\bset(?:Timeout|Interval)\s*\(\s*["'`]|\bimport\s*\(\s*[^"'\s]|javascript:"""
)


class Seen(HTMLParser):
    """What an HTML file has in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.inside and data.strip():
            self.texts.append((self.inside[-1], data))


def code(name: str) -> str:
    """A script or style without its comments."""
    text = re.sub(r"/\*.*?\*/", "", STATIC[name], flags=re.DOTALL)
    return re.sub(r"(?m)(^|[\s;{}(,])//.*$", r"\1", text)


@pytest.mark.parametrize("name", HTML)
def test_pages_hold_no_script_or_style(name: str) -> None:
    """No inline script, style, handler or address of another origin: the content security policy would refuse them."""
    seen = Seen(STATIC[name])
    assert not [text for tag, text in seen.texts if tag in ("script", "style")]
    for tag, attributes in seen.tags:
        assert tag not in ("style", "base", "iframe", "object", "embed", "frame", "template"), tag
        for attribute, value in attributes.items():
            assert not attribute.startswith("on"), (tag, attribute)
            assert attribute not in ("style", "srcdoc", "srcset", "formaction", "ping"), (tag, attribute)
            if attribute in ("href", "src", "action", "data", "poster"):
                assert value == "data:," or (value or "").startswith(("/console", "#", "{{action}}")), (tag, value)
        if tag == "script":
            assert attributes.get("src"), "a script of its own"
            assert attributes.get("type") == "module"
    assert not [found for found in ORIGINS.findall(STATIC[name]) if not found.startswith("//-")]


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_make_no_markup(name: str) -> None:
    """No script makes elements or code out of text, or names another origin: what models say stays text."""
    text = code(name)
    assert not MARKUP.findall(text)
    for each in XMLNS:
        text = text.replace(f'"{each}"', "")
    assert not re.findall(r"(?:https?|wss?)://", text)
    assert not re.findall(r"""["'`]//[\w]""", text)
    assert not re.findall(r"""setAttribute\(\s*["'`](?:on|style|srcdoc)""", text)


@pytest.mark.parametrize("name", STYLES)
def test_styles_ask_for_nothing(name: str) -> None:
    """No style loads anything: no import, no font, no picture but those inside of it."""
    text = code(name)
    assert "@import" not in text
    assert "@font-face" not in text
    assert all(each.startswith("data:") for each in re.findall(r"""url\(\s*["']?([^"')]*)""", text))


def test_what_is_named_is_there() -> None:
    """Each file that a page links to, or a script imports, is one of the package's."""
    pages = Pages()
    for name in PAGES:
        page = (pages.page(name) or b"").decode()
        assert page, f"there is no {name}.html"
        for each in NAMED.findall(page):
            assert each in pages.static, (name, each)
    for each in NAMED.findall(pages.login("/console/login").decode()):
        assert each in pages.static, each
    for name in SCRIPTS:
        for each in (static or at_need for static, at_need in IMPORTED.findall(code(name))):
            assert each.startswith("./"), (name, each)
            assert each.removeprefix("./") in STATIC, (name, each)
    assert {name for name in STATIC if not name.endswith(".html")} == set(pages.static)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_pages_are_composed(name: str) -> None:
    """A page has its title, its part, its script and nothing left to fill; one <main>, one <h1>, its language."""
    page = (Pages().page(name) or b"").decode()
    seen = Seen(page)
    assert "{{" not in page
    assert f"<title>{PAGES[name].title} · fastcascade</title>" in page
    assert f'src="/console/static/{name}.js"' in page
    tags = [tag for tag, _ in seen.tags]
    assert (tags.count("main"), tags.count("h1"), tags.count("html")) == (1, 1, 1)
    assert ("html", {"lang": "en"}) in seen.tags
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_form_works_for_everybody() -> None:
    """The login needs no script; each field has a label and says what it is for, and a problem is read aloud."""
    pages = Pages()
    seen = Seen(pages.login("/console/login?next=live", problem="a <b>problem</b> & more {{action}}").decode())
    forms = [attributes for tag, attributes in seen.tags if tag == "form"]
    assert [(each["method"], each["action"]) for each in forms] == [("post", "/console/login?next=live")]
    fields = {attributes["name"]: attributes for tag, attributes in seen.tags if tag == "input"}
    labels = {attributes.get("for") for tag, attributes in seen.tags if tag == "label"}
    assert {name: each["autocomplete"] for name, each in fields.items()} == {
        "name": "username",
        "password": "current-password",
    }
    for each in fields.values():
        assert each["id"] in labels
        assert each["aria-describedby"] == "problem"
    assert fields["password"]["type"] == "password"
    assert ("p", "a <b>problem</b> & more {{action}}") in seen.texts
    assert "aria-describedby" not in pages.login("/console/login").decode()
    assert b"{{" not in pages.login("/console/login")


def test_files_are_named_by_their_content() -> None:
    """What is sent has a kind that browsers take, and a tag that changes with its content alone."""
    one, two = Pages().static, Pages().static
    assert {name: each.tag for name, each in one.items()} == {name: each.tag for name, each in two.items()}
    assert len({each.tag for each in one.values()}) == len({each.body for each in one.values()})
    assert one["shell.js"].kind.startswith("text/javascript")
    assert one["style.css"].kind.startswith("text/css")
