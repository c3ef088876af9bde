"""Quality in production: of the accepted answers some are graded, and the log says how likely each was to be drawn.

    shadow = Shadow(rate=0.02, rates={"refunds": 0.2}, path="shadow.jsonl")
    label = await shadowed(cascade, answer, shadow, grade)        # beside the request, never before its answer
    shadow.log.estimate()            # Estimate(quality=0.961, low=0.948, high=0.972, n=1_204, seen=59_870, ...)

Quality is unbiased because each label counts 1/propensity times, and the propensity was fixed before anybody knew what
the label says. Thumbs, regenerations and reviews come from whom they come from: they are labels to learn from (`cases`,
`pairs`), and are never part of an estimate.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from inspect import isawaitable
from math import isfinite
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from fastcascade.answers import Answer
from fastcascade.drive import Driver
from fastcascade.errors import AnswerError, ConfigError
from fastcascade.evals.shadow_labels import Estimate, Label, Sampled, Source
from fastcascade.evals.shadow_log import ShadowLog
from fastcascade.fallbacks.chain import Chain
from fastcascade.messages import Block, Budget, Request, Text
from fastcascade.notices import log
from fastcascade.records import dump

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["Estimate", "Grade", "Label", "Sampled", "Shadow", "ShadowLog", "Source", "shadowed"]

Grade: TypeAlias = Callable[[Answer, Answer | None], float | Awaitable[float]]
"""Says how good the first answer is, from 0 to 1, beside the dear tier's; None where no dear tier was asked."""


class Shadow:
    """Draws accepted answers to be graded, at random, and remembers with what probability.

    Args:
        rate: how likely an accepted answer is drawn.
        rates: by slice, or worked out from the answer; what it does not name is drawn at `rate`. At 0 a slice is
            never drawn, and no estimate speaks for it.
        floor: where `rates` is a function, the lowest it comes to, but for 0: lower ones are raised to it.
        tiers: the names of tiers whose answers are drawn; any by default.
        slice_of: the kind of case that an answer is; by default its request's route, or task.
        texts: whether the log holds what was asked and said. Without, its labels make no cases.
        path: a file of JSON lines that the log goes on in; a process reads back what it holds.
        draw: gives numbers from 0 up to 1; for tests.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        rate: float = 0.02,
        rates: Mapping[str, float] | Callable[[Answer], float] | None = None,
        *,
        floor: float | None = None,
        tiers: Collection[str] = (),
        slice_of: Callable[[Answer], str] | None = None,
        texts: bool = True,
        path: str | Path | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Check the rates."""
        named = dict(rates) if isinstance(rates, Mapping) else {}
        for name, each in (("rate", rate), *named.items()):
            if not 0 <= each <= 1:
                raise ConfigError(f"a shadow's rate goes from 0 to 1, and that of {name!r} is {each!r}")
        known = [each for each in (rate, *named.values()) if each > 0]
        if callable(rates) and floor is None:
            raise ConfigError("a shadow whose rates are a function needs floor=, the lowest it comes to, but for 0")
        if floor is not None and not 0 < floor <= min(known, default=1.0):
            raise ConfigError(f"a shadow's floor is above 0, and at most its lowest rate, not {floor!r}")
        if floor is None and not known:
            raise ConfigError("a shadow needs a rate above 0: at 0 nothing is ever drawn")
        self.rate = rate
        self.floor: float = min(known) if floor is None else floor
        self.tiers = frozenset(tiers)
        self.texts = texts
        self.log = ShadowLog(path, floor=self.floor)
        self._rates = rates if callable(rates) else named
        self._slice_of = slice_of or _slice
        self._draw = draw
        self._lock = Lock()

    def draw(self, answer: Answer) -> Sampled | None:
        """Whether this answer is to be graded. One that no gate accepted, or that was kept, is not counted at all."""
        if not _accepted(answer) or (self.tiers and answer.tier not in self.tiers):
            return None
        kind = self._slice_of(answer)
        propensity = self.propensity(answer)
        with self._lock:  # a random source of one's own need not be safe to share
            drawn = self._draw() < propensity
        if not drawn:
            self.log.saw(kind, covered=propensity > 0)
            return None
        sampled = Sampled(
            id=uuid4().hex,
            slice=kind,
            propensity=propensity,
            tier=answer.tier,
            confidence=answer.confidence,
            asked=_asked(answer.request) if self.texts else None,
            answer=answer.text if self.texts else "",
        )
        self.log.take(sampled)
        return sampled

    def propensity(self, answer: Answer) -> float:
        """How likely this answer is drawn."""
        if callable(self._rates):
            rate = float(self._rates(answer))
            if not isfinite(rate):
                raise ConfigError(f"a shadow's rate goes from 0 to 1, and its function came to {rate!r}")
            return 0.0 if rate <= 0 else min(max(rate, self.floor), 1.0)
        return self._rates.get(self._slice_of(answer), self.rate)

    def label(self, sampled: Sampled, score: float, source: Source, expected: str | None = None) -> Label:
        """What came of an answer that was drawn. Its propensity goes with it, and so it is part of the estimate."""
        made = Label(
            id=sampled.id,
            score=score,
            source=source,
            propensity=sampled.propensity,
            slice=sampled.slice,
            tier=sampled.tier,
            confidence=sampled.confidence,
            asked=sampled.asked,
            answer=sampled.answer,
            expected=expected if self.texts else None,
        )
        self.log.add(made)
        return made

    def heard(self, answer: Answer, score: float, source: Source, expected: str | None = None) -> Label:
        """A label that came by itself: a thumb, a regeneration (0), a review. To learn from, not to estimate by."""
        made = Label(
            id=answer.request.id or uuid4().hex,
            score=score,
            source=source,
            propensity=None,
            slice=self._slice_of(answer),
            tier=answer.tier,
            confidence=answer.confidence,
            asked=_asked(answer.request) if self.texts else None,
            answer=answer.text if self.texts else "",
            expected=expected if self.texts else None,
        )
        self.log.add(made)
        return made


