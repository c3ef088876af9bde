"""Purges that are about to be told, and leases of what has ended: neither stands in the way of what comes after."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from fastcascade.caching.levels import Entry, Levels
from fastcascade.caching.levels_purges import ALL, Marks, tag_mark
from levels_pieces import KEY, gateways, lead_of, run, until
from redis_server import RedisServer

SECOND = 1000 * 2048
NOW = 1_000_000 * SECOND
SOON = NOW + 10 * SECOND
MEMBERS = st.sampled_from([ALL, b"k" + KEY, tag_mark("red")])


def held_up(marks: Marks, serial: int = NOW) -> bool:
    """Whether an entry that was begun now does not hold."""
    return serial < marks.least_of(KEY, ["red"])


def settled(levels: Levels, number: int) -> bool:
    """Whether it has heard of that purge, and is not in doubt about another."""
    return levels.hearing.marks.seen >= number and not levels.hearing.marks.open


@given(MEMBERS)
def test_what_is_about_to_be_purged_is_held_up_until_that_was_told(member: bytes) -> None:
    """Nothing that it concerns holds; once it is heard, what was begun after it does, and others always did."""
    marks = Marks()
    assert marks.load({b"o": NOW - SECOND, b"?" + member: SOON}, NOW) == [ALL, member]
    assert (marks.open, held_up(marks)) == (True, True)
    assert marks.load({b"o": NOW - SECOND, b"?" + member: SOON}, NOW) == []
    assert marks.least_of(b"another", ["blue"]) == (SOON if member == ALL else NOW - SECOND)
    marks.add(member, NOW + 1)
    assert (marks.open, held_up(marks)) == (False, True)
    assert not held_up(marks, NOW + 1)
    assert marks.seen == NOW + 1


@given(MEMBERS, st.booleans())
def test_what_was_not_told_after_all_holds_nothing_up(member: bytes, told: bool) -> None:
    """When it is gone, or its teller has had its time, it is as though it had never been; its own mark counts."""
    marks = Marks()
    marks.load({b"o": NOW - SECOND, b"?" + member: SOON}, NOW)
    later = marks.load({b"o": NOW - SECOND, **({member: NOW + 1} if told else {})}, NOW + SECOND)
    assert later == ([member] if told else [])
    assert not marks.open
    assert held_up(marks) == told
    fresh = Marks()
    fresh.load({b"o": NOW - SECOND, b"?" + member: SOON}, SOON)
    assert not fresh.open
    assert not held_up(fresh)


@given(MEMBERS)
def test_a_purge_of_ones_own_whose_news_were_missed_is_seen_where_it_is_kept(member: bytes) -> None:
    """Else nothing that is made afterwards would ever hold."""
    marks = Marks()
    marks.load({b"o": NOW - SECOND, b"?" + member: SOON}, NOW)
    marks.add(member, NOW, seen=False)
    assert marks.open  # so that it is looked at again
    assert held_up(marks, marks.seen)
    assert marks.load({b"o": NOW - SECOND, member: NOW}, NOW) == []
    assert not held_up(marks, marks.seen)


def test_after_a_purge_that_was_told_late_answers_are_kept_again() -> None:
    """Redis killed, all purged meanwhile, and back: once that is told, what is made is kept at once, by both."""

    async def work(server: RedisServer) -> None:
        async with gateways(server.url) as both:
            one, two = both
            for turn in range(5):  # what is told and what is read then cross each other as they like
                server.kill()
                await until(lambda: not one.memory.up and not two.memory.up)
                assert not (await one.purge(all=True)).everywhere
                server.start()
                await until(lambda: all(each.hearing.loaded for each in both) and not one.hearing.pending.members)
                await until(lambda: all(settled(each, one.hearing.marks.floor) for each in both))
                for place, each in enumerate(both):
                    key = f"{turn} {place}".encode()
                    await (await lead_of(each, key)).put(b"value", ttl=60)
                    assert each.peek(key) is not None
                    found = await both[1 - place].ask(key)
                    assert isinstance(found, Entry)

    run(work)


def test_one_who_dies_while_telling_holds_others_up_for_a_moment_alone() -> None:
    """A process that begins meanwhile keeps nothing, and looks again until that is settled."""

    async def work(server: RedisServer) -> None:
        async with gateways(server.url, 1) as (one,):
            assert one.far is not None
            (marks,) = one.far._marks  # noqa: SLF001 - what is looked at
            soon = (one.hearing.marks.floor // SECOND + 3600) * SECOND
            server.tell("ZADD", marks.decode(), str(soon), "?a")
            one.hearing.changed(None)
            await until(lambda: one.hearing.marks.open)
            assert not await one.put(KEY, b"value", ttl=60)
            server.tell("ZREM", marks.decode(), "?a")
            await until(lambda: not one.hearing.marks.open)
            assert await one.put(KEY, b"value", ttl=60)

    run(work)


def test_a_lease_that_has_ended_is_not_renewed() -> None:
    """Who gives up while leases are renewed leaves none behind, for which others would wait."""

    async def work(server: RedisServer) -> None:
        async with gateways(server.url) as (one, two):
            lead = await lead_of(one)
            assert one._hold()  # noqa: SLF001 - the moment that is meant
            lead.give_up()
            async with asyncio.timeout(5):
                (await lead_of(two)).give_up()
            assert one.far is not None
            await until(lambda: server.tell("EXISTS", one.far.keys(KEY)[1].decode()) == ":0\r\n" if one.far else True)

    run(work)


def test_a_lease_taken_of_a_server_that_hung_is_ended_once_it_is_back() -> None:
    """What was asked just before is carried out when it thaws; nobody waits for a lease that nobody knows of."""

    async def work(server: RedisServer) -> None:
        async with gateways(server.url) as (one, two):
            server.freeze()
            (await lead_of(one)).give_up()
            server.thaw()
            await until(lambda: one.memory.up and two.memory.up)
            async with asyncio.timeout(5):  # half of what a lease lasts
                (await lead_of(two)).give_up()

    run(work)
