"""Doors and breakers that several gateways share, over a real server: told, read anew, and believed within bounds."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from fastcascade import Cascade, Tier
from fastcascade.backends.clients import account
from fastcascade.entry.instance import Instance
from fastcascade.entry.pool import Pool
from fastcascade.fallbacks.breaker import Breaker
from fastcascade.shared.together import pools_of
from real import until
from redis_server import RedisServer, redis_server
from redis_sites import redis_cluster
from together_pieces import BREAKER, KEY, Asked, Gateway, forward, gateways

PATIENCE = 15.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One of its own for each test."""
    with redis_server("--save", "", "--appendonly", "no") as running:
        yield running


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """In a loop of its own."""
    asyncio.run(main())


def test_a_door_closed_at_one_is_closed_at_all(server: RedisServer) -> None:
    """To the same time, in whatever thread it is closed; a later time is told too, and who has another key is free."""

    async def main() -> None:
        async with gateways(*(Gateway(server.url) for _ in range(3)), Gateway(server.url, key="other")) as all_of:
            one, two, three, other = all_of
            one.door.close_until(one.clock() + 20.0)
            await until(lambda: two.left > 0 and three.left > 0, "the word")
            assert abs(two.left - one.left) < 0.1
            await asyncio.to_thread(two.door.close_until, two.clock() + 50.0)
            await until(lambda: one.left > 40 and three.left > 40, "the later word")
            assert other.left < 0

    run(main)


def test_who_comes_anew_reads_what_stands(server: RedisServer) -> None:
    """A door and a breaker that are closed and open when a gateway begins are so when `start` has come back."""

    async def main() -> None:
        async with gateways(Gateway(server.url)) as (one,):
            one.door.close_until(one.clock() + 20.0)
            one.fail()
            await until(lambda: _noted(server), "the notes")
            async with gateways(Gateway(server.url)) as (two,):
                assert 0 < two.left < 20.5
                assert two.circuit.state == "open"
                assert 0 < two.circuit.admit(two.clock()) <= 30.5

    run(main)


def _noted(server: RedisServer) -> bool:
    return all(server.tell("ZCARD", f"fastcascade:{what}") == ":1\r\n" for what in ("doors", "circuits"))


def test_a_breaker_opens_at_all_and_one_probes(server: RedisServer) -> None:
    """The others stay open while one has the lease, and are closed as soon as its probe was well."""

    async def main() -> None:
        async with gateways(*(Gateway(server.url) for _ in range(3))) as all_of:
            one, two, three = all_of
            one.fail()
            await until(lambda: {each.circuit.state for each in all_of} == {"open"}, "the opening")
            for each in all_of:
                assert not each.call()
            await forward(*all_of)
            await until(lambda: any(each.circuit.admit(each.clock()) == 0.0 for each in all_of), "a probe")
            (prober,) = [each for each in all_of if each.circuit.state == "half-open"]
            others = [each for each in all_of if each is not prober]
            assert not any(each.call() for each in others)
            prober.circuit.record(prober.clock(), 0.0, None)
            await until(lambda: {each.circuit.state for each in all_of} == {"closed"}, "the closing")
            assert all(each.call() for each in (one, two, three))

    run(main)


def test_a_probe_that_fails_opens_it_at_all_again(server: RedisServer) -> None:
    """For another cooling."""

    async def main() -> None:
        async with gateways(Gateway(server.url), Gateway(server.url)) as (one, two):
            two.fail()
            await until(lambda: one.circuit.state == "open", "the opening")
            await forward(one, two)
            await until(lambda: one.call("server"), "the probe")
            await until(lambda: two.circuit.admit(two.clock()) > 25.0, "the word")

    run(main)


def test_who_ends_with_the_lease_gives_it_back(server: RedisServer) -> None:
    """Another may probe at once; of one that was killed, when its lease is over."""

    async def main() -> None:
        one, two = Gateway(server.url), Gateway(server.url)
        async with gateways(two):
            async with gateways(one):
                one.fail()
                await until(lambda: two.circuit.state == "open", "the opening")
                await forward(one, two)
                await until(lambda: one.circuit.admit(one.clock()) == 0.0, "the probe")
                assert not two.call()
            two.ahead += 2.0
            await until(two.call, "the other's probe")
            assert two.circuit.state == "closed"

    run(main)


def test_without_the_store_each_goes_on_alone(server: RedisServer) -> None:
    """Killed: doors and breakers work as in one process; back: what happened meanwhile is told."""

    async def main() -> None:
        async with gateways(Gateway(server.url), Gateway(server.url)) as (one, two):
            server.kill()
            await until(lambda: not (one.shared.up or two.shared.up), "the end")
            one.door.close_until(one.clock() + 40.0)
            one.fail()
            assert one.circuit.state == "open"
            assert two.call()
            two.fail()
            two.ahead = 31.0
            assert two.call()
            assert two.circuit.state == "closed"
            server.start()
            await until(lambda: two.left > 0, "the door")
            await until(one.together.current.is_set, "what stands")

    run(main)


def test_a_store_that_was_away_at_the_start_is_no_matter(server: RedisServer) -> None:
    """A gateway begins alone, at once, and is together with the others when the store is there."""

    async def main() -> None:
        server.kill()
        began = time.monotonic()
        async with gateways(Gateway(server.url), Gateway(server.url)) as (one, two):
            assert time.monotonic() - began < PATIENCE
            one.fail()
            assert one.circuit.state == "open"
            server.start()
            await until(lambda: two.circuit.state == "open", "the word")

    run(main)


