"""What a chat completion is made of: events out of bytes, and the values within them."""

from collections.abc import Iterator
from typing import Any, Final

from fastcascade.messages import MOST_TOKENS, Token, Usage

__all__ = ["Events", "grown", "text_in", "tokens_of", "usage_of"]

WHOLE: Final = frozenset({"format", "id", "index", "name", "type"})
"""What a later chunk says again, and does not add to."""


class Events:
    """Takes server-sent events out of bytes, however they were cut on the way.

    It splits at the bytes of line ends alone, for a text may hold other characters that some call line ends.
    """

    def __init__(self, *, whole: bool = False) -> None:
        """Begin with nothing. A `whole` body has no events in it: it is one."""
        self._whole = whole
        self._rest: list[bytes] = []
        self._data: list[bytes] = []
        self._error = False

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """The events that are whole with these bytes: their data, and whether they are called errors."""
        if self._whole or b"\n" not in data:
            self._rest.append(data)
            return
        *lines, rest = b"".join((*self._rest, data)).split(b"\n")
        self._rest = [rest]
        for raw in lines:
            line = raw.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif line.startswith(b"event:"):
                self._error = line[6:].strip() == b"error"
            elif not line:
                if self._data:
                    yield b"\n".join(self._data), self._error
                self._data, self._error = [], False

    def end(self) -> bytes:
        """What is there when no more bytes come: a whole body, or an end that lacks its blank line; else nothing."""
        if self._whole:
            return b"".join(self._rest)
        last = [data for data, _ in self.feed(b"\n\n")]
        return last[0] if last and last[0].startswith(b"[DONE]") else b""


def text_in(value: Any) -> str:
    """A text, or nothing; `TypeError` for all else."""
    if value is None:
        return ""
    if not isinstance(value, str):
        msg = f"a text was expected, not {type(value).__name__}"
        raise TypeError(msg)
    return value


def tokens_of(logprobs: Any) -> tuple[Token, ...] | None:
    """The tokens of a chunk; None where it says nothing of any."""
    if not logprobs:
        return None
    listed = [each for name in ("content", "refusal") for each in logprobs.get(name) or ()]
    if not listed and logprobs.get("content") is None:
        return None
    return tuple(
        Token(text_in(each["token"]), float(each["logprob"]), _top(each.get("top_logprobs"))) for each in listed
    )


def _top(given: Any) -> tuple[tuple[str, float], ...]:
    pairs = [(text_in(each["token"]), float(each["logprob"])) for each in given or ()]
    return tuple(sorted(pairs, key=lambda pair: -pair[1]))


def usage_of(given: Any) -> Usage | None:
    """What was read and written; every count of it is optional but the first two. None of what cannot be meant."""
    if not given or given.get("prompt_tokens") is None:
        return None
    asked, written = int(given["prompt_tokens"]), int(given.get("completion_tokens") or 0)
    read_of = given.get("prompt_tokens_details") or {}
    reasoning = int((given.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0)
    if reasoning and given.get("total_tokens") == asked + written + reasoning:
        written += reasoning  # some count it beside what is written, not within
    cached = read_of.get("cached_tokens") or given.get("prompt_cache_hit_tokens") or 0
    stored = read_of.get("cache_write_tokens") or given.get("cache_creation_input_tokens") or 0
    counts = (asked, written, int(cached), int(stored), reasoning)
    return Usage(*counts) if min(counts) >= 0 and max(counts) < MOST_TOKENS else None


def grown(old: Any, new: Any) -> Any:
    """A value that comes in pieces, with one more piece."""
    if new is None:
        return old
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: new[key] if key in WHOLE else grown(old.get(key), new[key]) for key in new}}
    if type(old) is type(new) and isinstance(old, str | list):
        return old + new
    return new
