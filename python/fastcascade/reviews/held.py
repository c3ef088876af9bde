"""Answers that are held back for some seconds, so that whoever gave one can think better of it.

    held = HeldAnswers()
    until = await held.hold(desk, claimed, "Your parcel is at the gate.", seconds=10.0)
    undone = await held.undo(desk, "ann", ticket)               # the review again, under a new lease; or None: too late
    came = await held.send(desk, ticket, lease)                 # at once

An answer that is held back is in this process's memory alone. If that is killed in the meantime, the answer is lost and
the review goes back to waiting when its lease has lapsed; what is closed in order sends what it holds.

Who undoes claims the review anew, which makes the lease of the answer under way worthless. So the store decides, and
between any processes: either the answer was kept before, and nothing was undone; or it was undone, and is never kept.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from fastcascade.errors import RequestError, StoreError
from fastcascade.reviews.labels import picked

if TYPE_CHECKING:
    from fastcascade.messages import Reply
    from fastcascade.reviews.desk import ReviewDesk
    from fastcascade.stores.reviews import Answered, Review

__all__ = ["HeldAnswers", "Pick"]

Pick: TypeAlias = int | Literal["best", "none"]
FIRST_AGAIN: Final = 0.5
TRIES: Final = 8
"""While the store is off: over a minute, in which the lease may lapse."""

log: Final = logging.getLogger("fastcascade")


@dataclass(slots=True)
class _Held:
    desk: "ReviewDesk"
    ticket: str
    reviewer: str
    lease: str
    reply: "str | Reply | None"
    pick: Pick | None
    note: str
    until: float
    timer: asyncio.TimerHandle | None = None
    sending: "asyncio.Task[Answered | None] | None" = None


class HeldAnswers:
    """Those of one process, on one event loop.

    Args:
        now: seconds since 1970.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """None yet."""
        self._now = now
        self._held: dict[str, _Held] = {}

    def __len__(self) -> int:
        """How many are held back, or on their way."""
        return len(self._held)

    def until(self, ticket: str, reviewer: str) -> float | None:
        """When this reviewer's answer to this one goes out; None where none is held here."""
        held = self._held.get(ticket)
        return None if held is None or held.reviewer != reviewer else held.until

    async def hold(
        self,
        desk: "ReviewDesk",
        review: "Review",
        reply: "str | Reply | None" = None,
        *,
        seconds: float,
        pick: Pick | None = None,
        note: str = "",
    ) -> float | None:
        """Keep the answer back, and answer when the time is over. Comes to when that is; None if it is not held.

        Given again under the same lease it takes the place of the one before. Raises `RequestError` where there is
        nothing to answer with, and `StoreError`.
        """
        if (reply is None) == (pick is None):
            raise RequestError("an answer is a text or a reply, or the pick of one; not both")
        picked(review, reply, pick)  # refused now, rather than in some seconds
        if not await desk.renew(review):
            return None
        before = self._held.get(review.id)
        if before is not None and before.lease == review.lease and before.sending is not None:
            await before.sending
            return before.until
        if before is not None:
            self._drop(before)
        held = _Held(desk, review.id, review.reviewer, review.lease, reply, pick, note, self._now() + seconds)
        self._held[review.id] = held
        held.timer = asyncio.get_running_loop().call_later(seconds, self._begin, held)
        return held.until

    async def undo(self, desk: "ReviewDesk", reviewer: str, ticket: str) -> "Review | None":
        """Take the answer back, wherever it is held. Comes to the review under a new lease; None if it is too late."""
        claimed = await desk.claim(reviewer, ticket)
        held = self._held.get(ticket)
        if held is not None and claimed is not None and held.lease != claimed.lease:
            self._drop(held)
        return claimed

    async def send(self, desk: "ReviewDesk", ticket: str, lease: str) -> "Answered | None":
        """Answer at once with what is held here under this lease; None where nothing is, or the store is away."""
        held = self._held.get(ticket)
        if held is None or held.lease != lease or held.desk is not desk:
            return None
        return await asyncio.shield(self._begin(held))

    async def aclose(self) -> None:
        """Send all that is held back; what cannot be sent now goes back to waiting when its lease has lapsed."""
        sending = [self._begin(held) for held in list(self._held.values())]
        if sending:
            _, late = await asyncio.wait(sending, timeout=FIRST_AGAIN * 4)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _begin(self, held: _Held) -> "asyncio.Task[Answered | None]":
        if held.timer is not None:
            held.timer.cancel()
        if held.sending is None:
            held.sending = asyncio.get_running_loop().create_task(self._sent(held))
        return held.sending

    async def _sent(self, held: _Held) -> "Answered | None":
        """Answer, again and again while the store is off: the same words under the same lease are kept once."""
        wait = FIRST_AGAIN
        try:
            for number in range(TRIES):
                try:
                    given: dict[str, Any] = {"pick": held.pick, "lease": held.lease, "note": held.note}
                    return await held.desk.answer(held.ticket, held.reply, **given)
                except StoreError:
                    if number + 1 < TRIES:
                        await asyncio.sleep(wait)
                wait *= 2
            log.warning("an answer to a review was not kept: its store is away; it goes back to waiting")
        except RequestError as error:
            log.warning("an answer to a review was not kept: %s", type(error).__name__)
        finally:
            self._forget(held)
        return None

    def _drop(self, held: _Held) -> None:
        """Let go of one that was undone. What is on its way already comes to nothing: its lease is worth nothing."""
        if held.timer is not None:
            held.timer.cancel()
        self._forget(held)

    def _forget(self, held: _Held) -> None:
        if self._held.get(held.ticket) is held:
            del self._held[held.ticket]
