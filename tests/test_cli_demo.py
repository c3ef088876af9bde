"""`fastcascade demo`: every sum is added up again from the recording alone, and the real API is a server of ours."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from importlib.resources import files
from math import comb
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.cli import demo, main
from fastcascade.cli.demo_cascade import MAX_TOKENS, MODELS, PRICES, rules
from fastcascade.cli.demo_questions import Question, questions, same
from fastcascade.evals.live_bounds import exact
from fastcascade.evals.savings import FEWEST, saving, saving_interval
from fastcascade.fallbacks import Retry
from fastcascade.messages import Reply, Request, Usage
from wire.anthropic import error, message, text
from wire.server import Canned, Seen, WireServer

KEY: Final = "sk-ant-api03-made-up-9876543210"
QUICK: Final = ["--requests", "1"]
LINES: Final = [
    json.loads(line)
    for line in files("fastcascade.cli").joinpath("demo_answers.jsonl").read_text(encoding="utf-8").splitlines()
]
ASKED: Final = LINES[1:]
USD: Final = {"cheap": PRICES[MODELS[0]], "large": PRICES[MODELS[1]]}


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without their pauses: these are real, and tested elsewhere."""
    monkeypatch.setattr(Retry, "delay", lambda _self, _nth: 0.0)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks a real model, whoever runs it."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    """What stands in for the real API, with a key for it."""
    with WireServer() as running:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        yield running


def shown(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[str, str]:
    """What the command says on the output and beside it."""
    assert main(["demo", *QUICK, *options]) == 0
    said = capsys.readouterr()
    assert KEY not in said.out + said.err
    return said.out, said.err


def document(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """The cascade's part of the JSON."""
    whole: dict[str, Any] = json.loads(shown(capsys, "--json", *options)[0])
    cascade: dict[str, Any] = whole["cascade"]
    return cascade


def usd(tier: str, said: dict[str, Any]) -> float:
    """What one reply cost, in plain arithmetic."""
    return float((said["input"] * USD[tier].input + said["output"] * USD[tier].output) / 1_000_000)


def final(said: str) -> str:
    """What follows "Answer:", without its unit and ending."""
    word = said.rsplit("Answer: ", 1)[1].rstrip(".").split()[0].lower()
    return str(float(word)) if re.fullmatch(r"[\d.]+", word) else word


def naive(line: dict[str, Any], accept: float) -> tuple[list[str], float]:
    """The tiers one recorded question goes through, and what they cost."""
    if "cheap" not in line:
        return ["rules"], 0.0
    votes = [final(said["text"]) for said in line["cheap"]]
    cost = sum(usd("cheap", said) for said in line["cheap"])
    if Fraction(votes.count(votes[0]), 3) >= accept:
        return ["rules", "cheap"], cost
    return ["rules", "cheap", "large"], cost + usd("large", line["large"])


def naive_right(line: dict[str, Any], way: list[str]) -> bool:
    """Whether the last of these tiers gives the right answer."""
    said = {"cheap": line.get("cheap", [None])[0], "large": line["large"]}[way[-1]]
    right = line["right"].lower()
    return final(said["text"]) == (str(float(right)) if re.fullmatch(r"[\d.]+", right) else right)


def test_the_recording_says_what_it_is() -> None:
    """Its first line says that no model was asked; each question is there once, with three cheap replies or a rule."""
    assert "no model was asked" in LINES[0]["about"]
    assert len({line["ask"] for line in ASKED}) == len(ASKED) == len(questions())
    shop = rules()
    for line in ASKED:
        by_rule = shop.answer(Request.of(line["ask"])) is not None
        assert by_rule == ("cheap" not in line) == ("right" not in line)
        assert by_rule or len(line["cheap"]) == 3
        assert all(said["input"] > 0 < said["output"] for said in [*line.get("cheap", []), line["large"]])


