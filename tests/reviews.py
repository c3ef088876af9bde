"""What every store of reviews must do, to be run on any of them.

`machine_for` makes a state machine that drives a store beside a naive model; `PROMISES` are cases that each take an
empty place. A place is a function that makes a store in it: all the stores it makes hold the same reviews, as
processes that share a file or a server do.

    TestReviews = machine_for(place).TestCase    # place: a context manager that gives such a function

    @pytest.mark.parametrize("promise", PROMISES, ids=named)
    def test_promises(promise, make): asyncio.run(kept(promise, make))
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from typing import Any, Final, TypeAlias

from fastcascade.messages import Message, Reply, Request, Text, Tool, ToolCall, Usage
from fastcascade.stores.reviews import Counts, Review, ReviewStore
from review_machine import Make, Place, ReviewMachine, listed, machine_for, review

__all__ = [
    "PROMISES",
    "Make",
    "Place",
    "Promise",
    "ReviewMachine",
    "kept",
    "listed",
    "machine_for",
    "named",
    "quick_folder",
    "review",
]

Promise: TypeAlias = Callable[[Make], Coroutine[Any, Any, None]]


def quick_folder() -> str | None:
    """A folder in memory where the machine has one: how slow its disk is, is not what is tested."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - files with names of their own


def named(promise: Promise) -> str:
    """What a promise is called among the tests."""
    return getattr(promise, "__name__", "").removeprefix("_")


async def kept(promise: Promise, make: Make) -> None:
    """Run one; every store it makes is closed after it."""
    made: list[ReviewStore] = []

    def noted() -> ReviewStore:
        made.append(make())
        return made[-1]

    try:
        await promise(noted)
    finally:
        for store in made:
            await store.aclose()


@asynccontextmanager
async def claimed(make: Make, lease: float = 10.0, **fields: Any) -> AsyncIterator[tuple[ReviewStore, Review]]:
    """A review that was claimed at nought."""
    store = make()
    await store.add(review("one", **fields))
    got = await store.claim("ann", 0.0, lease)
    assert got is not None
    yield store, got


WHOLE: Final = {
    "plain": review("plain"),
    "full": Review(
        "full",
        Request(
            (Message("user", "how much?"), Message("assistant", (Text("one moment"), ToolCall("1", "price", "{}")))),
            system=(Text("be brief"),),
            tools=(Tool("price", "what it costs"),),
            stop=("END", "\n"),
            schema={"type": "object", "kind:": "a name that means something to us"},
            customer="gold",
            priority=3,
            idempotency="key",
        ),
        "unsure",
        1_700_000_000.123456,
        due=1_700_000_060.5,
        best=Reply("perhaps 3", "small", usage=Usage(10, 2), cost_usd=1e-05, logprobs=()),
        trace={"attempts": [{"tier": "small", "score": 0.25, "seen": (1, 2)}], "took": inf, "kinds": {1, 2}},
        slice="prices",
        callback="https://example.org/told?of=this&and=that",
    ),
    "odd texts": review(
        "odd", asked="\x00 \ud800 \u2028 \U0001f375 \r\n\t \"quoted\" 'too' \\ {} %s", slice="\x7f\x85"
    ),
    "odd ticket": review("t/\u00e4?%20:*'\";--\n\U0001f375"),
    "long": review("long", asked="prompt " * 50_000),
    "empty": review("empty", asked="", best=Reply("")),
    "before 1970": review("before", -5.5, due=-1.25),
}


async def _kept_whole(make: Make) -> None:
    """What is added comes back as it was, whatever texts are in it, also from another store."""
    for each in WHOLE.values():
        assert await make().add(each) == each, each.id
    for each in WHOLE.values():
        assert await make().get(each.id) == each, each.id
    assert sorted(each.id for each in await listed(make())) == sorted(each.id for each in WHOLE.values())


async def _odd_words(make: Make) -> None:
    """An answer, a note and a reviewer's name come back as they were, whatever letters are in them."""
    odd = "\x00 \u2028 \U0001f375 \"'\\ \r\n"
    async with claimed(make) as (store, got):
        await store.release("one", got.lease)
        again = await store.claim(odd, 0.0, 10.0)
        assert again is not None and again.reviewer == odd
        assert await store.answer("one", again.lease, Reply(f"{odd}\ud800"), 1.0, f"{odd}\udfff") == "done"
        shown = await make().get("one")
        assert shown is not None
        assert (shown.answer, shown.note, shown.reviewer) == (Reply(f"{odd}\ud800"), f"{odd}\udfff", odd)


