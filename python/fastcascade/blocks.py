"""What a message is made of.

What only one provider knows travels in a block's `extra`, under that provider's name, or whole as `Opaque`: it
goes back to that provider unchanged and is never shown to another.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from fastcascade.errors import RequestError
from fastcascade.quick import quick

__all__ = [
    "Block",
    "Content",
    "Extra",
    "Image",
    "Message",
    "Opaque",
    "Text",
    "Thinking",
    "Tool",
    "ToolCall",
    "ToolResult",
    "blocks",
    "joined",
    "nothing",
]


class _Nothing(Mapping[str, Any]):
    """Empty, and stays so; unlike a mapping proxy it can be pickled."""

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"

    def __reduce__(self) -> str:
        return "NOTHING"


NOTHING: Final[Mapping[str, Any]] = _Nothing()
Extra: TypeAlias = Mapping[str, Any]


def nothing() -> Extra:
    """One empty mapping for all: Python 3.11 takes no such default."""
    return NOTHING


@quick
@dataclass(frozen=True, slots=True)
class Text:
    """Plain text."""

    text: str
    extra: Extra = field(default_factory=nothing, hash=False)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: base64 `data` with its `media_type`, or a `url`."""

    data: str = ""
    media_type: str = ""
    url: str = ""
    extra: Extra = field(default_factory=nothing, hash=False)


@quick
@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model thought before it spoke; `signature` proves it to the provider that wrote it.

    `redacted` is thought that the provider returns encrypted; `by` names the provider.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    by: str = ""


@quick
@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants run. `arguments` is the JSON text as the model wrote it, which may be malformed."""

    id: str
    name: str
    arguments: str = "{}"
    extra: Extra = field(default_factory=nothing, hash=False)

    @property
    def input(self) -> Any:
        """The arguments, read; raises `ValueError` where they are not JSON."""
        return json.loads(self.arguments or "{}")


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back for the call with this id."""

    id: str
    content: "tuple[Text | Image | Opaque, ...]" = ()
    is_error: bool = False
    extra: Extra = field(default_factory=nothing, hash=False)

    if TYPE_CHECKING:

        def __init__(self, id: str, content: "Content" = (), is_error: bool = False, extra: Extra = ...) -> None:  # noqa: A002, FBT001, FBT002, D107
            ...

    def __post_init__(self) -> None:
        """Take a plain text for content too."""
        content: Any = self.content
        if type(content) is not tuple:
            object.__setattr__(self, "content", blocks(content))


@dataclass(frozen=True, slots=True)
class Opaque:
    """A block that only the provider `by` understands, as it wrote it."""

    by: str
    data: Mapping[str, Any]


Block: TypeAlias = Text | Image | Thinking | ToolCall | ToolResult | Opaque
Content: TypeAlias = str | Iterable[Block]


@quick
@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. A text will do for content."""

    role: Literal["user", "assistant"]
    content: tuple[Block, ...]

    if TYPE_CHECKING:

        def __init__(self, role: Literal["user", "assistant"], content: Content) -> None: ...  # noqa: D107

    def __post_init__(self) -> None:
        """Bring content into form."""
        content: Any = self.content
        if type(content) is not tuple:
            object.__setattr__(self, "content", blocks(content))
        if self.role not in ("user", "assistant"):
            msg = f"a message's role is 'user' or 'assistant', not {self.role!r}; system texts go in Request.system"
            raise RequestError(msg)

    @property
    def text(self) -> str:
        """Its text blocks, joined."""
        return joined(self.content)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool a model may call; `schema` is the JSON schema of its arguments."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    extra: Extra = field(default_factory=nothing, hash=False)


def blocks(content: Content) -> tuple[Block, ...]:
    """Bring content into form: a text is one block."""
    return (Text(content),) if isinstance(content, str) else tuple(content)


def joined(content: tuple[Block, ...]) -> str:
    """The text blocks, joined."""
    if len(content) == 1:
        block = content[0]
        return block.text if type(block) is Text else ""
    return "".join(block.text for block in content if type(block) is Text)