def test_an_emptied_store_is_filled_again(server: RedisServer) -> None:
    """After FLUSHALL doors are known to who comes anew, under names from a new secret."""

    async def main() -> None:
        async with gateways(Gateway(server.url), Gateway(server.url)) as (one, two):
            one.door.close_until(one.clock() + 40.0)
            await until(lambda: two.left > 0, "the word")
            server.tell("FLUSHALL")
            await until(lambda: server.tell("ZCARD", "fastcascade:doors") == ":1\r\n", "the notes")
            async with gateways(Gateway(server.url)) as (three,):
                assert three.left > 0

    run(main)


def test_what_others_write_is_believed_within_bounds(server: RedisServer) -> None:
    """Nonsense is passed over; a lie closes a door for `most` seconds and opens a breaker for one cooling."""

    async def main() -> None:
        async with gateways(Gateway(server.url, most=60.0)) as (one,):
            door = one.together.names[one.door].decode()
            circuit = one.together.names[one.circuit].decode()
            for words in (
                ("kind", "door"),
                ("kind", "door", "d", door, "left", "soon"),
                ("kind", "door", "d", door, "left", "-5"),
                ("kind", "door", "d", door, "left", "9" * 400),
                ("kind", "circuit", "c", circuit, "n", "1", "left", "x", "is", "open"),
                ("kind", "circuit", "c", circuit, "n", "1", "left", "5", "is", "broken"),
            ):
                server.tell("XADD", "fastcascade:news", "*", *words)
            server.tell("XADD", "fastcascade:news", "*", "kind", "door", "d", door, "left", "9999999999999")
            await until(lambda: one.left > 0, "the lie")
            assert one.left <= 60.0
            assert one.circuit.state == "closed"
            lie = ("c", circuit, "n", "1", "left", "9999999999999", "is", "open")
            server.tell("XADD", "fastcascade:news", "*", "kind", "circuit", *lie)
            await until(lambda: one.circuit.state == "open", "the lie")
            assert one.circuit.admit(one.clock()) <= BREAKER.cooling
            server.tell("ZADD", "fastcascade:doors", "inf", door)
            server.tell("SET", f"fastcascade:probing:{circuit}", "somebody")
            one.ahead = 31.0
            await until(one.call, "the probe")
            async with gateways(Gateway(server.url, most=60.0)) as (two,):
                assert two.left <= 60.0

    run(main)


def test_keys_that_hold_something_else_are_lived_with(server: RedisServer) -> None:
    """Where what is ours is of another kind, each goes on alone, and calls are made."""

    async def main() -> None:
        for key in ("names", "doors", "circuits"):
            server.tell("RPUSH", f"fastcascade:{key}", "x")
        async with gateways(Gateway(server.url)) as (one,):
            one.door.close_until(one.clock() + 5.0)
            one.fail()
            one.ahead = 31.0
            await until(one.call, "the probe")

    run(main)


def test_names_tell_nothing(server: RedisServer) -> None:
    """Neither the key nor what is lasting of the account is in the store, and another secret makes other names."""

    async def main() -> None:
        async with gateways(Gateway(server.url)) as (one,):
            one.door.close_until(one.clock() + 20.0)
            one.fail()
            await until(lambda: _noted(server), "the notes")
            told = "".join(
                server.tell(*words)
                for words in (
                    ("ZRANGE", "fastcascade:doors", "0", "-1"),
                    ("ZRANGE", "fastcascade:circuits", "0", "-1"),
                    ("XRANGE", "fastcascade:news", "-", "+"),
                )
            )
            lasting = account("test", "https://example.org", "m", KEY).lasting
            assert KEY not in told
            assert lasting.hex() not in told
            assert one.together.names[one.door].decode() in told

    run(main)


def test_breakers_of_other_settings_do_not_mix(server: RedisServer) -> None:
    """Another breaker on the same account goes its own way, while the door is the same."""

    async def main() -> None:
        stricter = Breaker(calls=2, failure_rate=1.0, cooling=60.0, probes=1)
        async with gateways(Gateway(server.url), Gateway(server.url, breaker=stricter)) as (one, two):
            one.fail()
            one.door.close_until(one.clock() + 5.0)
            await until(lambda: two.left > 0, "the door")
            assert two.circuit.state == "closed"

    run(main)


def test_a_cluster_does_as_well() -> None:
    """What is told, noted and leased lies on several nodes, and is the same as on one."""

    async def main(url: str) -> None:
        async with gateways(Gateway(url), Gateway(url)) as (one, two):
            one.door.close_until(one.clock() + 20.0)
            one.fail()
            await until(lambda: two.left > 0 and two.circuit.state == "open", "the words")
            await forward(one, two)
            await until(two.call, "the probe")
            await until(lambda: one.circuit.state == "closed", "the closing")
            async with gateways(Gateway(url)) as (three,):
                assert three.left > 0

    with redis_cluster() as cluster:
        run(lambda: main(cluster.url))


def test_an_account_is_the_same_in_another_process() -> None:
    """What names are made of does not hang on the process; the account itself does."""
    code = "from fastcascade.backends.clients import account; a = account('a', 'k'); print(a.hex(), a.lasting.hex())"
    told = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
        for _ in range(2)
    ]
    (first, one), (second, two) = (each.stdout.split() for each in told)
    assert one == two
    assert first != second
    assert account("a", "k", lasting=False).lasting == b""


def test_all_pools_of_a_cascade_are_found() -> None:
    """Those of tiers and of judges, each once; what is no cascade has none."""
    pool = Pool(Instance(Asked(KEY)))
    cascade = Cascade(Tier(pool, name="a"), Tier(Asked("other"), name="b"))
    found = list(pools_of([cascade, cascade, object()]))  # type: ignore[list-item]
    assert pool in found
    assert len(found) == 2
