"""Names for what several gateways know of: the same at all of them, and telling nothing to who reads them.

Each is a digest under a secret that is kept in the store, drawn by whoever came first. Who can read the store can read
the secret too, and so try out guesses: what is named must hold something that cannot be guessed, as keys of providers
do.
"""

import secrets
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from fastcascade.errors import StoreError
from fastcascade.shared.script import Script

if TYPE_CHECKING:
    from fastcascade.shared.shared import Shared

__all__ = ["Names"]

SIZE: Final = 32
DRAW: Final = Script("""
-- KEYS: the secret. ARGV: one that was just drawn, for the first who comes
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
""")


class Names:
    """Makes names, once the secret is known.

    Args:
        shared: where the secret is kept.
    """

    def __init__(self, shared: "Shared") -> None:
        """Know nothing yet."""
        self._shared = shared
        self._secret = b""

    @property
    def known(self) -> bool:
        """Whether the secret is."""
        return bool(self._secret)

    async def draw(self) -> bool:
        """Ask for the secret, and draw it where there is none; whether it is another than before. `StoreError`."""
        said = await self._shared.run(DRAW, [self._shared.key("names")], [secrets.token_bytes(SIZE)])
        if not isinstance(said, bytes) or len(said) != SIZE:
            raise StoreError(f"redis at {self._shared.where}: what lies at our key 'names' is none of ours: delete it")
        before, self._secret = self._secret, said
        return before != said

    def of(self, *parts: bytes) -> bytes:
        """The name of what these tell apart."""
        made = blake2b(digest_size=16, key=self._secret)
        for part in parts:
            made.update(len(part).to_bytes(4, "big") + part)
        return made.hexdigest().encode()
