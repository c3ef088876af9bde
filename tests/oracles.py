"""Naive twins of the compiled structures, written to be read: what the tests compare with."""

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

Spans: TypeAlias = tuple[tuple[int, int], ...]
BY = ("exact", "prefix", "regex", "wildcard")


class Rule:
    """One route; a text is cut into characters, params and tails."""

    def __init__(self, path: str | re.Pattern[str], target: Any, methods: Sequence[str] | None) -> None:
        self.path, self.target, self.methods = path, target, set(methods or ())
        self.text = path if isinstance(path, str) else path.pattern
        pieces = re.findall(r"\{[^{}]*\}|[^{}]", path) if isinstance(path, str) else []
        self.tokens = [(kind_of(piece), piece.strip("{.}") if len(piece) > 1 else piece) for piece in pieces]
        self.tokens.append(("end", ""))
        plain = all(kind in ("char", "end") for kind, _ in self.tokens)
        self.by = "regex" if path is not self.text else "wildcard" if path == "*" else "exact" if plain else "prefix"
        shape = [(kind, text if kind == "char" else "") for kind, text in self.tokens]
        self.place = (self.by, id(self) if self.by == "regex" else tuple(shape))

    def takes(self, method: str | None) -> bool:
        return method is None or not self.methods or method in self.methods


def kind_of(piece: str) -> str:
    """What a piece of a route's text is."""
    return "char" if len(piece) == 1 else "tail" if piece.endswith("...}") else "param"


class Table:
    """The router: every rule is looked at, in the order that the precedence says; a conflict is a `ValueError`."""

    def __init__(self, routes: Sequence[tuple[str | re.Pattern[str], Any, Sequence[str] | None]]) -> None:
        self.rules = [Rule(*route) for route in routes]
        for at, rule in enumerate(self.rules):
            for other in self.rules[:at]:
                if other.place == rule.place and not (
                    rule.methods and other.methods and not rule.methods & other.methods
                ):
                    raise ValueError(rule.text, other.text)
        for rule in self.rules:
            same = [other for other in self.rules if other.place == rule.place]
            if "GET" in rule.methods and not any(other.takes("HEAD") for other in same):
                rule.methods.add("HEAD")

    def match(self, path: str, method: str | None) -> tuple[Rule, dict[str, str]] | None:
        return next(filter(None, (self.match_by(by, path, method) for by in BY)), None)

    def match_by(self, by: str, path: str, method: str | None) -> tuple[Rule, dict[str, str]] | None:
        rules = [rule for rule in self.rules if rule.by == by and rule.takes(method)]
        if by == "prefix":
            if (found := walk([(rule, 0) for rule in rules], path, 0, ())) is None:
                return None
            names = [name for kind, name in found[0].tokens if kind in ("param", "tail")]
            return found[0], {name: path[start:end] for name, (start, end) in zip(names, found[1], strict=True)}
        for rule in rules:
            if isinstance(rule.path, str) and rule.path in (path, "*"):
                return rule, {}
            if isinstance(rule.path, re.Pattern) and (groups := rule.path.search(path)):
                return rule, {name: value for name, value in groups.groupdict().items() if value is not None}
        return None

    def allowed(self, path: str) -> set[str]:
        """Ask with every method that is named anywhere, and one that is not."""
        methods = {method for rule in self.rules for method in rule.methods}
        return {"*"} if self.match(path, "?") else {method for method in methods if self.match(path, method)}


def walk(rules: list[tuple[Rule, int]], path: str, at: int, spans: Spans) -> tuple[Rule, Spans] | None:
    """Literal, then param, then tail, at every character; a way that fails is taken back."""
    if at == len(path):
        if done := [rule for rule, n in rules if rule.tokens[n][0] == "end"]:
            return done[0], spans
    else:
        char = ("char", path[at])
        literal = [(rule, n + 1) for rule, n in rules if rule.tokens[n] == char]
        if literal and (found := walk(literal, path, at + 1, spans)):
            return found
        params = [(rule, n + 1) for rule, n in rules if rule.tokens[n][0] == "param"]
        for end in range(at + 1, (path + "/").index("/", at) + 1) if params else ():
            if found := walk(params, path, end, (*spans, (at, end))):
                return found
    tails = [rule for rule, n in rules if rule.tokens[n][0] == "tail"]
    return (tails[0], (*spans, (at, len(path)))) if tails else None


