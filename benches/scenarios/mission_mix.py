"""The mission's mix over a real route table: 92 % exact paths, 7 % prefixes, 1 % patterns; the same for all.

Routes are by path alone, so that each server can have them in its own best way: exact ones in a hash, then the longest
prefix, then patterns in their order. All that is drawn is seeded.
"""

import json
import random
import re
from dataclasses import dataclass
from typing import Final

from fastcascade.cli.builtin import TEXT
from fastcascade.cli.sample import sample
from fastcascade.cli.traffic import fill
from inputs import SEED, table
from world import REGEXES

EXACT: Final = 500
SHARES: Final = {"exact": 92, "prefix": 7, "regex": 1}
ASKED: Final = 4_000  # requests, which are sent in turn
PAGE: Final = ("A page of two kilobytes, which is the same for all routes. " * 40)[:2048]
SHOWN: Final = "x-route"  # the header of each answer that says which route gave it


@dataclass(frozen=True)
class Mix:
    """Routes by what they take, each with the name that its answers show, and requests with the name that is right."""

    source: str
    exact: dict[str, str]
    prefix: dict[str, str]
    regex: dict[str, str]
    asked: tuple[tuple[str, str], ...]

    @property
    def routes(self) -> int:
        """How many there are."""
        return len(self.exact) + len(self.prefix) + len(self.regex)

    @property
    def shares(self) -> dict[str, float]:
        """Of the requests, by kind."""
        kinds = [name.split()[0] for _, name in self.asked]
        return {kind: kinds.count(kind) / len(kinds) for kind in SHARES}

    def right(self, path: str) -> str:
        """The route of a path, by the plainest means."""
        return _right(path, self.exact, self.prefix, self.regex)


def _right(path: str, exact: dict[str, str], prefix: dict[str, str], regex: dict[str, str]) -> str:
    if path in exact:
        return exact[path]
    longest = max((each for each in prefix if path.startswith(each) and path != each), key=len, default=None)
    if longest is not None:
        return prefix[longest]
    return next((name for each, name in regex.items() if re.search(each, path)), "")


def mix(exact: int = EXACT, asked: int = ASKED) -> Mix:
    """The same each time: the GitHub API's routes, or where they are not there those that `fastcascade bench` has."""
    rng = random.Random(SEED)
    source, templates = _templates()
    paths = dict.fromkeys(each for each in templates if "{" not in each)
    while len(paths) < exact:
        paths[fill(rng.choice(templates), rng)] = None
    exacts = {path: f"exact {number}" for number, path in enumerate(list(paths)[:exact])}
    folders = sorted({each.split("{", 1)[0] for each in templates if "{" in each} - {"/"})
    prefix = {folder: f"prefix {number}" for number, folder in enumerate(folders) if folder.endswith("/")}
    regex = {each: f"regex {number}" for number, each in enumerate(REGEXES)}
    drawn = {
        "exact": list(exacts),
        "prefix": [folder + fill("{a}/{b}", rng) for folder in prefix for _ in range(5)],
        "regex": [str(sample(re.compile(each), rng)) for each in regex for _ in range(20)],
    }
    known = {
        kind: [(path, name) for path in each if (name := _right(path, exacts, prefix, regex)).startswith(kind)]
        for kind, each in drawn.items()
    }
    kinds = rng.choices(list(SHARES), weights=list(SHARES.values()), k=asked)
    # Each route is asked once at least by who checks; what loads draws by the shares.
    return Mix(source, exacts, prefix, regex, tuple(rng.choice(known[kind]) for kind in kinds))


def _templates() -> tuple[str, list[str]]:
    try:
        return "GitHub", sorted({path for method, path in table("github").routes if method == "GET"})
    except SystemExit:  # the public data is not there
        lines = (line.split() for line in TEXT.splitlines() if line and not line.startswith("#"))
        found = {
            each[-1] for each in lines if len(each) == 2 and each[1].startswith("/") and "GET" in each[0].split(",")
        }
        return "built-in", sorted(found)


def to_check(mix: Mix) -> list[tuple[str, str]]:
    """Requests that show that a server routes alike: each exact route, and all other requests that are drawn."""
    return sorted({*mix.exact.items(), *mix.asked})


def lua(mix: Mix) -> str:
    """For wrk: GETs whose bytes are made before the first is sent; figures as JSON at the end."""
    rows = "\n".join(f"  {json.dumps(path)}," for path, _ in mix.asked)
    return f"""local asked = {{
{rows}
}}
local ready, nth = {{}}, 0
function init(args)
  for i, path in ipairs(asked) do ready[i] = wrk.format("GET", path) end
end
function request()
  nth = nth % #ready + 1
  return ready[nth]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nFIGURES {{"requests": %d, "seconds": %.6f, "p50": %.4f, "p99": %.4f, "p99.9": %.4f, "failed": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
"""
