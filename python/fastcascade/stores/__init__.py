"""What outlives a process: reviews in a SQLite file, for one machine, or in Redis, for several."""

from typing import TYPE_CHECKING

from fastcascade.later import loader

if TYPE_CHECKING:
    from fastcascade.stores.redis import RedisReviews
    from fastcascade.stores.reviews import Review, ReviewStore
    from fastcascade.stores.sqlite import SQLiteReviews

__all__ = ["RedisReviews", "Review", "ReviewStore", "SQLiteReviews"]

__getattr__ = loader(
    __name__,
    {
        "redis": "RedisReviews",
        "reviews": "Review ReviewStore",
        "sqlite": "SQLiteReviews",
    },
)
