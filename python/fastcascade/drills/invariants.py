"""What must hold in a drill, whatever goes wrong. Each function says in sentences what does not."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from fastcascade.drills.load import Told
from fastcascade.drills.report import Shift
from fastcascade.fallbacks.hedge import RATIONED
from fastcascade.fallbacks.retry import RetryShare

if TYPE_CHECKING:
    from fastcascade.drills.places import Group, Place
    from fastcascade.drills.report import Calls
    from fastcascade.drills.twin import Twin

__all__ = [
    "amplified",
    "early",
    "failed_over",
    "late",
    "leaked",
    "lost",
    "not_back",
    "unkept",
    "unwell",
]

QUANTUM: Final = 0.001
"""Seconds a request may be late, in virtual time."""
REAL_QUANTUM: Final = 1.0
"""The same by a real clock, on a machine that has other things to do."""
DEFAULT: Final = RetryShare()
LEAST_PROMPT: Final = 12
"""Characters below which a prompt may turn up in a log by chance."""


def untested(struck: "Sequence[Calls]") -> Iterator[str]:
    """A drill that strikes somebody whom nobody asks shows nothing."""
    if struck and not any(each.before or each.during for each in struck):
        names = ", ".join(each.label for each in struck)
        yield f"nothing was tested: no request goes to {names}, which was struck; name another tier to strike"


def lost(all_told: Sequence[Told]) -> Iterator[str]:
    """Every request has an answer."""
    why = Counter(each.lost for each in all_told if each.lost)
    for reason, count in why.most_common():
        yield f"{count} of {len(all_told)} requests were lost ({reason})"


def late(all_told: Sequence[Told], *, virtual: bool) -> Iterator[str]:
    """Every request ends within its deadline."""
    quantum = QUANTUM if virtual else REAL_QUANTUM
    over = [each for each in all_told if each.took > each.deadline + quantum]
    if over:
        worst = max(over, key=lambda each: each.took - each.deadline)
        yield f"{len(over)} requests took longer than their deadline: {worst.took:.3f} s and not {worst.deadline:g} s"


def amplified(twin: "Twin", all_told: Sequence[Told], start: float, end: float, most: float) -> Iterator[str]:
    """An outage makes no more calls than the share allows, beside the few that a retry budget holds ready."""
    for place in twin.places:
        group = place.group
        if group.pool is None or place.local:
            continue
        under_way = sum(each.began < start < each.ended for each in all_told)
        asked = group.between(start, end)
        spare = DEFAULT.reserve + DEFAULT.refill * (end - start) + _hedges(group, asked)
        calls = place.backend.between(start, end)
        if calls > asked * most + under_way + spare:
            yield (
                f"{place.label} had {calls} calls in the fault's {end - start:g} s, {calls / max(1, asked):.2f} for "
                f"each time it was asked; {most:g} and {spare:.0f} more in all are promised"
            )


def _hedges(group: "Group", asked: int) -> float:
    hedge = group.pool.hedge if group.pool is not None else None
    if hedge is None:
        return 0.0
    return hedge.burst + asked * (hedge.share or (1.0 if hedge.percentile is None else RATIONED))


def early(places: Sequence["Place"]) -> Iterator[str]:
    """Nobody is called before the time that they have named."""
    for place in places:
        count = place.backend.early()
        if count:
            yield f"{place.label} was called {count} times before the time it had named (Retry-After)"


def unkept(twin: "Twin", all_told: Sequence[Told]) -> Iterator[str]:
    """Whoever has a ticket has a review."""
    missing = {each.ticket for each in all_told if each.ticket} - twin.store.reviews.keys()
    if missing:
        yield f"{len(missing)} callers hold tickets of reviews that were not kept"


def failed_over(shift: Shift, due: float | None, slack: float) -> Iterator[str]:
    """Others answer within the time that is promised."""
    if due is None:
        return
    for seconds, what in ((shift.first, "the first answer from elsewhere came"), (shift.all, "all came from there")):
        if seconds is None:
            yield f"{what} at no time during the fault; {due:g} s are promised"
        elif seconds > due + slack:
            yield f"{what} after {seconds:.1f} s; {due:g} s are promised"


def not_back(shift: Shift, due: float | None) -> Iterator[str]:
    """When all is well again, those answer who did so before."""
    if due is None:
        return
    if shift.all is None:
        yield f"{due:g} s and more after all was well, answers still do not come from where they came before"
    elif shift.all > due:
        yield f"it took {shift.all:.1f} s until all answers came from where they came before; {due:.1f} s are promised"


def unwell(twin: "Twin", home: set[str], now: float) -> Iterator[str]:
    """At the end nobody is left out who served before, and no call is under way that nobody waits for."""
    for place in twin.places:
        pool = place.group.pool
        instance = next((each for each in pool.instances if each.name == place.name), None) if pool else None
        if instance is None:
            continue
        if instance.outstanding:
            yield f"{place.label} has {instance.outstanding} calls under way that nobody waits for"
        wrong = [
            why
            for why, found in (
                ("active checks take it for dead", not instance.alive),
                ("it is left out for failing", instance.ejected_until > now),
                ("it waits for a time that it named", instance.closed_until > now),
                # Asked, since an open breaker is not known to have cooled down before that.
                ("its breaker lets nobody in", instance.circuit is not None and instance.circuit.admit(now) > 0.0),
            )
            if found
        ]
        if wrong and twin.labels(place) & home:
            yield f"{place.label} is still not well: {', '.join(wrong)}"


def leaked(all_told: Sequence[Told], said: Sequence[str]) -> Iterator[str]:
    """Nothing of what was asked is in a log or a notice."""
    prompts = {each.prompt for each in all_told if len(each.prompt) >= LEAST_PROMPT}
    heard = "\n".join(set(said))
    count = sum(prompt in heard for prompt in prompts)
    if count:
        yield f"{count} prompts are in the log or in a notice, word for word"
