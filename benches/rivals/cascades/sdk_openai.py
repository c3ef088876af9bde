"""The openai SDK with nothing over it."""

from collections.abc import Awaitable, Callable
from typing import Any

from load import died
from said import QUESTION

PACKAGE = "openai"


def call(url: str, path: str = "/v1") -> Callable[[], Awaitable[str]]:
    import openai

    client = openai.AsyncOpenAI(base_url=url + path, api_key="made-up", max_retries=0)

    async def run() -> str:
        said = await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": QUESTION}], max_tokens=100
        )
        return said.choices[0].message.content or ""

    return run


def failover(url: str) -> Callable[[], Awaitable[str]]:
    import openai

    first, then = call(url, "/fail/v1"), call(url)

    async def run() -> str:
        try:
            return await first()
        except openai.InternalServerError:
            return await then()

    return run


def escalated(url: str) -> Callable[[], Awaitable[str]]:
    first, then = call(url, "/weak/v1"), call(url)

    async def run() -> str:
        answer = await first()
        return await then() if "not sure" in answer else answer

    return run


def live(how: str, lasting: float, rate: float) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Two servers, and an `except`; the first dies under load, and comes back."""
    import openai

    from fastcascade.testing import FaultyProcess

    async def run() -> dict[str, Any]:
        with FaultyProcess("first") as first, FaultyProcess("second") as second:
            at_first, at_second = call(first.url), call(second.url)

            async def ask() -> str:
                try:
                    return await at_first()
                except openai.APIError:
                    return await at_second()

            return await died(ask, first, how, lasting, rate)

    return run
