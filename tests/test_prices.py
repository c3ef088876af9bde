"""Prices: what usage costs, and that what is not known is never zero."""

import json
import socket
import subprocess
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.messages import Usage
from fastcascade.prices import Price, PriceSheet

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOKENS = st.integers(0, 2_000_000)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to the network is shut."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


COST_CASES = [
    ("nothing", Price(3, 15), Usage(), 0.0),
    ("a million in", Price(3, 15), Usage(1_000_000), 3.0),
    ("a million out", Price(3, 15), Usage(0, 1_000_000), 15.0),
    ("thinking is part of the output", Price(3, 15), Usage(0, 1_000_000, reasoning=600_000), 15.0),
    ("cache parts are part of the input", Price(3, 15, 0.3, 3.75), Usage(1_000_000, 0, 400_000, 200_000), 2.07),
    ("all of it read", Price(3, 15, 0.3, 3.75), Usage(1_000_000, 0, 1_000_000), 0.3),
    ("no price for reads", Price(3, 15), Usage(1_000_000, 0, 400_000, 200_000), 3.0),
    ("reads are free", Price(3, 15, 0.0), Usage(1_000_000, 0, 400_000), 1.8),
    ("more read than there was", Price(3, 15, 0.3), Usage(0, 0, 1_000_000), 0.3),
    ("each call too", Price(0, 0, per_call=0.005), Usage(10, 10), 0.005),
]


@pytest.mark.parametrize(("why", "price", "usage", "cost"), COST_CASES, ids=[case[0] for case in COST_CASES])
def test_what_usage_costs(why: str, price: Price, usage: Usage, cost: float) -> None:
    """Each part of the usage is charged at its own rate, and once."""
    assert price.cost(usage) == pytest.approx(cost, abs=1e-12)


@given(TOKENS, TOKENS, TOKENS, TOKENS)
def test_an_unknown_cache_price_is_never_too_low(plain: int, read: int, write: int, output: int) -> None:
    """Without a price for cache reads the cost is no less than with any that providers have."""
    usage = Usage(plain + read + write, output, read, write)
    assert Price(3, 15, None, 3.75).cost(usage) >= Price(3, 15, 0.3, 3.75).cost(usage)
    assert Price(3, 15).cost(usage) == pytest.approx(Price(3, 15).estimate(usage.input, output))


BAD_PRICES: list[tuple[dict[str, Any], str]] = [
    ({"input": -1, "output": 1}, "a price's input must be US dollars"),
    ({"input": 1, "output": float("nan")}, "a price's output must be"),
    ({"input": 1, "output": float("inf")}, "a price's output must be"),
    ({"input": "1", "output": 1}, "a price's input must be"),
    ({"input": True, "output": 1}, "a price's input must be"),
    ({"input": None, "output": 1}, "a price's input must be"),
    ({"input": 1, "output": 1, "cache_read": -0.1}, "a price's cache_read must be"),
    ({"input": 1, "output": 1, "date": "November"}, "a price's date must be a day"),
    ({"input": 1, "output": 1, "date": 2026}, "a price's date must be a day"),
]


@pytest.mark.parametrize(("fields", "message"), BAD_PRICES)
def test_what_is_no_price(fields: dict[str, Any], message: str) -> None:
    """A price that is none is refused by the name of what is wrong in it."""
    with pytest.raises(ConfigError, match=message):
        Price(**fields)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(("provider", "model"), [("anthropic", "claude-haiku-4-5"), ("openai", "gpt-5-mini")])
def test_published_prices_are_reckoned_right(provider: str, model: str) -> None:
    """A model's cost is what its published rates come to, cache reads and writes included, with no network."""
    snapshot = pytest.importorskip("genai_prices.data_snapshot").get_snapshot()
    _, info = snapshot.find_provider_model(model, None, provider, None)
    rates = info.get_prices(NOON)
    assert isinstance(rates.input_mtok, Decimal) and isinstance(rates.cache_read_mtok, Decimal)
    usage = Usage(10_000, 700, cache_read=6_000, cache_write=1_500, reasoning=300)
    written = rates.input_mtok if rates.cache_write_mtok is None else rates.cache_write_mtok
    due = (
        (10_000 - 6_000 - 1_500) * rates.input_mtok
        + 6_000 * rates.cache_read_mtok
        + 1_500 * written
        + 700 * rates.output_mtok
    ) / 1_000_000
    sheet = PriceSheet(source="genai-prices")
    assert sheet.cost(model, usage) == pytest.approx(float(due), rel=1e-12)
    assert sheet.cost(model, usage, provider) == sheet.cost(model, usage, at=NOON) == sheet.cost(model, usage)
    price = sheet.price(model)
    assert price is not None
    assert price.input == float(rates.input_mtok) and price.cache_read == float(rates.cache_read_mtok)
    assert price.date == sheet.date


