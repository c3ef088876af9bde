"""Hard budgets of keys: what is spent and held is never more than there is, however many ask at once."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from fastcascade import Cascade
from fastcascade.errors import ConfigError
from fastcascade.gateway.account import account_of, nanos, periods_at
from fastcascade.gateway.account_sqlite import SQLiteAccount
from fastcascade.gateway.choosing import _unbound
from fastcascade.gateway.gatekeeper import Entered, KeyGate, gatekeeper
from fastcascade.gateway.in_use import InUse
from fastcascade.gateway.key_store import KeyFile, Keys
from fastcascade.gateway.keys import KeyRecord
from fastcascade.gateway.meter import Held, Meter
from fastcascade.gateway.money import Money, most_for
from fastcascade.gateway.passthrough import Passthrough
from fastcascade.gateway.rates import Denied, Rate
from fastcascade.gateway.settings import Settings, WhenOff
from fastcascade.gateway.work import Work, heard
from fastcascade.messages import Budget, Reply, Request, Usage
from fastcascade.prices import Price
from fastcascade.tiers import Tier
from fastcascade.wire.endpoint import Caller, Endpoint, Response
from fastcascade.wire.endpoint_budget import lower

NOW = 1_800_000_000.0
DAY = 86_400.0
PATH = "/v1/chat/completions"
HARD = KeyRecord("hard", "hard", "0" * 64, budget_day=1.0, budget_month=2.5)
LEFT = {"day": nanos(1.0), "month": nanos(2.5)}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where nothing waits for a disk."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as made:  # noqa: S108 # see above
        yield Path(made)


def held(got: Held | Denied) -> Held:
    """One that was let in."""
    assert isinstance(got, Held), got
    return got


class Purse(RuleBasedStateMachine):
    """Any number of requests at once, beside sums made by hand."""

    where: Path

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.meter = Meter(SQLiteAccount(self.where), now=lambda: self.now, clock=lambda: 0.0)
        self.meter.exchange()
        spent = self.meter.spent("hard")
        self.spent = {"day": spent[0].nanos, "month": spent[1].nanos}
        self.work: list[Held] = []
        self.wrong = 0  # by how much requests cost more than they were given

    def teardown(self) -> None:
        while self.work:
            self.leave(0, 1.0)
        assert self.meter.holding("hard") == 0
        self.meter.close()
        self.where.unlink()

    @rule(asked=st.none() | st.floats(1e-6, 2.0), many=st.integers(1, 20))
    def enter(self, asked: float | None, many: int) -> None:
        """Whoever comes is given no more than is free, and is told what is in the way where that is too little."""
        for _ in range(many):
            got = self.meter.enter(HARD, asked)
            spent_up = [why for why in ("month", "day") if self.spent[why] >= LEFT[why]]
            if isinstance(got, Denied):
                assert got.why == (spent_up[0] if spent_up else "held")
                assert self.work or spent_up
                assert got.wait > 0
                continue
            assert not spent_up
            left = min(LEFT[why] - self.spent[why] for why in LEFT)
            if asked is not None:
                assert got.nanos <= max(1, nanos(asked))
            elif not self.work:
                assert got.nanos >= left // 2 or got.nanos == left
            self.work.append(got)

    @precondition(lambda self: self.work)
    @rule(data=st.data(), part=st.floats(0.0, 1.0), more=st.sampled_from([0, 0, 0, 1_000, 10_000_000]))
    def done(self, data: st.DataObject, part: float, more: int) -> None:
        """It ends, having cost a part of what it was given; or more, since the last call was misjudged."""
        self.leave(data.draw(st.integers(0, len(self.work) - 1)), part, more)

    def leave(self, which: int, part: float, more: int = 0) -> None:
        what = self.work.pop(which)
        cost = int(what.nanos * part) + more
        self.wrong += max(0, cost - what.nanos)
        self.meter.leave(HARD, what, cost / 1e9)
        self.spent = {why: spent + cost for why, spent in self.spent.items()}

    @precondition(lambda self: self.work)
    @rule(data=st.data())
    def refused(self, data: st.DataObject) -> None:
        """It ends before a model was asked, and is let go of twice."""
        what = self.work.pop(data.draw(st.integers(0, len(self.work) - 1)))
        for _ in range(2):
            self.meter.leave(HARD, what, 0.0, asked=False)

    @rule()
    def tomorrow(self) -> None:
        """Another day begins, and with some of them another month."""
        before, self.now = periods_at(self.now), self.now + DAY
        self.meter.exchange()
        self.spent["day"] = 0
        if periods_at(self.now).month != before.month:
            self.spent["month"] = 0

    @invariant()
    def bounded(self) -> None:
        """What is spent and what is held is no more than the budget, but for what was misjudged."""
        now = sum(each.nanos for each in self.work)
        assert self.meter.holding("hard") == now
        for why, budget in LEFT.items():
            assert self.spent[why] + now <= budget + self.wrong


def test_whatever_comes_at_once(folder: Path) -> None:
    """However many come, end and fail, in whatever order: no more is held than is left, and nothing in the end."""

    class Case(Purse):
        where = folder / "purse.db"

    run_state_machine_as_test(Case, settings=settings(max_examples=40, stateful_step_count=30))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.floats(0.0, 1.0)), max_size=60),
    workers=st.integers(2, 3),
)
def test_processes_pass_it_by_what_they_hold(folder: Path, steps: list[tuple[int, bool, float]], workers: int) -> None:
    """Processes that hear of all that was spent pass a budget by no more than the parts that the others hold."""
    record = KeyRecord("hard", "hard", "0" * 64, budget_day=1.0)
    where = folder / "shared.db"
    meters = [Meter(SQLiteAccount(where), workers=workers, now=lambda: NOW, clock=lambda: 0.0) for _ in range(workers)]
    work: list[list[Held]] = [[] for _ in meters]
    spent, dearest = 0, 0
    try:
        for place, enters, part in steps:
            at = place % workers
            for meter in (*meters, meters[at]):
                meter.exchange()
            if enters:
                got = meters[at].enter(record)
                if isinstance(got, Held):
                    work[at].append(got)
                    dearest = max(dearest, got.estimate)
                else:
                    assert got.why == ("day" if spent >= nanos(1.0) else "held")
            elif work[at]:
                what = work[at].pop()
                cost = int(what.nanos * part)
                meters[at].leave(record, what, cost / 1e9)
                spent += cost
            few = 2 * max(nanos(0.05), 4 * dearest)
            most = max(nanos(1.0) // workers, min(nanos(1.0), few))
            assert all(sum(each.nanos for each in held) <= most for held in work)
            assert spent + sum(each.nanos for held in work for each in held) <= nanos(1.0) + (workers - 1) * most
    finally:
        for meter in meters:
            meter.close()
        where.unlink()


def test_much_left_is_much_for_each() -> None:
    """With much left a dear request finds room among others, and five hundred at once are let in."""
    money = Money(KeyRecord("a", "a", "0" * 64, budget_day=100.0))
    given_to: list[int] = []
    for _ in range(500):
        got = most_for(money, nanos(0.05))
        assert isinstance(got, int), len(given_to)
        given_to.append(got)
        money.held += got
        money.in_work += 1
    assert given_to[0] == nanos(50.0)
    assert given_to[1] > nanos(0.19)
    assert given_to[-1] >= nanos(0.05)
    assert sum(given_to) <= nanos(100.0)


def test_little_left_is_all_for_one() -> None:
    """What is left in the end may all be spent by one request; others are told to come again, and then that it is."""
    money = Money(KeyRecord("a", "a", "0" * 64, budget_day=0.06))
    all_of_it = nanos(0.06)
    assert most_for(money, nanos(0.05)) == all_of_it
    money.held, money.in_work = all_of_it, 1
    assert most_for(money, nanos(0.05)) == "held"
    money.held, money.in_work, money.day = 0, 0, all_of_it
    assert most_for(money, nanos(0.05)) == "day"


# Through the gate and a cascade.


def gate_of(folder: Path, **more: Any) -> tuple[KeyGate, str]:
    """A gate with one key, and its secret."""
    file = KeyFile(folder / "keys.json")
    _, secret = file.create("ci", **more)
    meter = Meter(account_of("sqlite:used.db", folder))
    meter.exchange()
    return KeyGate(Keys(file), meter), secret


async def asked(gate: KeyGate, endpoint: Endpoint, secret: str, text: str = "hi", **headers: str) -> Response:
    """One request as the gateway handles it."""
    head = {"x-api-key": secret, **{name.replace("_", "-"): value for name, value in headers.items()}}
    body = json.dumps({"model": "any", "messages": [{"role": "user", "content": text}]}).encode()
    caller = gate.enter(head, PATH, len(body))
    if isinstance(caller, Response):
        return caller
    work = Work(None, PATH, 0.0)
    response = await endpoint.handle("POST", PATH, head, body, caller)
    gate.leave(caller, work.done)
    return response


@pytest.mark.parametrize("seed", range(4))
def test_a_crowd_shares_a_budget(tmp_path: Path, seed: int) -> None:
    """Of a hundred at once, each dearer than the mean, those are answered whose money there is: never more."""
    gate, secret = gate_of(tmp_path, budget_day=1.0)
    let, waiting = asyncio.Event(), 0

    async def small(request: Request) -> Reply:
        nonlocal waiting
        waiting += 1
        await let.wait()
        return Reply("yes", "small", usage=Usage(0, 10 + (int(request.text) * 7 + seed) % 31))

    tier = Tier(small, name="small", price=Price(1_000.0, 1_000.0), expected_output=40)  # 0.04 USD, by estimate
    endpoint = Endpoint(Cascade(tier), on_done=heard)

    async def main() -> Counter[int]:
        first = [asyncio.create_task(asked(gate, endpoint, secret, str(each))) for each in range(100)]
        async with asyncio.timeout(10):
            while waiting + sum(each.done() for each in first) < len(first):  # noqa: ASYNC110 # nothing tells
                await asyncio.sleep(0)
        let.set()
        statuses = Counter([(await each).status for each in first])
        while True:
            last = await asked(gate, endpoint, secret, "1")
            if dict(last.headers).get("x-cascade-degraded") == "money":  # what is left does not suffice by estimate
                return statuses
            assert last.status == 200

    statuses = asyncio.run(main())
    with closing(gate.meter):
        gate.meter.exchange()
        spent = gate.meter.spent(next(iter(gate.keys.listed.by_id)))[0].nanos
        assert gate.meter.holding(next(iter(gate.keys.listed.by_id))) == 0
    assert nanos(0.9) < spent <= nanos(1.0)
    assert statuses[200] > 1
    assert statuses[429] > 50
    assert not statuses[402]


def test_no_price_no_money(tmp_path: Path) -> None:
    """A key with a hard budget is refused where a tier's price is not known, by name; other keys are not."""
    gate, secret = gate_of(tmp_path, budget_day=1.0)
    _, other = KeyFile(tmp_path / "keys.json").create("soft", soft_day=1.0)
    gate.keys.look()

    async def unpriced(_: Request) -> Reply:
        return Reply("yes", "m", usage=Usage(1, 1))

    endpoint = Endpoint(Cascade(Tier(unpriced, name="dark")), on_done=heard)

    async def main() -> None:
        said = await asked(gate, endpoint, secret)
        assert said.status == 400
        assert b"'dark'" in (said.body or b"")
        assert (await asked(gate, endpoint, other)).status == 200

    asyncio.run(main())
    gate.meter.close()


