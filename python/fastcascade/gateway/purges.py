"""What is forgotten on demand: in every cache of a worker, in its fellows, and in whoever shares a store with them.

    whole answers as bytes       this worker's; dropped with the answers that they were made of
    answers of cascades          memory, and Redis where there is one: the news of a purge is told there
    routes that are cached       HTTP's own; by tag or by path

Workers of one gateway tell one another by the slate, whether there is a Redis or not.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fastcascade.notices import notify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from fastcascade.caching.answers import AnswerCache
    from fastcascade.gateway.slate import Slate

__all__ = ["Purge", "Purges"]

TAG: Final = "t"
PATH: Final = "p"


@dataclass(frozen=True, slots=True)
class Purge:
    """What is to be forgotten: what has a tag, what lies at a path, or everything."""

    tag: str | None = None
    path: str | None = None

    @property
    def word(self) -> str:
        """As it stands on the slate."""
        return f"{TAG}{self.tag}" if self.tag is not None else f"{PATH}{self.path}" if self.path is not None else ""

    @classmethod
    def of(cls, word: str) -> "Purge":
        """Read it back."""
        return cls(tag=word[1:]) if word.startswith(TAG) else cls(path=word[1:]) if word.startswith(PATH) else cls()


class Purges:
    """The caches of one worker.

    Args:
        answers: those of its cascades.
        pages: what forgets pages: called with a tag, or a path, or neither for all; it comes to who could be told.
        forget: what forgets whole answers, by a tag or all.
        slate: where workers tell one another.
        place: this one's place there.
    """

    def __init__(
        self,
        answers: "Iterable[AnswerCache]",
        slate: "Slate",
        place: int,
        *,
        pages: "Callable[[str | None, str | None], Awaitable[Iterable[bool]]] | None" = None,
        forget: "Callable[[str | None], object] | None" = None,
    ) -> None:
        """Listen to what others purge."""
        self._answers = list({id(each): each for each in answers}.values())
        self._pages, self._forget = pages, forget
        self._slate, self._place = slate, place
        self._seen = slate.numbers()
        self._tasks: set[asyncio.Task[Any]] = set()
        if forget is not None:
            for each in self._answers:
                each.on_purge(forget)

    async def purge(self, what: Purge) -> bool:
        """Forget it, here and elsewhere; whether all that share a store were told."""
        self._slate.write(self._place, what.word)
        return await self._here(what)

    def look(self) -> None:
        """See what fellow workers have purged."""
        for word in self._slate.read(self._seen, self._place):
            task = asyncio.ensure_future(self._here(Purge.of(word)))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def _here(self, what: Purge) -> bool:
        pages = None
        if self._pages is not None and _written(what.tag or what.path or ""):
            pages = self._pages(what.tag, what.path)
        if what.path is None and self._forget is not None:
            self._forget(what.tag)
        told = [] if pages is None else [*await pages]
        if what.path is not None:
            return all(told)
        told += [await each.purge(tag=what.tag, everything=what.tag is None) for each in self._answers]
        return all(told)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            notify("store off", "a purge", f"failed: {type(error).__name__}")


def _written(name: str) -> bool:
    """Whether a page can be called so: half of a surrogate pair is in no header and no path."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
