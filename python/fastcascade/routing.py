"""One rule of the route table; the table itself is compiled (`fastcascade.Router`)."""

from collections.abc import Iterable
from dataclasses import dataclass
from re import Pattern
from typing import Generic, Literal, TypeVar

__all__ = ["Route"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Route(Generic[T]):
    """A path, where it goes, and who may take it.

    The path is a text with `{param}` segments and a `{rest...}` tail, `"*"` for whatever is left, or a
    compiled regular expression. A text may begin with methods: `"GET,HEAD /users/{id}"`.

    `public` needs no credential and shares its cached answers with everyone. Of the others, an answer is
    kept for its identity alone, or with `share="tenant"` for all of its tenant who hold the same scopes.
    `cost` is what one request takes from the client's bucket.
    """

    path: str | Pattern[str]
    target: T
    methods: Iterable[str] | None = None
    public: bool = False
    scopes: Iterable[str] = ()
    share: Literal["identity", "tenant"] = "identity"
    cost: float = 1.0
