"""`fastcascade calibrate`: from what a gate says to how likely the answer is right, and where to accept."""

import argparse
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cli.options import share
from fastcascade.cli.report import table
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.evals.outcomes import Floats, Outcomes

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "turn a gate's score into the chance of being right, and say from where on to accept"
EPILOG = """\
FILE is a recording (see 'fastcascade record'), or a CSV table with cheap_correct, expensive_correct, cheap_cost_usd,
expensive_cost_usd and a signal from 0 to 1. The artefact is loaded by a gate: gates.calibrate(gate, "curve.json").

How far off the chances are is measured on cases that the curve was not fitted to. The threshold is one of which it
can be promised that the cascade keeps its share of the large tier's quality; "not yet" means that these cases cannot
carry such a promise, and that everything should go to the large tier until there are more.
"""
LEAST: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", help="a recording such as run.db, or a table such as outcomes.csv")
    parser.add_argument("--signal", metavar="NAME", help="which signal (default: the one that tells right from wrong)")
    parser.add_argument("--method", choices=("isotonic", "platt"), default="isotonic", help="the kind of curve")
    parser.add_argument("--keep", type=share, default=0.98, metavar="N",
                        help="the share of the large tier's quality to keep (default: 0.98)")  # fmt: skip
    parser.add_argument("--confidence", type=share, default=0.95, metavar="N",
                        help="how sure the promise is to be (default: 0.95)")  # fmt: skip
    parser.add_argument("--to", metavar="FILE", help="where the artefact goes, such as curve.json")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def execute(args: argparse.Namespace) -> int:
    """Fit, measure, choose and show."""
    from datetime import UTC, datetime  # noqa: PLC0415 - only where it is wanted, as what follows

    from fastcascade.evals.curves import calibrated, fit_isotonic, fit_platt, origin, through  # noqa: PLC0415
    from fastcascade.evals.promises import guarantee  # noqa: PLC0415
    from fastcascade.evals.sources import outcomes_of  # noqa: PLC0415
    from fastcascade.gates.calibration import dump  # noqa: PLC0415

    whole = outcomes_of(args.file)
    name = _signal(whole, args.signal)
    spoke = ~_missing(whole.signals[name])
    outcomes = whole.take(spoke)
    score = outcomes.surer(name)
    if len(outcomes) < LEAST:
        raise ConfigError(f"{name} speaks of {len(outcomes)} cases, and a curve needs {LEAST} at least")
    fitted = fit_isotonic if args.method == "isotonic" else fit_platt
    curve = fitted(score, outcomes.cheap, outcomes.weight, origin(outcomes, datetime.now(UTC).date()))
    measured = calibrated(score, outcomes.cheap, outcomes.weight)
    promise = guarantee(
        score, outcomes.cheap, outcomes.dear, keep=args.keep, delta=1 - args.confidence, weights=outcomes.weights
    )
    accept = None if promise.threshold is None else float(through(curve, score[score >= promise.threshold]).min())
    found: dict[str, Any] = {
        "signal": name,
        "silent": int(len(whole) - len(outcomes)),
        **asdict(measured),
        "keep": args.keep,
        "confidence": args.confidence,
        "verdict": promise.verdict,
        "threshold": promise.threshold,
        "accept": accept,
        "coverage": promise.coverage,
        "quality_ratio": promise.quality_ratio,
        "quality_ratio_low": promise.ratio_low,
        "more_cases": promise.more_cases,
        "fingerprint": outcomes.fingerprint(),
    }
    if args.to:
        try:
            dump(curve, args.to)
        except OSError as error:
            raise ConfigError(f"{args.to} cannot be written: {error.strerror or error}") from None
    print(json.dumps(found, indent=1, allow_nan=False) if args.json else "\n".join(_told(found, args.to)))
    return 0


def _missing(column: "Floats") -> Any:
    import numpy as np  # noqa: PLC0415

    return np.isnan(column)


def _signal(outcomes: "Outcomes", wanted: str | None) -> str:
    """The signal named, or of those from 0 to 1 the one that best tells right from wrong."""
    fit = {name: each for name in outcomes.signals if _is_share(each := outcomes.surer(name))}
    if wanted is not None:
        if wanted not in outcomes.signals:
            known = ", ".join(outcomes.signals) or "none"
            raise ConfigError(f"there is no signal {wanted!r} in {outcomes.name}; there are: {known}")
        if wanted not in fit:
            raise ConfigError(f"{wanted} is no score from 0 to 1 where more is surer, as a gate's is")
        return wanted
    if not fit:
        raise ConfigError(f"{outcomes.name} has no signal from 0 to 1 where more is surer: name a column signal_...")
    return max(fit, key=lambda name: _tells(fit[name], outcomes))


def _is_share(column: "Floats") -> bool:
    known = column[~_missing(column)]
    return len(known) > 0 and bool(((known >= 0) & (known <= 1)).all())


def _tells(score: "Floats", outcomes: "Outcomes") -> float:
    """How often a right answer outranks a wrong one; ties count half."""
    from scipy.stats import rankdata  # noqa: PLC0415

    known = ~_missing(score)
    ranks, right = rankdata(score[known]), outcomes.cheap[known]
    good, bad = float(right.sum()), float((1 - right).sum())
    if not good or not bad:
        return 0.5
    return (float((ranks * right).sum()) - good * (good + 1) / 2) / (good * bad)


def _told(found: dict[str, Any], to: str | None) -> list[str]:
    n, sure = found["n"], f"{100 * found['confidence']:g} %"
    rows = [
        ["signal", found["signal"]],
        ["cases", f"{n} ({found['silent']} more of which it says nothing)" if found["silent"] else str(n)],
        *[[name.replace("_", " "), _off(found, name)] for name in ("ece_before", "ece_after")],
        ["brier", f"{found['brier_before']:.3f} -> {found['brier_after']:.3f}"],
    ]
    if found["verdict"] == "holds":
        low = found["quality_ratio_low"]
        kept = f"{100 * found['quality_ratio']:.1f} % of the large tier's quality (at least {100 * low:.1f} %)"
        rows += [
            ["accept from", f"{found['accept']:.4f} (raw score {found['threshold']:.4f})"],
            ["accepted", f"{100 * found['coverage']:.1f} % of {n} cases"],
            ["keeps", f"{kept}; {100 * found['keep']:g} % is promised with {sure} confidence"],
        ]
    else:
        more = found["more_cases"]
        wanted = "no number of cases would do if things are as they look" if more is None else f"about {more} more"
        rows.append(["accept from", f"not yet: ask the large tier; cases needed: {wanted}"])
    if to:
        rows.append(["written", to])
    return table(["what", "figure"], rows)


def _off(found: dict[str, Any], name: str) -> str:
    low, high = found[f"{name}_interval"]
    value = found[name]
    return "unknown" if math.isnan(value) else f"{value:.3f} ({low:.3f} to {high:.3f})"
