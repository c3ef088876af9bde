"""A process that records until it is killed; `test_evals_recorder` does the killing.

It forks a child for each line that it reads, a delay, kills it after so many seconds, and says when it is dead:
a kill is cheap and a start is not. A child with a delay of 0 is let finish.
"""

import asyncio
import os
import signal
import sys
import time

from evals_pieces import Same, cases, ladder, noting
from fastcascade.evals.recorder import Recorder
from fastcascade.evals.runs import Runs


def work(run: str, journal: str, count: int, concurrency: int) -> None:
    """Record all that is missing."""

    async def go() -> None:
        cascade = ladder(noting(journal), pause=0.002)
        recorder = Recorder(cascade, runs, version="1", grader=Same(), concurrency=concurrency)
        await recorder.run(cases(count))

    with Runs(run, make=True) as runs:
        asyncio.run(go())


def main() -> None:
    """Obey, line by line."""
    run, journal, count, concurrency = sys.argv[1:]
    for line in sys.stdin:
        delay = float(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work(run, journal, int(count), int(concurrency))
                code = 0
            finally:
                os._exit(code)
        if delay:
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
