"""Which requests are passed on as they are: one look at the model that a body names, and at who asks.

    same words, a caller of whom nothing must be held    its bytes go on (`Passthrough`), and come back
    other words, or what a body does not say is bound    the cascade of that name, which translates
    a name with a cascade `instead`                      that cascade, but for what is observed: see observe.py

Where nothing can be passed on as it is, none of this is in the way: bodies are then read once, by the endpoint.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cascade import Cascade
from fastcascade.config.models import STAR, Model
from fastcascade.errors import WireError
from fastcascade.gateway.passthrough import PATHS, Passthrough, bare
from fastcascade.gateway.passthrough_usage import Peeked, peek
from fastcascade.wire import endpoint_headers as heads
from fastcascade.wire.endpoint import ANYONE, Caller, Endpoint, Response
from fastcascade.wire.endpoint_fields import MARK
from fastcascade.wire.endpoint_models import LONGEST, Choice, Models, described
from fastcascade.wire.endpoint_turn import said

if TYPE_CHECKING:
    from fastcascade.backends.direct import WireName
    from fastcascade.wire.endpoint_paths import Place

__all__ = ["Choosing", "Named"]

WIRES: Final[Mapping[str, "WireName"]] = {path: wire for wire, paths in PATHS.items() for path in paths}
RECORDED: Final = frozenset({"customer", "feature", "id", "priority", "route", "session", "task"})
"""Fields of a request that say whose it is, and change nothing of what a provider is asked."""
SET: Final = RECORDED | {"user"}
COUNTED: Final = SET | {"budget"}
"""What may be set for one whose money is counted when it has been spent: see `passthrough_account`."""
LOCKED: Final = RECORDED | {"budget", "callback", "max_tier", "min_tier", "regenerate"}
BOUNDS: Final[Mapping[str, str]] = {
    f"{MARK}budget-usd": "budget",
    f"{MARK}deadline": "budget",
    f"{MARK}max-tier": "max_tier",
    f"{MARK}min-tier": "min_tier",
}
"""Headers by which a client bounds its request, which a cascade holds and a provider does not."""


class Named(Models):
    """Cascades by name, and other names for them, for their tiers, and for what is passed through.

    Args:
        models: cascades by name.
        default: that for names that are not known.
        others: what else there is; a name that ends in a star is for all that begin so, and is no model itself: it is
            neither listed nor passed on. To have models under it listed, name them beside it, or in a key's `models`.
        raws: what passes bytes on as they are, by the names in `others`.
    """

    def __init__(
        self,
        models: Mapping[str, Cascade],
        default: str,
        others: Mapping[str, Model],
        raws: Mapping[str, Passthrough] | None = None,
    ) -> None:
        """Keep them apart, so that one who may use a name need not be allowed what it stands for."""
        super().__init__(models, default)
        self.others, self.raws = dict(others), dict(raws or {})
        stars = sorted((name[:-1] for name in self.others if name.endswith(STAR)), key=len, reverse=True)
        self._stars = tuple(stars)

    def choose(self, model: str, caller: Caller) -> Choice:
        """As for any; other names come first, and those with a star before the default. Raises `WireError`."""
        name = self.known(model)
        other = self.others.get(name)
        if other is None:
            return super().choose(model, caller)
        if not _may(caller, name, other, model):
            msg = f"the model {model!r} does not exist, or you may not use it"
            raise WireError(msg, "model", 404)
        if model.endswith(STAR):
            msg = f"{model!r} is no model, but stands for those whose names begin so: name one of them"
            raise WireError(msg, "model", 404)
        if meant := other.cascade or other.instead:
            return Choice(meant, self.cascades[meant], other.tier)
        if other.through is None:
            where = " or ".join(f"POST /v1{path}" for path in PATHS[other.raw.wire]) if other.raw is not None else ""
            msg = f"the model {model!r} is passed on as it is: ask for it with {where}, and without bounds"
            raise WireError(msg, "model", 404)
        return Choice(model, other.through, other.through.tiers[0].name)

    def known(self, model: str) -> str:
        """The name in `others` that this one falls under; empty where a cascade, a tier or nothing goes by it."""
        if model in self.others:
            return model
        if not self._stars or len(model) > LONGEST or self._named(model) is not None:
            return ""
        return next((f"{start}{STAR}" for start in self._stars if model.startswith(start)), "")

    def raw(self, model: str, wire: "WireName", caller: Caller) -> Passthrough | None:
        """What passes it on as it is, for a client that speaks so, and may."""
        name = self.known(model)
        raw = self.raws.get(name) if not model.endswith(STAR) else None
        if raw is None or raw.wire != wire or not _may(caller, name, self.others[name], model):
            return None
        return raw

    def passing(self, model: str) -> Model | None:
        """What this name falls under, where that is passed on and a cascade is to take its place."""
        other = self.others.get(self.known(model))
        return other if other is not None and other.instead else None

    def names(self, caller: Caller) -> list[str]:
        """Those of cascades and tiers, then the others, then those under a star that this caller is allowed by name.

        Whoever takes a name from the list asks for it, and no provider knows a model that is called as a star is.
        Providers are not asked for theirs.
        """
        plain = [name for name in self.others if not name.endswith(STAR)]
        others = [name for name in plain if _may(caller, name, self.others[name], name)]
        named = sorted(name for name in caller.models or () if STAR not in name and self.known(name).endswith(STAR))
        return [*super().names(caller), *others, *named]


class Choosing(Endpoint):
    """An endpoint beside which some requests are passed on as they are.

    Args:
        models: cascades by name.
        named: all names, and what passes bytes on.
        more: what `Endpoint` takes.
    """

    _names: Named | None = None

    def __init__(self, models: Mapping[str, Cascade], *, named: Named | None = None, **more: Any) -> None:
        """Look at bodies on those wires alone where something could be passed on."""
        super().__init__(models, **more)
        self._names = named
        if named is not None:
            self.models = named
        self._wires = frozenset(each.wire for each in named.raws.values()) if named is not None else frozenset()

    async def handle(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        caller: Caller = ANYONE,
        *,
        within: float | None = None,
    ) -> Response:
        """Answer one request, or have it answered. Nothing but cancellation is raised."""
        found = self.passed(path, headers, body, caller) if self._wires and method == "POST" else None
        if found is not None:
            return await self._pass(*found, path, headers, body, caller, within=within)
        return await super().handle(method, path, headers, body, caller, within=within)

    def passed(
        self, path: str, headers: Mapping[str, str], body: bytes, caller: Caller
    ) -> tuple[Passthrough, Peeked] | None:
        """What passes this request on as it is, and what was seen of it; None where it is the endpoint's to answer."""
        names, wire = self._names, WIRES.get(bare(path))
        if names is None or wire is None or wire not in self._wires or not _unbound(headers, caller):
            return None
        try:
            peeked = peek(body)
        except WireError:  # whatever is wrong with it, the endpoint says it better
            return None
        raw = names.raw(peeked.model, wire, caller)
        return None if raw is None else (raw, peeked)

    async def _pass(
        self,
        raw: Passthrough,
        peeked: Peeked,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        caller: Caller,
        *,
        within: float | None,
    ) -> Response:
        """Pass a request on, unless it is a cascade's to answer."""
        if self._names is not None and self._names.passing(peeked.model) is not None:
            return await super().handle("POST", path, headers, body, caller, within=within)
        return await raw.forward(peeked, path, headers, body, caller)

    async def aclose(self) -> None:
        """Close the connections of what is passed on."""
        for each in self._names.raws.values() if self._names is not None else ():
            await each.aclose()

    def _beside(
        self, place: "Place", method: str, headers: Mapping[str, str], body: bytes, caller: Caller, request_id: str
    ) -> Response:
        names = self._names
        if place.kind == "model" and names is not None:
            name = names.known(place.name)
            other = names.others.get(name)
            if other is not None and not place.name.endswith(STAR) and _may(caller, name, other, place.name):
                words = place.words
                return said(200, described(self.format(words), place.name), heads.ids(words, request_id))
        return super()._beside(place, method, headers, body, caller, request_id)


def _may(caller: Caller, name: str, other: Model, model: str) -> bool:
    """Whether it may use this model, by its name, by the name it falls under, or by what that stands for."""
    if caller.may(model, "") or caller.may(name, ""):
        return True
    return bool(other.cascade) and caller.may(other.cascade, other.tier)


def _unbound(headers: Mapping[str, str], caller: Caller) -> bool:
    """Whether nothing is to be held that the bytes as they are would not."""
    known = COUNTED if getattr(caller, "held", None) is not None else SET
    if not (known.issuperset(caller.fields) and LOCKED.issuperset(caller.locked)):
        return False
    return BOUNDS.keys().isdisjoint(headers) or all(
        name not in headers or field in caller.locked for name, field in BOUNDS.items()
    )
