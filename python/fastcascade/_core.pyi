"""The compiled core: what a request meets before any model or handler runs (L1 to L3).

Names here are exported by `fastcascade`; import them from there.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from re import Pattern
from types import GenericAlias
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, final, overload

from typing_extensions import Buffer

from fastcascade.routing import Route

_T = TypeVar("_T")
_V = TypeVar("_V")
_D = TypeVar("_D")

_By: TypeAlias = Literal["exact", "prefix", "regex", "wildcard"]
_Seconds: TypeAlias = float | timedelta
_Normalize: TypeAlias = PathPolicy | TextPolicy | None
_CacheKey: TypeAlias = Key | str | bytes | int | tuple[Any, ...]
_Vector: TypeAlias = Iterable[float] | Buffer
_Rows: TypeAlias = Iterable[_Vector] | Buffer
# A mapping's keys are invariant, so each kind of key is an alternative of its own.
_Routes: TypeAlias = (
    Mapping[str, _T] | Mapping[Pattern[str], _T] | Mapping[str | Pattern[str], _T] | Iterable[Route[_T]]
)

__version__: Final[str]
DEBUG_BUILD: Final[bool]

@final
class Clock:
    """A clock that stands still until it is told to move: hand it to whatever you test."""

    def __new__(cls, start: _Seconds = 1_000.0) -> Clock: ...
    def advance(self, seconds: _Seconds) -> None:
        """Move on; a negative step is a `ValueError`."""
    def now(self) -> float:
        """Seconds since the clock's own beginning."""

@final
class Key:
    """A 128-bit keyed digest over exactly what an answer depends on.

    Parts may be str, bytes, int, float, bool, None, and tuples, lists and dicts of these; the order of a
    dict's items does not count, the types do (`1`, `1.0`, `True` and `"1"` are four keys). The key of the
    hash is drawn when the process starts, so a digest means nothing elsewhere and cannot be aimed at.
    """

    def __new__(cls, *parts: object) -> Key: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class PathPolicy:
    """How a raw HTTP path becomes the text that routes are matched against."""

    def __new__(
        cls,
        *,
        trailing_slash: Literal["keep", "strip"] = "keep",
        encoded_slash: Literal["refuse", "keep"] = "refuse",
        dot_segments: Literal["resolve", "refuse"] = "resolve",
        merge_slashes: bool = True,
    ) -> PathPolicy: ...
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, str | bool]]: ...
    def normalize(self, path: str) -> str:
        """Percent-decode once, resolve dots, merge slashes; `PathError` says what is refused and where."""

@final
class TextPolicy:
    """How free text is folded before it is matched (never before it is cached)."""

    def __new__(
        cls,
        *,
        form: Literal["keep", "nfc", "nfkc"] = "nfkc",
        fold_case: bool = True,
        collapse_space: bool = True,
    ) -> TextPolicy: ...
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, str | bool]]: ...
    def normalize(self, text: str) -> str: ...

@final
class Match(Generic[_T]):
    """What a route table says of one path."""

    __match_args__: Final = ("target", "params", "by")
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    @property
    def target(self) -> _T: ...
    @property
    def params(self) -> dict[str, str]:
        """The named parts of the path, made when first read."""
    @property
    def by(self) -> _By: ...
    @property
    def route(self) -> str:
        """The route's own text."""

@final
class Step:
    """One line of `Router.explain`: a matcher that was tried, and what came of it."""

    __match_args__: Final = ("matcher", "outcome", "route")
    @property
    def matcher(self) -> _By | Literal["normalize"]: ...
    @property
    def outcome(self) -> Literal["match", "miss", "wrong method", "empty", "refused"]: ...
    @property
    def route(self) -> str | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Router(Generic[_T]):
    """A compiled route table: exact, then prefix tree, then patterns, then wildcard; first match wins."""

    @overload
    def __new__(cls, routes: Mapping[str, _T], *, normalize: _Normalize = None) -> Router[_T]: ...
    @overload
    def __new__(cls, routes: Mapping[Pattern[str], _T], *, normalize: _Normalize = None) -> Router[_T]: ...
    @overload
    def __new__(cls, routes: Mapping[str | Pattern[str], _T], *, normalize: _Normalize = None) -> Router[_T]: ...
    @overload
    def __new__(cls, routes: Iterable[Route[_T]], *, normalize: _Normalize = None) -> Router[_T]: ...
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def match(self, path: str, method: str | None = None) -> Match[_T] | None: ...
    def lookup(self, path: str, method: str | None = None) -> _T | None:
        """The target alone, without a `Match`."""
    def match_many(self, paths: Sequence[str], method: str | None = None) -> list[Match[_T] | None]:
        """`match` for every path, in one call."""
    def allowed(self, path: str) -> tuple[str, ...]:
        """The methods under which the path exists: empty when it does not, `("*",)` when any will do."""
    def explain(self, path: str, method: str | None = None) -> list[Step]:
        """Which matchers were tried, in order, and what came of each."""
    def replace(self, routes: _Routes[_T]) -> None:
        """Put a new table in the place of this one; calls already under way finish on the old one."""
    @property
    def memory(self) -> int:
        """Bytes held by the table, targets not counted."""
    def __len__(self) -> int: ...

