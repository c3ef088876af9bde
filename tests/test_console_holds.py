"""What a call of the console may do to others: who may ask for it, and that no client waits while it works."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console_shop import asked, fill, made, sight_of, value
from consoles import Site
from fastcascade.console import api_calibration_works, api_live, api_traces
from fastcascade.console.api_calibration_works import Works
from fastcascade.console.api_traces_search import SECONDS, Sieve, looked_for
from fastcascade.console.asked import Sight
from fastcascade.console.console_calls import _tables
from fastcascade.console.pages import PAGES

MODULE = "shop_models_of_holds"
N = 60
ROLES = {
    "GET /console/api/try": "operator",
    "POST /console/api/try/run": "operator",
    "POST /console/api/try/estimate": "operator",
    "POST /console/api/try/served": "operator",
    "POST /console/api/try/person": "operator",
    "GET /console/api/live": "operator",
    "GET /console/api/traces": "operator",
    "GET /console/api/traces/*": "operator",
    "POST /console/api/traces/replay": "operator",
    "GET /console/api/calibration": "operator",
    "POST /console/api/calibration/again": "operator",
    "GET /console/api/reviews": "reviewer",
    "POST /console/api/reviews/claim": "reviewer",
    "POST /console/api/reviews/renew": "reviewer",
    "POST /console/api/reviews/release": "reviewer",
    "POST /console/api/reviews/answer": "reviewer",
    "POST /console/api/reviews/undo": "reviewer",
    "POST /console/api/reviews/send": "reviewer",
}
"""Every call there is. Whoever adds one says here for whom it is."""


@pytest.fixture(scope="module")
def sight(tmp_path_factory: pytest.TempPathFactory) -> Sight:
    """A cascade, and decisions with texts."""
    folder = tmp_path_factory.mktemp("holds")
    file = made(folder, MODULE)
    return sight_of(file, fill(folder, file, N))


def test_every_call_is_for_whom_it_is_meant() -> None:
    """A reviewer may ask for what the review desk needs, and for nothing else; so with the pages."""
    found = {f"{method} {path}": call.role for table in _tables() for (method, path), call in table.items()}
    assert found == ROLES
    assert [name for name, page in PAGES.items() if page.role == "reviewer"] == ["reviews"]


def _where(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[threading.Thread]:
    """In which threads something is called."""
    threads: list[threading.Thread] = []
    real: Callable[..., Any] = getattr(module, name)

    def noted(*args: Any, **more: Any) -> Any:
        threads.append(threading.current_thread())
        return real(*args, **more)

    monkeypatch.setattr(module, name, noted)
    return threads


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        (api_traces, "texts", lambda sight: api_traces.one(asked(sight, "/console/api/traces/3", rest="3"))),
        (api_traces, "timed", lambda sight: api_traces.one(asked(sight, "/console/api/traces/3", rest="3"))),
        (api_traces, "looked_for", lambda sight: api_traces.search(asked(sight, "/console/api/traces", text="x"))),
        (api_traces, "replayed", lambda sight: api_traces.again(
            asked(sight, "/console/api/traces/replay", body={"number": 3, "accept": {}}))),
        (api_live, "elsewhere", lambda sight: api_live.live(asked(sight, "/console/api/live"))),
        (api_live, "figures", lambda sight: api_live.live(asked(sight, "/console/api/live"))),
        (api_live, "saved", lambda sight: api_live.live(asked(sight, "/console/api/live"))),
    ],
)  # fmt: skip
def test_what_takes_long_is_done_beside_the_loop(
    module: Any, name: str, call: Callable[[Sight], Any], sight: Sight, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading traces, searching, replaying and adding up: a client whose answer is ready waits for none of it."""
    threads = _where(monkeypatch, module, name)
    value(asyncio.run(call(replace(sight, kept={}))))
    assert threads and threading.main_thread() not in threads


def test_a_search_through_texts_ends_in_time(sight: Sight) -> None:
    """Each call looks for some seconds at most, says where it came to, and the next one goes on from there."""
    assert sight.decisions is not None
    now, numbers = 0.0, 0
    before: dict[str, int] = {}

    def clock() -> float:
        nonlocal now
        now += SECONDS / 10
        return now

    calls = 0
    while True:
        found = looked_for(sight.decisions, before, Sieve(text="no such words"), 50, clock)
        numbers, calls = numbers + found.looked_at, calls + 1
        assert found.looked_at <= 11
        if found.following is None:
            break
        before = {"before": found.following}
    assert numbers == N and calls > 3


def test_the_board_is_read_once_for_all_who_look(sight: Sight) -> None:
    """The text of all workers is made at most once a second, however many pages are open."""
    made_ = 0

    def board() -> str:
        nonlocal made_
        made_ += 1
        return ""

    async def main() -> None:
        shared = replace(sight, kept={}, board=board, clock=lambda: 5.0)
        await asyncio.gather(*(api_live.live(asked(shared, "/console/api/live")) for _ in range(5)))

    asyncio.run(main())
    assert made_ == 1


def test_tokens_that_are_made_up_hold_nobody_up(tmp_path: Path) -> None:
    """While somebody writes to the file of sessions, a token is looked up all the same: that takes no lock of it."""
    site = Site(tmp_path)
    console = site.console()
    token = console.sessions.begin("ada", site.file.find("ada").id)
    site.clock.advance(2)  # what was just begun is known without a look
    other = sqlite3.connect(tmp_path / "console.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert console.sessions.find("x" * 43) is None
        person = console.sessions.find(token)
        assert person is not None and person.name == "ada"
    finally:
        other.execute("ROLLBACK")
        other.close()
        site.close()


def test_a_gate_that_fails_is_no_work_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong while a recording is worked out, the page is told so, by its kind alone."""
    file = tmp_path / "run.db"
    file.write_bytes(b"x")

    async def child(_wanted: Any, _tell: Any) -> dict[str, Any]:
        raise LookupError("words of a customer")

    monkeypatch.setattr(api_calibration_works, "_child", child)

    async def main() -> None:
        works = Works()
        work = works.ask(file, {"keep": 0.9}, lambda _tiers: ("", None))
        assert work.task is not None
        await work.task
        assert (work.state, work.error) == ("failed", "it failed: LookupError")

    asyncio.run(main())
