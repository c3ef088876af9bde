"""What a gate is: it looks at a reply and says how likely it is to be good enough.

A gate sees the request as it was sent, the reply, and the backend that gave it, and nothing that lies in the
future. It gives a `Verdict` at once, or, where it must ask someone, a generator of effects that returns one.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from fastcascade.backends.backend import Backend
from fastcascade.effects import Effect, Outcome
from fastcascade.messages import Delta, Reply, Request
from fastcascade.quick import quick
from fastcascade.records import known

__all__ = ["Calibrator", "Exam", "Gate", "Judging", "Verdict", "Watch"]


@quick
@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate found: a score from 0 to 1, or None where it abstains, and why.

    `parts` holds the verdicts this one was made of, by gate name. What a judgement cost is in the calls it made,
    which the cascade counts.
    """

    score: float | None
    reason: str = ""
    parts: "tuple[tuple[str, Verdict], ...]" = ()
    decisive: bool = False  # beyond doubt, whatever the threshold: a reply that does not parse, a rule that holds


def _as_it_is(reply: Reply) -> Reply:
    return reply


@dataclass(slots=True)
class Exam:
    """All a gate may look at."""

    request: Request  # as it was sent to the tier
    reply: Reply
    backend: Backend  # the one that replied: for more samples
    tier: str = ""
    accept: float | None = None
    """A calibrated score at or above this accepts. None: the score itself matters, so that no gate may stop early."""
    clean: Callable[[Reply], Reply] = _as_it_is
    """Takes out of a reply what the gates had asked to be in it, before two replies are compared."""
    every: bool = False
    """Whether to ask all there is to ask, for a recording, and come to the verdict that fewer would have led to."""


Judging: TypeAlias = Verdict | Generator[Effect, Outcome, Verdict]
"""A verdict, or the way to one: the generator yields `Call`, `Gather` and `Check`, and is sent their outcomes."""


class Calibrator(Protocol):
    """Turns a raw score into a probability of being right.

    One that differs by slice offers `of(request)` besides, which gives the one for a request: see `calibrate`.
    """

    def __call__(self, score: float, /) -> float:
        """The probability for this score."""
        ...


class Watch(Protocol):
    """Judges a reply while it streams."""

    def feed(self, delta: Delta, /) -> Literal["hold", "commit", "abort"]:
        """Look at one more piece: hold it back, let all through from now on, or give the reply up.

        After "commit" no more is asked, and nothing can be taken back.
        """
        ...

    @property
    def verdict(self) -> Verdict:
        """Why it committed or aborted."""
        ...


class Gate:
    """A check after a reply. Subclass it and write `judge`."""

    name: str = ""
    threshold: float = 0.5
    """A score at or above it accepts, where the tier has no `accept` of its own, and inside combinators."""
    needs: frozenset[str] = frozenset()
    """What a backend must give: {"logprobs"}."""
    calibration: Calibrator | None = None

    def judge(self, exam: Exam, /) -> Judging:
        """Say how good a reply is."""
        raise NotImplementedError

    def prepare(self, request: Request, /) -> Request:
        """Change what is sent, such as to ask for log-probabilities or for a stated confidence."""
        return request

    def clean(self, reply: Reply, /) -> Reply:
        """Take out of an accepted reply what was there for the gate alone."""
        return reply

    def watch(self, request: Request, accept: float, /) -> Watch | None:  # noqa: ARG002 - for those that can
        """Judge while it streams; None where the whole reply is needed."""
        return None

    def calibrated(self, verdict: Verdict, /) -> Verdict:
        """Turn the raw score into a probability, where a calibration is attached."""
        if self.calibration is None or verdict.score is None or verdict.decisive:
            return verdict
        score = min(1.0, max(0.0, float(self.calibration(verdict.score))))
        return Verdict(score, f"{verdict.reason} (raw {verdict.score:.3f})", verdict.parts)

    def __repr__(self) -> str:
        """Show how it was made."""
        settings: dict[str, Any] = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in settings.items())})"


known(Verdict)  # what a function of the user's returned is in a trace
