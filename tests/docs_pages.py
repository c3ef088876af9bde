"""The pages of the documentation, taken apart into their blocks, and a shell that runs those of a page in order."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from real import free_port

__all__ = ["DOCS", "FENCE", "PAGES", "ROOT", "Block", "blocks", "matches", "run_shell", "shell_of"]

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted(each.relative_to(DOCS).as_posix() for each in DOCS.rglob("*.md"))
FENCE: Final = re.compile(r"^```(?P<kind>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
AFTER: Final = re.compile(r"^<!-- after: (\S+) (\d+) -->$", re.MULTILINE)
"""A page goes on in the folder that the first so many blocks of another have left."""
HIDDEN: Final = re.compile(r"^<!-- first:\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
"""What is run before a page's own blocks, and not shown."""
PORT: Final = "8080"
MARK: Final = "\x1e"
PATIENCE: Final = 110
KEPT: Final = "import json, sys; sys.exit(json.load(sys.stdin)['reached'] < sum(1 for _ in open('asked')))"
"""Whether all that was asked has been written down, which a gateway does beside its work, four times a second."""
PRELUDE: Final = """\
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
python() { command "$DOCS_PYTHON" "$@"; }
pip() { :; }  # what an install brings is tried by `make wheel`
curl() {
  case "$*" in (*/v1/*' -d '*) echo >>asked ;; esac
  command curl "$@"
}
fastcascade() {
  if [ "${1-}" = report ]; then
    until python -m fastcascade "$@" --json | python -c "$DOCS_KEPT"; do :; done
  fi
  if [ "${1-}" != serve ]; then
    python -m fastcascade "$@"
    if [ "${1-}" = init ]; then sed -i.bak "s/^port = 8080/port = $DOCS_PORT/" "${2-cascade.toml}"; fi
    return
  fi
  kill $(jobs -p) 2>/dev/null || true
  wait
  "$DOCS_PYTHON" -m fastcascade "$@" --port "$DOCS_PORT" >>serve.log 2>&1 &
  until curl -sf "http://127.0.0.1:$DOCS_PORT/healthz" >/dev/null; do kill -0 $!; python -c ''; done
}
"""
"""As a reader does it in a second terminal: `fastcascade serve` goes on beside, at a port that is free."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: of which kind, and the how-manieth of its kind on its page."""

    page: str
    kind: str
    number: int
    text: str
    output: str | None = None  # of a `sh` block: what the page says it prints

    @property
    def name(self) -> str:
        """What a test that runs it is called."""
        return f"{self.page} {self.kind} {self.number}"


def blocks(page: str, text: str | None = None) -> list[Block]:
    """All of a page, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8") if text is None else text
    found: list[Block] = []
    counts: dict[str, int] = {}
    fences = list(FENCE.finditer(text))
    for place, fence in enumerate(fences):
        kind = fence["kind"].strip()
        counts[kind] = counts.get(kind, 0) + 1
        follower = fences[place + 1] if kind == "sh" and place + 1 < len(fences) else None
        shows = follower and follower["kind"] == "text" and not text[fence.end() : follower.start()].strip()
        output = follower["text"] if follower and shows else None
        found.append(Block(page, kind, counts[kind], fence["text"], output))
    return found


def shell_of(page: str) -> list[Block]:
    """The blocks that a shell is to run for a page: those of the page it goes on from, what is not shown, its own."""
    text = (DOCS / page).read_text(encoding="utf-8")
    before: list[Block] = []
    for other, most in AFTER.findall(text):
        before += [each for each in shell_of(other) if each.page == other][: int(most)]
    hidden = [Block(page, "first", number, each) for number, each in enumerate(HIDDEN.findall(text), 1)]
    return [*before, *hidden, *(each for each in blocks(page) if each.kind == "sh")]


def run_shell(found: Sequence[Block], folder: Path, **more: str) -> list[str]:
    """Run blocks one after another in one shell; what each wrote. One that fails fails the test, with all it said."""
    port = str(free_port())
    script = PRELUDE + "".join(f"printf '{MARK}'\n{each.text}" for each in found).replace(PORT, port)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT / "python"), **more}
    env |= {"DOCS_PYTHON": sys.executable, "DOCS_PORT": port, "DOCS_KEPT": KEPT}
    done = subprocess.run(
        [str(shutil.which("bash")), "-c", script],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    log = folder / "serve.log"
    told = log.read_text(encoding="utf-8") if log.exists() else ""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{told}"
    return [each.replace(port, PORT) for each in done.stdout.split(MARK)[1:]]


def matches(output: str, shown: str) -> bool:
    """Whether a page shows what was written: `...` in it stands for anything, and alone on a line for any lines."""
    wanted = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else ".*?".join(map(re.escape, line.rstrip().split("..."))) + r"[ \t]*\n"
        for line in shown.splitlines()
    )
    return re.fullmatch(wanted, output if output.endswith("\n") or not output else f"{output}\n") is not None
