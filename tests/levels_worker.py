"""The other process: for each key it is told, asks for it, waits for it to leave memory, and asks again."""

import asyncio
import json
import sys
import time

from fastcascade.caching.levels import Entry, Lead, Levels
from fastcascade.shared.shared import Shared


async def work(url: str) -> None:
    """Go on until the input ends."""
    shared = Shared(url)
    await shared.start()
    levels = Levels("test", shared)
    await levels.start()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        key = bytes.fromhex(line.strip())
        found = await levels.ask(key)
        value = found.value.decode() if isinstance(found, Entry) else ""
        print(json.dumps({"value": value}), flush=True)  # noqa: T201 - it tells its parent
        while levels.peek(key) is not None:  # noqa: ASYNC110 - it happens in a task that tells nobody
            await asyncio.sleep(0.0002)
        gone = time.monotonic()
        again = await levels.ask(key)
        if isinstance(again, Lead):
            again.give_up()
        print(json.dumps({"gone": gone, "then": type(again).__name__.lower()}), flush=True)  # noqa: T201 - it tells its parent
    await levels.aclose()
    await shared.aclose()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
