"""Things of which there are several kinds, and what the kinds are called."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from fastcascade import backends, embedders, gates, policies
from fastcascade.backends.backend import Backend
from fastcascade.backends.function import Function
from fastcascade.config.hints import alternatives, resolved
from fastcascade.embedders import Embedder
from fastcascade.entry import balance
from fastcascade.entry.balance import Balancer
from fastcascade.fallbacks import chain
from fastcascade.gates.calibration import Calibration
from fastcascade.gates.check import UserCheck
from fastcascade.gates.gate import Calibrator, Gate
from fastcascade.policies import Policy
from fastcascade.stores.reviews import ReviewStore

__all__ = ["FAMILIES", "Family", "Link", "squashed"]

WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
NO_POLICY: Final = frozenset({"Ladder", "Plan", "Standing"})


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
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            return getattr(import_module(module), attribute)
        return found

    def fits(self, thing: Any) -> bool:
        """Whether something of the user's can be one."""
        return all(hasattr(thing, name) for name in self.has)


def squashed(name: str) -> str:
    """`first_decisive`, `first-decisive` and `First decisive` are one."""
    return re.sub(r"[ _-]", "", name).casefold()


def _spoken(name: str) -> str:
    return WORDS.sub(" ", name).replace("_", " ").lower()


def _classes(module: ModuleType, leave: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The public classes of a module that can be made; those that it loads late are left to be loaded."""
    found: dict[str, Any] = {}
    for name in module.__all__:
        each = vars(module).get(name, f"{module.__name__}:{name}")
        if name not in leave and (isinstance(each, str) or _can_be_made(each)):
            found[_spoken(name)] = each
    return found


def _can_be_made(each: Any) -> bool:
    return isinstance(each, type) and not getattr(each, "_is_protocol", False)


def _gates() -> dict[str, Any]:
    """The gates, and the functions that make one of others."""
    found: dict[str, Any] = {}
    for name in gates.__all__:
        each = getattr(gates, name)
        made = each if isinstance(each, type) else alternatives(resolved(each).get("return"))[0]
        if each is not Gate and isinstance(made, type) and issubclass(made, Gate):
            found[_spoken(name)] = each
    return found


FAMILIES: Final[Mapping[Any, Family]] = {
    Backend: Family(
        "a backend",
        _classes(backends)
        | {
            "pool": "fastcascade.entry.pool:Pool",
            "scripted": "fastcascade.testing:ScriptedBackend",
            "faulty": "fastcascade.testing:Faulty",
        },
        ("complete",),
        adopt=Function,
    ),
    Gate: Family("a gate", _gates(), ("judge",), adopt=UserCheck),
    Calibrator: Family(
        "a calibration", {_spoken(each.__name__): each for each in alternatives(Calibration)}, ("__call__",)
    ),
    Embedder: Family(
        "an embedder",
        {
            name.removesuffix("embedder").strip(): made
            for name, made in _classes(embedders, frozenset({"Vector"})).items()
        },
        ("__call__",),
    ),
    Balancer: Family("a way to balance", _classes(balance), ("pick",)),
    Policy: Family("a policy", _classes(policies, NO_POLICY), ("first", "after")),
    ReviewStore: Family(
        "a store of reviews",
        {"sqlite": "fastcascade.stores.sqlite:SQLiteReviews", "redis": "fastcascade.stores.redis:RedisReviews"},
        ("claim", "answer"),
        texts={"sqlite:": "sqlite", "redis://": "redis", "rediss://": "redis", "unix://": "redis"},
    ),
    Link: Family("a fallback", {_spoken(each.__name__): each for each in chain.LINKS}, ("__call__",)),
}
