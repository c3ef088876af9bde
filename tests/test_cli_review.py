"""`fastcascade review`: the review desk in a terminal, through a real one and through a pipe."""

import asyncio
import os
import pty
import select
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desks import traced
from fastcascade.cli import main
from fastcascade.cli.review_lines import Lines
from fastcascade.cli.review_sitting import Sitting
from fastcascade.cli.review_text import clean, shown
from fastcascade.messages import Message, Reply, Request
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.reviews.shown import whole
from fastcascade.stores.reviews import Review
from fastcascade.stores.sqlite import SQLiteReviews

FILE = """\
[[tiers]]
name = "small"
backend = { kind = "rules", faq = { hi = "a" } }

[[fallbacks]]
kind = "review"
store = "sqlite:reviews.db"
"""
HOSTILE = "go\x1b[2J\x1b]0;title\x07 \u202egnp\r\x9b31m \u2028end"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A cascade's file with a desk, in a folder of its own."""
    path = tmp_path / "cascade.toml"
    path.write_text(FILE)
    return path


def submit(file: Path, *asked: str, why: Any = "failed", best: Reply | None = None, trace: Any = None) -> list[str]:
    """Have these wait; their tickets."""

    async def work() -> list[str]:
        desk = ReviewDesk(SQLiteReviews(file.parent / "reviews.db"))
        tickets = [(await desk.submit(Request.of(each), why, best, trace)).id for each in asked]
        await desk.aclose()
        return tickets

    return asyncio.run(work())


def kept(file: Path, ticket: str) -> Review:
    """How it stands."""

    async def work() -> Review:
        store = SQLiteReviews(file.parent / "reviews.db")
        review = await store.get(ticket)
        await store.aclose()
        assert review is not None
        return review

    return asyncio.run(work())