@pytest.mark.parametrize(
    ("header", "usd"), [(None, 0.5), ("0.02", 0.02), ("0.7", 0.5), ("nan", 0.5), ("-1", 0.5), ("x", 0.5)]
)
def test_a_header_lowers_and_never_raises(tmp_path: Path, header: str | None, usd: float) -> None:
    """A client may bind itself to less than it is given; what is above that, or cannot be read, changes nothing."""
    gate, secret = gate_of(tmp_path, budget_day=1.0, fields={"customer": "acme"})
    headers = {"x-api-key": secret} | ({} if header is None else {"x-cascade-budget-usd": header})
    caller = gate.enter(headers, PATH, 10)
    assert isinstance(caller, Entered)
    assert caller.fields == {"customer": "acme", "budget": Budget(deadline=None, usd=usd)}
    gate.leave(caller, None)
    gate.meter.close()


def test_keys_without_budgets_make_nothing(tmp_path: Path) -> None:
    """All requests of a key without limits are one caller, and each of them counts; what it asks is in no budget."""
    gate, secret = gate_of(tmp_path)
    first = gate.enter({"x-api-key": secret}, PATH, 10)
    assert first is gate.enter({"x-api-key": secret}, PATH, 10)
    assert isinstance(first, Entered)
    assert "budget" not in first.fields
    assert (repr(first), [first].count(first), first.may("any", "")) == (f"Entered({first.name!r})", 1, True)
    assert first != entered()

    async def small(_: Request) -> Reply:
        return Reply("yes", "m", usage=Usage(1, 2), cost_usd=0.5)

    async def main() -> None:
        endpoint = Endpoint(Cascade(small), on_done=heard)
        for _ in range(3):
            assert (await asked(gate, endpoint, secret)).status == 200

    asyncio.run(main())
    gate.meter.exchange()
    assert tuple(gate.meter.spent(first.name)[0]) == (nanos(1.5), 3, 9, 0)
    gate.meter.close()


