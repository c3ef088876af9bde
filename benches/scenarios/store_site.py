"""Two gateways with one store between them, a provider behind them, and keys: where the scenario is played."""

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

from cdn_processes import Gateway, Script

from fastcascade.gateway.account_redis import used_at
from fastcascade.gateway.keys import new_key
from fastcascade.shared.slots import slot_of
from gateways import Client, Said, chat

CHAT: Final = "/v1/chat/completions"
CONFIG: Final = """\
[gateway]
linger = 0.1
drain = 5
keys = "keys.json"
account_off = "{off}"

[gateway.limits]
idle = 3600

[gateway.shared]
url = "{url}"

[cache]
sampled = true

[[tiers]]
name = "small"
backend = {{ kind = "direct", wire = "openai", model = "small", base_url = "http://127.0.0.1:{provider}/v1", \
api_key = "literal:made-up" }}
price = {{ input = 1.0, output = 5.0 }}
"""
ILL: Final = re.compile(r"Traceback|Exception|failed with|a hook failed|never awaited|Task was destroyed|lost")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a caller."""

    id: str
    secret: str


@dataclass
class Site:
    """Both gateways, and what they are told."""

    folder: Path
    url: str
    provider: Script
    gateways: list[Gateway]
    keys: dict[str, Key]

    @property
    def ports(self) -> list[int]:
        """Where the gateways listen."""
        return [each.port for each in self.gateways]

    async def ask(self, place: int, key: str, text: str, client: Client | None = None) -> Said:
        """Ask one of them."""
        own = client or Client(self.ports[place])
        headers = {"authorization": f"Bearer {self.keys[key].secret}"}
        said = await own.ask("POST", CHAT, chat(f"{key} {text}"), headers)
        if client is None:
            await own.close()
        return said

    async def purge(self, place: int) -> bool:
        """Have one forget everything; whether it could tell the other."""
        client = Client(self.ports[place])
        headers = {"authorization": f"Bearer {self.keys['boss'].secret}", "content-type": "application/json"}
        said = await client.ask("POST", "/admin/purge", b'{"everything": true}', headers)
        await client.close()
        if said.status != 200:
            raise SystemExit(f"a purge was answered with {said.status}")
        return bool(said.json()["everywhere"])

    async def book(self) -> dict[str, int]:
        """What the provider has charged for."""
        client = Client(self.provider.said)
        said = await client.get("/book")
        await client.close()
        found: dict[str, int] = said.json()
        return found

    async def go(self) -> None:
        """Let the provider answer what is slow."""
        client = Client(self.provider.said)
        await client.ask("POST", "/go")
        await client.close()

    async def account(self) -> dict[str, tuple[int, int]]:
        """Nano-dollars and requests of each key this month, as the store has them."""
        names = {each.id: name for name, each in self.keys.items()}
        read = await asyncio.get_running_loop().run_in_executor(None, used_at, self.url, list(names))
        return {names[id_]: (month.nanos, month.requests) for id_, (_, month) in read.items()}

    def bucket(self, key: str) -> str:
        """The name of the bucket of a key's requests."""
        return f"fastcascade:{{{self.keys[key].id}}}:key:requests"

    def spent(self, place: int) -> float:
        """Seconds of processor time of a gateway's processes."""
        return sum(spent(each) for each in _tree(self.gateways[place].process.pid))

    def held(self) -> list[dict[str, float]]:
        """Memory (MB) and descriptors of each gateway's processes."""
        return [_held(each.process.pid) for each in self.gateways]

    def complaints(self) -> list[str]:
        """Lines of their logs that nobody should see."""
        return [line for each in self.gateways for line in each.log.read_text().splitlines() if ILL.search(line)]


@contextmanager
def site(
    folder: Path, url: str, keys: dict[str, dict[str, Any]], *, off: str = "open",
    urls: tuple[str, ...] = (), lies: Callable[[int], bool] | None = None,
) -> Iterator[Site]:  # fmt: skip
    """Both, begun. `urls`: of the store, by gateway; `lies`: which slots the keys are to be in."""
    made = {name: _key(name, told, lies) for name, told in {**keys, "boss": {"admin": True}}.items()}
    records = [record.written() for record, _ in made.values()]
    (folder / "keys.json").write_text(json.dumps({"keys": records}), encoding="utf-8")
    provider = Script("store_provider.py")
    gateways: list[Gateway] = []
    try:
        for number, own in enumerate(urls or (url, url)):
            config = CONFIG.format(url=own, off=off, provider=provider.said)
            gateways.append(Gateway(folder / f"gateway-{number}.toml", config))
        known = {name: Key(record.id, secret) for name, (record, secret) in made.items()}
        yield Site(folder, url, provider, gateways, known)
    finally:
        for each in gateways:
            each.stop()
        provider.stop()


def _key(name: str, told: dict[str, Any], lies: Callable[[int], bool] | None) -> Any:
    """A record whose things lie where they are to, and its secret."""
    record, secret = new_key(name, time.time(), **told)
    numbers = iter(range(100_000))
    while lies is not None and not lies(slot_of(record.id.encode())):
        record = replace(record, id=f"key_{name}_{next(numbers)}")
    return record, secret


def spent(pid: int) -> float:
    """Seconds of processor time of all threads of a process, as the kernel's scheduler counts them."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text(encoding="ascii").split()[0]) for each in threads) / 1e9


def _held(pid: int) -> dict[str, float]:
    memory, files = 0.0, 0
    for each in _tree(pid):
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii")
            found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
            memory += int(found[1]) / 1024 if found else 0.0
            files += len([*Path(f"/proc/{each}/fd").iterdir()])
        except OSError:
            continue  # it has ended
    return {"mb": memory, "files": files}


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return
    for each in below:
        yield from _tree(int(each))
