"""What flows through the cascade: frozen values, the same whichever provider speaks.

Request -> Reply (a backend's word, not yet judged) -> Answer (judged, and what it took; see answers.py)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from fastcascade.blocks import (
    Block,
    Content,
    Extra,
    Image,
    Message,
    Opaque,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    blocks,
    joined,
    nothing,
)
from fastcascade.errors import RequestError
from fastcascade.quick import quick

__all__ = [
    "MOST_TOKENS",
    "Block",
    "Budget",
    "Content",
    "Delta",
    "Image",
    "Message",
    "Opaque",
    "Reply",
    "Request",
    "Stop",
    "Text",
    "Thinking",
    "Token",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Usage",
]

Stop: TypeAlias = Literal["end", "length", "stop_sequence", "tool", "refusal", "pause", "other"]
"""Why a reply ended: of itself, out of tokens, at a stop text, to have tools run, refused, to be continued."""
MOST_TOKENS: Final = 2**40
"""No call reads or writes as many: what says so is wrong, and would spoil every sum it is added to."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that one request may take in all: its retries, samples, judges and escalations together.

    `deadline` in seconds, `usd` in money, `attempts` in calls made. None is no bound.
    """

    deadline: float | None = 120.0
    usd: float | None = None
    attempts: int | None = None

    def __post_init__(self) -> None:
        """Refuse bounds under which nothing could run."""
        for name in ("deadline", "usd", "attempts"):
            bound = getattr(self, name)
            if bound is not None and not bound > 0:
                msg = f"budget {name} must be above zero, not {bound!r}; None is no bound"
                raise RequestError(msg)


@quick
@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, of whichever model: the conversation, how to sample, and what is known about the caller.

    Set `None` means the provider's own default. `options` holds parameters that one provider alone knows, under
    its name: `{"anthropic": {"service_tier": "auto"}}`.
    """

    messages: tuple[Message, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"  # auto, any, none, or a tool's name
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    thinking: int | None = None  # tokens it may think
    schema: Mapping[str, Any] | None = None  # a JSON schema the text must fit
    logprobs: int | None = None  # how many alternatives per token; 0 is the chosen one alone
    options: Extra = field(default_factory=nothing, hash=False)
    # What routes and policies see.
    route: str = ""
    task: str = ""
    customer: str = ""
    feature: str = ""
    user: str = ""
    session: str = ""
    regenerate: bool = False
    min_tier: str = ""
    max_tier: str = ""
    budget: Budget | None = None
    priority: int = 0  # in a queue, and when some must be turned away: the higher the sooner served
    idempotency: str = ""  # a key under which the same request is carried out once, where asking has side effects
    callback: str = ""  # a URL to tell when a person has answered, where no model could
    id: str = ""

    def __post_init__(self) -> None:
        """Bring texts and lists into form."""
        messages: Any = self.messages
        if type(messages) is not tuple:
            object.__setattr__(self, "messages", _messages(messages))
        if type(self.system) is not tuple:
            system: Any = self.system
            object.__setattr__(self, "system", blocks(system) if system else ())
        if type(self.tools) is not tuple:
            object.__setattr__(self, "tools", tuple(self.tools))
        if type(self.stop) is not tuple:
            stop: Any = self.stop
            object.__setattr__(self, "stop", (stop,) if isinstance(stop, str) else tuple(stop))
        if not self.messages:
            raise RequestError("a request needs at least one message")
        if type(self.priority) is not int:
            msg = f"a request's priority is a whole number, not {self.priority!r}"
            raise RequestError(msg)

    @classmethod
    def of(cls, asked: "Ask", **fields: Any) -> "Request":
        """Make one from a text, a message, or a list of messages; a request is taken as it is."""
        if isinstance(asked, Request):
            return replace(asked, **fields) if fields else asked
        try:
            return cls(asked, **fields)  # type: ignore[arg-type] # brought into form when made
        except TypeError as error:
            msg = f"cannot make a request of this: {error}"
            raise RequestError(msg) from None

    @property
    def text(self) -> str:
        """The text of the last user's turn: what routes and rules look at."""
        for message in reversed(self.messages):
            if message.role == "user" and (text := message.text):
                return text
        return ""

    @property
    def characters(self) -> int:
        """How long the conversation is: every text in it, and the system's; no pictures."""
        size = sum(len(block.text) for block in self.system)
        for message in self.messages:
            for block in message.content:
                size += _size(block)
        return size

    @property
    def size(self) -> int:
        """How much text is sent, the tools included: what a reply is estimated to cost by."""
        tools = (len(tool.name) + len(tool.description) + len(str(tool.schema)) for tool in self.tools)
        return self.characters + sum(tools)


Ask: TypeAlias = str | Message | Sequence[Message | str] | Request


@quick
@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input` counts all that was read, from the prompt cache or not; `output` all that was written.

    `cache_read` and `cache_write` are parts of `input`; `reasoning` is part of `output`.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Add field by field."""
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.reasoning + other.reasoning,
        )


@quick
@dataclass(frozen=True, slots=True)
class Token:
    """One token as the model weighed it: natural logarithms; `top` holds the alternatives, likeliest first."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    tool: bool = False  # part of a tool's arguments


@quick
@dataclass(frozen=True, slots=True)
class Reply:
    """What a backend said, not yet judged.

    `logprobs` is None where the provider gave none. `cost_usd` is set only by backends that are told what they
    cost; else the price sheet is asked. `usage` is None where it was not reported.
    """

    content: tuple[Block, ...]
    model: str = ""
    stop: Stop = "end"
    usage: Usage | None = None
    logprobs: tuple[Token, ...] | None = None
    id: str = ""
    cost_usd: float | None = None
    raw_stop: str = ""  # the provider's own word
    extra: Extra = field(default_factory=nothing, hash=False)

    if TYPE_CHECKING:

        def __init__(  # noqa: D107, PLR0913, PLR0917
            self,
            content: Content,
            model: str = "",
            stop: Stop = "end",
            usage: Usage | None = None,
            logprobs: tuple[Token, ...] | None = None,
            id: str = "",  # noqa: A002
            cost_usd: float | None = None,
            raw_stop: str = "",
            extra: Extra = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Take a plain text for content too."""
        content: Any = self.content
        if type(content) is not tuple:
            object.__setattr__(self, "content", blocks(content))

    @property
    def text(self) -> str:
        """Its text blocks, joined."""
        return joined(self.content)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools it wants run."""
        return tuple(block for block in self.content if type(block) is ToolCall)

    @property
    def empty(self) -> bool:
        """Whether there is neither text nor a tool call in it."""
        for block in self.content:
            kind = type(block)
            if kind is Text:
                if block.text.strip():  # type: ignore[union-attr] # as its kind says
                    return False
            elif kind is not Thinking:
                return False
        return True


@quick
@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a reply as it streams. `index` is the block it belongs to, counted from 0 within the reply.

    The first piece of a tool call has its `id` and `name`, and the later ones add to its arguments in `text`. What
    texts cannot say of a block (a signature, citations, a block of the provider's own) comes as its last piece: of
    kind "block", with the whole of it in `block`.
    """

    kind: Literal["text", "thinking", "tool", "block"]
    text: str = ""
    index: int = 0
    id: str = ""
    name: str = ""
    tokens: tuple[Token, ...] = ()
    block: Block | None = None


def _messages(given: Any) -> tuple[Message, ...]:
    if isinstance(given, str):
        return (Message("user", (Text(given),)),)
    if isinstance(given, Message):
        return (given,)
    return tuple(Message("user", (Text(each),)) if isinstance(each, str) else _message(each) for each in given)


def _message(given: Any) -> Message:
    if isinstance(given, Message):
        return given
    if isinstance(given, Mapping) and set(given) == {"role", "content"} and isinstance(given["content"], str):
        return Message(given["role"], given["content"])
    msg = f"a message must be a Message, a text or {{'role': ..., 'content': text}}, not {type(given).__name__}"
    raise RequestError(msg)


def _size(block: Block) -> int:
    match block:
        case Text(text) | Thinking(text):
            return len(text)
        case ToolCall():
            return len(block.name) + len(block.arguments)
        case ToolResult():
            return sum(len(part.text) for part in block.content if type(part) is Text)
        case _:
            return 0
