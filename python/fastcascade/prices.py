"""What tokens cost: a price by hand, and a dated sheet of published prices.

A cost that is not known is None, never zero. Prices are US dollars per million tokens.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from fastcascade.errors import ConfigError
from fastcascade.messages import Usage

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

__all__ = ["Price", "PriceSheet"]

MILLION: Final = 1_000_000
REMEMBERED: Final = 4096
"""Models whose price is remembered; beyond it all is forgotten, since names come from outside."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars per million tokens; `per_call` is in dollars for each call beside them.

    Where `cache_read` is not given, what was read from the prompt cache is charged as plain input, which is never
    less than it truly cost. Where `cache_write` is not given, so is what was written: right for providers that
    charge nothing extra for it, too little for those that do. `date` is the day the price was looked up.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    date: str = ""
    per_call: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is not a price."""
        for name in ("input", "output", "cache_read", "cache_write", "per_call"):
            value = getattr(self, name)
            if value is None and name.startswith("cache_"):
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value) or value < 0:
                msg = f"a price's {name} must be US dollars, zero or more, not {value!r}"
                raise ConfigError(msg)
        if self.date != "":
            _day(self.date)

    def cost(self, usage: Usage, /) -> float:
        """US dollars for this usage, whose `input` includes what was read from and written to the cache."""
        plain = usage.input
        cost = usage.output * self.output
        if (read := usage.cache_read) > 0:
            plain -= read
            cost += read * (self.input if self.cache_read is None else self.cache_read)
        if (write := usage.cache_write) > 0:
            plain -= write
            cost += write * (self.input if self.cache_write is None else self.cache_write)
        if plain > 0:  # a provider that counts wrongly does not earn us a credit
            cost += plain * self.input
        return cost / MILLION + self.per_call

    def estimate(self, input_tokens: float, output_tokens: float) -> float:
        """US dollars for a call of this size, with nothing in the cache."""
        return (input_tokens * self.input + output_tokens * self.output) / MILLION + self.per_call


class PriceSheet:
    """Prices by model: your own first, then those published in genai-prices, which is read when first needed.

    Nothing is ever fetched: genai-prices brings its data with it, and only an application that starts its
    `UpdatePrices` by itself gets newer ones, which are then used here too.

    Args:
        overrides: your own prices by model, or by `provider/model`. A name that ends in `*` stands for all that
            begin so, the longest first: replies name models with their date, `"claude-haiku-4-5*"` covers those.
        source: "genai-prices", an error where it is not installed; "auto", the same or nothing; None for nothing.
    """

    def __init__(
        self,
        overrides: Mapping[str, Price] | None = None,
        source: Literal["auto", "genai-prices"] | None = "auto",
    ) -> None:
        """Check the overrides; the source is not yet read."""
        if source not in ("auto", "genai-prices", None):
            msg = f"a price sheet's source must be 'auto', 'genai-prices' or None, not {source!r}"
            raise ConfigError(msg)
        installed = source is not None and find_spec("genai_prices") is not None
        if source == "genai-prices" and not installed:
            raise ConfigError("genai-prices is not installed; pip install 'fastcascade[prices]'")
        self.overrides = dict(overrides or {})
        self.source = "genai-prices" if installed else None
        self._exact = {name: _Listed(((-1, price),)) for name, price in self.overrides.items() if _named(name, price)}
        families = [name for name in self._exact if name.endswith("*")]
        self._families = [(name[:-1], self._exact.pop(name)) for name in sorted(families, key=len, reverse=True)]
        self._published = _Published() if installed else None
        self._known: dict[tuple[str, str | None], _Listed | _Dated | None] = {}
        self._snapshot: object = None

    @classmethod
    def load(
        cls,
        path: str | Path,
        source: Literal["auto", "genai-prices"] | None = "auto",
    ) -> "PriceSheet":
        """Read overrides from a JSON file: `{"my-model": {"input": 0.2, "output": 0.8, "date": "2026-11-01"}}`."""
        try:
            entries = json.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            msg = f"cannot read the price sheet {path}: {error.strerror}"
            raise ConfigError(msg) from error
        except ValueError as error:
            msg = f"the price sheet {path} is not JSON: {error}"
            raise ConfigError(msg) from error
        if not isinstance(entries, dict):
            msg = f"the price sheet {path} must be an object of prices by model, not {type(entries).__name__}"
            raise ConfigError(msg)
        return cls({name: _entry(f"{path}: {name!r}", entry) for name, entry in entries.items()}, source)

    def price(self, model: str, provider: str | None = None, at: datetime | None = None) -> Price | None:
        """What a model costs; None where it is not known. Where long prompts cost more, the rate of short ones.

        `provider` is a provider's name or its base URL; without it the model's name must tell. `at` is when the
        call was made, now by default (a naive time is UTC).
        """
        listed = self._find(model, provider, at)
        return listed.steps[0][1] if listed is not None and listed.writes else None

    def cost(self, model: str, usage: Usage, provider: str | None = None, at: datetime | None = None) -> float | None:
        """US dollars for this usage; None where the model's price is not known.

        Standard rates: what a batch or another service tier costs is not known here, nor how long a cache write
        is to live, which is charged as the shortest.
        """
        listed = self._find(model, provider, at)
        return None if listed is None else listed.cost(usage)

    def warm(self) -> None:
        """Read the source now, which takes 0.2 to 0.4 s, rather than when the first price is looked up."""
        if self._published is not None:
            self._published.snapshot()

    @property
    def date(self) -> str:
        """How old the sheet is: the newest day, not after today, that the source's notes name; "" if unknown.

        genai-prices bears no date of its own. After an update it is the day of that; without a source, the
        oldest day among the overrides.
        """
        if self._published is not None:
            return self._published.date()
        return min((price.date for price in self.overrides.values() if price.date), default="")

    def _find(self, model: str, provider: str | None, at: datetime | None) -> "_Listed | None":
        if self._published is not None and self._published.loaded:
            snapshot = self._published.snapshot()
            if snapshot is not self._snapshot:
                self._known.clear()
                self._snapshot = snapshot
        key = (model, provider)
        try:
            found = self._known[key]
        except KeyError:
            found = self._look(model, provider)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = found
        return found.at(at) if type(found) is _Dated else found  # type: ignore[return-value] # narrowed by type()

    def _look(self, model: str, provider: str | None) -> "_Listed | _Dated | None":
        names = (f"{provider}/{model}", model) if provider else (model,)
        for name in names:
            if name in self._exact:
                return self._exact[name]
        for name in names:
            for beginning, listed in self._families:
                if name.startswith(beginning):
                    return listed
        return self._published.find(model, provider) if self._published is not None else None

    def __repr__(self) -> str:
        """Show what it was made of."""
        return f"PriceSheet({len(self.overrides)} overrides, source={self.source!r})"


@dataclass(frozen=True, slots=True)
class _Listed:
    """Prices by length of prompt: a step's price holds for all tokens of a prompt longer than its start."""

    steps: tuple[tuple[int, Price], ...]
    writes: bool = True  # whether output has a price
    reasoning: float | None = None  # where thinking costs otherwise than the rest of the output

    def cost(self, usage: Usage) -> float | None:
        if not self.writes and usage.output:
            return None
        steps = self.steps
        price = steps[0][1]
        if len(steps) > 1:
            for start, longer in steps:
                if usage.input > start:
                    price = longer
        cost = price.cost(usage)
        if self.reasoning is not None:
            cost += min(usage.reasoning, usage.output) * (self.reasoning - price.output) / MILLION
        return cost


