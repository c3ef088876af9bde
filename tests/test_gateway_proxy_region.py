"""A region that dies: what its requests come to, and who is asked while it is away."""

import asyncio
from typing import Any

import pytest

from fastcascade.gateway.proxy_pool import REFUSED, REST, ProxiedPool
from fastcascade.gateway.proxy_settings import ProxyInstance, ProxyPool, ProxyRoute
from proxied import Asked, behind, ok, pool, routed, run


async def cuts(_asked: Asked, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> object:
    """Close the connection without a word."""
    return "close"


@pytest.mark.parametrize(("method", "retries", "status"), [("GET", 1, 200), ("POST", 1, 502), ("GET", 0, 502)])
def test_a_request_in_the_hands_of_a_region_that_dies(method: str, retries: int, status: int) -> None:
    """All of its instances break off: what is idempotent is answered by the next region; the rest is told so."""

    async def main() -> None:
        async with behind(cuts) as one, behind(cuts) as two, behind(ok(b"second")) as three:
            there = pool(
                ProxyInstance(one.url, region="a"),
                ProxyInstance(two.url, region="a"),
                ProxyInstance(three.url, region="b", priority=1),
                retries=retries,
            )
            async with routed([ProxyRoute(path="*", to="app")], {"app": there}) as gateway:
                said = await gateway.client().ask(method, "/x")
                assert said.status == status
                if status == 200:
                    assert said.body == b"second"

    run(main)


def test_who_is_not_there_is_asked_no_more_for_a_while() -> None:
    """After some connections that came to nothing a whole region rests, and is tried again once that is over."""
    told: dict[str, Any] = {"breaker": None, "outliers": None}
    instances = [ProxyInstance("http://127.0.0.1:1", region="a"), ProxyInstance("http://127.0.0.1:2", priority=1)]
    here = ProxiedPool("app", ProxyPool(instances, **told))
    first, second = here.instances
    for number in range(REFUSED):
        assert here.choose((), float(number)) is first
        here.learned(first, float(number), float(number), "connection", there=False)
    now = float(REFUSED - 1)
    assert here.choose((), now) is second
    assert here.choose((second,), now) is first  # rather than nobody
    assert here.choose((), now + REST) is first
    here.learned(first, now + REST, now + REST, None)
    assert here.choose((), now + REST) is first