class Entry(NamedTuple):
    value: Any
    expires: float
    weight: int
    tags: frozenset[str]


class LruCache:
    """The cache: a dict in order of use, the least recent first."""

    def __init__(self, max_items: float, max_weight: float, ttl: float | None, stale_for: float) -> None:
        self.max_items, self.max_weight, self.ttl, self.stale_for = max_items, max_weight, ttl, stale_for
        self.entries, self.now = dict[Any, Entry](), 0.0
        self.counts = dict.fromkeys(("hits", "stale", "misses", "puts", "evictions", "expirations", "invalidations"), 0)

    def weight(self) -> int:
        return sum(entry.weight for entry in self.entries.values())

    def peek(self, key: Any) -> tuple[Any, str] | None:
        entry = self.entries.get(key)
        if entry is None or self.now >= entry.expires + self.stale_for:
            return None
        return entry.value, "fresh" if self.now < entry.expires else "stale"

    def get(self, key: Any) -> Any:
        value, state = self.peek(key) or (None, "misses")
        self.counts["hits" if state == "fresh" else state] += 1
        if state == "fresh":
            self.entries[key] = self.entries.pop(key)
        elif state == "misses" and key in self.entries:
            self.counts["expirations"] += 1
            del self.entries[key]
        return value if state == "fresh" else None

    def put(self, key: Any, value: Any, ttl: float | None, weight: int, tags: frozenset[str]) -> bool:
        self.entries.pop(key, None)
        if weight > self.max_weight or self.max_items == 0:
            return False
        ttl = self.ttl if ttl is None else ttl
        self.entries[key] = Entry(value, math.inf if ttl is None else self.now + ttl, weight, tags)
        self.counts["puts"] += 1
        while len(self.entries) > self.max_items or self.weight() > self.max_weight:
            del self.entries[next(iter(self.entries))]
            self.counts["evictions"] += 1
        return True

    def invalidate(self, tag: str) -> int:
        gone = [self.entries.pop(key) for key, entry in [*self.entries.items()] if tag in entry.tags]
        self.counts["invalidations"] += len(gone)
        return len(gone)


class Buckets:
    """The limiter: for each client the moment its bucket is full again, as a fraction."""

    def __init__(self, n: float, per: float, burst: float) -> None:
        self.per_token, self.burst, self.now = Fraction(per) / Fraction(n), Fraction(burst), Fraction(0)
        self.full_at: dict[Any, Fraction] = {}

    def advance(self, seconds: float) -> None:
        self.now += Fraction(seconds)

    def missing(self, client: Any) -> Fraction:
        return max(self.full_at.get(client, self.now) - self.now, Fraction(0))

    def wait(self, client: Any, cost: float) -> Fraction | float:
        wait = self.missing(client) + (Fraction(cost) - self.burst) * self.per_token
        return math.inf if cost > self.burst else max(wait, Fraction(0))

    def take(self, client: Any, tokens: float) -> None:
        self.full_at[client] = self.now + self.missing(client) + Fraction(tokens) * self.per_token

    def available(self, client: Any) -> Fraction:
        return self.burst - self.missing(client) / self.per_token


class Who(NamedTuple):
    name: str
    tenant: str | None
    scopes: frozenset[str]


class Ring:
    """The key ring: a dict of secrets in the clear."""

    def __init__(self) -> None:
        self.secrets, self.now = dict[bytes, tuple[Who, float]](), 0.0

    def identify(self, secret: bytes) -> Who | None:
        who, expires = self.secrets.get(secret, (None, 0.0))
        return who if expires > self.now else None

    def add(self, secret: bytes, who: Who, expires: float) -> bool:
        if not secret or self.identify(secret) is not None:
            return False
        self.secrets[secret] = (who, expires)
        return True

    def rotate(self, old: bytes, new: bytes, grace: float) -> bool:
        if self.identify(old) is None or not self.add(new, *self.secrets[old]):
            return False
        who, expires = self.secrets[old]
        self.secrets[old] = (who, min(expires, self.now + grace))
        return True

    def revoke(self, name: str) -> int:
        gone = [self.secrets.pop(secret) for secret, (who, _) in [*self.secrets.items()] if who.name == name]
        return sum(expires > self.now for _, expires in gone)

    def remove(self, secret: bytes) -> bool:
        worked = self.identify(secret) is not None
        self.secrets.pop(secret, None)
        return worked