async def _nothing_there(make: Make) -> None:
    """Of what is not there, nothing comes, whatever it is called."""
    store = make()
    for ticket in ("", "none", "*", "\x00", "\ud800", "%", "a" * 10_000):
        assert await store.get(ticket) is None
        assert await store.answer(ticket, "", Reply("?"), 0.0) == "unknown"
        assert not await store.renew(ticket, "", 1.0)
        assert not await store.release(ticket, "")
        await store.called_back(ticket, True, None)
        assert await store.listed(None, ticket or "none") == []
    assert await store.claim("ann", 0.0, 1.0) is None
    assert (
        await store.expire(1e12) == [] and await store.due_callbacks(1e12, 1.0) == [] and await store.purge(1e12) == 0
    )
    assert await store.counts() == Counts()


async def _added_once(make: Make) -> None:
    """A ticket that is there already keeps its review, claimed, answered or not, and adding tells how it stands."""
    async with claimed(make) as (store, got):
        other = review("one", 99.0, asked="something else")
        assert await make().add(other) == replace(got, lease="")
        assert await store.answer("one", got.lease, Reply("yes"), 1.0) == "done"
        standing = await store.add(other)
        assert (standing.state, standing.answer, standing.request) == ("answered", Reply("yes"), got.request)


async def _due_first(make: Make) -> None:
    """They are handed out as they are due, those without a due time last, and the oldest of them first."""
    store = make()
    rows = [("e", 1.0, None), ("b", 9.0, 50.0), ("d", 0.5, None), ("a", 8.0, 5.0), ("c", 0.0, 60.0)]
    for ticket, created, due in rows:
        await store.add(review(ticket, created, due=due))
    got = [await make().claim("ann", 10.0, 5.0) for _ in range(6)]
    # One that is overdue is handed out like any other, until `expire` ends it.
    assert [each.id if each else None for each in got] == ["a", "b", "c", "d", "e", None]
    again = await store.claim("bob", 15.0, 5.0)
    assert again is not None and (again.id, again.claims) == ("a", 2)


LAPSES: Final = [
    # how the claim ended, when another comes, whether the other gets it, what becomes of the first one's answer
    ("held", 9.75, False, "done"),
    ("held", 10.0, True, "lapsed"),
    ("held", 99.0, True, "lapsed"),
    ("renewed", 10.0, False, "done"),
    ("renewed", 20.0, True, "lapsed"),
    ("released", 0.0, True, "lapsed"),
]


async def _lapses(make: Make) -> None:
    """A lease holds until its end and not at it; whoever comes then has the review, and the first one's is too late."""
    store = make()
    for number, (how, when, handed, came) in enumerate(LAPSES):
        ticket = f"r{number}"
        await store.add(review(ticket))
        first = await store.claim("ann", 0.0, 10.0)
        assert first is not None and first.id == ticket
        if how == "renewed":
            assert await store.renew(ticket, first.lease, 20.0)
        elif how == "released":
            assert await store.release(ticket, first.lease)
        other = await make().claim("bob", when, 10.0)
        assert (other is not None) is handed, how
        assert await store.answer(ticket, first.lease, Reply("first"), when) == came
        assert await store.renew(ticket, first.lease, 1e9) is False
        if other is not None:
            assert other.lease != first.lease
            assert await store.answer(ticket, other.lease, Reply("other"), when) == "done"


async def _late_answer(make: Make) -> None:
    """An answer that comes after the lease has lapsed is kept, as long as nobody else has claimed the review."""
    async with claimed(make) as (store, got):
        assert await store.answer("one", got.lease, Reply("late"), 1_000.0) == "done"
    assert await store.claim("bob", 2_000.0, 1.0) is None


async def _released_answer(make: Make) -> None:
    """Whoever gave a review back cannot answer it any more, claimed by another or not."""
    async with claimed(make) as (store, got):
        assert await store.release("one", got.lease)
        assert await store.answer("one", got.lease, Reply("?"), 1.0) == "lapsed"
        assert await store.release("one", got.lease) is False
        shown = await store.get("one")
        assert shown is not None and (shown.state, shown.reviewer, shown.leased_until) == ("waiting", "", None)


async def _answered_once(make: Make) -> None:
    """The first answer stays; the same words again are no error, others and another's are not kept."""
    async with claimed(make) as (store, got):
        assert await store.answer("one", got.lease, Reply("first"), 1.0, "sure") == "done"
        first = await store.get("one")
        assert await make().answer("one", got.lease, Reply("first"), 2.0, "sure") == "again"
        assert await store.answer("one", got.lease, Reply("second"), 2.0) == "taken"
        assert await store.answer("one", "made up", Reply("first"), 2.0) == "taken"
        assert await store.answer("one", "", Reply("first"), 2.0) == "taken"
        assert await make().get("one") == first
        assert first is not None and (first.answer, first.ended, first.note) == (Reply("first"), 1.0, "sure")
        assert (first.reviewer, first.leased_until) == ("ann", None)


