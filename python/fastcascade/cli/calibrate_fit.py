"""`fastcascade calibrate --learned` and `--gain`, and what all of the command's ways tell of a promise."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fastcascade.evals.fitting import Against
    from fastcascade.evals.outcomes import Floats, Outcomes
    from fastcascade.evals.promises import Guarantee

__all__ = ["accepted", "combination", "promised", "settable", "told"]

FEW: Final = 1_000
DIGITS: Final = range(4, 17)
NO_NUMBER: Final = "no number would do if things are as they look; take a gate that tells more, or a smaller --keep"


def combination(args: argparse.Namespace, whole: "Outcomes") -> tuple[dict[str, Any], dict[str, Any], list[list[str]]]:
    """Several signals: the figures, the artefact, and what is told."""
    from datetime import UTC, datetime  # noqa: PLC0415 - only where it is wanted, as what follows

    import numpy as np  # noqa: PLC0415

    from fastcascade.evals.curves import calibrated, reliability  # noqa: PLC0415
    from fastcascade.evals.fitting import against, fit_gain, fit_learned  # noqa: PLC0415

    fitted = (fit_gain if args.gain else fit_learned)(whole, args.signal, day=datetime.now(UTC).date())
    outcomes, versus = fitted.outcomes, against(fitted)
    alone = outcomes.surer(versus.signal)
    lowest = float(np.nanmin(alone))
    alone = np.where(np.isnan(alone), lowest - 1.0 if lowest < 0 or np.nanmax(alone) > 1 else 0.0, alone)
    promise = promised(args, outcomes, fitted.score)
    artefact = fitted.artefact(promise.threshold)
    found: dict[str, Any] = {
        "kind": fitted.kind,
        "gates": list(fitted.gates),
        "silent": len(whole) - len(outcomes),
        **asdict(calibrated(alone, outcomes.cheap, outcomes.weight, after=fitted.cheap)),
        **({} if fitted.dear is None else _of_dear(fitted.dear, outcomes)),
        **{name: value for name, value in asdict(versus).items() if name != "n"},
        "worth_it": versus.worth_it,
        "saving": _saving(args, outcomes, fitted.score),
        "signal_saving": _saving(args, outcomes, alone),
        **accepted(args, promise),
        "accept": promise.threshold,
        "reliability": [asdict(each) for each in reliability(fitted.cheap, outcomes.cheap, outcomes.weight)],
        "fingerprint": artefact["fingerprint"],
    }
    rows = [[fitted.kind, ", ".join(fitted.gates)], *told(found)]
    if fitted.dear is not None:
        low, high = found["ece_dear_interval"]
        rows.append(["ece of P(dear right)", f"{found['ece_dear']:.3f} ({low:.3f} to {high:.3f})"])
    rows += [
        ["order", f"{versus.area:.3f}, of {versus.signal} alone {versus.signal_area:.3f}"],
        ["gap", f"{versus.gap:+.3f} ({versus.low:+.3f} to {versus.high:+.3f})"],
        ["saving", f"{100 * found['saving']:.1f} %, of {versus.signal} alone {100 * found['signal_saving']:.1f} %"],
    ]
    return found, artefact, [*rows, *_advice(versus)]


def _of_dear(chance: "Floats", outcomes: "Outcomes") -> dict[str, Any]:
    from fastcascade.evals.curves import calibrated  # noqa: PLC0415

    found = asdict(calibrated(chance, outcomes.dear, outcomes.weight, after=chance))
    return {name.replace("_after", "_dear"): value for name, value in found.items() if "_after" in name}


def _saving(args: argparse.Namespace, outcomes: "Outcomes", score: "Floats") -> float:
    """The share of always-dear's cost that is saved at the threshold that keeps the quality, with a margin."""
    from fastcascade.evals.sweep import sweep  # noqa: PLC0415

    cuts = sweep(outcomes, score)
    # Where nothing may be accepted the cheap model need not be asked.
    return max(0.0, float(cuts.saving[cuts.keep(args.keep, args.confidence)]))


