"""Gateways that agree on a breaker, as a machine: words come late, leases are asked for, the store goes and comes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fastcascade.errors import FailureKind
from fastcascade.fallbacks.breaker import Breaker
from fastcascade.fallbacks.circuit import Circuit
from fastcascade.shared.agreement import IDLE, LEASE, Agreement, Word

BREAKER = Breaker(calls=2, failure_rate=1.0, cooling=5.0, probes=2, lapse=30.0)
GATEWAYS = 3
WHO = st.integers(0, GATEWAYS - 1)
STEP = 0.2


@dataclass
class Call:
    """One that was let through."""

    gateway: int
    began: float


@dataclass
class World:
    """The store, and the time."""

    now: float = 1_000.0
    told: list[tuple[int, Word]] = field(default_factory=list)
    owner: int = -1
    ends: float = -inf

    def stands(self) -> Word | None:
        """The last word, as those read it who come anew."""
        last = self.told[-1][1] if self.told else None
        return last if last is not None and last.state == "open" else None


class Gateway:
    """One of them, and its way to the store."""

    def __init__(self, number: int, world: World) -> None:
        self.number, self.world = number, world
        self.circuit = Circuit(BREAKER, f"g{number}")
        self.up = True
        self.hops: list[tuple[Callable[..., object], tuple[object, ...]]] = []
        self.word: Word | None = None
        self.asked: float | None = None
        self.seen = 0
        self.late = False  # whether something came too late to be told
        self.agreement = Agreement(self.circuit, self, lambda: world.now)
        self.agreement.together()

    # What the agreement wants done.

    def soon(self, do: Callable[..., object], /, *args: object) -> None:
        self.hops.append((do, args))

    def say(self, _agreement: Agreement, word: Word, /) -> None:
        self.word = word

    def take(self, _agreement: Agreement, /) -> None:
        assert self.asked is None, "it asked twice"
        self.asked = self.world.now

    def give_back(self, _agreement: Agreement, /) -> None:
        if self.up and self.world.owner == self.number:
            self.world.owner = -1

    # What becomes of it.

    def hop(self) -> None:
        """The loop comes to what other threads have left for it."""
        while self.hops:
            do, args = self.hops.pop(0)
            do(*args)

    def tell(self) -> None:
        """What is to be told gets there, if the store is there."""
        word = self.word
        if word is not None and word.state == "open" and word.until <= self.world.now:
            self.word, self.late = None, True
            self.agreement.untold(word)
        elif word is not None and self.up:
            self.word = None
            self.world.told.append((self.number, word))

    def hear(self) -> None:
        """The next piece of news comes."""
        if self.up and self.seen < len(self.world.told):
            by, word = self.world.told[self.seen]
            self.seen += 1
            self.agreement.heard(word, ours=by == self.number)

    def answered(self) -> None:
        """The store answers who has the lease."""
        if self.asked is None:
            return
        asked, self.asked = self.asked, None
        if not self.up:
            self.agreement.taken(asked, None)
            return
        world = self.world
        free = world.owner in (-1, self.number) or world.now >= world.ends
        if free:
            world.owner, world.ends = self.number, world.now + LEASE
        self.agreement.taken(asked, free)

    def went_down(self) -> None:
        self.up = False
        self.agreement.alone()

    def came_up(self) -> None:
        """Together again: what stands is read, unless there is something newer to tell."""
        self.up = True
        self.agreement.together()
        self.seen = len(self.world.told)
        stands = self.world.stands()
        if stands is not None and self.word is None:
            self.agreement.stands(stands.until)

    def settle(self) -> None:
        """All that is under way arrives."""
        for _ in range(4):
            self.hop()
            self.tell()
            self.answered()
            while self.up and self.seen < len(self.world.told):
                self.hear()


class Together(RuleBasedStateMachine):
    """Any order of events. Time goes in steps in which each gateway looks at what is due, as in earnest."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.gateways = [Gateway(number, self.world) for number in range(GATEWAYS)]
        self.calls: list[Call] = []
        self.opened = -inf  # when one last found it failing
        self.apart = False  # whether some gateway was ever alone
        self.strict = 0

    @initialize(strict=st.sampled_from([1, 1, -1]))
    def whether_the_store_goes(self, strict: int) -> None:
        self.strict = strict

    @rule(many=st.integers(1, 60) | st.just(25))
    def pass_time(self, many: int) -> None:
        for _ in range(many):
            self.world.now += STEP
            for each in self.gateways:
                each.hop()
                each.agreement.tick()
                each.answered()

    @rule(whom=st.lists(WHO, min_size=1, max_size=6))
    def ask_some(self, whom: list[int]) -> None:
        for each in whom:
            self.ask(each)

    def ask(self, who: int) -> None:
        gateway, now = self.gateways[who], self.world.now
        if gateway.circuit.admit(now) == 0.0:
            self.calls.append(Call(who, now))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), kind=st.sampled_from([None, "server", "server", "cancelled"]))
    def end(self, data: st.DataObject, kind: FailureKind | None) -> None:
        self._end(self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1))), kind)

    def _end(self, call: Call, kind: FailureKind | None) -> None:
        circuit, now = self.gateways[call.gateway].circuit, self.world.now
        before = circuit.state
        circuit.record(now, now - call.began, kind)
        if circuit.state == "open" and before != "open":
            self.opened = now

    @rule(who=WHO)
    def fail_twice(self, who: int) -> None:
        for _ in range(2):
            self.ask(who)
            while self.calls and self.calls[-1].gateway == who:
                self._end(self.calls.pop(), "server")

    @rule(who=WHO, steps=st.lists(st.sampled_from(["hop", "tell", "hear", "answered"]), min_size=1, max_size=6))
    def a_little(self, who: int, steps: list[str]) -> None:
        """Some of what is under way arrives."""
        for step in steps:
            getattr(self.gateways[who], step)()

    @rule(who=WHO)
    def alive(self, who: int) -> None:
        self.gateways[who].circuit.try_now(self.world.now)

    @precondition(lambda self: self.strict < 0)
    @rule(who=WHO)
    def break_or_mend(self, who: int) -> None:
        gateway = self.gateways[who]
        if gateway.up:
            self.apart = True
            gateway.went_down()
        else:
            gateway.came_up()

    @rule()
    def settle(self) -> None:
        """When all are heard, all that are together are closed, or none; and all know the end of the cooling."""
        for _ in range(2):
            for each in self.gateways:
                each.settle()
        if not (self.apart or any(each.late for each in self.gateways)):
            looks = [each.circuit.look(0.0, 0.0) for each in self.gateways]
            assert len({state == "closed" for state, _, _ in looks}) == 1

    @invariant()
    def few_probes(self) -> None:
        """No more probes are under way at all of them than one alone would let through; those that lapsed are lost."""
        out = [each.circuit._out for each in self.gateways if each.circuit.look(self.world.now, 0.0)[2]]  # noqa: SLF001 - the law is about it
        assert self.apart or sum(out) <= BREAKER.probes

    @invariant()
    def not_shut_for_long(self) -> None:
        """Nobody is shut out for longer than one cooling from when somebody last found it failing."""
        for each in self.gateways:
            state, until, _ = each.circuit.look(0.0, 0.0)
            assert state != "open" or until <= self.opened + BREAKER.cooling + 1e-6

    def teardown(self) -> None:
        """Well again, it is closed at each that asks, in bounded time, whoever is still away or died with the lease."""
        for asking in self.gateways:
            for _ in range(int((BREAKER.cooling + LEASE + BREAKER.lapse + 5.0) / 0.5)):
                self.world.now += 0.5
                asking.settle()
                asking.agreement.tick()
                asking.settle()
                if asking.circuit.admit(self.world.now) == 0.0:
                    asking.circuit.record(self.world.now, 0.0, None)
            assert asking.circuit.state == "closed", repr(asking.circuit)


