"""Answers from a tape, and the making of one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fastcascade import Cascade, ConfigError, Delta, Price, PriceSheet, Reply, Request, Tier, ToolCall, Usage
from fastcascade.backends import Recorded, Recorder, Rules
from fastcascade.backends.backend import Instant, Priced, Streaming
from fastcascade.errors import BackendError
from fastcascade.testing import Cut, ScriptedBackend, run_virtual


def ask(backend: Recorded | Recorder, text: str) -> Reply | None:
    """Ask a backend one thing."""
    return asyncio.run(backend.complete(Request.of(text)))


def test_recorded_replies_come_in_turn() -> None:
    """Several replies to one text are given one after another, and then again from the first."""
    backend = Recorded({"q": ["a", "b"], "r": "c"}, name="tape")
    assert [reply.text for _ in range(3) if (reply := ask(backend, "q"))] == ["a", "b", "a"]
    assert backend.answer(Request.of("r")) == Reply("c", model="tape")


def test_what_is_not_on_the_tape_is_an_error_or_no_answer() -> None:
    """An unknown text is a failure that names it; not strict, the tape just has no answer."""
    with pytest.raises(BackendError, match="no recorded reply to 'who'"):
        ask(Recorded({"q": "a"}), "who")
    assert ask(Recorded({"q": "a"}, strict=False), "who") is None


def test_a_recorder_writes_what_recorded_reads(tmp_path: Path) -> None:
    """A tape made of one backend's replies stands in for it."""
    path = tmp_path / "tape.jsonl"
    live = ScriptedBackend(Reply("größer", model="m", usage=Usage(1, 2)), Reply((ToolCall("1", "look"),), stop="tool"))
    recorder = Recorder(live, path)
    said = [ask(recorder, "q"), ask(recorder, "q")]
    tape = Recorded(path)
    assert [ask(tape, "q"), ask(tape, "q")] == said


def test_a_broken_tape_is_named_by_its_line(tmp_path: Path) -> None:
    """A line that is no reply is an error with its number."""
    path = tmp_path / "tape.jsonl"
    path.write_text('{"ask": "q", "reply": "a"}\n{"asked": "q"}\n', "utf-8")
    with pytest.raises(ConfigError, match=r"tape.jsonl, line 2: not a recorded reply"):
        Recorded(path)
    with pytest.raises(ConfigError, match="must be a text or a Reply, not int"):
        Recorded({"q": 7})


@pytest.mark.parametrize("said", ["a\u2028b\u2029c\u0085d", "line\r\nline\x0cpage\x1e", "\ud800", "größer"])
def test_any_text_can_be_put_on_tape(said: str, tmp_path: Path) -> None:
    """Signs that some take for the end of a line, and half of a surrogate pair, come back as they were."""
    path = tmp_path / "tape.jsonl"
    ask(Recorder(ScriptedBackend(said, name="a"), path), said)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    tape = Recorded(path)
    assert ask(tape, said) == Reply(said, model="a")


class Whole:
    """A backend that has all a backend may have."""

    name = "whole"
    gives = frozenset({"logprobs"})
    free = False
    price = Price(1.0, 2.0)
    base_url = "http://there.example/v1"

    def __init__(self) -> None:
        self.closed = 0

    async def complete(self, request: Request, /) -> Reply | None:
        return Reply(f"whole {request.text}")

    def answer(self, request: Request, /) -> Reply | None:
        return Reply(f"at once {request.text}")

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply]:
        try:
            yield Delta("text", "bit by ")
            yield Reply(f"bit by bit {request.text}")
        finally:
            self.closed += 1

    def cost(self, model: str, usage: Usage, /) -> float | None:
        return 7.0

    async def aclose(self) -> None:
        self.closed += 10


def test_a_recorder_has_what_its_backend_has(tmp_path: Path) -> None:
    """Nobody can tell that it is there: prices, streams, and answers without I/O pass through, and are written down."""
    path = tmp_path / "tape.jsonl"
    whole = Whole()
    recorder: Any = Recorder(whole, path)
    assert all(isinstance(recorder, kind) for kind in (Streaming, Instant, Priced))
    assert (recorder.price, recorder.free, recorder.base_url) == (whole.price, False, whole.base_url)
    assert recorder.cost("whole", Usage()) == 7.0

    async def asked() -> None:
        assert [item async for item in recorder.stream(Request.of("s"))][1] == Reply("bit by bit s")
        recorder.answer(Request.of("a"))
        await recorder.complete(Request.of("c"))
        await recorder.aclose()

    asyncio.run(asked())
    assert whole.closed == 11
    tape = Recorded(path)
    said = {asked: reply.text for asked in "sac" if (reply := tape.answer(Request.of(asked)))}
    assert said == {"s": "bit by bit s", "a": "at once a", "c": "whole c"}


def test_a_recorder_has_nothing_that_its_backend_lacks(tmp_path: Path) -> None:
    """A backend that cannot stream, or has no price, is not made to look as if it could."""
    recorder: Any = Recorder(Bare(), tmp_path / "tape.jsonl")
    assert not any(isinstance(recorder, kind) for kind in (Streaming, Instant, Priced))
    assert not any(hasattr(recorder, name) for name in ("price", "free", "base_url", "aclose"))


class Bare:
    """A backend with no more than is needed."""

    name = "bare"
    gives: frozenset[str] = frozenset()

    async def complete(self, request: Request, /) -> Reply | None:
        return None


def test_rules_behind_a_recorder_stay_free(tmp_path: Path) -> None:
    """What costs nothing costs nothing on tape."""
    cascade = Cascade(Tier(Recorder(Rules({"q": "a"}), tmp_path / "tape.jsonl")), prices=PriceSheet(source=None))
    assert cascade.run_sync("q").cost_usd == 0.0


def test_a_stream_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """Half a reply is none to be played again; a stream that is left early is closed."""
    path = tmp_path / "tape.jsonl"
    recorder = Recorder(ScriptedBackend(Cut("one two", 1), "one two"), path)

    async def read() -> None:
        with pytest.raises(BackendError):
            async for _ in recorder.stream(Request.of("q")):
                pass
        stream = recorder.stream(Request.of("q"))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    run_virtual(read())
    assert not path.exists()
    assert recorder.backend.cancelled == 1  # type: ignore[attr-defined]