@final
class PatternSet:
    """Many regular expressions as one: linear time, first in order wins."""

    def __new__(cls, patterns: Iterable[str | Pattern[str]]) -> PatternSet: ...
    def first(self, text: str) -> int | None:
        """The lowest index that matches anywhere in the text."""
    def all(self, text: str) -> list[int]:
        """Every index that matches, ascending."""
    def params(self, index: int, text: str) -> dict[str, str] | None:
        """The named groups of one pattern's match, or None where it does not match."""
    @property
    def memory(self) -> int: ...
    def __len__(self) -> int: ...

@final
class CacheStats:
    """Counters since the cache was made, and what it holds now."""

    @property
    def hits(self) -> int: ...
    @property
    def stale(self) -> int:
        """Lookups that found an entry past its ttl and within the stale window."""
    @property
    def misses(self) -> int: ...
    @property
    def puts(self) -> int: ...
    @property
    def evictions(self) -> int: ...
    @property
    def expirations(self) -> int: ...
    @property
    def invalidations(self) -> int: ...
    @property
    def items(self) -> int: ...
    @property
    def weight(self) -> int: ...
    @property
    def memory(self) -> int:
        """Bytes held beyond the values themselves."""
    @property
    def hit_ratio(self) -> float:
        """Fresh hits among all lookups; 0.0 before the first."""

@final
class Cache(Generic[_V]):
    """A bounded cache with a time to live, a stale window, weights and tags.

    The text of a key is not kept, only its 128-bit keyed digest.
    """

    def __new__(
        cls,
        max_items: int | None = None,
        max_weight: int | None = None,
        ttl: _Seconds | None = None,
        stale_for: _Seconds = 0.0,
        policy: Literal["lru", "adaptive"] = "lru",
        *,
        clock: Clock | None = None,
    ) -> Cache[_V]: ...
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    @overload
    def get(self, key: _CacheKey, default: None = None) -> _V | None: ...
    @overload
    def get(self, key: _CacheKey, default: _D) -> _V | _D:
        """The value while it is fresh; counts as a use."""
    def peek(self, key: _CacheKey) -> tuple[_V, Literal["fresh", "stale"]] | None:
        """Look without counting a use."""
    def put(
        self,
        key: _CacheKey,
        value: _V,
        ttl: _Seconds | None = None,
        weight: int = 1,
        tags: Iterable[str] = (),
    ) -> bool:
        """Keep a value; False when it is heavier than the whole cache and so is not kept.

        What weighs 0 is bounded by `max_items` alone.
        """
    def remove(self, key: _CacheKey) -> bool: ...
    def invalidate(self, tag: str) -> int:
        """Drop every entry with the tag; how many there were."""
    def clear(self) -> None: ...
    def stats(self) -> CacheStats: ...
    def __len__(self) -> int: ...
    def __contains__(self, key: _CacheKey, /) -> bool: ...

@final
class Quota:
    """What a client is allowed: `n` per period, in bursts of at most `burst` (by default `n`)."""

    def __new__(
        cls,
        n: float,
        per: Literal["second", "minute", "hour", "day"] | _Seconds = "second",
        burst: float | None = None,
    ) -> Quota: ...
    @property
    def n(self) -> float: ...
    @property
    def per(self) -> float:
        """The period in seconds."""
    @property
    def burst(self) -> float: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RateLimiter:
    """A token bucket per client, in bounded memory."""

    def __new__(cls, quota: Quota, *, max_clients: int = 1_000_000, clock: Clock | None = None) -> RateLimiter: ...
    def admit(self, client: str | bytes | int, cost: float = 1.0) -> float:
        """0.0 when admitted; else the seconds to wait, and nothing was taken.

        A cost above the burst can never be admitted: `math.inf`.
        """
    def settle(self, client: str | bytes | int, reserved: float, used: float) -> None:
        """Correct an admission once the true cost is known: give back, or take more (into debt)."""
    def available(self, client: str | bytes | int) -> float:
        """Tokens left now; negative while in debt."""
    @property
    def quota(self) -> Quota: ...
    @property
    def memory(self) -> int: ...
    def __len__(self) -> int:
        """Clients remembered now: those whose bucket is not full, and some not yet forgotten."""

@final
class Identity:
    """Who a credential belongs to."""

    __match_args__: Final = ("name", "tenant", "scopes")
    @property
    def name(self) -> str: ...
    @property
    def tenant(self) -> str | None: ...
    @property
    def scopes(self) -> frozenset[str]: ...

