"""Passive ejection: who fails again and again is left out for a while, and never so many that nobody is left."""

from collections.abc import Callable
from threading import Thread

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fastcascade.entry.instance import Instance
from fastcascade.entry.outliers import Outliers
from fastcascade.errors import ConfigError
from fastcascade.testing import ScriptedBackend


def instances(count: int) -> list[Instance]:
    """So many instances that have done nothing yet."""
    return [Instance(ScriptedBackend("x"), name=str(number)) for number in range(count)]


def fail(outliers: Outliers, instance: Instance, peers: list[Instance], times: int, now: float = 0.0) -> list[bool]:
    """Have it fail so many times."""
    return [outliers.note(instance, peers, now, ok=False) for _ in range(times)]


MISBUILT: list[tuple[Callable[[], Outliers], str]] = [
    (lambda: Outliers(consecutive=0), "consecutive must be at least 1, not 0"),
    (lambda: Outliers(ejection=0), "ejection must be a number of seconds above zero"),
    (lambda: Outliers(ejection=10, longest=9), "longest must be as long as `ejection`"),
    (lambda: Outliers(longest=float("inf")), "longest must be"),
    (lambda: Outliers(most=0), "most must be a share above 0"),
    (lambda: Outliers(panic=1.1), "panic must be a share from 0 to 1"),
    (lambda: Outliers(panic=float("nan")), "panic must be a share from 0 to 1"),
]


@pytest.mark.parametrize(("make", "said"), MISBUILT, ids=[case[1] for case in MISBUILT])
def test_settings_that_cannot_work(make: Callable[[], Outliers], said: str) -> None:
    """A bad setting is found at once, and named."""
    with pytest.raises(ConfigError, match=said):
        make()


def test_it_shows_its_settings() -> None:
    """Its repr has every setting."""
    assert repr(Outliers()) == "Outliers(consecutive=5, ejection=10.0, longest=300.0, most=0.5, panic=0.5)"


def test_failures_in_a_row_leave_it_out_and_it_comes_back() -> None:
    """The fifth failure in a row leaves it out for ten seconds; a reply between them would have begun anew."""
    outliers, peers = Outliers(), instances(3)
    one = peers[0]
    fail(outliers, one, peers, 4)
    outliers.note(one, peers, 0.0, ok=True)
    assert fail(outliers, one, peers, 5) == [False] * 4 + [True]
    assert outliers.standing(peers, 9.99) == peers[1:]
    assert outliers.standing(peers, 10.0) == peers


def test_each_time_is_longer() -> None:
    """One that fails as soon as it is back is left out longer each time, up to the longest."""
    outliers, peers = Outliers(longest=35.0), instances(2)
    now, spans = 0.0, []
    for _ in range(6):
        fail(outliers, peers[0], peers, 5, now)
        spans.append(peers[0].ejected_until - now)
        now = peers[0].ejected_until
    assert spans == [10.0, 20.0, 30.0, 35.0, 35.0, 35.0]
    assert peers[0].ejections == 4  # more would only take longer to make up for


def test_good_time_makes_up() -> None:
    """In service, each ten seconds that end with a reply make up for one ejection; silence and failures do not."""
    outliers, peers = Outliers(), instances(2)
    one = peers[0]
    for now in (0.0, 10.0, 30.0):  # until 10, until 30, until 60
        fail(outliers, one, peers, 5, now)
    assert one.ejections == 3
    fail(outliers, one, peers, 1, 95.0)
    assert one.ejections == 3
    outliers.note(one, peers, 69.0, ok=True)
    assert one.ejections == 3
    outliers.note(one, peers, 81.0, ok=True)
    assert one.ejections == 1
    outliers.note(one, peers, 89.0, ok=True)
    assert one.ejections == 1
    outliers.note(one, peers, 90.0, ok=True)
    assert one.ejections == 0


def test_what_began_before_counts_for_nothing() -> None:
    """Calls that end while it is left out make its time neither longer nor shorter."""
    outliers, peers = Outliers(), instances(2)
    fail(outliers, peers[0], peers, 5)
    assert not any(fail(outliers, peers[0], peers, 20, 5.0))
    outliers.note(peers[0], peers, 9.0, ok=True)
    assert (peers[0].ejected_until, peers[0].failures, peers[0].ejections) == (10.0, 0, 1)


# How many of how many may be out, by the share.
MOST = [(1, 0.5, 0), (1, 1.0, 0), (2, 0.5, 1), (2, 1.0, 1), (3, 0.5, 1), (4, 0.5, 2), (5, 0.1, 1), (5, 1.0, 4)]


@pytest.mark.parametrize(("count", "most", "out"), MOST)
def test_some_stay(count: int, most: float, out: int) -> None:
    """However all fail, no more than the share goes (one in any case), and at least one stays."""
    outliers, peers = Outliers(most=most), instances(count)
    for each in peers:
        fail(outliers, each, peers, 50)
    assert sum(each.ejected_until > 0.0 for each in peers) == out


