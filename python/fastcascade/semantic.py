"""Routes by meaning: example utterances for each, and whichever a text is closest to by cosine.

The utterances are embedded once. From then on a text costs one embedding, unless it was seen lately, and one pass
over the table in the core.
"""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from fastcascade._core import Cache, VectorSet, cosine
from fastcascade.embedders import Vector, as_embedder, checked
from fastcascade.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from concurrent.futures import Future

__all__ = ["SemanticRoutes"]

T = TypeVar("T")
Found: TypeAlias = tuple[str | None, float]
THRESHOLD: Final = 0.5
"""Embedders differ in what a cosine means: measure it."""


class SemanticRoutes:
    """Which route a text is meant for.

        routes = SemanticRoutes({"refund": ["I want my money back", ...], "password": [...]}, embedder, threshold=0.45)
        await routes.prepare()
        routes.match(await routes.embed("please return what I paid"))     # ("refund", 0.66)

    A route's score is the mean of its `top` best cosines, or of all where it has fewer utterances. Of the routes whose
    score reaches their threshold the best wins; where none does, the answer is None and the best score of all.

    Args:
        routes: the utterances of each route, by its name. Five to fifteen of different wording serve well.
        embedder: one of `fastcascade.embedders`, a function, or a model with an `encode` method.
        threshold: one for all, or by name; a route without one has 0.5. It depends on the embedder.
        top: how many cosines make a route's score. 1 suits utterances that say different things.
        remember: how many texts' vectors are kept, the latest used; 0 keeps none.
        longest: of a text, so many characters from its beginning are embedded.
    """

    def __init__(
        self,
        routes: Mapping[str, Iterable[str]],
        embedder: Any,
        *,
        threshold: float | Mapping[str, float] = THRESHOLD,
        top: int = 1,
        remember: int = 1024,
        longest: int = 8_000,
    ) -> None:
        """Check the settings; nothing is embedded yet."""
        self._routes = _utterances(routes)
        self._embedder = as_embedder(embedder)
        self._thresholds = _thresholds(threshold, tuple(self._routes))
        self._alike = len(set(self._thresholds)) == 1
        self._top = _whole("top", top, 1)
        self._longest = _whole("longest", longest, 1)
        known = _whole("remember", remember, 0)
        self._known: Cache[Vector] | None = Cache(max_items=known) if known else None
        self._names = tuple(self._routes)
        self._table: VectorSet | None = None
        self._lock = Lock()
        self._preparing: tuple[Future[None], AbstractEventLoop] | None = None
        self._tasks: set[Task[None]] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """The routes, in their order."""
        return self._names

    @property
    def prepared(self) -> bool:
        """Whether the utterances have been embedded."""
        return self._table is not None

    def threshold(self, name: str, /) -> float:
        """The least score with which this route is taken."""
        return self._thresholds[self._names.index(name)]

    async def prepare(self) -> None:
        """Embed the utterances: once, however many ask, from however many event loops. A failure is not kept."""
        if self._table is not None:
            return
        from asyncio import shield, wrap_future  # noqa: PLC0415 # importing the package must not load asyncio

        # One turn is enough, unless the loop that was at it has ended before it was done.
        while self._table is None:
            # A request that is given up must not take the others' table with it.
            await shield(wrap_future(self._pending()))

    async def embed(self, text: str, /) -> Vector:
        """The text's vector, for `match`; embeds the utterances first, where that has not been done.

        Of a text without any letters or signs the vector is all zeros, which no route matches.
        """
        await self.prepare()
        text = text[: self._longest]
        known = None if self._known is None else self._known.get(text)
        if known is not None:
            return known
        table = self._ready()
        if not text.strip():
            return array("f", bytes(4 * table.dim))
        vector = checked(await self._embedder([text]), 1)[0]
        self.match(vector)  # what `match` could not take fails here, where a failure is expected
        if self._known is not None:
            self._known.put(text, vector)
        return vector

    async def find(self, text: str, /) -> Found:
        """`embed` and `match` in one."""
        return self.match(await self.embed(text))

    def match(self, vector: Sequence[float], /) -> Found:
        """The route whose utterances are closest, or None; and the score."""
        group, score = self._asked(self._ready().best, vector, (0, 0.0))
        if score >= self._thresholds[group]:
            return self._names[group], score
        return (None, score) if self._alike else self._chosen(self._scores(vector))

    def scores(self, vector: Sequence[float], /) -> dict[str, float]:
        """Every route's score: small enough to be kept in a record, and enough for `choose`."""
        return dict(zip(self._names, self._scores(vector), strict=True))

    def choose(self, scores: Mapping[str, float], /) -> Found:
        """What `match` says of a vector with these scores: for other thresholds on what was recorded."""
        return self._chosen([scores.get(name, -1.0) for name in self._names])

    def describe(self) -> dict[str, Any]:
        """What there is, for people and for logs."""
        routes = {
            name: {"utterances": len(texts), "threshold": threshold}
            for (name, texts), threshold in zip(self._routes.items(), self._thresholds, strict=True)
        }
        table = self._table
        return {
            "routes": routes,
            "embedder": repr(self._embedder),
            "top": self._top,
            "prepared": table is not None,
            "dimensions": table.dim if table else None,
            "memory": table.memory if table else 0,
            "remembered": len(self._known) if self._known is not None else 0,
        }

    def __repr__(self) -> str:
        """Show the routes and the embedder."""
        return f"SemanticRoutes({', '.join(self._names)}; {self._embedder!r})"

    def _ready(self) -> VectorSet:
        if self._table is None:
            raise ConfigError("the semantic routes have no vectors yet: await routes.prepare() first")
        return self._table

    def _scores(self, vector: Sequence[float]) -> list[float]:
        return self._asked(self._ready().scores, vector, [0.0] * len(self._names))

    def _asked(self, question: Callable[[Sequence[float]], T], vector: Sequence[float], zero: T) -> T:
        try:
            return question(vector)
        except ValueError as error:
            if len(vector) == self._ready().dim and not any(vector):
                return zero  # nothing that the embedder knows, so near to nothing
            msg = f"a vector cannot be matched with the routes: {error}"
            raise BackendError("malformed", msg) from None

    def _chosen(self, scores: list[float]) -> Found:
        found, best, most = None, -2.0, -2.0
        for name, score, threshold in zip(self._names, scores, self._thresholds, strict=True):
            most = max(most, score)
            if score >= threshold and score > best:
                found, best = name, score
        return (found, best) if found is not None else (None, most)

    def _pending(self) -> "Future[None]":
        """What is there once the utterances have been embedded; begins with it where nobody has."""
        from asyncio import get_running_loop  # noqa: PLC0415 # importing the package must not load asyncio
        from concurrent.futures import Future  # noqa: PLC0415

        loop = get_running_loop()
        with self._lock:
            if self._preparing is not None and not self._preparing[1].is_closed():
                return self._preparing[0]
            pending: Future[None] = Future()
            self._preparing = (pending, loop)
        task = loop.create_task(self._prepare())
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, pending))
        return pending

    def _finished(self, pending: "Future[None]", task: "Task[None]") -> None:
        self._tasks.discard(task)
        with self._lock:
            if self._preparing is not None and self._preparing[0] is pending:
                self._preparing = None
        error = None if task.cancelled() else task.exception()
        if error is None:
            pending.set_result(None)  # done; or this loop is ending, and another must see to it
        else:
            pending.set_exception(error)

    async def _prepare(self) -> None:
        texts = [text[: self._longest] for texts in self._routes.values() for text in texts]
        groups = [group for group, texts in enumerate(self._routes.values()) for _ in texts]
        rows = checked(await self._embedder(texts), len(texts))
        for text, row in zip(texts, rows, strict=True):
            try:
                cosine(row, row)
            except ValueError as error:
                msg = f"the embedder's vector of the utterance {text[:80]!r} cannot be used: {error}"
                raise BackendError("malformed", msg) from None
        self._table = VectorSet(rows, groups, top=self._top)