@pytest.mark.parametrize("accept", [0.0, 0.3, 0.5, 0.6, 0.7, 1.0])
def test_every_request_takes_the_way_it_should(accept: float, capsys: pytest.CaptureFixture[str]) -> None:
    """Ways, scores and costs are those that the recording gives when counted by hand, at any threshold."""
    found = document(capsys, "--accept", str(accept))
    assert [each["ask"] for each in found["requests"]] == [line["ask"] for line in ASKED]
    for each, line in zip(found["requests"], ASKED, strict=True):
        way, cost = naive(line, accept)
        assert [attempt["tier"] for attempt in each["attempts"]] == way
        assert each["tier"] == way[-1]
        assert each["cost_usd"] == pytest.approx(cost)
        assert each["cost_usd"] == pytest.approx(sum(attempt["cost_usd"] for attempt in each["attempts"]))
        assert each["large_usd"] == pytest.approx(usd("large", line["large"]))
        assert each["right"] == (naive_right(line, way) if "right" in line else None)


def check(made: dict[str, Any]) -> None:
    """The sums of one threshold, added up anew."""
    ways = [(*naive(line, made["accept"]), line) for line in ASKED]
    spent, alone = sum(cost for _, cost, _ in ways), sum(usd("large", line["large"]) for line in ASKED)
    by_rules = sum(usd("large", line["large"]) for way, _, line in ways if way == ["rules"])
    assert made["n"] == made["compared"] == len(ASKED)
    assert sum(made["shares"].values()) == pytest.approx(1)
    assert [tier["answered"] for tier in made["tiers"]] == [
        sum(way[-1] == name for way, _, _ in ways) for name in ("rules", "cheap", "large")
    ]
    assert sum(tier["known_usd"] for tier in made["tiers"]) == pytest.approx(spent)
    assert made["cost_usd"] == made["known_usd"] == pytest.approx(spent)
    assert made["large_usd"] == pytest.approx(alone)
    assert made["saved"] == pytest.approx(1 - spent / alone)
    assert made["saved_by"] == pytest.approx({"rules": by_rules / alone, "cheap": 1 - (spent + by_rules) / alone})
    assert made["saved_interval"][0] < made["saved"] < made["saved_interval"][1]
    escalated = sum(len(way) == 3 for way, _, _ in ways)
    assert (made["escalated"], made["tried"]) == (escalated, sum("cheap" in line for line in ASKED))
    assert made["escalation_rate"] == pytest.approx(escalated / made["tried"])
    assert made["right"] == sum(naive_right(line, way) for way, _, line in ways if "right" in line)
    assert made["fell_back"] == 0
    assert made["graded"] == made["alone_graded"] == sum("right" in line for line in ASKED)
    assert made["alone_right"] == sum(naive_right(line, ["large"]) for line in ASKED if "right" in line)


def test_sums_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    """The summary and every threshold's line are the sums of the recording, and the summary is its own line."""
    found = document(capsys, "--accept", "0.5")
    assert [made["accept"] for made in found["thresholds"]] == [0.3, 0.5, 0.6, 1.0]
    for made in (found["summary"], *found["thresholds"]):
        check(made)
    assert found["summary"] == found["thresholds"][1]


def test_a_replay_is_what_a_run_would_have_been(capsys: pytest.CaptureFixture[str]) -> None:
    """The line of a threshold in the table is the summary of a run at that threshold."""
    replayed = document(capsys)["thresholds"]
    assert [document(capsys, "--accept", str(made["accept"]))["summary"] for made in replayed] == replayed