def test_the_dead_count_among_those_who_are_out() -> None:
    """One that has died takes a place among those who may be out, and is itself not left out as well."""
    outliers, peers = Outliers(), instances(3)
    peers[0].alive = False
    assert not any(fail(outliers, peers[0], peers, 50))
    assert not any(fail(outliers, peers[1], peers, 50))
    peers[0].alive = True
    assert fail(outliers, peers[1], peers, 1) == [True]


def test_panic_asks_those_that_were_left_out_and_never_the_dead() -> None:
    """When deaths leave fewer than half, those left out are asked again; when all are dead there is nobody."""
    outliers, peers = Outliers(), instances(4)
    fail(outliers, peers[0], peers, 5)
    peers[1].alive = False
    assert outliers.standing(peers, 1.0) == peers[2:]
    peers[2].alive = False
    assert outliers.standing(peers, 1.0) == [peers[0], peers[3]]
    assert Outliers(panic=0.0).standing(peers, 1.0) == [peers[3]]
    for each in peers:
        each.alive = False
    assert outliers.standing(peers, 1.0) == []


@given(count=st.integers(1, 200), panic=st.integers(0, 100))
@example(count=100, panic=7)
@example(count=10, panic=70)
def test_panic_begins_below_the_share(count: int, panic: int) -> None:
    """Exactly the share of healthy ones is no panic, one fewer is; whatever rounding the share has."""
    peers = instances(count)
    healthy = -(-panic * count // 100)
    for each in peers[healthy:]:
        each.ejected_until = 10.0
    outliers = Outliers(panic=panic / 100)
    assert len(outliers.standing(peers, 0.0)) == healthy
    if healthy:
        peers[0].ejected_until = 10.0
        assert len(outliers.standing(peers, 0.0)) == count


def test_threads_that_fail_at_once() -> None:
    """However many threads note failures of all at once, the share of those left out holds."""
    outliers, peers = Outliers(consecutive=1), instances(8)

    def work(first: int) -> None:
        for turn in range(200):
            outliers.note(peers[(first + turn) % 8], peers, 0.0, ok=False)

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each.ejections for each in peers) == sum(each.ejected_until > 0.0 for each in peers) == 4


class Model:
    """What is known of one instance, in whole seconds and by counting."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.row: list[int] = []  # failures since the last reply
        self.ejections = 0
        self.back = -1_000  # when it came back, or when it last made up for an ejection
        self.alive = True


class Machine(RuleBasedStateMachine):
    """Outliers against a model that counts second by second."""

    @initialize(count=st.integers(1, 6), consecutive=st.integers(1, 3), most=st.sampled_from([1, 5, 10]))
    def begin(self, count: int, consecutive: int, most: int) -> None:
        """Nobody has failed yet."""
        self.now = 0
        self.consecutive, self.tenths = consecutive, most
        self.outliers = Outliers(consecutive=consecutive, ejection=4, longest=10, most=most / 10)
        self.peers = instances(count)
        self.models = [Model() for _ in self.peers]

    def is_out(self, model: Model) -> bool:
        """Whether it may not be asked."""
        return not model.alive or model.back > self.now

    @rule(which=st.integers(0, 5))
    def reply(self, which: int) -> None:
        """A call to one succeeds."""
        which %= len(self.peers)
        assert not self.outliers.note(self.peers[which], self.peers, self.now, ok=True)
        model = self.models[which]
        model.row.clear()
        while model.ejections and model.back + 4 <= self.now:
            model.back += 4
            model.ejections -= 1

    @rule(which=st.integers(0, 5), times=st.integers(1, 4))
    def failure(self, which: int, times: int) -> None:
        """Calls to one fail."""
        which %= len(self.peers)
        model = self.models[which]
        for _ in range(times):
            told = self.outliers.note(self.peers[which], self.peers, self.now, ok=False)
            if self.is_out(model):
                assert not told
                continue
            model.row.append(self.now)
            out = 1 + sum(self.is_out(each) for each in self.models)
            allowed = min(len(self.peers) - 1, max(1, len(self.peers) * self.tenths // 10))
            assert told == (len(model.row) >= self.consecutive and out <= allowed)
            if told:
                model.row.clear()
                model.ejections = min(3, model.ejections + 1)
                model.back = self.now + min(10, 4 * model.ejections)

    @rule(seconds=st.integers(1, 12))
    def wait(self, seconds: int) -> None:
        """Time goes by."""
        self.now += seconds

    @rule(which=st.integers(0, 5), alive=st.booleans())
    def check(self, which: int, alive: bool) -> None:
        """An active check finds one dead or alive."""
        which %= len(self.peers)
        self.peers[which].alive = self.models[which].alive = alive

    @invariant()
    def agrees(self) -> None:
        """Who may be asked is as the model says: nobody dead, and somebody wherever one is alive."""
        if not hasattr(self, "peers"):
            return
        alive = [str(place) for place, each in enumerate(self.models) if each.alive]
        healthy = [str(place) for place, each in enumerate(self.models) if not self.is_out(each)]
        expected = healthy if 2 * len(healthy) >= len(self.models) else alive
        assert [each.name for each in self.outliers.standing(self.peers, self.now)] == expected
        assert bool(expected) == bool(alive)
        assert [each.ejections for each in self.peers] == [each.ejections for each in self.models]


TestMachine = Machine.TestCase
