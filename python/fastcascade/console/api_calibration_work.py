"""What the page on calibration shows, worked out in a process of its own: numpy stays out of a worker.

    python -m fastcascade.console.api_calibration_work   < one line of JSON: what is wanted

It prints a line of JSON for each step, and the last holds `done`, or `error`. What it says of a signal and a threshold
is what `fastcascade calibrate` prints, since that command is asked; the curve beside it is of the same cases.
"""

import argparse
import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from fastcascade.evals.outcomes import Floats, Outcomes
    from fastcascade.evals.report_sums import Figure, Sums

__all__ = ["execute", "main"]

LEVEL: Final = 0.95
Tell = Callable[[str], object]


def main() -> int:
    """Read what is wanted, and print what comes of it."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)  # requests go before
    wanted = json.loads(sys.stdin.readline())
    out = sys.stdout
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # a file of the user's may print
            said: dict[str, Any] = {"done": execute(wanted, lambda step: _say(out, {"step": step}))}
    except ModuleNotFoundError as error:
        said = {"error": f"{error.name} is missing: pip install 'fastcascade[evals]'"}
    except (ConfigError, StoreError, OSError) as error:
        said = {"error": str(error)}
    except SystemExit:  # what argparse comes to
        said = {"error": "the command does not take these choices"}
    _say(out, said)
    return 0


def execute(wanted: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """All figures of one choice.

    Args:
        wanted: `file`, `keep` and `confidence`; where they are not the default `signal`, `cheap` and `dear`.
        tell: hears of each step.
    """
    from fastcascade.evals.report_sums import Sums  # noqa: PLC0415 - loads numpy, as what follows

    tell("reading the recording")
    whole, cheap = _whole(wanted)
    wanted = {**wanted, "cheap": cheap}
    tell("fitting a curve and testing thresholds")
    found = _command("calibrate", _words(wanted))
    outcomes, score = _known(whole, found["signal"])
    sums = Sums(outcomes.weight, LEVEL)
    tiers = list(whole.tiers or ("cheap", "dear"))
    tell("working out every threshold")
    made: dict[str, Any] = {
        "n": len(outcomes),
        "level": LEVEL,
        "tiers": tiers,
        "cheap": cheap,
        "besides": list(whole.besides),
        "signals": _signals(whole),
        "calibrate": found,
        "before": _before(score, outcomes, sums),
        "points": _points(score, outcomes, sums),
        "ends": _ends(outcomes, sums),
        "suggested": _at(found["threshold"], score, outcomes, sums) if found["verdict"] == "holds" else None,
        "fingerprint": found["fingerprint"],
        "left_out": dict(whole.left_out),
    }
    if whole.besides:
        tell("testing thresholds of all tiers at once")
        try:
            made["ladder"] = _command("thresholds", [*_kept(wanted), "--", wanted["file"]])
        except ConfigError as error:  # such as of a tier of rules, which have no score; the two stand all the same
            made["ladder_why"] = str(error)
    return {name: _plain(each) for name, each in made.items()}


def _whole(wanted: Mapping[str, Any]) -> tuple["Outcomes", str]:
    """The cases, and the small tier to be named; empty for the first.

    Where the first has no score to go by, such as rules have none, and none is named, it is the next one that has.
    """
    from fastcascade.evals.sources import outcomes_of  # noqa: PLC0415 - loads numpy

    named, dear = wanted.get("cheap") or "", wanted.get("dear") or -1
    whole = outcomes_of(wanted["file"], named or 0, dear).counted()
    if named or _signals(whole):
        return whole, named
    for name in whole.besides:
        other = outcomes_of(wanted["file"], name, dear).counted()
        if _signals(other):
            return other, name
    return whole, ""


def _words(wanted: Mapping[str, Any]) -> list[str]:
    """The command's own words."""
    words = _kept(wanted)
    for name in ("signal", "cheap", "dear"):
        if wanted.get(name):
            words.append(f"--{name}={wanted[name]}")
    return [*words, "--", wanted["file"]]


