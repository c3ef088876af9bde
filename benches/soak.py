"""A day's traffic in an hour: memory stays, no descriptor is left open, no record is lost.

    python benches/soak.py --minutes 60 --rate 60 --json soak.json         # --quick is one minute

A provider that misbehaves as it is told, `fastcascade serve` with two workers, and clients good and bad, at a rate that
does not wait for answers. In the first third the gateway is reloaded under traffic; then traffic rests, the books are
compared, and a last reload makes the workers that live through the other two thirds. What is counted by worker is
compared for those; memory and descriptors are judged over their last part, in which the rate ends where it began.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from soaking import sums
from soaking.driving import Traffic
from soaking.served import Provider, Samples, Served
from soaking.sums import Check, Tally
from soaking.watching import Held, Watch, growth, held
from soaking.wire import Client

MOST_GROWTH: Final = 1024 * 1024
"""Bytes in ten minutes."""
LEAST: Final = 600.0
"""Seconds over which growth is judged; over less, start-up is all that shows."""
SPARE: Final = 2
"""Descriptors and threads that a worker may have made when first needed: the event loop keeps one of /dev/null."""


class Soak:
    """One run."""

    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        self.seconds: float = args.minutes * 60
        self.provider = Provider()
        self.served = Served(folder, self.provider.port, args.workers)
        self.watch = Watch(folder)
        self.checks: list[Check] = []
        self.rate: float = args.rate
        self.ill: Counter[str] = Counter()
        self.reloads: list[float] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """All of it."""
        await self.served.start()
        self.traffic = Traffic(
            Client(self.served.port), self.served.secrets, self.rate, self.seconds, self.provider.seen
        )
        looking = asyncio.create_task(self._look())
        await self._first()
        await self._second()
        if not looking.cancel():
            looking.result()
        await self._end()

    async def _first(self) -> None:
        """Reloads under traffic, and then the books of what lasts."""
        third = self.seconds / 3
        due = [(third * part, self._reload) for part in (0.25, 0.5, 0.75)]
        due.insert(2, (third * 0.6, lambda: self.provider.outage("small", min(20.0, third / 8))))
        await self._go(third, due)
        await self._books("before the last reload", Counter(), {})

    async def _second(self) -> None:
        """The last workers, from their first request to their last."""
        self.before, self.spent = await self.provider.counts(), await self.served.spent()
        self.reloads.append(await self.served.reload())
        self.traffic.tally = Tally()
        self.pids = self.served.pids()
        self.began = time.monotonic()
        self.idle = self._held()
        base = await self.served.metrics()
        two = self.seconds * 2 / 3
        due = [
            (two * 0.1, self._create), (two * 0.4, lambda: self.provider.outage("small", min(20.0, two / 20))),
            (two * 0.5, self._revoke), (two * 0.8, lambda: self.provider.outage("mid", min(20.0, two / 20))),
        ]  # fmt: skip
        await self._go(self.seconds, [(self.seconds / 3 + at, what) for at, what in due])
        await self._books("of the last workers", self.before, self.spent, base)

    async def _go(self, until: float, due: list[tuple[float, Any]]) -> None:
        """Traffic until then, with what is due beside it; then none."""

        def look(at: float) -> bool:
            while due and at >= due[0][0]:
                task = asyncio.get_running_loop().create_task(due.pop(0)[1]())
                self.tasks.add(task)
            return False

        await self.traffic.go(until, look)
        await self.traffic.rest()
        await asyncio.gather(*self.tasks)
        self.tasks.clear()

    async def _reload(self) -> None:
        self.reloads.append(await self.served.reload())

    async def _create(self) -> None:
        await self.served.create("temporary")
        self.traffic.created = time.monotonic()

    async def _revoke(self) -> None:
        self.traffic.revoked = time.monotonic()
        await self.served.revoke("temporary")

    async def _books(
        self, when: str, before: Counter[str], spent: dict[str, tuple[int, int]], base: Samples | None = None
    ) -> None:
        metrics = await self.served.metrics()  # which waits for what is still to be written
        did = Counter({name: n - before[name] for name, n in (await self.provider.counts()).items()})
        now = {
            key: (nanos - spent.get(key, (0, 0))[0], made - spent.get(key, (0, 0))[1])
            for key, (nanos, made) in (await self.served.spent()).items()
        }
        checks = sums.account(self.traffic.tally, did, now)
        if base is not None:
            counted: Samples = Counter(metrics)
            counted.subtract(base)
            checks.insert(0, sums.requests(self.traffic.tally, counted))
            checks += sums.calls(self.traffic.tally, did, counted, sum(nanos for nanos, _ in now.values()))
        strange = sum(n for name, n in did.items() if name.startswith("?"))
        checks[0].must(not strange, f"{strange} calls that nobody asked for")
        work = Check("in work when traffic rests", f"{metrics['in_flight',]:g}")
        work.must(metrics["in_flight",] == 0, f"{metrics['in_flight',]:g} requests are still in work")
        for check in (*checks, work):
            check.name += f", {when}"
        self.checks += [*checks, work]

    def _held(self) -> dict[int, Held]:
        return {pid: held(pid, self.served.folder) for pid in self.pids}

    async def _look(self) -> None:
        """Sample what is held, and print a line a minute."""
        pause = min(10.0, self.seconds / 60)
        printed, before = time.monotonic(), 0
        while True:
            await asyncio.sleep(pause)
            pids = self.served.pids()
            self.watch.look(pids)
            if time.monotonic() - printed < min(60.0, self.seconds / 6):
                continue
            passed, printed = time.monotonic() - printed, time.monotonic()
            traffic = self.traffic
            last = [self.watch.samples[pid][-1] for pid in pids if pid in self.watch.samples]
            took = statistics.quantiles(traffic.took, n=20) if len(traffic.took) > 1 else [0.0] * 19
            told = " ".join(f"{each.rss / 2**20:.0f}/{each.pss / 2**20:.0f} MB {each.descriptors} fd" for each in last)
            print(
                f"{traffic.spent / 60:5.1f} min  {(traffic.total - before) / passed:5.1f}/s  "
                f"{len(traffic.under_way):3} under way  {sum(traffic.faults.values())} faults  "
                f"p50 {took[9] * 1e3:.0f} ms p95 {took[18] * 1e3:.0f} ms  RSS/PSS {told}",
                flush=True,
            )
            before = traffic.total

    async def _end(self) -> None:
        """What is left when all is over: with the provider gone, nothing but what was there at the beginning."""
        traffic, served = self.traffic, self.served
        answers = Check("answers", f"{traffic.total:,} asked, {traffic.stale} asked again on a new connection")
        answers.must(not traffic.faults, f"{dict(traffic.faults)}: {'; '.join(traffic.examples)}")
        self.checks.insert(0, answers)
        self.provider.stop()
        await asyncio.sleep(3)
        health = Check("health at the end", "200")
        try:
            await served.client.get("/healthz")
        except OSError as error:
            health.must(False, str(error))
        health.must(served.pids() == self.pids, f"workers {served.pids()} in the place of {self.pids}")
        self.checks += [health, *self._grown()]
        code = served.stop()
        ended = Check("its log, and its end", f"exit code {code}")
        ended.must(code == 0, f"exit code {code}")
        ended.must(not served.complaints(), "; ".join(served.complaints()[:5]))
        self.checks.append(ended)

    def _grown(self) -> list[Check]:
        """Whether the last workers hold more and more."""
        now = time.monotonic()
        since = max(self.began, now - self.seconds / 2)
        memory, flat, idle = Check("memory", ""), Check("descriptors under load", ""), Check("descriptors, idle", "")
        threads = Check("threads and tasks", "")
        judged = now - since >= LEAST
        end = self._held()
        for pid in self.pids:
            mine = self.watch.samples[pid]
            grown = growth(mine, "pss", since)
            blocks = growth(mine, "blocks", since)
            memory.said += f"{mine[-1].pss / 2**20:.1f} MB {grown / 2**20:+.2f} MB, {blocks:+,.0f} objects per 10 min; "
            memory.must(not judged or grown < MOST_GROWTH, f"worker {pid} grows by {grown / 2**20:.2f} MB in 10 min")
            busy = growth(mine, "descriptors", since)
            flat.said += f"{max(each.descriptors for each in mine)} at most {busy:+.1f} per 10 min; "
            flat.must(not judged or busy < 5, f"worker {pid} has {busy:.1f} more every 10 min")
            first, last = self.idle[pid], end[pid]
            idle.said += f"{first.descriptors} -> {last.descriptors}; "
            idle.must(
                last.descriptors <= first.descriptors + SPARE, f"worker {pid} keeps {dict(last.kinds - first.kinds)}"
            )
            tasks = growth(mine, "tasks", since)
            threads.said += f"{first.threads} -> {last.threads} threads, {tasks:+.1f} tasks per 10 min; "
            threads.must(not judged or tasks < 5, f"worker {pid} has {tasks:.1f} more tasks every 10 min")
            threads.must(last.threads <= first.threads + SPARE, f"worker {pid} has {last.threads} threads")
        if not judged:
            memory.said += f"not judged: {now - since:.0f} s"
        return [memory, flat, idle, threads]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second, in the mean (default: 60)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there")
    args = parser.parse_args()
    if args.quick:
        args.minutes = 1.0
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = Soak(Path(folder), args)
        try:
            asyncio.run(soak.run())
        finally:
            soak.provider.stop()
            if getattr(soak.served, "process", None) is not None and soak.served.process.poll() is None:
                soak.served.stop()
    return report(soak, args)


def report(soak: Soak, args: argparse.Namespace) -> int:
    """Print what was found, and write it down."""
    own = time.process_time() / soak.seconds
    print(f"\nreloads took {', '.join(f'{each:.1f}' for each in soak.reloads)} s; this driver {own:.0%} of a core")
    for check in soak.checks:
        print(f"{'FAILED' if check.wrong else 'ok':7}{check.name:52}{check.said}")
        for each in check.wrong:
            print(f"         {each}")
    if args.json is not None:
        checks = [{"name": each.name, "said": each.said, "wrong": each.wrong} for each in soak.checks]
        began = soak.idle[soak.pids[0]].at
        samples = [
            [[round(each.at - began), each.pss, each.descriptors, each.threads, each.tasks, each.blocks]
             for each in soak.watch.samples[pid]]
            for pid in soak.pids
        ]  # fmt: skip
        whole = {"minutes": args.minutes, "rate": args.rate, "checks": checks, "driver": own,
                 "asked": soak.traffic.total, "reloads": soak.reloads, "samples": samples}  # fmt: skip
        args.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")
    return int(any(check.wrong for check in soak.checks))


if __name__ == "__main__":
    sys.exit(main())
