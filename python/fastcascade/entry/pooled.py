"""The pool that a backend has by itself: one for each, however many tiers and judges ask it."""

from typing import Final
from weakref import ReferenceType, ref

from fastcascade.backends.backend import Backend
from fastcascade.entry.pool import DEFAULT_BREAKER, DEFAULT_RETRY, Pool
from fastcascade.fallbacks.breaker import Breaker
from fastcascade.fallbacks.retry import Retry

__all__ = ["pool_of", "pooled"]

_pools: Final[dict[tuple[int, Retry, Breaker], ReferenceType[Pool]]] = {}


def pooled(backend: Backend, retry: Retry = DEFAULT_RETRY, breaker: Breaker = DEFAULT_BREAKER) -> Backend:
    """A backend that is asked over a network as a pool of one: with retries, a breaker, and its provider's times.

    The same backend comes to the same pool, so that all who ask it wait when they must. One that says nothing of
    being remote, such as a function of yours, is asked as it is, once.
    """
    if not getattr(backend, "remote", False) or isinstance(backend, Pool):
        return backend
    return pool_of(backend, retry, breaker)


def pool_of(backend: Backend, retry: Retry, breaker: Breaker) -> Pool:
    """The pool of one around this very backend, with these settings; the same as long as somebody has it."""
    key = (id(backend), retry, breaker)
    known = _pools.get(key)
    pool = known() if known is not None else None
    if pool is None or pool.instances[0].backend is not backend:
        pool = Pool(backend, retry=retry, breaker=breaker)
        pool.automatic = True
        _pools[key] = ref(pool, lambda _gone: _pools.pop(key, None))
    return pool
