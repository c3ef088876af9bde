"""Whether the books agree: what clients saw, what the gateway counted, and what the provider did."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .mix import Asking
from .provider import PRICES
from .served import Samples
from .wire import Said

DEAREST: Final = 5_000_000
"""Nano-dollars that no call here reaches."""
SURE: Final = ("clean", "limited", "poor", "temporary")
"""Keys whose calls are all answered, or fail for nothing, so that their sums are exact."""


@dataclass(slots=True)
class Tally:
    """What clients saw in one part of the run."""

    seen: Counter[tuple[str, int]] = field(default_factory=Counter)  # by path and status
    gone: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    reached: Counter[str] = field(default_factory=Counter)  # by key: requests that came to a cascade
    names: Counter[str] = field(default_factory=Counter)
    poor: Counter[str] = field(default_factory=Counter)  # by tier: given though it was not good enough

    def add(self, asked: Asking, said: Said | None) -> None:
        """One has ended."""
        case = asked.case
        self.names[case.name] += 1
        if asked.label == "other" and asked.path.count("/") == 1:
            return  # the gateway's own pages, which are not counted
        if said is None:
            self.gone[asked.label] += 1
            self.reached[case.key] += 1
            return
        self.seen[asked.label, said.status] += 1
        via = said.headers.get("x-cascade-via")
        self.kept += via == "cache"
        if said.headers.get("x-cascade-degraded") == "a better tier failed":
            self.poor[said.headers["x-cascade-tier"]] += 1
        if via != "cache" and asked.label.count("/") > 1 and asked.path != "/v1/models":
            came = said.status == 200 or said.status >= 500
            # A key's budget is refused at the gate, or by a cascade whose tiers are all too dear for what is left.
            self.reached[case.key] += came or (said.status == 402 and "x-cascade-degraded" in said.headers)


@dataclass(slots=True)
class Check:
    """One thing that must hold."""

    name: str
    said: str
    wrong: list[str] = field(default_factory=list)

    def must(self, holds: bool, what: str) -> None:
        """Note it if it does not."""
        if not holds:
            self.wrong.append(what)


def requests(tally: Tally, counted: Samples) -> Check:
    """Each request is counted once, under its path and the status that its client saw."""
    by: Counter[tuple[str, int]] = Counter()
    for (name, *labels), n in counted.items():
        if name == "requests_total":
            by[labels[0], int(labels[1])] += round(n)
    check = Check("requests counted as seen", f"{sum(by.values()):,} of {_total(tally):,}")
    for path, status in sorted({*tally.seen, *by}):
        counts, saw = by[path, status], tally.seen[path, status]
        if status == 499:
            check.must(counts <= tally.gone[path], f"{path} 499: {counts} counted, {tally.gone[path]} left")
        elif status == 200 and tally.gone[path]:
            both = counts + by[path, 499]
            check.must(both == saw + tally.gone[path], f"{path} 200 and 499: {both}, not {saw} + {tally.gone[path]}")
        else:
            check.must(counts == saw, f"{path} {status}: {counts} counted, {saw} seen")
    hits = round(counted["cache_hits_total",])
    check.must(hits == tally.kept, f"{hits} cache hits counted, {tally.kept} seen")
    return check


def account(tally: Tally, did: Counter[str], spent: Mapping[str, tuple[int, int]]) -> list[Check]:
    """Each key has the requests that it made, and the money that the provider took for them."""
    number = Check("requests in the account", f"{sum(n for _, n in spent.values()):,}")
    money = Check("money in the account", f"${sum(n for n, _ in spent.values()) / 1e9:.6f}")
    for key, (nanos, made) in sorted(spent.items()):
        number.must(made == tally.reached[key], f"{key}: {made} in the account, {tally.reached[key]} made")
        billed = of(did, "nanos", keys=(key,))
        blind = sum(of(did, how, keys=(key,)) for how in ("cut", "bad", "drop", "left"))
        off = f"{key}: {nanos} in the account, {billed} billed, {blind} calls that ended unseen"
        if key in SURE:
            money.must(abs(nanos - billed) <= made, off)
        elif key == "leaver":  # what it left may have been billed whole, and is estimated by what was seen
            money.must(nanos <= billed + blind * DEAREST, off)
        else:
            money.must(billed <= nanos + made and nanos <= billed + blind * DEAREST, off)
    return [number, money]


def calls(tally: Tally, did: Counter[str], counted: Samples, spent: int) -> list[Check]:
    """Every call that the provider answered is in the metrics: by tier, in tokens, in money."""
    answered = Check("calls answered, by tier", "")
    said: list[str] = []
    for model in PRICES:
        tier = counted_for(counted, model) - tally.poor[model]
        least, most = of(did, "ok", models=(model,), but="leaver"), of(did, "ok", "cut", "left", models=(model,))
        said.append(f"{model} {tier:,}")
        answered.must(least <= tier <= most, f"{model}: {tier} counted, {least} to {most} answered")
    answered.said = ", ".join(said)
    tokens = round(sum(n for (name, *_), n in counted.items() if name == "tokens_total"))
    least, most = of(did, "tokens", but="leaver"), of(did, "tokens")
    unsure = of(did, "cut", "left") * 1000
    book = Check("tokens", f"{tokens:,}")
    book.must(least <= tokens <= most + unsure, f"{tokens} counted, {least} to {most} (+ {unsure}) told")
    cost = round(counted["cost_usd_total",] * 1e9)
    money = Check("money in the metrics", f"${cost / 1e9:.6f}")
    # Metrics are told with twelve digits, the account is in whole nano-dollars.
    off = sum(tally.reached.values()) + 1000
    money.must(abs(cost - spent) <= off, f"{cost} nano-dollars in the metrics, {spent} in the account")
    return [answered, book, money]


def counted_for(counted: Samples, tier: str) -> int:
    """Answers of a tier that were let through, and those that were not."""
    total = counted["escalations_total", tier]
    for (name, *labels), n in counted.items():
        if name == "requests_total" and labels[2] == tier and not labels[3] and labels[1] in ("200", "499"):
            total += n
    return round(total)


def of(did: Counter[str], *hows: str, keys: tuple[str, ...] = (), models: tuple[str, ...] = (), but: str = "") -> int:
    """What a provider did, of some keys and models or all."""
    total = 0
    for name, n in did.items():
        key, model, how = name.split(" ")
        if how in hows and key != but and (not keys or key in keys) and (not models or model in models):
            total += n
    return total


def _total(tally: Tally) -> int:
    return sum(tally.seen.values()) + sum(tally.gone.values())