@dataclass(slots=True)
class _Dated:
    """A model whose price depends on the day or the hour."""

    info: "ModelInfo"
    day: str
    listed: dict[int, _Listed | None] = field(default_factory=dict)

    def at(self, when: datetime | None) -> _Listed | None:
        price = self.info.get_prices(when or datetime.now(UTC))
        if id(price) not in self.listed:
            self.listed[id(price)] = _listed(price, self.day)
        return self.listed[id(price)]


class _Published:
    """genai-prices, imported when first asked."""

    def __init__(self) -> None:
        self._get: Any = None
        self._day: tuple[object, str] = (None, "")

    @property
    def loaded(self) -> bool:
        return self._get is not None

    def snapshot(self) -> "DataSnapshot":
        if self._get is None:
            from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 # slow, and optional

            self._get = get_snapshot
        snapshot: DataSnapshot = self._get()
        return snapshot

    def find(self, model: str, provider: str | None) -> _Listed | _Dated | None:
        name, url = (None, provider) if provider and "://" in provider else (provider, None)
        try:
            _, info = self.snapshot().find_provider_model(model, None, name, url)
        except LookupError:
            return None
        return _Dated(info, self.date()) if isinstance(info.prices, list) else _listed(info.prices, self.date())

    def date(self) -> str:
        snapshot = self.snapshot()
        if self._day[0] is not snapshot:
            if snapshot.from_auto_update:
                self._day = (snapshot, snapshot.timestamp.date().isoformat())
            else:
                self._day = (snapshot, _newest_day(snapshot))
        return self._day[1]


