"""The drills' tools inside a process: faults as values, plans that say which calls they strike, and `Faulty`."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fastcascade.backends.backend import Instant, Streaming
from fastcascade.backends.recorded import Recorded
from fastcascade.cascade import Cascade
from fastcascade.errors import BackendError, ConfigError
from fastcascade.messages import Delta, Reply, Request
from fastcascade.testing import (
    CutStream,
    Error,
    Faulty,
    Garbage,
    Latency,
    Plan,
    Refused,
    Reset,
    ScriptedBackend,
    SlowBytes,
    StallStream,
    Struck,
    Timeout,
    Trouble,
    WrongContent,
    fault_of,
    run_virtual,
)
from fastcascade.testing.faults import NAMES
from fastcascade.tiers import Tier

HI = Request.of("Hi")
SECONDS = st.floats(0, 1e6).map(lambda value: round(value, 3))
COUNTS = st.integers(0, 50)
FAULTS: st.SearchStrategy[Trouble] = st.one_of(
    st.builds(Latency, SECONDS, SECONDS),
    st.builds(
        Error,
        st.sampled_from(["rate_limited", "server", "auth"]),
        st.integers(400, 599),
        SECONDS,
        st.sampled_from(["seconds", "date", "ms"]),
    ),
    st.just(Timeout()),
    st.just(Refused()),
    st.builds(Reset, SECONDS, COUNTS),
    st.builds(CutStream, COUNTS),
    st.builds(StallStream, COUNTS),
    st.builds(SlowBytes, SECONDS),
    st.builds(Garbage, st.sampled_from(["", "text/html"])),
    st.builds(WrongContent, st.sampled_from(["", "no"]), st.sampled_from(["end", "length", "refusal"])),
)


# Values.

REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: Latency(-1), "latency: seconds must be"),
    (lambda: Latency(1, spread=float("nan")), "latency: spread must be"),
    (lambda: Error("odd"), "error: kind must be one of timeout,"),  # type: ignore[arg-type]
    (lambda: Error("server", 200), "error: status must be from 400 to 599, not 200"),
    (lambda: Error("server", retry_after=float("inf")), "error: retry_after must be"),
    (lambda: Error("server", told="words"), "error: told must be"),  # type: ignore[arg-type]
    (lambda: Reset(seconds=-1), "reset: seconds must be"),
    (lambda: Reset(after=-1), "reset: after must be"),
    (lambda: CutStream(-1), "cut: after must be"),
    (lambda: StallStream(-1), "stall: after must be"),
    (lambda: SlowBytes(-0.1), "slow: seconds must be"),
    (lambda: WrongContent("x", "tool"), "wrong: stop must be"),
    (lambda: fault_of("odd:1"), "no fault is called 'odd'; there are latency,"),
    (lambda: fault_of("latency"), "fault 'latency': latency needs seconds"),
    (lambda: fault_of("latency:soon"), "fault 'latency:soon': 'soon' is not a number"),
    (lambda: fault_of("latency:1,seconds=2"), "'seconds' is no setting of latency, or was given before"),
    (lambda: fault_of("cut:1,2"), "'number 2' is no setting of cut"),
    (lambda: fault_of("timeout:odd=1"), "'odd' is no setting of timeout"),
    (lambda: Plan(rate=1.5), "a plan's rate must be from 0 to 1, not 1.5"),
    (lambda: Plan().set(Timeout(), rate=-1), "a plan's rate must be from 0 to 1, not -1"),
    (lambda: Plan().between(2, 1, Timeout()), "a plan's time must begin before it ends, not 2 and 1"),
]


@pytest.mark.parametrize(("make", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_what_cannot_be_is_refused(make: Callable[[], object], told: str) -> None:
    """A setting that cannot work is found when it is made, and the message names it."""
    with pytest.raises(ConfigError) as caught:
        make()
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("timeout", Timeout()),
        ("latency:0.5", Latency(0.5)),
        ("latency: 0.5 , spread = 0.1", Latency(0.5, 0.1)),
        ("error:rate_limited,retry_after=5", Error("rate_limited", retry_after=5.0)),
        ("error:rate_limited,429,5,ms", Error("rate_limited", 429, 5.0, "ms")),
        ("reset:after=2", Reset(after=2)),
        ("wrong:I cannot help,refusal", WrongContent("I cannot help", "refusal")),
        ("garbage:content_type=text/html", Garbage("text/html")),
    ],
)
def test_faults_by_name(text: str, fault: Trouble) -> None:
    """A fault can be told in a line of text."""
    assert fault_of(text) == fault


@given(fault=FAULTS)
def test_every_fault_can_be_told_in_text(fault: Trouble) -> None:
    """Name and settings, put together, are read back as the same fault."""
    name = {kind: name for name, kind in NAMES.items()}[type(fault)]
    told = ",".join(f"{key}={value}" for key, value in asdict(fault).items())
    assert fault_of(f"{name}:{told}" if told else name) == fault


# Plans.


@given(faults=st.lists(FAULTS, max_size=4), rate=st.floats(0, 1), seed=st.integers(), calls=st.integers(1, 30))
def test_a_plan_is_deterministic(faults: list[Trouble], rate: float, seed: int, calls: int) -> None:
    """The same calls of the same plan meet the same."""
    one, other = (Plan(*faults, rate=rate, seed=seed) for _ in range(2))
    assert [one.draw(0.0) for _ in range(calls)] == [other.draw(0.0) for _ in range(calls)]


@given(rate=st.floats(0, 1), seed=st.integers(0, 1000))
def test_what_a_fault_strikes_is_its_own_matter(rate: float, seed: int) -> None:
    """A fault that comes or goes changes nothing of which calls another one strikes."""
    alone, crowded = Plan(SlowBytes(1.0), rate=rate, seed=seed), Plan(SlowBytes(1.0), rate=rate, seed=seed)
    crowded.between(10.0, 20.0, Timeout(), rate=0.5)
    crowded.add(Latency(1.0, spread=1.0), rate=0.5)
    assert [alone.draw(time).pace for time in range(30)] == [crowded.draw(time).pace for time in range(30)]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_the_rate_is_the_share_that_is_struck(rate: float) -> None:
    """Of many calls, about that share is struck; all at 1 and none at 0."""
    plan = Plan(Error("server"), rate=rate, seed=3)
    struck = sum(plan.draw(0.0).fault is not None for _ in range(2000))
    assert abs(struck - 2000 * rate) <= (60 if 0 < rate < 1 else 0)


def test_which_of_several_faults_strikes() -> None:
    """Latencies and paces add up; of those that end a call the timed come first, then the earlier."""
    plan = Plan(Latency(1.0), Error("server"), Latency(2.0), Timeout(), SlowBytes(0.5))
    assert plan.draw(0.0) == Struck(3.0, 0.5, Error("server"))
    plan.between(5.0, 6.0, Refused(), rate=1.0)
    assert [plan.draw(now).fault for now in (4.9, 5.0, 5.9, 6.0)] == [
        Error("server"), Refused(), Refused(), Error("server"),
    ]  # fmt: skip


@given(seconds=st.floats(0, 10), spread=st.floats(0, 10))
def test_latency_spreads_about_its_seconds(seconds: float, spread: float) -> None:
    """A spread is by how much a latency is off at most, and no latency is below nought."""
    plan = Plan(Latency(seconds, spread))
    for _ in range(20):
        assert max(0.0, seconds - spread) <= plan.draw(0.0).wait <= seconds + spread


class PlanModel(RuleBasedStateMachine):
    """A plan whose faults always strike or never, against lists of what is in force."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = Plan()
        self.now = 0
        self.standing: list[tuple[Trouble, bool]] = []
        self.timed: list[tuple[int, int, Trouble, bool]] = []
        self.told = self.expected = 0
        self.stop = self.plan.watch(self._note)

    def _note(self) -> None:
        self.told += 1

    @rule(faults=st.lists(FAULTS, max_size=3), strikes=st.booleans())
    def set(self, faults: list[Trouble], strikes: bool) -> None:
        self.plan.set(*faults, rate=float(strikes))
        self.standing = [(fault, strikes) for fault in faults]
        self.expected += 1

    @rule(faults=st.lists(FAULTS, max_size=3), strikes=st.booleans())
    def add(self, faults: list[Trouble], strikes: bool) -> None:
        self.plan.add(*faults, rate=float(strikes))
        self.standing += [(fault, strikes) for fault in faults]
        self.expected += 1

    @rule(start=st.integers(0, 20), length=st.integers(1, 10), fault=FAULTS, strikes=st.booleans())
    def between(self, start: int, length: int, fault: Trouble, strikes: bool) -> None:
        self.plan.between(start, start + length, fault, rate=float(strikes))
        self.timed.append((start, start + length, fault, strikes))
        self.expected += 1

    @rule()
    def clear(self) -> None:
        self.plan.clear()
        self.standing, self.timed = [], []
        self.expected += 1

    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def agree(self) -> None:
        at_all = [fault for start, end, fault, strikes in self.timed if start <= self.now < end and strikes]
        at_all += [fault for fault, strikes in self.standing if strikes]
        ending = [fault for fault in at_all if not isinstance(fault, Latency | SlowBytes)]
        struck = self.plan.draw(self.now)
        assert struck.fault == (ending[0] if ending else None)
        assert struck.pace == sum(fault.seconds for fault in at_all if isinstance(fault, SlowBytes))
        least = sum(max(0.0, fault.seconds - fault.spread) for fault in at_all if isinstance(fault, Latency))
        most = sum(fault.seconds + fault.spread for fault in at_all if isinstance(fault, Latency))
        assert least <= struck.wait + 1e-6 and struck.wait <= most + 1e-6
        assert self.plan.refusing(self.now) == any(isinstance(fault, Refused) for fault in at_all)
        changes = [time for start, end, *_ in self.timed for time in (start, end) if time > self.now]
        assert self.plan.next_change(self.now) == min(changes, default=None)
        slow = (Latency, Reset, SlowBytes, StallStream, Timeout)
        held = [fault for fault, _ in self.standing] + [fault for _, _, fault, _ in self.timed]
        assert self.plan.takes_time == any(isinstance(fault, slow) for fault in held)
        assert self.told == self.expected


