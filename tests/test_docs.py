"""What the pages in docs/ show runs as it stands: Python, TOML, JSON and commands, but for what is listed here."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from docs_pages import DOCS, FENCE, PAGES, ROOT, Block, blocks, matches, run_shell, shell_of
from fastcascade import config
from redis_server import redis_server
from reviews import quick_folder

NOT_RUN: Final[Mapping[tuple[str, str], str]] = {
    ("releasing.md", "sh"): "wheels for other machines, and uploads",
    ("scale.md", "dockerfile"): "an image is built where there is a registry",
    ("scale.md", "text"): "tests/test_scale_acl.py has a real server told it",
}
"""Blocks that no test of this file runs, by page and kind, with the reason."""
ELSEWHERE: Final = {
    "litellm": "make test-litellm",
    "langchain_openai": "make test-clients",
    "pydantic_ai": "make test-clients",
}
"""Packages that are tested in environments of their own: a block that imports one is run there."""
TIER: Final = '\n[[tiers]]\nname = "made-up"\nbackend = { kind = "rules", rules = { "a" = "b" } }\n'
"""What a part of a file is read beside."""
RUN: Final = ("python", "toml", "json", "sh", "{toctree}")
ALL: Final = [block for page in PAGES for block in blocks(page)]
SHELLS: Final = [page for page in PAGES if page != "tour.md" and any(each.kind == "sh" for each in blocks(page))]
LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def of(kind: str) -> pytest.MarkDecorator:
    """A test for each block of a kind."""
    found = [block for block in ALL if block.kind == kind and (block.page, kind) not in NOT_RUN]
    return pytest.mark.parametrize("block", found, ids=[block.name for block in found])


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, where a sync takes no time; keys that no block uses, and a Redis that is not there."""
    folder = TemporaryDirectory(prefix="fastcascade-docs-", dir=quick_folder())
    monkeypatch.chdir(folder.name)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/0")
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GROQ_API_KEY"):
        monkeypatch.setenv(name, "made-up")
    yield
    monkeypatch.undo()
    folder.cleanup()


@of("python")
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:langchain_core")
def test_every_python_block_runs(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    """Each runs by itself, and whatever it asserts holds."""
    for package, where in ELSEWHERE.items():
        if re.search(rf"^(?:import|from) {package}\b", block.text, re.MULTILINE):
            pytest.importorskip(package, reason=f"it is tested in an environment of its own: {where}")
    exec(compile(block.text, block.name, "exec"), {"__name__": "docs"})
    capsys.readouterr()


@of("toml")
def test_every_toml_block_is_read(block: Block, tmp_path: Path) -> None:
    """Each is a file that is served, or a part of one."""
    file = tmp_path / "cascade.toml"
    routes = "gateway.routes" in block.text and "tiers" not in block.text
    whole = routes or re.search(r"^\[\[(cascades\.\w+\.)?tiers\]\]|^tiers =", block.text, re.MULTILINE)
    file.write_text(block.text + ("" if whole else TIER), encoding="utf-8")
    config.load_all(file)
    config.load_settings(file)


@of("json")
def test_every_json_block_is_read(block: Block) -> None:
    """Each is one value, or one to a line."""
    try:
        json.loads(block.text)
    except ValueError:
        for line in block.text.splitlines():
            json.loads(line)


@pytest.mark.parametrize("page", [page for page in SHELLS if (page, "sh") not in NOT_RUN])
def test_the_commands_of_a_page_run_in_their_order(page: str, tmp_path: Path) -> None:
    """They run one after another in one folder, and print what the page shows."""
    found = shell_of(page)
    with ExitStack() as ends:
        more = {}
        if any("$REDIS_URL" in each.text for each in found):
            more = {"REDIS_URL": ends.enter_context(redis_server()).url}
        written = run_shell(found, tmp_path, **more)
    for block, output in zip(found, written, strict=True):
        assert block.output is None or matches(output, block.output), f"{block.name} printed:\n{output}"


def test_every_block_is_run_or_has_a_reason() -> None:
    """A block is of a kind that is run, or shows what one printed, or stands in the list, which has nothing else."""
    kinds = {(block.page, block.kind) for block in ALL}
    shown = {(block.page, block.output) for block in ALL if block.output is not None}
    unread = {(each.page, each.kind) for each in ALL if each.kind == "text" and (each.page, each.text) not in shown}
    assert unread | {each for each in kinds if each[1] not in (*RUN, "text")} <= NOT_RUN.keys()
    assert NOT_RUN.keys() <= kinds


def test_no_block_hides_behind_an_indent() -> None:
    """All code of a page is fenced, and so is run: none is set apart by four spaces alone."""
    for page in PAGES:
        bare = FENCE.sub("", (DOCS / page).read_text(encoding="utf-8"))
        assert not re.search(r"\n\n    \S", bare), page


@pytest.mark.parametrize("page", [*PAGES, "../README.md", "../DESIGN.md"])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    """A link to a file leads to one that is there, and one to a heading to a heading; the site checks what it makes."""
    for link in LINK.findall(FENCE.sub("", (DOCS / page).read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if ":" in path:
            continue
        target = ((DOCS / page).parent / path).resolve() if path else (DOCS / page).resolve()
        assert target.exists() and target.is_relative_to(ROOT), f"{page}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in headings(target), f"{page}: {link}"


def headings(page: Path) -> set[str]:
    """What can be linked to in a page, as its headings are spelled in links."""
    found = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found}
