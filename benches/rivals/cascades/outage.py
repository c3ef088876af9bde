"""What an outage is made of: how often a dead backend is called, and how a load moves to another and back.

Nothing here is timed by CPU: calls are counted in virtual time, and seconds of a real outage are what they are.
"""

from typing import Any

from turns import Row, Workers

REQUESTS = 10_000
RATES = (100.0, 10.0, 1.0)  # requests a second
OURS = "ours_resilience:outage"
STORMS = (
    ("by hand, three retries", "bare:outage", ()),
    ("tenacity, three retries", "with_tenacity:outage", ()),
    ("stamina, three retries", "with_stamina:outage", ()),
    ("stamina, as it comes", "with_stamina:outage_by_default", ()),
    ("tenacity over circuitbreaker", "with_tenacity:outage_behind_circuitbreaker", ()),
    ("fastcascade, no breaker, no budget", OURS, ("breaker", "budget")),
    ("fastcascade, no breaker", OURS, ("breaker",)),
    ("fastcascade, as it comes", OURS, ()),
)
# How the first place goes, for how many seconds, at how many requests a second. Fewer where all of them pile up: the
# SDK's connection pool takes time with the square of what waits in it, and the test would be one of that.
DEATHS = (
    ("killed", 8.0, 100.0, "SIGKILL, started again"),
    ("stopped", 40.0, 20.0, "SIGSTOP: connections are taken, nothing is answered; SIGCONT"),
)
LIVE = (
    ("fastcascade Pool, Health(within=2.0)", "ours_resilience:live", (2.0,)),
    ("fastcascade Pool, as it comes", "ours_resilience:live", (None,)),
    ("litellm.Router fallbacks, as it comes", "with_litellm:live", ()),
    ("openai SDK by hand: one `except`", "sdk_openai:live", ()),
)
FIGURES = {
    "requests": "requests",
    "lost": "lost",
    "failover_ms": "failover ms",
    "usual_ms": "p50 before",
    "p50_ms": "p50 in it",
    "slowest_ms": "slowest ms",
    "return_s": "return s",
    "all_back_s": "all back s",
}


def storms(workers: Workers, quick: bool) -> list[dict[str, Any]]:
    """Calls that reached a dead backend, for each request."""
    requests = REQUESTS // 10 if quick else REQUESTS
    print(f"\n## a backend that is dead throughout: calls that reach it, for each of {requests:,} requests\n")
    print(f"{'contender':<40}{'version':>12}" + "".join(f"{f'{rate:g}/s':>11}" for rate in RATES))
    table = []
    for name, where, arguments in STORMS:
        rows = [Row(name, where, (requests, rate, *arguments)) for rate in RATES]
        replies = [workers.ask(row) for row in rows]
        table.append({"name": name, **_figures(replies, rows)})
        _show(table[-1], [f"{each:,.3f}" for each in table[-1].get("calls", ())])
    return table


def _figures(replies: list[dict[str, Any]], rows: list[Row]) -> dict[str, Any]:
    absent = next((reply["absent"] for reply in replies if "absent" in reply), None)
    if absent is not None:
        return {"absent": absent}
    return {"version": replies[0]["version"], "rates": RATES, "calls": [reply["said"] for reply in replies]}


def deaths(workers: Workers, quick: bool) -> dict[str, Any]:
    """A steady load, the first of two servers gone and back."""
    tables = {}
    for how, lasting, rate, about in DEATHS[:1] if quick else DEATHS:
        title = f"{rate:g} requests/s, the first of two servers {how} for {lasting:g} s"
        print(f"\n## {title}: {about}\n")
        print(f"{'contender':<40}{'version':>12}" + "".join(f"{head:>12}" for head in FIGURES.values()))
        tables[title] = []
        for name, where, arguments in LIVE[:1] if quick else LIVE:
            reply = workers.ask(Row(name, where, (how, lasting, rate, *arguments)))
            row = {"name": name, **(reply if "absent" in reply else {"version": reply["version"], **reply["said"]})}
            tables[title].append(row)
            _show(row, [_short(row.get(figure)) for figure in FIGURES], 12)
    return tables


def _short(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def _show(row: dict[str, Any], figures: list[str], width: int = 11) -> None:
    if "absent" in row:
        print(f"{row['name']:<40}  left out: {row['absent']}", flush=True)
    else:
        print(f"{row['name']:<40}{row['version']:>12}" + "".join(f"{each:>{width}}" for each in figures), flush=True)


def tables(workers: Workers, quick: bool) -> dict[str, Any]:
    """The storms, then the deaths."""
    return {"a backend that is dead throughout": storms(workers, quick), **deaths(workers, quick)}
