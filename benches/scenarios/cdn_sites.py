"""The two sites of the CDN scenario, put together of processes.

Levels:     clients - distance - edge: memory of `Levels` - distance - Redis; an edge asks the origin over a distance.
Gateways:   clients - distance - edge: `fastcascade serve`, whose cached route has its memory - distance - the Redis
            that all share; an edge asks the origin over a distance.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cdn_client import Said
from cdn_model import Timed
from cdn_processes import Gateway, Parts, Redis, Script
from cdn_traces import Trace

__all__ = ["Place", "Settings", "gateways", "levels"]

NAMES: Final = {"s": "shield", "j": "joined", "o": "origin"}
CONFIG: Final = """\
[gateway]
metrics = false

[gateway.shared]
url = "redis://127.0.0.1:{shield}/0"
timeout = 2.0

[gateway.pools.origin]
instances = [{{ url = "http://127.0.0.1:{origin}" }}]

[[gateway.routes]]
path = "*"
to = "origin"
cache = {{ items = {items}, memory = 1_000_000_000 }}
"""


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
    """Who can say what their levels have counted."""
    origin: Script
    distances: tuple[Script, ...]
    level: Callable[[Said], str]
    """Where an answer was found, as it says."""

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


def gateways(parts: Parts, told: Settings) -> Place:
    """As `levels`, where the edges are gateways."""
    near, middle, far = told.distances
    redis = parts.add("shield", Redis(parts.folder))
    origin = parts.add("origin", Script("cdn_origin.py", str(told.size)))
    behind = _distances(parts, [(redis.port, middle), (origin.said, far)])
    shield, beyond = behind.said
    config = CONFIG.format(shield=shield, origin=beyond, items=told.items)
    numbers = range(told.trace.edges)
    edges = [parts.add("edges", Gateway(parts.folder / f"{number}.toml", config)) for number in numbers]
    ports = [each.port for each in edges]
    doors = _distances(parts, [(port, near) for port in ports])
    return Place(ports, doors.said, [], origin, (behind, doors), _told)


def _told(said: Said) -> str:
    """The level of a gateway's answer, by its Cache-Status (RFC 9211)."""
    words = said.headers.get("cache-status", "").split("; ")
    if "hit" in words:
        return "shield" if "detail=shared" in words else "edge"
    return "joined" if "collapsed" in words else "origin" if words[0] == "fastcascade" else "none"


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
