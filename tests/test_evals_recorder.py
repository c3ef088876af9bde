"""Recording: nothing is asked twice, no bound is passed, and a kill costs no more than the calls under way."""

import asyncio
import io
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evals_pieces import PRICE, USAGE, Counted, Same, cases, judged, ladder, noting
from fastcascade import Cascade, Clock, ConfigError, Tier
from fastcascade.evals.cases import Case
from fastcascade.evals.graders import Grade, Judged
from fastcascade.evals.progress import Progress
from fastcascade.evals.recorder import Recorded, Recorder, version_of
from fastcascade.evals.runs import Runs
from fastcascade.messages import Reply
from fastcascade.policies import Everything
from fastcascade.prices import PriceSheet
from fastcascade.recording import replay

CALL = PRICE.cost(USAGE)
"""Dollars that each call turns out to cost."""


def sit(path: Path, cascade: Cascade, asked: list[Case], **settings: object) -> Recorded:
    """One sitting."""
    settings = {"version": "1", "grader": Same(), **settings}
    with Runs(path, make=True) as runs:
        return asyncio.run(Recorder(cascade, runs, **settings).run(asked))  # type: ignore[arg-type] # named


def test_everything_is_asked_once(tmp_path: Path) -> None:
    """Each case is asked of each tier with all samples, and a second sitting asks nothing."""
    seen: list[str] = []
    first = sit(tmp_path / "run.db", ladder(seen.append), cases(6))
    assert (first.asked, first.kept, first.failed, first.ungraded, first.left) == (6, 0, 0, 0, 0)
    assert Counter(seen) == Counter({f"small q{n}": 3 for n in range(6)} | {f"large q{n}": 1 for n in range(6)})
    assert first.spent_usd == pytest.approx(24 * CALL)
    second = sit(tmp_path / "run.db", ladder(seen.append), cases(6))
    assert len(seen) == 24 and (second.asked, second.kept, second.spent_usd) == (0, 6, 0.0)
    assert second.file_usd == pytest.approx(first.spent_usd)


def test_what_is_recorded_replays(tmp_path: Path) -> None:
    """A recording answers under any threshold, with the costs that the tiers had."""
    sit(tmp_path / "run.db", ladder(lambda _: None), cases(3))
    with Runs(tmp_path / "run.db") as runs:
        recordings = dict(runs.recordings())
    assert list(recordings) == ["c0", "c1", "c2"]
    never = Cascade(Tier(Counted("small", str, pytest.fail), price=PRICE), Tier(Counted("large", str, pytest.fail)))
    assert replay(never, recordings["c1"]).tier == "small"
    answer = replay(never.adjusted(policy=Everything()), recordings["c1"])
    assert [each.tier for each in answer.attempts] == ["small", "large"] and not answer.degraded


def test_failed_cases_are_asked_again(tmp_path: Path) -> None:
    """Of a case that failed only the calls that failed are made again, and those that hung on them."""
    seen: list[str] = []
    judge = Counted("judge", lambda _: "NO", seen.append)
    judge.down = True
    first = sit(tmp_path / "run.db", judged(seen.append, judge), cases(3))
    assert (first.failed, first.left, len(seen)) == (3, 0, 9)
    judge.down = False
    second = sit(tmp_path / "run.db", judged(seen.append, judge), cases(3))
    assert (second.failed, second.asked, second.kept) == (0, 3, 0)
    assert [line.split()[0] for line in seen[9:]] == ["judge"] * 3
    with Runs(tmp_path / "run.db") as runs:
        assert runs.table()["signals"]["judge"] == [0.0] * 3


def test_what_has_changed_is_recorded_anew(tmp_path: Path) -> None:
    """Another question or cascade is asked anew and said so; another truth is graded anew, without a call."""
    seen: list[str] = []
    path = tmp_path / "run.db"
    sit(path, ladder(seen.append), cases(4))
    asked = [Case("c0", "another?", "3"), *cases(4)[1:]]
    changed = sit(path, ladder(seen.append), asked)
    assert changed.changed == ("c0",) and changed.asked == 1 and "1 changed cases" in str(changed)
    assert len(seen) == 20
    truth = sit(path, ladder(seen.append), [asked[0], *cases(4, expected="5")[1:]])
    assert (truth.asked, truth.graded_anew, len(seen)) == (0, 3, 20)
    other = sit(path, ladder(seen.append), asked, version="2")
    assert other.cascade_changed and other.asked == 4 and "another" in str(other)
    back = sit(path, ladder(seen.append), asked)
    assert back.asked == 0 and not back.cascade_changed


