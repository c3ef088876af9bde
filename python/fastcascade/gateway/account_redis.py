"""What keys have used, where that is kept in Redis or Valkey: read once, by plain code. See `shared.budgets`."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fastcascade.errors import StoreError

if TYPE_CHECKING:
    from fastcascade.gateway.account import Used

__all__ = ["used_at"]

TIMEOUT: Final = 2.0


def used_at(url: str, keys: Sequence[str], prefix: str = "fastcascade") -> "dict[str, tuple[Used, Used]]":
    """What each key has used today and this month, by the server's clock. Raises `StoreError`, or `ConfigError`."""
    return asyncio.run(_used(url, keys, prefix))


async def _used(url: str, keys: Sequence[str], prefix: str) -> "dict[str, tuple[Used, Used]]":
    from fastcascade.shared.budgets import SharedBudgets  # noqa: PLC0415 - an extra
    from fastcascade.shared.shared import Shared  # noqa: PLC0415 - as above

    shared = Shared(url, prefix=prefix, timeout=TIMEOUT)
    try:
        await shared.start()
        if not shared.up:
            raise StoreError(f"redis at {shared.where} cannot be reached")
        return await SharedBudgets(shared).used(keys)
    finally:
        await shared.aclose()
