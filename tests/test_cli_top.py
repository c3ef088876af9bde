"""`fastcascade top`: the essentials in a terminal, drawn as it is, and given back as it was."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decided import answer_of, decision, refusal
from fastcascade.cli import main
from fastcascade.cli.cut import cut
from fastcascade.cli.top_screen import Seen, Sight, lines
from fastcascade.telemetry.decisions import Decisions, Writer

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PATIENCE = 60.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with some of each."""
    keep(tmp_path / "decisions.db", 5)
    return tmp_path / "decisions.db"


def keep(path: Path, many: int) -> None:
    """Some decisions more."""
    writer = Writer(path, every=0.001)
    for n in range(many):
        writer(decision(answer_of("small", "large", id=f"r{n}", task="billing")))
        writer(decision(answer_of("small", degraded="below threshold", task="\x1b[31mred\u202e"), status=503))
        writer(refusal())
    assert writer.flush(30)
    writer.close()


class Screen:
    """`fastcascade top` in a terminal of its own."""

    def __init__(self, path: Path, columns: int = 80, rows: int = 24, **more: str) -> None:
        """Start it."""
        self.ours, theirs = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.ours)
        environment = {**os.environ, "TERM": "xterm", **more}
        command = [sys.executable, "-m", "fastcascade", "top", str(path), "--every", "0.05"]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self.seen = ""

    def resize(self, columns: int, rows: int) -> None:
        """Make the window so large."""
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self.ours, key.encode())

    def until(self, wanted: str, frames: int = 1) -> str:
        """What was drawn since the last time, up to a whole frame that holds this."""
        end = time.monotonic() + PATIENCE
        while True:
            found = [each for each in self.seen.split("\x1b[H")[1:] if "\x1b[J" in each and wanted in each]
            if len(found) >= frames:
                self.seen = ""
                return found[-1].split("\x1b[J")[0]
            assert time.monotonic() < end, repr(self.seen[-2_000:])
            ready, _, _ = select.select([self.ours], [], [], 1.0)
            if ready:
                self.seen += os.read(self.ours, 65_536).decode()

    def end(self) -> int:
        """Read what is left; the exit code."""
        while True:
            try:
                more = os.read(self.ours, 65_536).decode()
            except OSError:  # nobody has the other end any more
                break
            if not more:
                break
            self.seen += more
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End it, if it has not."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)


@pytest.fixture
def screen(store: Path) -> Iterator[Screen]:
    """In a terminal of the usual size."""
    made = Screen(store)
    yield made
    made.close()


def test_it_shows_the_essentials_and_ends_with_q(screen: Screen) -> None:
    """Rate, layers, tiers, last decisions; at its end the terminal is as it was."""
    frame = CODES.sub("", screen.until("last decisions"))
    for wanted in ("requests/s", "escalated 50.0%", "dispatch", "guard", "small", "large", "small > large", "saved"):
        assert wanted in frame
    assert "\x1b[?1049h" not in frame
    screen.press("q")
    assert screen.end() == 0
    assert screen.seen.endswith("\x1b[?25h\x1b[?1049l")
    after = termios.tcgetattr(screen.ours)
    assert after[3] == screen.before[3]


def test_it_goes_on_while_others_write(screen: Screen, store: Path) -> None:
    """What is kept meanwhile is seen at the next look."""
    screen.until("15 in")
    keep(store, 5)
    screen.until("30 in")


def test_p_stops_the_clock_and_goes_on(screen: Screen, store: Path) -> None:
    """While it is stopped nothing changes, whatever is kept."""
    screen.until("15 in")
    screen.press("p")
    screen.until("paused")
    keep(store, 5)
    assert "15 in" in screen.until("paused", frames=3)
    screen.press("p")
    assert "paused" not in screen.until("30 in")


def test_a_window_that_is_resized_is_drawn_anew(screen: Screen) -> None:
    """Every line fits, however narrow it is."""
    screen.until("last decisions")
    screen.resize(40, 12)
    screen.process.send_signal(signal.SIGWINCH)
    screen.seen = ""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        shown = CODES.sub("", screen.until("requests/s")).split("\r\n")
        if max(map(len, shown)) <= 40 and len(shown) <= 12:
            return
    pytest.fail("it was never drawn in the new size")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_the_terminal_back(screen: Screen, number: signal.Signals) -> None:
    """Interrupted or ended, the cursor and the other screen are back."""
    screen.until("requests/s")
    screen.process.send_signal(number)
    assert screen.end() in (130, 143)
    assert screen.seen.endswith("\x1b[?25h\x1b[?1049l")


def test_what_clients_send_does_not_command_the_terminal(screen: Screen) -> None:
    """A task that holds escapes or turns the writing around is shown without them."""
    frame = screen.until("last decisions")
    assert "\x1b[31mred" not in frame
    assert "\u202e" not in frame


def test_without_color_where_nobody_wants_it(store: Path) -> None:
    """NO_COLOR leaves the places of the cursor alone."""
    screen = Screen(store, NO_COLOR="1")
    try:
        assert "\x1b[1m" not in screen.until("requests/s")
    finally:
        screen.close()


def test_where_there_is_no_terminal_it_is_shown_once(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As with --once: plain text, for a file or a pipe."""
    assert main(["top", str(store)]) == 0
    first = capsys.readouterr().out
    assert main(["top", str(store), "--once"]) == 0
    assert "\x1b" not in first
    assert "requests/s" in first
    assert "last decisions" in capsys.readouterr().out


def test_a_store_that_is_away_is_told_of_and_looked_for_again(tmp_path: Path, store: Path) -> None:
    """It does not end with an error while a file is being put in place."""
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database, " * 100)
    sight = Sight(Decisions(damaged), 900.0)
    seen = sight.look(time.time())
    assert "no SQLite database" in seen.wrong
    assert "SQLite" in " ".join(lines(seen, "damaged.db", 40, 24, color=False))
    damaged.write_bytes(store.read_bytes())
    assert sight.look(time.time()).layers


def test_a_tier_that_is_slower_than_usual_is_marked(tmp_path: Path) -> None:
    """Twice its usual middle, over the last day, from five tries on."""
    now, path = time.time(), tmp_path / "d.db"
    writer = Writer(path, every=0.001)
    for n in range(100):
        answer = answer_of("small")
        late = n >= 80
        tried = answer.attempts[0]
        took = 3.0 if late else 0.2
        first = type(tried)(tried.tier, tried.verdict, None, "", "", None, 0.0, took, tried.calls)
        made = type(answer)(answer.reply, answer.request, "small", attempts=(first,))
        writer(decision(made, now - (10 if late else 7_200)))
    assert writer.flush(30)
    writer.close()
    seen = Sight(Decisions(path), 900.0).look(now)
    assert seen.slow == {"small"}
    assert any(line.endswith("slow") for line in lines(seen, "d.db", 80, 24, color=False))


@given(st.text(), st.integers(0, 30))
def test_a_text_is_cut_to_its_width(text: str, width: int) -> None:
    """No wider, whatever the letters, and nothing in it that a terminal would obey."""
    shown = cut(text, width)
    assert sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in shown) <= width
    assert shown.isprintable()


@given(st.integers(1, 200), st.integers(1, 60))
def test_any_window_is_fitted(columns: int, rows: int) -> None:
    """No line is wider, and there are no more of them, than there is room for."""
    shown = lines(Seen(0.0, 60.0), "d.db", columns, rows, color=False)
    assert len(shown) <= rows
    assert all(len(each) <= columns for each in shown)
