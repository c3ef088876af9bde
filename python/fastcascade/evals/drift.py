"""The share of requests that escalate: whether it is still that of calibration, and below the fixed lines."""

from collections import deque
from collections.abc import Mapping
from math import log1p
from threading import Lock
from typing import Any, Final, Literal, TypeAlias

from fastcascade.errors import ConfigError
from fastcascade.evals.live_bounds import BETS, exact
from fastcascade.evals.purse import VERSION, Purse, same, settled, whole, within
from fastcascade.notices import notify

__all__ = ["LINES", "EscalationWatch", "Status"]

Status: TypeAlias = Literal["ok", "alert", "redesign"]

LINES: Final[Mapping[Status, float]] = {"alert": 0.40, "redesign": 0.50}
"""Escalation rates above which somebody should look, and above which the cascade should be thought over."""
_Gains: TypeAlias = tuple[list[float], list[float]]
WINDOW: Final = 1_000
LEAST: Final = 100
LINE_EVERY: Final = 100_000


class EscalationWatch:
    """Tells when the share of requests that escalate is no longer what it was in calibration, or is above a line.

    What was seen in calibration is itself uncertain: the watch bets against its exact interval at 1 - delta/2, and
    leaves the other half of delta to the bets. So while nothing has changed it is wrong with probability delta.

    Args:
        escalated: how many escalated in calibration.
        of: out of how many.
        delta: how likely a false alarm of drift may be, over a run without end.
        every: in place of the half of it that the bets have, requests between false alarms, on average at least.
        lines: the rates of the two fixed lines. That one was crossed is shown by bets too, with at least 100,000
            requests between false alarms; it is over when the rate of the last requests is back at the line.
        window: how many last requests `rate` is about.
        about: what to call it in a notice: a slice, a task.
    """

    def __init__(
        self,
        escalated: int,
        of: int,
        *,
        delta: float = 0.05,
        every: float | None = None,
        lines: Mapping[Status, float] = LINES,
        window: int = WINDOW,
        about: str = "all requests",
    ) -> None:
        """Check the settings."""
        if not (0 <= escalated <= of and of > 0):
            raise ConfigError(f"{escalated} of {of} is no escalation rate: give how many escalated, and of how many")
        settled(delta, every)
        if not set(lines) <= set(LINES) or not all(0 < line < 1 for line in lines.values()):
            raise ConfigError(f"lines are rates above 0 and below 1 for {' and '.join(LINES)}, not {dict(lines)!r}")
        within("window", window, window >= LEAST, f"{LEAST} or more")
        self.expected = exact(escalated, of, 1 - delta / 2)
        self.about = about
        self.n = 0
        self.fired: int | None = None  # after how many requests a drift was shown
        self.status: Status = "ok"
        self._settings: dict[str, Any] = {
            "escalated": escalated,
            "of": of,
            "delta": delta,
            "every": every,
            "lines": dict(lines),
        }
        low, high = self.expected
        more, fewer = _gains(high), _gains(1 - low)
        self._gains = (fewer[1] + more[0], fewer[0] + more[1])  # by whether it escalated
        self._drift = Purse(2 * len(BETS), every or 2 / delta, anew=every is not None)
        self._lines: list[tuple[Status, float, _Gains, Purse]] = [
            (name, line, _gains(line), Purse(len(BETS), LINE_EVERY, anew=True)) for name, line in lines.items()
        ]
        self._over: set[Status] = set()
        self._last: deque[bool] = deque(maxlen=window)
        self._recent = 0
        self._lock = Lock()

    def add(self, escalated: bool) -> list[str]:  # noqa: FBT001 - it is what a request is about
        """Take a request; what there is to tell now, which was a notice too."""
        with self._lock:
            self.n += 1
            self._remember(escalated)
            told = self._drifted(escalated) + self._crossed(escalated)
        for text in told:
            notify("escalation", self.about, text)
        return told

    def _remember(self, escalated: bool) -> None:  # noqa: FBT001 - as above
        if len(self._last) == self._last.maxlen:
            self._recent -= self._last[0]
        self._last.append(escalated)
        self._recent += escalated

    def _drifted(self, escalated: bool) -> list[str]:  # noqa: FBT001 - as above
        if not self._drift.play(self._gains[escalated]) or self.fired is not None:
            return []
        self.fired = self.n
        half = len(BETS)
        which = "above" if max(self._drift.logs[half:]) > max(self._drift.logs[:half]) else "below"
        low, high = self.expected
        return [f"escalation is {which} the {low:.1%} to {high:.1%} of calibration; {self._shown()}"]

    def _crossed(self, escalated: bool) -> list[str]:  # noqa: FBT001 - as above
        for name, line, gains, purse in self._lines:
            full, calm = purse.play(gains[escalated]), self._recent <= line * len(self._last)
            if calm and (full or name in self._over):
                purse.empty()
                self._over.discard(name)
            elif full:
                self._over.add(name)
        before = self.status
        self.status = self._standing()
        if self.status in (before, "ok") or (before, self.status) == ("redesign", "alert"):
            return []
        line = self._settings["lines"][self.status]
        return [f"escalation is above the line of {line:.0%} ({self.status}); {self._shown()}"]

    def _standing(self) -> Status:
        return "redesign" if "redesign" in self._over else "alert" if "alert" in self._over else "ok"

    def _shown(self) -> str:
        return f"{self._recent} of the last {len(self._last)} requests"

    @property
    def rate(self) -> tuple[float, float, float]:
        """The share among the last requests, and its exact interval, for one look at it."""
        with self._lock:
            held, n = self._recent, len(self._last)
        return (held / n if n else 0.0, *exact(held, n))

    def restart(self) -> None:
        """Begin anew, against the same rate."""
        with self._lock:
            self.n, self.fired, self.status = 0, None, "ok"
            self._over.clear()
            self._last.clear()
            self._recent = 0
            for purse in self._purses():
                purse.empty()

    def state(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        with self._lock:
            return {
                "version": VERSION,
                "settings": dict(self._settings),
                "n": self.n,
                "fired": self.fired,
                "over": sorted(self._over),
                "last": "".join("01"[each] for each in self._last),
                "logs": [list(purse.logs) for purse in self._purses()],
            }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where another one of the same settings was."""
        same(state, self._settings)
        with self._lock, whole():
            n, fired, over = int(state["n"]), state["fired"], set(state["over"])
            last = [each == "1" for each in state["last"]]
            logs = [purse.read(held) for purse, held in zip(self._purses(), state["logs"], strict=True)]
            for purse, held in zip(self._purses(), logs, strict=True):
                purse.logs = held
            self.n, self.fired, self._over = n, fired, over
            self.status = self._standing()
            self._last.clear()
            self._last.extend(last)
            self._recent = sum(self._last)

    def _purses(self) -> list[Purse]:
        return [self._drift, *(purse for _, _, _, purse in self._lines)]


def _gains(rate: float) -> _Gains:
    """The logarithms of what a no, and a yes, does to each stake on more than this rate of yes."""
    return [log1p(-bet) for bet in BETS], [log1p(bet * (1 / rate - 1)) for bet in BETS]
