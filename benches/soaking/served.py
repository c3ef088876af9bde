"""The gateway under test: its file, its keys, its process, and what it says of itself."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from .mix import LARGEST
from .wire import Client

CONFIG: Final = """\
[budget]
deadline = 40

[[tiers]]
name = "small"
backend = {{ kind = "direct", wire = "anthropic", model = "small", base_url = "{up}", api_key = "literal:made-up", \
classic = true }}
price = {{ input = 1.0, output = 5.0 }}
gate = "checks:is_good"
pool = {{ retry = {{ base = 0.05, cap = 1.0 }}, breaker = {{ recovery_timeout = 2.0 }}, timeout = 10.0 }}

[[tiers]]
name = "mid"
backend = {{ kind = "direct", wire = "openai", model = "mid", base_url = "{up}/v1", api_key = "literal:made-up" }}
price = {{ input = 3.0, output = 15.0 }}
pool = {{ retry = {{ base = 0.05, cap = 1.0 }}, breaker = {{ recovery_timeout = 2.0 }} }}
gate = "checks:is_good"

[[tiers]]
name = "large"
backend = {{ kind = "direct", wire = "anthropic", model = "large", base_url = "{up}", api_key = "literal:made-up", \
classic = true }}
price = {{ input = 5.0, output = 25.0 }}
pool = {{ retry = {{ base = 0.05, cap = 1.0 }}, breaker = {{ recovery_timeout = 2.0 }} }}

[[fallbacks]]
kind = "static"
answer = "nobody can answer this right now"

[gateway]
workers = {workers}
keys = "keys.json"
account = "sqlite:account.db"
cache = {{ ttl = 120, memory = 4194304 }}
drain = 20

[gateway.limits]
body = {largest}
reading = 3

[gateway.models]
"top" = {{ tier = "large" }}
"passed" = {{ passthrough = "direct", wire = "anthropic", base_url = "{up}", api_key = "literal:made-up", \
price = {{ input = 5.0, output = 25.0 }} }}
"""
CHECKS: Final = """\
import asyncio, os, sys, time

told = 0.0


async def is_good(request, reply):
    global told
    if time.monotonic() - told > 5:  # the worker says how much it holds, as nobody else can
        told = time.monotonic()
        with open(f"held-{os.getpid()}", "w") as file:
            file.write(f"{len(asyncio.all_tasks())} {sys.getallocatedblocks()}")
    return "POOR" not in reply.text
"""
KEYS: Final = {
    "clean": ("--tokens-per-minute", "100000000", "--budget-day", "10000"),
    "rough": ("--budget-month", "10000", "--soft-day", "0.01"),
    "leaver": (),
    "limited": ("--limit", "60/min burst 10"),
    "poor": ("--budget-day", "0.01"),
}
SAMPLE: Final = re.compile(r"^(\w+)\{(.*)\} (\S+)$")
LABEL: Final = re.compile(r'(\w+)="([^"]*)"')

Samples = Counter[tuple[str, ...]]


class Served:
    """`fastcascade serve` in a folder, and its commands."""

    def __init__(self, folder: Path, upstream: int, workers: int) -> None:
        self.folder, self.workers = folder, workers
        up = f"http://127.0.0.1:{upstream}"
        config = CONFIG.format(up=up, workers=workers, largest=LARGEST)
        (folder / "cascade.toml").write_text(config, encoding="utf-8")
        (folder / "checks.py").write_text(CHECKS, encoding="utf-8")
        self.secrets = {"wrong": "fck_this-is-nobodys"}
        self.port = 0

    async def start(self) -> None:
        """Make the keys, and begin to serve."""
        for name in KEYS:
            await self.create(name)
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(  # noqa: ASYNC220 - at once
            [*COMMAND, "serve", "cascade.toml", "--port", "0"], cwd=self.folder, stderr=self.log, stdout=self.log
        )
        for _ in range(300):
            await asyncio.sleep(0.1)
            found = re.search(rb"http://127\.0\.0\.1:(\d+)", (self.folder / "log").read_bytes())
            if found:
                self.port = int(found[1])
                self.client = Client(self.port)
                return
        raise SystemExit(f"the gateway did not start:\n{(self.folder / 'log').read_text()}")

    async def create(self, name: str) -> None:
        """A key, by the command."""
        made = await self._keys("create", "--name", name, *KEYS.get(name, ()))
        self.secrets[name] = made["secret"]

    async def revoke(self, name: str) -> None:
        """End a key, by the command."""
        await self._keys("revoke", name)

    async def spent(self) -> dict[str, tuple[int, int]]:
        """Nano-dollars and requests of each key, as the account has them."""
        listed = await self._keys("list", "--account", "sqlite:account.db")
        return {
            each["name"]: (round(each["usd_this_month"] * 1e9), int(each["requests_this_month"])) for each in listed
        }

    async def _keys(self, *words: str) -> Any:
        command = (*COMMAND, "keys", *words, "--keys", "keys.json", "--json")
        asked = await asyncio.create_subprocess_exec(*command, cwd=self.folder, stdout=subprocess.PIPE)
        said, _ = await asked.communicate()
        if asked.returncode:
            raise SystemExit(f"fastcascade keys {words[0]} failed")
        return json.loads(said)

    def pids(self) -> list[int]:
        """Its workers."""
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    async def reload(self) -> float:
        """Have it serve the file anew; the seconds until all its workers are others."""
        before, began = set(self.pids()), asyncio.get_running_loop().time()
        os.kill(self.process.pid, signal.SIGHUP)
        for _ in range(600):
            await asyncio.sleep(0.1)
            now = set(self.pids())
            if len(now) == self.workers and not now & before:
                return asyncio.get_running_loop().time() - began
        raise SystemExit("a reload did not end within a minute")

    async def metrics(self) -> Samples:
        """What all workers have counted, once they have all said so, the label of the worker left out."""
        await asyncio.sleep(1.2)
        found: Samples = Counter()
        for line in (await self.client.get("/metrics")).decode().splitlines():
            match = SAMPLE.match(line)
            if match is not None:
                labels = (value for name, value in LABEL.findall(match[2]) if name != "worker")
                found[match[1].removeprefix("fastcascade_"), *labels] += float(match[3])  # type: ignore[assignment] # pyright: ignore[reportArgumentType]
        return found

    def complaints(self) -> list[str]:
        """Lines of its log that nobody should see."""
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        return [line for line in lines if re.search(r"ERROR|Traceback|Exception|cut off|never awaited", line)]

    def stop(self) -> int:
        """End it as an operator would; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.log.close()


COMMAND: Final = (sys.executable, "-m", "fastcascade")


class Provider:
    """The provider, in a process of its own that ends with this one."""

    def __init__(self) -> None:
        file = Path(__file__).with_name("provider.py")
        self.process = subprocess.Popen([sys.executable, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.client = Client(self.port)

    async def counts(self) -> Counter[str]:
        """By "key model what"."""
        return Counter(json.loads(await self.client.get("/counts")))

    async def seen(self, prompt: str) -> bool:
        """Whether a prompt came in."""
        return bool(json.loads(await self.client.get(f"/seen/{prompt}")))

    async def outage(self, model: str, seconds: float) -> None:
        """Have a model fail for a while."""
        head = f"POST /outage/{model}/{seconds} HTTP/1.1\r\nhost: soak\r\n\r\n"
        await self.client.ask(head.encode(), b"", fresh=True)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
