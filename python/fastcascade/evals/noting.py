"""What each tier came to in a recording, worked out by replaying it with an ear to every gate.

The raw scores are those of the gates that look for themselves; one that is made of others is left out, since its score
follows from theirs. They are noted before any calibration or threshold, and also where the verdict no longer mattered.
"""

import copy
from collections.abc import Generator, Mapping
from dataclasses import replace
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from fastcascade.answers import Entrance
from fastcascade.effects import Call, Effect, Outcome
from fastcascade.errors import NoAnswer
from fastcascade.evals.graders.grader import read
from fastcascade.evals.runs import Tiered
from fastcascade.gates.combine import Combined
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict, Watch
from fastcascade.lanes import Lanes
from fastcascade.ledger import Ledger
from fastcascade.messages import Budget, Reply, Request
from fastcascade.recording import Recording, Replayer
from fastcascade.recording import everything as all_tiers
from fastcascade.tiers import Tier

if TYPE_CHECKING:
    from fastcascade.answers import Answer, Attempt
    from fastcascade.cascade import Cascade

__all__ = ["everything", "looked"]


def everything(cascade: "Cascade") -> "Cascade":
    """The cascade as it is recorded: wherever its lanes would let a case in, each tier is asked.

    So other lanes, and another admission, can be tried on the recording; and what was not admitted can earn it yet.
    """
    every = all_tiers(cascade)
    every.lanes = _Anywhere(every.lanes)
    return every


def looked(every: "Cascade", recording: Recording) -> list[Tiered]:
    """What each tier came to, ungraded; `every` is what `everything` made."""
    notes: dict[str, dict[str, float | None]] = {tier.name: {} for tier in every.tiers}
    heard = copy.copy(every)
    heard.tiers = tuple(_heard(tier, notes[tier.name]) for tier in every.tiers)
    heard.rungs = heard.tiers + every.rungs[len(every.tiers) :]
    request = replace(recording.request, budget=Budget(deadline=None))
    replayer = _Whole(recording.outcomes)
    replayer.now = recording.entrance.after if recording.entrance else 0.0
    try:
        answer: Answer = replayer.run(heard.flow(request, replaying=True, entrance=recording.entrance))
    except NoAnswer as error:
        answer = error.answer
    return [_tiered(every, each, recording, notes[each.tier]) for each in answer.attempts]


def _tiered(every: "Cascade", attempt: "Attempt", recording: Recording, notes: dict[str, float | None]) -> Tiered:
    place = every.places[attempt.tier]
    said = recording.outcomes.get(f"{attempt.tier}/answer")
    reply = said.value if said is not None and said.failure is None and isinstance(said.value, Reply) else None
    error = attempt.error
    return Tiered(
        place,
        attempt.verdict,
        None if reply is None else read(_cleaned(every.tiers[place], reply)),
        notes,
        None if reply is None else reply.usage,
        attempt.cost_usd,
        attempt.gate_usd,
        attempt.latency,
        "" if error is None else f"{error.kind}: {error.message}",
    )


def _cleaned(tier: Tier, reply: Reply) -> Reply:
    try:
        return reply if tier.gate is None else tier.gate.clean(reply)
    except Exception:  # noqa: BLE001 - a user's gate may raise anything; the reply stands as it came
        return reply


def _heard(tier: Tier, notes: dict[str, float | None]) -> Tier:
    other = copy.copy(tier)
    if tier.gate is not None:
        other.gate = _listening(tier.gate, tier.gate.name or type(tier.gate).__name__.lower(), "", notes)
    return other


def _listening(gate: Gate, name: str, within: str, notes: dict[str, float | None]) -> Gate:
    if not isinstance(gate, Combined):
        return _Listening(gate, within + name, notes)
    other = copy.copy(gate)
    names = gate._names  # noqa: SLF001 - what its verdicts call its members
    other.members = tuple(
        _listening(member, each, f"{within}{each}." if isinstance(member, Combined) else within, notes)
        for member, each in zip(gate.members, names, strict=True)
    )
    return other


class _Anywhere(Lanes):
    """Lets a request in wherever its caller does; what it is about is found as ever."""

    def __init__(self, lanes: Lanes) -> None:
        super().__init__(semantic=lanes.semantic, semantic_timeout=lanes.semantic_timeout)
        self._lanes = lanes

    def find_route(self, request: Request, ledger: Ledger) -> Generator[Effect, Outcome, Request]:
        return self._lanes.find_route(request, ledger)

    def choose(
        self,
        request: Request,
        places: Mapping[str, int],
        sticky: int = 0,  # noqa: ARG002 - as lanes have it
        *,
        remember: bool = True,  # noqa: ARG002 - as above
    ) -> Entrance:
        return self._bounds(request, places)


class _Whole(Replayer):
    """Takes every sample, also those that could not change what is decided: the raw score is of them all."""

    def _gathered(self, calls: tuple[Call, ...], enough: Any) -> Outcome:  # noqa: ARG002 - that is the point
        return super()._gathered(calls, None)


class _Listening(Gate):
    """A gate that is overheard."""

    def __init__(self, gate: Gate, called: str, notes: dict[str, float | None]) -> None:
        self._gate, self._called, self._notes = gate, called, notes
        self.name, self.threshold, self.needs = gate.name, gate.threshold, gate.needs
        self.calibration = gate.calibration

    def judge(self, exam: Exam, /) -> Judging:
        judging = self._gate.judge(exam)
        if isinstance(judging, GeneratorType):
            return self._through(judging)
        self._note(judging)
        return judging

    def prepare(self, request: Request, /) -> Request:
        return self._gate.prepare(request)

    def clean(self, reply: Reply, /) -> Reply:
        return self._gate.clean(reply)

    def watch(self, request: Request, accept: float, /) -> Watch | None:
        return self._gate.watch(request, accept)

    def calibrated(self, verdict: Verdict, /) -> Verdict:
        return self._gate.calibrated(verdict)

    def _through(self, judging: Generator[Effect, Outcome, Verdict]) -> Generator[Effect, Outcome, Verdict]:
        verdict = yield from judging
        self._note(verdict)
        return verdict

    def _note(self, verdict: Any) -> None:
        self._notes[self._called] = verdict.score if isinstance(verdict, Verdict) else None
