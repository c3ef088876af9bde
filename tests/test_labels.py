"""Answered reviews as labelled cases."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from desks import ASKED, START, Clock, ended, traced
from fastcascade.errors import StoreError
from fastcascade.messages import Image, Message, Reply, Request, Text, Tool, ToolCall
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.testing import run_virtual
from memory_reviews import MemoryReviews


@pytest.fixture
def store() -> MemoryReviews:
    """A store that is obviously right."""
    return MemoryReviews()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


# Cases.


def test_every_answer_becomes_a_case(store: MemoryReviews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export holds each answered review once, as input, answer, slice and what the models had said."""
    path = tmp_path / "cases.jsonl"
    path.write_text("an older export")
    monkeypatch.setattr("fastcascade.reviews.desk.PAGE", 7)

    async def main(trace: Mapping[str, Any], best: Reply) -> None:
        desk = ReviewDesk(store)
        for number in range(30):
            await desk.submit(Request.of(f"question {number}", route="/a"), "unsure", best, trace)
        await desk.submit(ASKED, "failed")
        for number in range(30):
            claimed = await desk.claim("ann")
            assert claimed is not None
            await desk.answer(claimed, f"answer {number}", note="n")
        assert await desk.export(path) == 30

    run_virtual(main(*traced()))
    cases = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({each["id"] for each in cases}) == 30
    assert {each["input"] for each in cases} == {f"question {number}" for number in range(30)}
    assert {each["expected"] for each in cases} == {f"answer {number}" for number in range(30)}
    assert all(each["candidates"] == ["It is on its way.", "Perhaps."] for each in cases)
    assert {(each["slice"], each["why"], each["note"]) for each in cases} == {("/a", "unsure", "n")}
    assert path.stat().st_mode & 0o077 == 0 and list(tmp_path.iterdir()) == [path]


def test_cases_while_old_ones_are_dropped(store: MemoryReviews, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A review that is dropped in the middle of an export takes no other with it, and brings none twice."""
    monkeypatch.setattr("fastcascade.reviews.desk.PAGE", 3)

    async def main() -> list[str]:
        desk = ReviewDesk(store, clock=clock)
        held = []
        for number in range(9):
            clock.now += 1.0
            await desk.submit(Request.of(f"{number}"), "failed")
            held.append(await desk.claim("ann"))
        for number in (2, 0, 1, 3, 4, 5, 6, 7, 8):
            clock.now += 1.0
            claimed = held[number]
            assert claimed is not None
            await desk.answer(claimed, "x")
        made = []
        async for each in desk.cases():
            made.append(each["input"])
            if len(made) == 3:
                assert await store.purge(START + 10.5) == 1  # the last of the page, and no other
        return made

    assert run_virtual(main()) == list("012345678")


LOOK = Tool("look")
ODD = "\ud800\u2028"
INPUTS: list[tuple[Request, Any, set[str]]] = [
    (Request.of("hi"), "hi", set()),
    (Request.of(ODD), ODD, set()),
    (Request.of("hi", system="Be brief."), "hi", {"system"}),
    (
        Request((Message("user", "a"), Message("assistant", "b"), Message("user", "c"))),
        [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))],
        set(),
    ),
    (Request.of("hi", tools=(LOOK,)), "hi", {"request"}),
    (Request.of("hi", schema={"type": "object"}), "hi", {"request"}),
    (
        Request((Message("user", (Text("see"), Image(url="u"))),)),
        [{"kind:": "Text", "text": "see"}, {"kind:": "Image", "url": "u"}],
        {"request"},
    ),
]


@pytest.mark.parametrize(("request_", "said", "more"), INPUTS)
def test_what_a_case_says_was_asked(request_: Request, said: Any, more: set[str], tmp_path: Path) -> None:
    """A plain question is a text, a conversation messages, what is more is there whole, and who asked is not."""

    async def main() -> None:
        desk = ReviewDesk(MemoryReviews())
        await desk.submit(
            replace(request_, customer="acme", user="the-user", callback="https://c"), "failed", Reply("best")
        )
        claimed = await desk.claim("ann")
        assert claimed is not None
        await desk.answer(claimed, Reply((Text("x"), ToolCall("1", "look"))))
        await desk.export(tmp_path / "cases.jsonl")

    run_virtual(main())
    text = (tmp_path / "cases.jsonl").read_text()
    made = json.loads(text)
    assert made["input"] == said and made["candidates"] == ["best"] and len(made["expected"]) == 2
    assert set(made) - {"id", "input", "expected", "slice", "why", "note", "candidates"} == more
    assert not any(word in text for word in ("acme", "the-user", "https://c", "rv_"))


def test_an_export_that_fails_leaves_the_old_one(store: MemoryReviews, tmp_path: Path) -> None:
    """An export that breaks off leaves the file as it was, and nothing beside it."""
    path = tmp_path / "cases.jsonl"
    path.write_text("an older export")

    async def main() -> None:
        desk = ReviewDesk(store)
        await ended(desk, "")
        store.off = True
        await desk.export(path)

    with pytest.raises(StoreError):
        run_virtual(main())
    assert path.read_text() == "an older export" and list(tmp_path.iterdir()) == [path]
