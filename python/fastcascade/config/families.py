"""Things of which there are several kinds, and what the kinds are called."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from fastcascade.config.by_class import ByClass, named
from fastcascade.config.hints import alternatives

__all__ = ["FAMILIES", "Family", "Link", "squashed"]

WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
NO_POLICY: Final = frozenset({"Ladder", "Plan", "Standing"})
GATES: Final = (
    "Command",
    "Consistency",
    "Gain",
    "Hedging",
    "Judge",
    "Learned",
    "Logprobs",
    "SelfReport",
    "Similarity",
    "Structure",
    "UserCheck",
    "all_of",
    "any_of",
    "calibrate",
    "first_decisive",
    "weighted",
)
"""The gates, and the functions that make one of others: none is loaded before a file says its name."""


class Link:
    """What may stand in a cascade's chain of fallbacks."""


@dataclass(frozen=True, slots=True)
class Family:
    """The kinds of one thing.

    Args:
        what: what each is, in an error.
        kinds: what makes each kind, or "module:attribute" of it where it is loaded only when it is meant.
        has: what any of them must have, so that one of the user's own can be told from what is none.
        texts: beginnings of a text, with the kind that such a text makes.
        adopt: makes one of a plain function.
    """

    what: str
    kinds: Mapping[str, Any]
    has: tuple[str, ...]
    texts: Mapping[str, str] = field(default_factory=dict)
    adopt: Callable[[Any], Any] | None = None

    def kind(self, name: str) -> Any:
        """What makes this kind, however its name is joined; None where there is no such."""
        found = {squashed(each): made for each, made in self.kinds.items()}.get(squashed(name))
        return named(found) if isinstance(found, str) else found

    def fits(self, thing: Any) -> bool:
        """Whether something of the user's can be one."""
        return all(hasattr(thing, name) for name in self.has)


def squashed(name: str) -> str:
    """`first_decisive`, `first-decisive` and `First decisive` are one."""
    return re.sub(r"[ _-]", "", name).casefold()


def _spoken(name: str) -> str:
    return WORDS.sub(" ", name).replace("_", " ").lower()


def _classes(where: str, leave: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The public classes of a module that can be made; those that it loads late are left to be loaded."""
    module = import_module(where)
    found: dict[str, Any] = {}
    for name in module.__all__:
        each = vars(module).get(name, f"{module.__name__}:{name}")
        if name not in leave and (isinstance(each, str) or _can_be_made(each)):
            found[_spoken(name)] = each
    return found


def _can_be_made(each: Any) -> bool:
    return isinstance(each, type) and not getattr(each, "_is_protocol", False)


def _backends() -> Family:
    beside = {
        "pool": "fastcascade.entry.pool:Pool",
        "scripted": "fastcascade.testing:ScriptedBackend",
        "faulty": "fastcascade.testing:Faulty",
    }
    adopt = named("fastcascade.backends.function:Function")
    return Family("a backend", _classes("fastcascade.backends") | beside, ("complete",), adopt=adopt)


def _gates() -> Family:
    kinds = {_spoken(name): f"fastcascade.gates:{name}" for name in GATES}
    return Family("a gate", kinds, ("judge",), adopt=named("fastcascade.gates.check:UserCheck"))


def _calibrations() -> Family:
    known = alternatives(named("fastcascade.gates.calibration:Calibration"))
    return Family("a calibration", {_spoken(each.__name__): each for each in known}, ("__call__",))


def _embedders() -> Family:
    known = _classes("fastcascade.embedders", frozenset({"Vector"}))
    kinds = {name.removesuffix("embedder").strip(): made for name, made in known.items()}
    return Family("an embedder", kinds, ("__call__",))


def _stores() -> Family:
    from fastcascade.shared.target import SCHEMES  # noqa: PLC0415 - for files that have a store

    return Family(
        "a store of reviews",
        {"sqlite": "fastcascade.stores.sqlite:SQLiteReviews", "redis": "fastcascade.stores.redis:RedisReviews"},
        ("claim", "answer"),
        texts={"sqlite:": "sqlite", **dict.fromkeys((f"{scheme}://" for scheme in SCHEMES), "redis")},
    )


def _links() -> Family:
    links = named("fastcascade.fallbacks.chain:LINKS")
    return Family("a fallback", {_spoken(each.__name__): each for each in links}, ("__call__",))


FAMILIES: Final[Mapping[Any, Family]] = ByClass(
    {
        "fastcascade.backends.backend:Backend": _backends,
        "fastcascade.gates.gate:Gate": _gates,
        "fastcascade.gates.gate:Calibrator": _calibrations,
        "fastcascade.embedders:Embedder": _embedders,
        "fastcascade.entry.balance:Balancer": lambda: Family(
            "a way to balance", _classes("fastcascade.entry.balance"), ("pick",)
        ),
        "fastcascade.policies:Policy": lambda: Family(
            "a policy", _classes("fastcascade.policies", NO_POLICY), ("first", "after")
        ),
        "fastcascade.stores.reviews:ReviewStore": _stores,
        f"{__name__}:Link": _links,
    }
)
