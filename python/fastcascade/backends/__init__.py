"""Whoever answers: one async method. An SDK is loaded when a backend that needs it is named."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastcascade.backends.backend import Backend, Instant, Priced, Streaming
from fastcascade.backends.function import Function
from fastcascade.backends.recorded import Recorded, Recorder
from fastcascade.backends.rules import Rules

if TYPE_CHECKING:
    from fastcascade.backends.anthropic import Anthropic
    from fastcascade.backends.direct import Direct
    from fastcascade.backends.litellm import LiteLLM
    from fastcascade.backends.openai import OpenAI

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

_LATER = {"Anthropic": "anthropic", "Direct": "direct", "LiteLLM": "litellm", "OpenAI": "openai"}


def __getattr__(name: str) -> Any:
    """Load the modules of the SDK backends when they are first named."""
    if name not in _LATER:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
