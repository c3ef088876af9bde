"""cascadeflow: a draft by the cheap model, its own check of the draft, and the dear model where that fails.

Set up as its README says: a `CascadeAgent` over two models, everything else by default. It knows two tiers. Its
provider for the instant rows is a subclass of its `BaseProvider`; its telemetry is fed as always.

Where litellm is installed beside it, it asks litellm for prices, at every call; its own `pip install` does not bring
litellm. So it is kept from finding it here, which is the faster way, but for one row that says so.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from said import GOOD, QUESTION, WEAK

PACKAGE = "cascadeflow"
Job = Callable[[], Awaitable[str]]


def _alone() -> None:
    sys.modules["litellm"] = None  # type: ignore[assignment] # what `import` takes for: not installed


def _agent(draft: str, confidence: float, verified: str) -> Any:
    from cascadeflow import CascadeAgent, ModelConfig
    from cascadeflow.providers import PROVIDER_REGISTRY
    from cascadeflow.providers.base import BaseProvider, ModelResponse

    class Provider(BaseProvider):
        """Answers at once."""

        def __init__(self, api_key: str | None = None, **settings: Any) -> None:
            super().__init__(api_key=api_key, **settings)
            self.replies = {"gpt-4o-mini": (draft, confidence), "gpt-4o": (verified, 0.95)}

        async def _complete_impl(self, prompt: str, model: str, *args: Any, **kwargs: Any) -> ModelResponse:
            text, sure = self.replies[model]
            return ModelResponse(
                content=text, model=model, provider="instant", cost=0.0001, tokens_used=22, confidence=sure
            )

        async def _stream_impl(self, *args: Any, **kwargs: Any) -> AsyncIterator[str]:
            yield draft

        def estimate_cost(self, tokens: int, model: str) -> float:
            return tokens * 1e-6

    PROVIDER_REGISTRY["custom"] = Provider
    small = ModelConfig(name="gpt-4o-mini", provider="custom", cost=0.000375, api_key="made-up")
    large = ModelConfig(name="gpt-4o", provider="custom", cost=0.00625, api_key="made-up")
    return CascadeAgent(models=[small, large])


def _job(agent: Any, accepted: bool, question: str = QUESTION) -> Job:
    async def run() -> str:
        result = await agent.run(question)
        assert result.draft_accepted is accepted
        return str(result.content)

    return run


def accepted(question: str, answer: str) -> Job:
    _alone()
    return _job(_agent(answer, 0.95, answer), accepted=True, question=question)


def accepted_beside_litellm(question: str, answer: str) -> Job:
    return _job(_agent(answer, 0.95, answer), accepted=True, question=question)


def escalated_once() -> Job:
    _alone()
    return _job(_agent(WEAK, 0.3, GOOD), accepted=False)


def _over_http(url: str, path: str) -> Any:
    _alone()
    from cascadeflow import CascadeAgent, ModelConfig

    small = ModelConfig(name="gpt-4o-mini", provider="openai", cost=0.000375, api_key="made-up")
    large = ModelConfig(name="gpt-4o", provider="openai", cost=0.00625, api_key="made-up")
    agent = CascadeAgent(models=[small, large])
    # Its OpenAI provider takes no address, though ModelConfig has a field for one.
    agent.model_providers["gpt-4o-mini"].base_url = f"{url}{path}/v1"
    agent.model_providers["gpt-4o"].base_url = f"{url}/v1"
    return agent


def call(url: str) -> Job:
    return _job(_over_http(url, ""), accepted=True)


def escalated_over_http(url: str) -> Job:
    return _job(_over_http(url, "/weak"), accepted=False)
