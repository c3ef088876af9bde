"""One person at the review desk: claim, show, take an answer, wait in case it is undone, send."""

import asyncio
import os
import shlex
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cli.report import warn
from fastcascade.cli.review_lines import Lines
from fastcascade.cli.review_text import clean, shown
from fastcascade.errors import RequestError, StoreError
from fastcascade.reviews.labels import picked
from fastcascade.reviews.shown import whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastcascade.reviews.desk import ReviewDesk
    from fastcascade.stores.reviews import Review

__all__ = ["Sitting"]

HOLD: Final = 10.0
HELP: Final = """\
1 to 9  pick that attempt            b  pick the best so far
e       write an answer              e 2  edit a copy of attempt 2
y / x   right / wrong, of one that is only checked
n TEXT  a note with the answer       v  show the review again
s       skip: give it back and claim another
r       release: give it back        q  give it back and quit"""
WORDS: Final = {
    "lapsed": "it is not yours any more: your time was over, and it went to somebody else or expired",
    "taken": "it was answered already",
    "unknown": "it is no longer kept",
}


class Sitting:
    """Answers one review after another.

    Args:
        desks: the first that has one to hand out gives it.
        name: who answers.
        once: whether it ends after one.
        lines: what is typed.
        hold: seconds in which an answer can be undone.
    """

    def __init__(
        self,
        desks: "Sequence[ReviewDesk]",
        name: str,
        *,
        once: bool = False,
        lines: Lines | None = None,
        hold: float = HOLD,
    ) -> None:
        """Claim nothing yet."""
        self.desks = desks
        self.name = name
        self.once = once
        self.lines = lines or Lines()
        self.hold = hold
        self.skipped: set[str] = set()

    async def run(self) -> int:
        """Until nothing waits, or one quits."""
        while True:
            desk, review = await self._claimed()
            if review is None:
                print("nothing waits" + (" but what you have skipped" if self.skipped else ""))
                self.skipped.clear()
                if self.once or not self.lines.terminal:
                    return 0
                if await self.lines.next("Enter looks again, q quits: ") != "":
                    return 0
                continue
            if not await self._sat(desk, review) or self.once:
                return 0

    async def _claimed(self) -> "tuple[ReviewDesk, Review | None]":
        for desk in self.desks:
            if not self.skipped:
                review = await desk.claim(self.name)
            else:
                waiting = await desk.store.listed("waiting", "", 200)
                there = [each for each in waiting if each.id not in self.skipped]
                there.sort(key=lambda each: (each.due is None, each.due or 0.0, each.created))
                review = await desk.claim(self.name, there[0].id) if there else None
            if review is not None:
                return desk, review
        return self.desks[0], None

    async def _sat(self, desk: "ReviewDesk", review: "Review") -> bool:
        """One review; whether to go on. What was not answered is given back, whatever happens."""
        renewing = asyncio.create_task(_renewed(desk, review))
        done = False
        try:
            done, more = await self._answered(desk, review)
            return more
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            if not done:
                with suppress(StoreError):  # it goes back by itself when the lease has lapsed
                    await desk.release(review)

    async def _answered(self, desk: "ReviewDesk", review: "Review") -> tuple[bool, bool]:
        """Whether it is over with it, and whether to go on."""
        view = whole(review)
        self._show(view)
        note, draft = "", ""
        while True:
            said = await self.lines.next("answer (? for help): ")
            word, _, rest = (said or "").strip().partition(" ")
            if said is None or word == "q":
                return False, False
            if word in {"r", "s"}:
                self.skipped |= {review.id} if word == "s" else set()
                return False, word == "s" or await self.lines.next("given back; Enter claims the next, q quits: ") == ""
            if word == "n":
                note = rest
            elif word == "v":
                self._show(view)
            elif (given := await self._given(word, rest, view, draft)) is not None:
                draft = given.get("reply") or draft
                ended = await self._sent(desk, review, given, note)
                if ended is not None:
                    return ended, True

    def _show(self, view: dict[str, Any]) -> None:
        print("\n".join(shown(view, time.time())))

    async def _given(self, word: str, rest: str, view: dict[str, Any], draft: str) -> dict[str, Any] | None:
        """What is to be answered; None where nothing is, which was said."""
        if word == "b":
            return {"pick": "best"}
        if word in {"y", "x"}:
            if view["why"] == "sampled":
                return {"pick": "best" if word == "y" else "none"}
            print("somebody waits for the answer to this one: write it, or pick one")
        elif word.isascii() and word.isdigit():
            return {"pick": int(word) - 1}
        elif word == "e":
            text = await self._written(_copied(rest, view) or draft)
            if text.strip():
                return {"reply": text}
            print("nothing was written")
        else:
            print(HELP)
        return None

    async def _written(self, text: str) -> str:
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
        if editor and self.lines.terminal:
            return await _edited(editor, text)
        if text:
            print("so far:\n" + "\n".join(f"    | {line}" for line in clean(text).split("\n")))
        print("your answer; a line with a dot alone ends it")
        written: list[str] = []
        while (line := await self.lines.next()) is not None and line != ".":
            written.append(line)
        return "\n".join(written)

    async def _sent(self, desk: "ReviewDesk", review: "Review", given: dict[str, Any], note: str) -> bool | None:
        """Send it unless it is undone in time. None where it is undone or refused, and one goes on with it."""
        try:
            picked(review, given.get("reply"), given.get("pick"))
        except RequestError as error:
            print(error)
            return None
        with suppress(TimeoutError):
            said = await self.lines.next(f"sent in {self.hold:g} s; Enter sends it now, u undoes: ", self.hold)
            if (said or "").strip() == "u":
                print("undone")
                return None
        try:
            came = await desk.answer(review, given.get("reply"), pick=given.get("pick"), note=note)
        except RequestError as error:
            print(error)
            return None
        except StoreError as error:
            warn(f"{error}; it was not sent, try again")
            return None
        if came in {"done", "again"}:
            print("answered")
            return True
        print(f"not sent: {WORDS[came]}")
        if "reply" in given:
            print("your text was:\n" + "\n".join(f"    | {line}" for line in clean(given["reply"]).split("\n")))
        return True


async def _renewed(desk: "ReviewDesk", review: "Review") -> None:
    """Hold it while somebody sits before it."""
    while True:
        await asyncio.sleep(desk.lease / 3)
        try:
            if not await desk.renew(review):
                warn("this review is not yours any more: what you answer will not be sent")
                return
        except StoreError:
            continue  # the lease may outlast it


async def _edited(editor: str, text: str) -> str:
    """What one makes of a text in an editor; its file is for nobody else to read, and is gone afterwards."""
    with _paper(text) as path:
        try:
            process = await asyncio.create_subprocess_exec(*shlex.split(editor), str(path))
        except (OSError, ValueError) as error:
            warn(f"the editor {editor!r} cannot be run: {type(error).__name__}")
            return ""
        return _read(path) if await process.wait() == 0 else ""


@contextmanager
def _paper(text: str) -> "Iterator[Path]":
    handle, name = tempfile.mkstemp(prefix="review-", suffix=".txt")
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").rstrip("\n")


def _copied(number: str, view: dict[str, Any]) -> str:
    """What an attempt said, by its number; empty where there is none."""
    at = int(number) - 1 if number.isascii() and number.isdigit() else -1
    said = view["attempts"][at]["said"] if 0 <= at < len(view["attempts"]) else None
    return str(said["text"]) if said else ""