def test_text_says_what_the_document_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Each request has its line with its way and cost; sums and thresholds are shown, with their n and intervals."""
    found = document(capsys)
    out, err = shown(capsys)
    lines = out.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("request"))
    for line, each in zip(lines[start + 1 :], found["requests"], strict=False):
        way = " > ".join(attempt["tier"] for attempt in each["attempts"])
        assert line.startswith(each["ask"][:10]) and f" {way}  " in line and f"${each['cost_usd']:.5f}" in line
    made = found["summary"]
    assert f"Saved: {100 * made['saved']:.1f} % of the large model's cost, n = {made['n']} (95 % interval " in out
    assert f"Cost: ${made['cost_usd']:.5f} for {made['n']} requests" in out
    assert f"Escalated: {made['escalated']} of the {made['tried']} that came to the cheap model" in out
    for other in found["thresholds"]:
        row = rf"^[* ] {other['accept']:g} +{other['escalated']} of {other['tried']}  \${other['cost_usd']:.5f} "
        assert re.search(row, out, re.MULTILINE)
    assert "written by hand" in out and "not taken from a model" in out and PRICES[MODELS[0]].date in out
    assert err == ""


def test_works_in_a_pipe() -> None:
    """As a command of its own it writes plain ASCII within 100 columns, and JSON that can be read, then ends well."""
    for options in ([], ["--json"]):
        run = subprocess.run(
            [sys.executable, "-m", "fastcascade", "demo", *QUICK, *options], capture_output=True, text=True, check=True
        )
        assert run.stderr == ""
        if options:
            assert set(json.loads(run.stdout)) == {"schema", "version", "debug_build", "cascade", "core"}
        else:
            assert run.stdout.isascii() and max(map(len, run.stdout.splitlines())) <= 100


def test_core_is_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    """The second part's tables come too, and each adds up to what it was shown of the stream."""
    assert main(["demo", "--json", "--requests", "3000"]) == 0
    core = json.loads(capsys.readouterr().out)["core"]
    tables = [sum(row["n"] for row in core[name]) for name in ("matchers", "outcomes")]
    assert core["requests"] == 3000 == core["served"] + sum(tables)
    assert core["requests_per_second"] > 0


def test_a_key_is_left_alone_when_told_so(server: WireServer, capsys: pytest.CaptureFixture[str]) -> None:
    """`--recorded` shows the recording, and asks nothing, though there is a key."""
    out, err = shown(capsys, "--recorded")
    assert "recorded answers: no key, no network" in out
    assert (err, server.connections) == ("", 0)


def test_unknown_costs_stay_unknown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A reply without a count of tokens has no known cost: it is shown as unknown, and no sum counts it as zero."""
    silent = Reply("Answer: 4", usage=None)
    known = Reply("Answer: 4", usage=Usage(1_000, 100))
    made = [
        Question("2 + 2?", (known, known, silent), known, "4"),
        Question("3 + 1?", (known, known, known), known, "4"),
        Question("1 + 3?", (known, known, known), silent, "4"),
    ]
    monkeypatch.setattr(demo, "questions", lambda: made)
    found = document(capsys)
    assert [each["cost_usd"] for each in found["requests"]] == [None, *[pytest.approx(0.0045)] * 2]
    assert [each["large_usd"] for each in found["requests"]] == [pytest.approx(0.0075)] * 2 + [None]
    summary = found["summary"]
    assert (summary["cost_usd"], summary["unknown"], summary["compared"]) == (None, 1, 1)
    assert summary["known_usd"] == pytest.approx(0.003 + 0.009)
    assert (summary["saved"], summary["saved_interval"]) == (pytest.approx(1 - 0.0045 / 0.0075), None)
    out, _ = shown(capsys)
    assert re.search(r"^2 \+ 2\?.* 1\.00 +yes +-  3 of 3", out, re.MULTILINE)
    assert "$0.01200 + ?" in out and max(map(len, out.splitlines())) <= 100
    out = " ".join(out.split())
    assert "Cost: $0.01200, and 1 of unknown cost, for 3 requests" in out
    assert "for the 1 of them where both costs are known" in out and "too few for an interval" in out


def test_nothing_known_is_no_saving(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no cost is known there is no figure to show, and none is shown."""
    silent = Reply("Answer: 4")
    monkeypatch.setattr(demo, "questions", lambda: [Question("2 + 2?", (silent,) * 3, silent)])
    summary = document(capsys)["summary"]
    assert (summary["saved"], summary["saved_by"], summary["cost_usd"], summary["graded"]) == (None, {}, None, 0)
    assert "Saved: not known" in shown(capsys)[0]


# The real API, or what stands in for it.


def says(seen: Seen) -> Canned:
    """A cheap model that never says the same twice to one question, and a large one."""
    asked = seen.body["messages"][-1]["content"]
    asked = asked if isinstance(asked, str) else asked[0]["text"]
    large = "haiku" not in seen.body["model"]
    said = "Answer: yes" if large or "bat" not in asked else f"Answer: {random.random()}"
    return Canned.plain(200, message([text(said)], usage={"input_tokens": 200, "output_tokens": 20}))


