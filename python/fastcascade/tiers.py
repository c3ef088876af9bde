"""One rung of the ladder: who is asked, how the reply is checked, and within which bounds."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final, cast

from fastcascade._core import Clock, Quota, RateLimiter
from fastcascade.backends.backend import Backend, Priced
from fastcascade.backends.function import Function
from fastcascade.entry.pool import DEFAULT_BREAKER, DEFAULT_RETRY, Pool
from fastcascade.entry.pooled import pool_of, pooled
from fastcascade.errors import ConfigError
from fastcascade.fallbacks.breaker import Breaker
from fastcascade.fallbacks.retry import Retry
from fastcascade.gates.gate import Gate
from fastcascade.messages import Reply, Request, Usage
from fastcascade.prices import Price, PriceSheet

if TYPE_CHECKING:
    from fastcascade.fallbacks.latencies import Latencies

__all__ = ["Tier"]

SAMPLING: Final = frozenset({"max_tokens", "temperature", "top_p", "stop", "seed", "thinking", "options"})
FREE: Final = Price(0.0, 0.0)
CHARACTERS_PER_TOKEN: Final = 4  # the providers' own rule of thumb, for English
assert {each.name for each in fields(Request)} >= SAMPLING  # noqa: S101 - a slip here must not wait for a request


class Tier:
    """A backend, or any function from a request to a text, with its gate and its bounds.

    Args:
        backend: who answers. A plain or async function is taken for `Function(function)`. A model behind an API is
            made a `Pool` of one, which retries and has a breaker; give a pool of your own to have it otherwise.
        gate: checks the reply; without one every reply is good enough.
        accept: a score at or above it is; the gate's own threshold by default.
        name: what the tier is called in traces; the backend's name by default.
        timeout: seconds for one reply, after which the next tier is tried.
        stall: seconds without a piece of a stream, after which it is given up.
        quota: requests this tier may take; `Quota(100, per="minute")`. Beyond it the next tier is tried.
        tokens: tokens this tier may take, reserved by an estimate and settled by what was used.
        price: what its model costs; else the backend is asked, then the price sheet.
        quality: how often its replies are right, from 0 to 1, as far as is known beforehand.
        expected_output: tokens a reply has on average, for estimates of cost beforehand.
        clock: what the quotas go by; for tests.
        sampling: parameters that stand in for the request's: temperature, max_tokens, top_p, stop, seed, thinking,
            options.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        backend: Backend | Callable[[Request], Any],
        *,
        gate: Gate | None = None,
        accept: float | None = None,
        name: str = "",
        timeout: float | None = None,
        stall: float = 30.0,
        quota: Quota | None = None,
        tokens: Quota | None = None,
        price: Price | None = None,
        quality: float | None = None,
        expected_output: int = 300,
        clock: Clock | None = None,
        **sampling: Any,
    ) -> None:
        """Check that the parts go together."""
        whole = hasattr(backend, "complete")
        function = cast("Callable[[Request], Any]", backend)
        self.backend: Backend = pooled(cast("Backend", backend)) if whole else Function(function)
        self.name = name or self.backend.name.replace("/", ":")  # a call's label is tier/purpose
        self.gate = gate
        self.accept = accept if accept is not None else (gate.threshold if gate else 0.0)
        self.timeout = timeout
        self.stall = stall
        self.price = price
        self.quality = quality
        self.expected_output = expected_output
        self.sampling = sampling
        self.latencies: Latencies | None = None  # counted where a hedge goes by them
        self._requests = RateLimiter(quota, clock=clock) if quota else None
        self._tokens = RateLimiter(tokens, clock=clock) if tokens else None
        self._most_tokens = tokens.burst if tokens else 0.0
        self._check()

    def _check(self) -> None:
        for label, bad in (
            ("name", not self.name or "/" in self.name),
            ("accept", not 0.0 <= self.accept <= 1.0),
            ("timeout", self.timeout is not None and not self.timeout > 0),
            ("stall", not self.stall > 0),
            ("quality", self.quality is not None and not 0.0 <= self.quality <= 1.0),
            ("expected_output", self.expected_output < 1),
        ):
            if bad:
                msg = f"tier {self.name!r}: {label} cannot be {getattr(self, label)!r}"
                raise ConfigError(msg)
        if unknown := self.sampling.keys() - SAMPLING:
            msg = f"tier {self.name!r} takes no {min(unknown)!r}; sampling parameters are {', '.join(sorted(SAMPLING))}"
            raise ConfigError(msg)
        if self.gate and (lacking := self.gate.needs - self.backend.gives):
            needed = ", ".join(sorted(lacking))
            gate, backend = type(self.gate).__name__, self.backend.name
            msg = f"tier {self.name!r}: its gate {gate} needs {needed}, which {backend!r} does not give"
            raise ConfigError(msg)

    def prepare(self, request: Request, *, gated: bool = True) -> Request:
        """The request as this tier sends it."""
        if self.sampling:
            request = replace(request, **self.sampling)
        return self.gate.prepare(request) if gated and self.gate else request

    def admit(self, request: Request) -> tuple[float, float]:
        """Take from the quotas: how many seconds until there is enough, and the tokens that were reserved."""
        reserved = 0.0
        if self._tokens is not None:
            tokens = float(request.size // CHARACTERS_PER_TOKEN + self.expected_output)
            reserved = min(tokens, self._most_tokens)
            if wait := self._tokens.admit(self.name, cost=reserved):
                return wait, 0.0
        if self._requests is not None and (wait := self._requests.admit(self.name)):
            self.settle(reserved, Usage())
            return wait, 0.0
        return 0.0, reserved

    def settle(self, reserved: float, usage: Usage) -> None:
        """Put right what was reserved, once it is known what was used."""
        if self._tokens is not None and reserved:
            self._tokens.settle(self.name, reserved=reserved, used=float(usage.input + usage.output))

    def cost(self, reply: Reply, sheet: PriceSheet) -> float | None:
        """What a reply cost, in US dollars; None where that cannot be known."""
        if reply.cost_usd is not None:
            return reply.cost_usd
        if reply.usage is None:
            return 0.0 if self.free else None
        if self.price:
            return self.price.cost(reply.usage)
        return cost_of(self.backend, reply, sheet)

    def estimate(self, request: Request, sheet: PriceSheet, *, output: int | None = None) -> float | None:
        """What a reply to this is likely to cost; None where the price is not known."""
        price = self.rate(sheet)
        if price is None:
            return None
        written = self.expected_output if output is None else output
        if request.max_tokens is not None:
            written = min(written, request.max_tokens)
        return price.cost(Usage(input=request.size // CHARACTERS_PER_TOKEN, output=written))

    def rate(self, sheet: PriceSheet) -> Price | None:
        """What its model costs."""
        return self.price or rate_of(self.backend, sheet)

    def accepting(self, accept: float) -> "Tier":
        """The same tier, quotas and all, with another threshold."""
        other = copy.copy(self)
        other.accept = accept
        other._check()  # noqa: SLF001 - it is one of us
        return other

    def through(self, retry: Retry | None, breaker: Breaker | None) -> "Tier":
        """The same tier, its calls retried so and kept behind such a breaker. A pool of one's own is left alone."""
        backend = self.backend
        if isinstance(backend, Pool) and backend.automatic:
            backend = backend.instances[0].backend
        if isinstance(backend, Pool) or hasattr(backend, "answer"):
            return self
        other = copy.copy(self)
        other.backend = pool_of(backend, retry or DEFAULT_RETRY, breaker or DEFAULT_BREAKER)
        return other

    @property
    def free(self) -> bool:
        """Whether asking it costs nothing."""
        return bool(getattr(self.backend, "free", False))

    def __repr__(self) -> str:
        """Show what matters of it."""
        return f"Tier({self.name!r}, gate={self.gate!r}, accept={self.accept})"


def rate_of(backend: Backend, sheet: PriceSheet) -> Price | None:
    """What a backend's model costs; None where that is not known."""
    if getattr(backend, "free", False):
        return FREE
    own: Price | None = getattr(backend, "price", None)
    listed = getattr(backend, "listed", backend.name)
    return own or sheet.price(listed, provider=getattr(backend, "provider", None))


def cost_of(backend: Backend, reply: Reply, sheet: PriceSheet) -> float | None:
    """What a reply from this backend cost, with no tier to say so."""
    if reply.cost_usd is not None:
        return reply.cost_usd
    if getattr(backend, "free", False):
        return 0.0
    if reply.usage is None:
        return None
    if isinstance(backend, Priced) and (cost := backend.cost(reply.model, reply.usage)) is not None:
        return cost
    own: Price | None = getattr(backend, "price", None)
    if own is not None:
        return own.cost(reply.usage)
    return sheet.cost(reply.model or backend.name, reply.usage, provider=getattr(backend, "provider", None))


def positions(tiers: tuple[Tier, ...]) -> Mapping[str, int]:
    """The place of each tier by name; two of one name are an error."""
    places: dict[str, int] = {}
    for place, tier in enumerate(tiers):
        if tier.name in places:
            msg = f"two tiers are called {tier.name!r}; give one another name: Tier(..., name=...)"
            raise ConfigError(msg)
        places[tier.name] = place
    return places