TestPlanModel = PlanModel.TestCase
TestPlanModel.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_nobody_is_told_who_stopped_watching() -> None:
    """Watching a plan ends when it is told to."""
    plan, seen = Plan(), []
    stop = plan.watch(lambda: seen.append(1))
    plan.set(Timeout())
    stop()
    plan.clear()
    assert seen == [1]
    assert repr(Plan(Timeout(), rate=0.5, seed=2)) == "Plan(Timeout(), rate=0.5, seed=2)"


# Faulty.


async def ask(backend: Any, stream: bool, patience: float = 60.0) -> tuple[str, str, float, int]:
    """What asking comes to: the text or kind of failure, how a reply ended, how long it took, and how many pieces."""
    loop = asyncio.get_running_loop()
    began, pieces = loop.time(), 0
    try:
        async with asyncio.timeout(patience):
            if not stream:
                reply = await backend.complete(HI)
            else:
                reply = None
                async for item in backend.stream(HI):
                    pieces += isinstance(item, Delta)
                    reply = item
    except BackendError as error:
        return error.failure.kind, "failed", loop.time() - began, pieces
    except TimeoutError:
        return "", "never", loop.time() - began, pieces
    assert isinstance(reply, Reply)
    return reply.text, reply.stop, loop.time() - began, pieces


