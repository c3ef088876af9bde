"""What a cascade would have answered to recorded cases, with its thresholds as they are now: no calls are made.

The recording stays as it is: what later commands read of it does not change by being replayed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastcascade.errors import ConfigError, NoAnswer
from fastcascade.recording import Recording, replay

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.evals.cases import Case
    from fastcascade.evals.runs import Runs

__all__ = ["Decision", "decided"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a case: which tier answered, how right it was, and what the way there took.

    A case that no tier answered is wrong, and `tier` is empty. `grade` is None where the answer could not be graded.
    """

    tier: str
    grade: float | None
    usd: float
    seconds: float


def decided(
    cascade: "Cascade", version: str, cases: Sequence["Case"], runs: "Runs", name: str | Path = "the cascade"
) -> dict[str, Decision]:
    """Put recorded cases through a cascade, by their ids.

    Args:
        cascade: with the thresholds, calibrations and policy to try.
        version: of its file, as `version_of` tells.
        cases: which; all must be in the recording.
        runs: the recording.
        name: what to call the cascade where cases are missing.
    """
    listing = runs.found(version, cases)
    missing = sum(not each.recorded for each in listing.cases)
    if missing:
        msg = f"{missing} of {len(cases)} cases are not in {runs.path} as {name} asks them"
        raise ConfigError(f"{msg}: fastcascade record {name} CASES --to {runs.path}")
    found = {}
    for case, listed in zip(cases, listing.cases, strict=True):
        recording = runs.recording(listing.cascade, listed.seq)
        try:
            answer = replay(cascade, _entered(cascade, recording, case.slice))
        except NoAnswer as error:
            answer = error.answer
        place = cascade.places.get(answer.tier)
        grade = 0.0 if place is None else runs.tiers(listing.cascade, listed.seq)[place].grade
        grade = None if grade is None else max(0.0, grade)
        found[case.id] = Decision(
            answer.tier if place is not None else "", grade, answer.known_cost_usd, answer.latency
        )
    return found


def _entered(cascade: "Cascade", recording: Recording, slice_: str) -> Recording:
    """Every tier was asked; now the case enters where the lanes of this cascade say.

    What a case is filed under is its task, where its request has none: the same names are admitted.
    """
    request = recording.request
    request = request if request.task else replace(request, task=slice_)
    entrance = cascade.lanes.choose(request, cascade.places, remember=False)
    after = recording.entrance.after if recording.entrance else 0.0
    return replace(recording, entrance=replace(entrance, after=after))