@pytest.mark.parametrize("seed", range(8))
def test_the_cap_is_never_passed(tmp_path: Path, seed: int) -> None:
    """Whatever the cap and the calls at once, no more is spent, the rest is priced, and a higher cap goes on."""
    draw = random.Random(seed)
    cap, at_once = draw.uniform(0.0, 30 * CALL) + 1e-9, draw.randint(1, 6)
    cascade = Cascade(*(_known(tier) for tier in ladder(lambda _: None, pause=0.001).tiers))
    capped = sit(tmp_path / "run.db", cascade, cases(10), cap_usd=cap, concurrency=at_once)
    assert capped.file_usd <= cap and capped.left and "cap" in capped.stopped
    assert capped.file_usd > cap - 3 * CALL or capped.file_usd == 0.0  # what it held was used
    assert capped.rest_usd is not None and capped.rest_usd > 0.0
    seen: list[str] = []
    whole = sit(tmp_path / "run.db", ladder(seen.append), cases(10), cap_usd=1.0)
    assert whole.left == 0 and whole.file_usd == pytest.approx(40 * CALL)
    assert len(seen) == 40 - round(capped.file_usd / CALL)


def _known(tier: Tier) -> Tier:
    """The tier, with replies as long as they are."""
    tier.expected_output = USAGE.output * 2
    return tier


def test_a_cap_needs_prices(tmp_path: Path) -> None:
    """Without a price no cap can be kept, and that is said before anything is asked."""
    seen: list[str] = []
    backend = Counted("small", lambda _: "3", seen.append)
    backend.price = None  # type: ignore[assignment] # as of a model that nobody knows
    cascade = Cascade(Tier(backend), prices=PriceSheet(source=None))
    with pytest.raises(ConfigError, match="tier 'small' is not known"):
        sit(tmp_path / "run.db", cascade, cases(1), cap_usd=1.0)
    assert seen == [] and sit(tmp_path / "run.db", cascade, cases(1)).left == 0


def test_no_more_calls_at_once(tmp_path: Path) -> None:
    """Samples count as calls: there are never more under way than was said."""
    cascade = ladder(lambda _: None, pause=0.001, k=6)
    sit(tmp_path / "run.db", cascade, cases(8), concurrency=3)
    pools: list[Any] = [tier.backend for tier in cascade.tiers]
    backends = [pool.instances[0].backend if hasattr(pool, "instances") else pool for pool in pools]
    assert 0 < max(each.most for each in backends) <= 3


def test_the_rate_is_kept(tmp_path: Path) -> None:
    """At 60 a minute each call waits for its second, on the clock that was given."""
    clock, seen = Clock(), list[float]()
    began = clock.now()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        await asyncio.sleep(0)

    cascade = ladder(lambda _: seen.append(clock.now() - began))
    sit(tmp_path / "run.db", cascade, cases(5), per_minute=60, clock=clock, sleep=sleep)
    assert len(seen) == 20 and max(seen) >= 18.9
    assert all(sum(at <= each < at + 10 for each in seen) <= 14 for at in range(20))


def test_a_graders_judge_is_the_runs_cost(tmp_path: Path) -> None:
    """What grading costs is counted to the file, and to no tier."""
    judge = Counted("grader", lambda _: "0.5", lambda _: None)
    found = sit(tmp_path / "run.db", ladder(lambda _: None), cases(2), grader=Judged(judge), cap_usd=1.0)
    assert found.file_usd == pytest.approx((2 * 4 + 4) * CALL)
    with Runs(tmp_path / "run.db") as runs:
        table = runs.table()
    assert table["cheap"] == table["dear"] == [0.5, 0.5] and table["cheap_cost"] == pytest.approx([3 * CALL] * 2)


