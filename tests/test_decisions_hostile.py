"""Events that no file can hold, or that should not be in it: the others are kept all the same."""

import asyncio
import math
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from decided import answer_of, decision, grade, refusal
from fastcascade import Cascade, Tier
from fastcascade.errors import NoAnswer
from fastcascade.gates.check import UserCheck
from fastcascade.messages import Reply, Request, Text, Usage
from fastcascade.telemetry import Event, subscribe
from fastcascade.telemetry.decisions import Decisions, Writer
from fastcascade.testing import Fault, ScriptedBackend

SAID = "zebra-crossing"


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """One that writes at once."""
    made = Writer(tmp_path / "decisions.db", every=0.001)
    yield made
    made.close()


def odd(**call: Any) -> Event:
    """A decision whose one call says this of itself."""
    answer = answer_of("small")
    (attempt,) = answer.attempts
    return decision(replace(answer, attempts=(replace(attempt, calls=(replace(attempt.calls[0], **call),)),)))


@pytest.mark.parametrize(
    "event",
    [
        odd(usage=Usage(2**70, 1)),
        odd(usage=Usage(1, 10**400)),
        odd(usage=Usage(-5, 1)),
        odd(cost_usd=math.nan),
        odd(cost_usd=math.inf),
        odd(model="m" * 10_000_000),
        odd(model="\ud800"),
        odd(latency=math.inf),
        odd(latency=math.nan),
        decision(at=math.nan),
        decision(at=math.inf),
        decision(seconds=math.nan),
        decision(seconds=math.inf),
        decision(status=2**70),
        decision(caller="\x00\ud800" * 500),
        decision(answer_of("small", degraded="\ud800")),
        refusal(at=math.nan),
        refusal(status=2**70),
        refusal(seconds=math.inf),
        grade("r", "small", math.nan),
        grade("r", "small", math.inf),
        grade("r", "small", 1.0, at=math.nan),
        grade("r", "small", 1.0, propensity=math.nan),
        grade("r", "small", 1.0, source="\ud800"),
    ],
)
def test_an_event_that_makes_no_sense_stops_no_other(event: Event, writer: Writer) -> None:
    """What comes before it and after it is in the file, whatever became of it, and sums can be read."""
    writer(decision(answer_of("small", id="before")))
    assert writer.flush(30)
    with suppress(ValueError, OverflowError):  # whoever tells of events passes over it
        writer(event)
    writer(decision(answer_of("small", id="after")))
    assert writer.flush(30)
    store = Decisions(writer.path)
    assert {"before", "after"} <= {each.id for each in store.page()}
    for by in ("layer", "tier", "hour"):
        assert store.sums(0, by=by)
    assert store.graded(0) is not None and store.funnel(0)
    assert writer.path.stat().st_size < 2_000_000


def test_what_the_file_refuses_for_good_is_dropped(writer: Writer) -> None:
    """It would be tried forever, and nothing else be written; it is counted, and the next ones are written."""
    writer(decision(answer_of("small", id="first")))
    assert writer.flush(30)
    db = sqlite3.connect(writer.path)
    db.execute(
        "CREATE TRIGGER no BEFORE INSERT ON decisions WHEN NEW.id = 'never' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    db.commit()
    writer(decision(answer_of("small", id="never")))
    assert writer.flush(30) and writer.dropped == 1
    writer(decision(answer_of("small", id="last")))
    assert writer.flush(30)
    assert [each.id for each in Decisions(writer.path).page()] == ["last", "first"]
    db.close()


def test_without_texts_no_word_of_anybodys_is_in_the_file(writer: Writer, tmp_path: Path) -> None:
    """Prompts, answers, reasons of gates, words of providers and of exceptions: none of their bytes, in any file."""

    def unsure(_request: Request, _reply: Reply) -> float:
        raise ValueError(SAID)

    async def main() -> None:
        tiers = (
            Tier(ScriptedBackend(f"{SAID} said"), name="a", gate=UserCheck(unsure)),
            Tier(ScriptedBackend(Fault("bad_request", f"{SAID} in an error", 400)), name="b"),
            Tier(ScriptedBackend(Fault("server", SAID, 500)), name="c"),
        )
        for asked in (Request.of(f"{SAID} asked", system=SAID), Request.of(SAID, callback=f"https://x.example/{SAID}")):
            with suppress(NoAnswer):
                await Cascade(*tiers, name="support").run(asked)
        await Cascade(Tier(ScriptedBackend(Reply((Text(SAID),))), name="d"), name="support").run(SAID)

    end = subscribe(writer)
    asyncio.run(main())
    end()
    assert writer.flush(30)
    assert len(Decisions(writer.path).page()) == 3
    assert not [each.name for each in tmp_path.iterdir() if SAID.encode() in each.read_bytes()]
