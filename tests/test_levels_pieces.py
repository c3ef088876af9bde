"""The pieces of cache levels by themselves: marks, what waits to be told, memory, and the form of an entry."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Clock
from fastcascade.caching.levels import Levels
from fastcascade.caching.levels_entry import HEAD, VERSION, Draft, Held, read, weight_of, written
from fastcascade.caching.levels_memory import AWAY, Memory
from fastcascade.caching.levels_purges import ALL, Marks, Pending, key_mark, score, tag_mark
from fastcascade.shared.shared import Shared
from levels_pieces import KEY, gateways, lead_of, run, until
from redis_server import RedisServer

tags = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5, unique=True)
members = st.sampled_from([ALL, tag_mark("a"), tag_mark("b"), key_mark(b"k"), key_mark(b"other")])


@given(st.binary(max_size=200), st.floats(0, 1e6), st.floats(0, 1e6), tags, st.binary(max_size=50), st.booleans())
def test_an_entry_reads_back_as_it_was_written(
    value: bytes, fresh: float, stale: float, said: list[str], meta: bytes, negative: bool
) -> None:
    """With the server's time before it, each part is there again."""
    draft = Draft(value, fresh, stale, tuple(said), meta, negative)
    record = read(struct.pack(">d", 7.5) + written(draft, 12_345))
    assert record is not None
    assert (record.draft, record.born, record.serial) == (draft, 7.5, 12_345)


@given(st.binary(max_size=120), st.integers(0, 255), tags)
def test_bytes_that_were_cut_or_changed_never_raise(junk: bytes, at: int, said: list[str]) -> None:
    """They are an entry of this version, or None; and one that was cut within its head or tags is None."""
    read(junk)
    whole = struct.pack(">d", 1.0) + written(Draft(b"", 1.0, 0.0, tuple(said), b"meta"), 1)
    assert read(whole[: min(at, len(whole) - 1)]) is None
    spoiled = bytearray(whole)
    spoiled[at % len(whole)] ^= 0xFF
    read(bytes(spoiled))


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0, 1e300])
def test_an_entry_with_a_time_that_is_none_of_ours_is_none(place: int, number: float) -> None:
    """Neither when it was born nor how long it lives may be no number, without end, or before all time."""
    times = [1.0, 2.0, 3.0]
    assert read(HEAD.pack(*times, 4.0, b"nonce...", VERSION, 0, 0)) is not None
    times[place] = number
    assert read(HEAD.pack(*times, 4.0, b"nonce...", VERSION, 0, 0)) is None


@given(st.lists(st.tuples(members, st.integers(1, 50)), max_size=30), st.integers(1, 5))
def test_marks_never_make_valid_what_was_purged(added: list[tuple[bytes, int]], most: int) -> None:
    """However few are remembered, an entry needs at least the latest purge of its key, its tags and everything."""
    marks, last = Marks(most), dict.fromkeys([ALL, tag_mark("a"), tag_mark("b"), key_mark(b"k")], 0)
    for member, number in added:
        marks.add(member, number)
        last[member] = max(last.get(member, 0), number)
        least = max(last[ALL], last[tag_mark("a")], last[tag_mark("b")], last[key_mark(b"k")])
        assert marks.least_of(b"k", ["a", "b"]) >= least
        assert marks.least_of(b"k", []) >= max(last[ALL], last[key_mark(b"k")])
        assert len(marks) <= most
        assert marks.seen == max(number for number in last.values())
    assert marks.least(b"never named") == marks.floor


def test_marks_older_than_any_entry_are_dropped() -> None:
    """With a span, a mark goes once one is added that is later by more than that."""
    marks = Marks(span=1.0)
    marks.add(tag_mark("a"), score("1000-0"))
    marks.add(tag_mark("b"), score("3000-0"))
    assert len(marks) == 1
    assert marks.least_of(b"k", ["b"]) == score("3000-0")


@pytest.mark.parametrize(
    ("kept", "lost"),
    [
        ({b"o": 5, b"ta": 40}, False),
        ({b"o": 5}, True),
        ({}, True),
        ({b"o": 5, b"?ta": 1_000}, False),  # being told: heard, and not noted yet
        ({b"o": 5, b"?tb": 1_000}, True),
        ({b"o": 5, b"?ta": 50}, True),  # its teller died long ago
    ],
)
def test_what_redis_has_lost_is_told_from_what_is_being_told(kept: dict[bytes, int], lost: bool) -> None:
    """A purge that was heard and is not noted there yet is no loss; one that is neither there nor about to be is."""
    marks = Marks()
    marks.add(tag_mark("a"), 40)
    assert marks.lost(kept, now=100) is lost


@pytest.mark.parametrize(("news", "number"), [("0-0", 0), ("1-0", 2048), ("1-5", 2053), ("1-2048", 4096), ("7", 14336)])
def test_numbers_of_news_are_in_their_order(news: str, number: int) -> None:
    """Milliseconds and a count make one number; a count beyond its room goes on to the next millisecond."""
    assert score(news) == number


@given(st.lists(st.tuples(members, st.booleans()), max_size=30), st.integers(1, 4))
def test_what_waits_to_be_told_holds_until_it_was(steps: list[tuple[bytes, bool]], most: int) -> None:
    """Each purge that was not told is held to, by itself or as one of everything; the latest of the same is the one."""
    pending = Pending(most)
    untold: set[bytes] = set()
    for member, told in steps:
        covered = ALL in pending.members
        waiting = pending.add(member)
        if member == ALL:
            untold.clear()  # it stands for all before it
        untold.add(member)
        if told and not covered:
            pending.remove(waiting)
            if ALL not in pending.members:
                untold.discard(member)
        assert len(pending.members) <= most
        for each in untold:
            if each == ALL:
                assert pending.holds(b"anything")
            elif each[:1] == b"t":
                assert pending.holds(b"anything", [each[1:].decode()])
            else:
                assert pending.holds(each[1:])
        assert pending.holds(b"never named", ["c"]) is (ALL in pending.members)