def test_no_secret_is_kept(tmp_path: Path) -> None:
    """What is remembered of secrets is of the keys on the list alone, is no secret, and goes with the list."""
    gate, secret = gate_of(tmp_path)
    for each in (secret, f"{secret}x", "", "\ud800", secret):
        gate.enter({"x-api-key": each}, PATH, 10)
    known = gate._known  # noqa: SLF001 - nothing else tells
    assert [type(each) for each in known] == [bytes]
    assert secret.encode() not in b"".join(known)
    KeyFile(tmp_path / "keys.json").revoke("ci")
    assert gate.keys.look()
    assert isinstance(gate.enter({"x-api-key": secret}, PATH, 10), Response)
    assert not known
    gate.meter.close()


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (Budget(), Budget(deadline=None, usd=1.0), Budget(120.0, 1.0)),
        (Budget(usd=0.5), Budget(deadline=None, usd=1.0), Budget(120.0, 0.5)),
        (Budget(30.0, 2.0, 3), Budget(60.0, 1.0, 4), Budget(30.0, 1.0, 3)),
        (Budget(None, None, 5), Budget(None, None, 4), Budget(None, None, 4)),
    ],
)
def test_the_lower_of_two(one: Budget, other: Budget, found: Budget) -> None:
    """Of two budgets each bound is the lower one, whichever comes first."""
    assert lower(one, other) == lower(other, one) == found
    assert lower(found, other) is found


