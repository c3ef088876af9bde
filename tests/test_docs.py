"""What the pages in docs/ show runs as it stands."""

import re
from pathlib import Path

import pytest

from fastcascade import config

PAGES = sorted((Path(__file__).parent.parent / "docs").glob("*.md"))
SHOWN = [
    (page.name, kind, number, block)
    for page in PAGES
    for kind in ("python", "toml")
    for number, block in enumerate(re.findall(rf"```{kind}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL), 1)
]


NAMES = [f"{page} {kind} {number}" for page, kind, number, _ in SHOWN]


@pytest.mark.parametrize(("kind", "block"), [each[1::2] for each in SHOWN], ids=NAMES)
def test_every_block_runs_or_is_read(
    kind: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python runs by itself, and whatever it asserts holds; TOML is a file that is served, or its [gateway] alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/0")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    if kind == "python":
        exec(compile(block, "docs", "exec"), {"__name__": "docs"})
        capsys.readouterr()
        return
    file = tmp_path / "cascade.toml"
    file.write_text(block, encoding="utf-8")
    if "[[" in block:
        config.load_all(file)
    config.load_settings(file)
