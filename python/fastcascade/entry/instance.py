"""One place where a backend can be asked, and what is known of how it does.

The state is shared by all requests, in all threads. Each part of it has one owner that changes it: the breaker's
circuit and the bulkhead's slots themselves, `Outliers` the ejections, `Health` what active checks found, and the
pool the rest. All of them are told the time.
"""

from collections.abc import Callable, Sequence
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import ReferenceType, WeakValueDictionary, ref

from fastcascade.backends.backend import Backend
from fastcascade.errors import ConfigError
from fastcascade.signals import Signal

if TYPE_CHECKING:
    from fastcascade.fallbacks.breaker import Circuit
    from fastcascade.fallbacks.bulkhead import Slots

__all__ = ["Instance", "instances_of"]

DECAY: Final = 10.0
"""Seconds after which a latency seen counts for a third of what it did."""


class Door:
    """When a backend may be called again, for all who call it: in whatever pool, under whichever tier or judge.

    `told` is called with the time whenever it is closed for longer, in the thread that does it; see shared/doors.py.
    """

    __slots__ = ("__weakref__", "_lock", "told", "until")

    def __init__(self) -> None:
        """Open."""
        self.until = -inf
        self.told: Callable[[float], object] | None = None
        self._lock = Lock()

    def close_until(self, when: float) -> None:
        """Let no call through before then. A later time than the one set counts; an earlier one changes nothing."""
        if self.hear(when) and (told := self.told) is not None:
            told(when)

    def hear(self, when: float) -> bool:
        """As `close_until`, of what others have told; whether it is closed for longer now."""
        with self._lock:
            longer = when > self.until
            if longer:
                self.until = when
        return longer


_doors: Final[dict[int, tuple[object, Door]]] = {}
_accounts: Final["WeakValueDictionary[bytes, Door]"] = WeakValueDictionary()


def door_of(backend: Backend) -> Door:
    """The one door of this backend: of all that ask the same model at the same place with the same key."""
    account: bytes | None = getattr(backend, "account", None)
    if account is not None:
        return _accounts.setdefault(account, Door())
    key = id(backend)
    known = _doors.get(key)
    if known is not None and _same(known[0], backend):
        return known[1]
    door = Door()
    try:
        held: object = ref(backend, lambda _gone: _doors.pop(key, None))
    except TypeError:  # it cannot be referred to weakly: then its door is its pool's alone
        return door
    _doors[key] = (held, door)
    return door


def _same(held: object, backend: Backend) -> bool:
    return isinstance(held, ReferenceType) and held() is backend


class Instance:
    """A backend in one region, under one key. Several make a `Pool`.

    Args:
        backend: who is asked there.
        name: what it is called in traces; the region and the key, or else the backend's name, by default.
        weight: its share of the traffic, beside the others of its priority.
        region: where it is. Instances of one region are taken to fail together.
        key: a name for the credential it uses, never the credential. Instances of one key share its rate limit
            upstream, so that after a 429 one with another key is asked.
        priority: 0 is asked first; others only where no instance of a lower number will do.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        name: str = "",
        weight: float = 1.0,
        region: str = "",
        key: str = "",
        priority: int = 0,
    ) -> None:
        """Check the settings."""
        if not weight > 0 or weight == inf:
            msg = f"instance {name or backend.name!r}: weight must be a number above zero, not {weight!r}"
            raise ConfigError(msg)
        if type(priority) is not int or priority < 0:
            msg = f"instance {name or backend.name!r}: priority must be a whole number, 0 or above, not {priority!r}"
            raise ConfigError(msg)
        self.backend = backend
        self.name = name or ":".join(part for part in (region, key) if part) or backend.name
        self.weight = weight
        self.region = region
        self.key = key
        self.priority = priority
        # What is known of it.
        self.circuit: Circuit | None = None
        self.slots: Slots | None = None
        self.outstanding = 0  # calls under way
        self.door = door_of(backend)  # closed where the provider has said not to call
        self.latency = 0.0  # recent seconds a call took, the last weighing most
        self.measured = -inf  # when
        self.alive = True  # as active checks found
        self.failures = 0  # one after another
        self.ejected_until = -inf
        self.ejections = 0
        self.pooled = False  # whether a pool has it
        self.down = Signal()  # given when it is found dead: calls under way are moved
        self._lock = Lock()
        self._acquire = self._lock.acquire  # half of what `with` costs, on every call
        self._release = self._lock.release

    def begin(self) -> None:
        """Count a call as under way."""
        self._acquire()
        self.outstanding += 1
        self._release()

    def end(self, now: float = 0.0, took: float | None = None) -> None:
        """Count a call as over; `took` is how long it took, where that says something of the instance."""
        self._acquire()
        self.outstanding -= 1
        if took is not None:
            self._measured(now, took)
        self._release()

    @property
    def closed_until(self) -> float:
        """The time before which its provider wants no call."""
        return self.door.until

    def close_until(self, when: float) -> None:
        """Let no call through before then, whoever makes it."""
        self.door.close_until(when)

    def measure(self, now: float, took: float) -> None:
        """Take note of how long a call took. A longer one than expected counts at once, a shorter one by and by."""
        with self._lock:
            self._measured(now, took)

    def _measured(self, now: float, took: float) -> None:
        if took >= self.latency or self.measured == -inf:
            self.latency = took
        else:
            old = DECAY / (DECAY + max(0.0, now - self.measured))
            self.latency = self.latency * old + took * (1.0 - old)
        self.measured = now

    def __repr__(self) -> str:
        """Show which it is."""
        return f"Instance({self.backend!r}, name={self.name!r}, weight={self.weight}, priority={self.priority})"


def instances_of(given: Sequence[Instance | Backend]) -> tuple[Instance, ...]:
    """Whom a pool is made of, each under a name of its own; who cannot be in one is refused."""
    for each in given:
        if not isinstance(each, Instance) and not hasattr(each, "complete"):
            msg = f"a pool is made of instances and backends; {each!r} is neither"
            raise ConfigError(msg)
    found = tuple(each if isinstance(each, Instance) else Instance(each) for each in given)
    for each in found:
        if each.pooled:
            msg = f"instance {each.name!r} is in another pool already; its state cannot be in two"
            raise ConfigError(msg)
        if hasattr(each.backend, "asking"):
            msg = (
                f"instance {each.name!r} is a pool itself; give its instances to this one, with a priority of their own"
            )
            raise ConfigError(msg)
    names = [each.name for each in found]
    for number, each in enumerate(found):
        if names.count(each.name) > 1:
            each.name = f"{each.name}:{number}"
    return found
