"""Routing that obeys what was earned: the lanes of a policy file, which may be replaced while a server runs.

`admission.admit` writes the file; `Cascade(small, large, lanes=Admitted("admitted.json"))` goes by it: a request whose
task was not admitted enters at the large tier, and so does one whose task is not in the file. Like any lane it yields
to the caller's own `min_tier` and `max_tier`. Needs no numpy.
"""

import logging
import os
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from datetime import UTC, datetime
from datetime import date as calendar_date
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from fastcascade._core import Clock
from fastcascade.answers import Entrance
from fastcascade.effects import Effect, Outcome
from fastcascade.errors import ConfigError
from fastcascade.evals.earned import Admission, AdmissionRow, Earned
from fastcascade.lanes import Lane, Lanes
from fastcascade.ledger import Ledger
from fastcascade.messages import Request
from fastcascade.notices import NoticeKind, notify

if TYPE_CHECKING:
    from fastcascade.semantic import SemanticRoutes

__all__ = ["Admission", "AdmissionFile", "AdmissionRow", "Admitted", "Earned"]

By: TypeAlias = Literal["task", "route", "customer", "feature"]
NEWS: Final[NoticeKind] = "admission"
log: Final = logging.getLogger("fastcascade")


class AdmissionFile:
    """A policy file, read again when it was replaced.

    A new file that is broken, or gone, changes nothing: the policy that was read last holds, and a notice says so.

    Args:
        path: what `fastcascade admit --to` wrote. It must be whole when it is read first.
        every: seconds between two looks at whether it was replaced, by the request that comes next: one `stat`, some
            microseconds on a local disk. None looks only when `reload` is called.
        days: a notice says so, once a day, where the cases are older than so many days, or nobody knows how old.
        clock: what `every` goes by; for tests.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every: float | None = 10.0,
        days: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Read it."""
        if every is not None and not every > 0:
            raise ConfigError(f"every must be a number of seconds above 0, or None, not {every!r}")
        if days is not None and days < 1:
            raise ConfigError(f"days must be 1 at least, or None, not {days!r}")
        self.path, self.every, self.days = Path(path), every, days
        self._now: Callable[[], float] = time.monotonic if clock is None else clock.now
        self._lock = Lock()
        self._told: tuple[Admission, calendar_date] | None = None
        self._seen = self._marks()
        self._admission = Admission.load(self.path)
        self._next = self._now() + (every or 0.0)
        self._tell_age()

    @property
    def admission(self) -> Admission:
        """What holds now; looks first whether the file was replaced, if that is due."""
        if self.every is not None and self._now() >= self._next and self._lock.acquire(blocking=False):
            try:
                self._next = self._now() + self.every
                self._look()
            finally:
                self._lock.release()
        return self._admission

    def reload(self) -> bool:
        """Read the file now, and say whether the policy is another. What is broken is raised, and the old one holds."""
        with self._lock:
            before, self._seen = self._admission, self._marks()
            self._admission = Admission.load(self.path)
            self._tell_age()
            return self._admission != before

    def __repr__(self) -> str:
        """Show the path."""
        return f"AdmissionFile({str(self.path)!r})"

    def _look(self) -> None:
        marks = self._marks()
        if marks != self._seen:
            self._seen = marks
            try:
                self._admission = Admission.load(self.path)
            except ConfigError as error:
                notify(NEWS, str(self.path), f"{error}; the policy that was read before it holds on")
            else:
                log.info("%s was read anew: admitted are %s", self.path, sorted(self._admission.admitted))
        self._tell_age()

    def _marks(self) -> tuple[int, ...] | None:
        """What tells one version of the file from the next."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _tell_age(self) -> None:
        if self.days is None:
            return
        today, held = datetime.now(UTC).date(), self._admission
        if self._told is not None and self._told[0] is held and self._told[1] == today:
            return
        self._told = (held, today)
        if not held.date:
            notify(NEWS, str(self.path), f"nobody knows how old the admission is, and it may be {self.days} days old")
        elif (age := (today - calendar_date.fromisoformat(held.date)).days) > self.days:
            said = f"the admission is {age} days old, and may be {self.days}: record anew, and admit"
            notify(NEWS, str(self.path), said)


class Admitted(Lanes):
    """Lanes by which a request goes large unless its task has been admitted.

    Args:
        admission: what was earned, or its file: a path is looked at every ten seconds; see `AdmissionFile`.
        lanes: rules for those that were admitted, as in `Lanes`; or whole lanes of your own, which then have all
            that follows but `by` in themselves. Who goes large by them, does so for their reason.
        by: what of a request names its slice: task, route, customer or feature. A request without one is admitted
            only where the cases without a slice were. With semantic routes it may be the route that they find.
        large_tasks: tasks that go large, admitted or not.
        large_customers: kinds of customer that do.
        large: the name of the large tier; the last one by default.
        regenerated_within: as in `Lanes`.
        semantic: as in `Lanes`.
        semantic_timeout: as in `Lanes`.
        clock: what `regenerated_within` goes by; for tests.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        admission: Admission | AdmissionFile | str | os.PathLike[str],
        lanes: Sequence[Lane] | Lanes = (),
        *,
        by: By = "task",
        large_tasks: Collection[str] = (),
        large_customers: Collection[str] = (),
        large: str = "",
        regenerated_within: float | None = None,
        semantic: "SemanticRoutes | None" = None,
        semantic_timeout: float = 2.0,
        clock: Clock | None = None,
    ) -> None:
        """Read what was earned."""
        if by not in get_args(By):
            raise ConfigError(f"by must be one of {', '.join(get_args(By))}, not {by!r}")
        told = large_tasks or large_customers or large or regenerated_within is not None or semantic is not None
        if isinstance(lanes, Lanes) and told:
            raise ConfigError("lanes of your own hold their settings themselves: say large, semantic and such there")
        self._rules = rules = (
            lanes
            if isinstance(lanes, Lanes)
            else Lanes(
                lanes,
                large_tasks=large_tasks,
                large_customers=large_customers,
                large=large,
                regenerated_within=regenerated_within,
                semantic=semantic,
                semantic_timeout=semantic_timeout,
                clock=clock,
            )
        )
        super().__init__(
            rules.lanes,
            large_tasks=rules.large_tasks,
            large_customers=rules.large_customers,
            large=rules.large,
            semantic=rules.semantic,
            semantic_timeout=rules.semantic_timeout,
        )
        self._seen = rules._seen  # noqa: SLF001 - one memory, which a copy of these lanes may be made to do without
        self.by: By = by
        self._source = AdmissionFile(admission) if isinstance(admission, str | os.PathLike) else admission

    @property
    def admission(self) -> Admission:
        """What was earned, as it holds now."""
        source = self._source
        return source if isinstance(source, Admission) else source.admission

    def reload(self) -> bool:
        """Read the file now, and say whether the policy is another; what is broken is raised, and the old one holds."""
        return isinstance(self._source, AdmissionFile) and self._source.reload()

    def check(self, places: Mapping[str, int]) -> None:
        """Refuse rules that name tiers which are not there."""
        self._rules.check(places)

    def find_route(self, request: Request, ledger: Ledger) -> Generator[Effect, Outcome, Request]:
        """As the rules do."""
        if self.semantic is None and self._rules.semantic is not None:  # turned off in this copy
            return request
        return (yield from self._rules.find_route(request, ledger))

    def choose(
        self, request: Request, places: Mapping[str, int], sticky: int = 0, *, remember: bool = True
    ) -> Entrance:
        """As the rules say where the request's slice was admitted, else at the large tier."""
        chosen = self._rules.choose(request, places, sticky, remember=remember and self._seen is not None)
        why = self._not_admitted(request)
        large = places[self.large] if self.large else len(places) - 1
        if not why or chosen.first >= large:
            return chosen
        bounded = self._bounds(request, places)
        return Entrance(min(max(large, sticky, bounded.first), bounded.last), bounded.last, why)

    def _not_admitted(self, request: Request) -> str:
        name = getattr(request, self.by)
        if name in self.admission.admitted:
            return ""
        return f"{self.by} {name} is not admitted" if name else f"it has no {self.by}, and such are not admitted"
