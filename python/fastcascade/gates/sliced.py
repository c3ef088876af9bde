"""A gate whose calibration has a curve to each slice, and which takes that of the request it comes to."""

import copy
from collections.abc import Generator, Sequence
from typing import Protocol

from fastcascade.effects import Effect, Outcome
from fastcascade.gates.combine import Combined
from fastcascade.gates.gate import Calibrator, Exam, Gate, Judging, Verdict, Watch
from fastcascade.messages import Request

__all__ = ["BySlice", "Slicing"]


class Slicing(Protocol):
    """A calibration that differs by slice."""

    def __call__(self, score: float, /) -> float:
        """The probability where nothing is known of the slice."""
        ...

    def of(self, request: Request, /) -> Calibrator:
        """The calibration for this request."""
        ...


class BySlice(Combined):
    """One gate, calibrated by the curve of each request's slice. `calibrate` makes it.

    It is called what the gate is called, has its threshold, and may end early where it may: what the gate sees for a
    calibration is one curve, that of the request.
    """

    def __init__(self, gate: Gate, slicing: Slicing) -> None:
        """Stand around a gate."""
        super().__init__((gate,), gate.threshold)
        self.name = gate.name or type(gate).__name__.lower()
        self.slicing = slicing

    def judge(self, exam: Exam, /) -> Judging:
        """The gate's verdict on the scale of the request's slice."""
        gate = self._suited(exam.request)
        judging = gate.judge(exam)
        return Gate.calibrated(gate, judging) if isinstance(judging, Verdict) else _told(gate, judging)

    def watch(self, request: Request, accept: float, /) -> Watch | None:
        """What the gate watches with; the verdict is calibrated already."""
        return self._suited(request).watch(request, accept)

    def decided(self, _member: Gate, _verdict: Verdict, /) -> bool:
        """There is but one."""
        return True

    def conclude(self, _exam: Exam, verdicts: Sequence[Verdict], /) -> Verdict:
        """Its verdict."""
        return verdicts[-1]

    def _suited(self, request: Request) -> Gate:
        """The gate with the curve of this request."""
        gate = copy.copy(self.members[0])
        gate.calibration = self.slicing.of(request)
        return gate


def _told(gate: Gate, judging: Generator[Effect, Outcome, Verdict]) -> Generator[Effect, Outcome, Verdict]:
    # The gate's own class may be one that listens in on another, and leaves the calibration to that.
    return Gate.calibrated(gate, (yield from judging))
