"""`fastcascade estimate`: what it prints, its document, and how it refuses what cannot be."""

import argparse
import json
from pathlib import Path

import pytest

from fastcascade.cli import estimate

PRICES = {
    "small": {"input": 1, "output": 5, "cache_read": 0.1, "date": "2026-11-01"},
    "large": {"input": 3, "output": 15, "cache_read": 0.3, "date": "2026-11-02"},
}
TRAFFIC = ["--requests-per-day", "100000", "--tokens-in", "1000", "--tokens-out", "400"]
MODELS = ["--cheap", "small", "--dear", "large"]


@pytest.fixture
def prices(tmp_path: Path) -> list[str]:
    """A price sheet of our own, as an option."""
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(PRICES), encoding="utf-8")
    return ["--prices", str(file)]


def run(*options: str) -> int:
    """The command's exit code."""
    parser = argparse.ArgumentParser(prog="fastcascade estimate", allow_abbrev=False)
    estimate.add_arguments(parser)
    try:
        return estimate.execute(parser.parse_args(options))
    except SystemExit as end:
        return int(end.code or 0)


def test_it_prints_costs_by_path(prices: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A table by path, the rate with its n, the saving with its interval, the break-even, and the prices' days."""
    options = ["--escalated", "6/30", "--cheap-seconds", "1", "--dear-seconds", "3", "--cached", "0.1"]
    assert run(*prices, *MODELS, *TRAFFIC, *options) == 0
    out = capsys.readouterr().out
    assert "100,000 requests a day, in the mean 1,000 tokens in and 400 out" in out
    assert "of 2026-11-01 and 2026-11-02" in out
    rows = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert rows["cheap"][:1] == ["cheap"]
    assert rows["escalated"][-2:] == ["$216.00", "$6,480.00"]
    assert rows["dear alone"][-2:] == ["$900.00", "$27,000.00"]
    assert "n = 30, 95 % interval 7.7 to 38.6 %" in out
    assert "saved       52.0 %" in out
    assert "break-even  66.7 %" in out
    assert "18.0 % of all wait for both" in out
    assert "price of dear" in out
    assert "It pays: 52.0 % saved" in out
    assert max(map(len, out.splitlines())) <= 110


def test_samples_and_a_judge_are_paid_for(prices: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Three samples and a judge at a third of the price save nothing, and it says so."""
    assert run(*prices, *MODELS, *TRAFFIC, "--escalation", "0.45", "--samples", "3", "--judge", "small") == 0
    out = capsys.readouterr().out
    assert "3 replies a request" in out
    assert "judge   small, $1 in" in out
    assert "break-even  at no rate" in out
    assert "warning: 45.0 % escalate, above 40.0 %" in out
    assert "The cheap model pays at no escalation rate" in out


def test_shares_say_the_same_as_a_rate(prices: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """All paths by share are the same workload as free shares and a rate; the prompt cache's price is shown."""
    common = [*prices, *MODELS, *TRAFFIC, "--prompt-cached", "0.5", "--json"]
    assert run(*common, "--shares", "cached=.1,rules=.1,cheap=.6,escalated=.15,straight=.05") == 0
    by_path = json.loads(capsys.readouterr().out)["estimate"]
    assert run(*common, "--cached", ".1", "--rules", ".1", "--straight", ".05", "--escalation", "0.2") == 0
    by_rate = json.loads(capsys.readouterr().out)["estimate"]
    assert by_path["usd_per_day"] == pytest.approx(by_rate["usd_per_day"])
    assert by_path["rate_interval"] is None
    assert run(*prices, *MODELS, *TRAFFIC, "--prompt-cached", "0.5", "--escalation", "0") == 0
    assert "$0.1 from its cache" in capsys.readouterr().out


def test_the_document_has_it_all(prices: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON document with a schema and a version, the paths, intervals, prices and alerts."""
    assert run(*prices, *MODELS, *TRAFFIC, "--escalated", "60/100", "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    made = whole["estimate"]
    assert whole["schema"] == 1
    assert made["n"] == 100
    assert made["saving_interval"][0] < made["saving"] < made["saving_interval"][1]
    assert [path["name"] for path in made["paths"]] == ["cache hit", "rules", "cheap", "escalated", "straight to dear"]
    assert made["prices"]["dear"]["date"] == "2026-11-02"
    assert made["alerts"][0].startswith("redesign")
    assert made["verdict"].startswith("Not settled")


def test_published_prices_serve(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file the published sheet is used, and its day shown."""
    pytest.importorskip("genai_prices")
    assert run("--cheap", "gpt-4o-mini", "--dear", "gpt-4o", *TRAFFIC, "--escalation", "0.1") == 0
    out = capsys.readouterr().out
    assert "Prices are US dollars per million tokens, of 20" in out


def test_no_traffic_is_no_error(prices: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing comes in, nothing is paid, and nothing is divided by."""
    assert run(*prices, *MODELS, "--requests-per-day", "0", *TRAFFIC[2:], "--escalation", "0.1") == 0
    assert "there are no requests" in capsys.readouterr().out


def test_the_worked_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """Claims, ours, and why they differ; as text and as a document."""
    assert run("--worked") == 0
    out = capsys.readouterr().out
    for said in ("$806.00", "$910.00", "$2,240.00", "$2,300.00", "77.6 %", "rate for 84 %"):
        assert said in out
    assert run("--worked", "--json") == 0
    found = json.loads(capsys.readouterr().out)["worked"]
    assert [each["claimed"].get("usd") for each in found] == [806, 2240, None, None]


REFUSED = [
    (["--cheap", "small"], "an estimate needs --dear, --requests-per-day, --tokens-in, --tokens-out too"),
    ([*MODELS, *TRAFFIC], "needs one of --escalation RATE, --escalated K/N and --shares LIST"),
    ([*MODELS, *TRAFFIC, "--escalation", "20%"], "argument --escalation: '20%' is no share between 0 and 1; 20 % is"),
    ([*MODELS, *TRAFFIC, "--escalated", "7/6"], "argument --escalated: '7/6'"),
    ([*MODELS, *TRAFFIC, "--escalated", "6"], "argument --escalated: '6' is no count of cases such as 6/30"),
    ([*MODELS, *TRAFFIC, "--escalation", "0.2", "--escalated", "6/30"], "needs one of --escalation"),
    ([*MODELS, *TRAFFIC, "--escalation", ".2", "--cached", ".7", "--rules", ".7"], "together more than 1"),
    ([*MODELS, *TRAFFIC, "--shares", "cheap=1", "--escalation", ".2"], "leave out --escalation"),
    ([*MODELS, *TRAFFIC, "--shares", "cheap=1,cheap=1"], "'cheap' is there twice"),
    ([*MODELS, *TRAFFIC, "--shares", "chep=1"], "there is no path 'chep'"),
    ([*MODELS, *TRAFFIC, "--escalation", ".2", "--samples", "0"], "samples must be 1 or more"),
    ([*MODELS, *TRAFFIC, "--escalation", ".2", "--samples", "x"], "argument --samples: 'x' is no number"),
    ([*MODELS, *TRAFFIC, "--escalation", ".2", "--judge-out", "5"], "give its --judge"),
    ([*MODELS, *TRAFFIC, "--escalation", ".2", "--cheap-seconds", "5"], "give both"),
    (["--cheap", "none-such", "--dear", "large", *TRAFFIC, "--escalation", ".2"], "the cheap model 'none-such'"),
    ([*MODELS, *TRAFFIC, "--escalation", ".2", "--prices", "no-such.json"], "price sheet no-such.json"),
]


@pytest.mark.parametrize(("options", "says"), REFUSED)
def test_bad_input_is_named(
    options: list[str], says: str, prices: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 2, and says which option is at fault."""
    assert run(*prices, *options) == 2
    assert says in capsys.readouterr().err


def test_help_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option is explained."""
    assert run("--help") == 0
    assert "--escalated K/N" in capsys.readouterr().out
