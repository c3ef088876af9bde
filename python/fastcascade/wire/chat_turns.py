"""The messages of a chat completion's body as the turns of a conversation."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from fastcascade.blocks import nothing
from fastcascade.messages import Block, Message, Opaque, Text, Thinking, ToolCall, ToolResult
from fastcascade.wire import openai_fields as field
from fastcascade.wire.openai_fields import BY

__all__ = ["Turns"]

ROLES: Final = "system, developer, user, assistant, tool or function"
ASSISTANT: Final = frozenset({
    *("role", "content", "refusal", "audio", "tool_calls", "function_call", "reasoning_content", "reasoning"),
    *("annotations", "parsed", "index"),  # what the SDK's own types of a reply have besides, and dump with it
})  # fmt: skip
OTHERS: Final = frozenset({"role", "content", "tool_call_id"})
THOUGHT: Final = ("reasoning_content", "reasoning")


class Turns:
    """Reads messages: `messages` and `system` of a request, and what was said that neither can hold."""

    __slots__ = ("_answering", "_called", "_left", "_turns", "messages", "system")

    def __init__(self, given: Any) -> None:
        """Read them all."""
        self._turns: list[tuple[str, list[Block]]] = []
        self._answering = False  # the last turn is results of tools so far: what a user says next belongs to it
        self._called: dict[str, str] = {}  # the last call to each function, by its id
        self._left: dict[str, None] = {}
        system: list[Text] = []
        for index, message in enumerate(field.listed(given, "messages")):
            # Most turns are a role and a text: they take a quarter of the time that way (1.3 against 5 us).
            if type(message) is dict and len(message) == 2 and not self._answering:
                role, content = message.get("role"), message.get("content")
                if role in ("user", "assistant") and type(content) is str and content:
                    self._turns.append((role, [Text(content)]))
                    continue
            where = f"messages[{index}]"
            self._read(field.mapping(message, where), where, system)
        self.system = tuple(system)
        self.messages = tuple(
            Message(role, tuple(content))  # type: ignore[arg-type] # one of two, as written below
            for role, content in self._turns
        )

    def _read(self, message: Mapping[str, Any], where: str, system: list[Text]) -> None:  # noqa: C901 # a case each
        role = message.get("role")
        known: AbstractSet[str] = OTHERS
        if role == "user":
            said = _content(message.get("content"), f"{where}.content")
            if self._answering:
                self._turns[-1][1].extend(said)
                self._answering = False
            else:
                self._turns.append(("user", said))
        elif role == "assistant":
            known = ASSISTANT
            said = list(_assistant(message, where, len(self._turns)))
            self._called.update((block.name, block.id) for block in said if type(block) is ToolCall)
            self._turns.append(("assistant", said))
            self._answering = False
        elif role == "tool":
            known = message.keys()  # those that are not known go with the result
            self._result(field.named(message.get("tool_call_id"), f"{where}.tool_call_id"), message, where)
        elif role in ("system", "developer"):
            system += _texts(message.get("content"), f"{where}.content")
            if self._turns:
                self._leave(f"{where}: moved before the conversation")
        elif role == "function":
            known = message.keys()
            self._result(self._last_call(message, where), message, where)
        else:
            field.refuse(f"{where}.role", f"{where}.role must be {ROLES}")
        if not message.keys() <= known:
            for name in message:
                if name not in known and message[name] is not None:
                    self._leave(f"messages.{name}")

    def _result(self, call: str, message: Mapping[str, Any], where: str) -> None:
        content = () if message.get("content") is None else _content(message["content"], f"{where}.content")
        extra = {name: value for name, value in message.items() if name not in OTHERS}
        if message.get("role") == "function":
            extra.pop("name", None)
        result = ToolResult(call, tuple(content), extra={BY: extra} if extra else nothing())
        if self._answering:
            self._turns[-1][1].append(result)
        else:
            self._turns.append(("user", [result]))
            self._answering = True

    def _last_call(self, message: Mapping[str, Any], where: str) -> str:
        name = field.named(message.get("name"), f"{where}.name")
        return self._called.get(name) or field.refuse(
            f"{where}.name", f"{where}.name: no message before it calls this function"
        )

    @property
    def not_carried(self) -> list[str]:
        """What was said that has no place, once each."""
        return list(self._left)

    def _leave(self, what: str) -> None:
        self._left[what] = None


def _content(given: Any, where: str) -> list[Block]:
    """A text or parts. An empty text is nothing: other providers refuse one."""
    if isinstance(given, str):
        return [Text(given)] if given else []
    if not isinstance(given, list | tuple):
        field.wrong(where, "a text or a list of parts", given)
    return [_part(part, f"{where}[{index}]") for index, part in enumerate(given)]


def _part(given: Any, where: str) -> Block:
    part = field.mapping(given, where)
    kind = field.named(part.get("type"), f"{where}.type")
    if kind == "text":
        said = field.text(part.get("text"), f"{where}.text")
        if len(part) == 2:  # its kind and its text
            return Text(said)
        return Text(said, {BY: {name: value for name, value in part.items() if name not in ("type", "text")}})
    if kind == "refusal":
        return Text(field.text(part.get("refusal"), f"{where}.refusal"))
    if kind == "image_url":
        more: dict[str, Any] = {name: value for name, value in part.items() if name not in ("type", "image_url")}
        picture = field.mapping(part.get("image_url"), f"{where}.image_url")
        if inner := {name: value for name, value in picture.items() if name != "url"}:
            more["image_url"] = inner
        return field.image(field.named(picture.get("url"), f"{where}.image_url.url"), more)
    if kind == "audio":  # an answer's own, which the backend reads
        field.mapping(part.get("audio"), f"{where}.audio")
    return Opaque(BY, part)


def _texts(given: Any, where: str) -> list[Text]:
    texts = [block for block in _content(given, where) if type(block) is Text]
    if not isinstance(given, str) and len(texts) < len(given):
        field.refuse(where, f"{where} of a system message may hold texts alone")
    return texts


def _assistant(message: Mapping[str, Any], where: str, turn: int) -> Iterator[Block]:
    """What was thought, spoken, refused and called."""
    for name in THOUGHT:
        if thought := field.optional(message.get(name), f"{where}.{name}"):
            yield Thinking(thought, by=BY)
            break
    if (content := message.get("content")) is not None:
        yield from _content(content, f"{where}.content")
    if refusal := field.optional(message.get("refusal"), f"{where}.refusal"):
        yield Text(refusal)
    if (audio := message.get("audio")) is not None:
        yield Opaque(BY, {"type": "audio", "audio": field.mapping(audio, f"{where}.audio")})
    for index, call in enumerate(field.listed(message.get("tool_calls") or (), f"{where}.tool_calls")):
        yield _call(field.mapping(call, f"{where}.tool_calls[{index}]"), f"{where}.tool_calls[{index}]")
    if (called := message.get("function_call")) is not None:  # what came before tool calls, and has no id
        function = field.mapping(called, f"{where}.function_call")
        name = field.named(function.get("name"), f"{where}.function_call.name")
        arguments = field.text(function.get("arguments"), f"{where}.function_call.arguments")
        yield ToolCall(f"function_call_{turn}", name, arguments)


def _call(call: Mapping[str, Any], where: str) -> Block:
    if call.get("type") == "custom":
        return Opaque(BY, call)
    function = field.mapping(call.get("function"), f"{where}.function")
    more: dict[str, Any] = {
        name: value for name, value in call.items() if name not in ("id", "type", "function", "index")
    }
    known = ("name", "arguments", "parsed_arguments")  # the last is the SDK's, which reads them
    if inner := {name: value for name, value in function.items() if name not in known}:
        more["function"] = inner
    return ToolCall(
        field.named(call.get("id"), f"{where}.id"),
        field.named(function.get("name"), f"{where}.function.name"),
        field.text(function.get("arguments"), f"{where}.function.arguments"),
        {BY: more} if more else nothing(),
    )