@pytest.mark.usefixtures("offline")
def test_every_published_model_costs_what_its_library_says() -> None:
    """Short prompts and long, with the cache and without: all models agree with genai-prices, or are unknown."""
    genai = pytest.importorskip("genai_prices")
    snapshot = pytest.importorskip("genai_prices.data_snapshot").get_snapshot()
    sheet = PriceSheet()
    usages = [Usage(1000, 100, 300, 100, 20), Usage(300_001, 100, 3, 1000, 50), Usage(200_000, 1), Usage(500)]
    known = 0
    for provider in snapshot.providers:
        for model in provider.models:
            try:
                found = snapshot.find_provider_model(model.id, None, provider.id, None)
            except LookupError:
                assert sheet.cost(model.id, usages[0], provider.id, NOON) is None
                continue
            rates = found[1].get_prices(NOON)
            for usage in usages:
                cost = sheet.cost(model.id, usage, provider.id, NOON)
                if rates.input_mtok is None or (rates.output_mtok is None and usage.output):
                    assert cost is None, model.id
                    continue
                told = genai.Usage(
                    input_tokens=usage.input,
                    output_tokens=usage.output,
                    cache_read_tokens=usage.cache_read,
                    cache_write_tokens=usage.cache_write,
                    output_reasoning_tokens=usage.reasoning,
                )
                due = found[1].calc_price(told, found[0], genai_request_timestamp=NOON).total_price
                assert cost == pytest.approx(float(due), rel=1e-9, abs=1e-15), model.id
                known += 1
    assert known > 5000


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("no-such-model", None),
        ("", None),
        ("claude-no-such", None),
        ("gpt-4o", "my-own-server"),
        ("gpt-4o", "http://localhost:8000/v1"),
        ("whisper-1", "openai"),  # by the hour
    ],
)
def test_what_is_not_known_is_none(model: str, provider: str | None) -> None:
    """An unknown model, a known one at an unknown place, one not sold by tokens: None, never zero."""
    sheet = PriceSheet()
    for _ in range(2):
        assert sheet.price(model, provider) is None
        assert sheet.cost(model, Usage(10, 10), provider) is None
    assert PriceSheet(source=None).cost("gpt-4o", Usage(10, 10)) is None


def test_a_model_that_only_reads() -> None:
    """An embedding model has a cost where nothing is written, and no price for what is."""
    pytest.importorskip("genai_prices")
    sheet = PriceSheet()
    assert sheet.cost("text-embedding-3-small", Usage(1_000_000), "openai") == pytest.approx(0.02)
    assert sheet.cost("text-embedding-3-small", Usage(1_000_000, 1), "openai") is None
    assert sheet.price("text-embedding-3-small", "openai") is None


def test_where_it_is_sold_may_be_an_address() -> None:
    """A provider is named, or found by its base URL."""
    pytest.importorskip("genai_prices")
    sheet = PriceSheet()
    assert sheet.price("gpt-4o", "https://api.openai.com/v1") == sheet.price("gpt-4o", "openai") is not None


def test_prices_change_with_the_day() -> None:
    """A model whose price changed costs what it cost when it was called."""
    snapshot = pytest.importorskip("genai_prices.data_snapshot").get_snapshot()
    sheet, usage, changed = PriceSheet(), Usage(1000, 1000), 0
    for provider in snapshot.providers:
        for model in provider.models:
            if provider.find_model(model.id) is not model or not isinstance(model.prices, list):
                continue
            days = [each.constraint.start_date for each in model.prices if hasattr(each.constraint, "start_date")]
            times = [datetime(2020, 1, 1, tzinfo=UTC), *(datetime.combine(day, time(12), UTC) for day in days)]
            changed += len({sheet.cost(model.id, usage, provider.id, at) for at in times}) > 1
    assert changed > 5


OWN = {
    "mine": Price(1, 2, date="2026-10-01"),
    "there/mine": Price(5, 6),
    "mine-*": Price(3, 4, date="2026-09-01"),
    "mine-large*": Price(7, 8),
    "gpt-4o": Price(0, 0),
}


@pytest.mark.parametrize(
    ("model", "provider", "price"),
    [
        ("mine", None, OWN["mine"]),
        ("mine", "here", OWN["mine"]),
        ("mine", "there", OWN["there/mine"]),
        ("mine-20261101", None, OWN["mine-*"]),
        ("mine-large-20261101", None, OWN["mine-large*"]),
        ("min", None, None),
        ("gpt-4o", "openai", OWN["gpt-4o"]),
    ],
)
def test_your_own_prices_come_first(model: str, provider: str | None, price: Price | None) -> None:
    """An exact name wins over a family, a longer family over a shorter, and yours over what is published."""
    sheet = PriceSheet(OWN)
    assert sheet.price(model, provider) == price
    if price is not None:
        assert sheet.cost(model, Usage(10, 20), provider) == price.cost(Usage(10, 20))


