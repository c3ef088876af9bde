"""What holds now that an operator should know: the same rules as the alerts for Prometheus, over the last minutes.

A rule about a share holds from some decisions on, and says of how many it speaks: three requests of which two
escalate are no reason to call anybody.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from fastcascade.evals.live_bounds import exact

if TYPE_CHECKING:
    from fastcascade.gateway.settings_seen import Promises
    from fastcascade.telemetry.decisions import GradedBy, Sum

__all__ = ["MINUTES", "alerts"]

MINUTES: Final = 15
FEWEST: Final = 20
"""Decisions, or grades, below which a share says nothing."""
PAGED: Final = 0.1
"""So far above what was promised, escalation is told as bad."""
DEGRADED: Final = 0.05
FAILED: Final = 0.01
Level = Literal["bad", "warn"]


def alerts(
    sums: "Sequence[Sum]",
    graded: "Sequence[GradedBy]",
    promises: "Promises",
    pools: Sequence[Mapping[str, Any]],
    others: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """The worst first. `sums` are of the last minutes, by cascade; `graded` is by tier."""
    found = [alert for each in sums for alert in _of_sum(each, promises)]
    found += [alert for each in graded for alert in _of_grades(each, promises)]
    found += _of_pools(pools)
    found += _of_others(others, pools)
    return sorted(found, key=lambda each: each["level"] != "bad")


def _of_sum(found: "Sum", promises: "Promises") -> list[dict[str, Any]]:
    n, name = found.reached, f" of {found.key}" if found.key else ""
    last = f"of {n:,} in the last {MINUTES} minutes"
    made = []
    if n >= FEWEST:
        share = found.escalated / n
        low, high = exact(found.escalated, n)
        if share > promises.escalation:
            level: Level = "bad" if share > min(0.95, promises.escalation + PAGED) else "warn"
            why = f"{share:.0%} {last} went on to another tier ({low:.0%} to {high:.0%})"
            why += f"; {promises.escalation:.0%} is promised"
            made.append(_alert(level, f"Escalation{name} is high", why, "look at the funnel, then at the threshold"))
        if found.failed / n > FAILED:
            why = f"{found.failed:,} {last} got no answer, or an error of ours"
            made.append(_alert("bad", f"Requests{name} fail", why, "look at the traces with a failure"))
        if found.degraded / n > DEGRADED:
            why = f"{found.degraded / n:.0%} {last} fell short"
            made.append(_alert("warn", f"Answers{name} are degraded", why, "look at the degraded traces"))
    if found.unknown:
        why = f"{found.unknown:,} {last} cost something that is not known"
        made.append(_alert("warn", f"A price{name} is unknown", why, "give the tier a price = { input, output }"))
    return made


def _of_grades(found: "GradedBy", promises: "Promises") -> list[dict[str, Any]]:
    promised = promises.quality.get(found.tier)
    if promised is None or found.mean is None or found.n < FEWEST or found.mean >= promised:
        return []
    shown = found.high < promised
    why = f"{found.mean:.1%} of {found.n:,} grades ({found.low:.1%} to {found.high:.1%}); {promised:.1%} is promised"
    what = f"Quality of {found.tier} {'is' if shown else 'may be'} below its promise"
    return [_alert("bad" if shown else "warn", what, why, "set a stricter threshold: see Calibration")]


def _of_pools(pools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of this worker: pools nobody of whom can be asked, and those that have left their first choice."""
    made = []
    for pool in pools:
        instances = pool["instances"]
        amiss = [each for each in instances if not each["usable"]]
        if not amiss:
            continue
        names = ", ".join(f"{each['name']} ({_why(each)})" for each in amiss)
        if len(amiss) == len(instances):
            made.append(_alert("bad", f"Nobody of {pool['pool']} can be asked", names, "see the instances below"))
        elif all(not each["usable"] for each in instances if each["priority"] == instances[0]["priority"]):
            made.append(_alert("bad", f"{pool['pool']} has failed over", names, "see the instances below"))
        else:
            made.append(_alert("warn", f"Instances of {pool['pool']} are out", names, "see the instances below"))
    return made


def _why(instance: Mapping[str, Any]) -> str:
    if not instance["alive"]:
        return "found dead"
    if instance["breaker"] in ("open", "half-open", "held open"):
        return f"breaker {instance['breaker']}"
    if instance["wait"] > 0:
        return f"its provider says to wait {instance['wait']:.0f} s"
    return "left out" if instance["left_out"] else "out"


def _of_others(others: Mapping[str, Any], pools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What workers say on the board."""
    made = []
    here = {each["name"] for pool in pools for each in pool["instances"] if not each["usable"]}
    for where, workers in others["breakers"].items():
        if not any(where.endswith(name) for name in here):
            why = f"in {workers} of {others['workers']} workers"
            made.append(_alert("warn", f"The breaker of {where} is open", why, "it closes when calls succeed again"))
    if others["overdue"]:
        why = f"{others['overdue']:.0f} wait past their time"
        made.append(_alert("bad", "Reviews are overdue", why, "see Reviews"))
    for each in others["keys"]:
        spent, budget = each.get("spent", 0.0), each.get("budget", 0.0)
        if budget > 0 and spent >= budget:
            level: Level = "bad" if each["kind"] == "hard" else "warn"
            why = f"${spent:,.2f} of ${budget:,.2f} ({each['kind']}, by {each['period']})"
            made.append(_alert(level, f"The budget of the key {each['key']} is spent", why, "see its requests"))
    if others["dropped"]:
        why = f"{others['dropped']:,.0f} since the workers began: they came faster than they could be kept"
        made.append(_alert("warn", "Decisions were dropped", why, "the figures below lack them"))
    return made


def _alert(level: Level, what: str, why: str, do: str) -> dict[str, Any]:
    return {"level": level, "what": what, "why": why, "do": do}
