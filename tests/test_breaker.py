"""The circuit breaker: what can be set, and what becomes of calls; test_breaker_law.py has the whole specification."""

import dataclasses
import pickle
from collections.abc import Callable
from math import inf
from threading import Barrier, Thread
from typing import Any, get_args

import pytest

from fastcascade import ConfigError
from fastcascade.errors import FailureKind
from fastcascade.fallbacks.breaker import COUNTS, SILENT, Breaker, Circuit
from fastcascade.fallbacks.window import CountWindow, TimeWindow, Window

THREE: dict[str, Any] = {"failure_threshold": 5, "recovery_timeout": 30, "half_open_max_calls": 3}


def fail(circuit: Circuit, now: float, times: int, kind: FailureKind = "server") -> None:
    """Let calls fail at once."""
    for _ in range(times):
        assert circuit.admit(now) == 0.0
        circuit.record(now, 0.0, kind)


def opened(now: float = 0.0, **more: Any) -> Circuit:
    """A circuit of the mission's numbers, opened at that time."""
    circuit = Breaker(**{**THREE, **more}).circuit("it")
    fail(circuit, now, 5)
    assert circuit.state == "open"
    return circuit


# What can be set.

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"failure_threshold": 5, "failure_rate": 0.5}, "failure_threshold and failure_rate"),
    ({"recovery_timeout": 5, "cooling": 5}, "recovery_timeout and cooling"),
    ({"half_open_max_calls": 5, "probes": 5}, "half_open_max_calls and probes"),
    ({"failure_threshold": 5, "slow_after": 1.0}, "failure_threshold and slow_after"),
    ({"window": 30.0, "calls": 20}, "window is in seconds, calls is a number"),
    ({"calls": 5, "minimum": 6}, "minimum 6 is never reached in a window of 5"),
    ({"slow_rate": 0.5}, "slow_rate needs slow_after"),
    ({"failure_rate": 0.0}, "failure_rate is a share"),
    ({"failure_rate": 50}, "failure_rate is a share"),
    ({"failure_rate": float("nan")}, "failure_rate is a share"),
    ({"slow_after": 1.0, "slow_rate": 1.1}, "slow_rate is a share"),
    ({"slow_after": 0}, "slow_after is a number of seconds"),
    ({"window": inf}, "window is a number of seconds"),
    ({"window": 1e-320}, "window is a number of seconds"),
    ({"cooling": -1}, "cooling is a number of seconds"),
    ({"recovery_timeout": 0}, "recovery_timeout is a number of seconds"),
    ({"lapse": 0}, "lapse is a number of seconds"),
    ({"calls": 0}, "calls is a whole number"),
    ({"calls": 10**9}, "calls is a whole number"),
    ({"minimum": 2.5}, "minimum is a whole number"),
    ({"probes": True}, "probes is a whole number"),
    ({"failure_threshold": 0}, "failure_threshold is a whole number"),
    ({"half_open_max_calls": 0}, "half_open_max_calls is a whole number"),
    ({"counts": "server"}, "not the text 'server'"),
    ({"counts": ["serve"]}, "'serve', which is no kind of failure"),
    ({"counts": ["bad_request"]}, "'bad_request': it is no fault of the backend's"),
    ({"counts": ["cancelled"]}, "'cancelled': it is no fault of the backend's"),
    ({"counts": []}, "nothing would ever open it"),
]


@pytest.mark.parametrize(("settings", "why"), REFUSED)
def test_what_cannot_work_is_refused(settings: dict[str, Any], why: str) -> None:
    """Settings that contradict each other, or could never open or close a circuit, are refused by name."""
    with pytest.raises(ConfigError, match=why) as caught:
        Breaker(**settings)
    assert str(caught.value).startswith("breaker: ")


RATES = "failure_rate=0.5, slow_rate=0.8, slow_after=3.0, window=30.0, minimum=10, cooling=30.0, probes=3"
MADE: list[tuple[Breaker, str]] = [
    (Breaker(), "Breaker(failure_rate=0.5, window=30.0, minimum=10, cooling=30.0, probes=3)"),
    (Breaker(**THREE), "Breaker(failure_threshold=5, recovery_timeout=30.0, half_open_max_calls=3)"),
    (Breaker(recovery_timeout=9), "Breaker(failure_threshold=5, recovery_timeout=9.0, half_open_max_calls=3)"),
    (Breaker(calls=4, probes=1), "Breaker(failure_rate=0.5, calls=4, minimum=4, cooling=30.0, probes=1)"),
    (
        Breaker(slow_after=3, slow_rate=0.8, counts={"server", "cut"}, lapse=600),
        f"Breaker({RATES}, counts={{'cut', 'server'}}, lapse=600.0)",
    ),
    (Breaker(slow_after=3, slow_rate=0.8, counts=()), f"Breaker({RATES}, counts=())"),
]


