"""The Redis store's connections: one pool for each event loop, errors in our own words, and who waits for news.

What a server says word for word is never repeated: it may hold what was sent to it.
"""

from asyncio import Lock, Task, create_task, get_running_loop, timeout, wait
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from redis import exceptions

from fastcascade.errors import StoreError
from fastcascade.shared import codes
from fastcascade.stores.redis_scripts import MEND, MENDED, ORDERS, Script

__all__ = ["Link", "text_of"]

CODES: Final = {
    **codes.CODES,
    "NOPERM": "does not let this user do that: it needs EVALSHA, EVAL, XREAD, XREVRANGE and what the scripts call",
    "WRONGTYPE": "holds something else under one of the store's keys: choose another prefix",
    "DAMAGED": "holds a review that cannot be read, or what is none of ours under the store's keys",
    "CROSSSLOT": "is part of a cluster, and the prefix puts the keys into several slots",
}
CODE: Final = codes.pattern_of(CODES)
KINDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (exceptions.AuthenticationError, "WRONGPASS"),
    (exceptions.NoPermissionError, "NOPERM"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
    (exceptions.ClusterCrossSlotError, "CROSSSLOT"),
    (exceptions.MovedError, "MOVED"),
)
"""Of these redis-py takes the code from the message."""


class Link:
    """The client of one event loop, and those of it who wait for news."""

    def __init__(self, client: Any, where: str, keys: Sequence[bytes], seconds: float) -> None:
        """Take a client of redis-py's, which connects when it is first used."""
        self.client = client
        self.checking = Lock()
        self.lost = False
        self._where = where
        self._keys = keys
        self._seconds = seconds
        self._mark = "0-0"
        self._reading: Task[None] | None = None
        self._waiting = 0

    async def run(self, script: Script, *args: str | bytes | int) -> Any:
        """Run a script by its hash, or by its text where the server does not know it yet."""
        given = (*self._keys, *[each if isinstance(each, bytes | int) else encoded(each) for each in args])

        async def run() -> Any:
            try:
                return await self.client.evalsha(script.sha, len(self._keys), *given)
            except exceptions.NoScriptError:
                return await self.client.eval(script.text, len(self._keys), *given)

        return await self.ask(run)

    async def ask(self, asking: Callable[[], Any]) -> Any:
        """Do something within the time; what goes wrong is a `StoreError`."""
        try:
            async with timeout(self._seconds):
                return await asking()
        except (TimeoutError, exceptions.TimeoutError):
            self._fail(f"has not replied within {self._seconds:g} s{codes.UNSURE}")
        except (exceptions.RedisError, exceptions.RedisClusterException, OSError, EOFError) as error:
            # A server that was gone may have come back with less than it said it had.
            self.lost = self.lost or not isinstance(error, exceptions.ResponseError)
            self._fail(_told(error))

    async def risk(self) -> str:
        """By which of its settings the server may lose what it has taken; empty where it keeps all."""
        info = {
            **await self._setting(lambda there: self.client.info("persistence", **there)),
            **await self._setting(lambda there: self.client.info("memory", **there)),
        }
        config = await self._setting(lambda there: self.client.config_get("appendfsync", **there))
        return "; ".join(_risks(info, config))

    async def mend(self) -> int:
        """Put right what a server that died in the middle of writing made of the orders; how much that was.

        Redis and Valkey cut a file that ends in the middle of a change behind its last whole command, and so leave the
        beginning of a transaction that never ends: when the file is read the next time, that beginning is carried
        out with the change that follows it. So the orders are gone over once in each run of the server.
        """
        told = await self._setting(lambda there: self.client.info("server", **there))
        run = told.get("run_id") or told.get("server_run_id") or ""
        if run and await self.run(MENDED, "") == run.encode():
            return 0
        mended = 0
        for name in ORDERS:
            cursor: bytes = b"0"
            while True:
                cursor, some = await self.run(MEND, name, cursor)
                mended += some
                if cursor == b"0":
                    break
        if run:
            await self.run(MENDED, run)
        return mended

    async def _setting(self, asking: Callable[[dict[str, Any]], Any]) -> dict[str, str]:
        """What the server says of itself; nothing where it does not let us ask. In a cluster it is the keys' node."""

        async def told() -> Any:
            there: dict[str, Any] = {}
            if hasattr(self.client, "get_node_from_key"):
                await self.client.initialize()
                there["target_nodes"] = self.client.get_node_from_key(self._keys[0].decode("utf-8", "surrogatepass"))
            try:
                return await asking(there)
            except exceptions.NoPermissionError:
                return {}
            except exceptions.ResponseError as error:
                if CODE.search(str(error)) is None:
                    return {}
                raise

        return {text_of(name): text_of(value) for name, value in dict(await self.ask(told)).items()}

    def _fail(self, what: str) -> NoReturn:
        msg = f"redis at {self._where} {what}"
        raise StoreError(msg) from None

    async def after(self, mark: str, seconds: float) -> str:
        """Sleep until there is news after the mark, at most so long; comes to the mark of the last news."""
        if not mark:
            return await self._last()
        clock = get_running_loop().time
        end = clock() + seconds
        self._waiting += 1
        try:
            while _place(self._mark) <= _place(mark) and (left := end - clock()) > 0:
                if self._reading is None or self._reading.done():
                    self._mark = mark
                    self._reading = create_task(self._read(mark))
                    self._reading.add_done_callback(_looked_at)
                done, _ = await wait({self._reading}, timeout=left)
                if any(each.cancelled() for each in done):
                    self._fail("is not listened to any more: the store was closed")
                for each in done:
                    each.result()
            return max(self._mark, mark, key=_place)
        finally:
            self._waiting -= 1
            if not self._waiting and self._reading is not None:
                self._reading.cancel()
                self._reading = None

    async def _read(self, mark: str) -> None:
        """One blocking read serves all who wait. It ends before the socket's timeout, and is begun anew."""
        longest = max(1, int(self._seconds * 500))
        if await self.ask(lambda: self.client.xread({self._keys[-1]: mark}, count=1, block=longest)):
            self._mark = await self._last()

    async def _last(self) -> str:
        found = await self.ask(lambda: self.client.xrevrange(self._keys[-1], count=1))
        return text_of(found[0][0]) if found else "0-0"

    async def aclose(self) -> None:
        """Close the connections."""
        if self._reading is not None:
            self._reading.cancel()
        await self.client.aclose()


