"""Which cascade a model's name means, which names there are, and about how many tokens a request has."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from dataclasses import fields as fields_in
from typing import Any, Final

from fastcascade.cascade import Cascade
from fastcascade.errors import ConfigError, WireError
from fastcascade.messages import Image, Request
from fastcascade.tiers import CHARACTERS_PER_TOKEN
from fastcascade.wire import openai_errors
from fastcascade.wire.format import Format, Json

__all__ = ["ANYONE", "UNSAID", "Caller", "Choice", "Models", "described", "estimate", "listed"]

SEPARATORS: Final = ("/", ":")
LONGEST: Final = 500
"""Characters of a model's name that is looked for."""
PICTURE: Final = 1_600
"""Tokens of a picture, which is about the most that one costs."""


UNSAID: Final[Mapping[str, Any]] = {
    each.name: {} if each.name == "options" else each.default
    for each in fields_in(Request)
    if each.name != "id" and (each.default is not MISSING or each.name == "options")
}
"""What fields of a request are where nothing is said of them."""
TIERS: Final = frozenset({"min_tier", "max_tier"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the gateway or the app has found out.

    Args:
        name: what it is called in records.
        tenant: whose it is.
        models: names that it may use, of cascades or `cascade/tier`; None is all.
        fields: fields of `Request` that are set for it, whatever its headers say.
        locked: fields of `Request` that it has no say in, neither by a header nor in a body, such as "customer",
            "priority", "budget" or "options"; what is not among `fields` is then as where nothing is said. With
            "min_tier" or "max_tier" locked, a tier can be asked for by name only where `models` has that very name.

    What nobody sets the customer of is of its tenant, or of itself: answers that are kept do not cross callers.
    """

    name: str = ""
    tenant: str = ""
    models: frozenset[str] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    locked: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse to lock what no request could do without."""
        if not self.locked <= UNSAID.keys():
            names = ", ".join(sorted(self.locked - UNSAID.keys()))
            msg = f"a caller cannot have {names} locked; there are: {', '.join(UNSAID)}"
            raise ConfigError(msg)

    def may(self, name: str, tier: str) -> bool:
        """Whether it may use a cascade, or this tier of it."""
        if tier and not TIERS.isdisjoint(self.locked):
            return self.models is not None and f"{name}/{tier}" in self.models
        return self.models is None or name in self.models or bool(tier and f"{name}/{tier}" in self.models)


ANYONE: Final = Caller()


@dataclass(frozen=True, slots=True)
class Choice:
    """A cascade, and the one tier of it that is asked for, if that is so."""

    name: str
    cascade: Cascade
    tier: str = ""


class Models:
    """Cascades by the names that clients ask for."""

    def __init__(self, models: Mapping[str, Cascade] | Cascade, default: str = "") -> None:
        """With one cascade alone, any name means that."""
        if isinstance(models, Cascade):
            models, default = {default or "cascade": models}, default or "cascade"
        if not models:
            raise ConfigError("an endpoint needs at least one cascade: Endpoint({'chat': cascade})")
        if default and default not in models:
            msg = f"the default model {default!r} is none of those there are: {', '.join(models)}"
            raise ConfigError(msg)
        self.cascades = dict(models)
        for name, cascade in self.cascades.items():
            cascade.name = cascade.name or name
        self.default = default
        self._whole = {name: Choice(name, cascade) for name, cascade in self.cascades.items()}

    def choose(self, model: str, caller: Caller) -> Choice:
        """The cascade of that name, or one tier of it; one that may not be used is not there. Raises `WireError`."""
        if len(model) > LONGEST:  # it is searched for its parts, and said again in every piece of an answer
            msg = f"a model's name has at most {LONGEST} characters"
            raise WireError(msg, "model")
        choice = self._named(model)
        if choice is None and self.default and not (model.partition("/")[0] in self.cascades and "/" in model):
            choice = self._whole[self.default]
        if choice is None or not caller.may(choice.name, choice.tier):
            msg = f"the model {model!r} does not exist, or you may not use it"
            raise WireError(msg, "model", 404)
        return choice

    def _named(self, model: str) -> Choice | None:
        found = self._whole.get(model)
        if found is not None:
            return found
        for separator in SEPARATORS:
            name, between, tier = model.partition(separator)
            while between:
                cascade = self.cascades.get(name)
                if cascade is not None and tier in cascade.places:
                    return Choice(name, cascade, tier)
                more, between, tier = tier.partition(separator)
                name = f"{name}{separator}{more}"
        return None

    def names(self, caller: Caller) -> list[str]:
        """The names that a caller may use: cascades first, each followed by its tiers."""
        found = []
        for name, cascade in self.cascades.items():
            if caller.may(name, ""):
                found.append(name)
            found.extend(f"{name}/{tier}" for tier in cascade.places if caller.may(name, tier))
        return found


def described(style: Format, name: str) -> Json:
    """One model, in the words of the client."""
    said: Callable[[str], Json] = getattr(style, "model", openai_errors.model)
    return said(name)


def listed(style: Format, names: list[str]) -> Json:
    """All models, on one page."""
    said: Callable[[list[str]], Json] = getattr(style, "models_page", openai_errors.models)
    return said(names)


def estimate(request: Request) -> int:
    """About how many tokens a request has: there is no one tokenizer for all the tiers that may read it."""
    pictures = sum(type(block) is Image for message in request.messages for block in message.content)
    return max(1, -(-request.size // CHARACTERS_PER_TOKEN)) + PICTURE * pictures
