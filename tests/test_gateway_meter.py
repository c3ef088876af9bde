"""Budgets of the gateway's keys on one machine: beside a naive account, across crashes, days and processes."""

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from fastcascade.errors import ConfigError, StoreError
from fastcascade.gateway.account import Account, Read, Used, account_of, nanos, periods_at
from fastcascade.gateway.account_redis import used_at
from fastcascade.gateway.account_sqlite import SQLiteAccount
from fastcascade.gateway.keys import KeyRecord, new_key
from fastcascade.gateway.meter import STALE, Held, Meter
from fastcascade.gateway.rates import Denied, Rate
from fastcascade.notices import Notice

NOW = 1_800_000_000.0
DAY = 86_400.0
HARD = KeyRecord("hard", "hard", "0" * 64, budget_day=1.0, budget_month=3.0)
SOFT = KeyRecord("soft", "soft", "1" * 64, soft_month=1.0)
WORK = """
import sys
from fastcascade.gateway.account import account_of
from fastcascade.gateway.keys import KeyRecord
from fastcascade.gateway.meter import Meter
record = KeyRecord("hard", "hard", "0" * 64)
meter = Meter(account_of(sys.argv[1]), now=lambda: 1_800_000_000.0)
meter.start()
for _ in range(500):
    meter.leave(record, meter.enter(record), 0.001, 7)
meter.close()
"""


Make = Callable[[], Account]
fresh = iter(range(10**6))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """What makes accounts that are one, as several processes have it."""
    return lambda: SQLiteAccount(tmp_path / "used.db")


class Faulty:
    """An account that can be off, or do as it is told and then not say so."""

    def __init__(self, inner: Account) -> None:
        self.inner = inner
        self.off = self.lost = False

    def exchange(self, batch: int, used: Any, periods: tuple[str, ...], mark: int, /) -> Read:
        """Pass it on, or fail before or after."""
        if self.off:
            raise StoreError("off")
        read = self.inner.exchange(batch, used, periods, mark)
        if self.lost:
            raise StoreError("whether it was carried out is not known")
        return read

    def close(self) -> None:
        """Pass it on."""
        self.inner.close()


def held(got: Held | Denied) -> Held:
    """One that was let in."""
    assert isinstance(got, Held), got
    return got


