"""Gates made of gates.

Each member is held against its own threshold. So that one score can speak for all of them, a member's score is put
on a scale on which its threshold is at a half: from there to 1 it goes up in a straight line, and down to 0. A
member whose threshold is a half keeps its score. Each member's calibration is applied first.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite, nextafter
from typing import Any, Final, Literal, TypeVar, cast

from fastcascade.effects import Effect, Outcome
from fastcascade.errors import ConfigError
from fastcascade.gates.calibration import raw_floor
from fastcascade.gates.check import unit
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict, Watch
from fastcascade.gates.members import asked, beyond
from fastcascade.messages import Delta, Reply, Request

__all__ = ["AllOf", "AnyOf", "Combined", "FirstDecisive", "Weighted", "all_of", "any_of", "first_decisive", "weighted"]

G = TypeVar("G", bound=Gate)
HALF: Final = 0.5
UNDER: Final = nextafter(HALF, 0.0)


class Combined(Gate):
    """Several gates as one: what they need, prepare and clean is put together; `conclude` makes one verdict.

    Members are asked in their order. The verdict comes at once where every member that is asked has one; from the
    first that must ask someone, the rest is a generator. For a recording (`exam.every`) all are asked, and the
    verdict is that of those who would have been asked without it.
    """

    def __init__(self, members: Iterable[Gate], threshold: float = HALF) -> None:
        """Take the members; two of the same name are told apart by a number."""
        self.members = tuple(members)
        if not self.members:
            msg = f"{self.name or 'a combination'} needs at least one gate"
            raise ConfigError(msg)
        for member in self.members:
            if not isinstance(cast("object", member), Gate):
                msg = f"{self.name or 'a combination'} is made of gates, not of {member!r}"
                raise ConfigError(msg)
        self.threshold = unit("threshold", threshold)
        self.needs = frozenset().union(*(member.needs for member in self.members))
        self._names = _names(self.members)

    def prepare(self, request: Request, /) -> Request:
        """What each of them changes."""
        for member in self.members:
            request = member.prepare(request)
        return request

    def clean(self, reply: Reply, /) -> Reply:
        """What each of them takes out, the last first."""
        for member in reversed(self.members):
            reply = member.clean(reply)
        return reply

    def judge(self, exam: Exam, /) -> Judging:
        """Ask the members until it is decided."""
        if exam.accept is not None:
            exam = replace(exam, accept=None)  # that is for the whole; each member's score matters
        verdicts: list[Verdict] = []
        for member in self.members:
            judging = member.judge(exam)
            if not isinstance(judging, Verdict):
                return self._rest(exam, verdicts, judging)
            verdict = _heard(member, judging)
            verdicts.append(verdict)
            if self.decided(member, verdict):
                return self._beyond(exam, verdicts) if exam.every else self.conclude(exam, verdicts)
        return self.conclude(exam, verdicts)

    def decided(self, member: Gate, verdict: Verdict, /) -> bool:
        """Whether this verdict settles it, so that the members after it are not asked, nor paid for."""
        raise NotImplementedError

    def conclude(self, exam: Exam, verdicts: Sequence[Verdict], /) -> Verdict:
        """One verdict from those of the members that were asked, calibrated, in their order."""
        raise NotImplementedError

    def _rest(self, exam: Exam, verdicts: list[Verdict], judging: Judging) -> Generator[Effect, Outcome, Verdict]:
        while True:
            member = self.members[len(verdicts)]
            verdict = _heard(member, (yield from asked(len(verdicts) + 1, judging)))
            verdicts.append(verdict)
            if len(verdicts) == len(self.members):
                return self.conclude(exam, verdicts)
            if self.decided(member, verdict):
                return (yield from self._beyond(exam, verdicts)) if exam.every else self.conclude(exam, verdicts)
            judging = self.members[len(verdicts)].judge(exam)

    def _beyond(self, exam: Exam, verdicts: list[Verdict]) -> Generator[Effect, Outcome, Verdict]:
        others = list(enumerate(self.members, 1))[len(verdicts) :]
        return beyond(others, exam, lambda: self.conclude(exam, verdicts))

    def _parts(self, verdicts: Sequence[Verdict]) -> tuple[tuple[str, Verdict], ...]:
        return tuple(zip(self._names, verdicts, strict=False))

    def _levels(self, verdicts: Sequence[Verdict]) -> list[float | None]:
        return [level(verdict, member.threshold) for member, verdict in zip(self.members, verdicts, strict=False)]

    def _one(
        self, verdicts: Sequence[Verdict], position: int, score: float | None, *, decisive: bool = False
    ) -> Verdict:
        """The verdict that one of the members' comes down to."""
        reason = f"{self._names[position]}: {verdicts[position].reason}"
        return Verdict(score, reason, self._parts(verdicts), decisive)

    def _watches(self, request: Request, accept: float) -> "list[Watch] | None":
        """What each member watches with, or None if one of them cannot; `accept` is on the common scale."""
        found: list[Watch] = []
        for member in self.members:
            watch = member.watch(request, unlevel(accept, member.threshold))
            if watch is None:
                return None
            found.append(watch)
        return found


