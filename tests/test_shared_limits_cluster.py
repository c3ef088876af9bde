"""Limits and budgets in a cluster of three that loses a primary: the keys of the others notice nothing."""

import asyncio
from typing import Any

from fastcascade import Quota
from fastcascade.gateway.account import Used, nanos
from fastcascade.shared import Shared
from fastcascade.shared.budgets import SharedBudgets, Stay
from fastcascade.shared.limits import SharedLimiter
from redis_sites import Cluster, redis_cluster

KEYS = [f"client{number}" for number in range(30)]
CENT = nanos(0.01)


async def until(holds: Any, seconds: float) -> None:
    """Come back when something holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what holds comes of many things
            await asyncio.sleep(0)


class Load:
    """Requests of many keys, as fast as they go."""

    def __init__(self, shared: Shared) -> None:
        self.limiter = SharedLimiter(Quota(1_000, "second", 100), shared)
        self.budgets = SharedBudgets(shared, off="open")
        self.spent = dict.fromkeys(KEYS, 0)
        self.turns = 0
        self.over = False
        self.tasks = [asyncio.create_task(self.hammer(key)) for key in KEYS]

    async def hammer(self, key: str) -> None:
        purse = self.budgets.purse(key, month=nanos(1_000.0))
        while not self.over:
            await self.limiter.admit(key)
            got = await purse.enter(asked=CENT)
            assert isinstance(got, Stay)  # there is far more than they spend
            purse.leave(got, Used(CENT, 1))
            self.spent[key] += CENT
            self.turns += 1
            await asyncio.sleep(0)

    async def more(self) -> None:
        """Wait for some of each."""
        had = self.turns
        await until(lambda: self.turns > had + 5 * len(KEYS), 10)

    async def end(self) -> None:
        """Take no more, and close."""
        self.over = True
        await asyncio.gather(*self.tasks)
        assert await self.budgets.settled()
        await self.limiter.aclose()
        await self.budgets.aclose()
        await self.limiter.members.aclose()
        await self.budgets.members.aclose()


def test_a_cluster_loses_a_primary() -> None:
    """No request fails; the other nodes' keys stay shared; once its replica has taken over all are, and all is told."""

    async def go(cluster: Cluster) -> None:
        shared = Shared(cluster.url)
        load = Load(shared)
        await load.more()
        cluster.primaries[0].kill()
        await until(lambda: load.limiter.is_apart, 10)
        await load.more()
        assert 0 < load.limiter.untold < len(KEYS)
        await until(lambda: shared.up, 20)
        await until(lambda: not (load.limiter.is_apart or load.budgets.apart), 5)
        await load.more()
        await load.end()
        found, spent = await load.budgets.used(KEYS), load.spent
        behind = [key for key in KEYS if found[key][1].nanos != spent[key]]
        # A primary that dies takes along what its replica has not had yet, some milliseconds; nothing is counted twice.
        assert len(behind) < len(KEYS) / 2
        assert all(spent[key] - 200 * CENT <= found[key][1].nanos < spent[key] for key in behind)
        await shared.aclose()

    with redis_cluster(3, replicas=True) as cluster:
        asyncio.run(go(cluster))
