"""The traces of the CDN scenario: their keys, the edge each request comes to, what is asked when.

A trace does not say who asked, so the edge is drawn at random for each request.
"""

import random
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "rivals"))

from inputs import SEED, TRACES, trace

__all__ = ["MADE", "TRACES", "Trace", "queues", "warming"]

MADE: Final = "zipf"
"""A trace that is made up, to see that all runs where there are no real ones."""


class Trace:
    """The keys of a trace, and the edge that each request comes to."""

    def __init__(self, name: str, edges: int, most: int | None = None) -> None:
        self.name, self.edges = name, edges
        self.keys = made()[:most] if name == MADE else trace(name)[:most]
        self.at = bytes(random.Random(SEED).choices(range(edges), k=len(self.keys)))
        self.distinct = len(set(self.keys))

    def __len__(self) -> int:
        return len(self.keys)

    def items(self, share: float) -> int:
        """So many keys as this share of them is."""
        return max(1, round(share * self.distinct))


def warming(of: Trace, since: int) -> list[list[int]]:
    """For each edge, what to ask it for so that an LRU of any size is as though all before the window had been asked.

    Every key that it was asked for once, in the order of last use.
    """
    orders: list[dict[int, None]] = [{} for _ in range(of.edges)]
    for key, at in zip(of.keys[:since], of.at, strict=False):
        order = orders[at]
        order.pop(key, None)
        order[key] = None
    return [list(order) for order in orders]


def queues(of: Trace, since: int, until: int) -> list[list[int]]:
    """For each edge, what it is asked for in the window."""
    found: list[list[int]] = [[] for _ in range(of.edges)]
    for key, at in zip(of.keys[since:until], of.at[since:until], strict=True):
        found[at].append(key)
    return found


def made() -> list[int]:
    """Requests for 2,000 keys by Zipf's law, as if drawn from nobody's traffic."""
    keys = range(2_000)
    return random.Random(SEED + 1).choices(keys, [1 / (key + 1) for key in keys], k=20_000)
