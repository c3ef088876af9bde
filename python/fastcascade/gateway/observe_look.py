"""What the cascade would have done: its cheaper tiers are asked beside an answer that is there already.

Every cheaper tier and every gate is asked once, as for a recording, with the answer that the client got standing in for
the last tier's. What the cascade would have done is then a replay of that. So each line of the log is a recording too:
`Recording.load("observe.jsonl")`, and any other threshold can be tried on it with `replay`, at no cost.

Not looked at is what remembers: caches, sessions, quotas, reviews. Saved is what the tiers alone would have saved.
"""

import asyncio
import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from fastcascade.answers import Answer
from fastcascade.cascade import Cascade
from fastcascade.drive import Driver
from fastcascade.effects import Call, Effect, Outcome
from fastcascade.errors import NoAnswer
from fastcascade.fallbacks.chain import Chain
from fastcascade.messages import Budget, Reply, Request
from fastcascade.prices import Price
from fastcascade.recording import Recording, everything, replay
from fastcascade.tiers import Tier

__all__ = ["Seen", "forwarding", "look"]

FREE: Final = Price(0.0, 0.0)
LONGEST: Final = 120.0
"""Seconds that looking may take where the cascade has no deadline."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request: what was answered, what the cascade would have answered, and what it took to find out."""

    answered: Answer
    would: Answer
    recording: Recording
    tier: str
    spent: float | None

    @property
    def saved(self) -> float | None:
        """Dollars that the cascade would have saved; below zero where it would have asked in vain. None is unknown."""
        before, after = self.answered.cost_usd, self.would.cost_usd
        return None if before is None or after is None else before - after

    @property
    def same(self) -> bool | None:
        """Whether both said the same, but for space and case; None where it would have been the very same answer."""
        if self.would.tier == self.tier:
            return None
        return _plain(self.would.text) == _plain(self.answered.text)

    def line(self, *, texts: bool) -> dict[str, Any]:
        """What the log has of it."""
        would, answered = self.would, self.answered
        said: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": answered.request.id,
            "route": answered.request.route or answered.request.task,
            "answered": {
                "tier": self.tier,
                "usd": _usd(answered.cost_usd),
                "seconds": answered.latency,
                "estimated": any(call.estimated for call in answered.calls),
            },
            "would": {
                "tier": would.tier,
                "score": would.confidence,
                "usd": _usd(would.cost_usd),
                "seconds": would.latency,
                "degraded": would.degraded,
                "escalated": any(each.verdict != "accept" for each in would.attempts),
                "tries": [{"tier": each.tier, "verdict": each.verdict, "score": each.score} for each in would.attempts],
            },
            "saved_usd": _usd(self.saved),
            "same_text": self.same,
            "spent_usd": _usd(self.spent),
        }
        if texts:
            held = self.recording
            said |= {"request": held.request, "entrance": held.entrance, "outcomes": held.outcomes}
        return said


def forwarding(cascade: Cascade, tier: str) -> Cascade:
    """A cascade of this tier alone, which passes on what it is asked as it is."""
    bare = _bare(cascade.tiers[cascade.places[tier]])
    bare.sampling = {}
    return Cascade(bare, budget=cascade.budget, prices=cascade.prices, refusals="accept", last_resort=None)


async def look(cascade: Cascade, tier: str, request: Request, answered: Answer, usd: float) -> Seen:
    """Ask the cheaper tiers, for no more dollars than this, and replay what would have come of it."""
    assert answered.reply is not None  # noqa: S101 - what was not answered is not looked at
    judged = _judging(cascade, tier, None)
    driver = _Given(f"{tier}/answer", answered.reply, answered.latency)
    bounds = replace(request, budget=Budget(deadline=None, usd=usd))
    flow = everything(_judging(cascade, tier, FREE)).flow(bounds, driver.clock(), replaying=True)
    try:
        async with asyncio.timeout(cascade.budget.deadline or LONGEST):
            beside = await driver.run(flow)
    except NoAnswer as error:
        beside = error.answer
    outcomes = dict(beside.outcomes)
    if driver.outcome is not None:
        outcomes[driver.label] = replace(driver.outcome, value=answered.reply)
    recording = Recording(replace(beside.request, budget=request.budget), outcomes, beside.entrance)
    return Seen(answered, _replayed(judged, recording), recording, tier, beside.cost_usd)


def _replayed(cascade: Cascade, recording: Recording) -> Answer:
    try:
        return replay(cascade, recording)
    except NoAnswer as error:
        return error.answer


class _Given(Driver):
    """A driver that has one reply already."""

    def __init__(self, label: str, reply: Reply, seconds: float) -> None:
        super().__init__(full=True, clock=asyncio.get_running_loop().time)
        self.label, self.seconds = label, seconds
        self.reply = replace(reply, cost_usd=0.0)  # it is paid for
        self.outcome: Outcome | None = None

    async def perform(self, effect: Effect) -> Outcome:
        """Give it in place of the call it came of."""
        return await (self._call(effect) if type(effect) is Call else super().perform(effect))

    async def _call(self, call: Call) -> Outcome:
        if call.label != self.label:
            return await super()._call(call)
        now = self.clock()
        self.outcome = Outcome(self.reply, None, now - self.seconds, now)
        return self.outcome


def _judging(cascade: Cascade, tier: str, price: Price | None) -> Cascade:
    """The cascade with nothing that remembers, and its last tier without a gate: its reply is there."""
    other = cascade.adjusted()
    other.hedge, other.spares, other.slots, other.sessions, other.cache = None, None, None, None, None
    other.chain = Chain()
    last = _bare(cascade.tiers[cascade.places[tier]])
    last.price = price or last.price
    other.tiers = tuple(last if each.name == tier else each for each in cascade.tiers)
    other.rungs = other.tiers
    return other


def _bare(tier: Tier) -> Tier:
    bare = copy.copy(tier)
    bare.gate, bare.accept = None, 0.0
    return bare


def _usd(dollars: float | None) -> float | None:
    """To the billionth, as elsewhere: a sum of floats has more digits than anyone has paid."""
    return None if dollars is None else round(dollars, 9)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
