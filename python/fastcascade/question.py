"""What is asked, apart from how it is to be served: by which two requests are the same."""

import json
from collections.abc import Collection
from dataclasses import fields
from typing import Final, Literal, TypeAlias

from fastcascade.errors import ConfigError
from fastcascade.messages import Request
from fastcascade.records import dump

__all__ = ["PER", "Per", "Question"]

Per: TypeAlias = Literal["user", "customer", "all"]
"""Whose question it is: that of the same user alone, of all users of a customer, or of everybody."""

NOT_THE_QUESTION: Final = frozenset({"id", "budget", "priority", "idempotency", "session", "regenerate", "callback"})
"""Fields of a request that change how it is served, and not what is asked."""
PER: Final[dict[str, frozenset[str]]] = {
    "user": frozenset(),
    "customer": frozenset({"user"}),
    "all": frozenset({"user", "customer"}),
}


class Question:
    """Tells questions apart.

    Args:
        per: whose it is.
        without: further fields of a request that do not count.
        only: of those that do not count by default, the ones that do.
    """

    def __init__(self, per: Per = "user", without: Collection[str] = (), only: Collection[str] = ()) -> None:
        """Check `per`."""
        if per not in PER:
            msg = f"per must be one of {', '.join(PER)}, not {per!r}"
            raise ConfigError(msg)
        left_out = (NOT_THE_QUESTION | PER[per] | frozenset(without)) - frozenset(only)
        self._fields = tuple(each.name for each in fields(Request) if each.name not in left_out)

    def key(self, request: Request) -> str:
        """What the answer is filed under. `ConfigError` for a request that holds what has no written form."""
        asked = [dump(getattr(request, name)) for name in self._fields]
        return json.dumps(asked, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
