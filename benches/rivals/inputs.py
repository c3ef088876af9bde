"""The inputs that all contenders share: real route tables, patterns and traces; every random choice is seeded."""

import os
import random
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve()
SEED = 20_261_121


@cache
def data() -> Path:
    """The folder of public data: `FASTCASCADE_DATA`, or one of the places a checkout keeps it in."""
    root = _HERE.parents[2]
    named = os.environ.get("FASTCASCADE_DATA")
    places = (
        [Path(named)]
        if named
        else [root / "tests/data", root / "benches/data", root / "data", root.parent / "shared/data"]
    )
    for place in places:
        if (place / "routes").is_dir():
            return place
    raise SystemExit("no data folder: set FASTCASCADE_DATA to the folder that holds routes/, regex/ and traces/")


@dataclass(frozen=True)
class Table:
    """A route table that every contender can hold: whole-segment parameters, one name per place in the tree."""

    name: str
    routes: tuple[tuple[str, str], ...]
    dropped: int
    renamed: int

    @property
    def by_path(self) -> dict[str, list[str]]:
        """The methods of each path template."""
        paths: dict[str, list[str]] = {}
        for method, path in self.routes:
            paths.setdefault(path, []).append(method)
        return paths


def shape(path: str) -> str:
    """A template without its parameters' names: what decides which requests it takes."""
    return re.sub(r"\{[^}]*\}", "{}", path)


@cache
def table(name: str) -> Table:
    """A route table from the data folder.

    Some contenders refuse two names for one parameter place (`/a/{x}` beside `/a/{y}/b`), so for all of them the first
    name wins; routes with two parameters in a segment, and routes that differ from another in names alone, are dropped.
    """
    lines = (data() / "routes" / f"{name}.txt").read_text().split("\n")
    pairs = [tuple(line.split()) for line in lines if line.strip()]
    names: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    kept, dropped, renamed = [], 0, 0
    for method, path in pairs:
        segments = path.split("/")
        mixed = any("{" in s and not re.fullmatch(r"\{[^{}]+\}", s) for s in segments)
        if mixed or (method, shape(path)) in seen:
            dropped += 1
            continue
        seen.add((method, shape(path)))
        new = _renamed(segments, names)
        renamed += new != path
        kept.append((method, new))
    return Table(name, tuple(kept), dropped, renamed)


def _renamed(segments: Sequence[str], names: dict[str, str]) -> str:
    out: list[str] = []
    taken: set[str] = set()
    for segment in segments:
        if segment.startswith("{"):
            place = shape("/".join(out))
            name = names.setdefault(place, re.sub(r"\W", "_", segment[1:-1]))
            while name in taken:  # the name another route gave this place is used earlier in this path
                name += "_"
            taken.add(name)
            out.append("{" + name + "}")
        else:
            out.append(segment)
    return "/".join(out)


def word(rng: random.Random, low: int = 1, high: int = 20) -> str:
    """A random segment: no literal of the tables looks like it."""
    return "".join(rng.choices(string.ascii_lowercase + string.digits, k=rng.randint(low, high))) + "9z"


@dataclass(frozen=True)
class Requests:
    """Concrete requests of a table, shuffled: (path, method), and the template and parameters each must give."""

    args: tuple[tuple[str, str], ...]
    expect: tuple[tuple[str, dict[str, str]], ...]


def requests(source: Table, count: int, each: int = 2, seed: int = SEED) -> Requests:
    """`count` requests in random order, drawn from `each` per route with parameters of their own.

    Few enough paths that a dict of them stays in the cache; random order, so that no predictor learns the sequence.
    """
    rng = random.Random(seed)
    pool = []
    for method, template in source.routes * each:
        params = {part[1:-1]: word(rng) for part in template.split("/") if part.startswith("{")}
        path = "/".join(params[part[1:-1]] if part.startswith("{") else part for part in template.split("/"))
        pool.append(((path, method), (template, params)))
    made = rng.sample(pool, len(pool)) + rng.choices(pool, k=max(0, count - len(pool)))
    return Requests(tuple(args for args, _ in made), tuple(expect for _, expect in made))


def prefixes(names: Sequence[str] = ("github", "github_rest", "kubernetes", "gcp_compute")) -> list[str]:
    """The literal directory in front of the first parameter (or of the last segment) of every real route."""
    found = set()
    for name in names:
        for _, path in table(name).routes:
            literal = path.split("{", 1)[0]
            found.add(literal[: literal.rfind("/") + 1])
    return sorted(found - {"/"})


@cache
def patterns() -> tuple[tuple[str, bool], ...]:
    """The browser, system and device patterns of uap-core in their order: regex, and whether case is ignored."""
    rows = []
    for part in ("ua", "os", "device"):
        for line in (data() / "regex" / f"uap_{part}.tsv").read_text().split("\n"):
            if line and not line.startswith("#"):
                flag, regex = line.split("\t", 1)
                rows.append((regex, flag == "i"))
    return tuple(rows)


@cache
def user_agents() -> tuple[str, ...]:
    """5,000 test user agents of uap-core."""
    return tuple(line for line in (data() / "regex" / "uap_user_agents.txt").read_text().split("\n") if line)


TRACES = (
    "cache2k_web07",
    "cache2k_web12",
    "cache2k_ormbusy",
    "cloudphysics_w106",
    "scarab_recs",
    "lirs_multi3",
    "lirs_sprite",
    "lirs_loop",
)


def trace(name: str) -> list[int]:
    """The keys of a cache trace, in order of access."""
    import numpy as np

    with np.load(data() / "traces" / f"{name}.npz") as file:
        return file["keys"].tolist()
