"""The two sites of the CDN scenario, put together of processes.

Levels:     clients - distance - edge: memory of `Levels` - distance - Redis; an edge asks the origin over a distance.
Gateways:   clients - distance - edge: `fastcascade serve`, whose route keeps answers in its memory - distance - a
            shield for each edge: `Levels` with a memory of one entry - the Redis of all shields; these ask the origin.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cdn_client import Client, Said
from cdn_model import Timed
from cdn_processes import Gateway, Parts, Redis, Script
from cdn_traces import Trace

__all__ = ["Place", "Settings", "gateways", "levels"]

NAMES: Final = {"s": "shield", "j": "joined", "o": "origin"}
CONFIG: Final = """\
[gateway]
metrics = false

[gateway.pools.shield]
instances = [{{ url = "http://127.0.0.1:{port}" }}]

[[gateway.routes]]
path = "*"
to = "shield"
cache = {{ memory = {memory} }}
"""
ADDED: Final = ("age", "cache-status", "x-request-id", "server", "connection")
"""Headers of an answer that was kept which are not kept with it."""
OVERHEAD: Final = 512
"""What the gateway counts for an entry beside its bytes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is run."""

    trace: Trace
    items: int
    since: int
    until: int
    clients: int
    """At each edge. With one, an edge is asked in the order of the trace, and the model is exact."""
    distances: tuple[float, float, float]
    """Round trips in seconds: client to edge, edge to shield, edge to origin."""
    size: int
    gateways: bool = False
    """Whether edges are gateways."""

    @property
    def timed(self) -> Timed:
        """For the model."""
        return Timed(self.clients, self.distances)


@dataclass(frozen=True, slots=True)
class Place:
    """A site that runs."""

    ports: list[int]
    """Of the edges themselves."""
    doors: list[int]
    """Of the edges, at their distance."""
    nodes: list[Script]
    """Who has `Levels`."""
    origin: Script
    distances: tuple[Script, ...]
    level: Callable[[Said], str]
    """Where an answer was found, as it says."""
    own: int = 0
    """Paths that were asked for to put it together, none of which is a key of a trace."""

    def tell(self, line: str) -> None:
        """Put the distances in between ("far"), or take them away ("near")."""
        for each in self.distances:
            each.ask(line)


def levels(parts: Parts, told: Settings) -> Place:
    """Memory and Redis of one `Levels` are edge and shield."""
    near, middle, far = told.distances
    redis = parts.add("shield", Redis(parts.folder))
    origin = parts.add("origin", Script("cdn_origin.py", str(told.size)))
    behind = _distances(parts, [(redis.port, middle), (origin.said, far)])
    shield, beyond = behind.said
    nodes = [_node(parts, "edges", told.items, shield, beyond) for _ in range(told.trace.edges)]
    ports = [each.said for each in nodes]
    doors = _distances(parts, [(port, near) for port in ports])
    return Place(ports, doors.said, nodes, origin, (behind, doors), lambda said: _named(said, "edge"))


async def gateways(parts: Parts, told: Settings) -> Place:
    """The memory of a gateway's route is the edge; one `Levels` for each edge, over one Redis, is the shield."""
    near, middle, far = told.distances
    redis = parts.add("shield", Redis(parts.folder))
    origin = parts.add("origin", Script("cdn_origin.py", str(told.size)))
    behind = _distances(parts, [(origin.said, far)])
    nodes = [_node(parts, "shield", 1, redis.port, behind.said[0]) for _ in range(told.trace.edges)]
    before = _distances(parts, [(each.said, middle) for each in nodes])
    weight = await _weight(parts, before.said[0])
    configs = [CONFIG.format(port=port, memory=told.items * weight) for port in before.said]
    edges = [parts.add("edges", Gateway(parts.folder / f"{number}.toml", each)) for number, each in enumerate(configs)]
    ports = [each.port for each in edges]
    doors = _distances(parts, [(port, near) for port in ports])

    def level(said: Said) -> str:
        hit = said.headers.get("cache-status", "").startswith("fastcascade; hit")
        return "edge" if hit else _named(said, "shield")

    return Place(ports, doors.said, nodes, origin, (behind, before, doors), level, own=1)


def _distances(parts: Parts, places: list[tuple[int, float]]) -> Script:
    """Ways to these ports, so many seconds there and back, which are near for now."""
    way = parts.add("distances", Script("cdn_distance.py", json.dumps(places)))
    way.ask("near")
    return way


def _node(parts: Parts, name: str, items: int, shield: int, origin: int) -> Script:
    return parts.add(name, Script("cdn_edge.py", json.dumps({"items": items, "shield": shield, "origin": origin})))


def _named(said: Said, memory: str) -> str:
    letter = said.headers.get("x-level", "?")
    return memory if letter == "m" else NAMES.get(letter, "none")


async def _weight(parts: Parts, port: int) -> int:
    """What an answer weighs in a gateway's cache, which is bounded by bytes: as one says whose headers can be read."""
    gateway = Gateway(parts.folder / "weight.toml", CONFIG.format(port=port, memory=1 << 20))
    client = Client(gateway.port)
    try:
        await client.get("/weight")
        said = await client.get("/weight")
    finally:
        client.close()
        gateway.stop()
    kept = {name: value for name, value in said.headers.items() if name not in ADDED}
    return len(said.body) + sum(len(name) + len(value) for name, value in kept.items()) + OVERHEAD
