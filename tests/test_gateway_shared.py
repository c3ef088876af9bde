"""Two gateways and one Redis: limits and budgets of keys are of both together, and nothing fails while it is away."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fastcascade import Cascade, cli
from fastcascade.gateway.account import nanos
from fastcascade.gateway.gatekeeper import KeyGate, gatekeeper
from fastcascade.gateway.gatekeeper_shared import SharedKeyGate
from fastcascade.gateway.key_store import KeyFile
from fastcascade.gateway.settings import Settings, SharedStore
from fastcascade.messages import Reply, Request, Usage
from fastcascade.notices import Notice
from fastcascade.prices import Price
from fastcascade.shared import Shared
from fastcascade.tiers import Tier
from gateways import Client, Said, chat, serving
from redis_server import RedisServer, redis_server

PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One server for all that leave it as it was."""
    with redis_server("--save", "") as running:
        yield running


async def small(_: Request) -> Reply:
    """An answer that costs a cent: 1,000 tokens."""
    return Reply("yes", "small", usage=Usage(400, 600))


def cascade() -> Cascade:
    """One of one tier, with a price."""
    return Cascade(Tier(small, name="small", price=Price(10.0, 10.0)))


@asynccontextmanager
async def two(folder: Path, url: str, **more: Any) -> AsyncIterator[tuple[Client, Client]]:
    """Two gateways of one file of keys and one Redis; a client of each."""
    told = Settings(keys=Path("keys.json"), account=url, **more)
    gates = [gatekeeper(told, folder) for _ in range(2)]
    try:
        async with serving(cascade(), gate=gates[0]) as one, serving(cascade(), gate=gates[1]) as other:
            for gate in gates * 2:
                assert isinstance(gate, SharedKeyGate)
                await gate.budgets.start()
                await gate.budgets.members.beat()
            yield one.client(), other.client()
    finally:
        for gate in gates:
            assert isinstance(gate, SharedKeyGate)
            await gate.aclose()


async def ask(client: Client, secret: str) -> Said:
    """One request with a key."""
    return await client.ask("POST", PATH, chat("hi"), {"authorization": f"Bearer {secret}"})


