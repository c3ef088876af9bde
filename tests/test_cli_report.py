"""`fastcascade report`: the figures of a store of decisions, each with how many it is of."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from decided import answer_of, decision, grade, refusal
from fastcascade.cli import main
from fastcascade.telemetry.decisions import Writer
from fastcascade.telemetry.events import Event

Said = Callable[..., str]
FILE = """
[[tiers]]
model = "scripted/small"
backend = {{ kind = "rules", rules = [] }}

[gateway.decisions]
file = "decisions.db"

[gateway.promises]
escalation = {escalation}
quality = {{ small = 0.95 }}
"""


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Runs a command where a store lies, after these events were kept."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, events: tuple[Event, ...] = (), code: int = 0) -> str:
        if events:
            writer = Writer(tmp_path / "decisions.db", every=0.001)
            for each in events:
                writer(each)
            assert writer.flush(30)
            writer.close()
        assert main(list(arguments)) == code
        told = capsys.readouterr()
        return told.err if code else told.out

    return run


def some() -> tuple[Event, ...]:
    """A hundred decisions, half of which escalate, refusals, and labels."""
    now = time.time() - 60
    made: list[Event] = [refusal(now) for _ in range(10)]
    for n in range(50):
        made.append(decision(answer_of("small", id=f"a{n}", task="billing"), now, seconds=0.2))
        made.append(decision(answer_of("small", "large", id=f"b{n}", task="code", cost=n > 3), now, seconds=2.0))
        made.append(grade(f"a{n}", "small", float(n % 5 > 0), at=now))
    return tuple(made)


def test_it_says_what_was_decided(said: Said) -> None:
    """Paths, tiers, slices, times, savings and grades; each with its n, each rate with its interval."""
    text = said("report", "decisions.db", events=some())
    assert "110 requests, of which 100 reached a cascade" in text
    assert "dispatch/small" in text
    assert "guard/429" in text
    assert "50.0% (39.8% to 60.2%)" in text
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert lines["code"][:3] == ["code", "50", "100.0%"]
    assert lines["small"][1] == "50"
    assert "0.800" in text
    assert "not known: of no request" in text


def test_it_suggests_what_to_do_next(said: Said) -> None:
    """What is above its line, each with the command that comes next."""
    Path("cascade.toml").write_text(FILE.format(escalation=0.3))
    text = said("report", events=some())
    assert "! 50.0% of 100 requests escalate (95 %: 39.8% to 60.2%), above the line of 30%: fit the thresholds" in text
    assert "fastcascade record cascade.toml CASES --to run.db" in text
    assert "! of 4 of 100 requests the cost is not known" in text
    assert "fastcascade doctor cascade.toml" in text
    assert "! the answers of small are right 80.0% of the time, of 50 that were graded; 95.0% is promised" in text


def test_where_all_is_well_it_suggests_nothing(said: Said) -> None:
    """No advice for its own sake."""
    events = tuple(decision(answer_of("small", id=str(n))) for n in range(30))
    assert "!" not in said("report", "decisions.db", events=events)


def test_a_tier_that_never_accepts_is_named(said: Said) -> None:
    """It costs time and money for nothing."""
    events = tuple(decision(answer_of("small", "large", id=str(n))) for n in range(30))
    assert "small never accepted, in 30 tries" in said("report", "decisions.db", events=events)


@pytest.mark.parametrize("by", ["slice", "hour", "tier"])
def test_as_json_it_says_the_same(said: Said, by: str) -> None:
    """One document, that holds what is not finite as null."""
    found = json.loads(said("report", "decisions.db", "--json", "--by", by, events=some()))
    assert (found["n"], found["reached"], found["by"]) == (110, 100, by)
    assert sum(each["n"] for each in found["groups"]) == (110 if by == "hour" else 100)
    assert found["tiers"][0]["tier"] == "small"
    assert found["tiers"][0]["escalation_interval"] == pytest.approx([0.398, 0.602], abs=0.001)
    assert found["saved"]["share"] is None


def test_what_is_older_is_not_told_of(said: Said) -> None:
    """--since is how far back."""
    old, new = (decision(answer_of("small", id=name), time.time() - back) for name, back in (("o", 7_200), ("n", 10)))
    assert "1 request, of which 1" in said("report", "decisions.db", "--since", "1h", events=(old, new))
    assert "2 requests" in said("report", "decisions.db", "--since", "3h")


def test_names_of_clients_do_not_command_the_terminal(said: Said) -> None:
    """Nor do thousands of them fill it."""
    events = [decision(answer_of("small", task="\x1b[31mred")), decision(answer_of("small", task="\x1b[31mred"))]
    events += [decision(answer_of("small", task=f"made up {n}")) for n in range(100)]
    text = said("report", "decisions.db", events=tuple(events))
    assert "\x1b" not in text
    assert "?[31mred" in text
    assert "and 61 more; see --json" in text


def test_where_nothing_was_recorded_it_says_how_to_switch_it_on(said: Said) -> None:
    """A file without [gateway.decisions], and one that nobody has served yet."""
    Path("plain.toml").write_text(FILE.format(escalation=0.3).split("[gateway.decisions]")[0])
    told = said("report", "plain.toml", code=2)
    assert "[gateway.decisions]" in told
    Path("cascade.toml").write_text(FILE.format(escalation=0.3))
    told = said("report")
    assert "Nothing was recorded" in told
    assert "[gateway.decisions]" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.toml"], "none.toml is not there"),
        (["none.db"], "none.db is not there"),
        (["--since", "7"], "'7' is no span of time"),
        (["--since", "0d"], "'0d' is no span of time"),
        (["--by", "color"], "invalid choice"),
    ],
)
def test_what_cannot_be_told_is_refused(
    said: Said, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    """In words that name it."""
    try:
        assert told in said("report", *arguments, code=2)
    except SystemExit as ended:
        assert ended.code == 2
        assert told in capsys.readouterr().err
