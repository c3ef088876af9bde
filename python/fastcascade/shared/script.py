"""A Lua script, which the server runs whole or not at all."""

from dataclasses import dataclass, field
from hashlib import sha1

__all__ = ["Script"]


@dataclass(frozen=True, slots=True)
class Script:
    """The text of a script, and the hash that the server knows it by once it has run."""

    text: str
    sha: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Hash it, once."""
        object.__setattr__(self, "sha", sha1(self.text.encode(), usedforsecurity=False).hexdigest())
