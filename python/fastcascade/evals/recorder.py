"""Record once, decide for ever: every tier, sample and judge is asked each case, and what they say is kept and graded.

What is in the file already is not asked again: a call that had an answer, a case that is whole. Calls that failed are
asked again in the next sitting. Another cascade, or another question under the same id, is recorded anew; another truth
(expected, rubric, grader) is graded anew from the replies that are there.
"""

import asyncio
import json
import tomllib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import ConfigError, NoAnswer
from fastcascade.evals.graders import Exact, Grade, Grader, grader_for
from fastcascade.evals.meter import Meter, Metered, Ticket
from fastcascade.evals.noting import everything, looked
from fastcascade.evals.runs import Listed, Runs, Tiered
from fastcascade.messages import Budget, Usage
from fastcascade.recording import Recording
from fastcascade.tiers import CHARACTERS_PER_TOKEN, rate_of

if TYPE_CHECKING:
    from fastcascade._core import Clock
    from fastcascade.backends.backend import Backend
    from fastcascade.cascade import Cascade
    from fastcascade.effects import Outcome
    from fastcascade.evals.cases import Case

__all__ = ["Recorded", "Recorder", "version_of"]

NOT_ASKED: Final = frozenset(
    {"accept", "threshold", "reject_below", "calibration", "quality", "quota", "tokens", "pool", "policy", "budget"}
    | {"fallbacks", "bulkhead", "sessions", "hedge", "last_resort", "abstain"}
)
"""Settings that decide what is made of an answer, or how fast it is asked for, and not what it says."""
AROUND: Final = 2_000
"""Characters that a grading judge is told beside what it grades."""
REASONS: Final = 3
"""Of the reasons why replies could not be graded, so many are told."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """How far a recording has got.

    `rest_usd` is what the cases that are left are expected to cost: as much each as those in the file did on average;
    where none is there yet, the tiers' own estimates, without what gates and graders ask. None: it is not known.
    """

    total: int
    asked: int  # cases of which calls were made, and which are whole now, or as whole as they would get
    kept: int  # cases that were there already
    failed: int  # cases in which a call failed: these are asked again next time
    ungraded: int  # replies that no grade could be given
    graded_anew: int  # cases that were there, and of which only grades were missing or out of date
    changed: tuple[str, ...]  # cases under whose id something else had been asked
    cascade_changed: bool
    left: int
    spent_usd: float
    file_usd: float
    rest_usd: float | None
    stopped: str = ""
    why_ungraded: Mapping[str, int] = field(default_factory=dict)  # the commonest reasons that graders gave

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "changed": list(self.changed), "why_ungraded": dict(self.why_ungraded)}

    def __str__(self) -> str:
        """Tell it in a few lines."""
        lines = []
        if self.cascade_changed:
            lines.append("the cascade is another than this file holds: every case is recorded anew")
        if self.changed:
            named = ", ".join(self.changed[:5]) + (", ..." if len(self.changed) > 5 else "")
            lines.append(f"{len(self.changed)} changed cases are recorded anew: {named}")
        if self.graded_anew:
            lines.append(f"{self.graded_anew} cases were graded anew, from the replies that were there")
        done = self.total - self.left
        lines.append(
            f"{done} of {self.total} cases recorded: {self.asked} now, {self.kept} before; {self.failed} failed"
            f"; {self.ungraded} replies ungraded; ${self.spent_usd:.4f} now, ${self.file_usd:.4f} in all"
        )
        lines += [f"{times} replies ungraded: {why}" for why, times in self.why_ungraded.items()]
        if self.left:
            rest = "an unknown sum" if self.rest_usd is None else f"${self.rest_usd:.4f}"
            lines.append(f"{self.stopped or 'stopped'}: {self.left} cases are left, which are expected to cost {rest}")
        return "\n".join(lines)


@dataclass(slots=True)
class _Sitting:
    """What is counted while it runs."""

    asked: int = 0
    failed: int = 0
    ungraded: int = 0
    graded_anew: int = 0
    done: int = 0
    why_ungraded: Counter[str] = field(default_factory=Counter)


class Recorder:
    """Records a cascade on cases, into a file.

    Args:
        cascade: what is recorded. Its thresholds, policy, budget and fallbacks play no part.
        runs: where it is kept.
        version: tells this cascade from others: `version_of(file)` where it comes from a file.
        grader: for cases that name none of their own; None leaves those ungraded.
        named: what the grader is called: under another name all is graded anew.
        judge: the model that graders which cases name themselves may ask.
        trust: whether cases may name graders that run code.
        cap_usd: dollars that the file may cost in all, earlier sittings among it.
        concurrency: calls at once, and cases at once.
        per_minute: calls a minute; None is no bound. Functions and rules are not counted.
        clock: what the rate goes by.
        sleep: how it is waited for.
        progress: told how many cases are done, of how many, and the dollars spent on the file.
    """

    def __init__(  # noqa: PLR0913 - the settings of one thing, named
        self,
        cascade: "Cascade",
        runs: Runs,
        *,
        version: str,
        grader: Grader | None = None,
        named: str = "",
        judge: "Backend | None" = None,
        trust: bool = False,
        cap_usd: float | None = None,
        concurrency: int = 4,
        per_minute: float | None = None,
        clock: "Clock | None" = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        progress: Callable[[int, int, float], object] | None = None,
    ) -> None:
        """Check the bounds."""
        if concurrency < 1:
            raise ConfigError(f"concurrency is how many calls are made at once, 1 or more, not {concurrency!r}")
        if cap_usd is not None and not cap_usd >= 0:
            raise ConfigError(f"a cap must be dollars, 0 or more, not {cap_usd!r}")
        if cap_usd is not None:
            for tier in cascade.tiers:
                if tier.rate(cascade.prices) is None:
                    msg = f"a cap needs the price of every model, and that of tier {tier.name!r} is not known"
                    raise ConfigError(f"{msg}; give it a price, or install 'fastcascade[prices]'")
        self.every = everything(cascade)
        self.runs, self.version, self.grader, self.named = runs, version, grader, named
        self.judge, self.trust, self.concurrency = judge, trust, concurrency
        self.progress = progress or (lambda *_: None)
        self.meter = Meter(
            runs, cap_usd=cap_usd, concurrency=concurrency, per_minute=per_minute, clock=clock, sleep=sleep
        )
        self._tiers = {tier.name: tier for tier in self.every.rungs}
        self._sitting = _Sitting()
        self._cascade = 0

    async def run(self, cases: Sequence["Case"]) -> Recorded:
        """Record what is missing. When cancelled, what is under way is waited for, and kept."""
        graders = [self._grader(case) for case in cases]  # one that cannot be made is told of before all else
        listing = self.runs.listing(self.version, [tier.name for tier in self.every.tiers], cases)
        self._cascade, self._sitting = listing.cascade, _Sitting()
        todo = iter(list(zip(cases, listing.cases, graders, strict=True)))
        self.progress(0, len(cases), self.meter.spent)
        workers = [asyncio.create_task(self._work(todo, len(cases))) for _ in range(self.concurrency)]
        stop = asyncio.create_task(self.meter.stop.wait())
        try:
            waiting: set[asyncio.Task[Any]] = set(workers)
            while waiting and not stop.done():
                done, _ = await asyncio.wait({*waiting, stop}, return_when=asyncio.FIRST_COMPLETED)
                for each in done - {stop}:
                    each.result()
                waiting -= done
        finally:
            for each in (stop, *workers):
                each.cancel()
            await asyncio.gather(stop, *workers, return_exceptions=True)
            await self.meter.drained()
        return self._recorded(cases, listing.cases, changed=listing.changed)

    def _recorded(self, cases: Sequence["Case"], listed: Sequence[Listed], *, changed: bool) -> Recorded:
        sitting, meter = self._sitting, self.meter
        left = len(cases) - sitting.done
        return Recorded(
            len(cases),
            sitting.asked,
            sum(each.recorded and not each.failed for each in listed),
            sitting.failed,
            sitting.ungraded,
            sitting.graded_anew,
            tuple(case.id for case, each in zip(cases, listed, strict=True) if each.changed),
            changed,
            left,
            meter.spent - meter.began,
            meter.spent,
            self._rest(cases, left),
            f"the cap of ${meter.cap:g} is reached" if meter.stop.is_set() else "",
            dict(sitting.why_ungraded.most_common(REASONS)),
        )

    def _rest(self, cases: Sequence["Case"], left: int) -> float | None:
        if not left:
            return 0.0
        if mean := self.runs.mean_usd(self._cascade):
            return left * mean
        found = [tier.estimate(cases[-1].request, self.every.prices) for tier in self.every.tiers]
        return None if None in found else left * sum(each or 0.0 for each in found)

    async def _work(self, todo: Iterator[tuple["Case", Listed, Grader | None]], total: int) -> None:
        for case, listed, grader in todo:
            failed = False
            if not listed.recorded or listed.failed:
                failed = await self._ask(case, listed)
                self._sitting.asked += 1
            by = self._graded_by(case) if grader is not None else ""
            wanting = self._wanting(listed, by)
            for tier in wanting:
                await self._grade(case, listed, grader, by, tier)
            self._sitting.graded_anew += bool(wanting) and listed.recorded and not listed.failed
            tiers = self.runs.tiers(self._cascade, listed.seq)
            ungraded = [tier.reason for tier in tiers if tier.grade is None and not tier.failure]
            self._sitting.ungraded += len(ungraded)
            # A reason that names its case would be another to each.
            self._sitting.why_ungraded.update(why.replace(f"case {case.id!r}", "the case") for why in ungraded if why)
            self._sitting.failed += failed
            self._sitting.done += 1
            self.progress(self._sitting.done, total, self.meter.spent)

    async def _ask(self, case: "Case", listed: Listed) -> bool:
        """Make the calls that are missing, and write the case down; whether any failed."""
        at = (self._cascade, listed.seq)
        kept = self.runs.kept(*at)
        driver = Metered(self.meter, self._tiers, self.every.prices, at, kept)
        request = replace(case.request, budget=Budget(deadline=None))
        try:
            answer = await driver.run(self.every.flow(request, driver.clock(), replaying=True))
        except NoAnswer as error:
            answer = error.answer
        outcomes: dict[str, Outcome] = {
            label: kept.get(label, outcome) if outcome.failure is None else outcome
            for label, outcome in answer.outcomes.items()
        }
        # The route that was found for it is kept: finding it anew would need the embedder.
        asked = replace(answer.request, budget=case.request.budget)
        recording = Recording(asked, outcomes, answer.entrance)
        failures = [f"{label}: {each.failure.kind}" for label, each in outcomes.items() if each.failure is not None]
        self.runs.finish(*at, recording, looked(self.every, recording), ", ".join(failures))
        return bool(failures)

    # Grading.

    def _grader(self, case: "Case") -> Grader | None:
        if case.grader is None:
            return self.grader
        return grader_for(case, self.grader or Exact(), judge=self.judge, trust=self.trust)

    def _wanting(self, listed: Listed, by: str) -> list[Tiered]:
        """The tiers that have no grade, or one by something else."""
        if not by:
            return []
        tiers = self.runs.tiers(self._cascade, listed.seq)
        return [tier for tier in tiers if not tier.failure and (tier.grade is None or tier.graded_by != by)]

    async def _grade(self, case: "Case", listed: Listed, grader: Grader | None, by: str, tier: Tiered) -> None:
        paid = self._paid(grader, case, tier)

        async def job(ticket: Ticket) -> tuple[None, float]:
            grade = Grade(0.0, "it had no answer")
            if grader is not None and tier.reply is not None:
                grade = await grader.grade(case, tier.reply)
            cost = grade.cost_usd if grade.priced else max(grade.cost_usd, ticket.once)
            graded = replace(tier, grade=grade.score, reason=grade.reason, graded_by=by)
            self.runs.grade(ticket.number, cost, self._cascade, listed.seq, graded)
            return None, cost

        await self.meter.through("grader", paid or 0.0, job, free=paid is None)

    def _paid(self, grader: Grader | None, case: "Case", tier: Tiered) -> float | None:
        """What a grade may cost; None where the grader asks no model."""
        backend, judge = getattr(grader, "backend", None), getattr(grader, "judge", None)
        if backend is None or judge is None or tier.reply is None or getattr(backend, "free", False):
            return None
        price = rate_of(backend, getattr(grader, "sheet", None) or self.every.prices)
        if price is None:
            if self.meter.cap is not None:
                raise ConfigError("a cap needs the price of every model, and that of the grader's judge is not known")
            return 0.0
        shown = case.request.size + len(tier.reply) + len(case.expected or "") + len(case.rubric or "") + AROUND
        once = price.cost(Usage(shown // CHARACTERS_PER_TOKEN, judge.max_tokens))
        return once * (2 if getattr(grader, "beside", None) and getattr(grader, "swap", False) else 1)

    def _graded_by(self, case: "Case") -> str:
        """Tells what a case is graded by from what it may be graded by later."""
        by = [case.grader or self.named or type(self.grader).__name__, case.expected, case.rubric]
        return sha256(json.dumps(by).encode()).hexdigest()[:16]


def version_of(path: str | Path) -> str:
    """Tells a cascade in a file from others, by all settings that can change what its models say or cost.

    Thresholds, calibrations, policies, budgets, quotas, pools and fallbacks can not: a recording serves for all of
    them. What stands elsewhere (a function's code, a secret, an environment variable) is known by its name alone.
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    lanes = document.pop("lanes", None)  # every tier is asked; but what a case is about is found when it is recorded
    if isinstance(lanes, dict) and "semantic" in lanes:
        document["lanes"] = {"semantic": lanes["semantic"]}
    return sha256(json.dumps(_asked(document), sort_keys=True, default=str).encode()).hexdigest()


def _asked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _asked(each) for name, each in value.items() if name not in NOT_ASKED}
    return [_asked(each) for each in value] if _is_list(value) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str)
