"""An answer as the events of a Responses stream: pure translation, to bytes.

    response.created, response.in_progress
    for each item: output_item.added, then for its parts
        a text        content_part.added, output_text.delta, output_text.done, content_part.done
        thinking      reasoning_summary_part.added, reasoning_summary_text.delta and .done, reasoning_summary_part.done
        a call        function_call_arguments.delta and .done
    and output_item.done
    response.completed, or response.incomplete
    or, where it broke: response.failed, and an error that the SDK raises whichever way it is asked

Items are done when the next begins. But thinking is proved by what only the end of a reply tells, a call may have more
to come as long as its arguments are no JSON, and items are to be done in their order: from there on, all are done at
the end.
A text that goes on after its message was done goes on in another. Thinking that is proof alone, without a text, is
known at the end too: it comes as the last items, each of which says where it belongs (see `sealed`).
"""

import json
from dataclasses import dataclass, field

from fastcascade.answers import Answer
from fastcascade.messages import Block, Delta, Reply, Text, Thinking, Token, ToolCall
from fastcascade.wire.chat_out import weighed
from fastcascade.wire.chat_stream import PING, compact, quoted
from fastcascade.wire.format import Asked, Json
from fastcascade.wire.responses_out import (
    NOTHING,
    call_item,
    incomplete,
    message_item,
    reasoning_item,
    response,
    text_part,
    usage_of,
    with_bytes,
)

__all__ = ["ResponsesEncoder"]


@dataclass(slots=True)
class _Part:
    """A text of a message: what has come of it."""

    block: int
    texts: list[str] = field(default_factory=list)
    tokens: list[Json] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass(slots=True)
class _Item:
    """An item under way. A call and thinking have one part."""

    kind: str
    at: int
    id: str
    parts: list[_Part]
    call: str = ""
    name: str = ""
    proof: Thinking | None = None
    late: int | None = None
    done: Json | None = None


