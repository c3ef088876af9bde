"""What of a request a provider is not told, since only another has a word for it: read after it is known who answers.

What has a word of its own at both is carried, and not named here: a schema, an effort, one tool call at a time. The
prefix says where it stood: `tools.` of a tool, `content.` of a block.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from fastcascade.answers import Answer
from fastcascade.blocks import Block, Extra, Text, Thinking, ToolResult
from fastcascade.cascade import Cascade
from fastcascade.messages import Request
from fastcascade.wire.format import Asked, Format

__all__ = ["left_out", "spoken_by", "unsaid"]

PROVIDERS: Final = ("anthropic", "openai")
NEUTRAL: Final[Mapping[str, Any]] = {
    "frequency_penalty": 0,
    "logit_bias": {},
    "modalities": ["text"],
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "service_tier": "auto",
    "store": False,
}
"""What changes nothing when it is left out."""
THOUGHT: Final = frozenset({"type", "budget_tokens"})
INSIDE: Final = ("function", "image_url")
"""Fields that hold fields: it is these that are named."""


def unsaid(request: Request, by: str) -> list[str]:
    """Names of what "anthropic" or "openai" is not told; none for whoever else reads the request as it is."""
    return list(dict.fromkeys(_names(request, by))) if by in PROVIDERS else []


def left_out(asked: Asked, cascade: Cascade, tier: str, style: Format, answer: Answer | None = None) -> list[str]:
    """All that was not carried, of a request that this tier answers, and of its answer, where there is one already."""
    found = list(asked.not_carried)
    place = cascade.places.get(tier)
    if place is not None:
        found += unsaid(asked.request, spoken_by(cascade.tiers[place].backend))
    if answer is not None:
        said: Callable[[Answer], Sequence[str]] = getattr(style, "unsaid", _all_said)
        found += said(answer)
    return found


def spoken_by(backend: Any) -> str:
    """In whose words a backend asks: it says so by an attribute `speaks`; of a pool, that of its instances."""
    places = getattr(backend, "instances", ())
    return str(getattr(places[0].backend if places else backend, "speaks", ""))


def _all_said(_answer: Answer) -> Sequence[str]:
    """A format of one's own need not say what it leaves out."""
    return ()


def _names(request: Request, by: str) -> Iterator[str]:
    if by == "openai" and "anthropic" in request.options:
        yield from _of_anthropic(request.options["anthropic"], request)
    elif by == "anthropic" and "openai" in request.options:
        yield from _of_openai(request.options["openai"], request)
    for tool in request.tools:
        if tool.extra:
            yield from (f"tools.{name}" for name in _elsewhere(tool.extra, by))
    for text in request.system:
        yield from _in_block(text, by)
    for message in request.messages:
        for block in message.content:
            if type(block) is not Text or block.extra:  # most are texts, and texts alone
                yield from _in_block(block, by)


def _of_anthropic(own: Mapping[str, Any], request: Request) -> Iterator[str]:
    for name, value in own.items():
        if name == "thinking":
            yield from (f"thinking.{each}" for each in value if each not in THOUGHT)
        elif name == "output_config":  # an effort is the tokens to think, where it thinks
            yield from (f"output_config.{each}" for each in value if each != "effort" or not request.thinking)
        elif name == "extra_headers":
            yield from value
        elif name == "tool_choice":
            told = "parallel_tool_calls" in request.options.get("openai", ())
            if value.get("name") in ("auto", "any", "none") or not (told or not request.tools):
                yield name
        else:
            yield name


def _of_openai(own: Mapping[str, Any], request: Request) -> Iterator[str]:
    for name, value in own.items():
        if NEUTRAL.get(name, own) == value or (name == "reasoning_effort" and request.thinking is not None):
            continue
        if name == "parallel_tool_calls":
            if (
                not request.tools
                or request.tool_choice == "none"
                or "tool_choice" in request.options.get("anthropic", ())
            ):
                continue
        elif name == "response_format":
            if request.schema is not None:
                continue
        elif name in ("tools", "tool_choice"):
            kinds = [each.get("type") for each in (value if isinstance(value, list) else [value])]
            if "custom" not in kinds:
                continue  # functions, and which of them are allowed, are the request's own
        yield name


def _in_block(block: Block, by: str) -> Iterator[str]:
    if type(block) is Thinking:
        if block.by and block.by != by:
            yield "content.thinking"
        return
    extra: Extra | None = getattr(block, "extra", None)
    if extra:
        yield from (f"content.{name}" for name in _elsewhere(extra, by))
    if type(block) is ToolResult:
        for part in block.content:
            yield from _in_block(part, by)


def _elsewhere(extra: Extra, by: str) -> Iterator[str]:
    """Names of what is said for the other provider alone."""
    for other in PROVIDERS:
        if other == by:
            continue
        for name, value in extra.get(other, {}).items():
            if name in INSIDE and isinstance(value, Mapping):
                yield from value
            elif name != "type":
                yield name