def _kept(wanted: Mapping[str, Any]) -> list[str]:
    return ["--keep", f"{wanted['keep']:g}", "--confidence", f"{wanted['confidence']:g}", "--json"]


def _command(name: str, words: list[str]) -> dict[str, Any]:
    """What a command prints as JSON."""
    from importlib import import_module  # noqa: PLC0415 - only in the process that works

    command = import_module(f"fastcascade.cli.{name}")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        command.execute(parser.parse_args(words))
    found: dict[str, Any] = json.loads(said.getvalue())
    return found


def _known(whole: "Outcomes", signal: str) -> tuple["Outcomes", "Floats"]:
    """The cases that the signal speaks of, and what it says."""
    import numpy as np  # noqa: PLC0415

    outcomes = whole.take(~np.isnan(whole.signals[signal]))
    return outcomes, outcomes.surer(signal)


def _signals(whole: "Outcomes") -> list[str]:
    """Those that a threshold can be set for: from 0 to 1, and more is surer."""
    import numpy as np  # noqa: PLC0415

    def fits(name: str) -> bool:
        column = whole.surer(name)
        known = column[~np.isnan(column)]
        return len(known) > 0 and bool(((known >= 0) & (known <= 1)).all())

    return [name for name in whole.signals if whole.sense.get(name, 1) > 0 and fits(name)]


def _before(score: "Floats", outcomes: "Outcomes", sums: "Sums") -> list[dict[str, Any]]:
    """How right the cheap tier was at each tenth of the raw score."""
    import numpy as np  # noqa: PLC0415

    found = []
    for each in sums.bins(score, outcomes.cheap, np.linspace(0, 1, 11)):
        right = each.right
        found.append({"said": each.mean, "right": right.value, "low": right.low, "high": right.high, "n": right.n})
    return found


def _points(score: "Floats", outcomes: "Outcomes", sums: "Sums") -> list[dict[str, Any]]:
    """What each threshold comes to, the strictest first; the first accepts nothing."""
    import numpy as np  # noqa: PLC0415

    from fastcascade.evals.report_sums import thin  # noqa: PLC0415

    levels = np.unique(score)[::-1]
    return [_at(float(at), score, outcomes, sums) for at in (math.inf, *levels[thin(len(levels))].tolist())]


def _at(threshold: float, score: "Floats", outcomes: "Outcomes", sums: "Sums") -> dict[str, Any]:
    """One threshold: where nothing is accepted the cheap tier is asked all the same, as a cascade does."""
    import numpy as np  # noqa: PLC0415

    goes = ~(score >= threshold)
    return {"threshold": threshold, **_figures(
        np.where(goes, outcomes.dear, outcomes.cheap),
        outcomes.cheap_cost + np.where(goes, outcomes.dear_cost, 0.0),
        goes.astype(float), outcomes.dear, outcomes.dear_cost, sums,
    )}  # fmt: skip


def _figures(
    quality: "Floats", cost: "Floats", goes: "Floats", dear: "Floats", dear_cost: "Floats", sums: "Sums"
) -> dict[str, Any]:
    return {
        "quality": asdict(sums.share(quality)),
        "cost": asdict(sums.mean(cost)),
        "escalated": asdict(sums.share(goes)),
        "kept": asdict(sums.ratio(quality, dear)),
        "saved": asdict(sums.ratio(-cost, dear_cost, 1.0)),
    }


def _ends(outcomes: "Outcomes", sums: "Sums") -> dict[str, Any]:
    """Always the cheap tier, and always the dear one."""

    def both(quality: "Figure", cost: "Figure") -> dict[str, Any]:
        return {"quality": asdict(quality), "cost": asdict(cost)}

    return {
        "cheap": both(sums.share(outcomes.cheap), sums.mean(outcomes.cheap_cost)),
        "dear": both(sums.share(outcomes.dear), sums.mean(outcomes.dear_cost)),
    }


def _plain(value: Any) -> Any:
    """As JSON holds it: what is not finite is null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _say(out: Any, said: Mapping[str, Any]) -> None:
    out.write(json.dumps(said, allow_nan=False) + "\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
