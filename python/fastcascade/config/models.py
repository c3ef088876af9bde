"""`[gateway.models]`: names that clients may ask for beside those of cascades.

    "fast"              = { tier = "chat/small" }            one tier of a cascade, and no other
    "gpt-5"             = { cascade = "chat" }               another name of a cascade
    "claude-haiku-4-5"  = { passthrough = "anthropic", api_key = "env:ANTHROPIC_API_KEY" }

What is passed through goes to that backend alone, with no gate and nothing behind it. Beside the kind stand the
settings of the backend; the model is that of the name unless it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastcascade.backends.backend import Backend
from fastcascade.cascade import Cascade
from fastcascade.config.building import BAD
from fastcascade.config.document import Node
from fastcascade.config.families import FAMILIES
from fastcascade.config.reader import Reader
from fastcascade.config.references import FUNCTION
from fastcascade.config.settings import settings_of
from fastcascade.messages import Budget
from fastcascade.prices import Price, PriceSheet
from fastcascade.tiers import Tier

__all__ = ["Model", "model_of"]

WAYS: Final = ("tier", "cascade", "passthrough")
UNBOUND: Final = Budget(deadline=None)


@dataclass(frozen=True, slots=True)
class Model:
    """What a name stands for: a cascade, maybe one tier of it alone; or a cascade of its own, which passes through."""

    cascade: str = ""
    tier: str = ""
    through: Cascade | None = None


def model_of(node: Node, cascades: Mapping[str, Any], prices: PriceSheet | None, reader: Reader) -> Any:
    """Read one; `BAD` where it cannot be. What is passed through costs what this sheet says."""
    name = str(node.path[-1])
    if not isinstance(node.value, dict):
        return reader.wrong(node, Mapping[str, Any])
    if name in cascades:
        return reader.mistake(node, f"{name!r} is the name of a cascade already")
    ways = [each for each in WAYS if each in node.value]
    if len(ways) != 1:
        for key in [] if ways else node.keys:
            reader.stray(node[key], [*WAYS])
        return BAD if node.value and not ways else reader.mistake(node, f"needs one of: {', '.join(WAYS)}")
    if ways == ["passthrough"]:
        return _through(node, name, prices, reader)
    for key in node.keys:
        if key != ways[0]:
            reader.stray(node[key], ways)
    meant = reader.read(node[ways[0]], str)
    return BAD if meant is BAD else _named(node[ways[0]], ways[0], meant, cascades, reader)


def _named(node: Node, way: str, meant: str, cascades: Mapping[str, Any], reader: Reader) -> Any:
    name, slash, tier = meant.partition("/")
    if way == "tier" and not slash and len(cascades) == 1:
        name, tier = next(iter(cascades)), meant  # there is but one cascade it can be of
    if name not in cascades:
        return reader.unknown(node, "cascade", name, list(cascades))
    cascade = cascades[name]
    if way == "cascade":
        return Model(name) if not slash else reader.mistake(node, f"names a tier: write tier = '{meant}'")
    if isinstance(cascade, Cascade) and tier not in cascade.places:
        return reader.unknown(node, "tier", tier, list(cascade.places))
    return Model(name, tier)


def _through(node: Node, name: str, prices: PriceSheet | None, reader: Reader) -> Any:
    family, place = FAMILIES[Backend], node["passthrough"]
    kind = place.value
    if not isinstance(kind, str):
        return reader.wrong(place, str)
    target = family.kind(kind)
    if target is None and not FUNCTION.fullmatch(kind):
        return reader.unknown(place, "kind", kind, list(family.kinds))
    table = {key: each for key, each in node.value.items() if key != "passthrough"}
    own = settings_of(target).by_name if target is not None else {}
    price = table.pop("price", None) if "price" not in own else None
    if "model" in own:
        table.setdefault("model", name)
    lines = {**node.lines, (*node.path, "kind"): place.line}
    backend = reader.read(Node({"kind": kind, **table}, node.path, lines), Backend)
    cost = None if price is None else reader.read(node["price"], Price)
    if backend is BAD or cost is BAD:
        return BAD
    tier = Tier(backend, name=name.replace("/", ":"), price=cost)
    return Model(through=Cascade(tier, budget=UNBOUND, prices=prices, refusals="accept", last_resort=None))
