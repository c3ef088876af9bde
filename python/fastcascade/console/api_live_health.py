"""How regions, instances and breakers do: of this worker as it stands, of the others as the board has it.

The board is the text of /metrics: what other workers say there is up to half a second old.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.entry.pool import Pool
from fastcascade.gates.gate import Gate

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["elsewhere", "pools", "samples"]

LINE: Final = re.compile(r"([a-z_]+)(?:\{(.*)\})? ([-+.\deE]+|NaN|[+-]Inf)\Z")
LABEL: Final = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
FAMILIES: Final = frozenset({
    "fastcascade_breaker_open", "fastcascade_instance_usable", "fastcascade_upstream_up",
    "fastcascade_upstream_breaker_open", "fastcascade_reviews_overdue", "fastcascade_key_spent_usd",
    "fastcascade_key_budget_usd", "fastcascade_dropped_total", "fastcascade_in_flight",
})  # fmt: skip
KEYS: Final = {"fastcascade_key_spent_usd": "spent", "fastcascade_key_budget_usd": "budget"}
UNESCAPED: Final = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def pools(cascades: "Mapping[str, Cascade]") -> list[dict[str, Any]]:
    """Every pool of this worker once, with the cascades and tiers that ask it."""
    found: dict[int, dict[str, Any]] = {}
    for name, cascade in cascades.items():
        last = len(cascade.tiers)
        for place, tier in enumerate(cascade.rungs):
            for pool, what in _pools(tier.backend, tier.gate):
                held = found.setdefault(id(pool), {"pool": pool.name, "asked_by": [], "instances": _instances(pool)})
                used = {"cascade": name, "tier": tier.name, "what": what, "behind": place >= last}
                if used not in held["asked_by"]:
                    held["asked_by"].append(used)
    return list(found.values())


def _pools(backend: Any, gate: Any) -> Iterator[tuple[Pool, str]]:
    """The pool of a tier, and those its gate asks."""
    if isinstance(backend, Pool):
        yield backend, "answers"
    seen: list[Any] = [gate]
    for thing in seen:
        if isinstance(thing, Pool):
            yield thing, "judges"
        elif isinstance(thing, Gate | list | tuple):
            seen += vars(thing).values() if isinstance(thing, Gate) else thing


def _instances(pool: Pool) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "region": each.region,
            "priority": each.priority,
            "usable": each.usable,
            "breaker": each.circuit,
            "alive": each.alive,
            "left_out": each.ejected,
            "wait": each.wait,
            "under_way": each.outstanding,
            "seconds": each.latency,
        }
        for each in pool.look()
    ]


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """What the board says of the families that are looked at here."""
    for line in text.splitlines():
        if line.startswith("#") or line.partition("{")[0].partition(" ")[0] not in FAMILIES:
            continue
        if (found := LINE.match(line)) is not None:
            labels = {name: _plain(value) for name, value in LABEL.findall(found[2] or "")}
            yield found[1], labels, float(found[3])


def _plain(value: str) -> str:
    return re.sub(r"\\.", lambda found: UNESCAPED.get(found[0], found[0]), value)


def elsewhere(text: str) -> dict[str, Any]:
    """What the workers say of themselves: how many there are, and what any of them finds amiss."""
    workers: set[str] = set()
    open_: dict[str, int] = {}
    shut: dict[str, int] = {}
    said: dict[str, float] = {}
    keys: dict[tuple[str, str, str], dict[str, float]] = {}
    for name, labels, value in samples(text):
        if worker := labels.get("worker", ""):
            workers.add(worker)
        where = " / ".join(labels[each] for each in ("cascade", "pool", "tier", "instance") if labels.get(each))
        if name.endswith("breaker_open") and value > 0:
            open_[where] = open_.get(where, 0) + 1
        elif name in {"fastcascade_upstream_up", "fastcascade_instance_usable"} and value == 0:
            shut[where] = shut.get(where, 0) + 1
        elif name in KEYS:
            held = keys.setdefault((labels.get("key", ""), labels.get("period", ""), labels.get("kind", "")), {})
            held[KEYS[name]] = max(held.get(KEYS[name], 0.0), value)  # workers that share an account say the same
        elif name in {"fastcascade_dropped_total", "fastcascade_in_flight"}:
            said[name] = said.get(name, 0.0) + value
        elif name == "fastcascade_reviews_overdue":
            said[name] = max(said.get(name, 0.0), value)  # all see the same reviews
    return {
        "workers": len(workers),
        "breakers": open_,
        "shut": shut,
        "keys": [{"key": key, "period": period, "kind": kind, **held} for (key, period, kind), held in keys.items()],
        "dropped": said.get("fastcascade_dropped_total", 0.0),
        "in_flight": said.get("fastcascade_in_flight", 0.0),
        "overdue": said.get("fastcascade_reviews_overdue", 0.0),
    }
