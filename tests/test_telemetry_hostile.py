"""Figures and names that make no sense: they spoil no sum, stop no listener and hold nobody up."""

import asyncio
import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from decided import answer_of, decision, grade, refusal
from fastcascade import Budget, Cascade, Tier
from fastcascade.answers import Answer
from fastcascade.backends.openai_events import usage_of
from fastcascade.cli import main
from fastcascade.gateway.passthrough_usage import Reading, responses_usage
from fastcascade.messages import MOST_TOKENS, Reply, Text, Usage
from fastcascade.prices import Price
from fastcascade.telemetry import Prometheus
from fastcascade.telemetry.baseline import baseline_usd
from fastcascade.telemetry.decisions import Writer
from fastcascade.telemetry.events import HUB
from fastcascade.telemetry.redacting import REMOVED, Redacting
from fastcascade.testing import ScriptedBackend
from traced import traced

ABSURD = [10**400, 2**70, MOST_TOKENS, -1]


def told(usage: Usage | None = None, **call: Any) -> Answer:
    """An answer whose one call says this of itself."""
    answer = answer_of("small")
    (attempt,) = answer.attempts
    spent = replace(attempt.calls[0], usage=usage or attempt.calls[0].usage, **call)
    return replace(answer, attempts=(replace(attempt, calls=(spent,)),))


def sample(text: str, name: str) -> float:
    """The sum of a family."""
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


@pytest.mark.parametrize("count", ABSURD)
@pytest.mark.parametrize("where", ["input", "output"])
def test_no_count_of_tokens_ends_the_metrics(count: int, where: str) -> None:
    """What no call can have used is not added; what came before and after it is."""
    metrics = Prometheus()
    for answer in (told(), told(Usage(**{where: count})), told()):
        metrics(decision(answer))
    text = metrics.text()
    assert sample(text, "fastcascade_tokens_total") == 240
    assert sample(text, "fastcascade_tries_total") == 3


@pytest.mark.parametrize("cost", [math.nan, math.inf, -math.inf, -0.01])
def test_no_cost_ends_the_metrics(cost: float) -> None:
    """A cost that is no amount of money is an unknown one: counters never say NaN, nor go down."""
    metrics = Prometheus()
    for answer in (told(), told(cost_usd=cost), told()):
        metrics(decision(answer))
    text = metrics.text()
    assert sample(text, "fastcascade_cost_usd_total") == pytest.approx(0.002)
    assert sample(text, "fastcascade_cost_unknown_total") == 1
    assert "nan" not in text.casefold()


@pytest.mark.parametrize("cost", [math.nan, math.inf, -5.0])
def test_a_backend_that_names_no_cost_spends_what_was_held(cost: float) -> None:
    """Its word is not taken, and the budget still ends what it was to end: NaN would be below every bound."""
    free = ScriptedBackend(Reply((Text("yes"),), usage=Usage(10, 2), cost_usd=cost))
    answer = asyncio.run(Cascade(Tier(free, price=Price(1, 5))).run("q", budget=Budget(usd=1.0)))
    assert answer.calls[0].cost_usd is None and answer.cost_usd is None


@pytest.mark.parametrize("count", [*ABSURD, 1e300])
def test_providers_that_count_without_sense_are_not_believed(count: Any) -> None:
    """Their usage is as good as none, in every format."""
    assert usage_of({"prompt_tokens": 1, "completion_tokens": count}) is None
    within = {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": count}}
    assert usage_of(within) is None
    assert responses_usage({"input_tokens": count, "output_tokens": 1}) is None
    reading = Reading("anthropic")
    reading.whole(json.dumps({"model": "m", "usage": {"input_tokens": count, "output_tokens": 1}}).encode())
    assert reading.usage is None


def test_a_number_without_end_is_no_usage() -> None:
    """An infinity within a body that is passed through loses neither its answer nor its record."""
    reading = Reading("chat")
    reading.whole(b'{"model": "m", "usage": {"prompt_tokens": 1e999, "completion_tokens": 1}}')
    assert reading.model == "m"
    assert reading.usage is None


def test_a_baseline_of_absurd_usage_is_unknown() -> None:
    """Savings are not told against it."""
    cascade = Cascade(Tier(ScriptedBackend("no"), price=Price(1, 5)), name="c")
    answer = replace(answer_of("small"), reply=Reply("x", usage=Usage(1, 10**400)))
    assert baseline_usd(answer, cascade) is None


@pytest.mark.parametrize(
    "piece",
    ["://:", "://a:b", "-----BEGIN ", "secret key ", "api_key= ", "cookie: ", "Ab1", "0a", "sk-", "\\n", "Bearer "],
)
def test_secrets_are_looked_for_once_through_the_text(piece: str) -> None:
    """What callers write is logged in the loop: of this much text, a shape that begins anew everywhere takes hours."""
    redacting = Redacting(environ={})
    text = piece * (500_000 // len(piece))
    said = redacting.text(f"{text} postgres://user:pa/ss@host")
    assert "pa/ss" not in said and REMOVED in said


def test_names_that_cannot_be_sent_lose_no_spans(caplog: pytest.LogCaptureFixture) -> None:
    """Half of a surrogate pair in a model's name, a reply's id or a tier: all spans are sent, each with its name."""
    half = "m\ud800"
    odd = ScriptedBackend(Reply((Text(half),), model=half, id=half, usage=Usage(10**400, 2)), name=half)
    with traced(texts=True) as kept:
        asyncio.run(Cascade(Tier(odd, name="small"), name="c").run("q", id=half, task=half))
    caplog.clear()
    sent = encode_spans(kept.spans)
    assert not caplog.records  # what cannot be encoded is logged, with its words
    names = {span.name for each in sent.resource_spans for scope in each.scope_spans for span in scope.spans}
    assert names == {"invoke_workflow c", "attempt small", "chat m?"}


def test_methods_that_clients_make_up_are_one_name_of_spans() -> None:
    """However many they make up."""
    with traced() as kept:
        for method in ("GET", "MADEUP", "get"):
            HUB.tell(refusal(method=method, path="/x"))
    assert sorted(each.name for each in kept.spans) == ["GET /x", "HTTP /x", "HTTP /x"]


def test_no_cell_of_a_table_is_a_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spreadsheet that opens the table works out nothing that a caller has written."""
    monkeypatch.chdir(tmp_path)
    writer = Writer(tmp_path / "decisions.db", texts=True, every=0.001)
    for number, said in enumerate(('=HYPERLINK("http://x","y")', "+1+1", "-1", "@SUM(A1)", "\t=1", "plain")):
        answer = answer_of("small", "large", id=f"r{number}", task=said, asked=said)
        for event in (decision(answer), grade(f"r{number}", "small", 1.0), grade(f"r{number}", "large", 1.0)):
            writer(event)
    assert writer.flush(30)
    writer.close()
    assert main(["export", "decisions.db", "--graded", "--to", "graded.csv"]) == 0
    with Path("graded.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 7
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)
    assert rows[-1][-1] == "plain"
