"""The alerts and the dashboard that ship: they are valid, go off when they should, and name only what there is."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastcascade.telemetry.prometheus_kinds import KINDS

DEPLOY = Path(__file__).parent.parent / "deploy"
ALERTS = (DEPLOY / "alerts.yaml").read_text()
TESTS = (DEPLOY / "alerts_test.yaml").read_text()
DASHBOARD = json.loads((DEPLOY / "grafana" / "fastcascade.json").read_text())
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: it is part of Prometheus")

RECORDED = set(re.findall(r"- record: (\S+)", ALERTS))
SERIES = {
    f"{name}{end}"
    for name, (kind, _) in KINDS.items()
    for end in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
}
SECTIONS = ALERTS.split("      - alert: ")[1:]
"""The text of each alert."""


def promtool(*asked: str) -> str:
    """Ask it; what it says is shown where it finds fault."""
    done = subprocess.run([str(PROMTOOL), *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def named(text: str) -> set[str]:
    """The series and recorded rules that a text names."""
    return set(re.findall(r"\bfastcascade[_:][\w:]+", text))


def test_the_rules_name_only_series_that_there_are() -> None:
    """A renamed series must not leave an alert that can never go off."""
    asked = "\n".join(line for line in ALERTS.splitlines() if "promtool" not in line)
    assert named(asked) <= SERIES | RECORDED
    assert named(ALERTS.split("fastcascade-alerts")[1]) | named(json.dumps(DASHBOARD)) >= RECORDED


@pytest.mark.parametrize("section", SECTIONS, ids=[each.partition("\n")[0] for each in SECTIONS])
def test_each_alert_says_what_is_wrong_and_what_to_do(section: str) -> None:
    """With a severity, a summary, a description and a runbook; and it is one that is tested to go off."""
    name = section.partition("\n")[0]
    assert re.search(r"severity: (warning|critical)\}", section)
    for told in ("summary", "description", "runbook"):
        assert re.search(rf"^          {told}: \S", section, re.MULTILINE), f"{name} has no {told}"
    assert f'alertname="{name}",alertstate="firing"' in TESTS, f"nothing sets {name} off"


def test_what_the_issue_asks_for_is_there() -> None:
    """A line to warn and one to page, the promise, failover, the time of reviews, budgets, prices, and silence."""
    severities = {each.partition("\n")[0]: re.findall(r"severity: (\w+)", each)[0] for each in SECTIONS}
    wanted = {
        "FastcascadeEscalationHigh": "warning",
        "FastcascadeEscalationTooHigh": "critical",
        "FastcascadeQualityBelowPromise": "critical",
        "FastcascadeFailedOver": "warning",
        "FastcascadeReviewsLate": "warning",
        "FastcascadeReviewsOverdue": "critical",
        "FastcascadeBudgetBurning": "warning",
        "FastcascadePriceUnknown": "warning",
        "FastcascadeEventsDropped": "warning",
        "FastcascadeNotScraped": "critical",
    }
    assert wanted.items() <= severities.items()


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    """They parse, and their templates too."""
    assert "SUCCESS" in promtool("check", "rules", str(DEPLOY / "alerts.yaml"))


@needs_promtool
def test_alerts_go_off_when_they_should_and_not_else() -> None:
    """Series that are made up, played through the rules by Prometheus itself."""
    assert "SUCCESS" in promtool("test", "rules", str(DEPLOY / "alerts_test.yaml"))


# The dashboard.


def panels() -> Iterator[dict[str, Any]]:
    """All that show something."""
    return (each for each in DASHBOARD["panels"] if each["type"] != "row")


def queries() -> list[str]:
    """What they ask, as Prometheus gets it: with the variables filled in."""
    filled = {"$__rate_interval": "5m", "$__range": "6h", "$cascade": ".*", "$slice": ".*"}
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [re.sub("|".join(map(re.escape, filled)), lambda each: filled[each[0]], query) for query in found]


def test_the_dashboard_names_only_series_that_there_are() -> None:
    """Else a panel stays empty, and nobody knows why."""
    for query in queries():
        assert named(query) and named(query) <= SERIES | RECORDED, query
        assert "$" not in query, query


def test_the_dashboard_can_be_taken_into_any_grafana() -> None:
    """Its source of data is a variable, it has no ids of another's, and no panel lies on another."""
    assert DASHBOARD["schemaVersion"] >= 39 and "id" not in DASHBOARD and "__inputs" not in DASHBOARD
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert "id" not in panel
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["title"] and panel["description"], panel
        for each in (panel, *panel["targets"]):
            assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize(
    "series",
    [
        *("tries_total", "answers_total", "requests_total", "regenerations_total", "notices_total"),
        *("layer_seconds_bucket", "tier_seconds_bucket", "promised_quality", "cache_level_hits_total"),
        *("breaker_open", "instance_usable", "reviews", "review_oldest_seconds", "tier_cost_usd_total"),
        *("baseline_usd_total", "key_spent_usd", "unpriced_total", "dropped_total"),
    ],
)
def test_the_dashboard_shows(series: str) -> None:
    """Funnel, shares, quality, times, savings, caches, breakers, reviews, regenerations and notices."""
    assert any(f"fastcascade_{series}" in named(query) for query in queries())


@needs_promtool
def test_every_query_of_the_dashboard_parses(tmp_path: Path) -> None:
    """Each as a rule of its own, checked by promtool."""
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "rules.yaml"  # of which JSON is a part
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))