# Passed on as it is.


def entered(**more: Any) -> Entered:
    """A caller with something held, or not."""
    record = KeyRecord("a", "a", "0" * 64, **more)
    return InUse(record, Rate(record)).entered(Held(nanos(0.5), 1) if more else None, 0.0, ())


def test_who_is_counted_is_passed_on(tmp_path: Path) -> None:
    """A key's budget lets a body go on as it is; a bound that nobody counts does not, nor does a client's own."""
    assert _unbound({}, entered(budget_day=1.0))
    assert _unbound({}, entered())
    assert not _unbound({}, Caller("app", fields={"budget": Budget(usd=1.0)}))
    assert not _unbound({"x-cascade-budget-usd": "1"}, entered(budget_day=1.0))


@pytest.mark.parametrize(
    ("price", "size", "status", "told"),
    [
        (None, 10, 400, "the price of every model, and that of 'opus'"),
        (Price(1_000.0, 1_000.0), 4_000, 402, "before a word is answered"),
        (Price(1_000.0, 1_000.0), 10, 502, "cannot be reached"),
    ],
)
def test_what_is_passed_on_is_paid_for(price: Price | None, size: int, status: int, told: str) -> None:
    """What a budgeted key has passed on has a price, and no prompt that costs more than is held for it."""
    raw = Passthrough("http://127.0.0.1:9", "ours", "anthropic", price=price, timeout=5.0)
    body = json.dumps({"model": "opus", "max_tokens": 9, "messages": [{"role": "user", "content": "a" * size}]})

    async def main() -> Response:
        try:
            return await raw.handle("POST", "/v1/messages", {}, body.encode(), entered(budget_day=1.0))
        finally:
            await raw.aclose()

    said = asyncio.run(main())
    assert said.status == status
    assert told in (said.body or b"").decode()


@pytest.mark.parametrize("off", get_args(WhenOff))
def test_settings_reach_the_meter(tmp_path: Path, off: WhenOff) -> None:
    """What is set for an account that is off is what keys with hard budgets meet."""
    KeyFile(tmp_path / "keys.json").create("other")
    gate_file = KeyFile(tmp_path / "keys.json")
    _, secret = gate_file.create("ci", budget_day=1.0)
    (tmp_path / "used.db").write_bytes(b"something else" * 100)
    gate = gatekeeper(Settings(keys=Path("keys.json"), account="sqlite:used.db", account_off=off), tmp_path)
    got = gate.enter({"x-api-key": secret}, PATH, 10)
    assert isinstance(got, Response) == (off == "closed")
    gate.close()
    with pytest.raises(ConfigError):
        gatekeeper(Settings(), tmp_path)
