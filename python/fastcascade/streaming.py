"""A reply on its way to the client piece by piece, and the point from which nothing can be taken back.

Until the gate commits, pieces are held back: another tier can still answer. From then on each is passed through,
and a break ends the answer as incomplete.
"""

from collections.abc import Generator
from dataclasses import dataclass, field

from fastcascade.effects import Call, Close, Effect, Emit, Handle, Next, Open, Outcome
from fastcascade.errors import Failure
from fastcascade.gates.gate import Verdict, Watch
from fastcascade.ledger import Ledger
from fastcascade.messages import Block, Delta, Reply, Text, Thinking, ToolCall

__all__ = ["Piped", "pieces", "pipe"]


@dataclass(slots=True)
class Piped:
    """What has come of a stream so far. `seen`: the client has it."""

    deltas: list[Delta] = field(default_factory=list)
    seen: bool = False
    aborted: Verdict | None = None
    verdict: Verdict | None = None
    characters: int = 0

    def partial(self) -> Reply:
        """What was seen, as a reply."""
        return Reply(assemble(self.deltas), stop="other", raw_stop="incomplete")


def pipe(
    piped: Piped, ledger: Ledger, call: Call, watch: Watch | None, *, through: bool, stall: float
) -> Generator[Effect, Outcome, Outcome]:
    """Stream a reply; its outcome is the whole reply, or the failure it broke off with."""
    opened = yield Open(call)
    if opened.failure is not None:
        return opened
    handle: Handle = opened.value
    started, patience = opened.started, call.timeout
    while True:
        own = stall if piped.seen or patience is None else max(0.0, started + patience - ledger.now)
        outcome = yield Next(handle, ledger.time_left(min(own, stall)))
        ledger.now = max(ledger.now, outcome.ended)
        item = outcome.value
        if outcome.failure is not None or type(item) is not Delta:
            return Outcome(item, outcome.failure, started, outcome.ended)
        piped.deltas.append(item)
        piped.characters += len(item.text)
        if through or piped.seen:
            piped.seen = True
            yield Emit((item,))
        elif watch is not None:
            said = watch.feed(item)
            if said == "commit":
                piped.seen, piped.verdict = True, watch.verdict
                yield Emit(tuple(piped.deltas))
            elif said == "abort":
                piped.aborted = watch.verdict
                closed = yield Close(handle)
                ledger.now = max(ledger.now, closed.ended)
                return Outcome(None, Failure("cancelled", "given up while it streamed"), started, ledger.now)


def pieces(reply: Reply) -> tuple[Delta, ...]:
    """A whole reply as the pieces of a stream. What has no text to stream is in the reply alone."""
    found = []
    for index, block in enumerate(reply.content):
        match block:
            case Text(text):
                found.append(Delta("text", text, index))
            case Thinking(text):
                found.append(Delta("thinking", text, index))
            case ToolCall(id, name, arguments):
                found.append(Delta("tool", arguments, index, id, name))
            case _:
                pass
    return tuple(found)


def assemble(deltas: list[Delta]) -> tuple[Block, ...]:
    """The blocks that these pieces spell, as far as they go."""
    parts: dict[int, list[Delta]] = {}
    for delta in deltas:
        parts.setdefault(delta.index, []).append(delta)
    blocks: list[Block] = []
    for _, held in sorted(parts.items()):
        first, text = held[0], "".join(delta.text for delta in held)
        if first.kind == "tool":
            blocks.append(ToolCall(first.id, first.name, text))
        else:
            blocks.append(Text(text) if first.kind == "text" else Thinking(text))
    return tuple(blocks)
