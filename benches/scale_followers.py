"""A process that has many followers of the news: it notes when each hears what, and says so when its input ends.

    python benches/scale_followers.py URL COUNT

It prints a line once all of them listen, and at the end the time of each piece at the last and the median of them.
Times are of the clock that all processes of a machine have in common.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Mapping

from fastcascade.shared.shared import Shared


async def follow(url: str, count: int) -> None:
    """Until the input ends."""
    heard: defaultdict[str, list[float]] = defaultdict(list)

    def note(_id: str, fields: Mapping[bytes, bytes]) -> None:
        heard[fields[b"number"].decode()].append(time.monotonic())

    all_ = [Shared(url, timeout=5.0) for _ in range(count)]
    for each in all_:
        each.news.on("told", note)
        await each.start()
    while not all(each.news.up for each in all_):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    print(flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        pass
    print(json.dumps({number: sorted(at) for number, at in heard.items()}), flush=True)
    await asyncio.gather(*(each.aclose() for each in all_))


if __name__ == "__main__":
    asyncio.run(follow(sys.argv[1], int(sys.argv[2])))
