"""What is known of classes that may not be loaded yet: a mapping that is asked by class, and knows it by its name."""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, TypeVar

__all__ = ["ByClass", "named"]

V = TypeVar("V")


def named(name: str) -> Any:
    """What a name of the form "module:attribute" stands for; its module is loaded for it."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


class ByClass(Mapping[Any, V]):
    """Values by class, each made when it is first asked for.

    A class that a file does not use need not be loaded to find that out. To go through all of them loads them all.

    Args:
        makers: by "module:class", what makes the value.
    """

    def __init__(self, makers: Mapping[str, Callable[[], V]]) -> None:
        """Make none yet."""
        self._makers = dict(makers)
        self._made: dict[str, V] = {}

    def __contains__(self, key: object) -> bool:
        """Whether there is a value for this class; it is not made for that."""
        return _name(key) in self._makers

    def __getitem__(self, key: Any) -> V:
        """The value for this class."""
        name = _name(key)
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[Any]:
        """The classes."""
        return map(named, self._makers)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._makers)


def _name(key: object) -> str:
    return f"{key.__module__}:{key.__qualname__}" if isinstance(key, type) else ""
