"""Active checks: a death is known in time whenever it comes, and so is a return; nothing else changes a thing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade.backends.backend import Backend
from fastcascade.drive import Driver
from fastcascade.entry.health import Health
from fastcascade.entry.instance import Instance
from fastcascade.errors import BackendError, ConfigError, FailureKind
from fastcascade.messages import Reply, Request
from fastcascade.signals import Signal
from fastcascade.testing import FakeClock, run_virtual

SLACK: Final = 1e-5
WAYS = ["refuses", "hangs", "breaks", "says no", "will not give way"]


class Place:
    """A backend with a probe, that is down from one moment on until another."""

    def __init__(self, down: float = 1e9, up: float = 1e9, way: str = "refuses", takes: float = 0.0) -> None:
        """Be well until `down` and from `up` on; a good probe takes `takes` seconds."""
        self.name = "place"
        self.gives: frozenset[str] = frozenset()
        self.down, self.up, self.way, self.takes = down, up, way, takes
        self.began: list[float] = []
        self.over = False

    async def complete(self, _request: Request, /) -> Reply | None:
        """Nobody asks it here."""
        return None

    async def probe(self) -> object:
        """A sign of life."""
        loop = asyncio.get_running_loop()
        self.began.append(loop.time())
        await asyncio.sleep(self.takes)
        if not self.down <= loop.time() < self.up:
            return None
        if self.way == "refuses":
            raise BackendError("connection", "refused")
        if self.way == "breaks":
            raise RuntimeError("nobody meant this")
        if self.way == "says no":
            return False
        while not self.over:
            if self.way == "will not give way":
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(1e6)
            else:
                await asyncio.sleep(1e6)
        return None


class Log:
    """What `changed` was told, and when."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.told: list[tuple[str, bool, float]] = []

    def __call__(self, instance: Instance) -> None:
        """Write it down; the signal goes with what is said."""
        assert not (instance.down.given and instance.alive)
        self.told.append((instance.name, instance.alive, asyncio.get_running_loop().time()))


def watch(health: Health, places: dict[str, Place], seconds: float) -> tuple[Log, list[Instance]]:
    """Watch these for so many seconds, in virtual time, and then give the signal to end."""
    log, until = Log(), Signal()
    among = [Instance(place, name=name) for name, place in places.items()]

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def end() -> None:
            for place in places.values():
                place.over = True
            until.give()

        loop.call_at(seconds, end)
        await Driver(clock=loop.time).run(health.watching(among, log, until)(loop.time()))
        assert loop.time() == pytest.approx(seconds)

    run_virtual(main())
    return log, among


TIMES: list[tuple[dict[str, Any], float, float, float]] = [
    ({}, 7.5, 7.5, 30.0),
    ({"within": 2.0}, 0.5, 0.5, 2.0),
    ({"within": 10.0, "after": 1}, 5.0, 5.0, 10.0),
    ({"timeout": 3.0}, 9.0, 3.0, 30.0),
    ({"every": 5.0}, 5.0, 5.0, 20.0),
    ({"every": 5.0, "timeout": 1.0}, 5.0, 1.0, 16.0),
    ({"within": 30.0, "every": 9.0}, 9.0, 3.0, 30.0),
    ({"within": 30.0, "every": 2.0}, 2.0, 2.0, 8.0),
    ({"within": 30.0, "every": 2.0, "timeout": 1.0}, 2.0, 1.0, 7.0),
]


@pytest.mark.parametrize(("given", "every", "timeout", "within"), TIMES)
def test_times(given: dict[str, Any], every: float, timeout: float, within: float) -> None:
    """What is not given is worked out, so that a death is known within the time, and said."""
    health = Health(**given)
    assert (health.every, health.timeout, health.within) == (every, timeout, within)