def test_a_later_purge_of_the_same_waits_on() -> None:
    """What was told is the first of two; the second is still to be told."""
    pending = Pending()
    first, second = pending.add(tag_mark("a")), pending.add(tag_mark("a"))
    pending.remove(first)
    assert pending.holds(b"k", ["a"])
    pending.remove(second)
    assert not pending.holds(b"k", ["a"])


def memory(clock: Clock | None = None) -> Memory:
    """One that stands before a server that is up."""
    made = Memory(10, 1 << 20, None, clock or Clock(), shared=True)
    made.came_up()
    return made


def held(there: Memory, value: bytes = b"v", nonce: bytes = b"mine") -> Held:
    """An entry in it, of this epoch."""
    now = there.mono()
    entry = Draft(value, 60.0, 0.0).entry(now)
    made = Held(entry, nonce, 1, (now, now + 60, now + 60), there.epoch)
    there.put(KEY, made, weight_of(entry))
    return made


def test_a_write_of_ours_is_kept_where_the_server_tells_of_it_once() -> None:
    """Its word may come before the reply or after it; either way the entry stays, and the next word drops it."""
    for early in (True, False):
        there = memory()
        there.begin(KEY)
        held(there)
        if early:
            assert not there.changed(KEY)
        there.end(KEY, b"mine", kept=True)
        if not early:
            assert not there.changed(KEY)
        assert there.find(KEY) is not None
        assert there.changed(KEY)
        assert there.find(KEY) is None


def test_a_write_of_ours_is_dropped_where_another_came_in_between() -> None:
    """Told of twice while it went out, or not kept there, or of another's nonce: it is not served."""
    there = memory()
    there.begin(KEY)
    held(there)
    there.changed(KEY)
    there.changed(KEY)
    there.end(KEY, b"mine", kept=True)
    assert there.find(KEY) is None
    for nonce, kept in ((b"mine", False), (b"another's", True)):
        there = memory()
        there.begin(KEY)
        held(there, nonce=b"mine")
        there.end(KEY, nonce, kept=kept)
        assert there.find(KEY) is None


def test_of_two_writes_at_once_none_is_kept() -> None:
    """Nobody can say which of them is the later one."""
    there = memory()
    there.begin(KEY)
    there.begin(KEY)
    held(there)
    there.end(KEY, b"mine", kept=True)
    assert there.find(KEY) is None


def test_a_write_that_doubt_came_upon_is_not_kept() -> None:
    """What the server may have told meanwhile was told to nobody."""
    there = memory()
    there.begin(KEY)
    held(there)
    there.doubt()
    there.end(KEY, b"mine", kept=True)
    assert there.find(KEY) is None


def test_doubt_has_all_looked_at_again() -> None:
    """What was put before is not served until it was looked for in Redis; while that is away it is."""
    there = memory()
    made = held(there)
    assert there.sure(made, there.mono())
    there.doubt()
    assert not there.sure(made, there.mono())
    there.went_down()
    assert there.sure(made, there.mono())
    there.came_up()
    assert not there.sure(made, there.mono())


def test_a_write_that_failed_is_served_only_while_the_server_is_away() -> None:
    """Whether it got through is not known."""
    there = memory()
    there.begin(KEY)
    made = held(there)
    there.fail(KEY, b"mine")
    assert made.epoch == AWAY
    assert not there.sure(made, there.mono())


def test_an_entry_that_is_purged_here_and_not_told_is_not_read_from_redis() -> None:
    """While a purge waits to be told, what others have put under its tag is asked past."""

    async def work(server: RedisServer) -> None:
        async with gateways(server.url) as (one, two):
            await two.put(KEY, b"old", ttl=60, tags=["red"])
            one.hearing.pending.add(tag_mark("red"))
            (await lead_of(one)).give_up()
            assert one.counts.fenced >= 1

    run(work)


def test_marks_are_read_again_after_a_loss_and_without_being_asked() -> None:
    """Once news may have been missed nothing is believed until the marks were read, which nobody has to ask for."""

    async def work(server: RedisServer) -> None:
        async with gateways(server.url, 1) as (one,):
            heard: list[str | None] = []
            one.on_purge(heard.append)
            assert one.far is not None
            beside = Shared(server.url)
            await beside.start()
            other = Levels("test", beside)
            vars(one.far.shared.news)["_heard"].clear()  # it is deaf
            await other.purge(tag="red")
            one.hearing.changed(None)
            assert vars(one.hearing)["loaded"] is False
            await until(lambda: heard)
            assert heard == ["red"]
            assert vars(one.hearing)["loaded"] is True
            await other.aclose()
            await beside.aclose()

    run(work)


def test_a_lead_dropped_in_another_thread_is_given_to_the_next() -> None:
    """Whoever waits goes, though the one who had it is gone without a word, in a thread of its own."""

    async def work() -> None:
        levels = Levels("test")
        lead = [await lead_of(levels)]
        waiting = asyncio.ensure_future(levels.ask(KEY))
        await asyncio.sleep(0)
        await asyncio.to_thread(lead.clear)
        (await waiting).give_up()  # type: ignore[union-attr]
        await levels.aclose()

    asyncio.run(work())
