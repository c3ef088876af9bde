"""langchain: a chat model with `with_fallbacks`.

It falls back on exceptions. For an answer that is too poor its documentation puts a step behind the cheap model that
raises; that is what `escalated` does. Instant rows use a chat model of our own, as its guide to custom ones shows.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from said import GOOD, QUESTION, WEAK

PACKAGE = "langchain-core"
Job = Callable[[], Awaitable[str]]


def _instant(text: str) -> Any:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Instant(BaseChatModel):
        """Answers at once."""

        @property
        def _llm_type(self) -> str:
            return "instant"

        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    return Instant()


def _openai(url: str) -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="gpt-4o-mini", base_url=url, api_key="made-up", max_retries=0, max_completion_tokens=100)


def _checked(model: Any) -> Any:
    from langchain_core.runnables import RunnableLambda

    async def check(message: Any) -> Any:
        if "not sure" in message.content:
            raise ValueError(message.content)
        return message

    return model | RunnableLambda(check)


def _run(model: Any, question: str = QUESTION) -> Job:
    async def run() -> str:
        return str((await model.ainvoke(question)).content)

    return run


def accepted(question: str, answer: str) -> Job:
    others = [_checked(_instant(answer)), _instant(answer)]
    return _run(_checked(_instant(answer)).with_fallbacks(others), question)


def escalated() -> Job:
    return _run(_checked(_instant(WEAK)).with_fallbacks([_checked(_instant(WEAK)), _instant(GOOD)]))


def call(url: str) -> Job:
    return _run(_openai(f"{url}/v1"))


def failover(url: str) -> Job:
    return _run(_openai(f"{url}/fail/v1").with_fallbacks([_openai(f"{url}/v1")]))


def escalated_over_http(url: str) -> Job:
    return _run(_checked(_openai(f"{url}/weak/v1")).with_fallbacks([_openai(f"{url}/v1")]))
