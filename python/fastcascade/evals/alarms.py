"""Alarms that may be looked at after every label: accepted quality below its promise, escalation that drifts.

    alarm = QualityAlarm(0.95, delta=0.05, floor=shadow.floor)          # a false alarm, ever: in 5 % of services
    alarm = QualityAlarm(0.95, every=20_000, floor=shadow.floor)        # one in 20,000 labels, and quick for ever
    if alarm.hear(label): ...                                           # a notice was made as well

Each is a bet. Whoever stakes against the promise, at odds that are fair while it is kept, ends up with 1/delta times
his money in one run of 1/delta at most, however long it is and however often he looks (Ville). So that much money is
evidence. A share of the money is on each of a few fixed stakes: one of them fits the fall that comes.

Losses are weighted with floor/propensity, and so unequal propensities need no count of what was not drawn: over
labels the mean of weight times (loss - allowed) is at most nought while the promise is kept, and each weight at most
1, which keeps every stake above nought. The promise must hold for what comes next, whatever came before. A label may
come late, as long as its delay does not depend on what it says.

With `every`, the bets are begun anew with each label, and their sum is what counts (Shiryaev-Roberts, as an
e-detector): a long good time does not use up the money. False alarms are then that many labels apart on average.
"""

from collections.abc import Iterable, Mapping
from math import exp, log1p
from threading import Lock
from typing import Any, Final

from fastcascade.errors import ConfigError
from fastcascade.evals.drift import LINES, EscalationWatch, Status
from fastcascade.evals.live_bounds import BETS
from fastcascade.evals.purse import VERSION, Purse, same, settled, whole, within
from fastcascade.evals.shadow_labels import Label
from fastcascade.evals.suggestions import Suggestion, suggest
from fastcascade.notices import notify

__all__ = ["LINES", "EscalationWatch", "QualityAlarm", "QualityAlarms", "Status", "Suggestion", "suggest"]

REMEMBERED: Final = 256
"""Kinds of label whose logarithms are kept: right and wrong come again and again."""