async def shadowed(
    cascade: "Cascade",
    answer: Answer,
    shadow: Shadow,
    grade: Grade,
    *,
    dear: str | None = "",
    budget: Budget | None = None,
) -> Label | None:
    """Draw, ask the dear tier, grade; None where it was not drawn, or nothing could be found out.

    Run it beside the request (`asyncio.create_task`), after its answer went out. No session, quota, cache, hedge or
    fallback of the cascade is touched; its breakers and retries are. What goes wrong is logged and goes no further:
    the drawn answer then has no label, and `Estimate.drawn` is more than its n.

    Args:
        cascade: the one that answered.
        answer: what it said.
        shadow: draws, and holds the log.
        grade: scores the answer beside the dear tier's; may be a coroutine function.
        dear: the tier that is asked, the last by default; None asks no tier: `grade` is a judge.
        budget: of asking it; the cascade's by default.
    """
    dear = cascade.tiers[-1].name if dear == "" else dear
    if dear is not None and dear not in cascade.places:
        raise ConfigError(f"there is no tier {dear!r}; there are: {', '.join(cascade.places)}")
    if answer.tier == dear:
        return None
    try:
        sampled = shadow.draw(answer)
        if sampled is None:
            return None
        told = None if dear is None else await _asked_of(cascade, answer.request, dear, budget)
        if dear is not None and (told is None or told.tier != dear or told.reply is None or told.incomplete):
            log.warning("a shadow answer could not be had from %s", dear)
            return None
        found = grade(answer, told)
        score = float(await found if isawaitable(found) else found)
        return shadow.label(sampled, score, "judge" if told is None else "dear", told.text if told else None)
    except Exception as error:  # noqa: BLE001 - whatever a grader does, it is no matter of the service's
        log.warning("a shadow answer could not be graded: %s", type(error).__name__)
        return None


async def _asked_of(cascade: "Cascade", request: Request, dear: str, budget: Budget | None) -> Answer | None:
    """The same request, to one tier. As in a replay, what the cascade remembers is neither used nor changed."""
    other = cascade.adjusted()
    other.hedge, other.sessions, other.chain, other.slots = None, None, Chain(), None
    asked = replace(request, min_tier=dear, max_tier=dear, session="", idempotency="", callback="", budget=budget)
    driver = Driver(clock=asyncio.get_running_loop().time)
    try:
        return await driver.run(other.flow(asked, driver.clock(), replaying=True))
    except AnswerError:
        return None


def _accepted(answer: Answer) -> bool:
    """Whether a gate accepted it in this very run."""
    if answer.reply is None or answer.degraded or answer.via:
        return False
    return any(each.tier == answer.tier and each.verdict == "accept" for each in answer.attempts)


def _slice(answer: Answer) -> str:
    return answer.request.route or answer.request.task


def _asked(request: Request) -> dict[str, Any]:
    """What was asked, as a case has it, without who asked; the whole request is there where texts do not say it."""
    plain = all(type(block) is Text for message in request.messages for block in message.content)
    said = [{"role": each.role, "content": _words(each.content)} for each in request.messages]
    made: dict[str, Any] = {"input": said[0]["content"] if len(said) == 1 and said[0]["role"] == "user" else said}
    if request.system:
        made["system"] = "\n\n".join(text.text for text in request.system)
    if request.tools or request.schema is not None or not plain:
        made["request"] = dump(replace(request, id="", customer="", user="", session="", callback="", idempotency=""))
    return made


def _words(content: tuple[Block, ...]) -> str:
    return "".join(block.text for block in content if type(block) is Text)
