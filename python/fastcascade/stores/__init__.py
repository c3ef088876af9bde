"""What outlives a process: reviews in a SQLite file, for one machine, or in Redis, for several."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastcascade.stores.redis import RedisReviews
    from fastcascade.stores.reviews import Review, ReviewStore
    from fastcascade.stores.sqlite import SQLiteReviews

__all__ = ["RedisReviews", "Review", "ReviewStore", "SQLiteReviews"]

_WHERE = {
    "RedisReviews": "redis",
    "Review": "reviews",
    "ReviewStore": "reviews",
    "SQLiteReviews": "sqlite",
}


def __getattr__(name: str) -> Any:
    """Load a store when it is first named: each brings a client of its own."""
    if name not in _WHERE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - needed here alone

    found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found
    return found
