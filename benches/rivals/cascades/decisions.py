"""How long it takes to decide what to do next: accept, go on, and with which model.

ETH's cascade routing and fastcascade's ExpectedGain both weigh every set of models that could still be run, by the
expected maximum of their qualities; ETH's draws samples for it, ours has a formula (Clark's) and keeps what depends on
the qualities alone, so it is also timed with qualities from a function, where nothing can be kept. All are asked after
the cheapest has replied, with another score and other costs each time.
"""

from typing import Any

from turns import Row, Workers, timed


def _rows(tiers: int) -> list[Row]:
    return [
        Row("one `if`", "bare:decide", role="limit", note="accept or go on"),
        Row("fastcascade Threshold", "ours:decide_by_threshold", (tiers,), note="accept or go on"),
        Row("fastcascade ExpectedGain", "ours:decide_by_gain", (tiers,), role="ours"),
        Row("fastcascade ExpectedGain, a function", "ours:decide_by_gain_learned", (tiers,), note="nothing kept"),
        Row("ETH CascadeRouter.predict", "with_eth:decide", (tiers,), note="independent normal qualities, 100 samples"),
    ]


def tables(workers: Workers, quick: bool) -> dict[str, Any]:
    """Two, three and five tiers."""
    titles = {tiers: f"one decision, {tiers} tiers, the first has replied" for tiers in (2, 3, 5)}
    return {title: timed(title, _rows(tiers), workers, quick) for tiers, title in titles.items()}
