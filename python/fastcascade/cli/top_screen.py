"""What `fastcascade top` shows: figures of the last minutes, as lines that fit a terminal.

Names come from clients, so each is shown without what a terminal would take for a command.
"""

import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from fastcascade.cli.cut import cut
from fastcascade.cli.decisions_report_text import pause, percent, usd
from fastcascade.errors import StoreError

if TYPE_CHECKING:
    from fastcascade.telemetry.decisions import Decisions, Row, Rung, Saved, Sum

__all__ = ["Seen", "Sight", "lines"]

Mark: TypeAlias = Callable[[str, str], str]

DAY: Final = 86_400.0
SELDOM: Final = 10.0
"""Seconds between two looks at what costs more to work out: savings, and what is usual."""
LAST: Final = 20
SLOW: Final = 2.0
"""Times the usual middle of a tier's seconds, from which on it is called slow."""
FEW: Final = 5
LAYERS: Final = ("entry", "cache", "match", "guard", "dispatch", "fallback")
BAR: Final = 30
NARROW: Final = 8
MARKS: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
COLORS: Final = {"cache": "green", "match": "cyan", "guard": "yellow", "fallback": "red"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found.

    Args:
        at: when it was, in seconds since 1970.
        seconds: how long a time it is of.
        layers: requests by layer.
        tiers: what became of the tries of each tier.
        saved: against the last tier alone; None where that was not asked yet.
        slow: tiers that take longer than is usual for them.
        last: the newest decisions, the newest first.
        wrong: why there is nothing to see; empty if there is.
    """

    at: float
    seconds: float
    layers: "Sequence[Sum]" = ()
    tiers: "Sequence[Rung]" = ()
    saved: "Saved | None" = None
    slow: frozenset[str] = frozenset()
    last: "Sequence[Row]" = ()
    wrong: str = ""


class Sight:
    """Looks at a store again and again."""

    def __init__(self, decisions: "Decisions", span: float) -> None:
        """Look at nothing yet; `span` is how many seconds back."""
        self._decisions = decisions
        self._span = span
        self._asked: float | None = None
        self._saved: Saved | None = None
        self._usual: Mapping[str, float] = {}

    def look(self, now: float) -> Seen:
        """What there is to see now. A store that is away is told of, and looked for again."""
        try:
            return self._look(now)
        except StoreError as error:
            return Seen(now, self._span, wrong=str(error))

    def _look(self, now: float) -> Seen:
        decisions, since = self._decisions, (now - self._span) // 60 * 60
        if self._asked is None or not 0 <= now - self._asked < SELDOM:
            self._saved = decisions.savings(since)
            self._usual = {each.tier: each.p50 for each in decisions.funnel(now - DAY) if each.p50 is not None}
            self._asked = now
        tiers = decisions.funnel(since)
        slow = frozenset(each.tier for each in tiers if self._is_slow(each))
        layers = decisions.sums(since, by="layer")
        return Seen(now, now - since, layers, tiers, self._saved, slow, decisions.page(limit=LAST))

    def _is_slow(self, tier: "Rung") -> bool:
        usual = self._usual.get(tier.tier)
        return usual is not None and tier.p50 is not None and tier.timed >= FEW and tier.p50 > SLOW * usual


def lines(seen: Seen, name: str, width: int, height: int | None, *, color: bool, paused: bool = False) -> list[str]:
    """The screen, no line wider and no more of them than fit."""
    mark = _marked if color else _unmarked
    clock = time.strftime("%H:%M:%S", time.gmtime(seen.at))
    state = "  paused" if paused else ""
    made = [mark("bold", cut(f"fastcascade top  {clock} UTC{state}  {name}", width))]
    if seen.wrong:
        return [*made, *(mark("red", cut(each, width)) for each in textwrap.wrap(seen.wrong, width))][:height]
    made += [cut(each, width) for each in _totals(seen)]
    made += ["", *_layers(seen, width, mark), "", *_tiers(seen, width, mark), ""]
    room = LAST if height is None else max(0, height - len(made) - 1)
    if room:
        made.append(mark("dim", cut("last decisions", width)))
        made += [_decision(each, width, mark) for each in seen.last[:room]]
    return made if height is None else made[:height]


def _totals(seen: Seen) -> list[str]:
    n, reached = sum(each.n for each in seen.layers), sum(each.reached for each in seen.layers)
    up, less, bad = (sum(getattr(each, name) for each in seen.layers) for name in ("escalated", "degraded", "failed"))
    cost, unknown = sum(each.cost_usd for each in seen.layers), sum(each.unknown for each in seen.layers)
    first = f"{n / max(seen.seconds, 1.0):,.1f} requests/s   {n:,} in {seen.seconds / 60:.0f} min"
    second = f"escalated {percent(up, reached)}   degraded {less:,}   failed {bad:,}   of {reached:,}"
    money = f"USD {usd(cost)}" + (f" and {unknown:,} of unknown cost" if unknown else "")
    return [first, second, f"{money}   {_saving(seen)}"]


def _saving(seen: Seen) -> str:
    saved = seen.saved
    if saved is None or saved.share is None:
        return "saved -"
    ends = "" if saved.low is None or saved.high is None else f" ({saved.low:.0%} to {saved.high:.0%})"
    return f"saved {saved.share:.0%}{ends}, n={saved.n:,}"


def _layers(seen: Seen, width: int, mark: Mark) -> list[str]:
    n = sum(each.n for each in seen.layers)
    found = {each.key: each for each in seen.layers}
    size = max(NARROW, min(BAR, width - 50))
    made = [mark("dim", cut(f"{'layer':9} {'':{size}} {'share':>6} {'n':>9} {'p50':>8} {'p99':>8}", width))]
    for layer in LAYERS:
        each = found.get(layer)
        if each is None:
            continue
        share = each.n / n if n else 0.0
        bar = "#" * max(1, round(share * size))
        line = f"{layer:9} {bar:{size}} {share:6.1%} {each.n:9,} {pause(each.p50):>8} {pause(each.p99):>8}"
        made.append(mark(COLORS.get(layer, ""), cut(line, width)))
    return made


def _tiers(seen: Seen, width: int, mark: Mark) -> list[str]:
    made = [
        mark("dim", cut(f"{'tier':16} {'tried':>8} {'up':>6} {'none':>8} {'failed':>7} {'p50':>8} {'p99':>8}", width))
    ]
    for each in seen.tiers:
        times = f"{pause(each.p50):>8} {pause(each.p99):>8}"
        slow = "  slow" if each.tier in seen.slow else ""
        up = percent(each.escalated, each.tried)
        line = f"{cut(each.tier, 16):16} {each.tried:8,} {up:>6} {each.nothing:8,} {each.failed:7,} {times}{slow}"
        made.append(mark("yellow" if slow else "", cut(line, width)))
    return made


def _decision(row: "Row", width: int, mark: Mark) -> str:
    clock = time.strftime("%H:%M:%S", time.gmtime(row.at))
    way = " > ".join(row.tiers) or row.by
    cost = "?" if row.cost_usd is None else usd(row.cost_usd)
    told = "  ".join(each for each in (row.degraded, row.failure, row.slice) if each)
    line = f"{clock} {pause(row.seconds):>8} {cost:>8}  {way}  {told}"
    return mark("red" if row.failed else "yellow" if row.degraded else "", cut(line, width))


def _marked(how: str, text: str) -> str:
    return f"\x1b[{MARKS[how]}m{text}\x1b[0m" if how else text


def _unmarked(_how: str, text: str) -> str:
    return text