def _told(error: Exception) -> str:
    for kind, code in KINDS:
        if isinstance(error, kind):
            return CODES[code]
    known = CODE.search(str(error))
    if known is not None:
        return CODES[known[1]]
    if isinstance(error, exceptions.ResponseError | exceptions.DataError):
        return codes.REFUSED
    return f"cannot be reached, or the connection was lost{codes.UNSURE}"


def _risks(info: Mapping[str, str], config: Mapping[str, str]) -> Iterator[str]:
    synced = config.get("appendfsync", "")
    if info.get("aof_enabled") == "0":
        yield "without appendonly yes, what came in since the last snapshot is gone when the server stops"
    elif not synced:
        yield "it does not say whether appendfsync is always; what it is not may be gone when its machine stops"
    elif synced != "always":
        yield f"with appendfsync {synced}, the last second or more may be gone when its machine stops; set it to always"
    policy = info.get("maxmemory_policy", "")
    if policy.startswith("allkeys") and info.get("maxmemory") != "0":
        yield f"with maxmemory-policy {policy}, a full server drops reviews; set it to noeviction"


def _looked_at(task: "Task[None]") -> None:
    """Asyncio complains of an error nobody waited for, as where all waiters have run out of time just then."""
    if not task.cancelled():
        task.exception()


def _place(mark: str) -> tuple[int, int]:
    first, _, second = mark.partition("-")
    try:
        return int(first), int(second or 0)
    except ValueError:
        msg = f"not a mark that news gave: {mark!r}"
        raise StoreError(msg) from None


def encoded(text: str) -> bytes:
    """A text as Redis keeps it: a model may have written half of a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")


def text_of(value: Any) -> str:
    """What Redis gave back, as a text."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else str(value)
