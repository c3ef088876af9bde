"""The user that docs/scale.md has for a Redis with ACLs: it may do what gateways do, and nothing else."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from fastcascade import Quota
from fastcascade.caching.levels import Entry, Levels
from fastcascade.gateway.account import Used
from fastcascade.shared.budgets import SharedBudgets, Stay
from fastcascade.shared.limits import SharedLimiter
from fastcascade.shared.published import Published, Standing
from fastcascade.shared.shared import Shared
from levels_pieces import KEY, lead_of, until
from redis_server import RedisServer, redis_server
from redis_sites import redis_cluster
from shared_parts import refused

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "python" / "fastcascade"
USER: Final = re.compile(r"^ACL SETUSER gateway (.*?)^```", re.MULTILINE | re.DOTALL)
PASSWORD: Final = "made-up"
CONNECTION: Final = {"hello", "ping", "role", "select", "client|tracking", "evalsha", "eval"}
CLUSTER: Final = {"cluster|slots", "asking"}
DOCTOR: Final = {"info"}


def rules() -> list[str]:
    """What the page says about the user, word by word."""
    found = USER.search((ROOT / "docs" / "scale.md").read_text(encoding="utf-8"))
    assert found is not None
    return found[1].replace("\\\n", " ").replace("PASSWORD", PASSWORD).split()


def named() -> set[str]:
    """Commands that the sources name: those of scripts, and those that are sent as they are."""
    found = set()
    for folder in ("shared", "caching", "gateway", "cli"):
        for file in (PACKAGE / folder).glob("*.py"):
            text = file.read_text(encoding="utf-8")
            found |= {each.lower() for each in re.findall(r"redis\.call\('(\w+)'", text)}
            found |= {each.lower() for each in re.findall(r"(?:shared|store)\.call\(\s*\"(\w+)\"", text)}
            found |= {each.lower() for each in re.findall(r"wire\.ask\(pack\(\(\"(\w+)\"", text)}
    return {"xinfo|stream" if each == "xinfo" else each for each in found}


def allowed(server: RedisServer) -> str:
    """Have the user there; the URL to come in by."""
    assert server.tell("ACL", "SETUSER", "gateway", *rules()) == "+OK\r\n"
    return f"gateway:{PASSWORD}@127.0.0.1:{server.port}"


def denied(server: RedisServer) -> str:
    """What was refused to anybody."""
    return server.tell("ACL", "LOG")


async def at_work(url: str) -> None:
    """What two gateways do, in one loop."""
    one, two = Shared(url), Shared(url)
    for each in (one, two):
        await each.start()
        assert each.up
    left, right = Levels("test", one, lease=0.3), Levels("test", two)
    await left.start()
    await right.start()
    lead = await lead_of(left)
    left._hold()  # noqa: SLF001 - a lease is renewed
    await lead.put(b"value", ttl=60, tags=["red"])
    found = await right.ask(KEY)
    assert isinstance(found, Entry)
    (await lead_of(left, b"another")).give_up()
    for purged in ({"key": KEY}, {"tag": "red"}, {"all": True}):
        assert (await left.purge(**purged)).everywhere
    await until(lambda: right.peek(KEY) is None)
    limiter = SharedLimiter(Quota(100, "minute"), one)
    assert await limiter.admit("client") == 0
    limiter.settle("client", 1, 2)
    await limiter.told()
    budgets = SharedBudgets(two)
    purse = budgets.purse("key_1", requests=Quota(100, "minute"), tokens=Quota(1000, "minute"), day=10**9)
    stay = await purse.enter(tokens=10)
    assert isinstance(stay, Stay)
    await budgets._renew(0.0)  # noqa: SLF001 - what is held is held on
    purse.leave(stay, Used(1000, 1, 7))
    assert await budgets.settled()
    assert (await budgets.used(["key_1"]))["key_1"][0].nanos == 1000
    published = Published(one)
    made = await published.publish("text", who="ada", comment="", again=0)
    await published.stand(Standing("one", made.number))
    assert [each.gateway for each in await published.standings()] == ["one"]
    assert len(await published.versions()) == 1
    await budgets.members.aclose()
    for closing in (left, right, limiter, budgets, one, two):
        await closing.aclose()


def test_it_names_what_is_used_and_nothing_more() -> None:
    """The commands of the sources, those of connections, and what `fastcascade doctor` asks."""
    given = {each[1:] for each in rules() if each.startswith("+")}
    assert given == named() | CONNECTION | CLUSTER | DOCTOR
    assert {"-@all", "resetchannels", "~fastcascade:*"} <= set(rules())


def test_two_gateways_worth_of_work_is_refused_nothing() -> None:
    """Caches, purges, limits, budgets, news and configuration, at one server; what is not named is refused."""
    with redis_server() as server:
        url = f"redis://{allowed(server)}/0"
        asyncio.run(at_work(url))
        assert denied(server) == "*0\r\n"

        async def other() -> str:
            shared = Shared(url)
            await shared.start()
            said = await refused(shared, "FLUSHALL")
            await shared.aclose()
            return said

        assert "user" in asyncio.run(other())


def test_in_a_cluster_too() -> None:
    """The same user at every node."""
    with redis_cluster() as cluster:
        (url, *_) = [allowed(each) for each in cluster.primaries]
        asyncio.run(at_work(f"redis+cluster://{url}"))
        assert {denied(each) for each in cluster.primaries} == {"*0\r\n"}


def test_the_processes_of_gateways_come_in_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them answer, share, limit, account and purge; nothing is refused."""
    pytest.importorskip("granian")
    before = sys.path[:]
    sys.path.insert(0, str(ROOT / "benches" / "scenarios"))
    try:
        import store_site  # type: ignore[import-not-found] # noqa: PLC0415 - it is no package
    finally:
        sys.path[:] = before
    keys: dict[str, dict[str, Any]] = {"ann": {"limit": "100/min", "budget_day": 5.0}}
    with redis_server() as server:
        url = f"redis://{allowed(server)}/0"
        monkeypatch.setenv("STORE_URL", url)  # a file that holds a password is refused
        with store_site.site(tmp_path, url, keys, urls=("env:STORE_URL",) * 2) as there:
            asyncio.run(asked(there))
        assert denied(server) == "*0\r\n"


async def asked(there: Any) -> None:
    """Ask both, purge, and wait for what is told a little later."""
    for text in ("why", "why", "how"):
        for place in (0, 1):
            assert (await there.ask(place, "ann", text)).status == 200
    assert (await there.book())["ann"] == 2
    assert await there.purge(0)
    counted = 0
    while counted < 6:
        counted = (await there.account())["ann"][1]
    assert counted == 6