class Machine(RuleBasedStateMachine):
    """Two processes and one account, beside sums made by hand."""

    opened: Callable[[], Account]

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.clock = 0.0
        self.accounts = [Faulty(self.opened()), Faulty(self.opened())]
        self.meters = [self._meter(0), self._meter(1)]
        self.work: list[list[tuple[KeyRecord, Held]]] = [[], []]
        self.spent: dict[tuple[str, str], int] = {}  # by period and key, of all that was settled and not lost
        self.unsent: list[dict[tuple[str, str], int]] = [{}, {}]

    def teardown(self) -> None:
        for each in self.accounts:
            each.close()

    def _meter(self, place: int) -> Meter:
        meter = Meter(self.accounts[place], now=lambda: self.now, clock=lambda: self.clock)
        with suppress(StoreError):
            meter.exchange()
        return meter

    def _known(self, place: int, key: str) -> tuple[int, int]:
        """What a process knows: the account as it was last read, which here is at once, and what it has not sent."""
        today = periods_at(self.now)
        return self.spent.get((today.day, key), 0), self.spent.get((today.month, key), 0)

    @rule(place=st.sampled_from([0, 1]), record=st.sampled_from([HARD, SOFT]))
    def enter(self, place: int, record: KeyRecord) -> None:
        """A hard budget refuses where it is spent or held, and else what is spent and held is never more than it."""
        for each in self.accounts:
            each.off = each.lost = False
        for meter in self.meters:  # all have written, and all have read
            meter.exchange()
        for meter in self.meters:
            meter.exchange()
        self.unsent = [{}, {}]
        day, month = self._known(place, record.id)
        got = self.meters[place].enter(record)
        mine = [what.nanos for who, what in self.work[place] if who is record]
        if record is SOFT:
            assert held(got).warning.count("USD") == (month >= nanos(1.0))
        elif isinstance(got, Denied):
            assert (got.why == "held") == (day < nanos(1.0) and month < nanos(3.0))
            assert mine or got.why != "held"
            assert got.wait > 0
        else:
            assert 0 < got.nanos <= nanos(1.0) - day - sum(mine)
            assert got.nanos <= nanos(3.0) - month - sum(mine)
        if isinstance(got, Held):
            self.work[place].append((record, got))

    @rule(place=st.sampled_from([0, 1]), cost=st.floats(0.01, 0.3), how=st.sampled_from(["", "good", "off", "lost"]))
    def ask(self, place: int, cost: float, how: str) -> None:
        """A request from its beginning to its end, after which the account may be off."""
        what = held(self.meters[place].enter(SOFT))
        self.work[place].append((SOFT, what))
        self._left(place, len(self.work[place]) - 1, cost)
        if how:
            self.exchange(place, how)

    @precondition(lambda self: self.work[0] or self.work[1])
    @rule(data=st.data(), cost=st.none() | st.floats(0, 0.6), asked=st.booleans())
    def leave(self, data: st.DataObject, cost: float | None, asked: bool) -> None:
        """What is settled counts once, at the time at which it is."""
        place = data.draw(st.sampled_from([each for each in (0, 1) if self.work[each]]))
        self._left(place, data.draw(st.integers(0, len(self.work[place]) - 1)), cost, asked=asked)

    def _left(self, place: int, which: int, cost: float | None, *, asked: bool = True) -> None:
        record, what = self.work[place].pop(which)
        for _ in range(2):
            self.meters[place].leave(record, what, cost, 3, asked=asked)
        if asked:
            spent = what.estimate if cost is None else nanos(cost)
            today = periods_at(self.now)
            for period in (today.day, today.month):
                where = (period, record.id)
                self.spent[where] = self.spent.get(where, 0) + spent
                self.unsent[place][where] = self.unsent[place].get(where, 0) + spent

    @rule(place=st.sampled_from([0, 1]), how=st.sampled_from(["good", "off", "lost"]))
    def exchanged(self, place: int, how: str) -> None:
        """As it says there."""
        self.exchange(place, how)

    def exchange(self, place: int, how: str) -> None:
        """An account that is off, or whose word is lost, loses nothing and counts nothing twice."""
        self.accounts[place].off, self.accounts[place].lost = how == "off", how == "lost"
        if how == "good":
            self.meters[place].exchange()
            self.unsent[place] = {}
        else:
            with pytest.raises(StoreError):
                self.meters[place].exchange()

    @rule(place=st.sampled_from([0, 1]))
    def crash(self, place: int) -> None:
        """A process that dies loses what was in work, and what it has not written."""
        self.accounts[place].off = self.accounts[place].lost = False
        self.meters[place].exchange()  # what may or may not have been written already would make two stories
        self.unsent[place] = {}
        self.accounts[place] = Faulty(self.opened())
        self.meters[place] = self._meter(place)
        self.work[place] = []

    @rule(days=st.sampled_from([0.3, 1, 20]))
    def later(self, days: float) -> None:
        """Days and months go by."""
        self.now += days * DAY

    @invariant()
    def exact(self) -> None:
        """The account has to the nano-dollar what was settled and written, from whichever process one looks."""
        if any(self.unsent) or any(each.off or each.lost for each in self.accounts):
            return
        today = periods_at(self.now)
        for meter in self.meters:
            meter.exchange()
            for record in (HARD, SOFT):
                assert tuple(each.nanos for each in meter.spent(record.id)) == (
                    self.spent.get((today.day, record.id), 0),
                    self.spent.get((today.month, record.id), 0),
                )


