"""A cascade whose calls are counted, and cases for it: for the tests of recording, and for the process they kill."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from fastcascade import Cascade, Tier
from fastcascade.cascade import Cascade as Kind
from fastcascade.errors import BackendError
from fastcascade.evals.cases import Case
from fastcascade.evals.graders import Grade
from fastcascade.gates.consistency import Consistency
from fastcascade.gates.judge import Judge
from fastcascade.messages import Reply, Request, Usage
from fastcascade.prices import Price

PRICE = Price(10.0, 10.0)
USAGE = Usage(100, 100)


class Counted:
    """A model that says what it is told to say, and notes each call before it answers."""

    gives = frozenset({"logprobs"})
    price = PRICE

    def __init__(self, name: str, say: Callable[[str], str], note: Callable[[str], object], pause: float = 0.0) -> None:
        self.name, self.say, self.note, self.pause = name, say, note, pause
        self.down = False
        self.most = self.now = 0

    async def complete(self, request: Request, /) -> Reply | None:
        self.note(f"{self.name} {request.text.split('?')[0]}")
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.pause)
        finally:
            self.now -= 1
        if self.down:
            raise BackendError("bad_request", "down, as told")
        return Reply(self.say(request.text), model=self.name, usage=USAGE)


def noting(path: str | Path) -> Callable[[str], object]:
    """Note lines in a file, each at once and whole."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return lambda line: os.write(file, f"{line}\n".encode())


def ladder(note: Callable[[str], object], *, pause: float = 0.0, k: int = 3) -> Kind:
    """Two tiers: the small one is right where the question is short, and is asked k times."""
    small = Counted("small", lambda text: str(len(text) % 7), note, pause)
    large = Counted("large", lambda _: "3", note, pause)
    return Cascade(Tier(small, gate=Consistency(k), price=PRICE), Tier(large, price=PRICE))


def judged(note: Callable[[str], object], judge: Counted) -> Kind:
    """Two tiers, the lower with a judge."""
    small, large = Counted("small", lambda _: "3", note), Counted("large", lambda _: "3", note)
    return Cascade(Tier(small, gate=Judge(judge), price=PRICE), Tier(large, price=PRICE))


def cases(count: int, *, expected: str = "3") -> list[Case]:
    """Some cases, all with the same answer."""
    return [Case(f"c{n}", f"q{n}?{'x' * n}", expected, slice="odd" if n % 2 else "even") for n in range(count)]


class Same:
    """A grader: right is what is the same."""

    async def grade(self, case: Case, reply: Reply | str, /) -> Grade:
        return Grade(float(reply == case.expected), "compared")
