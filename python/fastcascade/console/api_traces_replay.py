"""One decision under other thresholds: what would have answered, at what cost; and where that cannot be known, why.

A trace holds what was asked in that run and nothing else. Where other thresholds would have asked for something else
(the next tier, one more sample for a gate), the replay says so there, and tells only what came before.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import NoAnswer
from fastcascade.recording import Recording, Replayer

if TYPE_CHECKING:
    from fastcascade.answers import Answer, Attempt
    from fastcascade.cascade import Cascade
    from fastcascade.telemetry.decisions import Whole

__all__ = ["by_scores", "replayed"]

LONGEST: Final = 20_000
AROUND: Final = "chain/"
HEDGED: Final = "/hedged"


def replayed(cascade: "Cascade", whole: "Whole", accept: Mapping[str, float]) -> dict[str, Any]:
    """The decision put through the cascade again, from what was recorded of it."""
    from fastcascade.telemetry.decisions import recording_of  # noqa: PLC0415 - SQLite, for whoever keeps decisions

    recording = recording_of(whole)
    adjusted = cascade.adjusted(accept=accept)
    replayer = Replayer(recording.outcomes)
    replayer.now = recording.entrance.after if recording.entrance else 0.0
    flow = adjusted.flow(recording.request, replaying=True, entrance=recording.entrance)
    try:
        answer = replayer.run(flow)
    except NoAnswer as error:
        answer = error.answer
    lacking = _lacking(replayer, recording, answer)
    said: dict[str, Any] = {"by": "replay", "known": not lacking, "unknown": None}
    attempts = [_attempt(each) for each in answer.attempts]
    if lacking:
        tier, attempts = lacking.partition("/")[0], _before(attempts, answer, lacking)
        said["unknown"] = {"tier": tier, "label": lacking, "estimate_usd": _estimate(adjusted, tier, recording)}
        return {**said, "attempts": attempts, "cost_usd": _sum(attempts)}
    return {
        **said,
        "attempts": attempts,
        "tier": answer.tier,
        "via": answer.via,
        "degraded": answer.degraded,
        "confidence": answer.confidence,
        "cost_usd": answer.cost_usd,
        "seconds": answer.latency,
        "text": answer.text[:LONGEST],
    }


def _lacking(replayer: Replayer, recording: Recording, answer: "Answer") -> str:
    """The label of the first thing that was asked for and is not in the trace; empty where all of it is.

    What comes before and after the ladder (an answer that was kept, a wait, a person) and when a hedge starts are in a
    trace only where there was something: that they are not is what was seen, and no lack.
    """
    given_up = {call.label for call in answer.calls if call.failure is not None and call.failure.kind == "missing"}
    for label in replayer.asked:
        if label.startswith(AROUND) or label.endswith(HEDGED):
            continue
        if label not in recording.outcomes or label in given_up:
            return label
    return min(given_up, default="")


def _before(attempts: list[dict[str, Any]], answer: "Answer", lacking: str) -> list[dict[str, Any]]:
    """The attempts that ended before what is lacking; one whose gate lacks something has no verdict."""
    tier, _, purpose = lacking.partition("/")
    place = next((at for at, each in enumerate(answer.attempts) if each.tier == tier), len(attempts))
    shown = attempts[:place]
    if purpose.partition("~")[0] != "answer" and place < len(attempts):
        shown.append({**attempts[place], "verdict": "unknown", "score": None, "reason": ""})
    return shown


def _attempt(attempt: "Attempt") -> dict[str, Any]:
    return {
        "tier": attempt.tier,
        "verdict": attempt.verdict,
        "score": attempt.score,
        "reason": attempt.reason,
        "cost_usd": attempt.cost_usd,
        "seconds": attempt.latency,
    }


def _estimate(cascade: "Cascade", tier: str, recording: Recording) -> float | None:
    place = cascade.places.get(tier)
    return None if place is None else cascade.tiers[place].estimate(recording.request, cascade.prices)


def _sum(attempts: list[dict[str, Any]]) -> float | None:
    costs = [each["cost_usd"] for each in attempts]
    return None if None in costs else sum(costs)


def by_scores(cascade: "Cascade", whole: "Whole", accept: Mapping[str, float]) -> dict[str, Any]:
    """The same without texts: from the scores of the attempts alone, as a cascade goes that asks tier after tier."""
    cascade.adjusted(accept=accept)  # refuses what is no threshold, or of no tier
    last = cascade.tiers[-1].name
    shown: list[dict[str, Any]] = []
    for attempt in whole.attempts:
        tier, score, verdict = attempt["tier"], attempt.get("score"), attempt["verdict"]
        limit = accept.get(tier, cascade.tiers[cascade.places[tier]].accept if tier in cascade.places else 0.0)
        if score is not None and verdict in ("accept", "escalate") and tier != last:
            verdict = "accept" if score >= limit else "escalate"
        shown.append({
            "tier": tier, "verdict": verdict, "score": score, "reason": attempt.get("reason", ""),
            "cost_usd": attempt.get("cost_usd"), "seconds": attempt.get("seconds"),
        })  # fmt: skip
        if verdict == "accept":
            said: dict[str, Any] = {"by": "scores", "known": True, "unknown": None, "attempts": shown, "tier": tier}
            seconds = [each["seconds"] for each in shown if each["seconds"] is not None]
            return {**said, "via": "", "degraded": "", "cost_usd": _sum(shown), "seconds": sum(seconds), "text": None}
    names = [tier.name for tier in cascade.tiers]
    tried = [names.index(each["tier"]) for each in shown if each["tier"] in names]
    following = names[max(tried, default=-1) + 1 :]
    unknown = {"tier": following[0] if following else "", "label": "", "estimate_usd": None}
    return {"by": "scores", "known": False, "unknown": unknown, "attempts": shown, "cost_usd": _sum(shown)}
