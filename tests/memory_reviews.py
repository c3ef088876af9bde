"""A store of reviews that is obviously right: a dict, in one process, with nothing to be killed.

What it keeps goes through JSON, as in a store on disk. While it is `off`, every call raises `StoreError`. With
`deaf`, a call is carried out and then raises: the answer of a store that got lost on the way.
"""

import json
from dataclasses import replace
from functools import lru_cache
from typing import cast

from fastcascade.errors import StoreError
from fastcascade.messages import Reply
from fastcascade.records import dump, load
from fastcascade.stores.reviews import Answered, Counts, Review, ReviewState

ENDED = ("answered", "expired")


@lru_cache(10_000)
def loaded(text: str) -> Review:
    """A review from its JSON."""
    return cast("Review", load(json.loads(text)))


class MemoryReviews:
    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.again: dict[str, float | None] = {}  # when a callback is due next; None is never
        self.off = False
        self.deaf: set[str] = set()
        self.asked: list[str] = []

    def all(self) -> list[Review]:
        """Everything, leases too, oldest first."""
        return sorted(map(loaded, self.kept.values()), key=lambda review: (review.created, review.id))

    def _reached(self, verb: str) -> None:
        self.asked.append(verb)
        if self.off:
            raise StoreError("the store is off")

    def _done(self, verb: str) -> None:
        if verb in self.deaf:
            raise StoreError("the store's answer was lost")

    def _put(self, review: Review) -> Review:
        self.kept[review.id] = json.dumps(dump(review))
        return replace(review, lease="")

    def _held(self, ticket: str) -> Review | None:
        return loaded(self.kept[ticket]) if ticket in self.kept else None

    async def add(self, review: Review, /) -> Review:
        self._reached("add")
        held = self._held(review.id)
        shown = replace(held, lease="") if held else self._put(review)
        self._done("add")
        return shown

    async def get(self, ticket: str, /) -> Review | None:
        self._reached("get")
        held = self._held(ticket)
        return replace(held, lease="") if held else None

    async def claim(self, reviewer: str, now: float, lease: float, ticket: str = "", /) -> Review | None:
        self._reached("claim")
        free = [
            review
            for review in self.all()
            if review.state == "waiting" or (review.state == "claimed" and (review.leased_until or 0.0) <= now)
        ]
        if ticket:
            own = [review for review in self.all() if review.state == "claimed" and review.reviewer == reviewer]
            free = [review for review in (*free, *own) if review.id == ticket]
        if not free:
            return None
        first = min(free, key=lambda review: (review.due is None, review.due, review.created))
        count = first.claims + 1
        claimed = replace(
            first,
            state="claimed",
            reviewer=reviewer,
            lease=f"lease {count} of {first.id}",
            leased_until=now + lease,
            claims=count,
        )
        self._put(claimed)
        self._done("claim")
        return claimed

    def _under(self, ticket: str, lease: str) -> Review | None:
        held = self._held(ticket)
        return held if held and held.state == "claimed" and lease and held.lease == lease else None

    async def renew(self, ticket: str, lease: str, until: float, /) -> bool:
        self._reached("renew")
        held = self._under(ticket, lease)
        if held:
            self._put(replace(held, leased_until=until))
        return held is not None

    async def release(self, ticket: str, lease: str, /) -> bool:
        self._reached("release")
        held = self._under(ticket, lease)
        if held:
            self._put(replace(held, state="waiting", reviewer="", lease="", leased_until=None))
        return held is not None

    async def answer(self, ticket: str, lease: str, reply: Reply, now: float, note: str = "", /) -> Answered:
        self._reached("answer")
        held = self._held(ticket)
        if held is None:
            return "unknown"
        if held.state == "answered":
            same = held.lease == lease and held.answer is not None and held.answer.content == reply.content
            return "again" if same else "taken"
        if self._under(ticket, lease) is None:
            return "lapsed"
        self._put(replace(held, state="answered", leased_until=None, answer=reply, ended=now, note=note))
        self._done("answer")
        return "done"

    async def expire(self, now: float, /) -> list[Review]:
        self._reached("expire")
        over = [
            review
            for review in self.all()
            if review.due is not None
            and review.due <= now
            and (review.state == "waiting" or (review.state == "claimed" and (review.leased_until or 0.0) <= now))
        ]
        return [self._put(replace(review, state="expired", lease="", leased_until=None, ended=now)) for review in over]

    async def listed(self, state: ReviewState | None = None, after: str = "", limit: int = 100, /) -> list[Review]:
        self._reached("listed")
        every = self.all()
        places = [place for place, review in enumerate(every) if review.id == after]
        later = every[places[0] + 1 :] if places else ([] if after else every)
        return [replace(review, lease="") for review in later if state is None or review.state == state][:limit]

    async def counts(self) -> Counts:
        self._reached("counts")
        every = self.all()
        count = {state: sum(review.state == state for review in every) for state in ("waiting", "claimed", *ENDED)}
        waits = [review.created for review in every if review.state == "waiting"]
        uncalled = sum(self._wants_call(review) for review in every)
        return Counts(**count, oldest=min(waits, default=None), uncalled=uncalled)

    def _wants_call(self, review: Review) -> bool:
        return bool(review.callback) and not review.called and self._due_call(review) is not None

    def _due_call(self, review: Review) -> float | None:
        return self.again.get(review.id, review.ended)

    async def due_callbacks(self, now: float, lease: float, limit: int = 10, /) -> list[Review]:
        self._reached("due_callbacks")
        due = [review for review in self.all() if self._wants_call(review) and (self._due_call(review) or 0.0) <= now]
        for review in due[:limit]:
            self.again[review.id] = now + lease
        return [replace(review, lease="") for review in due[:limit]]

    async def called_back(self, ticket: str, taken: bool, again: float | None, /) -> None:
        self._reached("called_back")
        held = self._held(ticket)
        if held is None or not self._wants_call(held):
            return
        self._put(replace(held, called=taken, calls=held.calls + 1))
        self.again[ticket] = again
        self._done("called_back")

    async def purge(self, before: float, /) -> int:
        self._reached("purge")
        old = [
            review
            for review in self.all()
            if review.ended is not None and review.ended < before and not self._wants_call(review)
        ]
        for review in old:
            del self.kept[review.id]
        return len(old)

    async def aclose(self) -> None:
        self._reached("aclose")
