"""How pages are taken apart, which all tests of the documentation stand on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs_pages import Block, blocks, matches, run_shell, shell_of

LINES: Final = st.lists(st.text("ab .1", max_size=6).map(str.rstrip).filter(lambda line: "..." not in line), max_size=6)


@given(LINES, st.data())
def test_dots_alone_on_a_line_stand_for_any_lines(lines: Sequence[str], data: st.DataObject) -> None:
    """Whatever run of lines is left out and dotted, the rest still matches; and without the dots it does not."""
    first = data.draw(st.integers(0, len(lines)))
    last = data.draw(st.integers(first, len(lines)))
    output = "".join(f"{line}\n" for line in lines)
    shown = "".join(f"{line}\n" for line in (*lines[:first], "...", *lines[last:]))
    assert matches(output, shown) and matches(output, output)
    shorter = shown.replace("...\n", "")
    assert matches(output, shorter) is (shorter == output)


@given(LINES, st.integers(0, 5), st.sampled_from(["x", "xx"]))
def test_another_word_is_found_out(lines: Sequence[str], place: int, word: str) -> None:
    """A line that is printed otherwise than it is shown does not match."""
    shown = "".join(f"{line}\n" for line in lines)
    changed = [f"{line}{word}" if number == place else line for number, line in enumerate(lines)]
    assert matches("".join(f"{line}\n" for line in changed), shown) is (place >= len(lines))


def test_a_page_is_taken_apart() -> None:
    """Each block has its kind and number; what stands right below commands is what they print."""
    shown = "```sh\na\n```\n\n```text\nout\n```\n\nwords\n\n```sh\nb\n```\n"
    text = f"{shown}words\n```text\nalone\n```\n```toml\nx = 1\n```\n"
    found = blocks("page.md", text)
    assert [(each.kind, each.number, each.output) for each in found] == [
        ("sh", 1, "out\n"),
        ("text", 1, None),
        ("sh", 2, None),
        ("text", 2, None),
        ("toml", 1, None),
    ]


def test_a_page_goes_on_where_another_left_off() -> None:
    """The blocks of the page it names come first, and its own behind them."""
    found = [block.page for block in shell_of("prove.md")]
    assert found[:6] == ["tour.md"] * 6 and set(found[6:]) == {"prove.md"}


def test_blocks_share_a_shell(tmp_path: Path) -> None:
    """A variable of one is there in the next; what each writes is told apart."""
    found = [Block("page.md", "sh", number, text) for number, text in enumerate(["A=1\necho one\n", 'echo "$A"\n'])]
    assert run_shell(found, tmp_path) == ["one\n", "1\n"]


@pytest.mark.parametrize("bad", ["false", "fastcascade no-such-command", 'echo "$NOT_SET"', "false | cat"])
def test_a_command_that_fails_fails_the_page(bad: str, tmp_path: Path) -> None:
    """Also one within a pipe, and a variable that is not set."""
    with pytest.raises(AssertionError, match="before"):
        run_shell([Block("page.md", "sh", 1, f"echo before\n{bad}\necho behind\n")], tmp_path)
