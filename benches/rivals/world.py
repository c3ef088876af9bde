"""Requests, routes, tenants and cached answers of `whole.py`: one small world that every contender is filled with."""

import random
import re
from dataclasses import dataclass, field

from inputs import SEED, requests, table, word

EXACT = 500
SHARES = {"exact": 92, "prefix": 7, "regex": 1}
REGEXES = (
    r"^/v\d+/legacy/[a-z]+\d*$",
    r"^/[0-9a-f]{7,40}\.(?:patch|diff)$",
    r"^/~(?P<user>[a-z0-9-]{1,39})/feed\.(?:rss|atom)$",
    r"^/archive/\d{4}/\d{2}/\d{2}\.tar\.gz$",
    r"^/@[a-z0-9_]{1,15}/status/\d+$",
    r"^/i18n/[a-z]{2}(?:-[A-Z]{2})?/messages\.json$",
    r"^/sitemap-\d+\.xml$",
    r"^/wp-[a-z]+/",
)


@dataclass
class World:
    """`entries` cached answers of `tenants`, and requests of which `hit_share` find one of them."""

    tenants: int
    entries: int
    hit_share: float
    calls: int
    credentials: dict[str, str] = field(default_factory=dict)  # secret -> name
    exact: dict[str, str] = field(default_factory=dict)  # path -> target
    prefixes: dict[str, str] = field(default_factory=dict)  # literal directory -> target
    regexes: dict[str, str] = field(default_factory=dict)  # source -> target
    cached: dict[tuple[str, str], bytes] = field(default_factory=dict)  # (secret, path) -> answer
    args: list[tuple[str, str, str]] = field(default_factory=list)  # path, method, secret
    expect: list[tuple[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = random.Random(SEED)
        github = table("github")
        self.credentials = {f"sk-{rng.getrandbits(160):040x}": f"tenant-{i}" for i in range(self.tenants)}
        paths = [path for (path, method), _ in zip(*_github(github), strict=True) if method == "GET"]
        self.exact = {path: f"exact {i}" for i, path in enumerate(dict.fromkeys(paths[: 4 * EXACT]))}
        self.exact = dict(list(self.exact.items())[:EXACT])
        directories = sorted({path.split("{", 1)[0] for _, path in github.routes if "{" in path})
        self.prefixes = {directory: f"prefix {directory}" for directory in directories}
        self.regexes = {regex: f"regex {i}" for i, regex in enumerate(REGEXES)}
        self._requests(rng)

    def target(self, path: str) -> str:
        """What is right, by the plainest means."""
        if path in self.exact:
            return self.exact[path]
        longest = max((p for p in self.prefixes if path.startswith(p) and path != p), key=len, default=None)
        if longest is not None:
            return self.prefixes[longest]
        return next(target for regex, target in self.regexes.items() if re.search(regex, path))

    def _requests(self, rng: random.Random) -> None:
        secrets, exact = list(self.credentials), list(self.exact)
        prefixed = [p + "/".join(word(rng) for _ in range(rng.randint(1, 3))) for p in self.prefixes for _ in range(20)]
        prefixed = [path for path in prefixed if path not in self.exact]
        matched = [_example(regex, rng) for regex in REGEXES for _ in range(20)]
        pools = {"exact": exact, "prefix": prefixed, "regex": matched}
        targets = {path: self.target(path) for pool in pools.values() for path in pool}

        def draw() -> tuple[str, str]:
            (kind,) = rng.choices(list(SHARES), weights=list(SHARES.values()))
            return rng.choice(secrets), rng.choice(pools[kind])

        while len(self.cached) < self.entries:
            self.cached.setdefault(draw(), b"answer %d" % len(self.cached))
        known = list(self.cached)
        for _ in range(self.calls):
            if rng.random() < self.hit_share:
                secret, path = rng.choice(known)
                self.expect.append(("hit", self.cached[secret, path]))
            else:
                secret, path = draw()
                while (secret, path) in self.cached:
                    secret, path = draw()
                self.expect.append(("routed", targets[path]))
            self.args.append((path, "GET", secret))


def _github(github: object) -> tuple[tuple[tuple[str, str], ...], tuple[object, ...]]:
    drawn = requests(github, 0, each=20)  # type: ignore[arg-type]
    return drawn.args, drawn.expect


def _example(regex: str, rng: random.Random) -> str:
    """A path that this pattern, and no earlier one, matches."""
    number = rng.randint(10, 9_999)
    examples = {
        REGEXES[0]: f"/v{number % 9}/legacy/orders{number}",
        REGEXES[1]: f"/{rng.getrandbits(160):040x}.patch",
        REGEXES[2]: f"/~user-{number}/feed.atom",
        REGEXES[3]: f"/archive/20{number % 90 + 10}/0{number % 9 + 1}/11.tar.gz",
        REGEXES[4]: f"/@user_{number}/status/{rng.getrandbits(40)}",
        REGEXES[5]: f"/i18n/{'abcdefgh'[number % 8]}{'nopq'[number % 4]}/messages.json",
        REGEXES[6]: f"/sitemap-{number}.xml",
        REGEXES[7]: f"/wp-admin/{number}.php",
    }
    return examples[regex]
