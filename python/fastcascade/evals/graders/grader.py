"""What a grader is, what it finds, and what of an answer it reads."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fastcascade.blocks import Block, Text, ToolCall
from fastcascade.errors import ConfigError
from fastcascade.messages import Reply

if TYPE_CHECKING:
    from fastcascade.evals.cases import Case

__all__ = ["Grade", "Grader", "read", "ungraded", "within", "written"]


@dataclass(frozen=True, slots=True)
class Grade:
    """How right an answer was.

    Args:
        score: 0 is wrong, 1 is right, what lies between is partly right. None: it could not be graded. That is
            never counted as right or wrong, and is reported by its number.
        reason: why, in a line.
        cost_usd: what the grading itself cost: a judge model's calls.
        priced: whether all of the cost is known; else `cost_usd` is what is known of it, and the true one is more.
    """

    score: float | None
    reason: str = ""
    cost_usd: float = 0.0
    priced: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no score."""
        if self.score is not None and not 0 <= self.score <= 1:
            raise ConfigError(f"a grade's score must be from 0 to 1, or None where there is none, not {self.score!r}")
        if not 0 <= self.cost_usd < math.inf:
            raise ConfigError(f"a grade's cost must be dollars, 0 or more, not {self.cost_usd!r}")


class Grader(Protocol):
    """Whoever can tell how right an answer to a case is. Keeps nothing of one case for the next."""

    async def grade(self, case: "Case", reply: Reply | str, /) -> Grade:
        """Grade one answer. What stands in the way of grading is a grade without a score, not an exception."""
        ...


def ungraded(reason: str) -> Grade:
    """It could not be graded."""
    return Grade(None, reason)


def within(name: str, value: Any, least: float = 0.0, most: float = math.inf) -> float:
    """A number among a grader's settings."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most or value == math.inf:
        ends = f"from {least:g} to {most:g}" if most < math.inf else f"{least:g} or more"
        raise ConfigError(f"{name} must be a number, {ends}, not {value!r}")
    return float(value)


def read(reply: Reply | str) -> str:
    """What is graded of an answer: its text, and its tool calls as JSON."""
    return reply if isinstance(reply, str) else written(reply.content)


def written(content: Iterable[Block]) -> str:
    """Blocks as a text: the texts joined, then each tool call as JSON on a line of its own; thoughts are left out."""
    texts: list[str] = []
    calls: list[str] = []
    for block in content:
        if isinstance(block, Text):
            texts.append(block.text)
        elif isinstance(block, ToolCall):
            calls.append(_call(block))
    return "\n".join([*filter(None, ["".join(texts)]), *calls])


def _call(call: ToolCall) -> str:
    """A call without its id, which is another each time; its arguments in one order."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = call.arguments
    return json.dumps({"name": call.name, "arguments": arguments}, sort_keys=True, ensure_ascii=False)
