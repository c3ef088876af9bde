"""What a retry, a breaker and a bulkhead cost when nothing goes wrong, and what a failover does when it does.

All in the process, with functions that return at once. Retries and breakers of others wrap a function, so ours are
timed as decorators beside them; inside a cascade they are parts of a pool.
"""

from typing import Any

from said import GOOD
from turns import Row, Workers, timed

BARE, RUN = "the function, bare", "no pool"
SAME = {"process": "ours"}


def _row(name: str, where: str, *arguments: Any, note: str = "", **more: Any) -> Row:
    return Row(name, where, arguments, expect=GOOD, note=note, **more)


def _over(name: str, where: str, *arguments: Any, note: str = "", **more: Any) -> Row:
    return _row(name, where, *arguments, note=note, against=BARE, **more)


def succeeding() -> list[Row]:
    ours = "ours_resilience:succeeding"
    counted = "retry, breaker and budget as three numbers, no lock"
    return [
        _row(BARE, "bare:succeeding", role="limit", **SAME),
        _over("retry by hand", "bare:succeeding_in_a_loop", note="a loop with one `except`", **SAME),
        _over("all three by hand", "bare:succeeding_with_all", note=counted, **SAME),
        _over("fastcascade @Retry", ours, "retry", note="budget included", **SAME),
        _over("fastcascade @Breaker", ours, "breaker", note="rates over a window of time", **SAME),
        _over("fastcascade @Retry @Breaker", ours, "retry", "breaker", note="budget included", role="ours", **SAME),
        _over("fastcascade @Retry @Breaker @Bulkhead", ours, "retry", "breaker", "bulkhead", **SAME),
        _over("circuitbreaker", "with_circuitbreaker:succeeding", note="failures in a row, no lock"),
        _over("pybreaker", "with_pybreaker:succeeding", note="`with breaker.calling()`"),
        _over("tenacity", "with_tenacity:succeeding", note="no breaker, no budget"),
        _over("tenacity over circuitbreaker", "with_tenacity:succeeding_behind_circuitbreaker", note="no budget"),
        _over("stamina", "with_stamina:succeeding", note="no breaker, no budget"),
    ]


def pools() -> list[Row]:
    where = "ours_resilience:pooled"
    return [
        _row(RUN, where, "bare", role="limit", **SAME),
        _row("Pool of one", where, "one", note="retry, budget, breaker", role="ours", against=RUN, **SAME),
        _row("Pool of one, with a bulkhead", where, "bulkhead", against=RUN, **SAME),
        _row("Pool of two", where, "two", note="a balancer and outliers besides", against=RUN, **SAME),
        _row("Pool of one, hedged after 1 s", where, "hedge", note="a task for each call", against=RUN, **SAME),
    ]


def failing() -> list[Row]:
    return [
        _row("by hand", "bare:failed_over", role="limit", note="one `except`", **SAME),
        _row("fastcascade, a Pool of two", "ours_resilience:failed_over", role="ours", **SAME),
        _row("fastcascade, two tiers, pools of one", "ours_resilience:failed_over_by_tiers", **SAME),
        _row("fastcascade, two tiers, no pools", "ours_resilience:failed_over_by_bare_tiers", **SAME),
    ]


def tables(workers: Workers, quick: bool) -> dict[str, Any]:
    """Each case in its table."""
    cases = {
        "an async function that returns at once, wrapped": succeeding(),
        "a whole Cascade.run, one tier, instant async backend": pools(),
        "the first place fails at once, the second answers": failing(),
    }
    return {title: timed(title, rows, workers, quick) for title, rows in cases.items()}