def _newest_day(snapshot: "DataSnapshot") -> str:
    today = datetime.now(UTC).date().isoformat()
    notes = [provider.price_comments for provider in snapshot.providers]
    notes += [model.price_comments for provider in snapshot.providers for model in provider.models]
    days = re.findall(r"\b20\d\d-[01]\d-[0-3]\d\b", " ".join(filter(None, notes)))
    return max((day for day in days if day <= today), default="")


def _listed(published: "ModelPrice", day: str) -> _Listed | None:
    """Put a published price into our form; None where it lists none for input (a free plan lists nothing at all)."""
    rates = {name: getattr(published, f"{name}_mtok") for name in ("input", "output", "cache_read", "cache_write")}
    if rates["input"] is None:
        return None
    starts = {tier.start for rate in rates.values() for tier in getattr(rate, "tiers", ())}
    per_call = float(published.requests_kcount or 0) / 1000  # type: ignore[arg-type] # a flat rate in every entry
    steps = []
    for start in (-1, *sorted(starts)):
        now = {name: _rate(rate, start) for name, rate in rates.items()}
        price = Price(now["input"] or 0.0, now["output"] or 0.0, now["cache_read"], now["cache_write"], day, per_call)
        steps.append((start, price))
    return _Listed(tuple(steps), rates["output"] is not None, _rate(published.output_reasoning_mtok, -1))


def _rate(rate: Any, start: int) -> float | None:
    if rate is None:
        return None
    if not hasattr(rate, "tiers"):
        return float(rate)
    prices = [tier.price for tier in rate.tiers if tier.start <= start]
    return float(prices[-1] if prices else rate.base)


def _named(name: str, price: Any) -> bool:
    if not isinstance(price, Price):
        msg = f"the price of {name!r} must be a Price, not {type(price).__name__}"
        raise ConfigError(msg)
    if not name or "*" in name[:-1]:
        msg = f"a price needs a model's name, with at most one * at its end, not {name!r}"
        raise ConfigError(msg)
    return True


def _entry(where: str, entry: Any) -> Price:
    known = {each.name for each in fields(Price)}
    if not isinstance(entry, dict):
        msg = f"{where}: a price must be an object with input and output, not {type(entry).__name__}"
        raise ConfigError(msg)
    if unknown := sorted(entry.keys() - known):
        msg = f"{where}: unknown field {unknown[0]!r}; a price has {', '.join(sorted(known))}"
        raise ConfigError(msg)
    if missing := sorted({"input", "output"} - entry.keys()):
        msg = f"{where}: {missing[0]} is missing; a price that is not known is not to be listed"
        raise ConfigError(msg)
    try:
        return Price(**entry)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from None


def _day(text: str) -> None:
    try:
        date.fromisoformat(text)
    except (TypeError, ValueError):
        msg = f"a price's date must be a day such as '2026-11-01', not {text!r}"
        raise ConfigError(msg) from None
