"""Active checks: each instance is asked again and again for a sign of life, at no cost, whether it has calls or not."""

import random
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from fastcascade.backends.backend import Backend
from fastcascade.effects import Check, Effect, Handle, Outcome, Sleep, Start, Wait
from fastcascade.entry.instance import Instance
from fastcascade.errors import BackendError, ConfigError, FailureKind
from fastcascade.signals import Signal

__all__ = ["Health"]

WITHIN: Final = 30.0
SIGNS: Final[frozenset[FailureKind]] = frozenset(
    {"rate_limited", "auth", "billing", "not_found", "bad_request", "conflict", "unsupported"}
)
"""Failures of a probe that only somebody alive can give."""
PORTS: Final = {"http": 80, "https": 443}
BEAT: Final = 60.0
"""Seconds in which the flow does something, be there nothing to do: whoever runs it sees that it runs."""
SOON: Final = 1e-6
LATENESS: Final = 0.25
"""The part of a probe's time by which this process may be late itself before its time-outs count for nothing."""
"""Seconds that count as none: a timer may be early by less than a clock can tell."""
Probe: TypeAlias = Callable[[], Coroutine[Any, Any, object]]
Watch: TypeAlias = Callable[[float], Generator[Effect, Outcome, None]]


class Health:
    """Probes each instance regularly: dead after some failed probes in a row, alive again after some good ones.

    A probe is the `probe` given; else the backend's own `probe()`, which lists models or the like and costs no tokens;
    else a connection to the host of its `base_url`, closed again at once, which only shows that the host is up. A
    backend with neither, such as a function, is taken to be alive. A probe fails by raising, by returning False, or by
    taking too long; but an answer that only somebody alive can give (a rate limit, a key refused, no such model) is a
    sign of life.

    An instance is known to be dead `within` seconds of its last breath, whenever that was. Its last good probe began
    before it died, so the next begins no more than `every` seconds after its death; it, and `after - 1` more that
    begin `every` seconds from one another, fail; the last takes up to `timeout` to do so:

        within = every + (after - 1) * every + timeout = after * every + timeout

    A `timeout` as long as `every` is the most patient there can be without probes overlapping, so by default both are
    `within / (after + 1)`: 7.5 seconds for 30, and half a second for 2. What the event loop is late comes on top, and
    what a probe takes to clean up when its time is over. A return is known within `back * every + timeout`.
    The first probe comes at a moment drawn by chance, so that not all processes probe at once.

    Args:
        within: seconds from a death until it is known; 30 by default.
        every: seconds from the beginning of a probe to that of the next.
        timeout: seconds a probe may take, at most `every`. Of these three any two give the third.
        after: failed probes in a row that show it dead.
        back: good probes in a row that show it alive again.
        probe: an async function from a backend to anything, instead of the backend's own.
        random: gives numbers from 0 to 1; for tests.
    """

    __slots__ = ("_random", "after", "back", "every", "probe", "timeout", "within")

    def __init__(
        self,
        within: float | None = None,
        *,
        every: float | None = None,
        timeout: float | None = None,
        after: int = 3,
        back: int = 2,
        probe: Callable[[Backend], Awaitable[object]] | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Work out what is not given, and check that it can be."""
        for name, count in (("after", after), ("back", back)):
            if count < 1:
                msg = f"Health: {name} must be at least 1, not {count!r}"
                raise ConfigError(msg)
        for name, seconds in (("within", within), ("every", every), ("timeout", timeout)):
            if seconds is not None and not 0.0 < seconds < inf:
                msg = f"Health: {name} must be a number of seconds above zero, not {seconds!r}"
                raise ConfigError(msg)
        self.every, self.timeout = _times(within, every, timeout, after)
        self.within = after * self.every + self.timeout
        self.after = after
        self.back = back
        self.probe = probe
        self._random = random

    def watching(
        self, instances: Sequence[Instance], changed: Callable[[Instance], object], until: Signal | None = None
    ) -> Watch:
        """The flow that watches these: to be spawned once, as it would else do everything twice.

        `changed` is called with an instance when it has died or is back, after its `alive` and `down` are set. The flow
        ends when the signal is given, and goes on for ever without one.
        """
        probes = [(each, self._probe_of(each.backend)) for each in instances]

        def watch(now: float) -> Generator[Effect, Outcome, None]:
            every = self.every
            watched = [_Watched(each, probe, every, now + every * self._random()) for each, probe in probes if probe]
            return self._watch(watched, instances, changed, until, now)

        return watch

    def _watch(
        self,
        watched: "list[_Watched]",
        instances: Sequence[Instance],
        changed: Callable[[Instance], object],
        until: Signal | None,
        now: float,
    ) -> Generator[Effect, Outcome, None]:
        while until is None or not until.given:
            for each in watched:
                if each.handle is None and each.due <= now + SOON:
                    check = Check(each.probe, (), "probe", self.timeout, inline=True)
                    each.begun((yield Start(check)).value, now, now + self.timeout)
            soonest = min((each.next for each in watched), default=inf)
            pause = min(max(0.0, soonest - now), BEAT)
            handles = tuple(each.handle for each in watched if each.handle is not None)
            planned, now = now + pause, (yield Wait(handles, pause, until) if handles else Sleep(pause, until)).ended
            # Where this very loop was held up, probes that ran out of time say nothing of those they went to.
            held_up = now - planned > self.timeout * LATENESS
            for each in watched:
                if self._judged(each, each.result(now, self.timeout, held_up=held_up), instances):
                    changed(each.instance)

    def _judged(self, watched: "_Watched", sound: bool | None, all_of_them: Sequence[Instance]) -> bool:  # noqa: FBT001
        """Take note of what a probe came to, if it came to anything; whether this changes what is thought of it."""
        instance = watched.instance
        if sound is None:
            return False
        watched.good = watched.good + 1 if sound else 0
        watched.bad = 0 if sound else watched.bad + 1
        if not instance.alive and watched.good >= self.back:
            instance.down = Signal()  # before anybody can take it for alive and hold on to the old one
            instance.alive = True
            return True
        if instance.alive and watched.bad >= self.after:
            instance.alive = False
            if any(each.alive for each in all_of_them):  # else there is nobody to move its calls to
                instance.down.give()
            return True
        return False

    def _probe_of(self, backend: Backend) -> Probe | None:
        if self.probe is not None:
            return partial(_run, partial(self.probe, backend))
        own: Callable[[], Awaitable[object]] | None = getattr(backend, "probe", None)
        if callable(own):
            return partial(_run, own)
        place = _place(backend)
        return partial(_reach, *place) if place is not None else None

    def __repr__(self) -> str:
        """Show the settings."""
        probe = "" if self.probe is None else f", probe={getattr(self.probe, '__name__', self.probe)}"
        return f"Health(every={self.every:g}, timeout={self.timeout:g}, after={self.after}, back={self.back}{probe})"


class _Watched:
    """An instance, and where its probes stand."""

    __slots__ = ("bad", "deadline", "due", "every", "good", "handle", "instance", "late", "probe")

    def __init__(self, instance: Instance, probe: Probe, every: float, due: float) -> None:
        self.instance = instance
        self.probe = probe
        self.every = every
        self.due = due  # when the next begins, if this one is gone
        self.deadline = inf  # when waiting for this one is over
        self.handle: Handle | None = None  # under way
        self.late = False  # beyond its time, and not gone yet
        self.good = 0  # in a row
        self.bad = 0

    @property
    def next(self) -> float:
        """When there is something to do about it."""
        return self.due if self.handle is None else self.deadline

    def begun(self, handle: Handle, now: float, deadline: float) -> None:
        """A probe is under way."""
        self.handle, self.deadline, self.due, self.late = handle, deadline, now + self.every, False

    def result(self, now: float, timeout: float, *, held_up: bool) -> bool | None:
        """Whether a probe showed it alive; None where there is nothing new, or nothing can be told."""
        if self.handle is None:
            return None
        outcome = self.handle.outcome
        if outcome is not None:
            self.handle = None
            timed_out = outcome.failure is not None and outcome.failure.kind == "timeout"
            overran = outcome.ended - outcome.started > timeout * (1.0 + LATENESS)
            return None if self.late or (timed_out and (held_up or overran)) else _shows_life(outcome)
        if now + SOON < self.deadline:
            return None
        if held_up:
            self.deadline = now + timeout * LATENESS
            return None
        # One that will not give way counts again and again, as those would that cannot begin.
        self.late = True
        self.deadline += self.every
        return False


def _times(within: float | None, every: float | None, timeout: float | None, after: int) -> tuple[float, float]:
    """`every` and `timeout`, such that `after * every + timeout` is `within`."""
    if every is None:
        within = WITHIN if within is None else within
        every = within / (after + 1) if timeout is None else (within - timeout) / after
    if timeout is None:
        timeout = every if within is None else min(every, within - after * every)
    elif within is not None and after * every + timeout > within + SOON:
        msg = f"Health: {after} probes every {every:g} s and {timeout:g} s for the last are not within {within:g} s"
        raise ConfigError(msg)
    if not 0.0 < timeout <= every + SOON:
        why = "probes would overlap, or have no time" if within is None else f"to be within {within:g} s is too little"
        msg = f"Health: a probe every {every:g} s cannot take up to {timeout:g} s: {why}"
        raise ConfigError(msg)
    return every, min(timeout, every)


def _shows_life(outcome: Outcome) -> bool:
    if outcome.failure is not None:
        return outcome.failure.kind in SIGNS
    return outcome.value is not False


def _place(backend: Backend) -> tuple[str, int] | None:
    """The host and the port a backend is at, where it says."""
    for name in ("base_url", "provider"):
        url = getattr(backend, name, None)
        if isinstance(url, str):
            with suppress(ValueError):  # what is no URL is no place
                parts = urlsplit(url)
                port = parts.port or PORTS.get(parts.scheme)
                if parts.hostname and port:
                    return parts.hostname, port
    return None


async def _run(probe: Callable[[], Awaitable[object]]) -> object:
    return await probe()


async def _reach(host: str, port: int) -> None:
    from asyncio import open_connection  # noqa: PLC0415 - importing the package must not load asyncio

    try:
        _, writer = await open_connection(host, port)
    except OSError as error:
        msg = f"no connection to {host}:{port}: {type(error).__name__}"
        raise BackendError("connection", msg) from error
    writer.transport.abort()