def test_with_a_key_it_asks_the_real_api(server: WireServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The models are asked for the few questions marked so, the sums are of what they said, and the bound was told."""
    server.handler = says
    whole, err = shown(capsys, "--json")
    found = json.loads(whole)["cascade"]
    live = [line for line in ASKED if line.get("live")]
    assert found["live"] and not found["written_by_hand"]
    assert [each["ask"] for each in found["requests"]] == [line["ask"] for line in live]
    assert found["models"] == {"cheap": "claude-haiku-4-5", "large": "claude-opus-4-6"}
    cheap, large = (200 * price.input + 20 * price.output for price in (PRICES[m] for m in found["models"].values()))
    for each, line in zip(found["requests"], live, strict=True):
        way = ["rules"] + ["cheap"] * ("cheap" in line) + ["large"] * ("bat" in line["ask"])
        assert [attempt["tier"] for attempt in each["attempts"]] == way
        cost = 3 * cheap * ("cheap" in way) + large * ("large" in way)
        assert each["cost_usd"] * 1e6 == pytest.approx(cost)
        assert each["large_usd"] * 1e6 == pytest.approx(large)
    assert found["comparing_usd"] * 1e6 == pytest.approx(
        large * sum(each["tier"] != "large" for each in found["requests"])
    )
    assert len(server.seen) == 3 * sum("cheap" in line for line in live) + len(live)
    assert all(seen.body["max_tokens"] == MAX_TOKENS for seen in server.seen)
    most = float(re.findall(r"\$([\d.]+) in all at most", err)[0])
    assert found["summary"]["known_usd"] + found["comparing_usd"] < most
    assert found["summary"]["saved_interval"] is None  # so few requests tell nothing of it
    assert found["summary"] == next(made for made in found["thresholds"] if made["accept"] == 0.6)


def test_samples_are_drawn_at_a_temperature(server: WireServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Of three cheap replies, two are samples at 0.7; other models can be named."""
    server.handler = says
    shown(capsys, "--large", "claude-sonnet-4-6")
    cheap = [seen.body.get("temperature") for seen in server.seen if seen.body["model"] == "claude-haiku-4-5"]
    assert cheap.count(0.7) == 2 * cheap.count(None) > 0
    assert {seen.body["model"] for seen in server.seen} == {"claude-haiku-4-5", "claude-sonnet-4-6"}


def test_the_bound_holds_for_the_longest_replies(server: WireServer, capsys: pytest.CaptureFixture[str]) -> None:
    """However much is said, all of it together costs no more than what was told before."""

    def longest(seen: Seen) -> Canned:
        sent = sum(len(part["text"]) for part in seen.body["system"]) + len(json.dumps(seen.body["messages"]))
        usage = {"input_tokens": sent, "output_tokens": seen.body["max_tokens"]}
        return Canned.plain(200, message([text(f"Answer: {random.random()}")], usage=usage))

    server.handler = longest
    out, err = shown(capsys, "--json")
    found = json.loads(out)["cascade"]
    spent = found["summary"]["known_usd"] + found["comparing_usd"]
    most = float(re.findall(r"\$([\d.]+) in all at most", err)[0])
    assert 0.5 * most < spent <= most
    assert all(each["degraded"] == "" for each in found["requests"])


REFUSALS = [
    (401, "authentication_error", "auth"),
    (529, "overloaded_error", "overloaded"),
    (404, "not_found_error", "not_found"),
]


@pytest.mark.parametrize(("status", "kind", "told"), REFUSALS)
def test_refusals_are_shown(
    status: int, kind: str, told: str, server: WireServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the API refuses, the report says so and invents no saving; the key it repeats is not shown."""
    server.handler = lambda seen: Canned.plain(status, error(kind, f"this will not do: {KEY}"))
    out, _ = shown(capsys)
    assert "Saved: not known" in out and re.search(r"^no tier +7 ", out, re.MULTILINE)
    assert len([line for line in out.splitlines() if " rules > cheap > large " in line]) == 7
    assert f"Failed: cheap: {told}: this will not do" in out
    assert "Fell back, as the cheap model failed: 7 of them" in out and "The large model alone: not known" in out
    found = document(capsys)
    made = found["summary"]
    assert (made["saved"], made["compared"], made["graded"], made["alone_graded"]) == (None, 0, 0, 0)
    assert (made["tried"], made["escalated"], made["fell_back"]) == (7, 0, 7)
    assert all(each["degraded"] == "no tier answered" for each in found["requests"] if each["tier"] == "")


def test_without_the_sdk_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key and no SDK: the extra is named, and the recording is shown."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setitem(sys.modules, "anthropic", None)
    out, err = shown(capsys)
    assert "pip install 'fastcascade[anthropic]'" in err and "recorded answers" in err
    assert "recorded answers: no key, no network" in out


UNASKED = [
    ({"ANTHROPIC_API_KEY": KEY}, ["--cheap", "no-such-model"], "the price of 'no-such-model' is not known"),
    ({"ANTHROPIC_API_KEY": KEY}, ["--large", "no-such-model"], "the price of 'no-such-model' is not known"),
    ({"ANTHROPIC_API_KEY": "sk-\u00e9"}, [], "cannot be sent"),
    ({"ANTHROPIC_API_KEY": " "}, [], ""),
    ({}, ["--cheap", "claude-haiku-4-5"], "which is asked where ANTHROPIC_API_KEY is set"),
]


@pytest.mark.parametrize(("environment", "options", "hint"), UNASKED)
def test_what_cannot_be_asked_is_recorded(
    environment: dict[str, str],
    options: list[str],
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A cost without a bound, or a key that cannot be sent, asks nothing: why is told, and the recording shown."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    out, err = shown(capsys, *options)
    assert hint in err and bool(err) == bool(hint)
    assert "recorded answers: no key, no network" in out


# What the figures stand on.

SAME = [
    ("Answer: 49.50 euros", "49.5", True),
    ("so\nanswer: **12**", "Answer: 12.", True),
    ("Answer: 1,200", "Answer: 1200", True),
    ("Answer: 15:55", "15:55", True),
    ("Answer: 14:55", "15:55", False),
    ("Answer: 5 cents", "Answer: 50 cents", False),
    ("Answer: Yes.", "yes", True),
    ("Answer: yes\nno, Answer: no", "no", True),
    ("Monday", "Answer: **Monday**", True),
    ("Answer: Monday", "Answer: Tuesday", False),
    ("", "yes", False),
]


@pytest.mark.parametrize(("one", "other", "agree"), SAME)
def test_answers_that_are_the_same(one: str, other: str, agree: bool) -> None:
    """The last answer of each counts, as a number where it is one, else as words; whichever comes first."""
    assert same(one, other) == same(other, one) == agree


# From the published tables of the exact interval.
EXACT = [(0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0), (1, 20, 0.0013, 0.2487), (0, 0, 0, 1)]


@pytest.mark.parametrize(("count", "n", "low", "high"), EXACT)
def test_exact_intervals(count: int, n: int, low: float, high: float) -> None:
    """They are those of Clopper and Pearson."""
    assert exact(count, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 40), st.floats(0, 1))
def test_exact_intervals_cover(n: int, truth: float) -> None:
    """Whatever the true share, it lies in the interval in 95 of 100 cases or more."""
    inside = (exact(count, n) for count in range(n + 1))
    weights = (comb(n, count) * truth**count * (1 - truth) ** (n - count) for count in range(n + 1))
    covered = sum(weight for (low, high), weight in zip(inside, weights, strict=True) if low <= truth <= high)
    assert covered >= 0.95 - 1e-9


PAIRS = st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 10)), min_size=FEWEST, max_size=30)


@given(PAIRS)
def test_saving_intervals(pairs: list[tuple[float, float]]) -> None:
    """They lie within the best and the worst single request, come out the same each time, and need enough requests."""
    found = saving_interval(pairs)
    singly = [1 - spent / large for spent, large in pairs]
    assert found is not None and found == saving_interval(pairs)
    assert min(singly) - 1e-9 <= found[0] <= found[1] <= max(singly) + 1e-9
    assert saving_interval(pairs[: FEWEST - 1]) is None
    assert saving([]) is None and saving_interval([(0.0, 0.0)] * FEWEST) is None
