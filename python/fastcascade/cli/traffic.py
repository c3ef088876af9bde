"""Requests made from a route table: seeded, so that the same seed asks the same things in the same order."""

import random
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal, TypeAlias

from fastcascade import Router
from fastcascade.cli.routefile import Line
from fastcascade.cli.sample import sample

__all__ = ["KINDS", "MIX", "Kind", "fill", "fresh", "mixed", "of_kind", "stray", "strays", "weighted"]

Kind: TypeAlias = Literal["exact", "prefix", "regex", "wildcard", "miss"]
KINDS: tuple[Kind, ...] = ("exact", "prefix", "regex", "wildcard", "miss")
MIX: dict[Kind, float] = {"exact": 0.92, "prefix": 0.07, "regex": 0.01}
WORDS = ("blue", "cotton", "desk", "garden", "lamp", "linen", "north", "oak", "paper", "quiet", "river", "wool")
TRIES = 8  # samples of one route that other routes may take before it is given up


def fill(template: str, rng: random.Random) -> str:
    """A concrete path of a template: each param a number, a hash or a slug, a tail of one to three segments."""
    path, at = [], 0
    while at < len(template):
        if template[at : at + 2] in ("{{", "}}"):
            path.append(template[at])
            at += 2
        elif template[at] == "{":
            end = template.index("}", at)
            tail = template.endswith("...", at, end)
            path.append("/".join(_value(rng) for _ in range(rng.randint(1, 3) if tail else 1)))
            at = end + 1
        else:
            path.append(template[at])
            at += 1
    return "".join(path)


def _value(rng: random.Random) -> str:
    form = rng.random()
    if form < 0.5:
        return str(rng.randrange(1, 10 ** rng.randint(2, 7)))
    if form < 0.75:
        return f"{rng.getrandbits(48):012x}"
    return f"{rng.choice(WORDS)}-{rng.choice(WORDS)}-{rng.randrange(100)}"


def of_kind(
    lines: Iterable[Line], kind: Kind, router: Router[Line], method: str, count: int, rng: random.Random
) -> tuple[list[str], int]:
    """About `count` paths, evenly over the routes, that this matcher answers; and how many routes gave none.

    A route gives none when others take all that was tried, or when no text of its pattern could be made.
    """
    candidates = [line for line in lines if line.kind == kind and (not line.methods or method in line.methods)]
    if kind == "exact":
        tries = [(line, 1) for line in candidates]
    else:
        tries = [(line, max(1, count // max(1, len(candidates)))) for line in candidates]
    paths: list[str] = []
    barren = 0
    for line, wanted in tries:
        before = len(paths)
        for _ in range(max(wanted, TRIES)):
            path = sample(line.regex, rng) if line.regex else fill(line.path, rng)
            found = router.match(path, method) if path is not None else None
            if path is not None and found is not None and found.by == kind and found.target is line:
                paths.append(path)
            if len(paths) - before == wanted:
                break
        barren += len(paths) == before
    return paths, barren


def stray(rng: random.Random, depth: int = 3) -> str:
    """A path that hardly any table knows."""
    return "".join(f"/{rng.choice(WORDS)}{rng.getrandbits(24):06x}" for _ in range(rng.randint(1, depth)))


def strays(router: Router[Line], method: str, kind: Kind, count: int, rng: random.Random) -> list[str]:
    """Paths that fall through to the wildcard, or (for `miss`) out of the table."""
    paths = []
    for _ in range(count * 2):
        path = stray(rng)
        found = router.match(path, method)
        if (found is None) if kind == "miss" else (found is not None and found.by == kind):
            paths.append(path)
        if len(paths) == count:
            break
    return paths


def weighted(count: int) -> list[float]:
    """Running weights by which the k-th most popular of `count` is asked for 1/k as often as the first."""
    return list(accumulate(1 / rank for rank in range(1, count + 1)))


def mixed(pools: dict[Kind, Sequence[str]], mix: dict[Kind, float], count: int, rng: random.Random) -> list[str]:
    """`count` paths in these proportions, evenly within each kind; kinds without paths leave theirs to the others."""
    kinds: list[Kind] = [kind for kind in mix if pools.get(kind)]
    picked: list[Kind] = rng.choices(kinds, [mix[kind] for kind in kinds], k=count) if kinds else []
    return [rng.choice(pools[kind]) for kind in picked]


def fresh(texts: Iterable[bytes]) -> list[str]:
    """New str objects, their hash not known yet: as a server gets them from the wire."""
    return [str(text, "utf-8") for text in texts]