def _advice(versus: "Against") -> list[list[str]]:
    if versus.worth_it:
        return []
    few = f"; under about {FEW:,} cases it mostly is" if versus.n < FEW else ""
    how = "better" if versus.high < 0 else "as good"
    return [["advice", f"{versus.signal} alone is {how} here{few}: it is simpler, and one thing to keep"]]


def promised(args: argparse.Namespace, outcomes: "Outcomes", score: "Floats") -> "Guarantee":
    """The threshold with a promise, of a score that was not fitted to these grades."""
    from fastcascade.evals.promises import guarantee  # noqa: PLC0415

    return guarantee(
        score, outcomes.cheap, outcomes.dear, keep=args.keep, delta=1 - args.confidence, weights=outcomes.weights
    )


def settable(
    chance: "Floats", score: "Floats", threshold: float | None, weight: "Floats"
) -> tuple[float | None, float]:
    """What `accept` is to be set to where a curve makes `chance` of a score, and the share of cases that it accepts.

    Scores on one step of a curve cannot be told apart behind it. Where the threshold lies within a step, all of that
    step is sent on: accepting all of it would be more than was promised. None where the curve has no step above.
    """
    if threshold is None:
        return None, 0.0
    below = float(chance[score < threshold].max(initial=-math.inf))
    above = chance[(score >= threshold) & (chance > below)]
    if not len(above):
        return None, 0.0
    accept = _short(below, float(above.min()))
    return accept, float(weight[chance >= accept].sum() / weight.sum())


def _short(above: float, most: float) -> float:
    """A number with few digits that can be copied: rounded, it would be on the other side of a step."""
    for digits in DIGITS:
        value = math.floor(most * 10.0**digits) / 10.0**digits
        if above < value <= most:
            return value
    return most


def accepted(args: argparse.Namespace, promise: "Guarantee") -> dict[str, Any]:
    """What is promised, as figures."""
    return {
        "keep": args.keep,
        "confidence": args.confidence,
        "verdict": promise.verdict,
        "threshold": promise.threshold,
        "coverage": promise.coverage,
        "quality_ratio": promise.quality_ratio,
        "quality_ratio_low": promise.ratio_low,
        "more_cases": promise.more_cases,
    }


def told(found: Mapping[str, Any]) -> list[list[str]]:
    """How far off the chances are, and what is promised."""
    n, sure = found["n"], f"{100 * found['confidence']:g} %"
    rows = [["cases", f"{n} ({found['silent']} more of which it says nothing)" if found["silent"] else str(n)]]
    for name in ("ece_before", "ece_after", "brier_before", "brier_after"):
        low, high = found[f"{name}_interval"]
        rows.append([name.replace("_", " "), f"{found[name]:.3f} ({low:.3f} to {high:.3f})"])
    if found["verdict"] == "holds":
        low, raw, accept = found["quality_ratio_low"], found["threshold"], found["accept"]
        coverage, share = found["coverage"], found.get("accept_coverage", found["coverage"])
        kept = f"{100 * found['quality_ratio']:.1f} % of the large tier's quality (at least {100 * low:.1f} %)"
        where = f"the raw score {raw:.6g}, without the curve, which is flat there"
        if accept is not None:
            alike = found.get("shifts") is not None or raw == accept  # the threshold is a chance itself
            where = f"{accept:.4f}" if alike else f"{accept} (raw score {raw:.4f})"
        fewer = accept is not None and share < coverage
        steps = f"; {100 * share:.1f} % through the curve, whose steps are coarser" if fewer else ""
        return [
            *rows,
            ["accept from", where],
            ["accepted", f"{100 * coverage:.1f} % of {n} cases{steps}"],
            ["keeps", f"{kept}; {100 * found['keep']:g} % is promised with {sure} confidence"],
        ]
    more = found["more_cases"]
    wanted = NO_NUMBER if more is None else f"about {more} more"
    return [*rows, ["accept from", f"not yet: ask the large tier; cases needed: {wanted}"]]
