"""The limits: a cascade written by hand for one case, and the providers' SDKs with nothing over them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import cycle

from said import GOOD, QUESTION, STANDINGS, WEAK

PACKAGE = None
ACCEPT = 0.8
Job = Callable[[], Awaitable[str]]


def _says(text: str) -> Callable[[str], Awaitable[str]]:
    async def tier(question: str) -> str:
        return text

    return tier


_right, _poor = _says(GOOD), _says(WEAK)


def _cascade(*tiers: Callable[[str], Awaitable[str]], question: str = QUESTION) -> Job:
    async def run() -> str:
        answer = ""
        for tier in tiers:
            answer = await tier(question)
            if "not sure" not in answer:
                break
        return answer

    return run


def accepted(question: str, answer: str) -> Job:
    return _cascade(*[_says(answer)] * 3, question=question)


def escalated() -> Job:
    return _cascade(_poor, _poor, _right)


def escalated_once() -> Job:
    return _cascade(_poor, _right)


def failed_twice() -> Job:
    async def fail(question: str) -> str:
        raise ConnectionError

    async def run() -> str:
        for tier in (fail, fail, _right):
            try:
                return await tier(QUESTION)
            except ConnectionError:
                continue
        raise ConnectionError

    return run


def consistent() -> Job:
    async def run() -> str:
        said = [await _right(QUESTION)]
        said += await asyncio.gather(*(_right(QUESTION) for _ in range(2)))
        answer, votes = Counter(said).most_common(1)[0]
        return answer if votes > 1 else await _right(QUESTION)

    return run


def decide() -> Callable[[], int | None]:
    following = cycle(STANDINGS).__next__

    def run() -> int | None:
        score, _length = following()
        return None if score >= ACCEPT else 1

    return run
