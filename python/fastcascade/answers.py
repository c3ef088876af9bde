"""What the caller gets: an `Answer` with its whole trace, one `Attempt` for each try of a tier."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Literal, TypeAlias

from fastcascade.effects import Outcome, Try
from fastcascade.errors import Failure
from fastcascade.messages import (
    Block,
    Budget,
    Delta,
    Image,
    Message,
    Opaque,
    Reply,
    Request,
    Text,
    Thinking,
    Token,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from fastcascade.quick import quick
from fastcascade.records import dump, known

__all__ = ["Answer", "Attempt", "Ended", "Entrance", "Spent", "Via", "tag_of"]

Ended: TypeAlias = Literal["accept", "escalate", "abstain", "failed", "empty", "cancelled", "incomplete"]
"""How a try of a tier ended. `empty` is a tier that had no answer: no rule matched, or nothing was said."""

Via: TypeAlias = Literal["", "cache", "joined", "region", "semantic", "stale", "static"]
"""How an answer came: from the ladder; kept, and fresh; from a run that asked the same; from a region behind the
ladder; kept, for another question that means the same; kept, and old; made beforehand."""


FILED: Final = ("task", "route", "customer", "user")
TAG: Final = 1_000
"""Bytes of a tag; what is longer, or holds half of a surrogate pair, is filed under a digest of it."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where a request enters the ladder, the highest tier it may reach, and why, if that is not all of the ladder.

    `after` is how many seconds it took to find that out.
    """

    first: int
    last: int
    why: str = ""
    after: float = 0.0


@quick
@dataclass(frozen=True, slots=True)
class Spent:
    """One call: what it was for, and what it took. A cost of None is unknown; `estimated` is from the prompt alone.

    `by` is the instance of a pool that was asked. A label that ends in `~0`, `~1` is that of a try which another took
    the place of.
    """

    label: str
    model: str
    usage: Usage | None
    cost_usd: float | None
    estimated: bool
    started: float
    latency: float
    failure: Failure | None = None
    by: str = ""


@quick
@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one tier: its calls (the answer, samples, judges), the score, and what was decided."""

    tier: str
    verdict: Ended
    score: float | None = None
    reason: str = ""
    model: str = ""
    error: Failure | None = None
    started: float = 0.0
    latency: float = 0.0
    calls: tuple[Spent, ...] = ()

    @property
    def cost_usd(self) -> float | None:
        """What its calls cost; None if that of any is unknown."""
        return total(self.calls)

    @property
    def gate_usd(self) -> float | None:
        """What its gate cost: samples, judges, reports; None if that of any is unknown."""
        answer = f"{self.tier}/answer"
        return total(tuple(call for call in self.calls if call.label.partition("~")[0] != answer))

    @property
    def usage(self) -> Usage:
        """Tokens of all its calls, as far as they were reported."""
        return sum((call.usage for call in self.calls if call.usage is not None), start=Usage())


@quick
@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that was judged, or the best there was; every attempt, and what it took.

    `degraded` is empty, or says in what the answer falls short: "deadline", "money" or "attempts" (what of the
    budget ran out), "below threshold", "a better tier failed", "incomplete", "empty", "refused", "stale",
    "overloaded", "no tier answered". `via` is how it came, if not from a tier in this very run.
    """

    reply: Reply | None
    request: Request
    tier: str = ""
    confidence: float | None = None
    latency: float = 0.0
    degraded: str = ""
    attempts: tuple[Attempt, ...] = ()
    entrance: Entrance | None = None
    prompt_cache_lost: int = 0  # tokens that another model had cached for this conversation
    via: Via = ""
    age: float | None = None  # seconds since an answer that was kept was good
    ticket: str = ""  # of the review in which a person answers it
    retry_after: float | None = None  # seconds after which it may be worth asking again, where somebody said so
    outcomes: Mapping[str, Outcome] = field(default_factory=dict, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The text of it."""
        return self.reply.text if self.reply else ""

    @property
    def content(self) -> tuple[Block, ...]:
        """All blocks of it."""
        return self.reply.content if self.reply else ()

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools the model wants run."""
        return self.reply.tool_calls if self.reply else ()

    @property
    def model(self) -> str:
        """Who said it."""
        return self.reply.model if self.reply else ""

    @property
    def incomplete(self) -> bool:
        """Whether the stream broke after its beginning was seen."""
        return self.degraded == "incomplete"

    @property
    def calls(self) -> tuple[Spent, ...]:
        """Every call made for it, in the order they were counted."""
        return tuple(call for attempt in self.attempts for call in attempt.calls)

    @property
    def cost_usd(self) -> float | None:
        """What all calls cost, the rejected and the cancelled too; None if that of any is unknown."""
        attempts = self.attempts
        return total(attempts[0].calls if len(attempts) == 1 else self.calls)

    @property
    def known_cost_usd(self) -> float:
        """What is known of the cost: no more than the true one."""
        return sum(call.cost_usd for call in self.calls if call.cost_usd is not None)

    @property
    def usage(self) -> Usage:
        """Tokens of all calls, as far as they were reported."""
        told = [call.usage for attempt in self.attempts for call in attempt.calls if call.usage is not None]
        return told[0] if len(told) == 1 else sum(told, start=Usage())

    @property
    def tags(self) -> list[str]:
        """What it may be purged by, where it is kept: `tier:NAME`, `model:NAME`, and of its request `FILED`."""
        request = self.request
        named = [("tier", self.tier), ("model", self.model), *((name, getattr(request, name)) for name in FILED)]
        return [tag_of(f"{name}:{value}") for name, value in named if value]

    def trace(self) -> dict[str, Any]:
        """All of it, the outcome of every call too, as JSON can hold it: what `replay` answers from."""
        traced: dict[str, Any] = dump(self)
        traced["outcomes"] = {label: dump(outcome) for label, outcome in self.outcomes.items()}
        return traced


def total(calls: tuple[Spent, ...]) -> float | None:
    """The sum of the costs; None if any is unknown."""
    cost = 0.0
    for call in calls:
        if call.cost_usd is None:
            return None
        cost += call.cost_usd
    return cost


def tag_of(said: str) -> str:
    """A tag as caches take it, whatever a client has called itself: what is kept and what is purged go through this."""
    try:
        if len(said.encode()) <= TAG:
            return said
    except UnicodeEncodeError:
        pass
    return f"digest:{blake2b(said.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


known(Answer, Attempt, Budget, Delta, Entrance, Image, Message, Opaque, Outcome, Reply, Request, Spent, Text)
known(Thinking, Token, Tool, ToolCall, ToolResult, Try, Usage)
