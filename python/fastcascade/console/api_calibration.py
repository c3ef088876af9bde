"""The page on calibration: how far the chances of a gate can be believed, what each threshold costs, which to set.

    GET  /console/api/calibration?keep=0.98&confidence=0.95&signal=&cheap=&dear=      what is known, or how far it is
    POST /console/api/calibration/again    the same words: work it out anew

It is worked out of the recording that `[gateway.console] run` names; without one, of the grades that decisions have
got; without these it is said how to come by them.
"""

import asyncio
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.console.api_calibration_apply import applied, exported, recipe, spelled
from fastcascade.console.api_calibration_labels import of_labels
from fastcascade.console.api_calibration_works import Work, Works
from fastcascade.console.asked import Asked, Call, Refusal, Said, Sight
from fastcascade.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastcascade.cascade import Cascade

__all__ = ["CALLS", "again", "calibration"]

EXTRA: Final = ("numpy", "scipy")
LONGEST: Final = 200
KEY: Final = "calibration"


async def calibration(asked: Asked) -> Said:
    """What is known of one choice."""
    return Said(value=await _told(asked.sight, dict(asked.query)))


async def again(asked: Asked) -> Said:
    """Work it out anew: a failure is not kept for good."""
    given = asked.body if isinstance(asked.body, dict) else {}
    words = {name: str(value) for name, value in given.items() if isinstance(value, str | int | float)}
    return Said(value=await _told(asked.sight, words, anew=True))


async def _told(sight: Sight, words: dict[str, str], *, anew: bool = False) -> dict[str, Any]:
    wanted = _wanted(words)
    said: dict[str, Any] = {"wanted": wanted, "recipe": recipe(sight), "export": exported(sight)}
    run = None if sight.settings.console is None else sight.settings.console.run
    if run is None:
        return {**said, **await _of_labels(sight, wanted)}
    file = run if run.is_absolute() else sight.folder / run
    said["source"] = {"kind": "recording", "file": spelled(file, sight.folder)}
    if missing := [each for each in EXTRA if find_spec(each) is None]:
        return {**said, "state": "lacks", "lacks": missing, "command": "pip install 'fastcascade[evals]'"}
    works = sight.kept.get(KEY) or sight.kept.setdefault(KEY, Works(sight.clock))
    meant = partial(_meant, sight)
    try:
        work = works.ask(file, wanted, meant)
        if anew and work.state != "working":
            works.forget(work)
            work = works.ask(file, wanted, meant)
    except OSError as error:
        why = error.strerror or type(error).__name__
        return {**said, "state": "absent", "error": f"{spelled(file, sight.folder)} cannot be read: {why}"}
    return {**said, **_of_work(sight, file, work, works.clock())}


def _of_work(sight: Sight, file: Path, work: Work, now: float) -> dict[str, Any]:
    said: dict[str, Any] = {"state": work.state}
    if work.state == "working":
        return {**said, "step": work.step, "seconds": round(now - work.began, 1)}
    if work.found is None:
        return {**said, "error": work.error}
    _, cascade = _meant(sight, work.found["tiers"])
    apply = applied(sight, file, work.wanted, work.found, cascade)
    return {**said, "figures": work.found, "apply": apply, "accept": _accepts(cascade, work.found["tiers"])}


def _accepts(cascade: "Cascade | None", tiers: list[str]) -> "Mapping[str, float]":
    """The thresholds as they run."""
    if cascade is None:
        return {}
    return {name: cascade.tiers[cascade.places[name]].accept for name in tiers[:-1] if name in cascade.places}


def _meant(sight: Sight, tiers: "Sequence[str]") -> "tuple[str, Cascade | None]":
    """The first cascade that has all these tiers, by name."""
    for name, cascade in sight.cascades.items():
        if all(tier in cascade.places for tier in tiers):
            return name, cascade
    return "", None


async def _of_labels(sight: Sight, wanted: "Mapping[str, Any]") -> dict[str, Any]:
    """From grades that decisions have got, where there are enough."""
    try:
        found = await asyncio.to_thread(of_labels, sight, wanted)
    except StoreError as error:
        return {"state": "none", "error": str(error)}
    if found is None:
        return {"state": "none"}
    return {"state": "labels", "source": {"kind": "labels"}, "labels": found}


def _wanted(words: "Mapping[str, str]") -> dict[str, Any]:
    """The choices, checked."""
    keep, confidence = _number(words, "keep", 0.98), _number(words, "confidence", 0.95)
    if not 0 < keep <= 1:
        raise Refusal(400, "keep is a share above 0 and at most 1, such as 0.98")
    if not 0.5 < confidence < 1:
        raise Refusal(400, "confidence lies above 0.5 and below 1, such as 0.95")
    found: dict[str, Any] = {"keep": keep, "confidence": confidence}
    for name in ("signal", "cheap", "dear"):
        value = words.get(name, "")
        if len(value) > LONGEST:
            raise Refusal(400, f"{name} is at most {LONGEST} characters long")
        if value:
            found[name] = value
    return found


def _number(words: "Mapping[str, str]", name: str, default: float) -> float:
    try:
        return float(words.get(name) or default)
    except ValueError:
        raise Refusal(400, f"{name} is no number") from None


CALLS: Final = {
    ("GET", "/console/api/calibration"): Call(calibration),
    ("POST", "/console/api/calibration/again"): Call(again),
}
