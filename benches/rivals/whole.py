"""The whole of the first three layers for one request: who asks, is it answered already, where does it go, may it pass.

Every contender does it in one order: identify by the credential; look the answer up, filed under identity and path; if
there is none, match the path (exact, longest prefix, first regex) and the method, and draw on the identity's bucket.
Path and credential are new str objects each time. The 92/7/1 mix of exact, prefix and regex holds for what is cached
and for what is not; half of the requests find their answer unless the title says otherwise.

What the rivals leave out, all in their favor: credentials are keys of a plain dict (fastcascade keeps keyed hashes, and
their expiry), nothing forgets clients but fastcascade and `limits`, no stale answers, no params of a prefix match.
"""

import re
import time
from collections.abc import Callable
from typing import Any

from cython_core import core
from fronts import TTL, Take, class_per_job, hand_inlined, installed, starlette, werkzeug
from harness import Contender, Inline, Job, timed
from ours import fastcascade
from rate_limits import BURST, RATE
from report import run
from world import World

SIZES = ((100, 1_000, 40_000), (10_000, 100_000, 100_000))


def limit(world: World) -> Inline:
    """Three reads and the clock, with the key of the answer made beforehand."""
    names = world.credentials
    answers = {names[secret] + path: answer for (secret, path), answer in world.cached.items()}
    buckets = dict.fromkeys(names.values(), 0.0)
    code = "buckets(names(b)); answers(a); now()"
    return Inline("answers(a)", code, names=names.get, answers=answers.get, buckets=buckets.get, now=time.monotonic)


def cython(world: World) -> Take:
    compiled = core()
    cache = compiled.Lru(world.entries, TTL)
    for (secret, path), answer in world.cached.items():
        cache.put(world.credentials[secret] + path, answer)
    tree = compiled.Tree([(prefix + "{rest...}", "GET", target) for prefix, target in world.prefixes.items()])
    patterns = compiled.Patterns([re.compile(regex) for regex in world.regexes])
    exact = {path: {"GET": target} for path, target in world.exact.items()}
    buckets = compiled.Buckets(RATE, BURST)
    return compiled.Front(world.credentials, cache, exact, tree, patterns, list(world.regexes.values()), buckets).take


def ours(world: World) -> Take:
    package = fastcascade()
    routes = [package.Route(path, target, methods=("GET",)) for path, target in world.exact.items()]
    routes += [package.Route(p + "{rest...}", target, methods=("GET",)) for p, target in world.prefixes.items()]
    routes += [package.Route(re.compile(regex), target, methods=("GET",)) for regex, target in world.regexes.items()]
    keys = package.KeyRing()
    for secret, name in world.credentials.items():
        keys.add(secret, name)
    cache = package.Cache(max_items=world.entries, ttl=TTL, stale_for=60.0)
    limiter = package.RateLimiter(package.Quota(RATE, burst=BURST))
    fast = package.FastPath(package.Router(routes), cache, keys, limiter)
    for (secret, path), answer in world.cached.items():
        cache.put(fast.take(path, "GET", secret).key, answer)
    return fast.take


def _read(found: Any) -> Any:
    """A rival's result: an answer with something before it, or a target with its key."""
    if isinstance(found, tuple) and isinstance(found[1], bytes):
        return "hit", found[1]
    return ("routed", found[0]) if isinstance(found, tuple) else found


def _read_ours(found: Any) -> Any:
    return ("hit", found.value) if hasattr(found, "value") else ("routed", found.target)


def _read_cython(found: Any) -> Any:
    return found[:2]


def _ours_and_read(world: World) -> Inline:
    code = "r = take(a, b, c)\n        r.value if r.__class__ is Hit else r.target"
    return Inline("take(a, b, c)", code, take=ours(world), Hit=fastcascade().Hit)


def contenders(world: World) -> list[Contender]:
    def row(
        name: str, setup: Callable[[World], Any], package: str | None = None, note: str = "", **more: Any
    ) -> Contender:
        return Contender(name, lambda: setup(world), package=package, note=note, **{"answer": _read, **more})

    def key_beforehand(path: str, method: str, credential: str) -> tuple[str, str]:
        return world.credentials[credential] + path, credential

    return [
        row(
            "3 x dict.get + time.monotonic",
            limit,
            None,
            "key made beforehand; no routes, nothing written",
            role="limit",
            convert=key_beforehand,
            same=lambda *_: True,
        ),  # it decides nothing that could be wrong
        row("fastcascade FastPath.take", ours, "fastcascade", role="ours", answer=_read_ours),
        row("fastcascade take, result read", _ours_and_read, "fastcascade", answer=_read_ours),
        row("cython, one call", cython, "Cython", answer=_read_cython),
        row("hand-inlined Python", hand_inlined, "cachebox", "cachebox + datrie + re + GCRA dict"),
        row("Python, a class to a job", class_per_job, "cachebox", "the same parts"),
        row("limits + cachetools + werkzeug", lambda w: installed(w, werkzeug), "Werkzeug", settle=0.1),
        row(
            "limits + cachetools + starlette",
            lambda w: installed(w, starlette),
            "starlette",
            "matching alone",
            settle=0.1,
        ),
    ]


def main(quick: bool) -> dict[str, Any]:
    """Both sizes: half hits with percentiles, then all hits and none."""
    tables = {}
    for tenants, entries, calls in SIZES:
        for share in (0.5, 1.0, 0.0):
            world = World(tenants, entries, share, 4_000 if quick else calls)
            job = Job("whole", world.args, world.expect, (True, False, True), percentiles=share == 0.5)
            size = f"{tenants:,} tenants, {entries:,} cached answers, {len(world.exact)} exact routes"
            title = f"whole: {size}, {share:.0%} hits"
            tables[title] = timed(title, contenders(world), job, quick)
    return tables


if __name__ == "__main__":
    run(main, __doc__)
