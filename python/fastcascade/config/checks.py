"""What no part of a file can know for itself: whether the names it says are those of tiers, and how links follow."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastcascade.config.document import Node
from fastcascade.config.families import FAMILIES, Link
from fastcascade.errors import ConfigError
from fastcascade.fallbacks.chain import Chain

if TYPE_CHECKING:
    from fastcascade.config.reader import Reader

__all__ = ["checked"]


def checked(reader: "Reader", node: Node, tiers: Mapping[str, Node], doubtful: frozenset[str]) -> frozenset[str]:
    """Look at the whole; the settings that are in doubt besides."""
    found: set[str] = set()
    ladder = [name for name, each in tiers.items() if each.path[len(node.path)] == "tiers"]
    listed = node.value.get("tiers")
    if isinstance(listed, list) and len(ladder) == len(listed):  # else a name may be that of a tier with a mistake
        for place, name in _named(node):
            if name not in ladder:
                reader.unknown(place, "tier", name, ladder)
                found.add(str(place.path[len(node.path)]))
    if doubtful & {"tiers", "fallbacks"} and "fallbacks" in node.value:  # else the cascade itself will tell
        _chained(reader, node["fallbacks"])
    return frozenset(found)


def _named(node: Node) -> Iterator[tuple[Node, str]]:
    """Wherever a tier is named."""
    for path in (("lanes", "large"), ("lanes", "rules", "start"), ("lanes", "rules", "end")):
        for place in _at(node, path):
            if isinstance(place.value, str) and place.value and not re.match("env:|literal:", place.value):
                yield place, place.value
    for name in ("quality", "spread"):
        for place in _at(node, ("policy", name)):
            keys = place.keys if isinstance(place.value, dict) and set(place.value) != {"function"} else ()
            yield from ((place[key], key) for key in keys)


def _at(node: Node, path: tuple[str, ...]) -> Iterator[Node]:
    if isinstance(node.value, list):
        for each in node:
            yield from _at(each, path)
    elif not path:
        yield node
    elif isinstance(node.value, dict) and path[0] in node.value:
        yield from _at(node[path[0]], path[1:])


def _chained(reader: "Reader", links: Node) -> None:
    """Look at the order of the links, for which it is enough to know what kind each is."""
    if not isinstance(links.value, list):
        return
    known: list[tuple[Node, Any]] = []
    for each in links:
        kind = each.value.get("kind") if isinstance(each.value, dict) else each.value
        made = FAMILIES[Link].kind(kind) if isinstance(kind, str) else None
        if made is not None:
            known.append((each, made.__new__(made)))
    try:
        Chain.of([link for _, link in known])
    except ConfigError as error:
        number, _, problem = re.sub(r"^fallbacks\[(\d+)\]: ", r"\1\n", str(error)).partition("\n")
        reader.mistake(known[int(number)][0], problem)
