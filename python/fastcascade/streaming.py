"""A reply on its way to the client piece by piece, and the point from which nothing can be taken back.

Until the gate commits, pieces are held back: another tier can still answer. From then on each is passed through,
and a break ends the answer as incomplete.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from math import inf

from fastcascade.effects import Call, Close, Effect, Emit, Handle, Next, Open, Outcome, Relay
from fastcascade.errors import Failure
from fastcascade.gates.gate import Verdict, Watch
from fastcascade.ledger import Ledger
from fastcascade.messages import Block, Delta, Reply, Text, Thinking, ToolCall

__all__ = ["Piped", "pieces", "pipe"]


@dataclass(slots=True)
class Piped:
    """What has come of a stream so far, and whether the client may see it.

    A `free` tier, which has no gate to wait for, commits with the first text or tool call; the `last` one with its
    first thought too. Nothing commits on blanks: a reply of nothing else is none.
    """

    watch: Watch | None = None
    free: bool = False
    last: bool = False
    deltas: list[Delta] = field(default_factory=list)
    seen: bool = False  # the client has something of it
    aborted: Verdict | None = None
    verdict: Verdict | None = None
    lost: int = 0  # characters of streams that broke off unseen

    @property
    def characters(self) -> int:
        """How much was written, that of streams which broke off before too."""
        return self.lost + sum(len(delta.text) for delta in self.deltas)

    def take(self, delta: Delta) -> tuple[Delta, ...]:
        """Note a piece; the pieces that may be given to the client now."""
        self.deltas.append(delta)
        if self.free:
            self.seen = delta.kind == "tool" or (bool(delta.text.strip()) and (self.last or delta.kind == "text"))
        elif self.watch is not None:
            self._ask(self.watch, delta)
        return tuple(self.deltas) if self.seen else ()

    def _ask(self, watch: Watch, delta: Delta) -> None:
        try:
            said = watch.feed(delta)
            self.seen = said == "commit"
            if said == "commit":
                self.verdict = watch.verdict
            elif said == "abort":
                self.aborted = watch.verdict
        except Exception:  # noqa: BLE001 - a user's gate may raise anything: then the whole reply is judged
            self.watch = None

    def restart(self, watch: Watch | None) -> None:
        """Forget a stream that broke off unseen; another takes its place."""
        self.watch = watch
        self.lost = self.characters
        self.deltas.clear()

    def end(self, outcome: Outcome, started: float) -> Outcome:
        """What the stream comes to: the whole reply, or the failure it broke off with and what had come till then."""
        failure = outcome.failure
        if outcome.value is None and failure is None and self.deltas:
            failure = Failure("cut", "the stream ended without its end")
        value = self.partial() if failure is not None and self.deltas else outcome.value
        return Outcome(value, failure, started, outcome.ended, outcome.by, outcome.tries)

    def partial(self) -> Reply:
        """What has come, as a reply."""
        return Reply(assemble(self.deltas), stop="other", raw_stop="incomplete")


def pipe(
    piped: Piped, ledger: Ledger, call: Call, *, stall: float, watch: Callable[[], Watch | None]
) -> Generator[Effect, Outcome, Outcome]:
    """Stream a reply. `stall` seconds are given to each piece after the first, the call's time to what is unseen.

    A pool's stream that breaks off before anything of it was seen begins anew, at another instance maybe; `watch`
    makes what judges it then.
    """
    opened = yield Open(call)
    started = opened.started
    while True:
        ledger.tick(opened)
        if opened.failure is not None:
            return opened
        handle: Handle = opened.value
        outcome = yield from _piped(piped, ledger, call, handle, stall, started)
        if handle.tries is None:
            return outcome
        if outcome.failure is None or piped.seen or piped.aborted:
            handle.tries.stamped(outcome)
            outcome.started = started
            return outcome
        opened = yield Open(call, handle)
        if opened.failure is None:
            piped.restart(watch())


def _piped(
    piped: Piped, ledger: Ledger, call: Call, handle: Handle, stall: float, started: float
) -> Generator[Effect, Outcome, Outcome]:
    while True:
        patience = None if call.timeout is None else max(0.0, started + call.timeout - ledger.now)
        if piped.deltas:
            patience = stall if patience is None else min(patience, stall)
        outcome = yield Next(handle, ledger.time_left(patience))
        ledger.tick(outcome)
        if type(outcome.value) is not Delta:
            return piped.end(outcome, started)
        if due := piped.take(outcome.value):
            yield Emit(due)
            if piped.seen:  # from here on there is nothing to decide
                until = ledger.time_left(None)
                outcome = yield Relay(handle, stall, inf if until is None else ledger.now + until, piped.deltas)
                ledger.tick(outcome)
                return piped.end(outcome, started)
        if piped.aborted:
            ledger.tick((yield Close(handle)))
            given_up = Failure("cancelled", "given up while it streamed")
            return piped.end(Outcome(None, given_up, started, ledger.now), started)


def pieces(reply: Reply) -> tuple[Delta, ...]:
    """A whole reply as the pieces of a stream."""
    found = []
    for index, block in enumerate(reply.content):
        match block:
            case Text(text, extra):
                found.append(Delta("text", text, index))
                if extra:
                    found.append(Delta("block", index=index, block=block))
            case Thinking(text, signature, redacted):
                proven = signature or redacted
                if text or not proven:
                    found.append(Delta("thinking", text, index))
                if proven:
                    found.append(Delta("block", index=index, block=block))
            case ToolCall(id, name, arguments):
                found.append(Delta("tool", arguments, index, id, name))
            case _:
                found.append(Delta("block", index=index, block=block))
    return tuple(found)


def assemble(deltas: list[Delta]) -> tuple[Block, ...]:
    """The blocks that these pieces spell, as far as they go."""
    parts: dict[int, list[Delta]] = {}
    for delta in deltas:
        parts.setdefault(delta.index, []).append(delta)
    blocks: list[Block] = []
    for _, held in sorted(parts.items()):
        first, text = held[0], "".join(delta.text for delta in held)
        if (whole := held[-1].block) is not None:
            blocks.append(whole)
        elif first.kind == "tool":
            blocks.append(ToolCall(first.id, first.name, text))
        else:
            blocks.append(Text(text) if first.kind == "text" else Thinking(text))
    return tuple(blocks)
