"""What the cascade of `fastcascade demo` came to: shares, costs, savings. Keys of the JSON are only ever added."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from fastcascade.cli.demo_cascade import Asked, Trial
from fastcascade.evals.live_bounds import Interval, exact
from fastcascade.evals.savings import Pair, saving, saving_interval

__all__ = ["THRESHOLDS", "Sums", "TierSums", "comparing_usd", "document", "ladder", "sums"]

THRESHOLDS: Final = (0.3, 0.6, 1.0)
"""Of three replies: any will do, two agree, all agree."""
NOBODY: Final = ""


@dataclass(frozen=True, slots=True)
class TierSums:
    """One tier: how many requests it answered, how many came to it, and what its calls cost."""

    name: str
    answered: int
    tried: int
    known_usd: float
    unknown: int  # calls whose cost is not known


@dataclass(frozen=True, slots=True)
class Sums:
    """A set of requests under one threshold. Costs are those that are known; `unknown` requests have another part.

    `saved` is the share of the large model's cost that was not spent, over the `compared` requests where both costs
    are known; `saved_by` is the part of it that rules and the cheap model bring.
    """

    accept: float
    n: int
    tiers: tuple[TierSums, ...]
    tried: int  # came to the cheap model
    escalated: int  # of these, were not good enough
    fell_back: int  # of these, went on as the cheap model failed
    escalated_interval: Interval
    known_usd: float
    unknown: int
    large_usd: float
    compared: int
    saved: float | None
    saved_interval: Interval | None
    saved_by: dict[str, float]
    right: int
    graded: int
    alone_right: int
    alone_graded: int


def sums(trial: Trial, asked: Sequence[Asked], accept: float) -> Sums:
    """Add up."""
    tried = sum("cheap" in each.path for each in asked)
    escalated = sum(each.went_on == "escalated" for each in asked)
    graded = [each.right for each in asked if each.right is not None]
    alone_graded = [each.alone_right for each in asked if each.alone_right is not None]
    pairs = {tier: _pairs(asked, tier) for tier in (*trial.cascade.places, NOBODY)}
    compared = [pair for each in pairs.values() for pair in each]
    large = sum(alone for _, alone in compared)
    by_rules = sum(alone - spent for spent, alone in pairs["rules"]) / large if large else 0.0
    saved = saving(compared)
    return Sums(
        accept,
        len(asked),
        tuple(_tier(asked, name) for name in trial.cascade.places),
        tried,
        escalated,
        sum(each.went_on == "fell back" for each in asked),
        exact(escalated, tried),
        sum(each.answer.known_cost_usd for each in asked),
        sum(each.answer.cost_usd is None for each in asked),
        large,
        len(compared),
        saved,
        saving_interval(compared),
        {} if saved is None else {"rules": by_rules, "cheap": saved - by_rules},
        sum(graded),
        len(graded),
        sum(alone_graded),
        len(alone_graded),
    )


def ladder(trial: Trial, asked: Sequence[Asked]) -> list[Sums]:
    """The same requests under other thresholds, replayed."""
    thresholds = sorted({*THRESHOLDS, trial.accept})
    return [sums(trial, [each.at(trial, accept) for each in asked], accept) for accept in thresholds]


def comparing_usd(asked: Sequence[Asked]) -> float | None:
    """What asking the large model cost where the cascade had no need of it; None if any of it is not known."""
    costs = [each.alone.cost_usd for each in asked if "large" not in each.path]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _tier(asked: Sequence[Asked], name: str) -> TierSums:
    calls = [
        call for each in asked for attempt in each.answer.attempts if attempt.tier == name for call in attempt.calls
    ]
    return TierSums(
        name,
        sum(each.answer.tier == name for each in asked),
        sum(name in each.path for each in asked),
        sum(call.cost_usd for call in calls if call.cost_usd is not None),
        sum(call.cost_usd is None for call in calls),
    )


def _pairs(asked: Sequence[Asked], tier: str) -> list[Pair]:
    """What was spent beside what the large model alone costs, where both are known."""
    return [
        (spent, alone)
        for each in asked
        if each.answer.tier == tier
        and (spent := each.answer.cost_usd) is not None
        and (alone := each.large_usd) is not None
    ]


def document(trial: Trial, asked: Sequence[Asked], replayed: Sequence[Sums]) -> dict[str, Any]:
    """All of it, for `--json`. A cost that is not known is null."""
    return {
        "live": trial.live,
        "written_by_hand": not trial.live,
        "models": dict(zip(("cheap", "large"), trial.models, strict=True)),
        "usd_per_million_tokens": {
            model: {"input": price.input, "output": price.output, "date": price.date}
            for model, price in zip(trial.models, trial.prices, strict=True)
        },
        "comparing_usd": comparing_usd(asked) if trial.live else 0.0,
        "requests": [_request(each) for each in asked],
        "summary": _sums(sums(trial, asked, trial.accept)),
        "thresholds": [_sums(each) for each in replayed],
    }


def _request(each: Asked) -> dict[str, Any]:
    answer = each.answer
    return {
        "ask": each.question.ask,
        "text": answer.text,
        "tier": answer.tier,
        "degraded": answer.degraded,
        "right": each.right,
        "cost_usd": answer.cost_usd,
        "large_usd": each.large_usd,
        "attempts": [
            {
                "tier": attempt.tier,
                "model": attempt.model,
                "verdict": attempt.verdict,
                "score": attempt.score,
                "reason": attempt.reason,
                "error": attempt.error and f"{attempt.error.kind}: {attempt.error.message}",
                "calls": len(attempt.calls),
                "cost_usd": attempt.cost_usd,
            }
            for attempt in answer.attempts
        ],
    }


def _sums(made: Sums) -> dict[str, Any]:
    return {
        **asdict(made),
        "shares": {tier.name: tier.answered / made.n if made.n else None for tier in made.tiers},
        "escalation_rate": made.escalated / made.tried if made.tried else None,
        "cost_usd": None if made.unknown else made.known_usd,
    }
