"""pydantic-ai: an Agent over a FallbackModel, and one model asked directly.

Its FallbackModel may look at the answer (`fallback_on` a function of the response), which is a cascade with a check of
one's own; that is what `escalated` does. Instant rows use its own FunctionModel.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from said import GOOD, QUESTION, WEAK

PACKAGE = "pydantic-ai-slim"
Job = Callable[[], Awaitable[str]]


def _instant(text: str) -> Any:
    from pydantic_ai.messages import ModelResponse, TextPart
    from pydantic_ai.models.function import FunctionModel

    async def answer(messages: Any, info: Any) -> Any:
        return ModelResponse(parts=[TextPart(text)])

    return FunctionModel(answer)


def _judged(*models: Any) -> Any:
    from pydantic_ai.exceptions import ModelAPIError
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models.fallback import FallbackModel

    def too_poor(response: ModelResponse) -> bool:
        return "not sure" in (response.text or "")

    return FallbackModel(*models, fallback_on=[ModelAPIError, too_poor])


def _openai(url: str) -> Any:
    import openai
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = openai.AsyncOpenAI(base_url=url, api_key="made-up", max_retries=0)
    return OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client))


def _agent(model: Any, question: str = QUESTION) -> Job:
    from pydantic_ai import Agent

    agent = Agent(model, model_settings={"max_tokens": 100})

    async def run() -> str:
        return str((await agent.run(question)).output)

    return run


def _direct(model: Any, question: str = QUESTION) -> Job:
    from pydantic_ai import ModelRequest
    from pydantic_ai.direct import model_request

    async def run() -> str:
        asked = [ModelRequest.user_text_prompt(question)]
        return (await model_request(model, asked, model_settings={"max_tokens": 100})).text or ""

    return run


def accepted(question: str, answer: str) -> Job:
    return _agent(_judged(_instant(answer), _instant(answer), _instant(answer)), question)


def direct_accepted(question: str, answer: str) -> Job:
    return _direct(_judged(_instant(answer), _instant(answer), _instant(answer)), question)


def escalated() -> Job:
    return _agent(_judged(_instant(WEAK), _instant(WEAK), _instant(GOOD)))


def direct_escalated() -> Job:
    return _direct(_judged(_instant(WEAK), _instant(WEAK), _instant(GOOD)))


def agent(url: str) -> Job:
    return _agent(_openai(f"{url}/v1"))


def direct(url: str) -> Job:
    return _direct(_openai(f"{url}/v1"))


def agent_failover(url: str) -> Job:
    return _agent(_judged(_openai(f"{url}/fail/v1"), _openai(f"{url}/v1")))


def direct_failover(url: str) -> Job:
    return _direct(_judged(_openai(f"{url}/fail/v1"), _openai(f"{url}/v1")))


def direct_escalated_over_http(url: str) -> Job:
    return _direct(_judged(_openai(f"{url}/weak/v1"), _openai(f"{url}/v1")))
