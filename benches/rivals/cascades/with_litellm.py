"""litellm: `acompletion`, and its Router with fallbacks from group to group.

Instant rows use its own `mock_response`. It escalates on failure only: it has no check of an answer, so the cheap
groups of `escalated` fail. No retries and no cooldown, so that every call does the same work; its price list is the
one it ships with, not the one it would fetch when imported.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from load import died
from said import GOOD, MODELS, QUESTION

PACKAGE = "litellm"
FAILURE = "litellm.InternalServerError"  # a mock_response of this text raises it
Job = Callable[[], Awaitable[str]]


def _text(said: Any) -> str:
    return str(said.choices[0].message.content)


def _asked(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


def _completion(question: str = QUESTION, **settings: Any) -> Job:
    import litellm

    messages = _asked(question)

    async def run() -> str:
        return _text(await litellm.acompletion(messages=messages, max_tokens=100, **settings))

    return run


def _router(groups: dict[str, dict[str, Any]], question: str = QUESTION) -> Job:
    import litellm

    first, *others = groups
    models = [{"model_name": name, "litellm_params": params} for name, params in groups.items()]
    router = litellm.Router(
        model_list=models,
        fallbacks=[{first: others}] if others else [],
        num_retries=0,
        disable_cooldowns=True,
    )
    messages = _asked(question)

    async def run() -> str:
        return _text(await router.acompletion(model=first, messages=messages, max_tokens=100))

    return run


def _mock(response: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "api_key": "made-up", "mock_response": response}


def _real(url: str) -> dict[str, Any]:
    return {"model": "openai/gpt-4o-mini", "api_key": "made-up", "api_base": url, "max_retries": 0}


def completion_accepted(question: str, answer: str) -> Job:
    return _completion(question, **_mock(answer))


def router_accepted(question: str, answer: str) -> Job:
    return _router({model: _mock(answer) for model in MODELS}, question)


def router_failed_twice() -> Job:
    small, middle, large = MODELS
    return _router({small: _mock(FAILURE), middle: _mock(FAILURE), large: _mock(GOOD)})


def completion(url: str) -> Job:
    return _completion(**_real(f"{url}/v1"))


def router(url: str) -> Job:
    return _router({"small": _real(f"{url}/v1")})


def router_failover(url: str) -> Job:
    return _router({"small": _real(f"{url}/fail/v1"), "large": _real(f"{url}/v1")})


def completion_anthropic(url: str) -> Job:
    return _completion(model="anthropic/claude-haiku-4-5", api_key="made-up", api_base=url, max_retries=0)


def live(how: str, lasting: float, rate: float) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Two servers, the second a fallback; everything else as it comes. The first dies under load, and comes back."""
    import litellm

    from fastcascade.testing import FaultyProcess

    async def run() -> dict[str, Any]:
        with FaultyProcess("first") as first, FaultyProcess("second") as second:
            params = {"model": "openai/gpt-4o-mini", "api_key": "made-up"}
            models = [
                {"model_name": name, "litellm_params": {**params, "api_base": f"{place.url}/v1"}}
                for name, place in (("first", first), ("second", second))
            ]
            router = litellm.Router(model_list=models, fallbacks=[{"first": ["second"]}])

            async def ask() -> str:
                return _text(await router.acompletion(model="first", messages=_asked(QUESTION)))

            return await died(ask, first, how, lasting, rate)

    return run
