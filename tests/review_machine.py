"""A naive model of a store of reviews, and the state machine that drives any store beside it; see reviews.py."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

import fastcascade.answers  # noqa: F401 - makes requests and replies readable
from fastcascade.messages import Reply, Request, Text, ToolCall
from fastcascade.stores.reviews import Answered, Counts, Review, ReviewState, ReviewStore

__all__ = ["Make", "Place", "ReviewMachine", "listed", "machine_for", "review"]

Make: TypeAlias = Callable[[], ReviewStore]
Place: TypeAlias = Callable[[], AbstractContextManager[Make]]
STATES: Final[tuple[ReviewState, ...]] = ("waiting", "claimed", "answered", "expired")


def review(ticket: str, created: float = 0.0, **fields: Any) -> Review:
    """A review, as a cascade would add it."""
    asked = fields.pop("asked", f"asked of {ticket}")
    return Review(ticket, Request.of(asked), fields.pop("why", "failed"), created, **fields)


async def listed(store: ReviewStore, state: ReviewState | None = None, limit: int = 1_000) -> list[Review]:
    """All of them, page by page."""
    found: list[Review] = []
    while page := await store.listed(state, found[-1].id if found else "", limit):
        found += page
    return found


# --- the model -------------------------------------------------------------------------------------------------------


@dataclass
class Model:
    """A store as it would be if nothing could go wrong: a dictionary, and no order but what is worked out anew."""

    reviews: dict[str, Review] = field(default_factory=dict)  # as `get` shows them
    leases: dict[str, str] = field(default_factory=dict)  # by ticket, the last that was given
    calls: dict[str, float] = field(default_factory=dict)  # by ticket, when the callback is to be made

    def free(self, now: float) -> list[Review]:
        """Those that may be claimed."""
        return [
            each
            for each in self.reviews.values()
            if each.state == "waiting"
            or (each.state == "claimed" and each.leased_until is not None and each.leased_until <= now)
        ]

    def first(self, now: float) -> tuple[float, float] | None:
        """When that was due and made which is to be handed out next."""
        return min(((inf if each.due is None else each.due, each.created) for each in self.free(now)), default=None)

    def claimed(self, got: Review) -> None:
        """Note to whom it went."""
        self.reviews[got.id] = replace(got, lease="")
        self.leases[got.id] = got.lease

    def holds(self, ticket: str, lease: str) -> bool:
        """Whether the review is held under this lease."""
        known = self.reviews.get(ticket)
        return known is not None and known.state == "claimed" and self.leases[ticket] == lease

    def answer(self, ticket: str, lease: str, reply: Reply, now: float, note: str) -> Answered:
        """Take an answer, or say why not."""
        known = self.reviews.get(ticket)
        if known is None:
            return "unknown"
        if known.state == "answered":
            own = self.leases.get(ticket) == lease
            return "again" if own and known.answer is not None and known.answer.content == reply.content else "taken"
        if not self.holds(ticket, lease):
            return "lapsed"
        self.end(replace(known, state="answered", answer=reply, note=note), now)
        return "done"

    def end(self, known: Review, now: float) -> Review:
        """It is over."""
        self.reviews[known.id] = ended = replace(known, ended=now, leased_until=None)
        if known.callback:
            self.calls[known.id] = now
        return ended

    def expire(self, now: float) -> list[Review]:
        """End what is due."""
        due = [each for each in self.free(now) if each.due is not None and each.due <= now]
        return [self.end(replace(each, state="expired"), now) for each in due]

    def called_back(self, ticket: str, taken: bool, again: float | None) -> None:
        """Note how it went."""
        if ticket in self.calls:
            known = self.reviews[ticket]
            self.reviews[ticket] = replace(known, calls=known.calls + 1, called=taken)
            if taken or again is None:
                del self.calls[ticket]
            else:
                self.calls[ticket] = again

    def purge(self, before: float) -> int:
        """Forget what is over."""
        over = [
            each.id
            for each in self.reviews.values()
            if each.ended is not None and each.ended < before and each.id not in self.calls
        ]
        for ticket in over:
            del self.reviews[ticket]
        return len(over)

    def listed(self, state: ReviewState | None = None) -> list[Review]:
        """The oldest first."""
        found = [each for each in self.reviews.values() if state in (None, each.state)]
        return sorted(found, key=lambda each: each.created)

    def counts(self) -> Counts:
        """How many of each."""
        sizes = {state: len(self.listed(state)) for state in STATES}
        oldest = min((each.created for each in self.listed("waiting")), default=None)
        return Counts(**sizes, oldest=oldest, uncalled=len(self.calls))


# --- the machine -----------------------------------------------------------------------------------------------------

texts = st.text(max_size=8)
times = st.integers(0, 60).map(float)
replies = st.sampled_from([Reply("yes"), Reply("no"), Reply((Text("see"), ToolCall("1", "look", '{"at": "it"}')))])
traces = st.dictionaries(texts, st.none() | st.integers() | st.lists(texts | st.floats(allow_nan=False)), max_size=2)


class ReviewMachine(RuleBasedStateMachine):
    """Drives stores in one place beside the model. Time goes on only by `tick`."""

    tickets = Bundle("tickets")
    leases = Bundle("leases")
    place: Place
    clients = 2

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.opened = self.place()
        self.make = self.opened.__enter__()
        self.stores = [self.make() for _ in range(self.clients)]
        self.model = Model()
        self.now = 10.0
        self.made = 0

    def teardown(self) -> None:
        for store in self.stores:
            self.run(store.aclose())
        self.opened.__exit__(None, None, None)
        self.runner.close()

    def run(self, work: Awaitable[Any]) -> Any:
        async def waited() -> Any:
            return await work

        return self.runner.run(waited())

    def one(self, client: int) -> ReviewStore:
        return self.stores[client % len(self.stores)]

    @rule(
        target=tickets,
        client=st.integers(0, 9),
        created=times,
        due=st.none() | times,
        asked=texts,
        callback=st.sampled_from(["", "https://example.org/told"]),
        best=st.none() | replies,
        trace=traces,
        slice_=texts,
    )
    def add(self, client: int, created: float, asked: str, best: Reply | None, slice_: str, **fields: Any) -> str:
        self.made += 1
        # Never two of one age: which of them comes first is not promised.
        new = review(f"r{self.made}", created + self.made / 1_000, asked=asked, best=best, slice=slice_, **fields)
        assert self.run(self.one(client).add(new)) == new
        self.model.reviews[new.id] = new
        return new.id

    @rule(client=st.integers(0, 9), ticket=tickets, asked=texts)
    def add_again(self, client: int, ticket: str, asked: str) -> None:
        if ticket in self.model.reviews:
            assert self.run(self.one(client).add(review(ticket, 5.0, asked=asked))) == self.model.reviews[ticket]

    @rule(target=leases, client=st.integers(0, 9), reviewer=texts, lease=st.integers(1, 20))
    def claim(self, client: int, reviewer: str, lease: int) -> Any:
        first = self.model.first(self.now)
        got = self.run(self.one(client).claim(reviewer, self.now, float(lease)))
        if got is None:
            assert first is None
            return multiple()
        before = self.model.reviews[got.id]
        assert first == (inf if before.due is None else before.due, before.created)
        assert got.lease and got.lease not in self.model.leases.values()
        assert got == replace(
            before,
            state="claimed",
            reviewer=reviewer,
            lease=got.lease,
            leased_until=self.now + lease,
            claims=before.claims + 1,
        )
        self.model.claimed(got)
        return got.id, got.lease

    @rule(target=leases, client=st.integers(0, 9), ticket=tickets, reviewer=texts, lease=st.integers(1, 20))
    def claim_one(self, client: int, ticket: str, reviewer: str, lease: int) -> Any:
        before = self.model.reviews.get(ticket)
        got = self.run(self.one(client).claim(reviewer, self.now, float(lease), ticket))
        own = before is not None and before.state == "claimed" and before.reviewer == reviewer
        if before is None or not (own or before in self.model.free(self.now)):
            assert got is None
            return multiple()
        assert got is not None and got.lease and got.lease not in self.model.leases.values()
        until = self.now + lease
        changed: Any = {"state": "claimed", "reviewer": reviewer, "leased_until": until, "claims": before.claims + 1}
        assert got == replace(before, lease=got.lease, **changed)
        self.model.claimed(got)
        return got.id, got.lease

    @rule(client=st.integers(0, 9), held=leases, longer=st.integers(1, 20))
    def renew(self, client: int, held: tuple[str, str], longer: int) -> None:
        until = self.now + 20 + longer
        holds = self.model.holds(*held)
        assert self.run(self.one(client).renew(*held, until)) is holds
        if holds:
            self.model.reviews[held[0]] = replace(self.model.reviews[held[0]], leased_until=until)

    @rule(client=st.integers(0, 9), held=leases)
    def release(self, client: int, held: tuple[str, str]) -> None:
        holds = self.model.holds(*held)
        assert self.run(self.one(client).release(*held)) is holds
        if holds:
            known = self.model.reviews[held[0]]
            self.model.reviews[held[0]] = replace(known, state="waiting", reviewer="", leased_until=None)

    @rule(client=st.integers(0, 9), held=leases, reply=replies, note=texts)
    def answer(self, client: int, held: tuple[str, str], reply: Reply, note: str) -> None:
        got = self.run(self.one(client).answer(*held, reply, self.now, note))
        assert got == self.model.answer(*held, reply, self.now, note)

    @rule(client=st.integers(0, 9), ticket=tickets, lease=st.sampled_from(["", "made up"]), reply=replies)
    def answer_without(self, client: int, ticket: str, lease: str, reply: Reply) -> None:
        store = self.one(client)
        assert self.run(store.answer(ticket, lease, reply, self.now)) == self.model.answer(
            ticket, lease, reply, self.now, ""
        )
        assert not self.run(store.renew(ticket, lease, 1e9))
        assert not self.run(store.release(ticket, lease))

    @rule(seconds=st.integers(1, 15))
    def tick(self, seconds: int) -> None:
        self.now += seconds

    @rule(client=st.integers(0, 9))
    def expire(self, client: int) -> None:
        got = self.run(self.one(client).expire(self.now))
        assert {each.id: each for each in got} == {each.id: each for each in self.model.expire(self.now)}

    @rule(client=st.integers(0, 9), lease=st.integers(1, 20), limit=st.integers(0, 3))
    def due_callbacks(self, client: int, lease: int, limit: int) -> None:
        due = {ticket: at for ticket, at in self.model.calls.items() if at <= self.now}
        got = self.run(self.one(client).due_callbacks(self.now, float(lease), limit))
        assert len(got) == len({each.id for each in got}) == min(limit, len(due))
        assert sorted(due.values())[: len(got)] == sorted(due[each.id] for each in got)
        for each in got:
            assert each == self.model.reviews[each.id]
            self.model.calls[each.id] = self.now + lease

    @rule(client=st.integers(0, 9), ticket=tickets, taken=st.booleans(), again=st.none() | st.integers(0, 20))
    def called_back(self, client: int, ticket: str, taken: bool, again: int | None) -> None:
        when = None if again is None else self.now + again
        self.run(self.one(client).called_back(ticket, taken, when))
        self.model.called_back(ticket, taken, when)

    @rule(client=st.integers(0, 9), ago=st.integers(0, 30))
    def purge(self, client: int, ago: int) -> None:
        assert self.run(self.one(client).purge(self.now - ago)) == self.model.purge(self.now - ago)

    @rule(client=st.integers(0, 9), state=st.none() | st.sampled_from(STATES), limit=st.integers(1, 4))
    def pages(self, client: int, state: ReviewState | None, limit: int) -> None:
        assert self.run(listed(self.one(client), state, limit)) == self.model.listed(state)

    @rule(client=st.integers(0, 9), ticket=tickets)
    def get(self, client: int, ticket: str) -> None:
        assert self.run(self.one(client).get(ticket)) == self.model.reviews.get(ticket)

    @rule(client=st.integers(0, 9))
    def leave(self, client: int) -> None:
        self.run(self.one(client).aclose())
        self.stores[client % len(self.stores)] = self.make()

    @invariant()
    def agree(self) -> None:
        if hasattr(self, "model"):
            assert self.run(self.stores[0].counts()) == self.model.counts()
            assert self.run(self.stores[-1].listed(None, "", 1_000)) == self.model.listed()


def machine_for(place: Place) -> type[ReviewMachine]:
    """The state machine for the stores of such places; each run begins in a new one."""
    return type("Reviews", (ReviewMachine,), {"place": staticmethod(place)})