class QualityAlarm:
    """Tells when the mean score of accepted answers is below what was promised, at any time and for good reason.

    Args:
        promise: the mean score that accepted answers should have, below 1.
        delta: how likely a false alarm may be over a run without end, while the promise is kept.
        every: in place of that, false alarms are at least this many labels apart on average; quick at all times.
        floor: the lowest propensity that a label may have; 1 where all accepted answers are labelled.
        about: what to call it in a notice.
    """

    def __init__(
        self,
        promise: float,
        *,
        delta: float = 0.05,
        every: float | None = None,
        floor: float = 1.0,
        about: str = "accepted answers",
    ) -> None:
        """Check the settings."""
        within("promise", promise, 0 < promise < 1, "above 0 and below 1")
        settled(delta, every)
        within("floor", floor, 0 < floor <= 1, "above 0, up to 1")
        self.promise = promise
        self.delta = delta
        self.every = every
        self.floor = floor
        self.about = about
        self.n = 0
        self.fired: int | None = None  # after how many labels
        self._allowed = 1 - promise
        self._stakes = tuple(bet / self._allowed for bet in BETS)
        self._purse = Purse(len(BETS), every or 1 / delta, anew=every is not None)
        self._gains: dict[float, list[float]] = {}
        self._lock = Lock()

    def add(self, score: float, propensity: float = 1.0) -> bool:
        """Take a label. True the first time that there is enough evidence; then there is a notice too."""
        if not 0 <= score <= 1:
            raise ConfigError(f"a score goes from 0 to 1, not {score!r}")
        if not self.floor * (1 - 1e-9) <= propensity <= 1:
            msg = f"a propensity of {propensity!r} does not lie between the alarm's floor of {self.floor!r} and 1"
            raise ConfigError(msg)
        surprise = min(self.floor / propensity, 1.0) * (1 - score - self._allowed)
        with self._lock:
            gains = self._gains.get(surprise)
            if gains is None:
                gains = self._remembered(surprise)
            self.n += 1
            fires = self._purse.play(gains) and self.fired is None
            if fires:
                self.fired = self.n
        if fires:
            text = f"accepted quality is below the promised {self.promise:.1%}, shown by {self.n} labels"
            notify("quality", self.about, text)
        return fires

    def hear(self, label: Label | None) -> bool:
        """Take a label of a shadow, if it is one of an accepted answer that was drawn; others say nothing of these."""
        if label is None or label.propensity is None or label.population != "accepted":
            return False
        return self.add(label.score, label.propensity)

    def _remembered(self, surprise: float) -> list[float]:
        if len(self._gains) >= REMEMBERED:
            self._gains.clear()
        gains = self._gains[surprise] = [log1p(stake * surprise) for stake in self._stakes]
        return gains

    @property
    def wealth(self) -> float:
        """What one unit has come to: the evidence. An alarm needs 1/delta, or `every`."""
        with self._lock:
            return exp(self._purse.log_wealth)

    def restart(self) -> None:
        """Begin anew: after an alarm was seen to, or the threshold changed. The chance of a false alarm does too."""
        with self._lock:
            self._purse.empty()
            self.n, self.fired = 0, None

    def state(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        with self._lock:
            held = {"n": self.n, "fired": self.fired, "logs": list(self._purse.logs)}
        return {"version": VERSION, "settings": self._settings(), **held}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where another one of the same settings was."""
        same(state, self._settings())
        with self._lock, whole():
            n, fired = int(state["n"]), None if state["fired"] is None else int(state["fired"])
            self._purse.put(state["logs"])
            self.n, self.fired = n, fired

    def _settings(self) -> dict[str, Any]:
        return {"promise": self.promise, "delta": self.delta, "every": self.every, "floor": self.floor}

    def __repr__(self) -> str:
        """Show how it stands."""
        return f"QualityAlarm({self.promise}, about={self.about!r}, n={self.n}, fired={self.fired})"


class QualityAlarms:
    """An alarm over all labels and one for each slice; together they are wrong no more often than was asked.

    Args:
        promise: of all, and of the slices.
        slices: those that are watched by themselves, with promises of their own where it is a mapping.
        delta: shared by all of them in equal parts.
        every: likewise.
        floor: as in `QualityAlarm`.
    """

    def __init__(
        self,
        promise: float,
        slices: Mapping[str, float] | Iterable[str] = (),
        *,
        delta: float = 0.05,
        every: float | None = None,
        floor: float = 1.0,
    ) -> None:
        """Make them."""
        promises = dict(slices) if isinstance(slices, Mapping) else dict.fromkeys(slices, promise)
        share = len(promises) + 1
        rare = None if every is None else every * share

        def made(promise: float, about: str) -> QualityAlarm:
            return QualityAlarm(promise, delta=delta / share, every=rare, floor=floor, about=about)

        self.whole = made(promise, "accepted answers")
        self.slices = {name: made(own, name) for name, own in promises.items()}

    def add(self, score: float, propensity: float = 1.0, slice: str = "") -> list[QualityAlarm]:  # noqa: A002
        """Take a label; the alarms that go off now."""
        heard = [self.whole] + ([self.slices[slice]] if slice in self.slices else [])
        return [alarm for alarm in heard if alarm.add(score, propensity)]

    def hear(self, label: Label | None) -> list[QualityAlarm]:
        """Take a label of a shadow, as `QualityAlarm.hear` does; the alarms that go off now."""
        if label is None or label.propensity is None or label.population != "accepted":
            return []
        return self.add(label.score, label.propensity, label.slice)

    def state(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {"whole": self.whole.state(), "slices": {name: each.state() for name, each in self.slices.items()}}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where others were; slices that are new begin. Where one does not fit, none is changed."""
        with whole():
            slices = {name: held for name, held in state["slices"].items() if name in self.slices}
            pairs = [(self.whole, state["whole"]), *((self.slices[name], held) for name, held in slices.items())]
        before = [(alarm, alarm.state()) for alarm, _ in pairs]
        try:
            for alarm, held in pairs:
                alarm.resume(held)
        except ConfigError:
            for alarm, held in before:
                alarm.resume(held)
            raise
