"""What can be set on a thing: the parameters of whatever makes it, under the names they have in a file.

They are read off the constructor, so that a new one needs nothing here. What that cannot know stands in `OTHERWISE`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from os import PathLike
from typing import Any, Final, NamedTuple

from fastcascade.config.by_class import ByClass, named
from fastcascade.config.families import Link
from fastcascade.config.hints import Foreign, alternatives, base, is_part, resolved
from fastcascade.config.mistakes import meant
from fastcascade.errors import ConfigError
from fastcascade.lanes import Lane, Lanes
from fastcascade.messages import Reply, Request
from fastcascade.tiers import SAMPLING, Tier

__all__ = ["ARTEFACT", "FLAT", "Setting", "Settings", "made_of_a_path", "settings_of"]


class Other(NamedTuple):
    """What a parameter is called in a file, and what it takes, where that is not what the constructor says."""

    name: str
    hint: Any
    required: bool = False


Answer = str | Reply | Callable[[Request], Any]
OTHERWISE: Final[Mapping[Any, Mapping[str, Other]]] = ByClass(
    {
        "fastcascade.cascade:Cascade": lambda: {
            "tiers": Other("tiers", Tier, required=True),
            "fallbacks": Other("fallbacks", list[Link]),
        },
        "fastcascade.evals.admitted:Admitted": lambda: {
            "admission": Other("admitted", named("fastcascade.evals.admitted:AdmissionFile")),
            "lanes": Other("rules", Sequence[Lane]),
        },
        "fastcascade.fallbacks.region:Region": lambda: {"backups": Other("tiers", Tier, required=True)},
        "fastcascade.messages:Reply": lambda: {"content": Other("content", str)},
        "fastcascade.fallbacks.static:Static": lambda: {"answer": Other("answer", Answer)},
    }
)
BY_NAME: Final[Mapping[str, Any]] = {"client": Foreign, "model": str}
"""What parameters take whose hint is `Any`."""
ARTEFACT: Final = "artefact"
"""Where what a fit has found stands, for a thing with a `load` of its own."""
LOADED: Final[Mapping[str, Other]] = {"source": Other(ARTEFACT, PathLike[str] | Mapping[str, Any], required=True)}
FLAT: Final[Mapping[Any, tuple[str, Any]]] = ByClass(
    {"fastcascade.fallbacks.review:Review": lambda: ("desk", named("fastcascade.reviews.desk:ReviewDesk"))}
)
"""Where the settings of a part stand in the same table as those of the whole."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One parameter."""

    name: str
    hint: Any
    required: bool = False
    spread: bool = False  # one list in the file, many arguments in a call


@dataclass(frozen=True, slots=True)
class Settings:
    """All parameters, in their order. `rest` is what any other name takes; None where there is none other."""

    target: Callable[..., Any]
    by_name: Mapping[str, Setting]
    places: Mapping[str, str] = field(default_factory=dict)  # of positional parameters, by name in a file
    rest: Any = None

    @property
    def lightest(self) -> bool:
        """Whether it can be made with nothing said."""
        return not any(each.required for each in self.by_name.values())

    def strange(self, table: Mapping[str, Any]) -> bool:
        """Whether no key of a table is a setting, nor near to one."""
        return not any(key in self.by_name or meant(key, self.by_name) for key in table)

    def make(self, values: Mapping[str, Any]) -> Any:
        """Call it."""
        args: list[Any] = []
        named = dict(values)
        for name, param in self.places.items():
            if name not in named:
                continue
            value = named.pop(name)
            if name in self.by_name and self.by_name[name].spread:
                args += value
            else:
                named[param] = value
        return self.target(*args, **named)


@cache
def settings_of(target: Callable[..., Any]) -> Settings:
    """Read them off."""
    if target is Lanes:  # in a file they are one table, whether they go by an admission or not
        whole = settings_of(named("fastcascade.evals.admitted:Admitted"))
        admitted = replace(whole.by_name["admitted"], required=False)
        return replace(whole, target=_lanes, by_name={**whole.by_name, "admitted": admitted})
    other = LOADED if inspect.ismethod(target) and target.__name__ == "load" else OTHERWISE.get(target, {})
    hints = resolved(target)
    found: dict[str, Setting] = {}
    places: dict[str, str] = {}
    rest: Any = None
    for param in _parameters(target):
        if param.name == "self" or param.name.startswith("_"):
            continue
        hint = hints.get(param.name, Any)
        if param.name == "embedder":
            hint = _embedder(hint)
        elif hint is Any:
            hint = BY_NAME.get(param.name, Any)
        if param.kind is param.VAR_KEYWORD:
            rest = hint
            continue
        changed = other.get(param.name, Other(param.name, hint))
        hint = hint if changed.hint is None else changed.hint
        spread = param.kind is param.VAR_POSITIONAL
        required = changed.required or (not spread and param.default is param.empty)
        found[changed.name] = Setting(changed.name, _many(hint) if spread else hint, required, spread)
        places[changed.name] = param.name
    if target is Tier:
        known = resolved(Request)
        found |= {name: Setting(name, known[name]) for name in sorted(SAMPLING)}
        rest = None
    if target in FLAT:
        found.pop(FLAT[target][0])
    return Settings(target, found, places, rest)


def made_of_a_path(hint: Any) -> bool:
    """Whether a path alone can make such a part."""
    if not is_part(hint):
        return False
    first = next(iter(settings_of(hint).by_name.values()), None)
    return first is not None and first.required and any(base(each) is PathLike for each in alternatives(first.hint))


def _lanes(**given: Any) -> Lanes:
    if "admission" in given:
        made: Lanes = named("fastcascade.evals.admitted:Admitted")(**given)
        return made
    if "by" in given:
        raise ConfigError("by says what is looked up in 'admitted', which is missing")
    return Lanes(**given)


def _parameters(target: Callable[..., Any]) -> list[inspect.Parameter]:
    made: Any = target
    if isinstance(target, type) and made.__init__ is object.__init__ and made.__new__ is object.__new__:
        return []  # as would be found, but only by reading a text, with what reads programs
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # written in C, and silent
        return []


def _many(hint: Any) -> Any:
    return list[hint]


def _embedder(hint: Any) -> Any:
    """A gate's is any function; here it may be one of ours besides."""
    ours = named("fastcascade.embedders:Embedder")
    return ours if hint in (Any, ours) else hint | ours
