"""What a file is read by that is not beside it: one that was published, and lies in a folder of copies."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where its words are seen from.

    Args:
        folder: where relative paths begin, and where modules may lie.
        functions: whether it may name code ("module:function").
    """

    folder: Path
    functions: bool = True
