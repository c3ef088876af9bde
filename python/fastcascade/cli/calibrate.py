"""`fastcascade calibrate`: from what gates say to how likely the answer is right, and where to accept."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cli.options import keeping, pair
from fastcascade.cli.report import table, warn
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.evals.outcomes import Floats, Outcomes
    from fastcascade.gates.calibration import Isotonic, Platt, Slices

__all__ = ["SUMMARY", "add_arguments", "execute"]

SUMMARY = "turn what gates say into the chance of being right, and say from where on to accept"
EPILOG = """\
FILE is a recording (see 'fastcascade record'), or a CSV table with cheap_correct, expensive_correct, cheap_cost_usd,
expensive_cost_usd and a signal from 0 to 1. What is written with --to is loaded by gates:

    (neither), --by-slice    calibrate(gate, "curve.json")           one signal, one curve, or how far slices differ
    --learned                Learned.load("gate.json", gates)        several signals, lengths, task, answer
    --gain                   Gain.load("gate.json", gates)           the same for both models: what is won by asking on

and in a cascade's TOML, under [[tiers]], with the threshold that is printed as the tier's `accept`:

    gate = { kind = "calibrate", gate = { kind = "consistency", k = 3 }, calibration = "curve.json" }
    gate = { kind = "learned", artefact = "gate.json", gates = ["hedging", { kind = "consistency", k = 3 }] }
    gate = { kind = "gain", artefact = "gate.json", gates = ["hedging", { kind = "consistency", k = 3 }] }

A table's signals are columns of known names, such as confidence or agreement, and those called signal_NAME.
How far off the chances are is measured on cases that nothing was fitted to. The threshold is one of which it can be
promised that the cascade keeps its share of the large tier's quality; "not yet" means that these cases cannot carry
such a promise, and that everything should go to the large tier until there are more.
"""
LEAST: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", help="a recording such as run.db, or a table such as outcomes.csv")
    parser.add_argument("--signal", metavar="NAME", action="append",
                        help="which signal (default: the one that tells right from wrong); with --learned and --gain "
                        "more than one may be named (default: all)")  # fmt: skip
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--by-slice", action="store_true", help="a curve to each slice, near that of all where few")
    how.add_argument("--learned", action="store_true", help="a combination of signals for P(cheap right)")
    how.add_argument("--gain", action="store_true", help="two of them: P(cheap right) less P(dear right)")
    parser.add_argument("--curve", "--method", dest="method", choices=("isotonic", "platt"), default="isotonic",
                        help="the kind of curve")  # fmt: skip
    parser.add_argument("--by", choices=("task", "route", "customer", "feature"), default="task",
                        help="with --by-slice: what of a request is its slice (default: task)")  # fmt: skip
    pair(parser)
    keeping(parser)
    parser.add_argument("--to", metavar="FILE", help="where the artefact goes, such as curve.json")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def execute(args: argparse.Namespace) -> int:
    """Fit, measure, choose and show."""
    from fastcascade.cli.calibrate_fit import combination  # noqa: PLC0415 - only where it is wanted, as what follows
    from fastcascade.evals.sources import outcomes_of  # noqa: PLC0415

    if args.by != "task" and not args.by_slice:
        raise ConfigError("--by says nothing without --by-slice")
    whole = outcomes_of(args.file, args.cheap, args.dear)
    found, artefact, rows = combination(args, whole) if args.learned or args.gain else _curve(args, whole)
    if args.to:
        from fastcascade.gates.artefacts import write  # noqa: PLC0415

        try:
            write(artefact, args.to)
        except OSError as error:
            raise ConfigError(f"{args.to} cannot be written: {error.strerror or error}") from None
        rows.append(["written", args.to])
    if told := whole.told():
        rows.insert(0, ["compared", told])
        if args.json:
            warn(told)
    lines = table(["what", "figure"], rows, left=2)
    print(json.dumps(found, indent=1, allow_nan=False) if args.json else "\n".join(lines))
    return 0


def _curve(args: argparse.Namespace, whole: "Outcomes") -> tuple[dict[str, Any], dict[str, Any], list[list[str]]]:
    """One signal: the figures, the artefact, and what is told."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from fastcascade.cli.calibrate_fit import accepted, promised, settable, told  # noqa: PLC0415
    from fastcascade.evals import curves  # noqa: PLC0415
    from fastcascade.gates.calibration import dump  # noqa: PLC0415

    name = _signal(whole, args.signal)
    outcomes = whole.take(~_missing(whole.signals[name]))
    score, right, weight = outcomes.surer(name), outcomes.cheap, outcomes.weight
    if len(outcomes) < LEAST:
        raise ConfigError(f"{name} speaks of {len(outcomes)} cases, and a curve needs {LEAST} at least")
    fitted = curves.fit_isotonic if args.method == "isotonic" else curves.fit_platt
    where = curves.origin(outcomes, datetime.now(UTC).date())
    more: dict[str, Any] = {}
    curve: Isotonic | Platt | Slices
    if args.by_slice:
        curve, after, more = _by_slice(args, outcomes, score, where)
        promise, chance, by = promised(args, outcomes, after), after, after
    else:
        curve = alone = fitted(score, right, weight, where)
        after = curves.folded(
            len(score),
            lambda train, test: curves.through(fitted(score[train], right[train], weight[train]), score[test]),
            _seeded(),
        )
        promise, chance, by = promised(args, outcomes, score), curves.through(alone, score), score
    accept, share = settable(chance, by, promise.threshold, weight)
    found: dict[str, Any] = {
        "signal": name,
        "silent": int(len(whole) - len(outcomes)),
        **asdict(curves.calibrated(score, right, weight, after=after)),
        **accepted(args, promise),
        "accept": accept,
        "accept_coverage": share,
        "reliability": [asdict(each) for each in curves.reliability(after, right, weight)],
        **more,
        "fingerprint": where.fingerprint,
    }
    return found, dump(curve), [["signal", name], *told(found), *_slices_told(more)]