class AllOf(Combined):
    """Passes where every member passes; see `all_of`."""

    name = "all_of"

    def __init__(self, members: Iterable[Gate], *, threshold: float = HALF, every: bool = False) -> None:
        """Take the members; `every` asks them all, whatever the first say."""
        super().__init__(members, threshold)
        self.every = every

    def decided(self, member: Gate, verdict: Verdict, /) -> bool:
        """Once one rejects."""
        found = level(verdict, member.threshold)
        return not self.every and found is not None and found < HALF

    def conclude(self, _exam: Exam, verdicts: Sequence[Verdict], /) -> Verdict:
        """The lowest; an abstention, unless one rejects."""
        levels = self._levels(verdicts)
        spoken = [(found, position) for position, found in enumerate(levels) if found is not None]
        lowest, position = min(spoken, default=(1.0, 0))
        if lowest >= HALF and len(spoken) < len(levels):
            return self._one(verdicts, levels.index(None), None)
        beyond = lowest < HALF and any(verdicts[at].decisive for found, at in spoken if found < HALF)
        return self._one(verdicts, position, lowest, decisive=beyond)

    def watch(self, request: Request, accept: float, /) -> Watch | None:
        """Commits once all have, gives up when one does; None if any member needs the whole reply."""
        watches = self._watches(request, raw_floor(self, accept))
        return None if watches is None else _Together(self, watches, "commit", min)


class AnyOf(Combined):
    """Passes where any member passes; see `any_of`."""

    name = "any_of"

    def __init__(self, members: Iterable[Gate], *, threshold: float = HALF, every: bool = False) -> None:
        """Take the members; `every` asks them all, whatever the first say."""
        super().__init__(members, threshold)
        self.every = every

    def decided(self, member: Gate, verdict: Verdict, /) -> bool:
        """Once one passes."""
        found = level(verdict, member.threshold)
        return not self.every and found is not None and found >= HALF

    def conclude(self, _exam: Exam, verdicts: Sequence[Verdict], /) -> Verdict:
        """The highest; an abstention, unless one passes."""
        levels = self._levels(verdicts)
        spoken = [(found, -position) for position, found in enumerate(levels) if found is not None]
        highest, position = max(spoken, default=(0.0, 0))
        if highest < HALF and len(spoken) < len(levels):
            return self._one(verdicts, levels.index(None), None)
        beyond = all(verdict.decisive for verdict in verdicts)
        if highest >= HALF:
            beyond = any(verdicts[-at].decisive for found, at in spoken if found >= HALF)
        return self._one(verdicts, -position, highest, decisive=beyond)

    def watch(self, request: Request, accept: float, /) -> Watch | None:
        """Commits once one has, gives up when all do; None if any member needs the whole reply."""
        watches = self._watches(request, raw_floor(self, accept))
        return None if watches is None else _Together(self, watches, "abort", max)


