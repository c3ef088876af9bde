"""The tour: somebody new comes to a calibrated cascade on cases of their own, by the page's commands alone."""

from pathlib import Path
from typing import Final

import pytest

from docs_pages import Block, matches, run_shell, shell_of

TOUR: Final = "tour.md"


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[Block, str]]]:
    """The whole page, run once: the folder it was run in, and what each block wrote."""
    folder = tmp_path_factory.mktemp("tour")
    found = shell_of(TOUR)
    return folder, list(zip(found, run_shell(found, folder), strict=True))


def test_every_command_prints_what_the_page_shows(walked: tuple[Path, list[tuple[Block, str]]]) -> None:
    """No key is set, and all commands end well."""
    _, told = walked
    for block, output in told:
        assert block.output is None or matches(output, block.output), f"{block.name} printed:\n{output}"
    assert sum(block.output is not None for block, _ in told) > len(told) // 2


def test_the_threshold_of_the_page_is_the_one_that_is_served(walked: tuple[Path, list[tuple[Block, str]]]) -> None:
    """The number that calibration prints is the number that the cascade goes by, through the curve that it wrote."""
    folder, told = walked
    (line,) = (each for _, output in told for each in output.splitlines() if each.startswith("accept from   0"))
    assert f"accept = {line.split()[2]}" in (folder / "cascade.toml").read_text(encoding="utf-8")
    assert (folder / "curve.json").exists()


def test_a_page_that_shows_something_else_is_found_out() -> None:
    """Dots stand for what may differ, and nothing else does."""
    assert matches("a  1\nb 2\nc\n", "a  1\n...\nc\n") and matches("a  1\nb 2\n", "a  ...\nb 2\n")
    assert matches("x\ny\n", "...\ny\n") and matches("y\n", "...\ny\n")
    assert not matches("a 1\nb\n", "a 2\nb\n") and not matches("a\nb\n", "a\n") and not matches("a\n", "a\nb\n")