def test_gateways_that_share_a_breaker_are_never_worse_than_one() -> None:
    """They agree, let no more probes through than one would, shut nobody out for longer, and come to be closed."""
    run_state_machine_as_test(Together, settings=settings(max_examples=400, stateful_step_count=40, deadline=None))


def test_a_lease_under_which_probes_are_out_is_kept() -> None:
    """Opened by a probe, and tried again at once since it is known to be well, before the loop has heard of either."""
    world = World()
    one, other = Gateway(0, world), Gateway(1, world)
    for gateway in (one, other):
        gateway.circuit.hear_open(world.now + 1.0, world.now)
        gateway.circuit.admit(world.now)
    world.now += 1.0
    for gateway in (one, other):
        gateway.agreement.tick()
        gateway.answered()
    assert one.circuit.admit(world.now) == 0.0
    one.circuit.record(world.now, 0.0, "server")
    one.circuit.try_now(world.now)
    assert one.circuit.admit(world.now) == 0.0
    one.hop()
    assert world.owner == 0
    assert other.circuit.admit(world.now) > 0.0


def opened(gateway: Gateway) -> None:
    """It finds the backend failing."""
    for _ in range(2):
        gateway.circuit.record(gateway.world.now, 0.0, "server")
    assert gateway.circuit.state == "open"