def test_the_model() -> None:
    """Whatever two processes do, in whatever order, and whenever they die, the sums are those made by hand."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108 # a disk would be slow

        class Case(Machine):
            def __init__(self) -> None:
                name = f"m{next(fresh)}"
                self.opened = lambda: SQLiteAccount(Path(folder) / name)
                super().__init__()

        run_state_machine_as_test(Case, settings=settings(max_examples=25, stateful_step_count=30))


def test_accounts_are_one(make: Make) -> None:
    """What one has added another reads, only what changed is read again, and a batch counts once."""
    one, two = make(), make()
    used = {("2027-01-15", "a"): Used(5, 1, 7, 0), ("2027-01", "a"): Used(5, 1, 7, 0)}
    periods = ("2027-01-15", "2027-01")
    first = one.exchange(1, used, periods, 0)
    assert dict(first.totals) == used
    assert dict(one.exchange(1, used, periods, 0).totals) == used
    again = two.exchange(1, {("2027-01-15", "b"): Used(1, 1, 1, 1)}, periods, first.mark)
    assert dict(again.totals) == {("2027-01-15", "b"): Used(1, 1, 1, 1)}
    assert not one.exchange(2, {}, periods, again.mark).totals
    assert len(one.exchange(2, {}, periods, 0).totals) == 3
    assert not one.exchange(2, {}, ("2027-01-16",), 0).totals
    one.close()
    assert dict(one.exchange(2, used, periods, again.mark).totals)["2027-01", "a"] == Used(10, 2, 14, 0)
    one.close()
    two.close()


def test_processes_share_one_account(tmp_path: Path) -> None:
    """Of what two real processes spend at once, nothing is lost, and all that they settled is there when they end."""
    where = f"sqlite:{tmp_path / 'used.db'}"
    account = account_of(where)
    workers = [subprocess.Popen([sys.executable, "-c", WORK, where]) for _ in range(2)]
    assert [each.wait() for each in workers] == [0, 0]
    totals = account.exchange(1, {}, ("2027-01-15", "2027-01"), 0).totals
    assert set(totals.values()) == {Used(nanos(1.0), 1_000, 7_000, 0)}
    account.close()


def test_the_thread_writes_at_once_and_hears_of_others(make: Make) -> None:
    """A meter that is looked after writes what was used without being told, and knows what others have used."""
    meters = [Meter(make(), now=lambda: NOW) for _ in range(2)]
    heard = threading.Event()
    for meter in meters:
        assert meter.refresh()
    meters[1].start(lambda: heard.set() if meters[1].spent("hard")[0].nanos else None)
    meters[0].start()
    meters[0].leave(HARD, held(meters[0].enter(HARD)), 1.0)
    assert heard.wait(10)
    assert isinstance(meters[1].enter(HARD), Denied)
    for meter in meters:
        meter.close()


def test_an_account_that_is_off(tmp_path: Path, heard: list[Notice]) -> None:
    """Without the account hard budgets are closed once it is stale, or open if so set; all others are let in."""
    for off, closed in (("closed", True), ("open", False)):
        account = Faulty(SQLiteAccount(tmp_path / f"{off}.db"))
        clock = [0.0]
        meter = Meter(account, off=off, now=lambda: NOW, clock=lambda clock=clock: clock[0])  # type: ignore[arg-type,misc]
        account.off = True
        assert not meter.refresh()
        first = meter.enter(HARD)
        assert isinstance(first, Denied) is closed
        if isinstance(first, Held):
            meter.leave(HARD, first, None, asked=False)
        account.off = False
        assert meter.refresh()
        clock[0] += STALE
        what = held(meter.enter(HARD))
        clock[0] += 1
        account.off = True
        meter.leave(HARD, what, 0.4)
        got = meter.enter(HARD)
        assert (got.why if isinstance(got, Denied) else "") == ("off" if closed else "")
        held(meter.enter(SOFT))
        account.off = False
        meter.close()
        found = SQLiteAccount(tmp_path / f"{off}.db").exchange(1, {}, ("2027-01-15",), 0).totals
        assert found["2027-01-15", "hard"].nanos == nanos(0.4)
    assert {each.kind for each in heard} == {"store off"}


def test_an_account_that_is_taken_away_is_begun_anew(tmp_path: Path) -> None:
    """What is used once the file is gone, or another, is in the file that is there; others hear of it."""
    path = tmp_path / "used.db"
    first, second = (Meter(SQLiteAccount(path), now=lambda: NOW) for _ in range(2))
    for meter in (first, second):
        meter.exchange()
    for turn in range(3):
        first.leave(HARD, held(first.enter(HARD)), 0.1)
        first.exchange()
        second.exchange()
        if turn == 1:
            for each in tmp_path.iterdir():
                each.unlink()
    assert second.spent("hard")[0].nanos == first.spent("hard")[0].nanos == nanos(0.1)
    third = Meter(SQLiteAccount(path), now=lambda: NOW)
    third.exchange()
    assert third.spent("hard")[0].nanos == nanos(0.1)
    for meter in (first, second, third):
        meter.close()


def test_a_clock_that_leapt_is_followed_back(tmp_path: Path) -> None:
    """Who is set back by a little keeps to the later day; who was years ahead counts by the true day again."""
    at = [NOW]
    meter = Meter(SQLiteAccount(tmp_path / "used.db"), now=lambda: at[0])
    days = []
    for now in (NOW, NOW + DAY, NOW, NOW + 900 * DAY, NOW):
        at[0] = now
        meter.exchange()
        meter.leave(HARD, held(meter.enter(HARD)), 0.01)
        days.append(meter._periods.day)  # noqa: SLF001 - nothing else tells
    meter.close()
    first, second, _, far, last = days
    assert days[2] == second
    assert far > second > first == last


def test_a_file_that_is_none(tmp_path: Path, heard: list[Notice]) -> None:
    """A file that is no account is named, and left as it is."""
    path = tmp_path / "used.db"
    path.write_bytes(b"something else" * 100)
    meter = Meter(SQLiteAccount(path), now=lambda: NOW)
    assert not meter.refresh()
    assert str(path) in heard[0].text
    assert path.read_bytes() == b"something else" * 100
    meter.close()


def test_a_redis_that_is_not_there() -> None:
    """A server that cannot be reached is named without its password, and so is a URL that cannot be read."""
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/0") as caught:
        used_at("redis://user:hunter2@127.0.0.1:1/0", ["key"])
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError) as wrong:
        used_at("redis://user:hunter2@host:port", ["key"])
    assert "hunter2" not in str(wrong.value)


def test_an_unknown_cost_counts_as_estimated(tmp_path: Path, heard: list[Notice]) -> None:
    """A cost that nobody knows counts as the last ones did, or as what is known of it, and is told of and counted."""
    meter = Meter(SQLiteAccount(tmp_path / "used.db"), now=lambda: NOW)
    meter.exchange()
    meter.leave(SOFT, held(meter.enter(SOFT)), 0.2)
    meter.leave(SOFT, held(meter.enter(SOFT)), None)
    meter.leave(SOFT, held(meter.enter(SOFT)), None, known=0.3)
    meter.exchange()
    assert meter.spent("soft")[0] == Used(nanos(0.7), 3, 0, 2)
    assert [each.kind for each in heard] == ["budget", "budget"]
    meter.close()


def test_an_unknown_cost_is_no_news_where_nothing_is_bounded(tmp_path: Path, heard: list[Notice]) -> None:
    """Of a key without a budget it is counted, and nobody is told to see to the prices."""
    meter = Meter(SQLiteAccount(tmp_path / "used.db"), now=lambda: NOW)
    meter.exchange()
    free, _ = new_key("free", NOW)
    meter.leave(free, None, None)
    meter.exchange()
    used = meter.spent(free.id)[0]
    assert (used.requests, used.unknown) == (1, 1) and not heard
    meter.close()


def test_workers_share_a_rate() -> None:
    """Each of several workers has its share of a limit, in whole requests."""
    record = KeyRecord("a", "a", "0" * 64, limit="8/day", tokens_per_minute=4_000)
    rates = [Rate(record, 4) for _ in range(4)]
    assert sum(rate.admit(1.0)[1] is None for rate in rates for _ in range(5)) == 8
    lone = Rate(KeyRecord("a", "a", "0" * 64, limit="1/day"), 4)
    assert lone.admit(1.0)[1] is None
    assert lone.admit(1.0)[1] is not None
    small = Rate(KeyRecord("a", "a", "0" * 64, tokens_per_minute=400, limit="8/day"), 4)
    assert small.admit(100.0)[0] == 100.0
    denied = small.admit(50.0)[1]
    assert denied is not None
    assert denied.why == "tokens"
    assert small.headers(denied)[1][1].startswith('"requests";r=1;')  # what was denied for tokens took no request


def test_what_keys_have_spent_is_told_beside_what_they_may(make: Make) -> None:
    """Metrics show each budget of a key in use as it burns: by period, hard and soft, in dollars."""
    meter = Meter(make(), now=lambda: NOW)
    meter.exchange()
    for record in (HARD, SOFT):
        held = meter.enter(record)
        assert not isinstance(held, Denied)
        meter.leave(record, held, 0.25, 10)
    assert sorted(meter.spending()) == [
        ("hard (hard)", "day", "hard", 0.25, 1.0),
        ("hard (hard)", "month", "hard", 0.25, 3.0),
        ("soft (soft)", "month", "soft", 0.25, 1.0),
    ]
    meter.close()
