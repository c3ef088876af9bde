"""Tables and texts that say of which kind a thing is."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final

from fastcascade.config.building import BAD, made, spoiled
from fastcascade.config.by_class import named
from fastcascade.config.document import Node
from fastcascade.config.families import Family, squashed
from fastcascade.config.hints import resolved
from fastcascade.config.mistakes import meant
from fastcascade.config.references import FUNCTION
from fastcascade.config.settings import ARTEFACT, settings_of
from fastcascade.gates.gate import Gate

if TYPE_CHECKING:
    from fastcascade.config.reader import Reader

__all__ = ["Kinds"]

KIND: Final = frozenset({"kind"})
NOTHING: Final[frozenset[str]] = frozenset()
CALIBRATION: Final = frozenset({"calibration"})
"""What may be said of every gate beside its own settings."""
CALIBRATE: Final = "fastcascade.gates.calibration:calibrate"
ALIKE: Final = 0.85


class Kinds:
    """What a reader does where there are several kinds of a thing."""

    def __init__(self, reader: "Reader") -> None:
        """Keep the reader."""
        self.reader = reader

    def of_text(self, node: Node, family: Family, text: str) -> Any:
        """One that a text says all of: a kind without settings, a URL, or something of the user's."""
        reader = self.reader
        for begin, kind in family.texts.items():
            if text.startswith(begin):
                rest = text if begin.endswith("//") else reader.references.path(text.removeprefix(begin))
                return self.of_first(node, family.kind(kind), rest)
        target = family.kind(text)
        if target is not None:
            return reader.build(target, Node({}, node.path, node.lines))
        if FUNCTION.fullmatch(text):
            return self._own(node, family, text)
        return reader.unknown(node, "kind", text, [*family.kinds, *(f"{begin}..." for begin in family.texts)])

    def of_table(self, node: Node, family: Family, hint: Any) -> Any:
        """One whose kind the table says."""
        target, sure = self._target(node, family)
        if target is BAD:
            return BAD
        if hasattr(target, "load") and any(meant(key, {ARTEFACT}, cutoff=ALIKE) for key in node.keys):
            target = target.load
        reader, known = self.reader, settings_of(target).by_name
        extra = CALIBRATION if hint is Gate and not CALIBRATION & known.keys() else NOTHING
        thing = reader.tables.build(target, node, KIND | extra)
        hints = resolved(named(CALIBRATE)) if extra & node.value.keys() else {}
        more = {name: reader.read(node[name], hints[name]) for name in extra if name in node.value}
        if thing is BAD or spoiled(more.values()) or not sure:
            return BAD
        if not family.fits(thing):
            what = family.what.partition(" ")[2]
            return reader.mistake(node["kind"], f"{node.value['kind']!r} makes no {what}, but {type(thing).__name__}")
        if not more:
            return thing
        return made(settings_of(named(CALIBRATE)), {"gate": thing, **more}, node, reader.mistakes)

    def _target(self, node: Node, family: Family) -> tuple[Any, bool]:
        """What makes one, or would if what was meant is what we think."""
        reader, kind = self.reader, node.value.get("kind")
        if kind is None:
            return self._kindless(node, family), False
        if not isinstance(kind, str):
            return reader.wrong(node["kind"], str), False
        target = family.kind(kind)
        if target is not None:
            return target, True
        if FUNCTION.fullmatch(kind):
            target = reader.object(node["kind"], kind)
            if target is BAD or (callable(target) and isinstance(target, Hashable)):
                return target, True
            return reader.mistake(node["kind"], f"{kind!r} cannot be called, to make {family.what}"), False
        reader.unknown(node["kind"], "kind", kind, list(family.kinds))
        near = meant(kind, family.kinds)
        return (family.kind(near) if near else BAD), False

    def _kindless(self, node: Node, family: Family) -> Any:
        kinds = ", ".join(family.kinds)
        near = next((key for key in node.keys if meant(key, KIND)), None)
        if near is not None:
            return self.reader.mistake(node[near], f"no such setting; did you mean 'kind'? Kinds are: {kinds}")
        return self.reader.mistake(node, f"'kind' is missing; kinds are: {kinds}")

    def _own(self, node: Node, family: Family, text: str) -> Any:
        """Something of the user's: the thing itself, its class, or a function that one can be made of."""
        found = self.reader.object(node, text)
        if isinstance(found, type):
            found = self.reader.build(found, Node({}, node.path, node.lines))
        if found is BAD or family.fits(found):
            return found
        if family.adopt is not None and callable(found):
            return family.adopt(found)
        what = family.what.partition(" ")[2]
        return self.reader.mistake(node, f"{text!r} is no {what}, but {type(found).__name__}")

    def one_of(self, node: Node, parts: list[Any]) -> Any:
        """One of several classes, by the only key there is: `{ slow = 5.0 }`, `{ fault = { kind = "server" } }`."""
        reader = self.reader
        names = {each.__name__.lower(): each for each in parts}
        key = next(iter(node.keys), "")
        name = squashed(key)
        if len(node.keys) != 1:
            return reader.mistake(node, f"must be a table with one key, of: {', '.join(names)}")
        if name not in names:
            return reader.unknown(node[key], "setting", key, list(names))
        inner, target = node[key], names[name]
        if isinstance(inner.value, dict):
            return reader.build(target, inner)
        if inner.value is True:
            return reader.build(target, Node({}, inner.path, inner.lines))
        first = next(iter(settings_of(target).by_name.values()), None)
        if first is None:
            return reader.mistake(inner, f"{key!r} has no settings; write {key} = true")
        value = reader.read(inner, first.hint)
        return BAD if value is BAD else self.of_first(inner, target, value)

    def of_first(self, node: Node, target: Callable[..., Any], value: Any) -> Any:
        """Make one of its first setting alone."""
        settings = settings_of(target)
        first = next(iter(settings.by_name))
        return made(settings, {first: value}, Node({}, node.path, node.lines), self.reader.mistakes)