def _by_slice(
    args: argparse.Namespace, outcomes: "Outcomes", score: "Floats", where: Any
) -> "tuple[Slices, Floats, dict[str, Any]]":
    """The curves by slice, what each case is given out of fold, and what slices bring."""
    from fastcascade.evals.slicing import fit_slices, sliced  # noqa: PLC0415

    if outcomes.slices is None:
        raise ConfigError(f"{outcomes.name} has no slices: give it a column slice, or leave out --by-slice")
    columns = score, outcomes.cheap, outcomes.slices, outcomes.weight
    curves = fit_slices(*columns, method=args.method, by=args.by, origin=where)
    each = sliced(*columns, method=args.method)
    fell, low, high = each.gain(outcomes.cheap, outcomes.weight)
    more = {"shifts": dict(curves.shifts), "brier_fell": fell, "brier_fell_interval": (low, high)}
    return curves, each.by_slice, more


def _slices_told(more: Mapping[str, Any]) -> list[list[str]]:
    if not more:
        return []
    low, high = more["brier_fell_interval"]
    rows = [["slices bring", f"brier falls by {more['brier_fell']:.4f} ({low:.4f} to {high:.4f})"]]
    if low <= 0:
        rows.append(["advice", "one curve for all is as good here: leave out --by-slice"])
    return rows


def _seeded() -> Any:
    import numpy as np  # noqa: PLC0415

    return np.random.default_rng(0)


def _missing(column: "Floats") -> Any:
    import numpy as np  # noqa: PLC0415

    return np.isnan(column)


def _signal(outcomes: "Outcomes", named: list[str] | None) -> str:
    """The signal named, or of those from 0 to 1 the one that best tells right from wrong."""
    from fastcascade.evals.ranking import area  # noqa: PLC0415

    fit = {name: each for name in outcomes.signals if _is_share(each := outcomes.surer(name))}
    if named is not None:
        if len(named) > 1:
            raise ConfigError(f"a curve is of one signal, not of {', '.join(named)}: weigh several with --learned")
        wanted = named[0]
        if wanted not in outcomes.signals:
            known = ", ".join(outcomes.signals) or "none"
            raise ConfigError(f"there is no signal {wanted!r} in {outcomes.name}; there are: {known}")
        if wanted not in fit:
            raise ConfigError(f"{wanted} is no score from 0 to 1 where more is surer, as a gate's is")
        return wanted
    if not fit:
        raise ConfigError(f"{outcomes.name} has no signal from 0 to 1 where more is surer: {_instead(outcomes)}")

    def tells(name: str) -> float:
        known = ~_missing(fit[name])
        right, weight = outcomes.cheap[known], outcomes.weight[known]
        return area(fit[name][known], weight * right, weight * (1 - right)).value

    return max(fit, key=tells)


def _instead(outcomes: "Outcomes") -> str:
    """What to do where the small tier has no score: in a recording another tier may have one."""
    if not outcomes.tiers:
        return "name a column signal_..."
    others = ", ".join(f"--cheap {name}" for name in outcomes.besides)
    return f"the tier {outcomes.tiers[0]!r} has no gate that scores it" + (f"; try {others}" if others else "")


def _is_share(column: "Floats") -> bool:
    known = column[~_missing(column)]
    return len(known) > 0 and bool(((known >= 0) & (known <= 1)).all())
