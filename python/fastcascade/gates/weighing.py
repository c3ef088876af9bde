"""Weighted sums over what gates say and over what is visible in a request and a reply: what fits come down to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, isnan, log, log10, nan
from operator import attrgetter
from typing import Any, Final, cast

from fastcascade.errors import ConfigError
from fastcascade.gates.calibration import sigmoid
from fastcascade.gates.combine import Combined
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.messages import ToolCall, Usage

__all__ = ["ANSWER", "CLOSE", "FEATURES", "TASK", "Sum", "Weighing", "called", "log_odds", "named", "number", "raw"]

TASK: Final = "task:"
ANSWER: Final = "answer:"
CLOSE: Final = 1e-4
"""The log-odds of a score are taken no closer to 0 and 1 than this."""


def said(exam: Exam) -> str:
    """The answer as it is graded and recorded: without what was there for gates alone, tool calls as JSON."""
    reply = exam.clean(exam.reply)
    if ToolCall not in map(type, reply.content):
        return reply.text
    from fastcascade.evals.graders.grader import read  # noqa: PLC0415 - for replies that call tools alone

    return read(reply)


def _tokens(part: str) -> Callable[[Exam], float]:
    found = cast("Callable[[Usage], int]", attrgetter(part))

    def scale(exam: Exam) -> float:
        usage = exam.reply.usage
        return nan if usage is None else log10(1 + found(usage))

    return scale


FEATURES: Final[Mapping[str, Callable[[Exam], float]]] = {
    "length": lambda exam: log10(1 + exam.request.characters),
    "prompt_length": lambda exam: log10(1 + len(exam.request.text)),
    "reply_length": lambda exam: log10(1 + len(said(exam))),
    "turns": lambda exam: log10(len(exam.request.messages)),
    "tools": lambda exam: float(bool(exam.request.tools)),
    "input_tokens": _tokens("input"),
    "output_tokens": _tokens("output"),
    "thinking_tokens": _tokens("reasoning"),
}
"""What can be weighed besides gates. Lengths are in characters, `length` of the whole conversation, `prompt_length` of
the last user's turn; like tokens and turns they are on a scale of powers of ten. Tokens are not a number where the
reply does not report them."""


def log_odds(score: float) -> float:
    """The log-odds of a score from 0 to 1."""
    held = min(1.0 - CLOSE, max(CLOSE, score))
    return log(held / (1.0 - held))


@dataclass(frozen=True)
class Sum:
    """One weighted sum, which `sigmoid` turns into a chance; see `Learned` for what each part means."""

    weights: Mapping[str, float]
    intercept: float = 0.0
    odds: Mapping[str, float] = field(default_factory=dict[str, float])
    features: Mapping[str, float] = field(default_factory=dict[str, float])
    missing: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        """Check the numbers, and sort the features by their kind."""
        setting = object.__setattr__
        setting(self, "weights", _numbers("weights", self.weights, "the weight of"))
        setting(self, "intercept", number("intercept", self.intercept))
        for name, what in (("odds", "the odds of"), ("missing", "what is missing of")):
            setting(self, name, _numbers(name, getattr(self, name), what))
        setting(self, "features", _numbers("features", self.features, "the weight of"))
        for name in self.features:
            if name not in FEATURES and not name.startswith((TASK, ANSWER)):
                known = ", ".join(FEATURES)
                msg = f"there is no feature {name!r}; there are {known}, {TASK}NAME for a task, and {ANSWER}TEXT"
                raise ConfigError(msg)
        setting(self, "_seen", [(FEATURES[name], weight) for name, weight in self.features.items() if name in FEATURES])
        setting(self, "_tasks", _after(TASK, self.features))
        setting(self, "_answers", _after(ANSWER, self.features))

    def over(self, names: Sequence[str]) -> "Sum":
        """The same for the gates of these names, in their order; a name that is none of them is refused."""
        for part, held in (("weights", self.weights), ("odds", self.odds), ("missing", self.missing)):
            for name in held:
                if name not in names:
                    msg = f"{part} has {name!r}, which is none of the gates {', '.join(names)}"
                    raise ConfigError(msg)
        each = [(self.weights.get(name, 0.0), self.odds.get(name, 0.0), self.missing.get(name)) for name in names]
        placed = replace(self)
        object.__setattr__(placed, "_each", each)
        return placed

    def lacking(self, verdicts: Sequence[Verdict]) -> int | None:
        """The place of a gate that abstained, of which it is not known what that means."""
        each: list[tuple[float, float, float | None]] = self.__dict__["_each"]
        for place, verdict in enumerate(verdicts):
            if verdict.score is None and each[place][2] is None:
                return place
        return None

    def total(self, exam: Exam, verdicts: Sequence[Verdict]) -> float:
        """The sum; not a number where a feature is unknown."""
        total = self.intercept
        held: dict[str, Any] = self.__dict__
        for (weight, odd, absence), verdict in zip(held["_each"], verdicts, strict=True):
            score = verdict.score
            if score is None:
                total += absence
                continue
            total += weight * score
            if odd:
                total += odd * log_odds(score)
        for feature, weight in held["_seen"]:
            total += weight * feature(exam)
        if held["_tasks"]:
            total += held["_tasks"].get(exam.request.task, 0.0)
        if held["_answers"]:
            total += held["_answers"].get(said(exam).strip(), 0.0)
        return total

    def described(self) -> dict[str, Any]:
        """As an artefact has it."""
        held = {"intercept": self.intercept, "weights": dict(self.weights), "features": dict(self.features)}
        return held | {"missing": dict(self.missing)} | ({"odds": dict(self.odds)} if self.odds else {})


class Weighing(Combined):
    """Gates whose scores are put into one or more sums; `weighed` makes a verdict of what those come to."""

    sums: tuple[Sum, ...]

    def decided(self, _member: Gate, verdict: Verdict, /) -> bool:
        """Once one is beyond doubt."""
        return verdict.decisive and verdict.score is not None

    def weighed(self, chances: Sequence[float], verdicts: Sequence[Verdict], /) -> Verdict:
        """The verdict, from the chance that each sum comes to."""
        raise NotImplementedError

    def conclude(self, exam: Exam, verdicts: Sequence[Verdict], /) -> Verdict:
        """The chances; an abstention where too little is known."""
        if self.decided(self.members[len(verdicts) - 1], verdicts[-1]):
            return self._one(verdicts, len(verdicts) - 1, verdicts[-1].score, decisive=True)
        silent = [verdict.score for verdict in verdicts].count(None)
        if silent == len(verdicts):
            return Verdict(None, "every gate abstained", self._parts(verdicts))
        chances = []
        for each in self.sums:
            if silent and (place := each.lacking(verdicts)) is not None:
                return self._one(verdicts, place, None)
            total = each.total(exam, verdicts)
            if isnan(total) and exam.reply.usage is None:
                return Verdict(None, "the reply does not say how many tokens it took", self._parts(verdicts))
            chances.append(sigmoid(total))
        return self.weighed(chances, verdicts)


def named(gates: Iterable[Gate]) -> dict[str, Gate]:
    """Gates by their names, which must differ."""
    found: dict[str, Gate] = {}
    for gate in gates:
        if found.setdefault(gate.name, gate) is not gate:
            msg = f"two gates are named {gate.name!r}; set the name of one of them"
            raise ConfigError(msg)
    return found


def called(who: Any, known: Mapping[str, Gate]) -> Gate:
    """A gate, or the one of this name."""
    if isinstance(who, Gate):
        return who
    if who not in known:
        there = f"; there are {', '.join(known)}" if known else ""
        msg = f"there is no gate named {who!r}: give it in gates{there}"
        raise ConfigError(msg)
    return known[who]


def raw(gates: Iterable[Gate]) -> tuple[Gate, ...]:
    """Gates for weights that were fitted to raw scores: one with a calibration is refused."""
    found = tuple(gates)
    for gate in found:
        if gate.calibration is not None or hasattr(gate, "slicing"):
            msg = f"the weights are for raw scores: give {gate.name!r} without its calibration"
            raise ConfigError(msg)
    return found


def number(name: str, value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        msg = f"{name} must be a finite number, not {value!r}"
        raise ConfigError(msg)
    return float(value)


def _numbers(name: str, given: Any, what: str) -> dict[str, float]:
    if not isinstance(given, Mapping):
        msg = f"{name} must be by name, not {type(given).__name__}"
        raise ConfigError(msg)
    for each in given:
        if not isinstance(each, str):
            msg = f"{name} must be by name, not by {each!r}"
            raise ConfigError(msg)
    return {each: number(f"{what} {each!r}", value) for each, value in given.items()}


def _after(prefix: str, given: Mapping[str, float]) -> dict[str, float]:
    return {name[len(prefix) :]: weight for name, weight in given.items() if name.startswith(prefix)}
