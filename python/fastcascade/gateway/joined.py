"""What one worker shares with other gateways, from its first turn of the loop to its last.

Answers are shared by the caches of cascades, limits and budgets by the gatekeeper. This holds the connection, and has
pools share what they learn: until when providers want no call, and which of them fail.
"""

from typing import TYPE_CHECKING

from fastcascade.shared.together import Together, pools_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastcascade.cascade import Cascade
    from fastcascade.shared.shared import Shared

__all__ = ["Joined"]


class Joined:
    """The store of a worker, and what hangs on it.

    Args:
        shared: the store.
        cascades: whose caches and pools share.
        config: what tells one configuration from another: breakers of providers without an account are shared by
            gateways of one configuration alone.
    """

    def __init__(self, shared: "Shared", cascades: "Mapping[str, Cascade]", config: bytes = b"") -> None:
        """Connect nothing yet."""
        self.shared, self._cascades, self._config = shared, cascades, config
        for cascade in cascades.values():
            if cascade.cache is not None:
                cascade.cache.use(lambda: shared)
        self._together: Together | None = None

    async def begin(self) -> None:
        """Connect. A store that is away is tried again, and nobody waits for it."""
        await self.shared.start()
        self._together = Together(self.shared, pools_of(self._cascades.values()), config=self._config)
        await self._together.start()

    async def aclose(self) -> None:
        """Share no more."""
        if self._together is not None:
            await self._together.aclose()
        await self.shared.aclose()
