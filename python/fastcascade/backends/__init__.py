"""Whoever answers: one async method. A backend, and the SDK it needs, is loaded when it is named."""

from typing import TYPE_CHECKING

from fastcascade.backends.backend import Backend, Instant, Priced, Streaming
from fastcascade.later import loader

if TYPE_CHECKING:
    from fastcascade.backends.anthropic import Anthropic
    from fastcascade.backends.direct import Direct
    from fastcascade.backends.function import Function
    from fastcascade.backends.litellm import LiteLLM
    from fastcascade.backends.openai import OpenAI
    from fastcascade.backends.recorded import Recorded, Recorder
    from fastcascade.backends.rules import Rules

__all__ = [
    "Anthropic",
    "Backend",
    "Direct",
    "Function",
    "Instant",
    "LiteLLM",
    "OpenAI",
    "Priced",
    "Recorded",
    "Recorder",
    "Rules",
    "Streaming",
]

__getattr__ = loader(
    __name__,
    {
        "anthropic": "Anthropic",
        "direct": "Direct",
        "function": "Function",
        "litellm": "LiteLLM",
        "openai": "OpenAI",
        "recorded": "Recorded Recorder",
        "rules": "Rules",
    },
)
