"""The review desk: requests that a person is to answer, and everybody who has to do with them.

    desk = ReviewDesk(store, sla=4 * 3600)
    review = await desk.submit(request, "failed")            # the caller holds review.id, the ticket
    claimed = await desk.claim("ann")                        # the reviewer
    await desk.answer(claimed, "Your parcel is at the gate.")
    review = await desk.wait(ticket, timeout=60)             # the caller again; review.answer is there

`desk.serve()` runs beside it, in one process or in several: it ends what is overdue and makes callbacks.
"""

import asyncio
import hmac
import inspect
import json
import logging
import random
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, Final, Literal

from fastcascade.blocks import nothing
from fastcascade.errors import ConfigError, RequestError, StoreError
from fastcascade.messages import Reply, Request
from fastcascade.records import write_line
from fastcascade.reviews.bells import Bells, rung
from fastcascade.reviews.callbacks import Callbacks
from fastcascade.reviews.grades import tell_grade
from fastcascade.reviews.labels import case, picked, whole
from fastcascade.reviews.signatures import Secret, Secrets, keys_of
from fastcascade.reviews.upkeep import SERVE, Tidied, Upkeep
from fastcascade.stores.reviews import Answered, Counts, Review, ReviewStore, Why

__all__ = ["ReviewDesk", "Tidied"]

DAY: Final = 86_400.0
QUICKEST: Final = 0.1
SLOWEST: Final = 5.0
"""Seconds between two looks at the store, of who waits for an answer from another process."""
PAGE: Final = 100

log: Final = logging.getLogger("fastcascade")