class Weighted(Combined):
    """A weighted mean; see `weighted`."""

    name = "weighted"

    def __init__(self, weights: "Mapping[G, float] | Iterable[tuple[Gate, float]]", *, threshold: float = HALF) -> None:
        """Take gates with their weights, each above zero."""
        pairs = [_pair(each) for each in (weights.items() if isinstance(weights, Mapping) else weights)]
        super().__init__((gate for gate, _ in pairs), threshold)
        largest = max(weight for _, weight in pairs)
        self.weights = tuple(weight for _, weight in pairs)
        self._shares = tuple(weight / largest for weight in self.weights)  # so that no sum can overflow

    def decided(self, _member: Gate, verdict: Verdict, /) -> bool:
        """Once one is beyond doubt."""
        return verdict.decisive and verdict.score is not None

    def conclude(self, _exam: Exam, verdicts: Sequence[Verdict], /) -> Verdict:
        """The mean over those that did not abstain."""
        if self.decided(self.members[len(verdicts) - 1], verdicts[-1]):
            return self._one(verdicts, len(verdicts) - 1, verdicts[-1].score, decisive=True)
        total = weight = 0.0
        for share, verdict in zip(self._shares, verdicts, strict=True):
            if verdict.score is not None:
                total += share * verdict.score
                weight += share
        parts = self._parts(verdicts)
        if not weight:
            return Verdict(None, "every gate abstained", parts)
        score = min(1.0, total / weight)
        return Verdict(score, f"weighted mean {score:.3f} of {spoke(verdicts)}", parts)


class FirstDecisive(Combined):
    """Cheap gates first; see `first_decisive`."""

    name = "first_decisive"

    def __init__(self, members: Iterable[Gate], *, reject_below: float = 0.0, threshold: float = HALF) -> None:
        """Take the members in the order in which they are asked."""
        super().__init__(members, threshold)
        self.reject_below = unit("reject_below", reject_below)

    def decided(self, member: Gate, verdict: Verdict, /) -> bool:
        """Once one passes, or falls below `reject_below`, or is beyond doubt."""
        score = verdict.score
        if score is None:
            return False
        return verdict.decisive or score >= member.threshold or score < self.reject_below

    def conclude(self, _exam: Exam, verdicts: Sequence[Verdict], /) -> Verdict:
        """What the one that decided says, or the last that did not abstain."""
        for position in range(len(verdicts) - 1, -1, -1):
            found = level(verdicts[position], self.members[position].threshold)
            if found is not None:
                return self._one(verdicts, position, found, decisive=verdicts[position].decisive)
        return Verdict(None, "every gate abstained", self._parts(verdicts))


class _Together:
    """Several watches as one. `lasting` is what must come from all of them, while one suffices for the other."""

    def __init__(
        self,
        gate: Combined,
        watches: list[Watch],
        lasting: Literal["commit", "abort"],
        settle: Callable[[list[float]], float],
    ) -> None:
        """Begin with all of them undecided."""
        self._gate = gate
        self._watches = watches
        self._open = list(range(len(watches)))
        self._lasting: Literal["commit", "abort"] = lasting
        self._settle = settle
        self.verdict = Verdict(None, "nothing was judged yet")

    def feed(self, delta: Delta, /) -> Literal["hold", "commit", "abort"]:
        """Show one more piece to those that are undecided."""
        still = []
        for position in self._open:
            said = self._watches[position].feed(delta)
            if said == "hold":
                still.append(position)
            elif said != self._lasting:
                self._conclude([position])
                return "commit" if said == "commit" else "abort"
        self._open = still
        if still:
            return "hold"
        self._conclude(range(len(self._watches)))
        return self._lasting

    def _conclude(self, positions: Iterable[int]) -> None:
        """A watch's verdict is calibrated already."""
        members, names = self._gate.members, self._gate._names  # noqa: SLF001 - the gate's own watch
        found = [(position, self._watches[position].verdict) for position in positions]
        levels = [at for position, verdict in found if (at := level(verdict, members[position].threshold)) is not None]
        reason = "; ".join(f"{names[position]}: {verdict.reason}" for position, verdict in found)
        parts = tuple((names[position], verdict) for position, verdict in found)
        decisive = bool(found) and all(verdict.decisive for _, verdict in found)
        raw = Verdict(self._settle(levels) if levels else None, reason, parts, decisive)
        self.verdict = self._gate.calibrated(raw)


