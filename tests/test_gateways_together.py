"""Two gateways, as processes, and one real Redis between them: what they share, and what each does without it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastcascade.gateway.key_store import KeyFile
from gateways import Client, Process, Said, chat, running
from redis_server import RedisServer, redis_server

CHAT = "/v1/chat/completions"
FILE = """
[gateway]
linger = 0.1
keys = "keys.json"

[gateway.shared]
url = "{url}"

[cache]
sampled = true

[[tiers]]
name = "small"
backend = {{ function = "answers:said" }}
"""
ANSWERS = """
import asyncio
from pathlib import Path

HERE = Path(__file__).parent

async def said(request):
    with (HERE / "asked").open("a") as file:
        file.write(f"{request.text}\\n")
    if request.text.startswith("slow"):
        while not (HERE / "go").exists():
            await asyncio.sleep(0.01)
    return f"number {len((HERE / 'asked').read_text().splitlines())}"
"""


@dataclass
class Pair:
    """Two gateways of one file, with the store that they share."""

    folder: Path
    redis: RedisServer
    processes: list[Process]
    ports: list[int]
    caller: str
    admin: str

    def asked(self) -> list[str]:
        """What a tier was asked, by either."""
        file = self.folder / "asked"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    async def ask(self, place: int, text: str) -> Said:
        """Ask one of them, on a connection of its own."""
        client = Client(self.ports[place])
        said = await client.ask("POST", CHAT, chat(text), {"authorization": f"Bearer {self.caller}"})
        await client.close()
        return said

    async def purge(self, place: int) -> bool:
        """Have one forget everything; whether it could tell the other."""
        client = Client(self.ports[place])
        headers = {"authorization": f"Bearer {self.admin}", "content-type": "application/json"}
        said = await client.ask("POST", "/admin/purge", b'{"everything": true}', headers)
        await client.close()
        assert said.status == 200, said.body
        everywhere: bool = said.json()["everywhere"]
        return everywhere


@contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Both, ready."""
    secrets = []
    file = KeyFile(folder / "keys.json")
    for name, admin in (("caller", False), ("boss", True)):
        secrets.append(file.create(name, admin=admin)[1])
    (folder / "answers.py").write_text(ANSWERS, encoding="utf-8")
    with redis_server() as redis:
        (folder / "cascade.toml").write_text(FILE.format(url=redis.url), encoding="utf-8")
        told = (str(folder / "cascade.toml"), "--port", "0")
        with running(*told) as (first, a), running(*told) as (second, b):
            yield Pair(folder, redis, [first, second], [a, b], *secrets)


def text_of(said: Said) -> str:
    """The answer."""
    assert said.status == 200, said.body
    text: str = said.json()["choices"][0]["message"]["content"]
    return text


async def becomes(asking: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so, for half a minute at most."""
    for _ in range(3_000):
        if await asking():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it has not become so")


def test_a_thousand_identical_misses_at_two_gateways_make_one_call(tmp_path: Path) -> None:
    """All are answered by the one that goes, here or at the other gateway."""

    async def go(both: Pair) -> None:
        asked = [asyncio.ensure_future(both.ask(number % 2, "slow why")) for number in range(1_000)]
        await becomes(lambda: _done(bool(both.asked())))
        (both.folder / "go").touch()
        answers = await asyncio.gather(*asked)
        assert {text_of(said) for said in answers} == {"number 1"}
        assert both.asked() == ["slow why"]
        assert Counter(said.headers.get("x-cascade-via", "") for said in answers) == {"cache": 999, "": 1}

    with pair(tmp_path) as both:
        asyncio.run(go(both))


def test_a_purge_at_one_gateway_is_seen_at_the_other(tmp_path: Path) -> None:
    """What one forgets the other does not give any more, and what was being made meanwhile is not kept."""

    async def go(both: Pair) -> None:
        for place in (0, 1):
            assert text_of(await both.ask(place, "why")) == "number 1"
        late = asyncio.ensure_future(both.ask(0, "slow one"))
        await becomes(lambda: _done(len(both.asked()) == 2))
        assert await both.purge(1)

        async def anew() -> bool:
            return text_of(await both.ask(0, "why")) != "number 1"

        await becomes(anew)
        (both.folder / "go").touch()
        await late
        assert "x-cascade-via" not in (await both.ask(1, "slow one")).headers
        assert both.asked() == ["why", "slow one", "why", "slow one"]

    with pair(tmp_path) as both:
        asyncio.run(go(both))


def test_without_redis_each_goes_on_from_memory_and_nothing_fails(tmp_path: Path) -> None:
    """Redis killed: what is in memory is given, the rest asked for. A purge made meanwhile is told when it is back."""

    async def go(both: Pair) -> None:
        for place in (0, 1):
            assert text_of(await both.ask(place, "why")) == "number 1"
        both.redis.kill()
        for place in (0, 1):
            assert text_of(await both.ask(place, "why")) == "number 1"
        assert text_of(await both.ask(0, "new")) == "number 2"
        assert text_of(await both.ask(1, "new")) == "number 3"
        assert not await both.purge(0)
        assert text_of(await both.ask(0, "why")) == "number 4"
        assert text_of(await both.ask(1, "why")) == "number 1"
        both.redis.start()

        async def told() -> bool:
            return text_of(await both.ask(1, "why")) != "number 1"

        await becomes(told)

    with pair(tmp_path) as both:
        asyncio.run(go(both))


def test_a_gateway_begins_though_redis_is_away(tmp_path: Path) -> None:
    """It serves, by itself; and shares once the store is there."""

    async def go(both: Pair) -> None:
        both.redis.kill()
        with running(str(both.folder / "cascade.toml"), "--port", "0") as (_, port):
            both.ports.append(port)
            assert text_of(await both.ask(2, "why")) == "number 1"
            both.redis.start()

            async def shared() -> bool:
                text = f"again {len(both.asked())}"
                first = text_of(await both.ask(2, text))
                return text_of(await both.ask(0, text)) == first

            await becomes(shared)

    with pair(tmp_path) as both:
        asyncio.run(go(both))


async def _done(value: bool) -> bool:
    return value