async def _answered_once_of_many(make: Make) -> None:
    """Of many answers at once, under one lease and under none, one is kept."""
    async with claimed(make) as (store, got):
        stores = [store, make(), make()]
        words = [Reply(f"answer {number}") for number in range(12)]
        leases = [got.lease if number % 3 else "made up" for number in range(12)]
        came = await asyncio.gather(
            *(stores[n % 3].answer("one", leases[n], each, 1.0) for n, each in enumerate(words))
        )
        assert came.count("done") == 1
        shown = await store.get("one")
        assert shown is not None and shown.answer == words[came.index("done")]


async def _one_holder(make: Make) -> None:
    """Many who claim at once get a review each, until there is none left."""
    stores = [make() for _ in range(3)]
    await asyncio.gather(*(stores[n % 3].add(review(f"r{n}", float(n))) for n in range(10)))
    got = await asyncio.gather(*(stores[n % 3].claim(f"reviewer {n}", 0.0, 10.0) for n in range(14)))
    assert sorted(each.id for each in got if each) == sorted(f"r{n}" for n in range(10))
    assert len({each.lease for each in got if each}) == 10


async def _lease_unseen(make: Make) -> None:
    """The right to answer is in what `claim` returns, and in nothing else that a store tells."""
    async with claimed(make, due=20.0, callback="https://example.org") as (store, got):
        seen = [
            await store.get("one"),
            await store.add(review("one")),
            *await store.listed(),
            *await store.expire(30.0),
        ]
        await store.add(review("two", callback="https://example.org"))
        two = await store.claim("ann", 0.0, 1.0)
        assert two is not None
        await store.answer("two", two.lease, Reply("yes"), 1.0)
        seen += [*await store.listed("answered"), *await store.due_callbacks(50.0, 1.0)]
        assert len(seen) == 7
        for each in seen:
            assert each is not None and not each.lease
            assert got.lease not in repr(each) and two.lease not in repr(each)


EXPIRIES: Final = [
    # due, the lease's end or None for unclaimed, now, whether it ends
    (10.0, None, 9.75, False),
    (10.0, None, 10.0, True),
    (None, None, 1e12, False),
    (10.0, 20.0, 10.0, False),
    (10.0, 20.0, 20.0, True),
    (30.0, 20.0, 20.0, False),
]


async def _expires(make: Make) -> None:
    """What is due ends, at its time and not before, and what is claimed only once its lease has lapsed."""
    store = make()
    for number, (due, until, now, ends) in enumerate(EXPIRIES):
        await store.add(review(f"r{number}", due=due))
        held = None if until is None else await store.claim("ann", 0.0, until)
        got = await make().expire(now)
        assert [each.id for each in got] == ([f"r{number}"] if ends else []), number
        if ends:
            assert got[0] == await store.get(f"r{number}")
            assert (got[0].state, got[0].ended, got[0].leased_until) == ("expired", now, None)
            assert await store.claim("bob", now, 1.0) is None
            if held is not None:
                assert await store.answer(held.id, held.lease, Reply("late"), now) == "lapsed"
        else:  # out of the way of the next
            held = held or await store.claim("ann", 0.0, 1.0)
            assert held is not None
            assert await store.answer(held.id, held.lease, Reply("yes"), now) == "done"
        assert await store.expire(now) == []


async def _many_expire(make: Make) -> None:
    """However many are due, all end, and each is told of once."""
    store = make()
    await asyncio.gather(*(store.add(review(f"r{n}", due=float(n % 7))) for n in range(1_203)))
    got = await store.expire(3.0)
    assert sorted(each.id for each in got) == sorted(f"r{n}" for n in range(1_203) if n % 7 <= 3)
    assert await store.expire(3.0) == []
    assert await store.purge(3.5) == len(got)
    assert (await store.counts()).waiting == 1_203 - len(got)


