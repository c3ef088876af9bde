"""A server that is measured, and what a gateway's worker has of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from fastcascade import Quota
from fastcascade.caching.levels import Levels
from fastcascade.shared.budgets import SharedBudgets
from fastcascade.shared.limits import SharedLimiter
from fastcascade.shared.members import Members
from fastcascade.shared.shared import Shared
from redis_server import RedisServer

__all__ = ["Server", "Worker"]

BEATS: Final = 3600.0
"""Members say nothing while costs are measured."""
CALLS: Final = re.compile(r"^cmdstat_(evalsha|eval|xread|get|hello|ping):calls=(\d+),usec=(\d+)", re.MULTILINE)


class Server:
    """The server, and what it says of itself."""

    def __init__(self, server: RedisServer) -> None:
        self.url, self._server = server.url, server
        self._pid = int(self.info("server")["process_id"])
        self.version = self.info("server")["redis_version"]

    def info(self, section: str) -> dict[str, str]:
        """One section of INFO."""
        said = self._server.tell("INFO", section).replace("\r", "")
        return dict(line.split(":", 1) for line in said.splitlines() if ":" in line)

    def seconds(self) -> float:
        """Processor time of all its threads."""
        files = Path(f"/proc/{self._pid}/task").glob("*/schedstat")
        return sum(int(each.read_text(encoding="ascii").split()[0]) for each in files) / 1e9

    def state(self) -> dict[str, float]:
        """All that is counted."""
        stats = self.info("stats")
        found = {"in": float(stats["total_net_input_bytes"]), "out": float(stats["total_net_output_bytes"])}
        said = self._server.tell("INFO", "commandstats").replace("\r", "")
        for name, calls, usec in CALLS.findall(said):
            if name in ("evalsha", "eval"):
                found["calls"] = found.get("calls", 0.0) + float(calls)
                found["usec"] = found.get("usec", 0.0) + float(usec)
        return {"calls": 0.0, "usec": 0.0, **found, "cpu": self.seconds() * 1e6}

    def memory(self) -> float:
        """Bytes in use."""
        return float(self.info("memory")["used_memory"])

    @contextmanager
    def watched(self, row: dict[str, Any], count: int) -> Iterator[None]:
        """Note what it did for so many of something."""
        before = self.state()
        yield
        after = self.state()
        spent = {name: after[name] - before.get(name, 0.0) for name in after}
        row["us"] = spent["cpu"] / count
        row["commands"] = spent["calls"] / count
        row["in"], row["out"] = spent["in"] / count, spent["out"] / count
        row["us command"] = spent["usec"] / spent["calls"] if spent["calls"] else 0.0


class Worker:
    """What a worker has of a store."""

    def __init__(self, server: Server) -> None:
        self.shared = Shared(server.url, timeout=5.0)
        self.levels = Levels("answers", self.shared, items=100_000)
        members = Members(self.shared, every=BEATS)
        self.budgets = SharedBudgets(self.shared, members=members)
        self.limiter = SharedLimiter(Quota(1e9, per="second", burst=1e9), self.shared, members=members)

    async def settled(self) -> None:
        """All that was to be told is told."""
        await self.budgets.settled()
        await self.limiter.told()

    async def __aenter__(self) -> Self:
        await self.shared.start()
        await self.levels.start()
        await self.budgets.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.levels.aclose()
        await self.budgets.aclose()
        await self.shared.aclose()
