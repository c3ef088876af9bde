"""How often: whose bucket a request draws on, whose address it is behind proxies, and how a limit is told.

Fields as in draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "default";q=100;w=60` says what is allowed, and
`RateLimit: "default";r=42;t=35` what is left of it and for how many seconds that has to do.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil, isfinite
from typing import Final, Literal, Protocol

from fastcascade._core import Identity, Quota
from fastcascade.errors import ConfigError
from fastcascade.guards.guard import Call, Headers

__all__ = ["Limited", "Proxies", "RateFields", "bucket_of"]

MOST_HOPS: Final = 32
"""Addresses read of a header: a client may send as many as it likes."""


def bucket_of(identity: Identity | None, client: str) -> str:
    """The bucket of an identity, or of an address where nobody is known.

    Of an IPv6 address the first 64 bits count: whoever has one address of these has them all.
    """
    if identity is not None:
        return f"key\0{identity.tenant}\0{identity.name}"
    if ":" not in client:
        return client
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return client
    mapped = address.ipv4_mapped
    return str(mapped) if mapped is not None else address.packed[:8].hex()


class Limited(Protocol):
    """What knows a limit and how much of it is left: a `RateLimiter`, or one that is shared, as it last knew."""

    @property
    def quota(self) -> Quota:
        """What each bucket is allowed."""
        ...

    def available(self, bucket: str, /) -> float:
        """Tokens left in a bucket."""
        ...


class RateFields:
    """The fields that tell a client of its limit."""

    def __init__(self, limiter: Limited, name: str = "default") -> None:
        """Of one limiter; `name` is how the policy is called in the fields."""
        if not name.isascii() or not name.isprintable() or '"' in name or "\\" in name:
            raise ConfigError(f"{name!r} cannot be the name of a policy: use plain letters")
        self._limiter = limiter
        quota = limiter.quota
        self._rate = quota.n / quota.per
        self._burst = quota.burst
        self._name = f'"{name}"'
        self.policy = self._name + ";" + _policy(quota)

    def left(self, bucket: str, wait: float = 0.0) -> Headers:
        """Both fields for a bucket; `wait` is what a refusal named."""
        free = max(0.0, self._limiter.available(bucket))
        seconds = wait if wait > 0 else (self._burst - free) / self._rate
        reset = f";t={ceil(seconds)}" if isfinite(seconds) else ""
        return [("ratelimit-policy", self.policy), ("ratelimit", f"{self._name};r={int(free)}{reset}")]


def _policy(quota: Quota) -> str:
    """Whole numbers alone may stand there: a limit below one a period is one in a longer period."""
    n, per = quota.n, quota.per
    if n < 1:
        n, per = 1.0, per / n
    if per < 1:
        n, per = n / per, 1.0
    return f"q={int(n)};w={ceil(per)}"


class Proxies:
    """Who is believed about where a request comes from.

    Args:
        trusted: addresses and networks of your own proxies; "unix" trusts whoever comes without an address, "*"
            trusts everybody, which is right only where nobody can reach the server but through a proxy.
        header: the header that those proxies write. Only one is read: the other could come from the client.

    Read from the right, where the last proxy wrote; the first address that is not a trusted proxy is the client's.
    """

    def __init__(
        self, trusted: Iterable[str], header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    ) -> None:
        """See above."""
        names = {trusted} if isinstance(trusted, str) else set(trusted)
        if header not in {"x-forwarded-for", "forwarded"}:
            raise ConfigError(f"{header!r} is no header of proxies that is read: x-forwarded-for or forwarded")
        self.header = header
        self._everybody = "*" in names
        self._unix = "unix" in names or self._everybody
        try:
            self._networks = [ip_network(name, strict=False) for name in sorted(names - {"*", "unix"})]
        except ValueError as error:
            raise ConfigError(f"a trusted proxy must be an address or a network: {error}") from None

    def trusts(self, address: str) -> bool:
        """Whether what comes from there is believed."""
        if not address:
            return self._unix
        if self._everybody:
            return True
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)

    def client(self, call: Call, peer: str) -> str:
        """The client's address."""
        if not self.trusts(peer):
            return peer
        hops = ",".join(call.lines(self.header)).rsplit(",", MOST_HOPS)[-MOST_HOPS:]
        client = peer
        for hop in reversed(hops):
            address = _address(hop if self.header == "x-forwarded-for" else _for(hop))
            if not address:
                break  # unknown, hidden, or not an address: nothing to the left of it can be relied on
            client = address
            if not self.trusts(address):
                break
        return client


def _for(element: str) -> str:
    """The `for` of one element of `Forwarded`."""
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            return value.strip('" ')
    return ""


def _address(text: str) -> str:
    """An address without its port and its brackets; empty where it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