def test_what_was_said_before_our_own_word_is_passed_over() -> None:
    """From when a word is to be told until it is heard, whatever others say is older."""
    gateway = Gateway(0, World())
    opened(gateway)
    gateway.hop()
    gateway.agreement.heard(Word(7, "closed"), ours=False)
    assert gateway.circuit.state == "open"
    gateway.settle()
    gateway.agreement.heard(Word(7, "closed"), ours=False)
    assert gateway.circuit.state == "closed"


def test_our_own_word_counts_though_an_older_one_came_between() -> None:
    """One that is heard before the loop knows of our own is undone when our own is heard."""
    gateway = Gateway(0, World())
    opened(gateway)
    gateway.agreement.heard(Word(7, "closed"), ours=False)
    assert gateway.circuit.state == "closed"
    gateway.settle()
    assert gateway.circuit.state == "open"


def test_a_word_that_is_not_worth_telling_makes_nobody_deaf() -> None:
    """What others say is heard again once our own word is given up, or what stands was read."""
    for given_up in (True, False):
        gateway = Gateway(0, World())
        opened(gateway)
        gateway.hop()
        if given_up:
            gateway.world.now += BREAKER.cooling
            gateway.tell()
        else:
            gateway.agreement.stands(None)
        gateway.agreement.heard(Word(7, "closed"), ours=False)
        assert gateway.circuit.state == "closed"


def leased(world: World) -> Gateway:
    """One that has the lease, and may probe."""
    gateway = Gateway(0, world)
    gateway.circuit.hear_open(world.now, world.now)
    gateway.circuit.admit(world.now)
    gateway.hop()
    gateway.answered()
    assert world.owner == 0
    return gateway


def test_a_lease_that_nobody_wants_is_given_back() -> None:
    """Others wait `IDLE` seconds for one who probes nothing, not as long as the lease lasts."""
    world = World()
    gateway = leased(world)
    world.now += IDLE
    gateway.agreement.tick()
    assert world.owner == -1


def test_a_lease_is_not_relied_on_to_its_end() -> None:
    """No permit is given out in its last moments: another may have it before we know."""
    world = World()
    gateway = leased(world)
    world.now += LEASE - 0.5
    assert gateway.circuit.admit(world.now) > 0.0


def test_a_lease_that_comes_too_late_is_given_back() -> None:
    """The circuit was closed meanwhile."""
    world = World()
    gateway = Gateway(0, world)
    gateway.circuit.hear_open(world.now, world.now)
    gateway.circuit.admit(world.now)
    gateway.hop()
    gateway.circuit.hear_closed(world.now)
    gateway.answered()
    assert world.owner == -1


def test_a_probe_that_hangs_holds_others_up_no_longer_than_it_may() -> None:
    """The lease is renewed while a probe is out, and not once the probe has lapsed."""
    world = World()
    gateway = leased(world)
    assert gateway.circuit.admit(world.now) == 0.0
    kept = 0.0
    while world.owner == 0 and kept < 10 * BREAKER.lapse:
        kept += STEP
        world.now += STEP
        gateway.agreement.tick()
        gateway.answered()
    assert BREAKER.lapse <= kept <= BREAKER.lapse + LEASE
