"""More than one real server: a primary with replicas and sentinels, and a cluster; to be killed, frozen and healed."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from redis_server import WHY_NOT, RedisServer, binary
from reviews import quick_folder

__all__ = ["Cluster", "Sentinels", "redis_cluster", "redis_sentinels", "says", "until"]

FORGETFUL: Final = ("--appendonly", "no", "--save", "", "--repl-diskless-sync-delay", "0")
NODE_TIMEOUT: Final = 500
PATIENCE: Final = 30.0


class Cluster:
    """Primaries, and as many replicas, each of the primary with its number."""

    def __init__(self, primaries: Sequence[RedisServer], replicas: Sequence[RedisServer]) -> None:
        self.primaries = primaries
        self.replicas = replicas

    @property
    def servers(self) -> list[RedisServer]:
        """All of them."""
        return [*self.primaries, *self.replicas]

    @property
    def url(self) -> str:
        """Where it is, by its primaries."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{each.port}' for each in self.primaries)}"

    def start(self) -> None:
        """Give each primary its slots and each replica its primary; come back once all agree."""
        count = len(self.primaries)
        for server in self.servers:
            server.start()
        for number, server in enumerate(self.primaries):
            first, last = number * 16_384 // count, (number + 1) * 16_384 // count - 1
            server.tell("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            server.tell("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        for server in self.servers[1:]:
            server.tell("CLUSTER", "MEET", "127.0.0.1", str(self.primaries[0].port))
        for server in self.servers:
            until(says(server, "CLUSTER", "NODES", words="connected", times=len(self.servers)))
        for primary, replica in zip(self.primaries, self.replicas, strict=False):
            name = primary.tell("CLUSTER", "MYID").split("\r\n")[1]
            until(says(replica, "CLUSTER", "REPLICATE", name, words="+OK"))
        for server in self.servers:
            until(says(server, "CLUSTER", "INFO", words="cluster_state:ok"))
            until(says(server, "CLUSTER", "SLOTS", words="127.0.0.1", times=len(self.servers)))
        for replica in self.replicas:
            until(says(replica, "INFO", "replication", words="master_link_status:up"))

    def kill(self) -> None:
        """End all."""
        for server in self.servers:
            server.kill()


class Sentinels:
    """A primary with replicas, and sentinels that watch it by the name of `mymaster`."""

    def __init__(self, servers: Sequence[RedisServer], sentinels: Sequence["SentinelServer"]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """Where it is, by its sentinels."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.sentinels)}/mymaster/0"

    def start(self) -> None:
        """Come back once all sentinels know of each other and of the replicas."""
        primary, *replicas = self.servers
        for server in self.servers:
            server.start()
        for replica in replicas:
            replica.tell("REPLICAOF", "127.0.0.1", str(primary.port))
        for replica in replicas:
            until(says(replica, "INFO", "replication", words="master_link_status:up"))
        until(says(primary, "INFO", "replication", words="state=online", times=len(replicas)))
        for sentinel in self.sentinels:
            sentinel.watch(primary.port, len(self.sentinels) // 2 + 1)
        all_known = f"slaves={len(replicas)},sentinels={len(self.sentinels)}"
        for sentinel in self.sentinels:
            until(says(sentinel, "INFO", "sentinel", words=all_known))

    def primary(self) -> RedisServer:
        """The one that most sentinels name."""
        named = [each.named() for each in self.sentinels if each.running]
        port = max(named, key=named.count)
        return next(each for each in self.servers if each.port == port)

    def kill(self) -> None:
        """End all."""
        for server in (*self.servers, *self.sentinels):
            server.kill()


class SentinelServer(RedisServer):
    """One sentinel."""

    def watch(self, port: int, quorum: int) -> None:
        """Begin, and look after the primary at a port."""
        config = self.folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor mymaster 127.0.0.1 {port} {quorum}\n"
            "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n"
        )
        self.settings = ("--sentinel",)
        self.run([str(config), "--sentinel"], b"+monitor")

    def named(self) -> int:
        """The port of the primary, by this one."""
        return int(self.tell("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster").split("\r\n")[4])


def says(server: RedisServer, *command: str, words: str, times: int = 1) -> Callable[[], bool]:
    """Whether a server says something, so many times at least."""
    return lambda: server.tell(*command).count(words) >= times


def until(holds: Callable[[], bool]) -> None:
    """Come back once something holds; look at it often."""
    pause = threading.Event()
    for _ in range(int(PATIENCE * 100)):
        try:
            if holds():
                return
        except (OSError, IndexError, ValueError):
            pass
        pause.wait(0.01)
    pytest.fail("what was waited for has not come")


@contextmanager
def _folders(count: int) -> Iterator[list[Path]]:
    if binary() is None:
        pytest.skip(WHY_NOT)
    with ExitStack() as stack:
        make = (TemporaryDirectory(prefix="fastcascade-redis-", dir=quick_folder()) for _ in range(count))
        yield [Path(stack.enter_context(each)) for each in make]


@contextmanager
def redis_cluster(primaries: int = 3, *, replicas: bool = False) -> Iterator[Cluster]:
    """A cluster, with a replica for each primary if so told."""
    settings = (
        *FORGETFUL,
        *("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT)),
        *("--cluster-replica-validity-factor", "0", "--repl-ping-replica-period", "1"),
    )
    with _folders(primaries * (2 if replicas else 1)) as folders:
        servers = [RedisServer(each, *settings) for each in folders]
        cluster = Cluster(servers[:primaries], servers[primaries:])
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.kill()


@contextmanager
def redis_sentinels(servers: int = 2, sentinels: int = 3) -> Iterator[Sentinels]:
    """A primary, replicas of it, and sentinels."""
    with _folders(servers + sentinels) as folders:
        site = Sentinels(
            [RedisServer(each, *FORGETFUL) for each in folders[:servers]],
            [SentinelServer(each) for each in folders[servers:]],
        )
        try:
            site.start()
            yield site
        finally:
            site.kill()
