"""The store that gateways share: whether it is there, lets us do what we need, and will keep what it is given."""

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cli.doctor_patient import Finding, Patient
from fastcascade.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from fastcascade.gateway.settings import SharedStore

__all__ = ["shared"]

TRIES: Final = 20
SLOW: Final = 0.005
"""Seconds for a round trip, from which on a second level of cache is hardly worth having."""


def shared(patient: Patient) -> Iterator[Finding]:
    """The store of [gateway.shared]."""
    told = patient.settings
    if told is None or told.shared is None:
        return
    try:
        found = asyncio.run(_looked(told.shared, patient.timeout))
    except (ConfigError, StoreError) as error:
        todo = "start it, mend the url, or let its user do that; until then each gateway goes on alone"
        yield Finding("shared", "fail", str(error), todo)
        return
    trip: float = found["trip"]
    said = f"{found['where']}: {found['server']}, a round trip of {trip * 1e3:.2f} ms"
    if trip > SLOW:
        yield Finding("shared", "warn", said, "put it nearer: each request that is not in memory waits for it")
    else:
        yield Finding("shared", "ok", said)
    policy, most = found["policy"], found["most"]
    if most == 0:
        yield Finding("shared", "warn", "it has no maxmemory, and may take all there is", "set maxmemory")
    elif policy.startswith("allkeys") and told.keys is not None and not told.account.startswith("sqlite:"):
        todo = "set maxmemory-policy volatile-lru, or give the account a store of its own"
        yield Finding("shared", "warn", f"with {policy} a full store drops what keys have spent", todo)
    elif policy == "noeviction":
        todo = "set maxmemory-policy volatile-lru: answers have an expiry, and go first"
        yield Finding("shared", "warn", "with noeviction a full store takes no more answers, and no limits", todo)


async def _looked(told: "SharedStore", patience: float) -> dict[str, Any]:
    """Connect, and do once what gateways do."""
    from fastcascade.shared.script import Script  # noqa: PLC0415 - an extra
    from fastcascade.shared.shared import Shared  # noqa: PLC0415 - likewise

    store = Shared(told.url, prefix=told.prefix, timeout=max(told.timeout, patience))
    try:
        await store.start()
        key = store.key("doctor")
        script = Script("redis.call('SET', KEYS[1], ARGV[1], 'PX', 10000) return redis.call('GET', KEYS[1])")
        await store.run(script, [key], ["looked"])
        began = time.perf_counter()
        for _ in range(TRIES):
            await store.call("GET", key)
        trip = (time.perf_counter() - began) / TRIES
        await store.news.tell("doctor", {"said": "looked"})
        server, memory = await _info(store, "server"), await _info(store, "memory")
        name = "Valkey" if "valkey_version" in server else "Redis"
        version = server.get("valkey_version") or server.get("redis_version") or "of an unknown version"
        return {
            "where": store.where,
            "server": f"{name} {version}",
            "trip": trip,
            "policy": memory.get("maxmemory_policy", ""),
            "most": int(memory.get("maxmemory", "1") or 1),
        }
    finally:
        await store.aclose()


async def _info(store: Any, section: str) -> dict[str, str]:
    """What it says of itself; nothing where its user may not ask."""
    try:
        said = await store.call("INFO", section)
    except StoreError:
        return {}
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
