"""What a cascade costs by itself: its backends answer at once, in the process.

The work is not the same everywhere, and each row says what it does: fastcascade checks, decides, counts cost and keeps
a trace; cascadeflow also guesses how hard the question is and holds the answer against it; the others check with a
function of ours or only notice failures.
"""

from typing import Any

from said import GOOD, LONG, SHORT
from turns import Row, Workers, timed

LIMIT = "written by hand, no trace"


def _row(name: str, where: str, note: str = "", said: tuple[str, str] | None = None, **more: Any) -> Row:
    return Row(name, where, said or (), expect=said[1] if said else GOOD, note=note, **more)


def accepted(said: tuple[str, str]) -> list[Row]:
    beside = {"process": "cascadeflow beside litellm", "said": said}
    return [
        _row(LIMIT, "bare:accepted", "a loop with one `in`", said, role="limit"),
        _row("fastcascade, scripted gate", "ours:accepted", "", said, role="ours"),
        _row("fastcascade, gates.Hedging", "ours:accepted_by_hedging", "a gate that reads the answer", said),
        _row("fastcascade, async backend", "ours:accepted_async", "scripted gate", said),
        _row("cascadeflow CascadeAgent", "with_cascadeflow:accepted", "its own check and guess of difficulty", said),
        _row("cascadeflow, litellm installed too", "with_cascadeflow:accepted_beside_litellm", "", **beside),
        _row("litellm.acompletion, mock_response", "with_litellm:completion_accepted", "no cascade: one call", said),
        _row("litellm.Router, mock_response", "with_litellm:router_accepted", "no check of the answer", said),
        _row("pydantic-ai FallbackModel, direct", "with_pydantic_ai:direct_accepted", "check: our function", said),
        _row("pydantic-ai FallbackModel, Agent", "with_pydantic_ai:accepted", "check: our function", said),
        _row("langchain with_fallbacks", "with_langchain:accepted", "check: our step", said),
    ]


def escalated() -> list[Row]:
    return [
        _row(LIMIT, "bare:escalated", "a loop with one `in`", role="limit"),
        _row("fastcascade, scripted gate", "ours:escalated", role="ours"),
        _row("fastcascade, gates.Hedging", "ours:escalated_by_hedging", "a gate that reads the answer"),
        _row("fastcascade, two tiers", "ours:escalated_once", "one escalation, to set beside cascadeflow"),
        _row("cascadeflow CascadeAgent, two tiers", "with_cascadeflow:escalated_once", "two tiers are all it has"),
        _row("pydantic-ai FallbackModel, direct", "with_pydantic_ai:direct_escalated", "check: our function"),
        _row("pydantic-ai FallbackModel, Agent", "with_pydantic_ai:escalated", "check: our function"),
        _row("langchain with_fallbacks", "with_langchain:escalated", "check: our step, which raises"),
    ]


def failed() -> list[Row]:
    return [
        _row(LIMIT, "bare:failed_twice", "a loop with one `except`", role="limit"),
        _row("fastcascade", "ours:failed_twice", role="ours"),
        _row("litellm.Router, mock_response", "with_litellm:router_failed_twice", "no retries, no cooldown"),
    ]


def consistent() -> list[Row]:
    return [
        _row("written by hand: gather and count", "bare:consistent", role="limit"),
        _row("fastcascade, gates.Consistency(k=3)", "ours:consistent", "no rival here has it", role="ours"),
    ]


def tables(workers: Workers, quick: bool) -> dict[str, Any]:
    """Each case in its table."""
    cases = {
        "instant backends, three tiers, the first is accepted, six words": accepted(SHORT),
        "instant backends, three tiers, the first is accepted, a paragraph": accepted(LONG),
        "instant backends, three tiers, two escalations": escalated(),
        "instant backends, three tiers, two fail": failed(),
        "instant backends, three samples that must agree, accepted": consistent(),
    }
    return {title: timed(title, rows, workers, quick) for title, rows in cases.items()}
