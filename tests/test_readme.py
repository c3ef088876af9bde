"""The README's examples run as they stand."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block {number}" for number in range(1, len(BLOCKS) + 1)])
def test_every_python_block_runs(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each block runs by itself, and whatever it asserts holds."""
    exec(compile(block, str(README), "exec"), {})
    capsys.readouterr()


def test_the_first_block_goes_the_way_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The first example prints what its comment says it prints."""
    exec(compile(BLOCKS[0], str(README), "exec"), {})
    assert capsys.readouterr().out == "to user {'id': '42'}\n"
