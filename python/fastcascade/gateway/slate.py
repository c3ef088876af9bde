"""What was purged, as the workers of one gateway tell one another: in memory that they share, without a lock.

Each writes in a place of its own: a number that only grows, and its last `KEPT` words. Who has missed some of them,
or finds one that was too long to be written down, takes it that everything was purged.
"""

import struct
from mmap import mmap
from typing import Final

__all__ = ["Slate"]

KEPT: Final = 32
ROOM: Final = 256
NUMBER: Final = struct.Struct("=Q")
LENGTH: Final = struct.Struct("=H")
PLACE: Final = NUMBER.size + KEPT * ROOM


class Slate:
    """Words of purges; an empty one stands for everything."""

    def __init__(self, places: int) -> None:
        """Make it, before the processes are made; memory is taken when it is written."""
        self._places = places
        self._memory = mmap(-1, max(1, places) * PLACE)

    def write(self, place: int, word: str) -> None:
        """Tell the others."""
        at = place * PLACE
        number: int = NUMBER.unpack_from(self._memory, at)[0]
        said = word.encode("utf-8", "surrogatepass")
        if len(said) > ROOM - LENGTH.size:
            said = b""
        slot = at + NUMBER.size + number % KEPT * ROOM
        LENGTH.pack_into(self._memory, slot, len(said))
        self._memory[slot + LENGTH.size : slot + LENGTH.size + len(said)] = said
        NUMBER.pack_into(self._memory, at, number + 1)  # last: whoever sees it, sees the word

    def numbers(self) -> list[int]:
        """How many words each place has had: from there on one reads."""
        return [NUMBER.unpack_from(self._memory, place * PLACE)[0] for place in range(self._places)]

    def read(self, seen: list[int], own: int) -> list[str]:
        """What others have written since; `seen` is brought up to date."""
        found: list[str] = []
        for place, number in enumerate(self.numbers()):
            before, seen[place] = seen[place], number
            if place == own or number == before:
                continue
            if not 0 <= number - before < KEPT:  # one of them may be written over just now, or the number itself
                found.append("")
                continue
            found += [self._word(place, each) for each in range(before, number)]
        return found

    def _word(self, place: int, number: int) -> str:
        slot = place * PLACE + NUMBER.size + number % KEPT * ROOM
        length = LENGTH.unpack_from(self._memory, slot)[0]
        return self._memory[slot + LENGTH.size : slot + LENGTH.size + length].decode("utf-8", "surrogatepass")