MISBUILT: list[tuple[dict[str, Any], str]] = [
    ({"after": 0}, "after must be at least 1"),
    ({"back": 0}, "back must be at least 1"),
    ({"within": 0.0}, "within must be a number of seconds above zero"),
    ({"every": float("inf")}, "every must be a number"),
    ({"timeout": float("nan")}, "timeout must be a number"),
    ({"every": 1.0, "timeout": 2.0}, "cannot take up to 2 s: probes would overlap"),
    ({"within": 30.0, "timeout": 20.0}, "to be within 30 s is too little"),
    ({"within": 10.0, "every": 4.0}, "to be within 10 s is too little"),
    ({"within": 10.0, "every": 3.0, "timeout": 2.0}, "3 probes every 3 s and 2 s for the last are not within 10 s"),
]


@pytest.mark.parametrize(("given", "said"), MISBUILT, ids=[case[1] for case in MISBUILT])
def test_settings_that_cannot_work(given: dict[str, Any], said: str) -> None:
    """A bad setting is found at once, and named."""
    with pytest.raises(ConfigError, match=said):
        Health(**given)


def test_it_shows_its_settings() -> None:
    """Its repr says how often, for how long and after how many."""
    assert repr(Health()) == "Health(every=7.5, timeout=7.5, after=3, back=2)"
    assert repr(Health(2.0, probe=ping)) == "Health(every=0.5, timeout=0.5, after=3, back=2, probe=ping)"


async def ping(_backend: Backend) -> None:
    """Find everybody alive."""


@settings(max_examples=300)
@given(
    down=st.floats(0.0, 50.0),
    way=st.sampled_from(WAYS),
    within=st.sampled_from([2.0, 30.0, 7.3]),
    after=st.integers(1, 4),
    short=st.booleans(),
    phase=st.floats(0.0, 1.0, exclude_max=True),
    share=st.floats(0.0, 0.9),
)
def test_a_death_is_known_in_time(  # noqa: PLR0917 - what is drawn
    down: float,
    way: str,
    within: float,
    after: int,
    short: bool,
    phase: float,
    share: float,
) -> None:
    """Whenever it dies and however its probes then fail, it is known dead within the time, and not before it died."""
    timeout = within / (after + 1) / 3 if short else None
    health = Health(within, timeout=timeout, after=after, random=lambda: phase)
    place = Place(down, way=way, takes=share * health.timeout)
    log, among = watch(health, {"a": place}, down + within + 1.0)
    assert [(name, alive) for name, alive, _ in log.told] == [("a", False)]
    assert down <= log.told[0][2] <= down + within + SLACK
    assert not among[0].alive


@settings(max_examples=100)
@given(
    up=st.floats(60.0, 100.0),
    way=st.sampled_from(WAYS[:-1]),
    back=st.integers(1, 4),
    phase=st.floats(0.0, 1.0, exclude_max=True),
)
def test_a_return_is_known_in_time(up: float, way: str, back: int, phase: float) -> None:
    """Once well it is alive again after so many good probes, with a signal that has not been given."""
    health = Health(back=back, random=lambda: phase)
    log, among = watch(health, {"a": Place(1.0, up, way)}, up + 60.0)
    assert [alive for _, alive, _ in log.told] == [False, True]
    late = health.timeout if way == "hangs" else 0.0  # one may be under way when it is well again
    assert up <= log.told[1][2] <= up + back * health.every + late + SLACK
    assert among[0].alive and not among[0].down.given


def test_signals_tell_those_who_wait() -> None:
    """At a death the signal that was there before is given; after a return there is a new one."""
    place = Place(1.0, 60.0)
    seen: list[Signal] = []
    instance = Instance(place)

    async def main() -> None:
        loop, until = asyncio.get_running_loop(), Signal()
        seen.append(instance.down)
        loop.call_at(120.0, until.give)
        flow = Health().watching([instance, Instance(Place())], lambda each: seen.append(each.down), until)
        await Driver(clock=loop.time).run(flow(loop.time()))

    run_virtual(main())
    first, dead, back = seen
    assert first is dead and first.given
    assert back is not first and not back.given


