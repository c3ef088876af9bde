"""A rival's own process: it imports the rival, and runs as many requests as the parent asks for, over a pipe.

Each library has a process to itself, so that none pays for what another has loaded: no heap of a rival's for the
garbage collector to walk, no threads, no patched modules. The collector stays on, as it does for a user.
"""

import asyncio
import importlib
import inspect
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Any

SETTLE = 0.02  # seconds for what a library left over for later, such as its log; its CPU time is the library's


async def _once(job: Callable[[], Any]) -> Any:
    result = job()
    return await result if inspect.isawaitable(result) else result


async def _many(job: Callable[[], Any], times: int) -> dict[str, Any]:
    """Time so many, one after the other; a job that does not wait is called without `await`."""
    waits = inspect.iscoroutinefunction(job)
    cpu, start = time.process_time_ns(), time.perf_counter_ns()
    if waits:
        for _ in range(times):
            await job()
    else:
        for _ in range(times):
            job()
    wall = time.perf_counter_ns() - start
    if waits:
        await asyncio.sleep(SETTLE)
    return {"cpu": (time.process_time_ns() - cpu) / times, "wall": wall / times}


class Worker:
    """Sets a job up when it is first asked for, and keeps it."""

    def __init__(self) -> None:
        self.jobs: dict[str, Callable[[], Any]] = {}

    async def set_up(self, key: str, module: str, function: str, arguments: list[Any]) -> dict[str, Any]:
        code = importlib.import_module(module)
        job = getattr(code, function)(*arguments)
        said = await _once(job)
        self.jobs[key] = job
        return {"version": version_of(code.PACKAGE), "said": said}

    async def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            if "times" in asked:
                return await _many(self.jobs[asked["key"]], asked["times"])
            return await self.set_up(asked["key"], asked["module"], asked["function"], asked["arguments"])
        except ImportError as why:
            return {"absent": f"cannot be imported: {why}"}
        except Exception as why:  # noqa: BLE001 - whatever it is, the table says it in this rival's row
            return {"absent": f"{type(why).__name__}: {why}"}


def version_of(package: str | None) -> str:
    if package is None:
        return platform.python_version()
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # put on the path without being installed
        return str(getattr(sys.modules.get(package), "__version__", "?"))


def main() -> None:
    """Answer a line with a line until there are no more. What a rival prints goes to standard error."""
    warnings.simplefilter("ignore")
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker()
    # One loop for all, kept between the lines: connections and background tasks live on in it.
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            reply = runner.run(worker.answer(json.loads(line)))
            print(json.dumps(reply, default=repr), file=replies, flush=True)
        os._exit(0)  # some rivals run threads that would hold the process


if __name__ == "__main__":
    main()
