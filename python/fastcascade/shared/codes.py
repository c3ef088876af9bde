"""What a server refuses, in our own words: what it says word for word may hold what was sent to it."""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["CODES", "LATE", "LOST", "REFUSED", "UNSENT", "UNSURE", "Trouble", "code_of", "pattern_of"]

CODES: Final[Mapping[str, str]] = {
    "OOM": "is full (maxmemory): give it more, or purge what has ended",
    "READONLY": "is a read-only replica: name the primary in the URL",
    "MISCONF": "cannot write to its disk, and takes no changes until it can",
    "LOADING": "is loading its data; try again soon",
    "MASTERDOWN": "has lost its primary",
    "NOREPLICAS": "has too few replicas, and takes no changes",
    "NOAUTH": "wants a password",
    "WRONGPASS": "does not take the user's name or password",
    "NOPERM": "does not let this user do that: its access list lacks a command or a key",
    "NOPROTO": "is too old: Redis from 6.2 on, or Valkey, is wanted",
    "WRONGTYPE": "holds something else under one of our keys: choose another prefix",
    "BUSY": "is busy with a script of somebody's",
    "CLUSTERDOWN": "is a cluster that is down",
    "TRYAGAIN": "is a cluster that is moving this key just now; try again soon",
    "MOVED": "is part of a cluster: its URL is to begin with redis+cluster:// or rediss+cluster://",
    "ASK": "is part of a cluster: its URL is to begin with redis+cluster:// or rediss+cluster://",
    "CROSSSLOT": "is part of a cluster, and the keys of one command lie in several slots",
    "NOSCRIPT": "does not know a script",
    "UNBLOCKED": "has changed its role",
}
REFUSED: Final = "refused a command; its own log may say why"
UNSURE: Final = "; whether it was carried out is not known"


def pattern_of(codes: Mapping[str, str]) -> re.Pattern[str]:
    """What finds one of the codes in what a server says: inside a script's error it does not stand first."""
    return re.compile(rf"\b({'|'.join(codes)})\b")


_CODE: Final = pattern_of(CODES)


def code_of(said: str) -> str:
    """The code in what a server says; empty where there is none that we know."""
    first = said.partition(" ")[0]
    if first in CODES:
        return first
    found = _CODE.search(said)
    return found[1] if found else ""


class Trouble(Exception):  # Never raised: a reply that is an error, as hiredis makes it
    """A command without a reply: the server's code, or one of ours. What the server said is not kept."""

    def __init__(self, said: str) -> None:
        """Keep its code, and where a cluster says the key is."""
        super().__init__()
        self.code = code_of(said)
        self.slot = -1
        self.place: tuple[str, int] | None = None
        if self.code in ("MOVED", "ASK"):
            self._read(said)

    def _read(self, said: str) -> None:
        words = said.split()
        host, _, port = words[2].rpartition(":") if len(words) > 2 else ("", "", "")
        if words[1:] and words[1].isdigit() and port.isdigit():
            self.slot, self.place = int(words[1]), (host, int(port))

    @classmethod
    def called(cls, code: str) -> "Trouble":
        """One of our own."""
        trouble = cls("")
        trouble.code = code
        return trouble


LATE: Final = Trouble.called("LATE")
LOST: Final = Trouble.called("LOST")
UNSENT: Final = Trouble.called("UNSENT")