def piped(file: Path, typed: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The command with this for its standard input."""
    words = [sys.executable, "-m", "fastcascade", "review", str(file), "--name", "ann", *options]
    return subprocess.run(words, input=typed, capture_output=True, text=True, timeout=60, check=False)


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, file: Path, *options: str, **environment: str) -> None:
        words = [sys.executable, "-m", "fastcascade", "review", str(file), "--name", "ann", *options]
        given = {key: value for key, value in os.environ.items() if key not in {"EDITOR", "VISUAL"}}
        self.here, there = pty.openpty()
        self.process = subprocess.Popen(words, stdin=there, stdout=there, stderr=there, env=given | environment)
        os.close(there)
        self.said = ""

    def until(self, text: str) -> str:
        """Read until it has said this; what it said up to there."""
        while text not in self.said:
            assert select.select([self.here], [], [], 30)[0], f"it never said {text!r}, but {self.said!r}"
            try:
                self.said += os.read(self.here, 65_536).decode(errors="replace")
            except OSError:
                pytest.fail(f"it ended without {text!r}, with {self.said!r}")
        before, _, self.said = self.said.partition(text)
        return before

    def type(self, text: str) -> None:
        """Type it."""
        os.write(self.here, text.encode())

    def ended(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(30)


@contextmanager
def terminal(file: Path, *options: str, **environment: str) -> Iterator[Terminal]:
    """The command in a terminal, ended at the end."""
    opened = Terminal(file, *options, **environment)
    try:
        yield opened
    finally:
        opened.process.kill()
        opened.process.wait()
        os.close(opened.here)


def test_written_at_the_prompt(file: Path) -> None:
    """In a terminal: claim, show, write an answer line by line, send it with Enter; then one quits."""
    [ticket] = submit(file, "Where is my parcel?")
    with terminal(file) as at:
        assert "| Where is my parcel?" in at.until("answer (? for help): ")
        at.type("e\n")
        at.until("ends it")
        at.type("At the gate.\nAsk Bob.\n.\n")
        at.until("u undoes: ")
        at.type("\n")
        at.until("answered")
        at.until("q quits: ")
        at.type("q\n")
        assert at.ended() == 0
    review = kept(file, ticket)
    assert review.answer is not None and review.answer.text == "At the gate.\nAsk Bob." and review.reviewer == "ann"


def test_undone_then_picked(file: Path) -> None:
    """What is undone before it is sent is not sent; an attempt can then be picked by its number."""
    trace, best = traced()
    [ticket] = submit(file, "Where?", why="unsure", best=best, trace=trace)
    with terminal(file, "--once") as at:
        at.until("help): ")
        at.type("n phoned\nb\n")
        at.until("u undoes: ")
        at.type("u\n")
        at.until("undone")
        assert kept(file, ticket).state == "claimed"
        at.type("1\n")
        at.until("this one is empty")
        at.type("3\n")
        at.until("u undoes: ")
        at.type("\n")
        assert at.ended() == 0
    review = kept(file, ticket)
    assert review.answer is not None and (review.answer.text, review.note) == ("It is on its way.", "phoned")


def test_the_editor(file: Path, tmp_path: Path) -> None:
    """With an editor set the answer is what one makes of the text in it, and its file is gone afterwards."""
    trace, best = traced()
    [ticket] = submit(file, "Where?", why="unsure", best=best, trace=trace)
    editor = tmp_path / "edit.py"
    editor.write_text("import pathlib, sys\np = pathlib.Path(sys.argv[-1])\np.write_text(p.read_text() + ' Indeed.')\n")
    editing = {"EDITOR": f"{sys.executable} {editor}", "TMPDIR": str(tmp_path)}
    with terminal(file, "--once", **editing) as at:
        at.until("help): ")
        at.type("e 3\n")
        at.until("u undoes: ")
        at.type("\n")
        assert at.ended() == 0
    review = kept(file, ticket)
    assert review.answer is not None and review.answer.text == "It is on its way. Indeed."
    assert not list(tmp_path.glob("review-*.txt"))


def test_from_a_pipe(file: Path) -> None:
    """From a pipe: skip one, answer the next, grade what is only checked; at its end what is open is given back."""
    first, second = submit(file, "one", "two")
    done = piped(file, "s\ne\nanswer to two\n.\n\n")
    assert done.returncode == 0 and "nothing waits but what you have skipped" in done.stdout
    assert kept(file, first).state == "waiting"
    review = kept(file, second)
    assert review.answer is not None and review.answer.text == "answer to two"
    ended = piped(file, "?\ny\nq\n")
    assert ended.returncode == 0 and "somebody waits for the answer" in ended.stdout and "skip" in ended.stdout
    assert kept(file, first).state == "waiting"


@pytest.mark.parametrize(("word", "text"), [("y", "It is on its way."), ("x", "")])
def test_grading(file: Path, word: str, text: str) -> None:
    """What was drawn to be checked is right or wrong with one letter; a pipe that ends sends it."""
    [ticket] = submit(file, "Where?", why="sampled", best=Reply("It is on its way."))
    done = piped(file, f"{word}\n", "--once")
    assert done.returncode == 0 and "answered" in done.stdout
    review = kept(file, ticket)
    assert review.answer is not None and review.answer.text == text


def test_the_list(file: Path) -> None:
    """What waits and who has what is listed, with nothing that a terminal obeys, and nothing is claimed."""
    [ticket, _] = submit(file, HOSTILE, "two")
    done = piped(file, "", "--list")
    assert done.returncode == 0 and "\\x1b[2J" in done.stdout and "waiting" in done.stdout
    assert not [each for each in done.stdout if each != "\n" and unicodedata.category(each) in {"Cc", "Cf"}]
    assert kept(file, ticket).state == "waiting"


def test_hostile_text_in_a_terminal(file: Path) -> None:
    """What a caller wrote cannot move the cursor, set a title or turn the line around: it is shown as what it is."""
    submit(file, HOSTILE)
    with terminal(file) as at:
        said = at.until("answer (? for help): ")
        at.type("q\n")
        assert at.ended() == 0
    assert "\\x1b[2J\\x1b]0;title\\x07 \\u202egnp\\x0d\\x9b31m \\u2028end" in said
    assert not [each for each in said if each not in "\r\n" and unicodedata.category(each) in {"Cc", "Cf"}]


@given(st.text(st.characters(codec=None, categories=None), max_size=40))
def test_clean(text: str) -> None:
    """Whatever the text, nothing that is obeyed is left in it; what is plain stays as it is."""
    made = clean(text)
    unseen = {each for each in made if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert unseen <= set("\n\t\u200c\u200d")
    if all(each.isprintable() for each in text):
        assert made == text


@given(st.text(st.characters(codec=None), max_size=40))
def test_no_text_passes_for_ours(text: str) -> None:
    """Every line of what others wrote stands behind a bar, so that none can look like a prompt or an attempt."""
    review = Review("t", Request((Message("user", text),)), "failed", 0.0, best=Reply(text or "x"))
    ours = ("---", "caller:", "[b] the best so far", "    | ")
    assert all(line.startswith(ours) for line in shown(whole(review), 0.0))


def taken_over(desk: ReviewDesk, now: list[float]) -> Any:
    """A claim after which time goes on and another claims too, before anything is typed."""
    claim = desk.claim

    async def claimed(reviewer: str) -> Review | None:
        review = await claim(reviewer)
        now[0] += 61
        assert await claim("bob") is not None
        return review

    return claimed


def test_a_lost_lease(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When another took it over meanwhile the answer is not sent, which is said, and the text is shown again."""
    now = [1_000.0]
    desk = ReviewDesk(SQLiteReviews(tmp_path / "reviews.db"), lease=60, clock=lambda: now[0])
    read, write = os.pipe()

    async def work() -> None:
        await desk.submit(Request.of("Where?"), "failed")
        os.write(write, b"e\nmy \x1b[1m words\n.\n\n")
        desk.claim = taken_over(desk, now)  # type: ignore[method-assign]
        assert await Sitting([desk], "ann", once=True, lines=Lines(read)).run() == 0
        await desk.aclose()

    asyncio.run(work())
    os.close(read)
    os.close(write)
    said = capsys.readouterr().out
    assert "not sent: it is not yours any more" in said and "    | my \\x1b[1m words" in said


def test_refusals(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file without a desk, a cascade that is not there and a file that is not there are said, with what to do."""
    plain = tmp_path / "plain.toml"
    plain.write_text(FILE.partition("[[fallbacks]]")[0])
    for words, said in (
        ([str(plain)], 'kind = "review"'),
        ([str(file), "--cascade", "none"], "there is no cascade 'none'"),
        ([str(tmp_path / "none.toml")], "none.toml"),
    ):
        assert main(["review", *words]) == 2
        assert said in capsys.readouterr().err
