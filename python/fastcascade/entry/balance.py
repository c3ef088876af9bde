"""Who is asked next, among instances that may all be asked.

    RoundRobin         in turn, each as often as its weight says
    LeastOutstanding   who has the fewest calls under way
    PowerOfTwo         of two drawn by chance, who will reply sooner (the default of a pool)
    ByPrefix           whoever was asked the same beginning before, so that its prompt cache is warm

A balancer holds no instances: it is told each time who may be asked, be it because others are out. Choosing does not
count the call as under way; `Instance.begin` does.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from math import exp, inf, log
from threading import Lock
from typing import Final, Protocol, TypeAlias
from zlib import crc32

from fastcascade.blocks import Image, Text
from fastcascade.entry.instance import DECAY, Instance
from fastcascade.errors import ConfigError
from fastcascade.messages import Request

__all__ = ["Balancer", "ByPrefix", "LeastOutstanding", "PowerOfTwo", "RoundRobin"]

SLOT_BITS: Final = 12
"""Prefixes fall into so many slots, as a power of two; a share is right to about 0.8 points of a hundred."""
GOLDEN: Final = 0x9E3779B1
"""2**32 over the golden ratio: what it multiplies is spread over the high bits."""
Order: TypeAlias = tuple[Instance, ...]


class Balancer(Protocol):
    """Chooses an instance."""

    def pick(self, instances: Sequence[Instance], request: Request | None, now: float, /) -> Instance:
        """One of these, of which there is at least one."""
        ...


class RoundRobin:
    """Each in its turn, as often as its weight says, and never many times on end.

    With each pick everyone who may be asked is owed its share of that pick, and whoever is owed most gets it. Who is
    out is owed nothing meanwhile, and so comes back without a rush. While the same ones may be asked, nobody is ever a
    whole pick ahead of its share, and at the end of each round (of whole weights) everyone has had exactly its own.
    """

    __slots__ = ("_lock", "_owed")

    def __init__(self) -> None:
        """Begin with nobody owed anything."""
        self._owed: dict[Instance, float] = {}
        self._lock = Lock()

    def pick(self, instances: Sequence[Instance], request: Request | None, now: float, /) -> Instance:  # noqa: ARG002
        """Whoever is owed most."""
        if len(instances) == 1:
            return instances[0]
        owed = self._owed
        chosen, most, total = instances[0], -inf, 0.0
        for each in instances:
            total += each.weight
        with self._lock:
            for each in instances:
                due = owed.get(each, 0.0) + each.weight / total
                owed[each] = due
                if due > most:
                    chosen, most = each, due
            owed[chosen] = most - 1.0
        return chosen

    def __repr__(self) -> str:
        """Show which it is."""
        return "RoundRobin()"


class LeastOutstanding:
    """Whoever has the fewest calls under way for its weight; among equals one drawn by weight.

    Args:
        random: gives numbers from 0 to 1; for tests.
    """

    __slots__ = ("_random",)

    def __init__(self, *, random: Callable[[], float] = random.random) -> None:
        """Keep where chance comes from."""
        self._random = random

    def pick(self, instances: Sequence[Instance], request: Request | None, now: float, /) -> Instance:  # noqa: ARG002
        """Whoever has the least to do."""
        chosen, least, tied = instances[0], inf, 0.0
        for each in instances:
            busy = each.outstanding / each.weight
            if busy < least:
                chosen, least, tied = each, busy, each.weight
            elif busy == least:
                tied += each.weight
                if self._random() * tied < each.weight:
                    chosen = each
        return chosen

    def __repr__(self) -> str:
        """Show which it is."""
        return "LeastOutstanding()"


class PowerOfTwo:
    """Draws two by weight, and takes the one that is expected to reply sooner.

    That is the recent latency, times the calls under way and one. Calls under way weigh less on an instance of more
    weight than the other. While nothing is heard of an idle instance its latency is believed less and less (a half
    after 7 seconds, a tenth after 23), so that a slow one gets a call now and then to show that it is well again.

    A newcomer is tried at once, with one call; more follow when that one is back. One whose first calls fail is taken
    to be as fast as the other, so that failing quickly earns it nothing.

    Args:
        random: gives numbers from 0 to 1; for tests.
    """

    __slots__ = ("_random",)

    def __init__(self, *, random: Callable[[], float] = random.random) -> None:
        """Keep where chance comes from."""
        self._random = random

    def pick(self, instances: Sequence[Instance], request: Request | None, now: float, /) -> Instance:  # noqa: ARG002
        """The better of two."""
        count = len(instances)
        if count == 1:
            return instances[0]
        first, second = (instances[0], instances[1]) if count == 2 else self._two(instances)
        one, other = _expected(first, now), _expected(second, now)
        if one is None or other is None:
            one = other = one or other or 0.0
        even = (first.weight + second.weight) / 2
        busy, bustle = first.outstanding / first.weight, second.outstanding / second.weight
        one *= 1.0 + busy * even
        other *= 1.0 + bustle * even
        if one == other:
            one, other = busy, bustle
        if one == other:  # the first of more has been drawn by weight already
            return first if count > 2 or self._random() * 2 * even < first.weight else second
        return first if one < other else second

    def _two(self, instances: Sequence[Instance]) -> tuple[Instance, Instance]:
        """Two of them, drawn by weight."""
        total = 0.0
        for each in instances:
            total += each.weight
        first = second = instances[0]
        point = self._random() * total
        for each in instances:
            first = each
            point -= each.weight
            if point < 0.0:
                break
        point = self._random() * (total - first.weight)
        for each in instances:
            if each is not first:
                second = each
                point -= each.weight
                if point < 0.0:
                    break
        return first, second

    def __repr__(self) -> str:
        """Show which it is."""
        return "PowerOfTwo()"


def _expected(instance: Instance, now: float) -> float | None:
    """The latency of a call: none of a newcomer, endless while its first call is out, None where nobody can tell."""
    if instance.measured == -inf:
        if instance.failures:
            return None
        return inf if instance.outstanding else 0.0
    if instance.outstanding:  # a call is under way, and will tell
        return instance.latency
    return instance.latency * exp(-max(0.0, now - instance.measured) / DECAY)


class ByPrefix:
    """The same beginning of a prompt goes to the same instance, where it is still in the prompt cache.

    What decides is the first part of the prompt: the system's text, the tools, and the first message of the user,
    `characters` of them in all. No later turn changes it, so that a conversation stays where it is as it grows.
    Instances are known by their names: all processes send the same prompt to the same one. When one is out only its
    own prompts move, and they come back with it.

    Args:
        characters: how much of the beginning is looked at. Where many users share a system text longer than this,
            all are sent to one instance, as far as `load` lets them.
        load: the most calls under way an instance may have, as a multiple of what it would have if all had their
            share; the next in line gets what is beyond. At 1 the load is even and caches are cold; `inf` is no bound.
    """

    __slots__ = ("_idle", "_lock", "_table", "characters", "load")

    def __init__(self, characters: int = 2000, load: float = 1.25) -> None:
        """Check the settings."""
        if characters < 1:
            msg = f"ByPrefix: characters must be at least 1, not {characters!r}"
            raise ConfigError(msg)
        if not load >= 1.0:
            msg = f"ByPrefix: load must be 1 or more, not {load!r}: somebody must be let take each call"
            raise ConfigError(msg)
        self.characters = characters
        self.load = load
        self._idle = LeastOutstanding()
        self._lock = Lock()
        self._table: tuple[dict[Instance, float], dict[int, Order]] = ({}, {})  # weights, and who is first by slot

    def pick(self, instances: Sequence[Instance], request: Request | None, now: float, /) -> Instance:
        """Whoever this prompt belongs to, if it has not too much to do."""
        if len(instances) == 1:
            return instances[0]
        if request is None:
            return self._idle.pick(instances, None, now)
        weights, orders = self._table
        calls, total = 1, 0.0
        for each in instances:
            if weights.get(each) != each.weight:
                weights, orders = self._met(instances)
            calls += each.outstanding
            total += each.weight
        slot = (_mark(request, self.characters) * GOLDEN & 0xFFFFFFFF) >> (32 - SLOT_BITS)
        order = orders.get(slot)
        if order is None:
            order = orders[slot] = _ordered(slot, weights)
        room = self.load * calls / total
        for each in order:
            if each.outstanding < room * each.weight and each in instances:
                return each
        return instances[0]  # calls have begun while we were looking

    def _met(self, instances: Sequence[Instance]) -> tuple[dict[Instance, float], dict[int, Order]]:
        """Take in instances not met before; those that are out now keep their place."""
        with self._lock:
            self._table = (self._table[0] | {each: each.weight for each in instances}, {})
            return self._table

    def __repr__(self) -> str:
        """Show the settings."""
        return f"ByPrefix(characters={self.characters}, load={self.load})"


def _mark(request: Request, left: int) -> int:
    """A number made of what stays the same while a conversation grows, of so many characters of it."""
    mark = 0
    for block in request.system:
        mark = crc32(block.text[:left].encode("utf-8", "surrogatepass"), mark)
        left = max(0, left - len(block.text))
    for tool in request.tools:
        text = f"{tool.name}\n{tool.description}"
        mark = crc32(text[:left].encode("utf-8", "surrogatepass"), mark)
        left = max(0, left - len(text))
    for message in request.messages if left else ():
        for part in message.content:
            text = part.text if type(part) is Text else part.url or part.data if type(part) is Image else ""
            mark = crc32(text[:left].encode("utf-8", "surrogatepass"), mark)
            left = max(0, left - len(text))
        if message.role == "user":
            break
    return mark


def _ordered(slot: int, weights: Mapping[Instance, float]) -> Order:
    """Who gets a slot, first to last: by weighted rendezvous, so that each decides for itself and none for others."""
    from hashlib import blake2b  # noqa: PLC0415 - needed once a slot

    def distance(instance: Instance) -> tuple[float, str]:
        drawn = int.from_bytes(blake2b(f"{slot}\0{instance.name}".encode(), digest_size=8).digest(), "big") >> 12
        return -log((drawn + 0.5) / 2**52) / weights[instance], instance.name

    return tuple(sorted(weights, key=distance))
