"""The requests of a drill: sent at a steady rate, and what came of each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import inf
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Final

from fastcascade.answers import Answer
from fastcascade.errors import IncompleteAnswer, NoAnswer
from fastcascade.messages import Ask, Request

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["KEPT", "Told", "asked", "label_of", "noted", "served_by", "steadily", "told"]

KNOWN: Final = 10
"""Questions that are asked again and again; as many more are new each time."""
KEPT: Final = frozenset({"cache", "joined", "semantic"})
"""Answers that nobody was asked for."""


@dataclass(slots=True)
class Told:
    """What came of one request."""

    began: float
    deadline: float = inf
    ended: float = inf
    label: str = ""  # who answered, as `served_by` has it
    kept: bool = False  # from a cache: it says nothing of who would have answered
    degraded: str = ""
    lost: str = ""  # what left the cascade instead of an answer
    incomplete: bool = False
    ticket: str = ""
    prompt: str = ""

    @property
    def took(self) -> float:
        """Seconds it took."""
        return self.ended - self.began


def served_by(answer: Answer) -> str:
    """Who gave an answer: the tier, the instance of its pool, or the link of the chain."""
    if answer.via == "static" and answer.ticket:
        return "review"
    if answer.via in ("stale", "static", *KEPT):
        return answer.via
    by = ""
    for attempt in reversed(answer.attempts):
        if attempt.tier == answer.tier and attempt.verdict not in ("failed", "empty", "cancelled"):
            made = f"{answer.tier}/answer"
            by = next((call.by for call in reversed(attempt.calls) if call.label == made), "")
            break
    return label_of(answer.tier, by)


def label_of(tier: str, by: str) -> str:
    """What an instance of a tier's pool is called; one that has the tier's own name goes by that."""
    return f"{tier}/{by}" if by and by != tier else tier


def asked(requests: Sequence[Ask] | None) -> Iterator[Request]:
    """The requests without end: those given in their order again and again, or made-up ones.

    They belong to no session and call nobody back: a drill is not to be mistaken for a conversation.
    """
    if requests:
        given = [replace(Request.of(each), session="", callback="", id="") for each in requests]
        for number in count():
            yield given[number % len(given)]
    for number in count():
        which = number // 2 % KNOWN if number % 2 else KNOWN + number
        yield Request.of(f"This is question {which} of a drill; what are your opening hours?")


async def told(cascade: "Cascade", request: Request, *, streaming: bool) -> Told:
    """Ask, and write down what comes."""
    loop = asyncio.get_running_loop()
    deadline = (request.budget or cascade.budget).deadline
    made = Told(loop.time(), inf if deadline is None else deadline, prompt=request.text)
    try:
        noted(made, await (_streamed(cascade, request) if streaming else cascade.run(request)))
    except IncompleteAnswer as error:
        noted(made, error.answer)
    except NoAnswer:
        made.lost = "NoAnswer: nobody answered, and there is no last resort"
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller has no answer
        where = extract_tb(error.__traceback__)[-1]
        made.lost = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"  # and not what it says
    made.ended = loop.time()
    return made


def noted(made: Told, answer: Answer) -> None:
    """Write down an answer."""
    if answer.reply is None and not answer.incomplete:
        made.lost = "an answer without a reply"
    made.label = served_by(answer)
    made.kept = answer.via in KEPT
    made.degraded = answer.degraded
    made.incomplete = answer.incomplete
    made.ticket = answer.ticket


async def _streamed(cascade: "Cascade", request: Request) -> Answer:
    async with cascade.stream(request) as stream:
        async for _ in stream:
            pass
    if stream.answer is None:
        raise RuntimeError("the stream ended without an answer")
    return stream.answer


async def steadily(ask: Callable[[], Awaitable[Told]], rate: float, until: float, most: int | None) -> list[Told]:
    """Ask `rate` times a second until then, or `most` times, whatever becomes of those asked before; wait for all."""
    loop = asyncio.get_running_loop()
    began, tasks = loop.time(), []
    for number in count():
        due = began + number / rate
        if due >= until or (most is not None and number >= most):
            break
        await asyncio.sleep(max(0.0, due - loop.time()))
        tasks.append(asyncio.ensure_future(ask()))
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
