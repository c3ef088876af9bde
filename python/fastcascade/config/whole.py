"""A whole file: one cascade at its top, or several by name, and what the gateway is told."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cascade import Cascade
from fastcascade.config.building import BAD
from fastcascade.config.document import Node, parsed
from fastcascade.config.mistakes import Mistakes
from fastcascade.config.reader import Reader
from fastcascade.config.references import References
from fastcascade.config.settings import settings_of
from fastcascade.errors import ConfigError
from fastcascade.gateway.settings import Settings
from fastcascade.prices import PriceSheet

if TYPE_CHECKING:
    from fastcascade.config.models import Model

__all__ = ["ALONE", "File", "read", "settings", "text_of"]

ALONE: Final = "cascade"
"""What a cascade is called that has a file for itself."""
BESIDE: Final = frozenset({"gateway", "cascades", "default"})
"""Keys at the top of a file that are no setting of a cascade."""
SHARED: Final = "prices"
MODELS: Final = frozenset({"models"})


@dataclass(frozen=True, slots=True)
class File:
    """What a file says.

    Args:
        cascades: by name; one that has the file for itself is called "cascade".
        default: the cascade for names that are not known; empty is none.
        settings: of the gateway.
        models: names beside those of cascades, and what each stands for.
    """

    cascades: Mapping[str, Cascade]
    default: str
    settings: Settings
    models: "Mapping[str, Model]" = field(default_factory=dict)

    def cascade(self, name: str = "") -> Cascade:
        """The one of this name; without a name the default, or the only one there is."""
        if not self.cascades:
            raise ConfigError("this file has routes, and no cascade")
        name = name or self.default or (next(iter(self.cascades)) if len(self.cascades) == 1 else "")
        if name in self.cascades:
            return self.cascades[name]
        known = ", ".join(self.cascades)
        said = f"there is no cascade {name!r}" if name else "this file has several cascades, and no default = 'NAME'"
        raise ConfigError(f"{said}; there are: {known}")


def text_of(path: Path, mistakes: Mistakes) -> str:
    """The text of a file. Raises `ConfigError`."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        mistakes.add(None, "", f"not UTF-8 at byte {error.start}; save it as UTF-8")
    except OSError as error:
        mistakes.add(None, "", f"cannot be read: {error.strerror or type(error).__name__}")
    raise mistakes.error()


def read(text: str, mistakes: Mistakes, folder: Path | None, *, functions: bool = True) -> File:
    """Read all of it. Raises `ConfigError` with all that is wrong, and names of code where there may be none."""
    root = parsed(text, mistakes)
    references = References(folder, mistakes, functions=functions)
    with _importing(folder if functions else None):
        cascades, prices = _cascades(root, references, mistakes)
        default = _default(root, cascades, Reader(references, mistakes))
        told = _settings(root, Reader(references, mistakes))
        models = _models(root, cascades, prices, Reader(references, mistakes))
    if mistakes:
        raise mistakes.error()
    made = {name: each for name, each in cascades.items() if isinstance(each, Cascade)}
    if len(made) != len(cascades) or told is None:
        raise AssertionError("a file without mistakes must make a cascade")
    return File(made, default, told, models)


def settings(text: str, mistakes: Mistakes, folder: Path | None, *, functions: bool = True) -> Settings:
    """What the gateway alone is told; no cascade is built, unless there are mistakes, to tell of all at once."""
    root = parsed(text, mistakes)
    found = _settings(root, Reader(References(folder, mistakes, functions=functions), mistakes))
    if mistakes or found is None:
        read(text, mistakes, folder, functions=functions)
        raise mistakes.error()
    return found


@contextmanager
def _importing(folder: Path | None) -> Iterator[None]:
    """Let modules lie beside the file."""
    if folder is None:
        yield
        return
    sys.path.append(str(folder))  # at the end: what is there shadows nothing
    try:
        yield
    finally:
        sys.path.reverse()  # the last of its kind is ours
        sys.path.remove(str(folder))
        sys.path.reverse()


