"""How what the page on calibration suggests is put to work: the command, and the lines of the cascade's file."""

import json
import os
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.console.asked import Sight

__all__ = ["applied", "exported", "recipe", "spelled"]

CURVE: Final = "curve.json"
PLAIN: Final = (bool, int, float)


def spelled(path: Path, folder: Path) -> str:
    """A path as one types it in the folder of the cascade's file."""
    return os.path.relpath(path, folder) if path.is_relative_to(folder) else str(path)


def recipe(sight: "Sight") -> list[str]:
    """The commands that make a recording."""
    cascade = "cascade.toml" if sight.file is None else spelled(sight.file, sight.folder)
    return [f"fastcascade record {shlex.quote(cascade)} cases.jsonl --to run.db --grader exact"]


def exported(sight: "Sight") -> list[str]:
    """The commands that make a table of the grades decisions have got."""
    cascade = "cascade.toml" if sight.file is None else spelled(sight.file, sight.folder)
    return [f"fastcascade export {shlex.quote(cascade)} --graded --to graded.csv"]


def applied(
    sight: "Sight", file: Path, wanted: Mapping[str, Any], found: Mapping[str, Any], cascade: "Cascade | None"
) -> dict[str, Any]:
    """What to type, and what to write into the file.

    `plain` is of the tier's gate as it stands, where that says the signal itself; `curve` of the gate through a curve.
    Each is None where it cannot be done; `accept` is the number for it, None where nothing can be promised.
    """
    told, tier = found["calibrate"], found["tiers"][0]
    toml = "cascade.toml" if sight.file is None else spelled(sight.file, sight.folder)
    words = ["fastcascade", "calibrate", spelled(file, sight.folder), "--signal", told["signal"]]
    words += ["--keep", f"{wanted['keep']:g}", "--confidence", f"{wanted['confidence']:g}"]
    for name in ("cheap", "dear"):
        if chosen := wanted.get(name) or found.get(name):  # the small one may have been chosen for want of a score
            words += [f"--{name}", str(chosen)]
    holds = told["verdict"] == "holds"
    gate = _gate_text(sight.file, tier)
    return {
        "tier": tier,
        "command": shlex.join([*words, "--to", CURVE]),
        "plain": {"accept": told["threshold"] if holds else None} if _says(cascade, tier, told["signal"]) else None,
        "curve": {
            "accept": told["accept"] if holds else None,
            "gate": f'{{ kind = "calibrate", gate = {gate or "GATE"}, calibration = {json.dumps(CURVE)} }}',
            "given": bool(gate),
        },
        "after": [shlex.join(["fastcascade", "doctor", toml])],
        "file": toml,
    }


def _says(cascade: "Cascade | None", tier: str, signal: str) -> bool:
    """Whether the tier's own gate, as it runs, is scored by this signal and by no curve."""
    if cascade is None or tier not in cascade.places:
        return False
    gate = cascade.tiers[cascade.places[tier]].gate
    return gate is not None and gate.name == signal and gate.calibration is None


def _gate_text(file: Path | None, tier: str) -> str:
    """The tier's gate as its file has it, where it is of plain settings: a file may hold secrets elsewhere."""
    if file is None:
        return ""
    try:
        held = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    gates = [each.get("gate") for each in _tiers(held) if each.get("name") == tier]
    return _inline(gates[0]) if len(gates) == 1 else ""


def _tiers(held: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    cascades = held.get("cascades")
    for part in (held, *(cascades.values() if isinstance(cascades, dict) else ())):
        tiers = part.get("tiers") if isinstance(part, dict) else None
        yield from (each for each in tiers if isinstance(each, dict)) if isinstance(tiers, list) else ()


def _inline(gate: Any) -> str:
    if isinstance(gate, str):
        return json.dumps(gate, ensure_ascii=False)
    if not isinstance(gate, dict) or not all(
        isinstance(value, PLAIN) or name == "kind" for name, value in gate.items()
    ):
        return ""
    if "calibration" in gate or gate.get("kind") == "calibrate":
        return ""
    return "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in gate.items()) + " }"