def test_calls_are_not_ended_where_nobody_else_is_alive() -> None:
    """The last to die is dead, and its calls go on: there is nobody to move them to."""
    _, among = watch(Health(), {"a": Place(1.0, 500.0), "b": Place(50.0, 500.0)}, 120.0)
    assert [each.alive for each in among] == [False, False]
    assert [each.down.given for each in among] == [True, False]


def test_a_process_that_is_late_itself_finds_nobody_dead() -> None:
    """Probes that run out of time while this very loop is held up say nothing; those of the dead are heard later."""
    clock = FakeClock()
    place, dead = Place(), Place(0.0, 500.0)
    instance, gone = Instance(place, name="a"), Instance(dead, name="b")

    async def slow(backend: Backend) -> None:
        await asyncio.sleep(0.1)
        await cast("Place", backend).probe()

    async def main() -> None:
        loop, until = asyncio.get_running_loop(), Signal()
        flow = Health(within=2.0, probe=slow).watching([instance, gone], lambda _each: None, until)
        watching = asyncio.create_task(Driver(clock=loop.time).run(flow(loop.time())))
        for _ in range(30):
            await asyncio.sleep(0.01)
            clock.now += 0.7  # the loop is held up
        found = [(instance.alive, gone.alive)]
        await asyncio.sleep(5.0)
        found.append((instance.alive, gone.alive))
        until.give()
        await watching
        assert found == [(True, True), (True, False)]

    run_virtual(main(), clock)


@settings(max_examples=40)
@given(
    downs=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 2)), max_size=6),
    phase=st.floats(0.0, 1.0, exclude_max=True),
)
def test_a_few_bad_probes_kill_nobody(downs: list[tuple[int, int]], phase: float) -> None:
    """Fewer failed probes in a row than it takes, however often, leave an instance alive."""
    bad = {place * 3 + more for place, count in downs for more in range(count)}
    place = Place()
    log, among = watch(Health(probe=_nth_fails(bad, place), random=lambda: phase), {"a": place}, 1_500.0)
    assert log.told == [] and among[0].alive


def _nth_fails(bad: set[int], place: Place) -> Callable[[Backend], Awaitable[object]]:
    async def probe(_backend: Backend) -> None:
        place.began.append(asyncio.get_running_loop().time())
        if len(place.began) - 1 in bad:
            raise BackendError("overloaded", "now and then")

    return probe


def test_a_probe_counts_once() -> None:
    """One whose time is over has failed once, and not once more when it fails on its way out."""
    tries: list[int] = []

    async def probe(_backend: Backend) -> None:
        tries.append(len(tries))
        if len(tries) <= 3:
            try:
                await asyncio.sleep(1e6)
            finally:
                await asyncio.sleep(0.1)
                raise BackendError("server", "on its way out")

    log, among = watch(Health(after=4, probe=probe), {"a": Place()}, 200.0)
    assert log.told == [] and among[0].alive and len(tries) > 20


def test_one_that_hangs_holds_up_no_other() -> None:
    """While one instance hangs, and will not even be stopped, the probes of the others go on as they were."""
    places = {"stuck": Place(0.0, way="will not give way"), "well": Place(), "dying": Place(20.0)}
    log, among = watch(Health(random=lambda: 0.5), places, 100.0)
    assert [(name, alive) for name, alive, _ in log.told] == [("stuck", False), ("dying", False)]
    assert [each.alive for each in among] == [False, True, False]
    assert [round(each, 3) for each in places["well"].began] == [3.75 + 7.5 * turn for turn in range(13)]
    assert len(places["stuck"].began) == 1


def test_processes_do_not_probe_at_once() -> None:
    """The first probe comes at a moment drawn by chance, and the others keep their distance from it."""
    firsts = []
    for drawn in (0.0, 0.3, 0.9):
        place = Place()
        watch(Health(10.0, after=1, random=lambda drawn=drawn: drawn), {"a": place}, 30.0)  # type: ignore[misc]
        assert all(abs(late - early - 5.0) < SLACK for early, late in zip(place.began, place.began[1:], strict=False))
        firsts.append(place.began[0])
    assert firsts == pytest.approx([0.0, 1.5, 4.5])


