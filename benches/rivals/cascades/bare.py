"""The limits: a cascade written by hand for one case, and the providers' SDKs with nothing over them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import cycle
from time import monotonic

from load import Dead, Down, Storm, stormed
from said import GOOD, QUESTION, STANDINGS, WEAK, answering

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


def succeeding() -> Job:
    return answering()


def _retried(answer: Job) -> Job:
    async def run() -> str:
        for nth in range(3):
            try:
                return await answer()
            except Down:
                await asyncio.sleep(2**nth)
        return await answer()

    return run


def succeeding_in_a_loop() -> Job:
    return _retried(answering())


def succeeding_with_all() -> Job:
    """What a retry, a breaker and a budget are at the least: three numbers, for one thread."""
    answer = answering()
    failures, closed_until, tokens = 0, 0.0, 10.0

    async def run() -> str:
        nonlocal failures, closed_until, tokens
        if tokens < 10.0:
            tokens += 0.08
        for nth in range(4):
            if failures >= 5 and monotonic() < closed_until:
                raise Down
            try:
                said = await answer()
            except Down:
                failures += 1
                closed_until = monotonic() + 30.0
                if nth == 3 or tokens < 1.0:
                    raise
                tokens -= 1.0
                await asyncio.sleep(2**nth)
            else:
                failures = 0
                return said
        raise Down

    return run


def failed_over() -> Job:
    async def fail() -> str:
        raise Down

    answer = answering()

    async def run() -> str:
        try:
            return await fail()
        except Down:
            return await answer()

    return run


def outage(requests: int, rate: float) -> Storm:
    dead = Dead()
    return stormed(_retried(dead.call), dead, requests, rate)
