"""Tables that make something: of a kind that they name, of a class that is wanted, or of several parts."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cascade import Cascade
from fastcascade.config.building import BAD, made
from fastcascade.config.checks import checked
from fastcascade.config.document import Node
from fastcascade.config.families import Family
from fastcascade.config.hints import alternatives, is_part, resolved
from fastcascade.config.mistakes import meant
from fastcascade.config.references import FUNCTION
from fastcascade.config.settings import FLAT, Setting, Settings, settings_of
from fastcascade.entry.instance import Instance
from fastcascade.entry.pool import Pool
from fastcascade.gates.calibration import calibrate
from fastcascade.gates.gate import Gate
from fastcascade.messages import Reply, Request
from fastcascade.tiers import Tier

if TYPE_CHECKING:
    from fastcascade.config.reader import Reader

__all__ = ["Kinds"]

KIND: Final = frozenset({"kind"})
PLACES: Final = frozenset({"backend", "instances", "pool"})


class Anybody:
    """Stands for a backend with a mistake in it, and gives whatever is asked for."""

    name = "?"

    def __init__(self, gate: Gate | None) -> None:
        self.gives = gate.needs if gate is not None else frozenset()

    async def complete(self, request: Request, /) -> Reply | None:
        """Never asked."""
        raise NotImplementedError


class Kinds:
    """What a reader does about tables.

    Args:
        reader: reads their values.
    """

    def __init__(self, reader: "Reader") -> None:
        """Know nobody yet."""
        self.reader = reader
        self.tiers: dict[str, Node] = {}  # by name, where each stands

    # Of a kind.

    def of_text(self, node: Node, family: Family, text: str) -> Any:
        """One that a text says all of: a kind without settings, a URL, or something of the user's."""
        for begin, kind in family.texts.items():
            if text.startswith(begin):
                settings = settings_of(family.kind(kind))
                first = next(iter(settings.by_name.values()))
                value = text if begin.endswith("//") else self.reader.references.path(text.removeprefix(begin))
                return made(settings, {first.name: value}, Node({}, node.path, node.lines), self.reader.mistakes)
        target = family.kind(text)
        if target is not None:
            return self.build(target, Node({}, node.path, node.lines))
        if FUNCTION.fullmatch(text):
            return self._own(node, family, text)
        names = [*family.kinds, *(f"{begin}..." for begin in family.texts)]
        return self.reader.unknown(node, "kind", text, names)

    def of_table(self, node: Node, family: Family, hint: Any) -> Any:
        """One whose kind the table says."""
        extra = _extras(hint)
        kind = node.value.get("kind")
        if kind is None:
            return self._kindless(node, family)
        if not isinstance(kind, str):
            return self.reader.wrong(node["kind"], str)
        target = family.kind(kind)
        if target is None and FUNCTION.fullmatch(kind):
            target = self.reader.object(node["kind"], kind)
            if target is BAD:
                return BAD
            if not callable(target):
                return self.reader.mistake(node["kind"], f"{kind!r} cannot be called, to make {family.what} of it")
        if target is None:
            self.reader.unknown(node["kind"], "kind", kind, list(family.kinds))
            near = meant(kind, family.kinds)
            if near:  # what else is wrong with it is told as well
                self.build(family.kind(near), node, KIND | extra.keys())
            return BAD
        extra = {name: each for name, each in extra.items() if name not in settings_of(target).by_name}
        thing = self.build(target, node, KIND | extra.keys())
        more = {name: self.reader.read(node[name], each.hint) for name, each in extra.items() if name in node.value}
        if thing is BAD or BAD in more.values():
            return BAD
        if not _fits(thing, family):
            return self.reader.mistake(node["kind"], f"{kind!r} makes no {_bare(family)}, but {type(thing).__name__}")
        if "calibration" in more:
            settings = settings_of(calibrate)
            return made(settings, {"gate": thing, **more}, node, self.reader.mistakes)
        return thing

    def _kindless(self, node: Node, family: Family) -> Any:
        kinds = ", ".join(family.kinds)
        near = next((key for key in node.keys if meant(key, KIND)), None)
        if near is not None:
            return self.reader.mistake(node[near], f"no such setting; did you mean 'kind'? Kinds are: {kinds}")
        return self.reader.mistake(node, f"'kind' is missing; kinds are: {kinds}")

    def _own(self, node: Node, family: Family, text: str) -> Any:
        """Something of the user's: the thing itself, its class, or a function that one can be made of."""
        found = self.reader.object(node, text)
        if found is BAD:
            return BAD
        if isinstance(found, type):
            found = made(settings_of(found), {}, Node({}, node.path, node.lines), self.reader.mistakes)
            if found is BAD:
                return BAD
        if _fits(found, family):
            return found
        if family.adopt is not None and callable(found):
            return family.adopt(found)
        return self.reader.mistake(node, f"{text!r} is no {_bare(family)}, but {type(found).__name__}")

    def one_of(self, node: Node, parts: list[Any]) -> Any:
        """One of several classes, by the only key there is: `{ slow = 5.0 }`, `{ fault = { kind = "server" } }`."""
        names = {each.__name__.lower(): each for each in parts}
        key = next(iter(node.keys), "")
        if len(node.keys) != 1 or key not in names:
            near = meant(key, names)
            hint = f"; did you mean {near!r}?" if near and near != key else ""
            return self.reader.mistake(node, f"must be a table with one key, of: {', '.join(names)}{hint}")
        inner, target = node[key], names[key]
        if isinstance(inner.value, dict):
            return self.build(target, inner)
        if inner.value is True:
            return self.build(target, Node({}, inner.path, inner.lines))
        first = next(iter(settings_of(target).by_name.values()), None)
        if first is None:
            return self.reader.mistake(inner, f"{key!r} has no settings; write {key} = true")
        value = self.reader.read(inner, first.hint)
        if value is BAD:
            return BAD
        return made(settings_of(target), {first.name: value}, Node({}, inner.path, inner.lines), self.reader.mistakes)

    # Of a class.

    def build(self, target: Callable[..., Any], node: Node, leave: frozenset[str] = frozenset()) -> Any:
        """Make one of a table. The keys to `leave` are somebody else's."""
        settings = settings_of(target)
        inner: dict[str, Any] = {}
        if target in FLAT:
            inner, leave = self._flat(target, node, settings, leave)
        elif target is Tier:
            inner, leave = self._placed(node), leave | PLACES
        read, doubtful = self.reader.values(settings, node, leave)
        read |= {name: each for name, each in inner.items() if each is not BAD}
        doubtful |= {name for name, each in inner.items() if each is BAD}
        tiers = None
        if target is Tier:
            doubtful |= self._noted(node, read)
            if "backend" in doubtful:  # the rest is looked at all the same
                read["backend"] = Anybody(read.get("gate"))
        if target is Cascade:
            tiers = self.tiers
            doubtful |= checked(self.reader, node, tiers, doubtful)
            read = {name: each for name, each in read.items() if name not in doubtful}
        return made(settings, read, node, self.reader.mistakes, doubtful, tiers)

    def _flat(
        self, target: Any, node: Node, settings: Settings, leave: frozenset[str]
    ) -> tuple[dict[str, Any], frozenset[str]]:
        """Make the part whose settings stand among those of the whole."""
        param, part = FLAT[target]
        theirs = settings_of(part)
        own = frozenset(settings.by_name)
        read, doubtful = self.reader.values(theirs, node, leave | own)
        return {param: made(theirs, read, node, self.reader.mistakes, doubtful)}, leave | frozenset(node.keys) - own

    def _placed(self, node: Node) -> dict[str, Any]:
        """The backend of a tier, or a pool of its instances."""
        reader, keys = self.reader, node.value
        if "backend" in keys and "instances" in keys:
            reader.mistake(node["instances"], "a tier has either 'backend' or 'instances'")
        elif "backend" not in keys and "instances" not in keys and not any(meant(key, PLACES) for key in keys):
            reader.mistake(node, "'backend' is missing, or 'instances' for several places")
        hint = settings_of(Tier).by_name["backend"].hint
        backend = reader.read(node["backend"], hint) if "backend" in keys else BAD
        instances = reader.read(node["instances"], list[Instance]) if "instances" in keys else BAD
        settings = settings_of(Pool)
        pool: dict[str, Any] = {}
        doubtful: frozenset[str] = frozenset()
        if "pool" in keys:
            if not isinstance(node["pool"].value, dict):
                reader.wrong(node["pool"], dict[str, Any])
                return {"backend": BAD}
            pool, doubtful = reader.values(settings, node["pool"], frozenset({"instances"}))
        whom = [backend] if "instances" not in keys else instances
        if whom is BAD or BAD in whom or ("backend" in keys and "instances" in keys):
            return {"backend": BAD}
        if "pool" not in keys and "instances" not in keys:
            return {"backend": backend}
        at = node["pool"] if "pool" in keys else node["instances"]
        at = at if isinstance(at.value, dict) else Node({}, at.path, at.lines)
        return {"backend": made(settings, {"instances": whom, **pool}, at, reader.mistakes, doubtful)}

    def _noted(self, node: Node, read: dict[str, Any]) -> frozenset[str]:
        """Remember a tier's name; two of one name are a mistake, and the name is in doubt."""
        name = read.get("name") or getattr(read.get("backend"), "name", "").replace("/", ":")
        if name and name in self.tiers:
            place = node["name"] if "name" in node.value else node
            other = self.tiers[name]
            problem = f"another tier is called {name!r} already, that of line {other.line}; give one a 'name'"
            self.reader.mistake(place, problem)
            return frozenset({"name"})
        if name:
            self.tiers[name] = node
        return frozenset()

    # Where things belong.

    def homes(self, settings: Settings, key: str) -> list[str]:
        """Which tables within this one have such a setting."""
        found = [
            name
            for name, setting in settings.by_name.items()
            for part in alternatives(setting.hint)
            if is_part(part) and key in settings_of(part).by_name
        ]
        if settings.target is Tier and key in settings_of(Pool).by_name:
            found.append("pool")
        return found

    def is_top(self, key: str) -> bool:
        """Whether the cascade itself has such a setting."""
        return key in settings_of(Cascade).by_name


def _extras(hint: Any) -> dict[str, Setting]:
    """What may be said of each of a family beside its own settings."""
    if hint is not Gate:
        return {}
    return {"calibration": Setting("calibration", resolved(calibrate)["calibration"])}


def _fits(thing: Any, family: Family) -> bool:
    return all(hasattr(thing, name) for name in family.has)


def _bare(family: Family) -> str:
    return family.what.partition(" ")[2]
