"""Quality in production: some answers are graded, and the log says how likely each was to be drawn.

    shadow = Shadow(rate=0.02, rates={"refunds": 0.2}, escalated=0.1, path="shadow.jsonl")
    label = await shadowed(cascade, answer, shadow, grade)        # beside the request, never before its answer
    shadow.log.estimate()            # Estimate(quality=0.961, low=0.948, high=0.972, n=1_204, seen=59_870, ...)
    shadow.log.gain()                # what escalating gained, and how often it was not needed
    suggest(shadow.log.pairs(), promise=0.95)

Quality is unbiased because each label counts 1/propensity times, and the propensity was fixed before anybody knew what
the label says. Accepted answers and escalated ones are two populations: an estimate of one knows nothing of the other.
Thumbs, regenerations and reviews come from whom they come from: they are labels to learn from (`cases`), and are never
part of an estimate.
"""

import random
from collections.abc import Callable, Collection, Mapping
from math import isfinite
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from fastcascade.answers import Answer, Attempt
from fastcascade.errors import ConfigError
from fastcascade.evals.shadow_asking import Grade, shadowed
from fastcascade.evals.shadow_gain import Gain
from fastcascade.evals.shadow_labels import Estimate, Label, Population, Sampled, Source
from fastcascade.evals.shadow_log import ShadowLog
from fastcascade.evals.shadow_seen import accepted_try, asked_of, digest, escalated_try, reply_of
from fastcascade.evals.shadow_seen import slice_of as seen_slice

__all__ = ["Estimate", "Gain", "Grade", "Label", "Sampled", "Shadow", "ShadowLog", "Source", "shadowed"]