class ResponsesEncoder:
    """One stream of events. See `Encoder`."""

    __slots__ = (
        "_asked",
        "_blocks",
        "_created",
        "_held",
        "_items",
        "_number",
        "_said",
        "_sequence",
        "_weighed",
        "_weighs",
    )

    def __init__(self, asked: Asked, number: str, created: int) -> None:
        """Begin with nothing."""
        self._asked = asked
        self._number = number
        self._created = created
        self._sequence = 0
        self._items: list[_Item] = []
        self._blocks: dict[int, tuple[_Item, int]] = {}  # where each block of the reply is said
        self._said: dict[int, int] = {}  # characters told so far of each block
        self._held = False  # items are done at the end
        self._weighs = asked.request.logprobs is not None
        self._weighed = 0  # tokens told so far

    def start(self) -> bytes:
        """That it has begun."""
        said = compact(response(self._asked, self._number, self._created, self._asked.model))
        return self._event("response.created", f'"response":{said}') + self._event(
            "response.in_progress", f'"response":{said}'
        )

    def delta(self, delta: Delta, /) -> bytes:
        """A piece of a text, of thinking or of a call."""
        out: list[bytes] = []
        place = self._blocks.get(delta.index)
        if delta.kind == "block":  # it comes with the whole answer
            return b""
        if not delta.text and not delta.tokens and (place or delta.kind != "tool"):
            return b""
        if place and place[0].done is not None:  # some say more of a text when they have begun a call
            if delta.kind == "tool":
                return b""  # what follows a whole JSON value is white space
            place = None
        self._said[delta.index] = self._said.get(delta.index, 0) + len(delta.text)
        item, part = place or self._begin(delta, out)
        if delta.text or delta.tokens:
            item.parts[part].texts.append(delta.text)
            out.append(self._piece(item, part, delta))
        return out[0] if len(out) == 1 else b"".join(out)

    def end(self, answer: Answer, /) -> bytes:
        """What is left to say, and the whole."""
        reply = answer.reply or NOTHING
        out: list[bytes] = []
        self._held = True
        for index, block in enumerate(reply.content):
            self._rest(index, block, reply, out)
        why = incomplete(reply)
        for item in self._items:
            if item.done is None:
                self._close(item, out, "incomplete" if why and item is self._items[-1] else "completed")
        said = response(self._asked, self._number, self._created, reply.model or self._asked.model)
        said["status"] = "incomplete" if why else "completed"
        said["incomplete_details"] = {"reason": why} if why else None
        said["output"] = [item.done for item in self._items]
        said["usage"] = usage_of(reply.usage)
        out.append(self._event(f"response.{said['status']}", f'"response":{compact(said)}'))
        return b"".join(out)

    def broken(self, message: str, /) -> bytes:
        """That it failed; those who read only pieces get an error raised by the SDK."""
        said = response(self._asked, self._number, self._created, self._asked.model)
        wrong = {"code": "server_error", "message": message}
        said |= {"status": "failed", "error": wrong, "output": [item.done for item in self._items if item.done]}
        failed = self._event("response.failed", f'"response":{compact(said)}')
        told = {**wrong, "param": None, "error": {**wrong, "type": "server_error", "param": None}}
        return failed + self._event("error", compact(told)[1:-1])

    def ping(self) -> bytes:
        """A comment."""
        return PING

    def _event(self, kind: str, said: str) -> bytes:
        number = self._sequence
        self._sequence = number + 1
        return f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":{number},{said}}}\n\n'.encode()

    def _begin(self, delta: Delta, out: list[bytes]) -> tuple[_Item, int]:
        """Begin the item that a block is said in, or the next part of the message under way."""
        last = self._items[-1] if self._items else None
        if last is not None and last.done is None:
            if last.kind == delta.kind == "text":
                last.parts.append(_Part(delta.index))
                self._part_added(last, out)
                place = self._blocks[delta.index] = last, len(last.parts) - 1
                return place
            self._held = self._held or (last.kind == "tool" and not _is_json(last.parts[0].text))
            if not self._held:
                self._close(last, out, "completed")
        self._held = self._held or delta.kind == "thinking"
        at = len(self._items)
        prefix = {"text": "msg", "thinking": "rs", "tool": "fc"}[delta.kind]
        ident = f"{prefix}_{self._number}_{at}"
        item = _Item(delta.kind, at, ident, [_Part(delta.index)], delta.id, delta.name)
        self._items.append(item)
        place = self._blocks[delta.index] = item, 0
        status = "in_progress"
        begun: Json
        if item.kind == "text":
            begun = message_item(f"{self._number}_{at}", [], status)
        elif item.kind == "tool":
            begun = call_item(f"{self._number}_{at}", delta.id, delta.name, "", status)
        else:
            begun = reasoning_item(f"{self._number}_{at}", "")
        out.append(self._event("response.output_item.added", f'"output_index":{at},"item":{compact(begun)}'))
        if item.kind == "text" or (item.kind == "thinking" and delta.text):
            self._part_added(item, out)
        return place

    def _part_added(self, item: _Item, out: list[bytes]) -> None:
        part = len(item.parts) - 1
        where = f'"item_id":"{item.id}","output_index":{item.at}'
        if item.kind == "text":
            said = compact(text_part("", ()))
            out.append(self._event("response.content_part.added", f'{where},"content_index":{part},"part":{said}'))
        else:
            said = '{"type":"summary_text","text":""}'
            out.append(self._event("response.reasoning_summary_part.added", f'{where},"summary_index":0,"part":{said}'))

    def _piece(self, item: _Item, part: int, delta: Delta) -> bytes:
        said = f'"item_id":"{item.id}","output_index":{item.at},"delta":{quoted(delta.text)}'
        if item.kind == "tool":
            self._weighed += len(delta.tokens)
            return self._event("response.function_call_arguments.delta", said)
        if item.kind == "thinking":
            self._weighed += len(delta.tokens)
            return self._event("response.reasoning_summary_text.delta", f'{said},"summary_index":0')
        tokens = "[]"
        if delta.tokens:
            tokens = compact(self._tokens(item.parts[part], delta.tokens))
        return self._event("response.output_text.delta", f'{said},"content_index":{part},"logprobs":{tokens}')

    def _tokens(self, part: _Part, tokens: tuple[Token, ...]) -> list[Json]:
        self._weighed += len(tokens)
        if not self._weighs:
            return []
        made = with_bytes(weighed([token for token in tokens if not token.tool]))
        part.tokens += made
        return made

    def _rest(self, index: int, block: Block, reply: Reply, out: list[bytes]) -> None:
        """Say what no piece has said of a block, and keep what proves thinking."""
        place = self._blocks.get(index)
        said = self._said.get(index, 0)
        match block:
            case Text(text) if text[said:]:
                tokens = (reply.logprobs or ())[self._weighed :] if self._weighs else ()
                self._weighed += len(tokens)
                shown = tuple(token for token in tokens if not token.tool)
                out.append(self.delta(Delta("text", text[said:], index, tokens=shown)))
            case ToolCall() if rest := (block.arguments or "{}")[said:]:
                out.append(self.delta(Delta("tool", rest, index, block.id, block.name)))
            case Thinking(text):
                if text[said:]:
                    out.append(self.delta(Delta("thinking", text[said:], index)))
                elif not place:
                    self._begin(Delta("thinking", "", index), out)  # proof alone
                item = self._blocks[index][0]
                item.proof = block
                if not place:
                    item.late = index
            case _:
                pass

    def _close(self, item: _Item, out: list[bytes], status: str) -> None:
        where = f'"item_id":"{item.id}","output_index":{item.at}'
        at = f"{self._number}_{item.at}"
        if item.kind == "tool":
            if not item.parts[0].text:  # a tool that takes no arguments
                item.parts[0].texts.append("{}")
                out.append(self._piece(item, 0, Delta("tool", "{}")))
            arguments = item.parts[0].text
            told = f'{where},"name":{quoted(item.name)},"arguments":{quoted(arguments)}'
            out.append(self._event("response.function_call_arguments.done", told))
            item.done = call_item(at, item.call, item.name, arguments, status)
        elif item.kind == "thinking":
            text = item.parts[0].text
            if text:
                told = f'{where},"summary_index":0,"text":{quoted(text)}'
                out.append(self._event("response.reasoning_summary_text.done", told))
                said = f'{{"type":"summary_text","text":{quoted(text)}}}'
                told = f'{where},"summary_index":0,"part":{said}'
                out.append(self._event("response.reasoning_summary_part.done", told))
            item.done = reasoning_item(at, text, item.proof, item.late)
        else:
            parts = [text_part(part.text, part.tokens) for part in item.parts]
            for index, part in enumerate(parts):
                shared = f'{where},"content_index":{index}'
                told = f'{shared},"text":{quoted(part["text"])},"logprobs":{compact(part["logprobs"])}'
                out.append(self._event("response.output_text.done", told))
                out.append(self._event("response.content_part.done", f'{shared},"part":{compact(part)}'))
            item.done = message_item(at, parts, status)
        done = f'"output_index":{item.at},"item":{compact(item.done)}'
        out.append(self._event("response.output_item.done", done))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
