"""The SDKs' clients, unchanged but for their base URL, and what the tests ask with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import anthropic
import openai
import pytest

from sdk_side import CLAUDE, GPT, Side

__all__ = [
    "ask",
    "claude",
    "claude_async",
    "connected",
    "gpt",
    "gpt_async",
    "has_responses",
    "of_claude",
    "of_gpt",
]

PLAIN: Final[dict[str, tuple[anthropic.Anthropic, openai.OpenAI]]] = {}


def _told(side: Side, suffix: str, settings: dict[str, Any]) -> dict[str, Any]:
    key = side.keys.get(settings.pop("key", "good"), "nobody's")
    return {"base_url": side.url + suffix, "api_key": key, "max_retries": 0, **settings}


@contextmanager
def connected(side: Side) -> Iterator[None]:
    """Plain clients for all that ask this side: to make one takes longer than most tests."""
    with anthropic.Anthropic(**_told(side, "", {})) as its, openai.OpenAI(**_told(side, "/v1", {})) as theirs:
        PLAIN[side.url] = its, theirs
        yield
        del PLAIN[side.url]


@contextmanager
def claude(side: Side, **settings: Any) -> Iterator[anthropic.Anthropic]:
    """Anthropic's plain client."""
    told = _told(side, "", settings)
    yield PLAIN[side.url][0].with_options(**told)


def claude_async(side: Side, **settings: Any) -> anthropic.AsyncAnthropic:
    """Its async one."""
    return anthropic.AsyncAnthropic(**_told(side, "", settings))


@contextmanager
def gpt(side: Side, **settings: Any) -> Iterator[openai.OpenAI]:
    """OpenAI's plain client."""
    yield PLAIN[side.url][1].with_options(**_told(side, "/v1", settings))


def gpt_async(side: Side, **settings: Any) -> openai.AsyncOpenAI:
    """Its async one."""
    return openai.AsyncOpenAI(**_told(side, "/v1", settings))


def of_claude(content: Any, **more: Any) -> dict[str, Any]:
    """The arguments of a message."""
    return {"model": CLAUDE, "max_tokens": 99, "messages": [{"role": "user", "content": content}], **more}


def of_gpt(content: Any, **more: Any) -> dict[str, Any]:
    """The arguments of a completion."""
    return {"model": GPT, "messages": [{"role": "user", "content": content}], **more}


def ask(side: Side, text: str) -> str:
    """A question and its answer."""
    with gpt(side) as client:
        return str(client.chat.completions.create(**of_gpt(text)).choices[0].message.content)


def has_responses(side: Side) -> None:
    """Go on only where there is the Responses API."""
    if not side.is_gateway:
        pytest.skip("the server that speaks as a provider has no Responses API")
