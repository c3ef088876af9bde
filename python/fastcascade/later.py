"""Names of a package that are loaded when they are first used, so that a server starts with what it needs alone."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["loader"]


def loader(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: `modules` has the public names that each of its modules brings.

    What was found is kept in the package, so that a name costs this once.
    """
    where = {name: module for module, names in modules.items() for name in names.split()}

    def load(name: str) -> Any:
        if name not in where:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        found = getattr(import_module(f"{package}.{where[name]}"), name)
        vars(import_module(package))[name] = found
        return found

    return load