def _cascades(root: Node, references: References, mistakes: Mistakes) -> tuple[dict[str, Any], PriceSheet | None]:
    """All of them by name, `BAD` where they cannot be made; and the prices that are the whole file's."""
    if _routes_alone(root):
        return {}, None
    if "cascades" not in root.value:
        alone = Reader(references, mistakes).tables.build(Cascade, root, BESIDE)
        return {ALONE: alone}, (alone.prices if isinstance(alone, Cascade) else None)
    reader, known = Reader(references, mistakes), settings_of(Cascade)
    for key in root.keys:
        if key in known.by_name and key != SHARED:
            reader.mistake(root[key], "no setting of a file with [cascades]; it belongs in a [cascades.NAME]")
        elif key not in BESIDE and key != SHARED:
            reader.stray(root[key], [*sorted(BESIDE), SHARED])
    shared: dict[str, Any] = {}
    if SHARED in root.value:
        shared[SHARED] = reader.read(root[SHARED], known.by_name[SHARED].hint)
    table = root["cascades"]
    if not isinstance(table.value, dict) or not table.value:
        reader.mistake(table, "must be tables, one for each cascade: [cascades.NAME]")
        return {}, None
    sheet = shared.get(SHARED)
    made = {name: _cascade(table[name], Reader(references, mistakes), shared) for name in table.keys}
    return made, (sheet if isinstance(sheet, PriceSheet) else None)


def _routes_alone(root: Node) -> bool:
    """Whether a file is about routes, and says not a word of a cascade."""
    gateway = root.value.get("gateway")
    return root.keys == ("gateway",) and isinstance(gateway, dict) and "routes" in gateway


def _cascade(node: Node, reader: Reader, shared: Mapping[str, Any]) -> Any:
    name = str(node.path[-1])
    if not name or "/" in name or ":" in name:
        return reader.mistake(node, "the name of a cascade has no '/' and no ':', which part it from a tier's")
    if not isinstance(node.value, dict):
        return reader.wrong(node, Cascade)
    reader.tables.shared = shared
    return reader.tables.build(Cascade, node)


def _default(root: Node, cascades: Mapping[str, Any], reader: Reader) -> str:
    if _routes_alone(root):
        return ""
    if "cascades" not in root.value:
        if "default" in root.value:
            reader.mistake(root["default"], "which of [cascades.NAME] is meant where none is; there is only one here")
        return ALONE
    if "default" not in root.value:
        return ""
    name = reader.read(root["default"], str)
    if isinstance(name, str) and name not in cascades:
        reader.unknown(root["default"], "cascade", name, list(cascades))
    return str(name)


def _settings(root: Node, reader: Reader) -> Settings | None:
    """What [gateway] says; all of it by default where there is none."""
    if "gateway" not in root.value:
        return Settings()
    node = root["gateway"]
    if not isinstance(node.value, dict):
        reader.wrong(node, Settings)
        return None
    found = reader.tables.build(Settings, node, MODELS)
    if "routes" in node.value:
        from fastcascade.config.routes import checked  # noqa: PLC0415 - for those who have some

        checked(node, reader)
    return found if isinstance(found, Settings) else None


def _models(root: Node, cascades: Mapping[str, Any], prices: PriceSheet | None, reader: Reader) -> "dict[str, Model]":
    gateway = root.value.get("gateway")
    if not isinstance(gateway, dict) or "models" not in gateway:
        return {}
    table = root["gateway"]["models"]
    if not isinstance(table.value, dict):
        reader.wrong(table, Mapping[str, Any])
        return {}
    from fastcascade.config.models import model_of  # noqa: PLC0415 - for those who have other names

    found = {name: model_of(table[name], cascades, prices, reader) for name in table.keys}
    return {name: each for name, each in found.items() if each is not BAD}