class ReviewDesk:
    """Takes requests that a person is to answer, hands them to reviewers, and brings the answers back.

    Args:
        store: keeps the reviews; it says whether that is for this machine or for several.
        sla: seconds in which a review is to be answered, after which it expires; None is no end.
        lease: seconds a reviewer has, unless renewed, before another may take the review.
        sample: the share of requests that `sampled` draws, to be checked by a person.
        callbacks: URL prefixes that may be called back, and nothing else; or `Callbacks`, for more say in it.
        secret: what callbacks are signed with; see `Callbacks`.
        clock: seconds since 1970; for tests.
        keep: seconds for which what has ended is kept.
        on_answer: called with each review that is answered through this desk, plain or async; once, and not at all
            where the process dies or the store's word is lost at that moment: `cases` has every answer.
        slice_of: the kind of case a request is, for the evals; by default its route or its task.
        key: makes the tickets of requests that have an id, so that one submitted again is the same review. Give
            every process of one store the same, as a secret that only they know; by default each desk has its own,
            and a request submitted to two of them makes two reviews.
        draw: gives numbers from 0 to 1, for `sampled`.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        store: ReviewStore,
        *,
        sla: float | None = DAY,
        lease: float = 300.0,
        sample: float = 0.0,
        callbacks: "Collection[str] | Mapping[str, Secrets] | Callbacks" = (),
        secret: Secrets | None = None,
        clock: Callable[[], float] = time.time,
        keep: float = 30 * DAY,
        on_answer: Callable[[Review], object] | None = None,
        slice_of: Callable[[Request], str] | None = None,
        key: Secret | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Check the settings."""
        for name, bad in (
            ("sla", sla is not None and not sla > 0),
            ("lease", not 0 < lease < inf),
            ("sample", not 0 <= sample <= 1),
            ("keep", not keep > 0),
        ):
            if bad:
                msg = f"a review desk's {name} cannot be {locals()[name]!r}"
                raise ConfigError(msg)
        if isinstance(callbacks, Callbacks) and secret is not None:
            raise ConfigError("a review desk's callbacks have their secrets already; give `secret` to Callbacks")
        self.store = store
        self.sla = sla
        self.lease = lease
        self.sample = sample
        self.keep = keep
        self.callbacks = callbacks if isinstance(callbacks, Callbacks) else Callbacks(callbacks, secret)
        self._clock = clock
        self._on_answer = on_answer
        self._listeners: list[Callable[[Review], object]] = []
        self._slice_of = slice_of or _slice
        self._key = keys_of(key)[0] if key is not None else secrets.token_bytes(32)
        self._draw = draw
        self._bells = Bells()
        self._upkeep = Upkeep(store, self.callbacks, self._bells, clock, keep)

    def __repr__(self) -> str:
        """Show what matters of it."""
        return f"ReviewDesk({self.store!r}, sla={self.sla}, lease={self.lease:g})"

    # The cascade's side, and the caller's.

    def sampled(self) -> bool:
        """Draw whether a person is to check this one, though it has an answer."""
        return self.sample > 0.0 and self._draw() < self.sample

    async def submit(
        self,
        request: Request,
        why: Why,
        best: Reply | None = None,
        trace: Mapping[str, Any] | None = None,
        callback: str = "",
    ) -> Review:
        """Have a person answer it. When this returns, the review is kept for good; its id is the caller's ticket.

        A request that has an id, submitted again for the same reason by the same customer and user with the same
        conversation, is the same review: what comes back may be answered already. Raises `RequestError` where the
        callback is not allowed or the request holds what cannot be kept, `StoreError` where the store is off.
        """
        if callback:
            self.callbacks.check(callback)
        now = self._clock()
        try:
            review = Review(
                self._ticket(request, why),
                request,
                why,
                created=now,
                due=None if self.sla is None else now + self.sla,
                best=best,
                trace=nothing() if trace is None else trace,
                slice=self._kind(request),
                callback=callback,
            )
            return await self.store.add(review)
        except ConfigError as error:
            msg = f"this request cannot be kept for review: {error}"
            raise RequestError(msg) from None

    async def get(self, ticket: str) -> Review | None:
        """The review as it stands; None if there is none, or no longer."""
        return await self.store.get(ticket)

    async def wait(self, ticket: str, timeout: float | None = None) -> Review:  # noqa: ASYNC109 - comes back with less
        """The review when it has ended, or as it stands after so many seconds.

        Comes at once where it is answered in this process, and else within five seconds. While the store is off it
        goes on; `StoreError` is raised only if there was nothing from it to the end.
        """
        loop = asyncio.get_running_loop()
        until = inf if timeout is None else loop.time() + timeout
        interval = QUICKEST
        found: Review | None = None
        while True:
            off: StoreError | None = None
            with self._bells.hung(ticket) as bell:  # before looking, so that nothing falls in between
                try:
                    found = await self.store.get(ticket)
                    if found is None:
                        raise RequestError("there is no review with this ticket, or no longer")
                    if found.state in {"answered", "expired"}:
                        return found
                except StoreError as error:
                    off = error
                left = until - loop.time()
                if left > 0:
                    await rung(bell, min(interval, left))
                elif found is not None:
                    return found
                elif off is not None:
                    raise off
            interval = min(interval * 1.5, SLOWEST)

    # The reviewer's side.

    async def claim(self, reviewer: str, ticket: str = "") -> Review | None:
        """Take the one that is due first, if any waits. It holds the right to answer, for `lease` seconds.

        With a ticket, that one or none. A name is one person: who holds it already gets a new lease for it, and the
        old one is worth nothing from then on. So one comes back to it after a crash, and takes back what is under way.
        """
        if not reviewer:
            raise RequestError("a reviewer must have a name")
        given = (ticket,) if ticket else ()  # stores of an older make take no ticket
        return await self.store.claim(reviewer, self._clock(), self.lease, *given)

    async def renew(self, review: Review | str, lease: str = "") -> bool:
        """Hold it for another `lease` seconds from now. False if another has it, or may have."""
        ticket, lease = _right(review, lease)
        return await self.store.renew(ticket, lease, self._clock() + self.lease)

    async def release(self, review: Review | str, lease: str = "") -> bool:
        """Give it back unanswered. False if it was not held any more."""
        ticket, lease = _right(review, lease)
        return await self.store.release(ticket, lease)

    async def answer(
        self,
        review: Review | str,
        reply: str | Reply | None = None,
        *,
        pick: int | Literal["best", "none"] | None = None,
        lease: str = "",
        note: str = "",
    ) -> Answered:
        """Answer what was claimed: in one's own words, or by picking what an attempt said, or the best so far.

        One that was `sampled` is graded by it: right where the answer says what the caller got, else wrong; "none" is
        wrong without a better one. `telemetry.HUB` is told the grade.

        `review` is what `claim` gave, or a ticket with its lease. Comes to "done" or "again" where this answer
        stands, and else to why not: "lapsed", "taken" or "unknown". After a `StoreError` it is safe to answer
        again with the same words. Raises `RequestError` where there is nothing to answer with.
        """
        ticket, lease = _right(review, lease)
        if (reply is None) == (pick is None):
            raise RequestError("an answer is a text or a reply, or the pick of one; not both")
        held = await self.store.get(ticket) if isinstance(review, str) else review
        if held is None:
            return "unknown"
        chosen = picked(held, reply, pick)
        now = self._clock()
        try:
            came = await self.store.answer(ticket, lease, chosen, now, note)
        except ConfigError as error:
            msg = f"this answer cannot be kept: {error}"
            raise RequestError(msg) from None
        if came in {"done", "again"}:
            self._bells.ring(ticket)
            self._bells.ring(SERVE)
        if came == "done":
            kept = replace(held, state="answered", lease="", leased_until=None, answer=chosen, ended=now, note=note)
            await self._hear(kept)
        return came

    async def counts(self) -> Counts:
        """How much there is of each state."""
        return await self.store.counts()

    # Upkeep.

    async def tidy(self) -> Tidied:
        """One round: end what is overdue, make the callbacks that are due, drop what is old."""
        return await self._upkeep.tidy()

    async def serve(self, every: float = 1.0) -> None:
        """Tidy every so many seconds, until cancelled. While the store is off it tries less and less often."""
        await self._upkeep.serve(every)

    async def aclose(self) -> None:
        """Close the store."""
        await self.store.aclose()

    def listen(self, listener: Callable[[Review], object]) -> None:
        """Have each review that is answered through this desk told to a plain function too, as a cascade does."""
        self._listeners.append(listener)

    # For the evals.

    async def cases(self) -> AsyncIterator[dict[str, Any]]:
        """Every answered review that is still kept, once, as a labelled case; oldest first."""
        after = ""
        seen: set[str] = set()
        while True:
            page = await self.store.listed("answered", after, PAGE)
            for review in page:
                if review.id not in seen:
                    seen.add(review.id)
                    yield case(review)
            if page:
                after = page[-1].id
            elif after and await self.store.get(after) is None:
                after = ""  # it was dropped meanwhile, and with it the place in the list
            else:
                return

    async def export(self, path: str | Path) -> int:
        """Write the cases as JSON, one to a line; how many.

        The file is there whole or not at all, and for its owner alone: it holds what people asked.
        """
        count = 0
        with whole(Path(path)) as file:
            async for each in self.cases():
                file.write(json.dumps(each, allow_nan=False) + "\n")
                count += 1
        return count

    def _ticket(self, request: Request, why: Why) -> str:
        if not request.id:
            return f"rv_{secrets.token_urlsafe(18)}"
        # More than the id, which callers may choose: one must not come to see another's review by it.
        said = write_line([request.id, why, request.customer, request.user, request.system, request.messages])
        digest = hmac.digest(self._key, said.encode(), "sha256")
        return f"rv_{urlsafe_b64encode(digest[:18]).decode()}"

    def _kind(self, request: Request) -> str:
        try:
            return str(self._slice_of(request) or "")
        except Exception as error:  # noqa: BLE001 - a user's function; the review matters more than what it is called
            log.warning("the slice_of of a review desk failed: %s", type(error).__name__)
            return ""

    async def _hear(self, review: Review) -> None:
        tell_grade(review, self.sample)
        for listener in self._listeners if review.answer and not review.answer.empty else ():
            with suppress(Exception):  # what keeps answers must not lose one
                listener(review)
        if self._on_answer is None:
            return
        try:
            came = self._on_answer(review)
            if inspect.isawaitable(came):
                await came
        except Exception as error:  # noqa: BLE001 - the answer is kept, whatever becomes of it here
            log.warning("the on_answer of a review desk failed: %s", type(error).__name__)


def _right(review: Review | str, lease: str) -> tuple[str, str]:
    ticket = review if isinstance(review, str) else review.id
    held = lease or ("" if isinstance(review, str) else review.lease)
    if not held:
        raise RequestError("a review can be answered only by who has claimed it: its lease is missing")
    return ticket, held


def _slice(request: Request) -> str:
    return request.route or request.task
