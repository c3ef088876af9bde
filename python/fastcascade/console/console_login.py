"""Logging in: who may try how often, and what is looked at of what was sent.

Tries that fail are counted by the address they come from, by the name they are for, and all together; whoever succeeds
gets theirs back. Each worker counts for itself. A stranger can thereby keep a person of a known name from logging in
for a while, but not end the sessions there are: that is the price of tries that cannot be made from many addresses.
"""

import asyncio
import logging
import math
import unicodedata
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from fastcascade._core import Quota, RateLimiter
from fastcascade.console.asked import Refusal
from fastcascade.console.people_record import LONGEST

if TYPE_CHECKING:
    from fastcascade._core import Clock
    from fastcascade.console.people import People
    from fastcascade.console.sessions import Sessions

__all__ = ["Logins", "address_of", "form_of"]

BY_PEER: Final = Quota(10, 300.0)
BY_NAME: Final = Quota(20, 900.0)
ALL: Final = Quota(60, 60.0)
"""How many wrong tries, and in how many seconds; as many may come at once."""
REMEMBERED: Final = 10_000
AT_ONCE: Final = 2
"""Hashes at once in one worker: each takes a processor and 32 MiB."""
FORM: Final = 16 * 1024
WRONG: Final = "this name and password do not go together"

log: Final = logging.getLogger("fastcascade")


class Logins:
    """The way in.

    Args:
        people: who may see the console.
        sessions: where it is kept that they came.
        clock: what tries are counted by; the system's where none is given.
    """

    def __init__(self, people: "People", sessions: "Sessions", clock: "Clock | None" = None) -> None:
        """Count from now on."""
        self._people, self._sessions = people, sessions
        self._limits = [RateLimiter(each, max_clients=REMEMBERED, clock=clock) for each in (BY_PEER, BY_NAME, ALL)]
        self._places = asyncio.Semaphore(AT_ONCE)

    async def login(self, name: str, password: str, peer: str, instead: str) -> str:
        """The token of a new session; that of the token `instead` ends. Raises `Refusal`."""
        name = unicodedata.normalize("NFC", name)
        give_back = self._admitted(peer, name)
        if not name or not password or len(password) > LONGEST:
            raise Refusal(401, WRONG)
        async with self._places:
            await asyncio.to_thread(self._people.look)
            record = await asyncio.to_thread(self._people.check, name, password)
        if record is None:
            # Not what was typed as the name: people type their password there.
            log.warning("console: a login from %s failed", address_of(peer) or "nowhere")
            raise Refusal(401, WRONG)
        give_back()
        log.info("console: %s logged in", record.name)
        return await asyncio.to_thread(self._sessions.begin, record.name, record.id, instead=instead)

    async def redeem(self, token: str, peer: str, instead: str) -> str:
        """The token of the session that a link leads to. Raises `Refusal`."""
        give_back = self._admitted(peer, "")
        found = await asyncio.to_thread(self._sessions.redeem, token, instead=instead)
        if found is None:
            raise Refusal(401, "this link was used already, or is too old")
        give_back()
        return found

    def _admitted(self, peer: str, name: str) -> Callable[[], None]:
        """Take one try of each allowance; comes to what gives them back."""
        taken: list[tuple[RateLimiter, str]] = []

        def give_back() -> None:
            for limit, whose in taken:
                limit.settle(whose, 1.0, 0.0)

        for limit, whose in zip(self._limits, (f"peer {address_of(peer)}", f"name {name}", "all"), strict=True):
            wait = limit.admit(whose)
            if wait > 0:
                give_back()
                raise Refusal(429, f"too many tries; try again in {_spoken(wait)}", retry=wait)
            taken.append((limit, whose))
        return give_back


def form_of(body: bytes) -> dict[str, str]:
    """What a form has sent. Raises `Refusal`."""
    if len(body) > FORM:
        raise Refusal(413, f"the form is larger than {FORM} bytes")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=8, errors="strict"))
    except ValueError:
        raise Refusal(400, "the form cannot be read") from None


def address_of(peer: str, *, whole: bool = False) -> str:
    """An address without its port; of IPv6, unless the `whole` is wanted, the network that one subscriber has."""
    host = peer
    if peer.startswith("["):
        host = peer[1:].partition("]")[0]
    elif peer.count(":") == 1:
        host = peer.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host[:100]
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        if not whole:
            return str(IPv6Address(int(address) >> 64 << 64))
    return str(address)


def _spoken(wait: float) -> str:
    minutes = math.ceil(wait / 60)
    return f"{max(1, math.ceil(wait))} s" if wait < 60 else f"{minutes} min"
