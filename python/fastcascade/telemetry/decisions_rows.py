"""What is read of the store of decisions, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fastcascade.evals.live_bounds import Interval, exact

__all__ = ["By", "Grade", "GradedBy", "Row", "Rung", "Saved", "Sum", "Whole"]

By: TypeAlias = Literal["layer", "tier", "slice", "hour", "cascade", "via", "way"]
"""What decisions are added up by; a way is a layer and what of it, as "dispatch/small" or "guard/429"."""


@dataclass(frozen=True, slots=True)
class Row:
    """A decision of a cascade, without its texts.

    Args:
        number: its place in the store: whatever was written later has a higher one.
        at: when it was over, in seconds since 1970.
        seconds: how long it took.
        id: the request's.
        layer: where it was answered.
        by: what of that layer.
        status: what an HTTP client was told; 0 where there is none.
        path: of the API.
        caller: the name of its key.
        cascade: the cascade's name.
        slice: the kind of case: the route, or else the task.
        task: the request's.
        route: the request's.
        feature: the request's.
        tier: whose answer it was; empty where nobody's.
        via: how it came, if not from a tier.
        confidence: of the answer that was given.
        degraded: in what it falls short; empty if in nothing.
        failure: empty, or what went wrong.
        cost_usd: of all its calls; None where that of any is unknown.
        baseline_usd: what the last tier alone would have cost; None where that is unknown.
        input: tokens read by all its calls.
        output: tokens written by all its calls.
        calls: how many there were.
        escalated: whether the answer of one of its tiers was not good enough.
        failed: whether it got no answer, or one that broke off, for a reason of ours: not where a client asked for
            what cannot be, or went away.
        tiers: those that were tried, in order.
    """

    number: int
    at: float
    seconds: float | None
    id: str
    layer: str
    by: str
    status: int
    path: str
    caller: str
    cascade: str
    slice: str
    task: str
    route: str
    feature: str
    tier: str
    via: str
    confidence: float | None
    degraded: str
    failure: str
    cost_usd: float | None
    baseline_usd: float | None
    input: int
    output: int
    calls: int
    escalated: bool
    failed: bool
    tiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grade:
    """A label that came for a decision."""

    tier: str
    score: float
    at: float
    source: str
    propensity: float | None


@dataclass(frozen=True, slots=True)
class Whole:
    """All that is kept of a decision.

    Args:
        row: as pages have it.
        attempts: one for each try of a tier: `tier`, `verdict`, `score`, `reason`, `model`, `error` (its kind),
            `seconds`, `cost_usd` and `calls`, each with `label`, `model`, `cost_usd`, `estimated`, `seconds`, `failure`
            (its kind), `by`, `input` and `output`. What a gate gives as its reason may quote an answer: it is kept
            only where texts are.
        trace: as `Answer.trace()` has it, with request, reply and the outcome of every call; None where texts are
            not kept.
        grades: what labels say of it.
    """

    row: Row
    attempts: tuple[Mapping[str, Any], ...]
    trace: Mapping[str, Any] | None
    grades: tuple[Grade, ...] = ()


@dataclass(frozen=True, slots=True)
class Sum:
    """Decisions that have something in common.

    Args:
        key: what they have in common: a layer, a tier, ...; of an hour its beginning, in seconds since 1970, as text.
        n: how many there are, with those that never reached a cascade.
        reached: how many reached a cascade: what `escalated`, `degraded`, `failed` and all costs are of.
        cost_usd: what is known of the cost.
        unknown: how many cost something that is not known.
        baseline_usd: what the last tier alone would have cost, of those where cost and baseline are both known.
        compared_usd: what just these cost.
        compared: how many these are.
        timed: how many the times are of.
        p50: seconds that half of them took at most; None where none was timed. Within 2 %; within 11 % where most never
            reached a cascade.
        p95: likewise.
        p99: likewise.
        escalated: how many had an answer that was not good enough, and went on where they could.
        degraded: how many answers fell short.
        failed: how many got no answer, as rows have it.
    """

    key: str
    n: int
    reached: int
    cost_usd: float
    unknown: int
    baseline_usd: float
    compared_usd: float
    compared: int
    timed: int
    p50: float | None
    p95: float | None
    p99: float | None
    escalated: int
    degraded: int
    failed: int

    @property
    def escalation(self) -> Interval:
        """Where the share of those that escalate lies, at 95 %."""
        return exact(self.escalated, self.reached)


@dataclass(frozen=True, slots=True)
class Saved:
    """The share of the always-large cost that was not spent.

    Args:
        share: 0.6 is 60 % less; below 0 the cascade costs more. None where there is nothing to compare.
        low: the lower end at 95 %; None where there are too few.
        high: the upper end.
        n: decisions with both costs known: what `share` and the dollars are of.
        drawn: how many of these the interval was worked out from: all of them.
        cost_usd: what they cost.
        baseline_usd: what the last tier alone would have.
        left_out: decisions of which one of the two is not known.
    """

    share: float | None
    low: float | None
    high: float | None
    n: int
    drawn: int
    cost_usd: float
    baseline_usd: float
    left_out: int


@dataclass(frozen=True, slots=True)
class Rung:
    """What became of the tries of one tier.

    Args:
        tier: its name.
        tried: how often it was asked.
        accepted: how often its answer was good enough.
        escalated: how often it was not.
        nothing: how often it had none to give, as rules of which none matched.
        failed: how often it could not: a failure, or a reply that was cut off or cancelled.
        cost_usd: what is known of the cost, gates among it.
        unknown: tries of unknown cost.
        timed: tries that the times are of.
        p50: seconds; None where there are none. Within 2 %.
        p95: likewise.
        p99: likewise.
    """

    tier: str
    tried: int
    accepted: int
    escalated: int
    nothing: int
    failed: int
    cost_usd: float
    unknown: int
    timed: int
    p50: float | None
    p95: float | None
    p99: float | None

    @property
    def escalation(self) -> Interval:
        """Where the share of its tries that are not good enough lies, at 95 %."""
        return exact(self.escalated, self.tried)


@dataclass(frozen=True, slots=True)
class GradedBy:
    """How good the answers of a tier were, for one slice; an empty slice is all of the tier.

    Args:
        tier: its name.
        slice: the kind of case.
        n: labels that were drawn: only these say something of all answers.
        mean: their mean, each weighed by how seldom its like is drawn; None where there are none.
        low: the lower end at 95 %.
        high: the upper end.
        given: labels that nobody drew, as thumbs and complaints, which are of no mean.
    """

    tier: str
    slice: str
    n: int
    mean: float | None
    low: float
    high: float
    given: int
