"""Build the site of the documentation: `make docs`, or `python tools/docs.py [FOLDER]`, without a network.

The pages in docs/ are copied, those of reference are written beside them from the code, Sphinx makes HTML of both with
every warning an error, and what it made is looked through for links that lead nowhere and anything from elsewhere.
"""

import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import docs_api
import docs_check
import docs_commands
import docs_settings

__all__ = ["build", "gathered", "main"]

ROOT: Final = Path(__file__).resolve().parent.parent
ALSO: Final = {"README.md": "readme.md", "DESIGN.md": "design.md", "CHANGELOG.md": "changelog.md"}
"""Pages that lie beside docs/, and what they are called on the site."""
FILES: Final = ("deploy/kubernetes.yaml", "deploy/alerts.yaml", "deploy/grafana/fastcascade.json", "LICENSE")
"""What pages lead to that is no page: it is copied as it is."""
MARK: Final = re.compile(r"^<!-- made: (\w+) -->$", re.MULTILINE)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
MAKERS: Final = {
    "settings": docs_settings.markdown,
    "commands": docs_commands.markdown,
    "metrics": docs_commands.metrics,
}


def gathered(folder: Path) -> None:
    """Write the sources of the site into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    for page in folder.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        text = MARK.sub(lambda found: MAKERS[found[1]](), text)
        page.write_text(_leading(text, page.relative_to(folder)), encoding="utf-8")
    for name, to in ALSO.items():
        (folder / to).write_text(_leading((ROOT / name).read_text(encoding="utf-8"), None), encoding="utf-8")
    for module in docs_api.MODULES:
        (folder / "api" / f"{module}.md").write_text(docs_api.markdown(module), encoding="utf-8")
    for name in FILES:
        (folder / "_static" / Path(name).name).write_bytes((ROOT / name).read_bytes())


def _leading(text: str, page: Path | None) -> str:
    """Have links that lead out of docs/, or into it, lead to where these pages lie on the site."""
    here = ROOT if page is None else (ROOT / "docs" / page).parent

    def moved(found: re.Match[str]) -> str:
        path, hash_, anchor = found[1].partition("#")
        if not path or ":" in path:
            return found[0]
        target = (here / path).resolve()
        up = "../" * (0 if page is None else len(page.parts) - 1)
        if target.is_relative_to(ROOT / "docs"):
            return found[0] if page is not None else f"]({target.relative_to(ROOT / 'docs')}{hash_}{anchor})"
        name = target.relative_to(ROOT).as_posix()
        if name in ALSO:
            return f"]({up}{ALSO[name]}{hash_}{anchor})"
        return f"]({up}_static/{target.name})" if name in FILES else found[0]

    return LINK.sub(moved, text)


def build(into: Path) -> list[str]:
    """Build the site, and say what is wrong with it."""
    sphinx = import_module("sphinx.cmd.build")  # only where it is built: tests of the rest do without
    sources, doctrees = into.with_name(f"{into.name}-sources"), into.with_name(f"{into.name}-read")
    gathered(sources)
    shutil.rmtree(into, ignore_errors=True)
    options = ["-b", "html", "-W", "--keep-going", "-q", "-E", "-d", str(doctrees), "-c", str(ROOT / "docs")]
    if sphinx.build_main([*options, str(sources), str(into)]):
        return ["the pages have mistakes, as told above"]
    return docs_check.faults(into)


def main(argv: list[str]) -> int:
    """Build into a folder; 1 where something is wrong."""
    into = Path(argv[0]) if argv else ROOT / "target" / "docs"
    for fault in (found := build(into)):
        sys.stderr.write(f"{fault}\n")
    if not found:
        sys.stdout.write(f"{into / 'index.html'}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