# fault; then for the whole, and for the stream: what came, how it ended, after how long, in how many pieces
CASES: list[tuple[tuple[Trouble, ...], tuple[str, str, float, int], tuple[str, str, float, int]]] = [
    ((), ("one two three", "end", 0, 0), ("one two three", "end", 0, 3)),
    ((Latency(2.0),), ("one two three", "end", 2, 0), ("one two three", "end", 2, 3)),
    ((Error("overloaded"),), ("overloaded", "failed", 0, 0), ("overloaded", "failed", 0, 0)),
    ((Latency(2.0), Error("auth")), ("auth", "failed", 2, 0), ("auth", "failed", 2, 0)),
    ((Timeout(),), ("", "never", 60, 0), ("", "never", 60, 0)),
    ((Refused(),), ("connection", "failed", 0, 0), ("connection", "failed", 0, 0)),
    ((Reset(),), ("connection", "failed", 0, 0), ("connection", "failed", 0, 0)),
    ((Reset(3.0),), ("connection", "failed", 3, 0), ("connection", "failed", 3, 0)),
    ((Reset(3.0, after=2),), ("cut", "failed", 3, 0), ("cut", "failed", 3, 2)),
    ((CutStream(),), ("cut", "failed", 0, 0), ("cut", "failed", 0, 1)),
    ((CutStream(0),), ("cut", "failed", 0, 0), ("cut", "failed", 0, 0)),
    ((CutStream(99),), ("cut", "failed", 0, 0), ("cut", "failed", 0, 3)),
    ((StallStream(2),), ("", "never", 60, 0), ("", "never", 60, 2)),
    ((SlowBytes(2.0),), ("one two three", "end", 6, 0), ("one two three", "end", 6, 3)),
    ((SlowBytes(2.0), CutStream(2)), ("cut", "failed", 6, 0), ("cut", "failed", 4, 2)),
    ((Garbage(),), ("malformed", "failed", 0, 0), ("malformed", "failed", 0, 0)),
    ((WrongContent("no", "refusal"),), ("no", "refusal", 0, 0), ("no", "refusal", 0, 1)),
    ((WrongContent(),), ("", "end", 0, 0), ("", "end", 0, 1)),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", CASES, ids=[repr(faults) for faults, *_ in CASES])
def test_what_each_fault_does(
    case: tuple[tuple[Trouble, ...], tuple[str, str, float, int], tuple[str, str, float, int]], stream: bool
) -> None:
    """Each fault comes to what it says, at the time it says, whole and streamed; afterwards all is well again."""
    faults, whole, streamed = case
    backend = Faulty(ScriptedBackend("one two three"), Plan(*faults))
    assert run_virtual(ask(backend, stream)) == (streamed if stream else whole)
    backend.plan.clear()
    assert run_virtual(ask(backend, stream)) == ("one two three", "end", 0, 3 if stream else 0)


@pytest.mark.parametrize(
    ("fault", "asked"),
    [(Error("server"), 0), (Refused(), 0), (Garbage(), 0), (WrongContent(), 0), (CutStream(), 1), (Reset(after=1), 1)],
)
@pytest.mark.parametrize("stream", [False, True])
def test_whether_the_backend_has_done_its_work(fault: Trouble, asked: int, stream: bool) -> None:
    """What fails before its reply never reached the backend; what breaks off did, and its stream is closed."""
    scripted = ScriptedBackend("one two three")
    run_virtual(ask(Faulty(scripted, Plan(fault)), stream))
    assert len(scripted.seen) == asked
    assert scripted.cancelled == (asked if stream else 0)


def test_an_error_says_how_long_to_wait() -> None:
    """The status is that of the kind unless told otherwise, and Retry-After is passed on."""
    backend = Faulty(ScriptedBackend("x"), Plan(Error("rate_limited", retry_after=5.0)))
    for status, fault in [(429, None), (529, Error("overloaded", 529, 5.0))]:
        if fault:
            backend.plan.set(fault)
        with pytest.raises(BackendError) as caught:
            run_virtual(backend.complete(HI))
        assert (caught.value.failure.status, caught.value.failure.retry_after) == (status, 5.0)


def test_a_plan_by_time() -> None:
    """An outage from second 10 to 20 strikes just the calls of that time, which are counted with their times."""
    plan = Plan()
    plan.between(10.0, 20.0, Refused())
    backend = Faulty(ScriptedBackend("fine"), plan)

    async def go() -> list[str]:
        said = []
        for _ in range(6):
            said.append((await ask(backend, stream=False))[0])
            await asyncio.sleep(5.0)
        return said

    assert run_virtual(go()) == ["fine", "fine", "connection", "connection", "fine", "fine"]
    assert backend.times == [0, 5, 10, 15, 20, 25]
    assert (backend.calls, backend.served, backend.struck) == (6, 4, {"Refused": 2})


@given(rate=st.floats(0, 1), seed=st.integers(0, 99), calls=st.integers(1, 20), stream=st.booleans())
@settings(max_examples=40)
def test_what_is_counted_adds_up(rate: float, seed: int, calls: int, stream: bool) -> None:
    """Every call is counted once, and was either served or struck."""
    scripted = ScriptedBackend("fine")
    backend = Faulty(scripted, Plan(Error("server"), rate=rate, seed=seed))

    async def go() -> int:
        asked = await asyncio.gather(*(ask(backend, stream) for _ in range(calls)))
        return sum(ended == "end" for _, ended, *_ in asked)

    served = run_virtual(go())
    assert (backend.calls, backend.served, len(backend.times)) == (calls, served, calls)
    assert len(scripted.seen) == served == calls - backend.struck["Error"]


class Everything(ScriptedBackend):
    """Has all that a backend may have."""

    cost = price = free = base_url = provider = listed = None
    closed = 0

    async def probe(self, deep: bool = False) -> str:
        return f"alive {deep}"

    async def aclose(self) -> None:
        self.closed += 1

    def answer(self, request: Request) -> Reply:
        return Reply("at once")


def test_it_has_what_the_backend_has() -> None:
    """Who looks at what a backend can do sees no difference."""
    names = ("answer", "stream", "probe", "cost", "price", "free", "base_url", "provider", "listed", "aclose")
    inner = Everything("x", name="inner")
    full: Any = Faulty(inner)
    bare: Any = Faulty(Recorded({}))
    assert full.name == "inner" and full.gives == inner.gives
    for name in names:
        assert hasattr(full, name), name
        assert hasattr(bare, name) == hasattr(Recorded({}), name), name
    assert (isinstance(full, Streaming), isinstance(bare, Streaming), isinstance(bare, Instant)) == (True, False, True)
    run_virtual(full.aclose())
    assert inner.closed == 1
    assert repr(bare) == "Faulty(Recorded(name='recorded', 0 texts), Plan(rate=1.0, seed=0))"


def test_probes_fail_too_and_count_apart() -> None:
    """A backend that is down is down for probes, which are no calls."""
    backend: Any = Faulty(Everything("x"))
    assert run_virtual(backend.probe(deep=True)) == "alive True"
    backend.plan.set(Latency(3.0), Refused())
    with pytest.raises(BackendError):
        run_virtual(backend.probe())
    assert (backend.probes, backend.probe_times, backend.calls, backend.served) == (2, [0, 0], 0, 0)


def test_answers_at_once() -> None:
    """What needs no I/O is asked at once while no fault takes time, and by `complete` while one does."""
    backend = Faulty(Recorded({"Hi": "Hello"}))
    assert backend.answer(HI) == Reply("Hello", model="recorded")
    backend.plan.set(Error("server"))
    with pytest.raises(BackendError) as caught:
        backend.answer(HI)
    assert caught.value.failure.kind == "server"
    backend.plan.set(WrongContent("no"))
    assert backend.answer(HI) == Reply("no", model="recorded")
    backend.plan.set(CutStream())
    with pytest.raises(BackendError) as caught:
        backend.answer(HI)
    assert caught.value.failure.kind == "cut"
    held = backend.answer
    backend.plan.set(Latency(9.0))
    assert not hasattr(backend, "answer")
    assert run_virtual(ask(backend, stream=False)) == ("Hello", "end", 9.0, 0)
    for fault in (Timeout(), StallStream()):  # who took hold of it before is not held up for ever
        backend.plan.set(fault)
        with pytest.raises(BackendError) as caught:
            held(HI)
        assert caught.value.failure.kind == "timeout"


def test_a_stream_that_is_given_up_closes_the_backends() -> None:
    """Closing the stream of a faulty backend closes the one it passes on."""
    scripted = ScriptedBackend("one two three")

    async def go() -> None:
        stream: AsyncIterator[Any] = Faulty(scripted).stream(HI)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    run_virtual(go())
    assert scripted.cancelled == 1


def test_a_cascade_goes_on_past_a_faulty_tier() -> None:
    """A cascade answers from the next tier while the first is faulty, and from the first when it is well."""
    first, second = Faulty(ScriptedBackend("first")), ScriptedBackend("second")
    cascade = Cascade(Tier(first, name="first"), Tier(second, name="second"))
    assert run_virtual(cascade.run("Hi")).text == "first"
    first.plan.set(Error("overloaded"))
    assert run_virtual(cascade.run("Hi")).text == "second"
    first.plan.clear()
    assert run_virtual(cascade.run("Hi")).text == "first"


def test_the_package_does_not_load_them() -> None:
    """`import fastcascade` loads none of this, and `fastcascade.testing` no server."""
    code = (
        "import sys, fastcascade; assert not any('testing' in each for each in sys.modules if 'fastcascade' in each);"
        "import fastcascade.testing as t; assert 'fastcascade.testing.faulty_server' not in sys.modules;"
        "assert set(t.__all__) <= {name for name in t.__all__ if getattr(t, name)};"
        "assert t.FaultyServer.__module__ == 'fastcascade.testing.faulty_server'"
    )
    subprocess.run([sys.executable, "-W", "error", "-I", "-c", code], check=True)
