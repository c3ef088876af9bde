"""Tables that hold the settings of one thing: read, checked for strays, and made into it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cascade import Cascade
from fastcascade.config.building import BAD, made, spoiled
from fastcascade.config.checks import checked
from fastcascade.config.document import Node, spelled
from fastcascade.config.hints import alternatives, is_part
from fastcascade.config.mistakes import meant
from fastcascade.config.references import is_secret
from fastcascade.config.settings import FLAT, Settings, settings_of
from fastcascade.entry.instance import Instance
from fastcascade.entry.pool import Pool
from fastcascade.gates.gate import Gate
from fastcascade.messages import Reply, Request
from fastcascade.tiers import Tier

if TYPE_CHECKING:
    from fastcascade.config.reader import Reader

__all__ = ["Tables"]

WHOM: Final = frozenset({"backend", "instances"})
PLACES: Final = WHOM | {"pool"}
ALIKE: Final = 0.85
"""How near a name must be to be meant, rather than one that is right elsewhere."""
NOTHING: Final[frozenset[str]] = frozenset()


class Anybody:
    """Stands for a backend with a mistake in it, and gives whatever is asked for."""

    name = "?"

    def __init__(self, gate: Gate | None) -> None:
        self.gives = gate.needs if gate is not None else NOTHING

    async def complete(self, request: Request, /) -> Reply | None:
        """Never asked."""
        raise NotImplementedError


class Tables:
    """What a reader does about settings."""

    def __init__(self, reader: "Reader") -> None:
        """Know no tier yet."""
        self.reader = reader
        self.tiers: dict[str, Node] = {}  # by name, where each stands
        self.shared: Mapping[str, Any] = {}  # settings of a cascade that the whole file has for all of them

    @staticmethod
    def depth(node: Node) -> int:
        """How far down it is within its cascade."""
        return len(node.path) - (2 if node.path[:1] == ("cascades",) else 0)

    def build(self, target: Callable[..., Any], node: Node, leave: frozenset[str] = NOTHING) -> Any:
        """Make one of a table. The keys to `leave` are somebody else's."""
        settings = settings_of(target)
        inner: dict[str, Any] = {}
        if target in FLAT:
            param, part = FLAT[target]
            own = frozenset(settings.by_name)
            inner = {param: self._made(settings_of(part), node, leave | own)}
            leave |= frozenset(node.keys) - own  # strays have been told of
        elif target is Tier:
            inner, leave = {"backend": self._backend(node)}, leave | PLACES
        read, doubtful = self._read(settings, node, leave)
        read |= {name: each for name, each in inner.items() if each is not BAD}
        doubtful |= {name for name, each in inner.items() if each is BAD}
        if target is Tier:
            doubtful |= NOTHING if "name" in doubtful else self._noted(node, read)
            if "backend" in doubtful:  # the rest is looked at all the same
                read["backend"] = Anybody(read.get("gate"))
        elif target is Cascade:
            doubtful |= {name for name, each in self.shared.items() if each is BAD and name not in node.value}
            read = {**self.shared, **read}
            doubtful |= checked(self.reader, node, self.tiers, doubtful)
            read = {name: each for name, each in read.items() if name not in doubtful}
        return made(settings, read, node, self.reader.mistakes, doubtful, self.tiers if target is Cascade else None)

    def _made(self, settings: Settings, node: Node, leave: frozenset[str]) -> Any:
        read, doubtful = self._read(settings, node, leave)
        return made(settings, read, node, self.reader.mistakes, doubtful)

    def _read(self, settings: Settings, node: Node, leave: frozenset[str]) -> tuple[dict[str, Any], frozenset[str]]:
        """Read the settings of a table: those that are right, and the names of those that are not."""
        read: dict[str, Any] = {}
        doubtful: set[str] = set()
        for key in node.keys:
            if key in leave:
                continue
            setting = settings.by_name.get(key)
            if setting is None and settings.rest is None:
                doubtful.add(
                    self._stray(node[key], settings, tuple(dict.fromkeys((*settings.by_name, *sorted(leave)))))
                )
                continue
            hint = settings.rest if setting is None else setting.hint
            value = self.reader.read(node[key], hint, secret=is_secret(key))
            if value is BAD:
                doubtful.add(key)
            else:
                read[key] = value
        for setting in settings.by_name.values():
            if setting.required and setting.name not in read.keys() | doubtful | leave:
                self.reader.mistake(node, f"{setting.name!r} is missing")
        return read, frozenset(doubtful)

    # Tiers.

    def _backend(self, node: Node) -> Any:
        """The backend of a tier, or a pool of its instances."""
        reader, keys = self.reader, node.value
        single, several = "backend" in keys, "instances" in keys
        backend = reader.read(node["backend"], settings_of(Tier).by_name["backend"].hint) if single else BAD
        instances = reader.read(node["instances"], list[Instance]) if several else BAD
        if single and several:
            reader.mistake(node["instances"], "a tier has either 'backend' or 'instances'")
            instances = BAD
        elif not single and not several and not any(meant(key, WHOM) for key in keys):
            reader.mistake(node, "'backend' is missing, or 'instances' for several places")
        if "pool" not in keys and not several:
            return backend
        return self._pool(node, instances if several else [backend])

    def _pool(self, node: Node, instances: Any) -> Any:
        settings = settings_of(Pool)
        read: dict[str, Any] = {}
        doubtful = NOTHING
        at = Node({}, (*node.path, "instances"), node.lines)
        if "pool" in node.value:
            at = node["pool"]
            if not isinstance(at.value, dict):
                return self.reader.wrong(at, Pool)
            read, doubtful = self._read(settings, at, frozenset({"instances"}))
        if instances is BAD or spoiled(instances):
            return BAD
        return made(settings, {**read, "instances": instances}, at, self.reader.mistakes, doubtful)

    def _noted(self, node: Node, read: dict[str, Any]) -> frozenset[str]:
        """Remember a tier's name; two of one name are a mistake, and the name is in doubt."""
        name = read.get("name") or getattr(read.get("backend"), "name", "").replace("/", ":")
        if name and name in self.tiers:
            place = node["name"] if "name" in node.value else node
            first = self.tiers[name]
            problem = f"another tier is called {name!r} already, that of line {first.line}; give one a 'name'"
            self.reader.mistake(place, problem)
            return frozenset({"name"})
        if name:
            self.tiers[name] = node
        return NOTHING

    # Strays.

    def _stray(self, node: Node, settings: Settings, known: tuple[str, ...]) -> str:
        """Tell of a key that is no setting; which one was meant, if that can be guessed."""
        key = str(node.path[-1])
        homes = _homes(settings, key)
        near = meant(key, known)
        top = node.path[:1] != ("cascades",) and len(node.path) > 1 and key in settings_of(Cascade).by_name
        if len(homes) == 1:
            said = f"no such setting here; it belongs in {spelled((*node.path[:-1], homes[0]))!r}"
        elif top and not meant(key, known, cutoff=ALIKE):
            said = "no such setting here; it is one of the whole file: put it before the first [table]"
        elif near:
            said = f"no such setting; did you mean {near!r}?"
        else:
            said = f"no such setting; there are: {', '.join(known)}"
        self.reader.mistake(node, said)
        return near or key


def _homes(settings: Settings, key: str) -> list[str]:
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
