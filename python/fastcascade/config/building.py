"""Making a thing of its settings, and finding the setting that its constructor did not like."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastcascade.config.document import Node
from fastcascade.config.mistakes import Mistakes
from fastcascade.config.settings import Settings
from fastcascade.errors import FastcascadeError

__all__ = ["BAD", "made", "spoiled"]


class Bad:
    """Stands for what could not be read."""


BAD: Final = Bad()
ELEMENT: Final = re.compile(r"(\w+)\[(\d+)\]: ")
TIER: Final = re.compile(r"(?:tier|that of) '([^']+)'")


def spoiled(values: Iterable[Any]) -> bool:
    """Whether any of these could not be read."""
    return any(each is BAD for each in values)


def made(
    settings: Settings,
    values: Mapping[str, Any],
    node: Node,
    mistakes: Mistakes,
    doubtful: frozenset[str] = frozenset(),
    tiers: Mapping[str, Node] | None = None,
) -> Any:
    """Make it, or take note of why not.

    Where some settings are `doubtful`, it is made without them, only to see what else is wrong: whatever might be
    their fault is not told. Likewise it is tried again without a setting that was refused.
    """
    left = dict(values)
    if any(each.required and each.name not in left for each in settings.by_name.values()):
        return BAD
    while True:
        try:
            thing = settings.make(left)
        except Exception as error:  # noqa: BLE001 - a user's class may raise anything
            said = str(error) if isinstance(error, FastcascadeError | ValueError) else _told(error)
        else:
            return BAD if doubtful else thing
        culprits = [name for name in left if name in node.value and _names(said, name)]
        if doubtful and (not culprits or any(_names(said, name) for name in doubtful)):
            return BAD
        culprit = culprits[0] if len(culprits) == 1 else ""
        place, said = _place(node, culprit, said, tiers or {})
        mistakes.add(place.line, place.name, said)
        if not culprit or settings.by_name[culprit].required:
            return BAD
        doubtful |= {culprit}
        del left[culprit]


def _place(node: Node, culprit: str, said: str, tiers: Mapping[str, Node]) -> tuple[Node, str]:
    """Where an error belongs: at the one setting it names, at the element or the tier, else at the whole."""
    element = ELEMENT.match(said)
    if element is not None and element[1] in node.value:
        return node[element[1]][int(element[2])], said[element.end() :]
    tier = TIER.search(said)
    if tier is not None and tier[1] in tiers:
        return tiers[tier[1]], said
    return (node[culprit] if culprit else node), said


def _names(said: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", said) is not None


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
