"""The live page: one call with all figures, made once for everybody who looks.

    GET /console/api/live?window=3600&cascade=shop&after=1200

Figures are kept for a second; those that took long to add up are kept for longer, in proportion, so that a page left
open over a store of a million decisions costs a few parts in a hundred of a core. What was decided since `after` is
read each time. `took` and `asof` say how old figures are.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastcascade.console.api_live_alerts import MINUTES, alerts
from fastcascade.console.api_live_figures import WINDOWS, figures, saved, saved_by_slice
from fastcascade.console.api_live_health import elsewhere, pools
from fastcascade.console.api_traces import read, row_of
from fastcascade.console.asked import Asked, Call, Refusal, Said, Sight

if TYPE_CHECKING:
    from fastcascade.telemetry.decisions import Decisions, GradedBy, Sum

__all__ = ["CALLS", "Lately", "live"]

USUAL: Final = 3_600
LAST: Final = 40
"""Decisions of the stream, at most, in one call."""
FRESH: Final = 1.0
SHARE: Final = 20.0
"""Figures that took a second to add up are kept for so many."""
LONGEST: Final = 300.0
GRADES: Final = 7 * 86_400.0
KEY: Final = "live"


@dataclass(slots=True)
class Lately:
    """What was worked out a moment ago: one at a time for each choice, and whoever comes meanwhile waits for it."""

    clock: Callable[[], float]
    _held: dict[Any, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    _under_way: dict[Any, "asyncio.Task[dict[str, Any]]"] = field(default_factory=dict)

    async def get(self, key: Any, make: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """What `make` gives, or gave not long ago, with `took` and `age` in seconds."""
        now = self.clock()
        held = self._held.get(key)
        if held is not None and now < held[0]:
            return {**held[1], "age": now - held[1]["made"]}
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._make(key, make))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return {**await asyncio.shield(task), "age": 0.0}

    def _ended(self, key: Any, task: "asyncio.Task[dict[str, Any]]") -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # looked at, though everybody who waited may have gone

    async def _make(self, key: Any, make: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        began = self.clock()
        found = await make()
        now = self.clock()
        found = {**found, "took": now - began, "made": now}
        self._held = {each: held for each, held in self._held.items() if held[0] > now}
        self._held[key] = (now + min(LONGEST, max(FRESH, SHARE * (now - began))), found)
        return found

    async def aclose(self) -> None:
        """End what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def live(asked: Asked) -> Said:
    """All figures of a window, what holds now, and the last decisions."""
    sight = asked.sight
    window, cascade = _window(asked.query.get("window", "")), asked.query.get("cascade", "")
    if cascade and cascade not in sight.cascades:
        raise Refusal(404, f"there is no cascade {cascade!r}")
    lately: Lately = sight.kept.get(KEY) or sight.kept.setdefault(KEY, Lately(sight.clock))
    here = pools(sight.cascades)
    others = (await lately.get("board", partial(_elsewhere, sight)))["others"]
    value: dict[str, Any] = {
        "now": sight.now(),
        "kept": sight.decisions is not None,
        "cascades": list(sight.cascades),
        "promises": {
            "escalation": sight.settings.promises.escalation,
            "quality": dict(sight.settings.promises.quality),
        },
        "health": {"pools": here, "others": others},
    }
    store = sight.decisions
    if store is None:
        value["alerts"] = alerts((), (), sight.settings.promises, here, others)
        return Said(value=value)
    sums, graded = await _lately_decided(lately, sight, store)
    value["alerts"] = alerts(sums, graded, sight.settings.promises, here, others)
    value["figures"] = await _figures(lately, sight, store, window, cascade)
    value["last"] = await _last(store, asked.query.get("after", ""), cascade)
    return Said(value=value)


async def _elsewhere(sight: Sight) -> dict[str, Any]:
    """What the board says, in a thread: with many workers and labels its text is of megabytes."""
    return {"others": await asyncio.to_thread(lambda: elsewhere(sight.board()))}


async def _figures(lately: Lately, sight: Sight, store: "Decisions", window: int, cascade: str) -> dict[str, Any]:
    """The sums; and what was saved, whose intervals take longer and are kept for longer."""

    async def sums() -> dict[str, Any]:
        promises = sight.settings.promises
        return await read(store, lambda held: figures(held, sight.now(), window, cascade, promises))

    async def whole() -> dict[str, Any]:
        return await read(store, lambda held: saved(held, sight.now(), window, cascade))

    found, total = await asyncio.gather(
        lately.get(("sums", window, cascade), sums), lately.get(("saved", window, cascade), whole)
    )
    names = [each["key"] for each in found["slices"]]

    async def by_slice() -> dict[str, Any]:
        return await read(store, lambda held: saved_by_slice(held, sight.now(), window, cascade, names))

    # A slice that is all there is has been drawn from already.
    parts: dict[str, Any] = {names[0]: total["saved"]} if len(names) == 1 else {}
    if len(names) > 1:
        parts = (await lately.get(("slices", window, cascade), by_slice))["slices"]
    slices = [
        {**each, **{end: parts[each["key"]][end] for end in ("low", "high")}} if each["key"] in parts else each
        for each in found["slices"]
    ]
    return {**found, "saved": total["saved"], "slices": slices}


async def _lately_decided(lately: Lately, sight: Sight, store: "Decisions") -> "tuple[list[Sum], list[GradedBy]]":
    """What alerts go by: the last minutes by cascade, and the grades of a week."""

    async def make() -> dict[str, Any]:
        now = sight.now()
        sums = await read(store, lambda held: held.sums(now - MINUTES * 60, by="cascade"))
        return {"sums": sums, "graded": await read(store, lambda held: held.graded(now - GRADES))}

    found = await lately.get("alerts", make)
    return found["sums"], found["graded"]


async def _last(store: "Decisions", after: str, cascade: str) -> dict[str, Any]:
    """The newest decisions; those since `after` where that is said. `skipped` says that there were more."""
    if after:
        if not (after.isascii() and after.isdigit() and len(after) < 19):
            raise Refusal(400, "after is the number of a decision")
        newest = await read(store, lambda held: held.last())
        if newest == int(after):
            return {"rows": [], "number": newest, "skipped": False}
    rows = await read(store, lambda held: held.page(cascade=cascade, limit=LAST))
    first = int(after) if after else 0
    fresh = [each for each in rows if each.number > first]
    number = rows[0].number if rows else first
    return {
        "rows": [row_of(each) for each in fresh],
        "number": max(number, first),
        "skipped": bool(after) and len(fresh) == LAST,
    }


def _window(text: str) -> int:
    if not text:
        return USUAL
    if not (text.isascii() and text.isdigit() and int(text) in WINDOWS):
        raise Refusal(400, f"window is one of {', '.join(map(str, WINDOWS))} seconds")
    return int(text)


CALLS: Final = {("GET", "/console/api/live"): Call(live)}