async def _calls_back(make: Make) -> None:
    """A callback is offered when its review has ended, to one at a time, until it was taken or given up."""
    url = "https://example.org/told"
    async with claimed(make, callback=url) as (store, got):
        await store.add(review("expired", due=1.0, callback=url))
        await store.add(review("silent", due=1.0))
        assert await store.due_callbacks(1e9, 5.0) == []
        await store.called_back("one", True, None)  # too early to mean anything
        assert await store.answer("one", got.lease, Reply("yes"), 2.0) == "done"
        assert {each.id for each in await store.expire(3.0)} == {"expired", "silent"}
        assert (await store.counts()).uncalled == 2
        assert [each.id for each in await store.due_callbacks(2.0, 5.0)] == ["one"]
        assert [each.id for each in await make().due_callbacks(3.0, 5.0)] == ["expired"]
        assert await store.due_callbacks(6.75, 5.0) == []
        assert [each.id for each in await store.due_callbacks(7.0, 5.0)] == ["one"]  # whoever was to call did not say
        await store.called_back("one", False, 100.0)
        await store.called_back("expired", False, None)
        assert await store.due_callbacks(99.75, 5.0) == []
        assert await store.purge(50.0) == 2
        offered = await store.due_callbacks(100.0, 5.0)
        assert [(each.id, each.calls, each.called, each.answer) for each in offered] == [
            ("one", 1, False, Reply("yes"))
        ]
        await store.called_back("one", True, None)
        await store.called_back("one", False, 101.0)  # whoever comes late changes nothing
        shown = await make().get("one")
        assert shown is not None and (shown.called, shown.calls) == (True, 2)
        assert await store.due_callbacks(1e9, 5.0) == [] and (await store.counts()).uncalled == 0


async def _one_caller(make: Make) -> None:
    """Many who ask at once which callbacks to make are told different ones."""
    stores = [make() for _ in range(3)]
    for number in range(9):
        await stores[0].add(review(f"r{number}", due=0.0, callback="https://example.org"))
    await stores[0].expire(0.0)
    offered = await asyncio.gather(*(stores[n % 3].due_callbacks(1.0, 10.0, 2) for n in range(6)))
    told = [each.id for some in offered for each in some]
    assert sorted(told) == sorted(f"r{number}" for number in range(9))


async def _pages(make: Make) -> None:
    """Pages follow one another without a gap, also when what was seen last has changed since."""
    store = make()
    for number in (3, 1, 4, 0, 2):
        await store.add(review(f"r{number}", float(number)))
    assert [each.id for each in await store.listed(None, "", 2)] == ["r0", "r1"]
    assert [each.id for each in await store.listed(None, "r1", 2)] == ["r2", "r3"]
    got = [await store.claim("ann", 9.0, 9.0) for _ in range(2)]
    assert [each.id for each in got if each] == ["r0", "r1"]
    assert [each.id for each in await store.listed("waiting", "r1", 2)] == ["r2", "r3"]
    assert [each.id for each in await store.listed("claimed", "", 9)] == ["r0", "r1"]
    assert [each.id for each in await store.listed("claimed", "r4", 9)] == []
    assert await store.listed("answered") == [] and await store.listed(None, "", 0) == []


async def _given_one(make: Make) -> None:
    """One may be claimed by its ticket, before those due sooner; held by another or ended, it is not to be had."""
    store = make()
    for ticket, due in (("soon", 5.0), ("late", 50.0)):
        await store.add(review(ticket, due=due))
    got = await store.claim("ann", 0.0, 10.0, "late")
    assert got is not None and (got.id, got.reviewer, got.leased_until, got.claims) == ("late", "ann", 10.0, 1)
    assert await make().claim("bob", 9.5, 10.0, "late") is None
    assert await store.claim("ann", 0.0, 10.0, "none") is None
    lapsed = await make().claim("bob", 10.0, 10.0, "late")
    assert lapsed is not None and await store.answer("late", got.lease, Reply("?"), 10.0) == "lapsed"
    assert await store.answer("late", lapsed.lease, Reply("yes"), 10.0) == "done"
    assert await store.claim("bob", 10.0, 10.0, "late") is None
    first = await store.claim("bob", 10.0, 10.0)
    assert first is not None and first.id == "soon"


async def _own_again(make: Make) -> None:
    """Whoever claims what is theirs already has a new lease for it, and an answer under the old one is not kept."""
    async with claimed(make) as (store, got):
        again = await make().claim("ann", 1.0, 10.0, "one")
        assert again is not None and again.lease != got.lease and again.leased_until == 11.0
        assert await store.answer("one", got.lease, Reply("old"), 1.0) == "lapsed"
        assert not await store.renew("one", got.lease, 1e9) and not await store.release("one", got.lease)
        assert await store.answer("one", again.lease, Reply("new"), 1.0) == "done"
        assert await store.claim("ann", 1.0, 10.0, "one") is None


PROMISES: Final[list[Promise]] = [
    _given_one,
    _own_again,
    _kept_whole,
    _odd_words,
    _nothing_there,
    _added_once,
    _due_first,
    _lapses,
    _late_answer,
    _released_answer,
    _answered_once,
    _answered_once_of_many,
    _one_holder,
    _lease_unseen,
    _expires,
    _many_expire,
    _calls_back,
    _one_caller,
    _pages,
]
