"""Which format a path belongs to, and what is asked for there."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Final, Literal, TypeAlias

from fastcascade.wire.format import Format

__all__ = ["ALLOWED", "Place", "Words", "format_of", "place_of", "words_for"]

Words: TypeAlias = Literal["anthropic", "chat", "responses"]
"""In whose words something is said."""

FORMATS: Final[Mapping[Words, tuple[str, str]]] = {
    "anthropic": ("fastcascade.wire.anthropic", "MESSAGES"),
    "chat": ("fastcascade.wire.chat", "CHAT"),
    "responses": ("fastcascade.wire.responses", "RESPONSES"),
}
"""Where each format lies; it is loaded when it is first asked for."""

ALLOWED: Final[Mapping[str, str]] = {
    "/messages": "POST",
    "/messages/count_tokens": "POST",
    "/chat/completions": "POST",
    "/responses": "POST",
    "/responses/input_tokens": "POST",
    "/models": "GET",
}
ASKED: Final[Mapping[str, Words]] = {"/messages": "anthropic", "/chat/completions": "chat", "/responses": "responses"}


@dataclass(frozen=True, slots=True)
class Place:
    """What lies at a path: an answer, a count of tokens, models, one; or nothing there, or not by that method."""

    kind: Literal["answer", "count", "models", "model", "nothing", "method"]
    words: Words
    name: str = ""  # of a model; or the method that is allowed


ANSWERS: Final = {f"{root}{path}": Place("answer", words) for path, words in ASKED.items() for root in ("/v1", "")}


def place_of(method: str, path: str, headers: Mapping[str, str]) -> Place:
    """What is asked for: with or without `/v1`, with or without a slash at the end."""
    known = ANSWERS.get(path)
    if known is not None and method == "POST":
        return known
    bare = path.partition("?")[0].rstrip("/")
    if bare.startswith("/v1/"):
        bare = bare[3:]
    words = ASKED.get(bare)
    if words is not None and method == "POST":
        return Place("answer", words)
    allowed = ALLOWED.get(bare) or ("GET" if bare.startswith("/models/") else "")
    words = words or words_for(bare, headers)
    if not allowed:
        return Place("nothing", words)
    if method != allowed and not (method == "HEAD" and allowed == "GET"):
        return Place("method", words, allowed)
    if allowed == "POST":
        return Place("count", words)
    return Place("model", words, bare[8:]) if len(bare) > 7 else Place("models", words)


def words_for(path: str, headers: Mapping[str, str]) -> Words:
    """In whose words an error about this path is to be told."""
    if "/messages" in path or "anthropic-version" in headers:
        return "anthropic"
    return "responses" if "/responses" in path else "chat"


@cache
def format_of(words: Words) -> Format:
    """The format of that name."""
    module, name = FORMATS[words]
    found: Format = getattr(import_module(module), name)
    return found