LIFE: list[tuple[FailureKind, bool]] = [
    ("rate_limited", True),
    ("auth", True),
    ("not_found", True),
    ("bad_request", True),
    ("billing", True),
    ("conflict", True),
    ("timeout", False),
    ("connection", False),
    ("server", False),
    ("overloaded", False),
    ("malformed", False),
    ("cut", False),
]


@pytest.mark.parametrize(("kind", "alive"), LIFE)
def test_what_is_a_sign_of_life(kind: FailureKind, alive: bool) -> None:
    """An answer that only somebody alive can give is a sign of life, even a refusal; no answer, or a fault, is not."""

    async def probe(_backend: Backend) -> None:
        raise BackendError(kind, "as in the table")

    _, among = watch(Health(probe=probe), {"a": Place()}, 60.0)
    assert among[0].alive is alive


class Plain:
    """A backend without a probe."""

    name = "plain"
    gives: frozenset[str] = frozenset()

    def __init__(self, **known: Any) -> None:
        """Know this about where it is."""
        for name, value in known.items():
            setattr(self, name, value)

    async def complete(self, _request: Request, /) -> Reply | None:
        """Nobody asks it here."""
        return None


NOWHERE: list[dict[str, Any]] = [
    {},
    {"base_url": None},
    {"base_url": ""},
    {"provider": "groq"},
    {"base_url": "no://port-known"},
    {"base_url": "http://host:many"},
    {"probe": "no function"},
]


@pytest.mark.parametrize("known", NOWHERE, ids=str)
def test_what_is_nowhere_is_not_probed(known: dict[str, Any]) -> None:
    """A backend with neither a probe nor an address stays alive, and the flow lives on without it."""
    instance, until = Instance(Plain(**known)), Signal()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        loop.call_at(500.0, until.give)
        await Driver(clock=loop.time).run(Health().watching([instance], _never, until)(loop.time()))
        return loop.time()

    assert run_virtual(main()) == 500.0
    assert instance.alive


def _never(_instance: Instance) -> None:
    raise AssertionError("nothing has changed")


@pytest.mark.parametrize("name", ["base_url", "provider"])
def test_without_a_probe_the_host_is_called(name: str) -> None:
    """A backend that says where it is, is alive while its host takes connections, dead after, and back with it."""

    async def main() -> tuple[bool, bool, bool]:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        instance, until, news = Instance(Plain(**{name: f"http://{host}:{port}/v1"})), Signal(), asyncio.Queue[bool]()
        health = Health(every=0.01, timeout=0.01, after=2, back=2)
        flow = health.watching([instance], lambda each: news.put_nowait(each.alive), until)
        watching = loop.create_task(Driver(clock=loop.time).run(flow(loop.time())))
        before = instance.alive
        server.close()
        await server.wait_closed()
        dead = await news.get()
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), host, port)
        back = await news.get()
        while not back:  # on a busy machine ten milliseconds may not be enough, and then it is dead again
            back = await news.get()
        until.give()
        await watching
        server.close()
        await server.wait_closed()
        return before, dead, back

    assert asyncio.run(main()) == (True, False, True)


def test_the_probe_given_goes_first() -> None:
    """A probe of one's own is asked about each backend, in place of what the backend has."""
    place, asked = Place(), list[Backend]()

    async def probe(backend: Backend) -> None:
        asked.append(backend)

    watch(Health(probe=probe), {"a": place}, 20.0)
    assert place.began == [] and asked == [place] * len(asked) != []


def test_the_flow_is_never_silent() -> None:
    """However rare the probes are, the flow does something each minute: who runs it sees that it runs."""
    place, until = Place(), Signal()
    flow = Health(every=1_000.0).watching([Instance(place)], _never, until)(0.0)
    effect: Any = next(flow)
    assert effect.seconds <= 60.0
    flow.close()


def test_a_signal_given_before_is_obeyed() -> None:
    """A flow whose signal has been given already ends at once."""
    until = Signal()
    until.give()
    assert list(Health().watching([Instance(Place())], _never, until)(0.0)) == []