def _utterances(routes: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(routes, Mapping) or not routes:
        raise ConfigError("semantic routes are a mapping of names to utterances, with one route at least")
    found: dict[Any, tuple[Any, ...]] = {}
    owner: dict[str, str] = {}
    for name, texts in routes.items():
        if not isinstance(name, str) or not name:
            msg = f"a semantic route's name is a text, not {name!r}"
            raise ConfigError(msg)
        if isinstance(texts, str):
            msg = f"semantic route {name!r} has one text for utterances; write [{texts!r}]"
            raise ConfigError(msg)
        found[name] = tuple(texts)
        if not found[name]:
            msg = f"semantic route {name!r} has no utterance; give five or more"
            raise ConfigError(msg)
        for text in found[name]:
            if not isinstance(text, str) or not text.strip():
                msg = f"semantic route {name!r} has an utterance that is no text: {text!r}"
                raise ConfigError(msg)
            if owner.setdefault(text, name) != name:
                msg = f"semantic routes {owner[text]!r} and {name!r} both have the utterance {text!r}; give it to one"
                raise ConfigError(msg)
    return found


def _thresholds(threshold: Any, names: tuple[str, ...]) -> tuple[float, ...]:
    given: Mapping[Any, Any] = threshold if isinstance(threshold, Mapping) else dict.fromkeys(names, threshold)
    for name, value in given.items():
        if name not in names:
            msg = f"a threshold is given for {name!r}, which is no route; there are {', '.join(names)}"
            raise ConfigError(msg)
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1 <= value <= 1:
            msg = f"the threshold of semantic route {name!r} is a cosine from -1 to 1, not {value!r}"
            raise ConfigError(msg)
    chosen = dict.fromkeys(names, THRESHOLD) | dict(given)
    return tuple(float(chosen[name]) for name in names)


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        msg = f"{name} is a whole number from {least} on, not {value!r}"
        raise ConfigError(msg)
    return value
