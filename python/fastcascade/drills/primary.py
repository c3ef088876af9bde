"""Who is meant by the primary."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from fastcascade.backends.backend import Backend

__all__ = ["Spot", "chosen", "is_local"]


class Spot(Protocol):
    """One place where a backend is asked: an instance of a pool, or a backend in none."""

    @property
    def tier(self) -> str:
        """The tier that asks it."""
        ...

    @property
    def group(self) -> Any:
        """What it has in common with the other instances of its pool."""
        ...

    @property
    def priority(self) -> int:
        """As its instance has it."""
        ...

    @property
    def region(self) -> str:
        """As its instance has it."""
        ...

    @property
    def local(self) -> bool:
        """Whether it needs no network."""
        ...


S = TypeVar("S", bound=Spot)


def chosen(spots: Sequence[S], whom: str, tiers: Sequence[str]) -> list[S]:
    """Who is struck: everybody but what is local, or the primary of the first of these tiers that asks anybody.

    Instances of one region are taken to fail together, so that those of other tiers go with it.
    """
    away = [each for each in spots if not each.local]
    if whom == "everybody":
        return away
    group = next((each.group for name in tiers for each in away if each.tier == name), None)
    primary = _first([each for each in away if each.group is group])
    regions = {each.region for each in primary if each.region}
    return [each for each in away if any(each is one for one in primary) or each.region in regions]


def _first(spots: list[S]) -> list[S]:
    """Those of the first priority if there are others, else those of the first region if there are others, else one."""
    first = [each for each in spots if each.priority == min(one.priority for one in spots)]
    if len(first) < len(spots):
        return first
    near = [each for each in first if each.region and each.region == first[0].region]
    return near if 0 < len(near) < len(first) else first[:1]


def is_local(backend: Backend) -> bool:
    """Whether it works without anybody else, as rules do."""
    return hasattr(backend, "answer") and bool(getattr(backend, "free", False))
