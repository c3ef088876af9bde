"""`[gateway.models]`: names that clients may ask for beside those of cascades.

    "fast"              = { tier = "chat/small" }            one tier of a cascade, and no other
    "gpt-5"             = { cascade = "chat" }               another name of a cascade
    "claude-haiku-4-5"  = { passthrough = "anthropic", api_key = "env:ANTHROPIC_API_KEY" }

    "claude-*"          = { passthrough = "anthropic", api_key = "env:ANTHROPIC_API_KEY" }

What is passed through goes to that backend alone, with no gate and nothing behind it. Beside the kind stand the
settings of the backend; the model is that of the name unless it is given.

A client that speaks as the backend does has its bytes passed on as they are: Messages by "anthropic", chat completions
and responses by "openai", either by "direct". What the other kind of client asks is translated, as for a cascade. A
name with a star is for all that begin so, the longest first, and only for what can be passed on as it is. It is no
model itself: /v1/models does not list it, and who asks for it by that is told to name one. The provider's own list is
not asked for. A model under a star is listed where it stands beside it by its name, or in the `models` of a key.

    "claude-*" = { passthrough = "anthropic", api_key = "env:ANTHROPIC_API_KEY", instead = "chat" }

With `instead`, that is how a cascade takes over a model that clients ask for already: in observe mode what they ask is
passed on, and what the cascade would have done is noted beside; where that is enforced, the cascade answers.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.backends.backend import Backend
from fastcascade.cascade import Cascade
from fastcascade.config.building import BAD
from fastcascade.config.document import Node
from fastcascade.config.families import FAMILIES, squashed
from fastcascade.config.reader import Reader
from fastcascade.config.references import FUNCTION, is_secret
from fastcascade.config.settings import settings_of
from fastcascade.messages import Budget
from fastcascade.prices import Price, PriceSheet
from fastcascade.tiers import Tier

if TYPE_CHECKING:
    from fastcascade.backends.direct import WireName

__all__ = ["STAR", "Model", "Raw", "model_of"]

WAYS: Final = ("tier", "cascade", "passthrough")
UNBOUND: Final = Budget(deadline=None)
STAR: Final = "*"
INSTEAD: Final = "instead"
PASSED: Final = ("base_url", "api_key", "headers", "timeout", "connections", "ca", "organization")
"""Settings of a backend that are about the way to it; the others are about how a request is written."""
PROOFS: Final = frozenset({"authorization", "x-api-key"})


@dataclass(frozen=True, slots=True)
class Raw:
    """How bytes reach a provider as they are.

    Args:
        name: what it is called in records; that of the tier that translates.
        wire: how the provider speaks.
        base_url: where it is.
        api_key: the key there; empty is none.
        headers: sent with every request.
        timeout: in seconds, for each read; None is the usual.
        connections: how many at once; None is the usual.
        ca: a file of certificates to trust in place of the system's.
        price: what its models cost, else `prices` are asked.
        prices: a price sheet.
    """

    name: str
    wire: "WireName"
    base_url: str
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float | None = None
    connections: int | None = None
    ca: Path | None = None
    price: Price | None = None
    prices: PriceSheet | None = None

    @property
    def sends_key(self) -> bool:
        """Whether it says who asks, by a key or by a header."""
        return bool(self.api_key) or not PROOFS.isdisjoint(self.headers)


@dataclass(frozen=True, slots=True)
class Model:
    """What a name stands for: a cascade, maybe one tier of it alone; or what is passed through.

    Args:
        cascade: by its name; empty where it is passed through.
        tier: of that cascade, and no other.
        through: a cascade of its own, which translates; None for a name with a star.
        raw: how bytes are passed on as they are, where they can be.
        instead: the cascade that is observed beside what is passed on, and answers in its place where that is enforced.
    """

    cascade: str = ""
    tier: str = ""
    through: Cascade | None = None
    raw: Raw | None = None
    instead: str = ""


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
    if STAR in name and (ways != ["passthrough"] or name.index(STAR) != len(name) - 1):
        return reader.mistake(node, "a star stands at the end of a name, and for what is passed through")
    if ways == ["passthrough"]:
        return _through(node, name, cascades, prices, reader)
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


def _through(node: Node, name: str, cascades: Mapping[str, Any], prices: PriceSheet | None, reader: Reader) -> Any:
    family, place = FAMILIES[Backend], node["passthrough"]
    kind = place.value
    if not isinstance(kind, str):
        return reader.wrong(place, str)
    target = family.kind(kind)
    if target is None and not FUNCTION.fullmatch(kind):
        return reader.unknown(place, "kind", kind, list(family.kinds))
    table = {key: each for key, each in node.value.items() if key not in ("passthrough", INSTEAD)}
    instead = reader.read(node[INSTEAD], str) if INSTEAD in node.value else ""
    if instead and instead is not BAD and instead not in cascades:
        instead = reader.unknown(node[INSTEAD], "cascade", instead, list(cascades))
    own = settings_of(target).by_name if target is not None else {}
    price = table.pop("price", None) if "price" not in own else None
    if "model" in own:
        table.setdefault("model", name)
    lines = {**node.lines, (*node.path, "kind"): place.line}
    backend = reader.read(Node({"kind": kind, **table}, node.path, lines), Backend)
    cost = None if price is None else reader.read(node["price"], Price)
    if backend is BAD or cost is BAD or instead is BAD:
        return BAD
    tier = Tier(backend, name=name.replace("/", ":"), price=cost)
    found = {} if target is None else {key: own[key].hint for key in PASSED if key in own and key in table}
    given = {key: reader.read(node[key], hint, secret=is_secret(key)) for key, hint in found.items()}
    raw = None
    if "client" not in table and table.get("model") == name:
        raw = _raw(tier, backend, squashed(kind), table.get("wire"), given, prices)
    if STAR in name:
        told = "a name with a star is for anthropic, openai or direct, with a key or a base_url, and no model or client"
        return Model(raw=raw, instead=instead) if raw is not None else reader.mistake(node, told)
    return Model(
        through=Cascade(tier, budget=UNBOUND, prices=prices, refusals="accept", last_resort=None),
        raw=raw,
        instead=instead,
    )


def _raw(
    tier: Tier, backend: Any, kind: str, wire: Any, given: Mapping[str, Any], prices: PriceSheet | None
) -> Raw | None:
    """How the bytes get there; None where this kind cannot be asked so, or finds its credentials some other way."""
    from fastcascade.backends.direct import KEYS  # noqa: PLC0415 - sockets, for those who pass something through

    if kind != "direct":
        wire = kind
    if wire not in KEYS:
        return None
    headers = {name.lower(): value for name, value in (given.get("headers") or {}).items()}
    if organization := given.get("organization"):
        headers.setdefault("openai-organization", organization)
    key, url = given.get("api_key") or "", given.get("base_url")
    if not key and (kind == "anthropic" or not url):  # as the backend itself looks for it
        key = next((found for name in KEYS[wire] if (found := os.environ.get(name))), "")
    if not key and not url and PROOFS.isdisjoint(headers):
        return None
    return Raw(
        tier.name, wire, backend.provider, key, headers, given.get("timeout"), given.get("connections"),
        given.get("ca"), tier.price or getattr(backend, "price", None), prices,
    )  # fmt: skip