def test_ungraded_is_counted_and_tried_again(tmp_path: Path) -> None:
    """A reply that could not be graded is left out of the table, counted, and graded in the next sitting."""

    class Silent:
        async def grade(self, case: Case, reply: Reply | str, /) -> Grade:
            return Grade(None, "no word")

    found = sit(tmp_path / "run.db", ladder(lambda _: None), cases(2), grader=Silent(), named="x")
    assert found.ungraded == 4
    with Runs(tmp_path / "run.db") as runs:
        assert runs.table()["left_out"]["ungraded"] == 2 and runs.table()["ids"] == []
    again = sit(tmp_path / "run.db", ladder(lambda _: None), cases(2), named="x")
    assert (again.ungraded, again.graded_anew, again.asked) == (0, 2, 0)


def test_an_interrupt_keeps_what_is_under_way(tmp_path: Path) -> None:
    """One who interrupts loses no call: those under way are waited for, and not made again."""
    seen: list[str] = []
    three = asyncio.Event()

    def note(line: str) -> None:
        seen.append(line)
        if len(seen) == 3:
            three.set()

    async def interrupted() -> None:
        with Runs(tmp_path / "run.db", make=True) as runs:
            recorder = Recorder(ladder(note, pause=0.01), runs, version="1", grader=Same(), concurrency=2)
            task = asyncio.create_task(recorder.run(cases(5)))
            await three.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(interrupted())
    assert sit(tmp_path / "run.db", ladder(seen.append), cases(5)).left == 0
    assert len(seen) == 20


def test_progress_is_a_line_or_ten() -> None:
    """On a terminal one line is written over; elsewhere there is one for each tenth."""
    plain, shown = io.StringIO(), io.StringIO()
    for stream, terminal in ((plain, False), (shown, True)):
        progress = Progress(stream, terminal=terminal)
        for done in range(101):
            progress(done, 100, done / 100)
        progress.end()
    assert len(plain.getvalue().splitlines()) == 10 and plain.getvalue().endswith("100 of 100 cases, $1.0000\n")
    assert shown.getvalue().count("\n") == 1 and shown.getvalue().count("\r") == 101


def test_the_version_is_of_what_is_asked(tmp_path: Path) -> None:
    """Remarks, thresholds and fallbacks are no part of a cascade's version; models and prompts are."""

    def version(text: str) -> str:
        (tmp_path / "c.toml").write_text(text, encoding="utf-8")
        return version_of(tmp_path / "c.toml")

    plain = version('[[tiers]]\nbackend = {kind = "openai", model = "a"}')
    same = '# said\nabstain = "accept"\n[[tiers]]\naccept = 0.9\nbackend = {model = "a", kind = "openai"}'
    assert version(same) == plain
    assert version('[[tiers]]\nbackend = {kind = "openai", model = "b"}') != plain
    assert version('[[tiers]]\ntemperature = 1.0\nbackend = {kind = "openai", model = "a"}') != plain


def test_killed_at_any_time(tmp_path: Path) -> None:
    """After 15 kills each case is there once, and each kill has cost no more than the calls under way."""
    draw, count, at_once = random.Random(5), 100, 4
    run, journal = tmp_path / "run.db", tmp_path / "journal"
    noting(journal)
    command = [sys.executable, str(Path(__file__).with_name("evals_worker.py")), str(run), str(journal), str(count)]
    worker = subprocess.Popen([*command, str(at_once)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdin is not None and worker.stdout is not None
    kills, before = 0, 0
    with worker:
        for _ in range(15):
            worker.stdin.write(f"{draw.uniform(0.03, 0.12)}\n")
            worker.stdin.flush()
            assert worker.stdout.readline().strip() in ("-9", "0")
            lines = journal.read_text("utf-8").splitlines()
            before, kills = len(lines), kills + (len(lines) > before)
        worker.stdin.write("0\n")
        worker.stdin.flush()
        assert worker.stdout.readline().strip() == "0"
    lines = journal.read_text("utf-8").splitlines()
    assert 4 * count <= len(lines) <= 4 * count + at_once * kills  # kills that fell into the work alone
    seen = Counter(lines)
    assert all(seen[f"large q{n}"] >= 1 and seen[f"small q{n}"] >= 3 for n in range(count))
    assert kills >= 5, "too few kills fell into the work"
    with Runs(run) as runs:
        table = runs.table()
        assert [name for name, _ in runs.recordings()] == table["ids"] == [f"c{n}" for n in range(count)]
        assert runs.spent_usd >= 4 * count * CALL * 0.999
