"""One that takes part in a job: how it is started, what it is asked, and what it must answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from processes import Absent, Running, asked, free_port
from upstream import HEADERS, question

WARMING = 10.0  # seconds in which a server may answer badly, since it is not ready yet
Job = Literal["proxy", "accept", "escalate", "cache", "mix", "stream", "tls", "auth", "start"]


@dataclass
class Contender:
    """What is measured.

    `calls` is how often one request asks nginx (None: it is not looked at), `expect` must stand in the answer, `over`
    names the row that it is laid over, of which the difference is shown.
    """

    name: str
    command: list[str]
    url: str
    version: str = ""
    role: Literal["limit", "part", "rival", "ours"] = "rival"
    files: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: dict(HEADERS))
    body: bytes = field(default_factory=question)
    expect: bytes = b""
    calls: float | None = None
    over: str = ""
    note: str = ""
    slow: bool = False  # its turns are longer, since it answers few requests in one
    script: str = ""  # for wrk, where one request is not like the other
    absent: str = ""
    running: Running | None = None
    samples: list[dict[str, float]] = field(default_factory=list)

    def start(self, folder: Path) -> float:
        """Start it; seconds until it gave the right answer. Raises `Absent`."""
        home = folder / f"{len(list(folder.iterdir()))}"
        home.mkdir()
        for name, text in self.files.items():
            (home / name).write_text(text, encoding="utf-8")
        self.running = Running(self.command, home, self.environment)
        last: list[Any] = []
        first: list[float] = []  # when it answered at all

        def ready() -> bool:
            last[:] = asked(self.url, self.method, self.headers, self.body)
            first.append(time.monotonic())
            if last[0] != 200 and first[-1] - first[0] > WARMING:
                raise Absent("it gives no good answer")
            return bool(last[0] == 200)

        try:
            seconds = self.running.until(ready)
        except Absent as error:
            self.end()
            said = f"; it answered {last[0]} {last[2][:200]!r}" if last else ""
            raise Absent(f"{error}{said}") from None
        if self.expect not in last[2]:
            self.end()
            raise Absent(f"not measured: it answered {last[2][:200]!r}")
        return seconds

    def end(self) -> None:
        if self.running is not None:
            self.running.end()
            self.running = None


Make = Callable[[Any, Any], Contender | None]


def version(package: str) -> str:
    """Of a package in this environment."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        raise Absent(f"{package} is not installed") from None


def port_and_url(path: str = "/v1/messages", *, scheme: str = "http") -> tuple[int, str]:
    port = free_port()
    return port, f"{scheme}://127.0.0.1:{port}{path}"
