"""The items of a Responses body as the turns of a conversation."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal

from fastcascade.messages import Block, Opaque, Text, Thinking, ToolCall, ToolResult
from fastcascade.wire import openai_fields as field
from fastcascade.wire.openai_fields import BY

__all__ = ["SEAL", "Items"]

SEAL: Final = "fastcascade:"
"""What reasoning begins with that was encrypted by no one: it carries what its own provider signed or encrypted."""
CALL: Final = frozenset({"type", "id", "call_id", "name", "arguments", "status", "parsed_arguments"})
RESULT: Final = frozenset({"type", "id", "call_id", "output", "status"})
MESSAGE: Final = frozenset({"type", "id", "role", "content", "status"})
CACHE: Final = "prompt_cache_breakpoint"
"""What chat completions, by which tiers are asked, have in their parts under the same name."""
TEXT: Final = frozenset({"type", "text", "annotations", "logprobs", "parsed", CACHE})
"""Of an answer too, which comes back with what was said of it."""
IMAGE: Final = frozenset({"type", "image_url", "detail", CACHE})
FILE: Final = frozenset({"type", "file_id", "file_data", "filename", CACHE})


class Items:
    """Reads items into turns, system texts and what neither can hold."""

    __slots__ = ("_answering", "_left_out", "_system", "turns")

    def __init__(self, system: list[Text], left_out: list[str]) -> None:
        """Begin with nothing; system texts, and the names of what is left out, are added to these."""
        self.turns: list[tuple[Literal["user", "assistant"], list[Block]]] = []
        self._answering = False  # the last turn is results of tools so far: what a user says next belongs to it
        self._system = system
        self._left_out = left_out

    def read(self, given: Any) -> None:
        """Read a text or a list of items."""
        if isinstance(given, str):
            self.turns.append(("user", [Text(given)] if given else []))
            return
        if not isinstance(given, list | tuple):
            field.wrong("input", "a text or a list of items", given)
        for index, item in enumerate(given):
            self._item(field.mapping(item, f"input[{index}]"), f"input[{index}]")

    def _item(self, item: Mapping[str, Any], where: str) -> None:
        kind = item.get("type")
        if kind == "message" or (kind is None and "role" in item):
            self._message(item, where)
        elif kind == "function_call":
            self._leave(item, CALL)
            call = field.named(item.get("call_id"), f"{where}.call_id")
            name = field.named(item.get("name"), f"{where}.name")
            self._assistant().append(ToolCall(call, name, field.text(item.get("arguments"), f"{where}.arguments")))
        elif kind == "function_call_output":
            call = field.named(item.get("call_id"), f"{where}.call_id")
            self._leave(item, RESULT)
            content = self._content(item.get("output"), f"{where}.output")
            if not self._answering:
                self.turns.append(("user", []))
            self.turns[-1][1].append(ToolResult(call, tuple(content)))
            self._answering = True
        elif kind == "reasoning":
            self._reasoning(item, where)
        elif kind == "item_reference" or (kind is None and "id" in item):
            field.refuse(where, f"{where} points at an item that is not stored here: send the item itself")
        else:
            said = str(kind)[:40]
            field.refuse(
                f"{where}.type", f"{where}: an item of type {said} cannot be carried to any tier: leave it out"
            )

    def _message(self, item: Mapping[str, Any], where: str) -> None:
        role = item.get("role")
        self._leave(item, MESSAGE)
        content = self._content(item.get("content"), f"{where}.content")
        if role == "assistant":
            self._assistant().extend(content)
        elif role == "user":
            if not self._answering:
                self.turns.append(("user", []))
            self.turns[-1][1].extend(content)
            self._answering = False
        elif role in ("system", "developer"):
            texts = [block for block in content if type(block) is Text]
            if len(texts) < len(content):
                field.refuse(f"{where}.content", f"{where}.content of a system message may hold texts alone")
            self._system.extend(texts)
            if self.turns:
                self._left_out.append(f"{where}: moved before the conversation")
        else:
            field.refuse(f"{where}.role", f"{where}.role must be user, assistant, system or developer")

    def _reasoning(self, item: Mapping[str, Any], where: str) -> None:
        texts: list[str] = []
        for name in ("content", "summary"):
            for index, part in enumerate(field.listed(item.get(name) or (), f"{where}.{name}")):
                at = f"{where}.{name}[{index}]"
                texts.append(field.text(field.mapping(part, at).get("text"), f"{at}.text"))
            if texts:
                break
        thought = "\n\n".join(texts)
        proof = field.optional(item.get("encrypted_content"), f"{where}.encrypted_content")
        turn = self._assistant()
        if proof.startswith(SEAL) and proof.count(":") >= 4:
            _, by, at, kind, proof = proof.split(":", 4)
            block = Thinking(thought, proof, by=by) if kind == "signed" else Thinking(thought, redacted=proof, by=by)
            turn.insert(int(at) if at.isdecimal() and len(at) < 5 else len(turn), block)
            return
        if proof:
            self._left_out.append("input.encrypted_content")
        if thought:
            turn.append(Thinking(thought, by=BY))

    def _assistant(self) -> list[Block]:
        """The turn of the assistant that is under way."""
        self._answering = False
        if not self.turns or self.turns[-1][0] != "assistant":
            self.turns.append(("assistant", []))
        return self.turns[-1][1]

    def _content(self, given: Any, where: str) -> list[Any]:
        if isinstance(given, str):
            return [Text(given)] if given else []
        if not isinstance(given, list | tuple):
            field.wrong(where, "a text or a list of parts", given)
        return [self._part(field.mapping(part, f"{where}[{at}]"), f"{where}[{at}]") for at, part in enumerate(given)]

    def _part(self, part: Mapping[str, Any], where: str) -> Block:
        kind = part.get("type")
        if kind in ("input_text", "output_text", "text"):
            self._leave(part, TEXT)
            said = field.text(part.get("text"), f"{where}.text")
            return Text(said) if CACHE not in part else Text(said, {BY: {CACHE: part[CACHE]}})
        if kind == "refusal":
            return Text(field.text(part.get("refusal"), f"{where}.refusal"))
        if kind == "input_image":
            if part.get("image_url") is None:
                field.refuse(
                    where, f"{where} names a file that is not stored here: send its image_url, which may be data"
                )
            self._leave(part, IMAGE)
            detail = part.get("detail")
            more: dict[str, Any] = {"image_url": {"detail": detail}} if detail not in (None, "auto") else {}
            more |= {CACHE: part[CACHE]} if CACHE in part else {}
            return field.image(field.named(part.get("image_url"), f"{where}.image_url"), more)
        if kind == "input_file":
            if part.get("file_url") is not None:
                field.refuse(f"{where}.file_url", f"{where}.file_url is fetched by no tier: send the file as file_data")
            self._leave(part, FILE)
            file = {name: part[name] for name in ("file_id", "file_data", "filename") if part.get(name) is not None}
            return Opaque(BY, {"type": "file", "file": file, **({CACHE: part[CACHE]} if CACHE in part else {})})
        if kind == "input_audio":
            return Opaque(BY, {"type": "input_audio", "input_audio": part.get("input_audio")})
        return field.refuse(f"{where}.type", f"{where}: a part of type {str(kind)[:40]} cannot be carried to any tier")

    def _leave(self, given: Mapping[str, Any], known: AbstractSet[str]) -> None:
        """Take note of what is not known of an item or a part."""
        if not given.keys() <= known:
            self._left_out += [
                f"input.{name}" for name, value in given.items() if name not in known and value is not None
            ]
