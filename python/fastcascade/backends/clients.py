"""One client per event loop: the connections of an SDK's pool belong to the loop that opened them."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from hashlib import blake2b
from os import urandom
from threading import Lock
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["Account", "PerLoop", "account"]

T = TypeVar("T")
SECRET: Final = urandom(16)


class Account(bytes):
    """A digest under this process's own secret.

    `lasting` is the same in all processes, or empty. It never leaves one as it is: a key that can be guessed could be
    known by it.
    """

    lasting: bytes = b""


def account(*parts: object, lasting: bool = True) -> Account:
    """What tells apart who is asked, where and under which key: the key itself cannot be had from it.

    Args:
        parts: who, where, which model, which key.
        lasting: whether these mean the same in another process.
    """
    told = repr(parts).encode()
    made = Account(blake2b(told, digest_size=16, key=SECRET).digest())
    if lasting:
        made.lasting = blake2b(told, digest_size=32, person=b"account").digest()
    return made


class PerLoop(Generic[T]):
    """Gives each event loop a client of its own, made when it is first asked for.

    A loop that ends as `asyncio.run` ends it closes its client on the way out, so that `aclose` is needed only
    where a loop lives on without its client.
    """

    def __init__(self, factory: Callable[[], T], close: Callable[[T], Awaitable[None]] | None = None) -> None:
        """Keep how a client is made, and how it is closed."""
        from asyncio import get_running_loop  # noqa: PLC0415 # importing the package must not load asyncio

        self._running = get_running_loop
        self._factory = factory
        self._close = close
        self._made: WeakKeyDictionary[AbstractEventLoop, tuple[T, AsyncGenerator[None] | None]] = WeakKeyDictionary()
        self._lock = Lock()

    def get(self) -> T:
        """The client of the running loop. `RuntimeError` where no loop runs."""
        loop = self._running()
        made = self._made.get(loop)
        return made[0] if made is not None else self._make(loop)

    async def aclose(self) -> None:
        """Close the client of the running loop; the next `get` makes a new one."""
        with self._lock:
            made = self._made.pop(self._running(), None)
        if made is None:
            return
        client, holder = made
        if holder is not None:
            await holder.aclose()
        elif self._close is not None:
            await self._close(client)

    def _make(self, loop: "AbstractEventLoop") -> T:
        client = self._factory()
        holder = None
        if self._close is not None:
            holder = _holder(client, self._close)
            _begin(holder)
        with self._lock:
            # A pool refers to its loop, so that a weak key alone would keep both for ever.
            for old in [each for each in self._made if each.is_closed()]:
                del self._made[old]
            self._made[loop] = (client, holder)
        return client


async def _holder(client: T, close: Callable[[T], Awaitable[None]]) -> AsyncGenerator[None]:
    """Hold a client until the loop shuts its asynchronous generators down."""
    try:
        yield
    finally:
        await close(client)


def _begin(holder: AsyncGenerator[None]) -> None:
    """Run a holder up to where it waits, which the loop takes note of."""
    try:
        holder.__anext__().__await__().__next__()
    except StopIteration:
        return
