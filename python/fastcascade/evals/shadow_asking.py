"""Beside a request: whether its answer is drawn, what the dear tier says to the same, and how good that makes it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from inspect import isawaitable
from typing import TYPE_CHECKING, TypeAlias

from fastcascade.answers import Answer
from fastcascade.drive import Driver
from fastcascade.errors import AnswerError, ConfigError
from fastcascade.evals.shadow_labels import Label
from fastcascade.evals.shadow_seen import escalated_try, reply_of
from fastcascade.fallbacks.chain import Chain
from fastcascade.messages import Budget, Request
from fastcascade.notices import log

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.evals.shadow import Shadow

__all__ = ["Grade", "shadowed"]

Scores: TypeAlias = float | tuple[float, float]
Grade: TypeAlias = Callable[[Answer, Answer | None], Scores | Awaitable[Scores]]
"""Says how good the first answer is, from 0 to 1, beside the dear tier's; None where no dear tier was asked.

Two scores are one for each of them. With one alone the dear tier's answer is what the other is compared with: right.
"""


async def shadowed(
    cascade: "Cascade",
    answer: Answer,
    shadow: "Shadow",
    grade: Grade,
    *,
    dear: str | None = "",
    budget: Budget | None = None,
) -> Label | None:
    """Draw, ask the dear tier, grade; None where it was not drawn, or nothing could be found out.

    An answer that escalated has the dear tier's reply already: where `Shadow(escalated=...)` draws it, nobody is asked,
    and its label is of the population of what escalated. Of an answer in between, of both, the label of the accepted
    one is returned.

    Run it beside the request (`asyncio.create_task`), after its answer went out. No session, quota, cache, hedge or
    fallback of the cascade is touched; its breakers and retries are. What goes wrong is logged and goes no further:
    the drawn answer then has no label, and `Estimate.drawn` is more than its n.

    Args:
        cascade: the one that answered.
        answer: what it said.
        shadow: draws, and holds the log.
        grade: scores the answer beside the dear tier's, from 0 to 1, or both of them; may be a coroutine function.
        dear: the tier that is asked, the last by default; None asks no tier: `grade` is a judge.
        budget: of asking it; the cascade's by default.
    """
    dear = cascade.tiers[-1].name if dear == "" else dear
    if dear is not None and dear not in cascade.places:
        raise ConfigError(f"there is no tier {dear!r}; there are: {', '.join(cascade.places)}")
    up = await _guarded(_sent_up(answer, shadow, grade))
    if answer.tier == dear:
        return up
    return await _guarded(_accepted(cascade, answer, shadow, grade, dear, budget)) or up


async def _guarded(work: Awaitable[Label | None]) -> Label | None:
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - whatever a grader does, it is no matter of the service's
        log.warning("a shadow answer could not be graded: %s", type(error).__name__)
        return None


async def _accepted(
    cascade: "Cascade", answer: Answer, shadow: "Shadow", grade: Grade, dear: str | None, budget: Budget | None
) -> Label | None:
    sampled = shadow.draw(answer)
    if sampled is None:
        return None
    told = None if dear is None else await _asked_of(cascade, answer.request, dear, budget)
    if dear is not None and (told is None or told.tier != dear or told.reply is None or told.incomplete):
        log.warning("a shadow answer could not be had from %s", dear)
        return None
    score, other = await _graded(grade, answer, told)
    if told is None:
        return shadow.label(sampled, score, "judge")
    return shadow.label(sampled, score, "dear", told.text, dear=other, dear_tier=told.tier, dear_cost=told.cost_usd)


async def _sent_up(answer: Answer, shadow: "Shadow", grade: Grade) -> Label | None:
    """What was sent up, beside what came of it."""
    sampled = shadow.draw_escalated(answer)
    tried = escalated_try(answer, shadow.tiers)
    if sampled is None or tried is None:
        return None
    cheap = replace(answer, reply=reply_of(answer, tried), tier=tried.tier, confidence=tried.score, degraded="")
    score, other = await _graded(grade, cheap, answer)
    return shadow.label(sampled, score, "dear", dear=other)


async def _graded(grade: Grade, answer: Answer, told: Answer | None) -> tuple[float, float | None]:
    found = grade(answer, told)
    score = await found if isawaitable(found) else found
    return (float(score[0]), float(score[1])) if isinstance(score, tuple) else (float(score), None)


async def _asked_of(cascade: "Cascade", request: Request, dear: str, budget: Budget | None) -> Answer | None:
    """The same request, to one tier. As in a replay, what the cascade remembers is neither used nor changed."""
    other = cascade.adjusted()
    other.hedge, other.sessions, other.chain, other.slots, other.cache = None, None, Chain(), None, None
    asked = replace(request, min_tier=dear, max_tier=dear, session="", idempotency="", callback="", budget=budget)
    driver = Driver(clock=asyncio.get_running_loop().time)
    try:
        return await driver.run(other.flow(asked, driver.clock(), replaying=True))
    except AnswerError:
        return None
