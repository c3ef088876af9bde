"""What a cascade saves on real outcomes: every public table, every rule, cross-validated; `make bench-quality`.

The reference column is a plain implementation's result on the same tables (numpy and scikit-learn, 5 x 5 folds, the
best of a raw threshold, a logistic combination and expected gain), as whole percents, measured before this code was
written. It chose the best rule with hindsight; "auto" has to choose by its training cases alone.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastcascade.evals.evaluation import Evaluation, evaluate
from fastcascade.evals.outcomes import Outcomes

DATA = Path(__file__).parents[2] / "shared" / "data" / "outcomes"
REFERENCE = {  # saving in percent, at 95 and at 98 % of the dear model's quality
    "aqua_codex30_gpt4": (23, 12),
    "frugalml_digit": (59, 51),
    "frugalml_rafdb": (75, 63),
    "frugalml_yelp": (70, 56),
    "lifeeval_boolq_haiku_sonnet4": (46, 19),
    "lifeeval_boolq_llama8b_gpt4o": (38, 21),
    "mmlupro_even_votes3_gemini15pro": (4, 0),
    "reasoning_gpt5mini_gpt52": (20, 8),
    "reasoning_haiku45_opus46": (17, 2),
    "reread_csqa_chatgpt4_gpt4omini": (87, 48),
    "routellm_mmlu_mixtral_gpt4": (38, 17),
    "routerarena_flash_haiku_inverted": (73, 73),
    "wildbench_gpt35_rekacore": (71, 62),
    "zeroeval_crux_votes5_sonnet35": (17, 7),
    "zeroeval_math5_votes5_gpt4o": (0, 0),
}
SHOWN = ("raw", "calibrated", "learned", "gain", "value", "router", "auto")


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate every table, and print a line for each as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the tables")
    parser.add_argument("--keep", type=float, nargs="+", default=[0.95, 0.98, 1.0],
                        help="shares of the dear model's quality")  # fmt: skip
    parser.add_argument("--only", default="", help="tables whose name has this in it")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    args = parser.parse_args(argv)
    if not args.data.is_dir():
        print(f"skipped: there are no outcomes at {args.data}")
        return 0
    found: dict[str, Any] = {}
    print(f"{'table':33} {'keep':>5} {'n':>6} | " + " ".join(f"{name:>10}" for name in SHOWN), end=" | ")
    print(f"{'best ref':>8} {'quality':>16} {'area':>5} {'ECE':>12}  recommendation")
    for path in sorted(args.data.glob("*.csv.gz")):
        name = path.name.removesuffix(".csv.gz")
        if name not in REFERENCE or args.only not in name:  # one table has no dear model
            continue
        outcomes = Outcomes.load(path)
        for keep in args.keep:
            began = time.perf_counter()
            each = evaluate(outcomes, keep=keep)
            rows = [asdict(row) for row in each.strategies]
            seconds = time.perf_counter() - began
            found[f"{name} {keep}"] = each.document() | {"why": each.why, "strategies": rows, "seconds": seconds}
            print(line(name, keep, each), flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    return 0


def line(name: str, keep: float, each: Evaluation) -> str:
    """One table at one share."""
    rows = {row.strategy: row.saving for row in each.strategies}
    savings = " ".join(f"{100 * rows[rule]:9.1f}%" if rule in rows else f"{'-':>10}" for rule in SHOWN)
    at = {0.95: 0, 0.98: 1}.get(keep)
    reference = "-" if at is None else f"{REFERENCE[name][at]}%"
    low, high = each.quality_interval
    quality = f"{each.quality_ratio:.3f} {low:.3f}-{high:.3f}"
    before, after = (("-" if error is None else f"{error:.3f}") for error in (each.ece_before, each.ece_after))
    return (
        f"{name:33} {keep:5} {each.n:6} | {savings} | {reference:>8} {quality:>16} {each.area:5.2f} "
        f"{before:>5}>{after:<5}  {each.recommendation}"
    )


if __name__ == "__main__":
    sys.exit(main())
