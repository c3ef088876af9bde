"""What people write and install for the whole of the first layers: the rivals that `whole.py` times."""

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from rate_limits import BURST, RATE
from world import World

TTL = 3_600.0
Take = Callable[[str, str, str], Any]


def hand_inlined(world: World) -> Take:
    """All in one function over cachebox, datrie, re and a dict of GCRA times; answers carry their expiry."""
    import string

    import cachebox
    import datrie

    now = time.monotonic
    trie = datrie.Trie(string.printable)
    for prefix, target in world.prefixes.items():
        trie[prefix] = {"GET": target}
    cache = cachebox.LRUCache(world.entries)
    for (secret, path), answer in world.cached.items():
        cache.insert(world.credentials[secret] + path, (now() + TTL, answer))
    whose, answer_of, longest = dict(world.credentials).get, cache.get, trie.longest_prefix_value
    exact = {path: {"GET": target} for path, target in world.exact.items()}.get
    regexes = [(re.compile(regex).search, {"GET": target}) for regex, target in world.regexes.items()]
    full_at: dict[str, float] = {}
    full_at_of, step, span = full_at.get, 1.0 / RATE, BURST / RATE

    def take(path: str, method: str, credential: str) -> Any:
        who = whose(credential)
        if who is None:
            return 401
        key = who + path
        time_ = now()
        if method == "GET":
            found = answer_of(key)
            if found is not None and found[0] > time_:
                return found
        methods = exact(path)
        if methods is None:
            methods = longest(path, None)
            if methods is None:
                for search, methods in regexes:  # noqa: B007 - read after the loop
                    if search(path):
                        break
                else:
                    return 404
        target = methods.get(method)
        if target is None:
            return 405
        at = full_at_of(who, 0.0)
        if at < time_:
            at = time_
        at += step
        if at - time_ > span:
            return 429
        full_at[who] = at
        return target, key

    return take


class _Ring:
    def __init__(self, credentials: dict[str, str]) -> None:
        self._names = dict(credentials)

    def identify(self, credential: str) -> str | None:
        return self._names.get(credential)


class _Answers:
    def __init__(self, size: int) -> None:
        import cachebox

        self._cache = cachebox.LRUCache(size)

    def get(self, key: str) -> bytes | None:
        found = self._cache.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def put(self, key: str, answer: bytes) -> None:
        self._cache.insert(key, (time.monotonic() + TTL, answer))


class _Routes:
    def __init__(self, world: World) -> None:
        import string

        import datrie

        self._exact = {path: {"GET": target} for path, target in world.exact.items()}
        self._prefixes = datrie.Trie(string.printable)
        for prefix, target in world.prefixes.items():
            self._prefixes[prefix] = {"GET": target}
        self._regexes = [(re.compile(regex), {"GET": target}) for regex, target in world.regexes.items()]

    def match(self, path: str) -> dict[str, str] | None:
        found = self._exact.get(path) or self._prefixes.longest_prefix_value(path, None)
        if found is None:
            for regex, methods in self._regexes:
                if regex.search(path):
                    return methods
        return found


class _Buckets:
    def __init__(self, rate: float, burst: float) -> None:
        self._full_at: dict[str, float] = {}
        self._step, self._span = 1.0 / rate, burst / rate

    def admit(self, client: str) -> bool:
        now = time.monotonic()
        at = max(self._full_at.get(client, 0.0), now) + self._step
        if at - now > self._span:
            return False
        self._full_at[client] = at
        return True


class _Front:
    """A class to a job, put together."""

    def __init__(self, ring: _Ring, answers: _Answers, routes: _Routes, buckets: _Buckets) -> None:
        self.ring, self.answers, self.routes, self.buckets = ring, answers, routes, buckets

    def take(self, path: str, method: str, credential: str) -> Any:
        who = self.ring.identify(credential)
        if who is None:
            return 401
        key = who + path
        if method == "GET":
            answer = self.answers.get(key)
            if answer is not None:
                return None, answer
        methods = self.routes.match(path)
        if methods is None:
            return 404
        target = methods.get(method)
        if target is None:
            return 405
        if not self.buckets.admit(who):
            return 429
        return target, key


def class_per_job(world: World) -> Take:
    answers = _Answers(world.entries)
    for (secret, path), answer in world.cached.items():
        answers.put(world.credentials[secret] + path, answer)
    return _Front(_Ring(world.credentials), answers, _Routes(world), _Buckets(RATE, BURST)).take


def installed(world: World, matcher: Callable[[World], Callable[[str, str], str | int]]) -> Take:
    """What one puts together from what can be installed: cachetools behind a lock, `limits`, a framework's router."""
    import cachetools
    from limits import RateLimitItemPerSecond, storage, strategies

    cache: Any = cachetools.TTLCache(world.entries, TTL)
    for (secret, path), answer in world.cached.items():
        cache[world.credentials[secret] + path] = answer
    limiter = strategies.FixedWindowRateLimiter(storage.MemoryStorage())
    item = RateLimitItemPerSecond(BURST, BURST // RATE)
    lock, whose, match = threading.Lock(), dict(world.credentials).get, matcher(world)

    def take(path: str, method: str, credential: str) -> Any:
        who = whose(credential)
        if who is None:
            return 401
        key = who + path
        if method == "GET":
            with lock:
                answer = cache.get(key)
            if answer is not None:
                return None, answer
        target = match(path, method)
        if isinstance(target, int):
            return target
        if not limiter.hit(item, who):
            return 429
        return target, key

    return take


def _or_regex(world: World) -> Callable[[str], str | int]:
    regexes = [(re.compile(regex), target) for regex, target in world.regexes.items()]

    def match(path: str) -> str | int:
        return next((target for regex, target in regexes if regex.search(path)), 404)

    return match


def werkzeug(world: World) -> Callable[[str, str], str | int]:
    from werkzeug.exceptions import MethodNotAllowed, NotFound
    from werkzeug.routing import Map, Rule

    rules = [Rule(path, endpoint=target, methods=["GET"]) for path, target in world.exact.items()]
    rules += [
        Rule(f"{prefix}<path:rest>", endpoint=target, methods=["GET"]) for prefix, target in world.prefixes.items()
    ]
    adapter, otherwise = Map(rules).bind("localhost"), _or_regex(world)

    def match(path: str, method: str) -> str | int:
        try:
            return adapter.match(path, method)[0]
        except NotFound:
            return otherwise(path)
        except MethodNotAllowed:
            return 405

    return match


def starlette(world: World) -> Callable[[str, str], str | int]:
    from starlette.routing import Match, Route

    async def endpoint() -> None:
        return None

    # First match wins there, so the order is ours: exact paths, then prefixes from the longest down.
    routes = [(Route(path, endpoint, methods=["GET"]), target) for path, target in world.exact.items()]
    routes += [
        (Route(f"{prefix}{{rest:path}}", endpoint, methods=["GET"]), world.prefixes[prefix])
        for prefix in sorted(world.prefixes, key=len, reverse=True)
    ]
    otherwise = _or_regex(world)

    def match(path: str, method: str) -> str | int:
        scope = {"type": "http", "path": path, "method": method, "root_path": "", "headers": []}
        for route, target in routes:
            if route.matches(scope)[0] is Match.FULL:
                return target
        return otherwise(path)

    return match
