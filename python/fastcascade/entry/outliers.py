"""Instances that keep failing are left out for a while, as told by the calls themselves."""

from collections.abc import Sequence
from math import ceil, inf
from threading import Lock
from typing import Final

from fastcascade.entry.instance import Instance
from fastcascade.errors import ConfigError

__all__ = ["Outliers"]

ROUNDING: Final = 1e-9


class Outliers:
    """Leaves out an instance that fails `consecutive` times on end. It comes back by itself.

    It is left out for `ejection` seconds times the number of its ejections, at most `longest`. In service each
    `ejection` seconds that end with a reply make up for one of them. What an instance does while it is left out counts
    for nothing: those calls began before.

    If half of all fail, the instances are hardly to blame. So no more than the share `most` of an instance's peers is
    out at once, the dead (see `Health`) among them; one may always go, and one always stays. And when fewer than the
    share `panic` is in, because some have died since, those that were left out are asked again. The dead are not: they
    would hold up each request until its time is over. That is left to whoever has nobody else to ask.

    Args:
        consecutive: failures on end, with no reply among them, that it takes.
        ejection: seconds, the first time.
        longest: seconds, at most.
        most: the share of its peers that may be out at once.
        panic: the share of healthy peers below which nobody is left out; 0 leaves out in any case.
    """

    __slots__ = ("_lock", "_times", "consecutive", "ejection", "longest", "most", "panic")

    def __init__(
        self,
        consecutive: int = 5,
        ejection: float = 10.0,
        longest: float = 300.0,
        most: float = 0.5,
        panic: float = 0.5,
    ) -> None:
        """Check the settings."""
        self.consecutive = consecutive
        self.ejection = ejection
        self.longest = longest
        self.most = most
        self.panic = panic
        self._lock = Lock()
        for name, good, must in (
            ("consecutive", consecutive >= 1, "at least 1"),
            ("ejection", 0.0 < ejection < inf, "a number of seconds above zero"),
            ("longest", ejection <= longest < inf, "as long as `ejection`, or longer"),
            ("most", 0.0 < most <= 1.0, "a share above 0, up to 1; Pool(outliers=None) leaves nobody out"),
            ("panic", 0.0 <= panic <= 1.0, "a share from 0 to 1"),
        ):
            if not good:
                msg = f"Outliers: {name} must be {must}, not {getattr(self, name)!r}"
                raise ConfigError(msg)
        self._times = ceil(longest / ejection)  # more would take longer to make up for, and change nothing

    def note(self, instance: Instance, peers: Sequence[Instance], now: float, *, ok: bool) -> bool:
        """Take note of how a call ended; whether the instance has just been left out for it.

        `peers` are the instances of its priority, with itself. Failures that are none of its doing, such as a request
        that nobody could answer, are not to be noted.
        """
        if ok:
            if instance.failures or instance.ejections:
                self._forgive(instance, now)
            return False
        with self._lock:
            if instance.ejected_until > now or not instance.alive:
                return False
            instance.failures += 1
            if instance.failures < self.consecutive or not self._may_go(instance, peers, now):
                return False
            instance.failures = 0
            instance.ejections = min(instance.ejections + 1, self._times)
            instance.ejected_until = now + min(self.longest, self.ejection * instance.ejections)
            return True

    def standing(self, group: Sequence[Instance], now: float) -> Sequence[Instance]:
        """Who of a group (instances of one priority) may be asked. Nobody, where all of them are dead."""
        for each in group:
            if not each.alive or each.ejected_until > now:
                break
        else:
            return group
        healthy = [each for each in group if each.alive and each.ejected_until <= now]
        if len(healthy) + ROUNDING >= self.panic * len(group):
            return healthy
        return [each for each in group if each.alive]

    def _may_go(self, instance: Instance, peers: Sequence[Instance], now: float) -> bool:
        out = 1
        for each in peers:
            if each is not instance and (not each.alive or each.ejected_until > now):
                out += 1
        return out < len(peers) and out <= max(1.0, self.most * len(peers) + ROUNDING)

    def _forgive(self, instance: Instance, now: float) -> None:
        """Make up for ejections by the time in service since the last, or since one was last made up for."""
        with self._lock:
            instance.failures = 0
            times = int((now - instance.ejected_until) / self.ejection) if instance.ejections else 0
            if times > 0:
                instance.ejections = max(0, instance.ejections - times)
                instance.ejected_until = min(now, instance.ejected_until + times * self.ejection)

    def __repr__(self) -> str:
        """Show the settings."""
        return (
            f"Outliers(consecutive={self.consecutive}, ejection={self.ejection}, longest={self.longest}, "
            f"most={self.most}, panic={self.panic})"
        )
