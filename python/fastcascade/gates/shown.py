"""What a judge is shown: the conversation and the answer, between tags that nothing in them can break.

What is judged may hold anything, instructions to the judge among it. So in every text that is shown `&` and every
kind of `<` are written as character references: nothing can end the tag it stands in, or begin another. That
closes the way out of the tags; it does not make a model deaf to what it reads.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from fastcascade.gates.gate import Exam
from fastcascade.messages import Block, Image, Opaque, Text, ToolCall, ToolResult

__all__ = ["sections"]

Piece: TypeAlias = tuple[str, str]
"""A tag with its attributes, or none, and the text that stands in it."""

ESCAPES: Final = {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord("\N{FULLWIDTH LESS-THAN SIGN}"): "&#65308;",
    ord("\N{SMALL LESS-THAN SIGN}"): "&#65124;",
}


def sections(exam: Exam, most: int) -> Iterator[str]:
    """A section for each kind of thing, of `most` characters at most: of more, the middle is left out.

    Of the conversation, before and since the user's last question, it is the beginning that is.
    """
    request, reply = exam.request, exam.reply
    turns = request.messages
    asked = next((at for at in reversed(range(len(turns))) if turns[at].role == "user" and turns[at].text), 0)
    tools = request.tools if reply.tool_calls else ()
    half = most // 2
    for name, pieces, head in (
        ("system", [("", each.text) for each in request.system], half),
        ("tools", [("", f"{each.name}: {each.description} {json.dumps(dict(each.schema))}") for each in tools], half),
        ("conversation", [piece for turn in turns[:asked] for piece in _pieces(turn.content, turn.role)], 0),
        ("question", list(_pieces(turns[asked].content)), half),
        ("since", [piece for turn in turns[asked + 1 :] for piece in _pieces(turn.content, turn.role)], 0),
        ("answer", list(_pieces(reply.content)), half),
    ):
        if pieces:
            yield f"<{name}>\n{_rendered(pieces, head, most)}\n</{name}>"


def _pieces(content: Iterable[Block], role: str = "") -> Iterator[Piece]:
    for block in content:
        match block:
            case Text(text):
                yield role, text
            case ToolCall():
                yield f'tool_call name="{_attribute(block.name)}"', block.arguments
            case ToolResult():
                yield "tool_result", "\n".join(part.text for part in block.content if isinstance(part, Text))
            case Image():
                yield "image_not_shown", ""
            case Opaque():
                yield f'not_shown kind="{_attribute(str(block.data.get("type", "")))}"', ""
            case _:  # thoughts are not part of what was said
                continue


def _rendered(pieces: list[Piece], head: int, most: int) -> str:
    """The pieces between their tags; of more than `most` characters the first `head` are kept, and the last."""
    if len(pieces) == 1 and not pieces[0][0] and len(pieces[0][1]) <= most:
        return _escaped(pieces[0][1])
    total = sum(len(text) for _, text in pieces)
    cuts = (head, total - (most - head)) if total > most else (total, total)
    marker = f'<left_out characters="{total - most}"/>'
    shown: list[str] = []
    begin = 0
    for tag, text in pieces:
        first, last = (min(max(0, cut - begin), len(text)) for cut in cuts)
        begin += len(text)
        mark = ""
        if first < last:
            mark, marker = marker, ""
        body = _escaped(text[:first]) + mark + _escaped(text[last:])
        whole = 0 < len(text) == last - first
        shown.append(body if whole or not tag else f"<{tag}>{body}</{tag.partition(' ')[0]}>")
    return "\n".join(filter(None, shown))


def _escaped(text: str) -> str:
    return text.translate(ESCAPES)


def _attribute(text: str) -> str:
    return _escaped(" ".join(text[:200].split())).replace('"', "&quot;").replace(">", "&gt;")