def all_of(*gates: Gate, threshold: float = HALF, every: bool = False) -> AllOf:
    """Passes where every gate passes, each at its own threshold; the score is the lowest on the common scale.

    Stops at the first that rejects: those after it are not asked, nor paid for, unless `every` is set. If one
    abstains and none rejects, it abstains. A decisive rejection is decisive. It watches a stream if all of its
    members do.
    """
    return AllOf(gates, threshold=threshold, every=every)


def any_of(*gates: Gate, threshold: float = HALF, every: bool = False) -> AnyOf:
    """Passes where any gate passes, at its own threshold; the score is the highest on the common scale.

    Stops at the first that passes: those after it are not asked, nor paid for, unless `every` is set. If one
    abstains and none passes, it abstains. A decisive pass is decisive. It watches a stream if all of its members
    do.
    """
    return AnyOf(gates, threshold=threshold, every=every)


def weighted(weights: "Mapping[G, float] | Iterable[tuple[Gate, float]]", *, threshold: float = HALF) -> Weighted:
    """The weighted mean of the scores, calibrated but not put on a common scale: members' thresholds play no part.

    The mean is over those that did not abstain; if all did, it abstains. A verdict that is beyond doubt settles it
    alone, and those after it are not asked: a text that does not parse is not mended by sure tokens. It needs the
    whole reply.
    """
    return Weighted(weights, threshold=threshold)


def first_decisive(*gates: Gate, reject_below: float = 0.0, threshold: float = HALF) -> FirstDecisive:
    """Asks in order, cheap gates first, until one decides; those after it are not asked, nor paid for.

    A gate decides when it is beyond doubt, when its score reaches its own threshold, or when its score is below
    `reject_below`. If none does, the last that did not abstain has the word, which is then a rejection; if all
    abstained, it abstains. The score is on the common scale. It needs the whole reply.
    """
    return FirstDecisive(gates, reject_below=reject_below, threshold=threshold)


def level(verdict: Verdict, threshold: float) -> float | None:
    """A verdict's score on the scale on which the threshold is at a half; beyond doubt it is 0 or 1."""
    score = verdict.score
    if score is None or (threshold == HALF and not verdict.decisive):
        return score
    if verdict.decisive:
        return 1.0 if score >= HALF else 0.0
    if score < threshold:  # which rounding must not hide
        return min(UNDER, HALF * score / threshold)
    return 1.0 if threshold >= 1.0 else min(1.0, HALF + HALF * (score - threshold) / (1.0 - threshold))


def unlevel(found: float, threshold: float) -> float:
    """The score that stands at this place of the common scale."""
    if found <= HALF:
        return threshold * (found / HALF)
    return threshold + (found - HALF) / HALF * (1.0 - threshold)


def spoke(verdicts: Sequence[Verdict]) -> str:
    """How many of them did not abstain."""
    return f"{sum(verdict.score is not None for verdict in verdicts)} of {len(verdicts)} gates"


def _pair(given: Any) -> tuple[Gate, float]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        msg = f"weighted is given gates with their weights, not {given!r}"
        raise ConfigError(msg)
    gate, weight = given
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not (isfinite(weight) and weight > 0):
        msg = f"the weight of {gate!r} must be a number above zero, not {weight!r}"
        raise ConfigError(msg)
    return gate, float(weight)


def _heard(member: Gate, judged: Verdict) -> Verdict:
    """A member's verdict, calibrated; one with a score that is none, from a gate of the user's, is an abstention."""
    verdict = member.calibrated(judged)
    if verdict.score is None or 0.0 <= verdict.score <= 1.0:
        return verdict
    return Verdict(None, f"{verdict.score!r} is no score from 0 to 1", verdict.parts)


def _names(members: Sequence[Gate]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    names = []
    for member in members:
        name = member.name or type(member).__name__.lower()
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(names)