@final
class KeyRing:
    """Credentials, kept only as keyed hashes and compared in constant time."""

    def __new__(cls, *, clock: Clock | None = None) -> KeyRing: ...
    def add(
        self,
        secret: str | bytes,
        identity: str,
        scopes: Iterable[str] = (),
        tenant: str | None = None,
        expires: _Seconds | datetime | None = None,
    ) -> Identity:
        """Let a secret speak for an identity.

        `expires` is an aware `datetime`, or the seconds from now. A secret already on the ring is an error.
        """
    def identify(self, secret: str | bytes) -> Identity | None: ...
    def rotate(self, old: str | bytes, new: str | bytes, grace: _Seconds = 0.0) -> Identity:
        """Give the old secret's identity a new one; the old goes on working for `grace`."""
    def remove(self, secret: str | bytes) -> bool:
        """Forget a secret; whether it worked until now."""
    def revoke(self, identity: str) -> int:
        """Forget every secret of an identity, at whatever tenant; how many worked until now."""
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]:
        """A ring is there even when it is empty: `keys or None` must not switch the guard off."""

@final
class Hit(Generic[_V]):
    """The answer was in the cache."""

    __match_args__: Final = ("value",)
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    @property
    def value(self) -> _V: ...
    @property
    def identity(self) -> Identity | None: ...

@final
class Routed(Generic[_T]):
    """The request may pass: where it goes, and the key to keep its answer under."""

    __match_args__: Final = ("target", "params", "by")
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    @property
    def target(self) -> _T: ...
    @property
    def params(self) -> dict[str, str]: ...
    @property
    def by(self) -> _By: ...
    @property
    def match(self) -> Match[_T]: ...
    @property
    def identity(self) -> Identity | None: ...
    @property
    def key(self) -> Key | None:
        """`cache.put(routed.key, answer)` files the answer where only those who may see it will find it.

        None where the answer must not be kept: no cache, or a method that is not safe and no `vary`.
        """
    @property
    def stale(self) -> Any:
        """The answer past its ttl, for when a fresh one cannot be had; None if there is none."""

@final
class Refused:
    """The request ends here."""

    __match_args__: Final = ("status", "reason")
    @property
    def status(self) -> Literal[400, 401, 403, 404, 405, 429]: ...
    @property
    def reason(self) -> str: ...
    @property
    def retry_after(self) -> float | None:
        """Seconds to wait (429 only)."""
    @property
    def allow(self) -> tuple[str, ...]:
        """The methods the path exists under (405 only)."""
    @property
    def identity(self) -> Identity | None: ...

@final
class FastPath(Generic[_T]):
    """Identify, cache, match and admit in one call."""

    def __new__(
        cls,
        router: Router[_T],
        cache: Cache[Any] | None = None,
        keys: KeyRing | None = None,
        limiter: RateLimiter | None = None,
    ) -> FastPath[_T]: ...
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def take(
        self,
        path: str,
        method: str = "GET",
        credential: str | bytes | None = None,
        client: str | None = None,
        *,
        vary: Key | None = None,
    ) -> Hit[Any] | Routed[_T] | Refused:
        """Decide one request.

        `client` names the bucket to draw on; without it that is the identity, and without either one
        bucket is shared by all who come without a name. `vary` is what the answer depends on beyond the
        path (a body, a language); with it a POST may be cached too.
        """
    @property
    def router(self) -> Router[_T]: ...
    @property
    def cache(self) -> Cache[Any] | None: ...
    @property
    def keys(self) -> KeyRing | None: ...
    @property
    def limiter(self) -> RateLimiter | None: ...

@final
class VectorSet:
    """Example vectors in groups, and which group a vector is closest to by cosine.

    `rows` is a buffer of float32 or float64 numbers (two axes, or one that `groups` divides evenly), or a list
    of rows, each a buffer or a list of numbers. `groups` has a number from 0 on for each row, without gaps.
    A group's score is the mean of its `top` best cosines, or of all where it has fewer rows.
    """

    def __new__(cls, rows: _Rows, groups: Iterable[int], *, top: int = 1) -> VectorSet: ...
    def best(self, query: _Vector) -> tuple[int, float]:
        """The group with the highest score, the first of equals, and that score."""
    def scores(self, query: _Vector) -> list[float]:
        """The score of every group, in order."""
    @property
    def dim(self) -> int:
        """How many numbers a row has."""
    @property
    def groups(self) -> int:
        """How many groups there are."""
    @property
    def memory(self) -> int: ...
    def __len__(self) -> int: ...

def cosine(a: _Vector, b: _Vector, /) -> float:
    """The cosine of the angle between two vectors, from -1 to 1."""

# What `fastcascade bench` times from inside: (the clock's own cost, the calls), in nanoseconds, one figure a call.
_Samples: TypeAlias = tuple[list[int], list[int]]

def measure_router(router: Router[Any], paths: list[str]) -> _Samples: ...
def measure_cache(cache: Cache[Any], keys: list[str]) -> _Samples: ...
def measure_limiter(limiter: RateLimiter, clients: list[str]) -> _Samples: ...
def measure_front(front: FastPath[Any], requests: list[tuple[str, str]]) -> _Samples: ...