def test_a_stated_zero_is_zero() -> None:
    """A price of zero that somebody stated is a known cost."""
    assert PriceSheet({"local": Price(0, 0)}, None).cost("local", Usage(10, 10)) == 0.0


def test_how_old_it_is() -> None:
    """A sheet says the day it is of: its source's, else the oldest of its own, else nothing."""
    assert PriceSheet(OWN, None).date == "2026-09-01"
    assert PriceSheet(None, None).date == ""
    pytest.importorskip("genai_prices")
    assert date(2026, 1, 1) < date.fromisoformat(PriceSheet().date) <= datetime.now(UTC).date()


def test_an_update_is_taken_up() -> None:
    """Prices that the application fetched by itself are used as soon as they are there."""
    module = pytest.importorskip("genai_prices.data_snapshot")
    sheet = PriceSheet()
    assert sheet.price("gpt-4o") is not None
    stamp = datetime(2026, 11, 20, tzinfo=UTC)
    module.set_custom_snapshot(module.DataSnapshot(providers=[], from_auto_update=True, timestamp=stamp))
    try:
        assert sheet.price("gpt-4o") is None
        assert sheet.date == "2026-11-20"
    finally:
        module.set_custom_snapshot(None)
    assert sheet.price("gpt-4o") is not None


def test_names_from_outside_do_not_pile_up() -> None:
    """However many models are asked for, memory is bounded."""
    sheet = PriceSheet(None, None)
    for step in range(10_000):
        sheet.price(f"model-{step}")
    assert len(sheet._known) <= 4096  # noqa: SLF001 # there is no other way to see it


def test_prices_from_a_file(tmp_path: Path) -> None:
    """A JSON file of prices by model is read as it stands."""
    path = tmp_path / "prices.json"
    path.write_text('{"mine": {"input": 1, "output": 2, "date": "2026-10-01"}, "x*": {"input": 0.5, "output": 0}}')
    sheet = PriceSheet.load(path, None)
    assert sheet.overrides == {"mine": Price(1, 2, date="2026-10-01"), "x*": Price(0.5, 0)}
    assert sheet.price("xyz") == Price(0.5, 0)


BAD_FILES = [
    ("{", "is not JSON"),
    ("[]", "must be an object of prices by model, not list"),
    (json.dumps({"a": 3}), "'a': a price must be an object with input and output, not int"),
    (json.dumps({"a": {"input": 1}}), "'a': output is missing"),
    (json.dumps({"a": {"input": 1, "output": 2}, "b": {"inptu": 1}}), "'b': unknown field 'inptu'; a price has"),
    (json.dumps({"a": {"input": -1, "output": 2}}), "'a': a price's input must be US dollars, zero or more, not -1"),
    (json.dumps({"*a": {"input": 1, "output": 2}}), "at most one . at its end, not '.a'"),
    (json.dumps({"": {"input": 1, "output": 2}}), "a price needs a model's name"),
]


@pytest.mark.parametrize(("content", "message"), BAD_FILES)
def test_a_file_that_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    """What is wrong in a file is said by entry and field."""
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        PriceSheet.load(path)


def test_settings_that_cannot_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not there, a source nobody knows, a price that is a number, a library not installed."""
    with pytest.raises(ConfigError, match="cannot read the price sheet"):
        PriceSheet.load(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="source must be"):
        PriceSheet(source="web")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the price of 'a' must be a Price, not float"):
        PriceSheet({"a": 1.0})  # type: ignore[dict-item]
    monkeypatch.setattr("fastcascade.prices.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'fastcascade\[prices\]'"):
        PriceSheet(source="genai-prices")
    assert PriceSheet().source is None
    assert PriceSheet().price("gpt-4o") is None


def test_nothing_is_loaded_before_it_is_needed() -> None:
    """Making a sheet, and finding a price of your own, imports no library; `warm` does."""
    pytest.importorskip("genai_prices")
    code = (
        "import sys; from fastcascade.prices import Price, PriceSheet; sheet = PriceSheet({'a': Price(1, 2)});"
        "assert sheet.price('a'); assert 'genai_prices' not in sys.modules;"
        "sheet.warm(); assert 'genai_prices' in sys.modules; print(repr(sheet))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "PriceSheet(1 overrides, source='genai-prices')"
