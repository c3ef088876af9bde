"""Where outcomes come from: a recording, or a table that somebody else made."""

from pathlib import Path
from typing import Final

import numpy as np

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Outcomes

__all__ = ["outcomes_of"]

SHORT: Final = 100
"""Replies longer than this are no labels, which a rule could go by."""
SQLITE: Final = b"SQLite format 3\0"
BOM: Final = b"\xef\xbb\xbf"
LOOKED_AT: Final = 512
SHADOW: Final = (b'{"sampled"', b'{"label"', b'{"seen', b'{"never')


def outcomes_of(path: str | Path, cheap: int | str = 0, dear: int | str = -1) -> Outcomes:
    """Read the file of a recording, or a CSV file in the schema of `Outcomes`.

    Args:
        path: the file; which of the two it is shows in how it begins.
        cheap: which tier of a recording is the cheap one, by place or name.
        dear: which is the dear one.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            begins = file.read(LOOKED_AT)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    if begins.startswith(SQLITE):
        return _recorded(path, cheap, dear)
    if begins.removeprefix(BOM).lstrip()[:1] == b"{" or _lines_by_name(path):
        raise ConfigError(f"{path} {_what(begins)}")
    if (cheap, dear) != (0, -1):
        raise ConfigError(f"{path} is a table of two models: only a recording has tiers to choose from")
    return Outcomes.load(path)


def _lines_by_name(path: Path) -> bool:
    return Path(path.name.removesuffix(".gz")).suffix.casefold() in (".jsonl", ".ndjson")


def _what(begins: bytes) -> str:
    """What a file of JSON lines is, and what makes outcomes of it."""
    if begins.startswith(SHADOW):
        return "looks like the log of a shadow; make a table of it with fastcascade.evals.write_outcomes"
    return (
        "looks like cases, which are to be asked first: fastcascade record CASCADE CASES --to run.db; then give run.db"
    )


def _recorded(path: Path, cheap: int | str, dear: int | str) -> Outcomes:
    from fastcascade.evals.runs import Runs  # noqa: PLC0415 - loads what a table does not need

    with Runs(path) as runs:
        held = runs.table(cheap, dear)
    if not held["ids"]:
        why = ", ".join(f"{count} {reason}" for reason, count in held["left_out"].items() if count)
        raise ConfigError(f"{path} has no case that both tiers answered and that was graded: {why}")
    floats = {name: np.array(held[name], dtype=float) for name in ("cheap", "dear", "cheap_cost", "dear_cost")}
    texts = {name: np.array(held[name], dtype=object) for name in ("slices", "prompts", "ids")}
    return Outcomes(
        **floats,
        **texts,
        answers=np.array([each if len(each) <= SHORT else "" for each in held["answers"]], dtype=object),
        signals={name: np.array(each, dtype=float) for name, each in held["signals"].items()},
        sense=held["sense"],
        weights=np.array(held["weights"], dtype=float),
        cheap_seconds=np.array(held["cheap_latency"], dtype=float),
        dear_seconds=np.array(held["dear_latency"], dtype=float),
        name=str(path),
        left_out={why: count for why, count in held["left_out"].items() if count},
        tiers=(held["cheap_tier"], held["dear_tier"]),
        besides=tuple(each for each in held["tiers"] if each not in (held["cheap_tier"], held["dear_tier"])),
    )