class Shadow:
    """Draws answers to be graded, at random, and remembers with what probability.

    Args:
        rate: how likely an accepted answer is drawn.
        rates: by slice, or worked out from the answer; what it does not name is drawn at `rate`. At 0 a slice is
            never drawn, and no estimate speaks for it.
        floor: where `rates` is a function, the lowest it comes to, but for 0: lower ones are raised to it.
        escalated: how likely an answer that escalated is drawn, by slice where it is a mapping (what that does not
            name is never drawn). Both replies are there already: grading costs no call. A slice whose accepted
            answers are never drawn by `rates` is not drawn here either: one side alone tells nothing of a threshold.
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
        escalated: float | Mapping[str, float] = 0.0,
        tiers: Collection[str] = (),
        slice_of: Callable[[Answer], str] | None = None,
        texts: bool = True,
        path: str | Path | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Check the rates."""
        named = dict(rates) if isinstance(rates, Mapping) else {}
        sent_up = dict(escalated) if isinstance(escalated, Mapping) else {"escalated": escalated}
        for name, each in (("rate", rate), *named.items(), *sent_up.items()):
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
        self.escalated = escalated
        lowest = min((each for each in sent_up.values() if each > 0), default=1.0)
        self.log = ShadowLog(path, floor=self.floor, escalated_floor=lowest)
        self._rates = rates if callable(rates) else named
        self._slice_of = slice_of or seen_slice
        self._draw = draw
        self._lock = Lock()

    def draw(self, answer: Answer) -> Sampled | None:
        """Whether this answer is to be graded. One that no gate accepted, or that was kept, is not counted at all."""
        tried = accepted_try(answer)
        if tried is None or (self.tiers and answer.tier not in self.tiers):
            return None
        propensity = self.propensity(answer)
        if not self._drawn(answer, propensity, "accepted"):
            return None
        both = self._up(self._slice_of(answer)) > 0
        return self._taken(answer, propensity, {"cost": tried.cost_usd, "both": both})

    def draw_escalated(self, answer: Answer) -> Sampled | None:
        """Whether the reply that was sent up, and the answer beside it, are to be graded. The first of several.

        Of one that no other tier answered there is nothing to compare: it is counted, as never drawn.
        """
        tried = escalated_try(answer, self.tiers)
        kind = self._slice_of(answer)
        if tried is None or not self.escalated:
            return None
        cheap, dear = reply_of(answer, tried), self._answering(answer)
        whole = cheap is not None and dear is not None and dear.tier != tried.tier
        propensity = (
            self._up(kind) if whole and (callable(self._rates) or self._rates.get(kind, self.rate) > 0) else 0.0
        )
        if not self._drawn(answer, propensity, "escalated") or cheap is None or dear is None:
            return None
        more = {
            "population": "escalated",
            "both": True,
            "tier": tried.tier,
            "confidence": tried.score,
            "answer": cheap.text if self.texts else "",
            "cost": tried.cost_usd,
            "dear_tier": dear.tier,
            "dear_cost": dear.cost_usd,
            "expected": answer.text if self.texts else None,
        }
        return self._taken(answer, propensity, more)

    def _up(self, kind: str) -> float:
        return self.escalated.get(kind, 0.0) if isinstance(self.escalated, Mapping) else self.escalated

    def _answering(self, answer: Answer) -> Attempt | None:
        """The try that the answer is from, if it is whole."""
        if answer.reply is None or answer.incomplete:
            return None
        return next((each for each in reversed(answer.attempts) if each.tier == answer.tier), None)

    def _drawn(self, answer: Answer, propensity: float, population: Population) -> bool:
        with self._lock:  # a random source of one's own need not be safe to share
            drawn = self._draw() < propensity
        if not drawn:
            self.log.saw(self._slice_of(answer), covered=propensity > 0, population=population)
        return drawn

    def _taken(self, answer: Answer, propensity: float, more: Mapping[str, Any]) -> Sampled:
        fields = {**self.described(answer), "id": uuid4().hex, "propensity": propensity, **more}
        sampled = Sampled(**fields)
        self.log.take(sampled)
        return sampled

    def described(self, answer: Answer) -> dict[str, Any]:
        """What a log has of an answer, by the names of `Sampled`."""
        return {
            "slice": self._slice_of(answer),
            "tier": answer.tier,
            "confidence": answer.confidence,
            "asked": asked_of(answer.request) if self.texts else None,
            "answer": answer.text if self.texts else "",
            "request": digest(answer.request),
        }

    def propensity(self, answer: Answer) -> float:
        """How likely this answer is drawn."""
        if callable(self._rates):
            rate = float(self._rates(answer))
            if not isfinite(rate):
                raise ConfigError(f"a shadow's rate goes from 0 to 1, and its function came to {rate!r}")
            return 0.0 if rate <= 0 else min(max(rate, self.floor), 1.0)
        return self._rates.get(self._slice_of(answer), self.rate)

    def label(
        self,
        sampled: Sampled,
        score: float,
        source: Source,
        expected: str | None = None,
        *,
        dear: float | None = None,
        dear_tier: str = "",
        dear_cost: float | None = None,
    ) -> Label:
        """What came of an answer that was drawn. Its propensity goes with it, and so it is part of the estimate.

        Args:
            sampled: what was drawn.
            score: how good it is, 0 to 1.
            source: who says so.
            expected: what would have been right, or what the dear tier said.
            dear: how good the dear tier's reply is, where that was graded too.
            dear_tier: who gave it, where that was not known when it was drawn.
            dear_cost: dollars for it, likewise.
        """
        more: dict[str, Any] = {"dear": dear}
        if expected is not None:
            more["expected"] = expected if self.texts else None
        if dear_tier:
            more |= {"dear_tier": dear_tier, "dear_cost": dear_cost}
        made = Label.of(sampled, score, source, **more)
        self.log.add(made)
        return made

    def heard(self, answer: Answer, score: float, source: Source, expected: str | None = None) -> Label:
        """A label that came by itself: a thumb, a regeneration (0), a review. To learn from, not to estimate by."""
        held = self.described(answer)
        held |= {"id": held["request"] or uuid4().hex, "expected": expected if self.texts else None}
        made = Label(score=score, source=source, **held)
        self.log.add(made)
        return made
