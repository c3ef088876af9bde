"""Somebody else to ask when nobody of the ladder has answered: another provider, another region, another model.

Instances of one model in several regions belong into one `Pool`, which moves between them within a call. A `Region` is
for what stands behind the whole ladder.
"""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from fastcascade.errors import ConfigError

__all__ = ["Region"]

P = ParamSpec("P")
T = TypeVar("T")


class Region:
    """Tiers that are asked only when no tier of the ladder has given an answer, in their order.

    Args:
        backups: tiers or backends; for `region(function)`, the decorator, async functions of the same arguments.
    """

    def __init__(self, *backups: Any) -> None:
        """Keep whom to ask."""
        if not backups:
            raise ConfigError(
                "a region needs somebody to ask: Region(Tier(backend)), or Region(function) on a function"
            )
        self.backups = backups

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Ask the backups where an async function raises; the last one's error is the one that is raised."""

        @wraps(function)
        async def called(*args: P.args, **kwargs: P.kwargs) -> T:
            for backup in (function, *self.backups[:-1]):
                try:
                    return await backup(*args, **kwargs)  # type: ignore[no-any-return]
                except Exception:  # noqa: BLE001, S112 - the next one is asked
                    continue
            return await self.backups[-1](*args, **kwargs)  # type: ignore[no-any-return]

        return called

    def __repr__(self) -> str:
        """Show whom it asks."""
        return f"Region({', '.join(map(repr, self.backups))})"