@pytest.mark.parametrize(("breaker", "text"), MADE)
def test_a_breaker_shows_how_it_can_be_made(breaker: Breaker, text: str) -> None:
    """Its repr makes an equal one, in the form it was thought of; it can be pickled, and not changed."""
    assert repr(breaker) == text
    assert eval(text) == breaker == pickle.loads(pickle.dumps(breaker))
    assert hash(eval(text)) == hash(breaker)
    with pytest.raises(dataclasses.FrozenInstanceError):
        breaker.probes = 7  # type: ignore[misc]


# The three numbers.


def test_the_three_numbers_mean_what_they_say() -> None:
    """Five failures in a row open it, thirty seconds later three calls are let through, and their success closes it."""
    circuit = Breaker(failure_threshold=5, recovery_timeout=30, half_open_max_calls=3).circuit("it")
    fail(circuit, 0.0, 4)
    circuit.record(0.0, 0.0, None)
    fail(circuit, 1.0, 4)
    assert circuit.state == "closed"
    fail(circuit, 1.0, 1)
    assert circuit.state == "open"
    assert circuit.admit(1.0) == 30.0
    assert circuit.admit(30.5) == 0.5
    assert [circuit.admit(31.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    assert circuit.state == "half-open"
    for end in (32.0, 33.0):
        circuit.record(end, end - 31.0, None)
    assert circuit.admit(33.0) == 1.0
    circuit.record(34.0, 3.0, None)
    assert circuit.state == "closed"
    assert circuit.tally == (0, 0, 0)


def test_the_first_probe_that_fails_opens_it_for_another_cooling() -> None:
    """The cooling begins anew with the failure, and is as long as before; the other probes no longer matter."""
    circuit = opened(0.0)
    for start in (30.0, 65.0, 100.0):
        assert [circuit.admit(start) for _ in range(3)] == [0.0] * 3
        circuit.record(start + 1.0, 1.0, None)
        circuit.record(start + 5.0, 5.0, "server")
        assert circuit.state == "open"
        circuit.record(start + 6.0, 6.0, None)
        assert circuit.admit(start + 5.0) == 30.0


# What counts.

OUTCOMES: list[tuple[FailureKind | None, str]] = [
    (None, "success"),
    *(
        (kind, "failure" if kind in COUNTS else "nothing" if kind in SILENT else "success")
        for kind in get_args(FailureKind)
    ),
]


@pytest.mark.parametrize(("kind", "meaning"), OUTCOMES)
def test_kinds_of_failure_count_as_stated(kind: FailureKind | None, meaning: str) -> None:
    """Of three probes two succeed, and the third ends so: it closes the circuit, opens it, or was never there."""
    circuit = opened(0.0)
    assert [circuit.admit(30.0) for _ in range(3)] == [0.0] * 3
    circuit.record(31.0, 1.0, None)
    circuit.record(31.0, 1.0, None)
    circuit.record(31.0, 1.0, kind)
    assert circuit.state == {"success": "closed", "failure": "open", "nothing": "half-open"}[meaning]
    if meaning == "nothing":
        assert circuit.admit(31.0) == 0.0


def test_what_counts_can_be_chosen() -> None:
    """With other kinds than usual, these count and no others do."""
    circuit = Breaker(**THREE, counts=["rate_limited"]).circuit()
    fail(circuit, 0.0, 9)
    assert circuit.state == "closed"
    fail(circuit, 0.0, 5, "rate_limited")
    assert circuit.state == "open"


def test_every_kind_is_thought_of() -> None:
    """A kind is a failure, says nothing, or shows that the backend is alive: a new one must be put somewhere."""
    alive = {"rate_limited", "conflict", "bad_request"}
    assert COUNTS | SILENT | alive == set(get_args(FailureKind))
    assert len(COUNTS) + len(SILENT) + len(alive) == len(get_args(FailureKind))


# Rates.


def test_rates_open_it_from_the_minimum_on() -> None:
    """Below the minimum nothing is decided; then the share in the window is, whichever call brought it there."""
    circuit = Breaker(failure_rate=0.5, minimum=10).circuit()
    fail(circuit, 0.0, 5)
    for _ in range(4):
        circuit.record(0.0, 0.0, None)
    assert circuit.state == "closed"
    assert circuit.tally == (9, 5, 0)
    circuit.record(0.0, 0.0, None)
    assert circuit.state == "open"
    assert circuit.tally == (10, 5, 0)


def test_slow_calls_open_it() -> None:
    """Calls that took longer than that, failed or not, open it by their own rate; one that took just so long is not."""
    circuit = Breaker(slow_after=2.0, slow_rate=0.5, failure_rate=1.0, calls=4).circuit()
    for took, kind in ((2.0, None), (1.0, None), (2.1, None)):
        circuit.record(9.0, took, kind)
    assert circuit.state == "closed"
    circuit.record(9.0, 60.0, "timeout")
    assert circuit.state == "open"
    assert circuit.tally == (4, 1, 2)


def test_slow_probes_are_judged_by_their_rate() -> None:
    """An answer that was slow is an answer: as long as fewer than `slow_rate` of the probes are slow, it closes."""
    for slow, state in ((1, "closed"), (2, "open")):
        circuit = Breaker(slow_after=2.0, slow_rate=0.5, calls=4, probes=4).circuit()
        fail(circuit, 0.0, 4)
        assert [circuit.admit(30.0) for _ in range(4)] == [0.0] * 4
        for n in range(4):
            circuit.record(40.0, 10.0 if n < slow else 1.0, None)
        assert circuit.state == state


def windows() -> list[tuple[str, Callable[[], Window]]]:
    """One of each kind, which seven failures of a hundred fill."""
    return [
        ("count", lambda: CountWindow(100, 100, 0.07, 0.07)),
        ("time", lambda: TimeWindow(10.0, 100, 0.07, 0.07)),
    ]


@pytest.mark.parametrize(("kind", "make"), windows())
def test_a_share_is_reached_exactly(kind: str, make: Callable[[], Window]) -> None:
    """Seven of a hundred are 0.07, whatever 0.07 * 100 is in floats; six are not."""
    for bad in ((True, False), (False, True)):
        six, seven = make(), make()
        assert not any(six.add(0.0, *(bad if n < 6 else (False, False))) for n in range(100))
        assert [seven.add(0.0, *(bad if n < 7 else (False, False))) for n in range(100)] == [False] * 99 + [True]


def test_a_window_of_calls_forgets_the_oldest() -> None:
    """It holds the last of them, whatever they were."""
    window = CountWindow(4, 4, 1.0, 1.0)
    calls = [(n % 3 == 0, n % 5 == 0) for n in range(40)]
    for n, (failed, slow) in enumerate(calls, 1):
        window.add(0.0, failed, slow)
        last = calls[:n][-4:]
        assert window.tally == (len(last), sum(each[0] for each in last), sum(each[1] for each in last))


def test_a_window_of_time_forgets_by_tenths() -> None:
    """What a tenth of the window holds is forgotten together, once nine more have begun; a long gap forgets all."""
    window = TimeWindow(10.0, 100, 0.5, 1.0)
    for now in (0.0, 0.9, 1.0, 9.9):
        window.add(now, failed=True, slow=False)
    assert window.tally == (4, 4, 0)
    window.add(10.0, failed=False, slow=True)
    assert window.tally == (3, 2, 1)
    window.add(10.9, failed=False, slow=False)
    assert window.tally == (4, 2, 1)
    window.add(3.0, failed=True, slow=False)  # from a thread that was late
    assert window.tally == (5, 3, 1)
    window.add(11.0, failed=False, slow=False)
    assert window.tally == (5, 2, 1)
    window.add(1e12, failed=False, slow=False)
    assert window.tally == (1, 0, 0)
    window.clear()
    assert window.tally == (0, 0, 0)


# Late results and lost permits.

LATE: list[tuple[FailureKind | None, float]] = [
    (kind, began) for kind in (None, "timeout", "cancelled") for began in (-100.0, -1.0, 0.0)
]


@pytest.mark.parametrize(("kind", "began"), LATE)
def test_late_results_change_nothing(kind: FailureKind | None, began: float) -> None:
    """What began before it opened neither closes nor opens it, frees no probe's place, and does not count later."""
    circuit = opened(0.0)
    for _ in range(9):
        circuit.record(10.0, 10.0 - began, kind)
    assert circuit.state == "open"
    assert circuit.admit(10.0) == 20.0
    assert [circuit.admit(31.0) for _ in range(3)] == [0.0] * 3
    for _ in range(9):
        circuit.record(32.0, 32.0 - began, kind)
        circuit.forget(began)
    assert circuit.state == "half-open"
    assert circuit.admit(32.0) == 1.0
    for _ in range(3):
        circuit.record(33.0, 2.0, None)
    for _ in range(9):
        circuit.record(34.0, 34.0 - began, kind)
    assert circuit.state == "closed"
    assert circuit.tally == (0, 0, 0)


def test_permits_given_back_may_be_had_by_others() -> None:
    """A probe that was not made after all, or was given up, leaves its place to another."""
    circuit = opened(0.0)
    for _ in range(20):
        assert [circuit.admit(30.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
        circuit.forget()
        circuit.forget(30.0)
        circuit.record(31.0, 1.0, "cancelled")
    circuit.forget()
    circuit.forget()
    assert [circuit.admit(31.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


def test_lost_permits_lapse() -> None:
    """Probes that never end hold up others for `lapse` seconds; what they come to after that still counts."""
    circuit = opened(0.0, lapse=50.0)
    assert [circuit.admit(30.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    assert circuit.admit(79.5) == 0.5
    assert [circuit.admit(80.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    circuit.forget(30.0)  # one of the lost ones: its place was taken
    assert circuit.admit(80.0) == 1.0
    circuit.record(90.0, 60.0, None)  # likewise: three are still under way
    circuit.forget(80.0)
    assert circuit.admit(90.0) == 1.0
    circuit.record(90.0, 60.0, None)
    assert circuit.tally == (2, 0, 0)
    circuit.record(90.0, 10.0, None)
    assert circuit.state == "closed"


def test_what_is_told_twice_frees_one_place() -> None:
    """A caller's slip lets no more probes out than are wanted."""
    circuit = opened(0.0)
    assert circuit.admit(30.0) == 0.0
    circuit.record(31.0, 1.0, None)
    circuit.record(31.0, 1.0, None)
    assert [circuit.admit(31.0) for _ in range(2)] == [0.0, 1.0]


def test_a_lapsed_probe_that_fails_opens_it() -> None:
    """A probe that hung until it timed out shows that the backend is still down, lapsed or not."""
    circuit = opened(0.0, lapse=50.0)
    assert circuit.admit(30.0) == 0.0
    assert circuit.admit(80.0) == 0.0
    circuit.record(90.0, 60.0, "timeout")
    assert circuit.state == "open"


@pytest.mark.parametrize("start", [0.1, 12.345, 1e6 / 7, 1e9 / 7])
def test_rounding_makes_no_probe_late(start: float) -> None:
    """`now - took` need not come out as the time a probe began: it is one all the same, however long it took."""
    for took in (0.1, 1 / 3, 1e5 / 3, 1e7 / 7):
        for held in (False, True):
            circuit = opened(start)
            began = start + circuit.admit(start)
            if held:
                circuit.force("open", start)
                circuit.force(None, began)
            assert [circuit.admit(began) for _ in range(3)] == [0.0] * 3
            for _ in range(3):
                circuit.record(began + took, (began + took) - began, None)
            assert circuit.state == "closed"


def test_a_thread_with_an_older_time_is_told_to_wait() -> None:
    """Who looked at the clock before the cooling was over is not let through, though another already was."""
    circuit = opened(0.0)
    assert circuit.admit(30.25) == 0.0
    assert circuit.admit(29.75) == 0.25
    assert circuit.admit(30.0) == 0.0


# By hand.


def test_it_can_be_held_open_and_closed() -> None:
    """Held, it does as it was told whatever comes; let go, it probes what was shut out, and begins anew otherwise."""
    circuit = Breaker(**THREE).circuit("it")
    circuit.force("open", 0.0)
    assert (circuit.state, circuit.admit(1e9)) == ("held open", inf)
    circuit.record(1e9, 0.0, None)
    assert circuit.state == "held open"
    circuit.force("closed", 1e9)
    fail(circuit, 1e9, 50)
    assert circuit.state == "held closed"
    circuit.force(None, 2e9)
    assert circuit.state == "closed"
    fail(circuit, 2e9, 4)
    circuit.record(2e9, 1.0, "server")  # began while it was held
    assert circuit.state == "closed"
    circuit.force("open", 2e9)
    circuit.force(None, 3e9)
    assert circuit.state == "half-open"
    assert [circuit.admit(3e9) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("state", ["closed", "open", "half-open"])
def test_letting_go_of_what_was_not_held_does_nothing(state: str) -> None:
    """Back to automatic, for one that is: its state and all it has counted stay."""
    circuit = Breaker(**THREE).circuit("it") if state == "closed" else opened(0.0)
    if state == "closed":
        fail(circuit, 0.0, 4)
    elif state == "half-open":
        circuit.admit(30.0)
    before = repr(circuit)
    circuit.force(None, 31.0)
    assert (circuit.state, repr(circuit)) == (state, before)


def test_only_three_things_can_be_forced() -> None:
    """Anything else is refused, and changes nothing."""
    circuit = Breaker().circuit()
    with pytest.raises(ConfigError, match="not 'half-open'"):
        circuit.force("half-open", 0.0)  # type: ignore[arg-type]
    assert circuit.state == "closed"


# Being told.


def test_changes_are_told_when_the_circuit_can_be_used() -> None:
    """Each change comes once, with the old state and the new, and the listener may ask the circuit itself."""
    circuit = Breaker(**THREE).circuit("it")
    told: list[tuple[str, str, str]] = []
    circuit.changed = lambda old, new: told.append((old, new, repr(circuit)))
    fail(circuit, 0.0, 5)
    assert [circuit.admit(30.0) for _ in range(3)] == [0.0] * 3
    for _ in range(3):
        circuit.record(31.0, 1.0, None)
    for to in ("open", "open", None, "closed", "closed", None, None):
        circuit.force(to, 40.0)
    assert [each[:2] for each in told] == [
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
        ("closed", "held open"),
        ("held open", "half-open"),
        ("half-open", "held closed"),
        ("held closed", "closed"),
    ]
    assert told[0][2] == "<Circuit 'it' open: of 5 calls 5 failed and 0 were slow>"


def test_a_listener_that_raises_harms_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is logged by its type alone, and the call goes on."""

    def listener(old: str, new: str) -> None:
        raise RuntimeError("secret")

    circuit = Breaker(**THREE).circuit("it")
    circuit.changed = listener
    fail(circuit, 0.0, 5)
    assert circuit.admit(30.0) == 0.0
    assert circuit.state == "half-open"
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


# Threads.


def test_threads_share_a_circuit() -> None:
    """However many threads ask, exactly the permits there are get out, and no result is lost or counted twice."""
    threads, rounds = 8, 300
    circuit = Breaker(calls=100_000, minimum=100_000).circuit("it")
    probing = opened(0.0)
    barrier, permits = Barrier(threads), [0] * threads

    def work(me: int) -> None:
        barrier.wait()
        for n in range(rounds):
            permits[me] += probing.admit(30.0) == 0.0
            circuit.admit(1.0)
            circuit.record(1.0, 0.0, "server" if n % 3 == 0 else None)

    workers = [Thread(target=work, args=(me,)) for me in range(threads)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert sum(permits) == 3
    assert circuit.tally == (threads * rounds, threads * rounds // 3, 0)


def test_who_is_known_to_be_well_is_tried_before_the_cooling_ends() -> None:
    """`try_now` makes an open circuit half-open; one that is closed or held stays as it is."""
    circuit = Breaker(failure_threshold=1, recovery_timeout=30, half_open_max_calls=1).circuit("a")
    circuit.try_now(0.0)
    assert circuit.state == "closed"
    circuit.record(1.0, 0.5, "server")
    assert circuit.admit(2.0) == 29.0
    circuit.try_now(2.0)
    assert circuit.state == "half-open" and circuit.admit(2.0) == 0.0
    circuit.record(3.0, 0.5, None)
    assert circuit.state == "closed"
    circuit.force("open", 4.0)
    circuit.try_now(5.0)
    assert circuit.state == "held open"
