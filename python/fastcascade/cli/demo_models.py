"""The demo's models: simulated, each with a skill, a pace and a price. No model is asked, and nothing is sent anywhere.

What they are right about is drawn from the question itself, so that a small model is sure of what it can do and
wavers where it cannot: as real ones do, by and large. `eu` is down for a part of every two minutes.
"""

import asyncio
import os
import random
import re
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from fastcascade.cli.demo_questions import same
from fastcascade.cli.demo_shop import DISPUTED, known
from fastcascade.errors import BackendError
from fastcascade.messages import Reply, Request, Stop, Usage
from fastcascade.telemetry.events import HUB, Decision, Event, Graded, slice_of

__all__ = ["PACE", "elsewhere", "eu", "graded", "is_down", "small", "us"]

PACE: Final = "FASTCASCADE_DEMO_PACE"
"""How slow the models are: 1 by default, 0 where nobody watches."""
PERIOD: Final = 120.0
DOWN: Final = 15.0
"""Seconds of every period in which the region `eu` does not answer."""
GRADED: Final = 0.25
"""Of the answers whose truth is known, how many are graded."""
SURE: Final = 0.97
SHAKY: Final = 0.35
FIGURE: Final = re.compile(r"\d+")


class Simulated:
    """A model that is right about some of what it is asked.

    Args:
        name: what it is called.
        skill: the share of hard questions that it can do.
        seconds: how long it takes, about.
        down: says whether it is away.
    """

    gives: frozenset[str] = frozenset()

    def __init__(
        self, name: str, skill: float, seconds: float, down: Callable[[], bool] | None = None, seed: int = 7
    ) -> None:
        """Made up."""
        self.name, self.skill, self.seconds = name, skill, seconds
        self._down = down
        self._rng = random.Random(seed)

    async def complete(self, request: Request, /) -> Reply:
        """Take a while, and say something."""
        rng = self._rng
        pace = float(os.environ.get(PACE, "1"))
        if pace:
            await asyncio.sleep(pace * self.seconds * rng.lognormvariate(0.0, 0.35))
        if self._down is not None and pace and self._down():
            raise BackendError("overloaded", "the simulated region is down")
        text = self._said(request.text)
        stop: Stop = "end" if text else "refusal"
        said = text or "I must not settle who is to blame."
        usage = Usage(160 + len(request.text) // 4, max(4, len(said) // 4))
        return Reply(said, self.name, stop, usage)

    def _said(self, asked: str) -> str:
        found = known(asked)
        if found is None:
            return "" if DISPUTED.search(asked) else "You find that under 'My account'."
        kind, right = found
        place = int.from_bytes(blake2b(asked.encode(), digest_size=8).digest()) / 2**64
        sure = place >= kind.hard * (1 - self.skill)
        answer = right if self._rng.random() < (SURE if sure else SHAKY) else self._wrong(right)
        return f"By the rules of the shop for {kind.task}.\nAnswer: {answer}"

    def _wrong(self, right: str) -> str:
        if right in {"yes", "no"}:
            return "no" if right == "yes" else "yes"
        if FIGURE.search(right) is None:
            return self._rng.choice([day for day in ("Monday", "Tuesday", "Friday", "Saturday") if day != right])
        return FIGURE.sub(lambda each: str(int(each[0]) + self._rng.choice((-2, -1, 1, 2, 7))), right, count=1)

    def __repr__(self) -> str:
        """Say that it is none."""
        return f"Simulated({self.name!r})"


def is_down() -> bool:
    """Whether the region `eu` is away just now."""
    return time.time() % PERIOD > PERIOD - DOWN


small: Final = Simulated("demo-small", 0.0, 0.12)
eu: Final = Simulated("demo-large", 0.9, 0.5, is_down, 8)
us: Final = Simulated("demo-large", 0.9, 0.9, None, 9)
elsewhere: Final = Simulated("demo-large", 0.9, 1.2, None, 10)
_drawing: Final = random.Random(11)


def graded(event: Event) -> None:
    """Grade some of the answers, since the truth is known here: elsewhere a shadow, a judge or a person does."""
    if type(event) is not Decision or event.answer is None or event.answer.via or event.answer.reply is None:
        return
    answer = event.answer
    found = known(answer.request.text)
    if found is not None and answer.tier and _drawing.random() < GRADED:
        score = 1.0 if same(answer.text, found[1]) else 0.0
        name = blake2b(event.id.encode(), digest_size=8).hexdigest()
        HUB.tell(Graded(answer.tier, score, event.at, slice_of(answer), GRADED, "truth", event.cascade, name))
