"""Whether the worker can answer: that is not whether it lives, which it shows by saying anything at all."""

import json
from collections.abc import Mapping
from typing import Any

from fastcascade.cascade import Cascade
from fastcascade.entry.pool import Pool

__all__ = ["report", "usable"]


def usable(cascade: Cascade, now: float | None = None) -> bool:
    """Whether some tier could be asked now: a backend that is no pool always could."""
    return any(_open(tier.backend, now) for tier in cascade.tiers)


def _open(backend: Any, now: float | None) -> bool:
    return not isinstance(backend, Pool) or any(each.usable for each in backend.look(now))


def report(cascades: Mapping[str, Cascade], *, draining: bool, now: float | None = None) -> tuple[int, bytes]:
    """The status and the body of /readyz: ready while at least one cascade has somebody to ask."""
    shut = [name for name, cascade in cascades.items() if not usable(cascade, now)]
    if draining:
        ready, why = False, "draining"
    elif cascades and len(shut) == len(cascades):
        ready, why = False, "no tier can be asked"
    else:
        ready, why = True, ""
    said: dict[str, Any] = {"ready": ready}
    if why:
        said["why"] = why
    if shut:
        said["shut"] = shut
    return (200 if ready else 503), json.dumps(said).encode() + b"\n"
