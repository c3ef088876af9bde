"""What tests of gates share: a reply before a gate, and a stream before its watch."""

from collections.abc import Generator
from typing import Any

from fastcascade.effects import Call, Outcome
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict, Watch
from fastcascade.gates.learned import Learned
from fastcascade.messages import Delta, Reply, Request, ToolCall

__all__ = ["ASKED", "CALL", "Fixed", "Named", "driven", "exam", "fed", "judged", "learned_of", "watching"]

ASKED = Request.of("how much is it?")
CALL = ToolCall("1", "price", '{"of": "tea"}')


class Named:
    """A backend that is only named."""

    name = "small"
    gives = frozenset({"logprobs"})

    async def complete(self, request: Request, /) -> Reply | None:
        raise NotImplementedError


def exam(reply: Reply, request: Request = ASKED) -> Exam:
    """A reply before a gate."""
    return Exam(request, reply, Named(), "small")


def judged(gate: Gate, reply: Reply, request: Request = ASKED) -> Verdict:
    """The verdict of a gate that asks nobody."""
    verdict = gate.judge(exam(reply, request))
    assert isinstance(verdict, Verdict)
    return verdict


def watching(gate: Gate, request: Request = ASKED, accept: float | None = None) -> Watch:
    """The watch of a gate that has one."""
    watch = gate.watch(request, gate.threshold if accept is None else accept)
    assert watch is not None
    return watch


def fed(watch: Watch, pieces: list[Delta]) -> str:
    """What a watch says of a stream in the end."""
    for piece in pieces:
        if (said := watch.feed(piece)) != "hold":
            return said
    return "hold"


class Fixed(Gate):
    """A gate that says what it was told to, asking first where it is to be slow."""

    def __init__(self, verdict: Verdict, threshold: float = 0.5, slow: bool = False, name: str = "fixed") -> None:
        self.verdict = verdict
        self.threshold = threshold
        self.slow = slow
        self.name = name
        self.asked = 0

    def judge(self, exam: Exam, /) -> Judging:
        self.asked += 1
        return self.ask(exam) if self.slow else self.verdict

    def ask(self, exam: Exam) -> Generator[Any, Outcome, Verdict]:
        outcome = yield Call(exam.backend, exam.request, "judge")
        return Verdict(None, outcome.failure.message) if outcome.failure else self.verdict


def driven(gate: Gate, outcome: Outcome | None = None, where: Exam | None = None) -> tuple[Verdict, bool]:
    """The verdict of a gate, and whether it asked for it; every call comes to the same."""
    judging = gate.judge(where or exam(Reply("4")))
    if isinstance(judging, Verdict):
        return judging, False
    sent = None
    while True:
        try:
            effect = judging.send(sent)  # type: ignore[arg-type] # None begins
        except StopIteration as stopped:
            assert isinstance(stopped.value, Verdict)
            return stopped.value, True
        assert isinstance(effect, Call)
        sent = outcome or Outcome(Reply("fine"))


def learned_of(*gates: Gate) -> Learned:
    """A learned combination of these, each of weight 1."""
    return Learned(dict.fromkeys(gates, 1.0))