def test_limits_and_budgets_are_of_both(
    tmp_path: Path, server: RedisServer, heard: list[Notice], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each request counts at both: 429 and 402 come when the sum is there, with fields that tell of the sum."""
    file = KeyFile(tmp_path / "keys.json")
    _, often = file.create("often", limit="6/hour", tokens_per_minute=100_000)
    paid, dear = file.create("dear", budget_day=0.05)
    _, soft = file.create("soft", soft_day=0.01)
    plain, free = file.create("plain")

    async def main() -> None:
        async with two(tmp_path, server.url) as clients:
            said = [await ask(clients[turn % 2], often) for turn in range(8)]
            assert [each.status for each in said] == [200] * 6 + [429] * 2
            assert [each.headers["ratelimit"].split(";")[1] for each in said[:6]] == [
                f"r={left}" for left in range(5, -1, -1)
            ]
            assert said[0].headers["ratelimit-policy"] == '"requests";q=6;w=3600, "tokens";q=100000;w=60'
            assert 590 < int(said[6].headers["retry-after"]) <= 601
            said = []
            async with asyncio.timeout(10):
                while not said or said[-1].status != 402:  # what one has spent is let go of a moment later
                    said.append(await ask(clients[len(said) % 2], dear))
            assert [each.status for each in said].count(200) == 5
            assert said[-1].headers["x-should-retry"] == "false"
            assert (await ask(clients[0], free)).status == 200
            assert "ratelimit" not in (await ask(clients[1], free)).headers
            await ask(clients[0], soft)
            async with asyncio.timeout(10):
                while "x-cascade-budget-warning" not in (await ask(clients[1], soft)).headers:
                    pass

    asyncio.run(main())

    async def used() -> None:
        shared = Shared(server.url)
        gate = gatekeeper(Settings(keys=Path("keys.json")), tmp_path, shared)
        assert isinstance(gate, SharedKeyGate)
        found = await gate.budgets.used([paid.id, plain.id])
        assert (found[paid.id][0].nanos, found[paid.id][1].requests) == (nanos(0.05), 5)
        assert found[plain.id][0].requests == 2
        await gate.aclose()
        await gate.budgets.members.aclose()
        await shared.aclose()

    asyncio.run(used())
    assert cli.main(["keys", "list", "--json", "--keys", str(file.path), "--account", server.url]) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert (listed["dear"]["usd_today"], listed["dear"]["requests_this_month"]) == (0.05, 5)
    assert any(each.kind == "budget" for each in heard)


@pytest.mark.parametrize("off", ["closed", "open"])
def test_the_server_is_killed_under_load(tmp_path: Path, off: Any) -> None:
    """Nobody's request fails but those of keys with a hard budget where that is closed; all that was used is told."""
    file = KeyFile(tmp_path / "keys.json")
    often, first = file.create("often", limit="1000/min")
    dear, second = file.create("dear", budget_day=100.0)

    async def main(own: RedisServer) -> None:
        statuses: dict[str, list[int]] = {first: [], second: []}
        over = asyncio.Event()

        async def load(client: Client, secret: str) -> None:
            while not over.is_set():
                statuses[secret].append((await ask(client, secret)).status)

        async def more(count: int) -> None:
            before = [len(each) for each in statuses.values()]
            async with asyncio.timeout(10):
                pairs = [*zip(statuses.values(), before, strict=True)]
                while any(len(each) < had + count for each, had in pairs):  # noqa: ASYNC110 - the load goes on meanwhile
                    await asyncio.sleep(0)

        async with two(tmp_path, own.url, account_off=off) as (one, other):
            ports = one.port, other.port
            loads = [Client(port) for port in ports for _ in range(2)]
            tasks = [
                asyncio.create_task(load(each, secret)) for each, secret in zip(loads, [first, second] * 2, strict=True)
            ]
            await more(20)
            own.kill()
            await more(40)
            await asyncio.to_thread(own.start)
            asked = len(statuses[second])
            async with asyncio.timeout(5):
                while 200 not in statuses[second][asked:]:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0)
            await more(20)
            over.set()
            await asyncio.gather(*tasks)
            for each in loads:
                await each.close()
        assert set(statuses[first]) == {200}
        assert set(statuses[second]) <= ({200, 503} if off == "closed" else {200})
        served = statuses[second].count(200)
        async with asyncio.timeout(10):
            shared = Shared(own.url)
            gate = gatekeeper(Settings(keys=Path("keys.json")), tmp_path, shared)
            assert isinstance(gate, SharedKeyGate)
            found = await gate.budgets.used([often.id, dear.id])
            assert found[dear.id][0].requests == served
            assert found[dear.id][0].nanos == served * nanos(0.01)
            assert found[often.id][0].requests == len(statuses[first])
            await gate.aclose()
            await shared.aclose()

    with redis_server() as own:
        asyncio.run(main(own))


def test_where_it_is_counted(tmp_path: Path) -> None:
    """An account in a file is this machine's alone; one in Redis, or none where something is shared, is everybody's."""
    KeyFile(tmp_path / "keys.json").create("one")
    url = "redis://127.0.0.1:1/0"

    async def main() -> None:
        shared = Shared(url)
        plain = gatekeeper(Settings(keys=Path("keys.json"), account="sqlite:used.db"), tmp_path, shared)
        assert isinstance(plain, KeyGate)
        plain.close()
        store = SharedStore(url, prefix="mine")
        for told, given, own in (
            (Settings(keys=Path("keys.json")), shared, False),
            (Settings(keys=Path("keys.json"), account=url, shared=store), shared, False),
            (Settings(keys=Path("keys.json"), account="redis://127.0.0.1:2/0", shared=store), shared, True),
            (Settings(keys=Path("keys.json"), account=url), None, True),
        ):
            gate = gatekeeper(told, tmp_path, given)
            assert isinstance(gate, SharedKeyGate)
            assert (gate.shared is shared) != own
            await gate.aclose()
        await shared.aclose()

    asyncio.run(main())
