"""Keeps what was worked out of a recording, and has it worked out: one process at a time, with its progress shown.

Reading a recording opens it for itself alone and so writes to it. That is why a file is known by what it was when our
own reading ended: only what somebody else does to it makes it new.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.console.api_calibration_now import current

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["Work", "Works"]

MODULE: Final = "fastcascade.console.api_calibration_work"
LONGEST: Final = 900.0
"""Seconds after which the process is ended."""
LINE: Final = 1 << 24
KEPT: Final = 24
PASSED: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "HOME", "VIRTUAL_ENV", "SYSTEMROOT")
"""What the process has of our environment: no credential."""
Stamp = tuple[int, int]
Meant = Callable[[Sequence[str]], "tuple[str, Cascade | None]"]


@dataclass(slots=True)
class Work:
    """One choice of promise, signal and tiers, worked out or under way."""

    wanted: Mapping[str, Any]
    began: float
    step: str = "waiting for its turn"
    found: dict[str, Any] | None = None
    error: str = ""
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def state(self) -> str:
        """Working, done or failed."""
        return "failed" if self.error else "done" if self.found is not None else "working"


class Works:
    """All of one worker.

    Args:
        clock: seconds, for how long something takes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing yet."""
        self.clock = clock
        self._works: dict[tuple[Any, ...], Work] = {}
        self._versions: dict[Path, tuple[int, Stamp]] = {}
        self._currents: dict[tuple[Path, int, str], dict[str, Any]] = {}
        self._turn = asyncio.Lock()

    def ask(self, file: Path, wanted: Mapping[str, Any], meant: Meant) -> Work:
        """What is known of this choice; it is begun where nothing is. Raises `OSError` where there is no such file.

        `meant` says which cascade has the tiers that turn out to be in the recording.
        """
        version = self._version(file)
        key = (file, version, *sorted((each, str(value)) for each, value in wanted.items()))
        work = self._works.get(key)
        if work is None:
            work = self._works[key] = Work(wanted, self.clock())
            self._tidy()
            work.task = asyncio.get_running_loop().create_task(self._run(work, file, version, meant))
        return work

    def forget(self, work: Work) -> None:
        """Have it worked out anew when it is asked for again, unless it is under way."""
        if work.state != "working":
            self._works = {key: each for key, each in self._works.items() if each is not work}

    @property
    def under_way(self) -> "list[asyncio.Task[None]]":
        """What is worked out now, or waits for it."""
        return [each.task for each in self._works.values() if each.task is not None and not each.task.done()]

    async def aclose(self) -> None:
        """End what is under way."""
        tasks = self.under_way
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _version(self, file: Path) -> int:
        """Which state of the file this is; while we read it ourselves it is the one that we read."""
        stamp = _stamp(file)
        version, known = self._versions.get(file, (0, None))
        if stamp != known and not self._turn.locked():
            version += 1
            self._versions[file] = (version, stamp)
        return version

    async def _run(self, work: Work, file: Path, version: int, meant: Meant) -> None:
        def tell(step: str) -> None:
            work.step = step

        try:
            async with self._turn:
                try:
                    async with asyncio.timeout(LONGEST):
                        found = await _child({**work.wanted, "file": str(file)}, tell)
                        work.found = {**found, "current": await self._now(file, version, found["tiers"], meant, tell)}
                finally:
                    with suppress(OSError):  # how it is after our own reading, whatever came of that
                        self._versions[file] = (version, _stamp(file))
        except TimeoutError:
            work.error = f"it took more than {LONGEST / 60:.0f} minutes, and was ended; use the command instead"
        except (OSError, ValueError) as error:
            work.error = str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 - a gate of the user's own; the page is not to wait forever
            work.error = f"it failed: {type(error).__name__}"

    async def _now(
        self, file: Path, version: int, tiers: Sequence[str], meant: Meant, tell: Callable[[str], object]
    ) -> dict[str, Any]:
        """Where the cascade is that runs: the same for all choices."""
        name, cascade = meant(tiers)
        now = self._currents.get((file, version, name))
        if now is None:
            now = {"why": "there is no cascade here that has the tiers of the recording"}
            if cascade is not None:
                now = await asyncio.to_thread(current, cascade, file, tell)
            self._currents = {(file, version, name): now}
        return now

    def _tidy(self) -> None:
        for key in list(self._works)[:-KEPT]:
            if self._works[key].state != "working":
                del self._works[key]


async def _child(wanted: Mapping[str, Any], tell: Callable[[str], object]) -> dict[str, Any]:
    """Let a process work it out. Raises `ValueError` with what it said was wrong."""
    env = {name: os.environ[name] for name in PASSED if name in os.environ}
    env["OPENBLAS_NUM_THREADS"] = env["OMP_NUM_THREADS"] = "1"  # one core is enough, and threads take memory
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", MODULE,
        stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, limit=LINE, env=env,
    )  # fmt: skip
    assert process.stdin is not None  # noqa: S101 - it was asked for, as what follows
    assert process.stdout is not None  # noqa: S101
    said: dict[str, Any] = {}
    try:
        process.stdin.write(json.dumps(wanted).encode() + b"\n")
        process.stdin.close()
        async for line in process.stdout:
            said = json.loads(line)
            if "step" in said:
                tell(said["step"])
        status = await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if "error" in said:
        raise ValueError(said["error"])
    if "done" not in said:
        raise ValueError(f"the process that works it out ended with status {status} and said nothing")
    found: dict[str, Any] = said["done"]
    return found


def _stamp(file: Path) -> Stamp:
    about = file.stat()
    return about.st_mtime_ns, about.st_size
