"""What both lanes said to each case of a drill: read from a recording, or graded from answers that the cases bring."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fastcascade.errors import ConfigError
from fastcascade.evals.decided import Decision, decided
from fastcascade.evals.exercise_account import Drilled, Gated, Tried
from fastcascade.evals.graders import Exact, grader_for
from fastcascade.evals.graders.grader import read
from fastcascade.messages import Reply, Usage
from fastcascade.tiers import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from pathlib import Path

    from fastcascade.backends.backend import Backend
    from fastcascade.cascade import Cascade
    from fastcascade.evals.cases import Case
    from fastcascade.evals.graders import Grader
    from fastcascade.evals.runs import Runs, Tiered
    from fastcascade.prices import PriceSheet

__all__ = ["from_candidates", "from_recording", "lanes_of", "named_lanes"]

NO_CALL: Final = "failed, run it again to ask anew"
NOT_ASKED: Final = "not asked of both lanes"
UNGRADED: Final = "ungraded"
NO_CANDIDATE: Final = "without a candidate of each lane"


def lanes_of(cascade: "Cascade", small: str | None = None, large: str | None = None) -> tuple[str, str]:
    """The two lanes of a cascade by name: the first tier that asks a model and the last one, unless they are named."""
    names = [tier.name for tier in cascade.tiers]
    models = [tier.name for tier in cascade.tiers if not tier.free]
    return _lanes(names, models, small, large, "tier", "the cascade")


def named_lanes(cases: Sequence["Case"], small: str | None = None, large: str | None = None) -> tuple[str, str]:
    """The two lanes of cases that bring answers: the first and the last name of a case that has two or more."""
    names = list(dict.fromkeys(name for case in cases for name in case.candidates))
    if not names:
        raise ConfigError(
            "no case has candidates, so that there is nothing to drill: give a cascade with --cascade, or cases with "
            'candidates, {"small": "...", "large": "..."}'
        )
    return _lanes(names, names, small, large, "candidate", "the file")


def _lanes(
    names: Sequence[str], models: Sequence[str], small: str | None, large: str | None, what: str, where: str
) -> tuple[str, str]:
    for option, given in (("--small", small), ("--large", large)):
        if given is not None and given not in names:
            raise ConfigError(f"{option}: there is no {what} {given!r}; there are: {', '.join(names)}")
    low = small or (models[0] if models else "")
    high = large or names[-1]
    if not low:
        raise ConfigError(f"{where} asks no model: there is nothing to drill")
    if low == high:
        raise ConfigError(
            f"a drill needs a small lane and a flagship, and {where} has one {what} for both, {high!r}; give another"
        )
    if what == "tier" and names.index(low) > names.index(high):
        raise ConfigError(
            f"--small: tier {low!r} stands above {high!r}; escalation goes up, so name them in their order"
        )
    return low, high


def from_recording(
    cascade: "Cascade",
    version: str,
    cases: Sequence["Case"],
    runs: "Runs",
    small: str,
    large: str,
    *,
    name: "str | Path" = "the cascade",
) -> tuple[list[Drilled], dict[str, int]]:
    """Read a recording: the cases that both lanes answered and that were graded, and how many are left out, by why.

    Dollars and seconds of a lane are of its reply alone; what the cascade itself does pays for its gates too.
    """
    went = decided(cascade, version, cases, runs, name)
    listing = runs.found(version, cases)
    found: list[Drilled] = []
    left_out: Counter[str] = Counter()
    for case, listed in zip(cases, listing.cases, strict=True):
        tiers = {each.place: each for each in runs.tiers(listing.cascade, listed.seq)}
        low, high = (tiers.get(cascade.places[each]) for each in (small, large))
        if low is None or high is None:
            left_out[NOT_ASKED] += 1
        elif low.failure or high.failure:
            left_out[NO_CALL] += 1
        elif low.grade is None or high.grade is None:
            left_out[UNGRADED] += 1
        else:
            times = _seconds(runs, listing.cascade, listed.seq)
            below, above = _tried(low, times.get(small)), _tried(high, times.get(large))
            priced = all(each.cost is not None for each in tiers.values())
            gated = _gated(cascade, went[case.id], small, priced=priced)
            found.append(Drilled(case.id, below, above, case.slice, case.weight, gated))
    return found, dict(left_out)


def _seconds(runs: "Runs", cascade: int, case: int) -> dict[str, float]:
    """How long each tier's own reply took, by the tier, its retries included."""
    kept = runs.kept(cascade, case)
    ends = {label.partition("/"): outcome for label, outcome in kept.items()}
    return {tier: outcome.ended - outcome.started for (tier, _, what), outcome in ends.items() if what == "answer"}


def _tried(tier: "Tiered", seconds: float | None) -> Tried:
    known = tier.cost is not None and tier.gate_cost is not None
    usd = max(0.0, (tier.cost or 0.0) - (tier.gate_cost or 0.0)) if known else None
    return Tried(max(0.0, tier.grade or 0.0), usd, seconds)


def _gated(cascade: "Cascade", decision: Decision, small: str, *, priced: bool) -> Gated:
    usd = decision.usd if priced else None
    place = cascade.places.get(decision.tier, len(cascade.tiers))
    at = cascade.places[small]
    return Gated("kept" if place == at else "below" if place < at else "sent on", decision.grade, usd, decision.seconds)


async def from_candidates(
    cases: Sequence["Case"],
    small: str,
    large: str,
    sheet: "PriceSheet",
    grader: "Grader | None" = None,
    *,
    judge: "Backend | None" = None,
    trust: bool = False,
) -> tuple[list[Drilled], dict[str, int], bool]:
    """Grade answers that the cases bring; the last value tells whether any dollars were reckoned from texts' lengths.

    A case without a grader of its own is ungraded where `grader` is None.
    """
    graders = [grader_for(case, grader or Exact(), judge=judge, trust=trust) for case in cases]
    found: list[Drilled] = []
    left_out: Counter[str] = Counter()
    estimated = False
    for case, by in zip(cases, graders, strict=True):
        said = [case.candidates.get(name) for name in (small, large)]
        if None in said:
            left_out[NO_CANDIDATE] += 1
            continue
        told = [(name, each) for name, each in zip((small, large), said, strict=True) if each is not None]
        graded = grader is not None or case.grader is not None
        grades = [(await by.grade(case, each)).score for _, each in told] if graded else [None]
        if None in grades:
            left_out[UNGRADED] += 1
            continue
        costs = [_usd(case, name, each, sheet) for name, each in told]
        estimated = estimated or any(reckoned for _, reckoned in costs)
        low, high = (Tried(grade or 0.0, usd) for grade, (usd, _) in zip(grades, costs, strict=True))
        found.append(Drilled(case.id, low, high, case.slice, case.weight))
    return found, dict(left_out), estimated


def _usd(case: "Case", name: str, said: str | Reply, sheet: "PriceSheet") -> tuple[float | None, bool]:
    """What a candidate cost, and whether that is an estimate; None where its model's price is not known."""
    if isinstance(said, Reply):
        if said.cost_usd is not None:
            return said.cost_usd, False
        if said.usage is not None:
            return sheet.cost(said.model or name, said.usage), False
    read_in, written = case.request.size // CHARACTERS_PER_TOKEN, -(-len(read(said)) // CHARACTERS_PER_TOKEN)
    model = said.model or name if isinstance(said, Reply) else name
    return sheet.cost(model, Usage(read_in, written)), True
