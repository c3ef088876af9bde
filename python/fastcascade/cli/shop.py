"""Who asks the built-in shop for what: its access rules, its callers, and an endless seeded stream of requests."""

import random
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from fastcascade import KeyRing, Route, Router
from fastcascade.cli.routefile import Line, Table
from fastcascade.cli.traffic import Kind, fresh, of_kind, stray, weighted

__all__ = ["CALLERS", "STREAM_MIX", "Request", "Stream", "key_ring", "new", "routes"]

Request: TypeAlias = tuple[str, str, str | None]
Asked: TypeAlias = tuple[bytes, str, bytes | None]

STREAM_MIX: dict[Kind, float] = {"exact": 0.92, "prefix": 0.07, "regex": 0.007, "miss": 0.003}
CALLERS = 200
TENANTS = 20
OPERATORS = 6  # callers who may see /v1/admin
READS = 0.93  # of all requests; the rest write, and what they are answered is never kept
NO_KEY, WRONG_KEY, CURIOUS = 0.002, 0.002, 0.02  # the last: who asks for /v1/admin without being let
PUBLIC = ("/health", "/version", "/robots.txt", "/openapi.json", "/docs", "/status", "/assets/")
PUBLIC_WRITES = ("/v1/login", "/v1/password/", "/v1/token")
SHARED = ("/v1/catalog", "/v1/brands", "/v1/categories", "/v1/products")
ADMIN = "/v1/admin"
POOL = 2_000  # different paths for each matcher and method


def routes(table: Table) -> Iterable[Route[str]]:
    """The table with what each route asks of its caller."""
    for line in table.lines:
        public = line.path == "/" or line.path.startswith(PUBLIC + PUBLIC_WRITES)
        yield Route(
            line.regex or line.path,
            line.path,
            methods=line.methods or None,
            public=public,
            scopes=("admin",) if line.path.startswith(ADMIN) else (),
            share="tenant" if line.path.startswith(SHARED) else "identity",
        )


def _secret(number: int) -> str:
    return f"sk-shop-{number * 2_654_435_761 % 2**32:08x}"


def key_ring() -> KeyRing:
    """A secret for each caller, ten callers to a tenant, the first few of them operators."""
    ring = KeyRing()
    for number in range(CALLERS):
        scopes = ("admin",) if number < OPERATORS else ()
        ring.add(_secret(number), f"user-{number}", scopes=scopes, tenant=f"shop-{number % TENANTS}")
    return ring


class Stream:
    """Requests without end: popular paths and busy callers come often, as they do in every log."""

    def __init__(self, table: Table, router: Router[Line], seed: int) -> None:
        """Make the pools that requests are drawn from."""
        self._rng = random.Random(seed)
        methods = sorted({method for line in table.lines for method in line.methods} - {"GET"})
        self._reads = {kind: self._pool(table, router, kind, ["GET"]) for kind in STREAM_MIX}
        self._writes = {kind: self._pool(table, router, kind, methods) for kind in STREAM_MIX}
        self._secrets = [_secret(number).encode() for number in range(CALLERS)]
        self._weights = weighted(CALLERS)
        self._busy = self._rng.sample(self._secrets, CALLERS)

    def _pool(
        self, table: Table, router: Router[Line], kind: Kind, methods: Sequence[str]
    ) -> tuple[list[tuple[bytes, str]], list[float]]:
        found: list[tuple[bytes, str]] = []
        for method in methods:
            if kind == "miss":
                paths = [stray(self._rng) for _ in range(20)]
                # And paths that there are, under a method they do not take.
                exact = [line.path for line in table.lines if line.kind == "exact"]
                paths += [path for path in exact if router.match(path, method) is None][:20]
            else:
                paths, _ = of_kind(table.lines, kind, router, method, POOL, self._rng)
            found += [(path.encode(), method) for path in paths]
        self._rng.shuffle(found)
        return found, weighted(len(found))

    def draw(self, count: int) -> list[Asked]:
        """The next requests; `new` makes them into what a server would have in hand."""
        kinds = self._rng.choices(list(STREAM_MIX), list(STREAM_MIX.values()), k=count)
        return [self._one(kind) for kind in kinds]

    def _one(self, kind: Kind) -> Asked:
        rng = self._rng
        writes, reads = self._writes[kind], self._reads[kind]
        pool, weights = reads if rng.random() < READS or not writes[0] else writes
        (path, method), *_ = rng.choices(pool, cum_weights=weights)
        return path, method, self._who(path)

    def _who(self, path: bytes) -> bytes | None:
        chance = self._rng.random()
        if chance < NO_KEY:
            return None
        if chance < NO_KEY + WRONG_KEY:
            return b"sk-shop-unheard-of"
        if path.startswith(ADMIN.encode()) and self._rng.random() >= CURIOUS:
            return self._secrets[self._rng.randrange(OPERATORS)]
        return self._rng.choices(self._busy, cum_weights=self._weights)[0]


def new(asked: Sequence[Asked]) -> list[Request]:
    """The same requests with every text a new object."""
    paths = fresh(path for path, _, _ in asked)
    secrets = [None if secret is None else str(secret, "utf-8") for _, _, secret in asked]
    return [(path, method, secret) for path, (_, method, _), secret in zip(paths, asked, secrets, strict=True)]
