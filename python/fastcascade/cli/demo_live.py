"""`fastcascade demo` on the real API: whether it can be asked, and what it can cost at most."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from fastcascade.backends.anthropic import Anthropic
from fastcascade.cli.demo_cascade import MAX_TOKENS, PRICES, SAMPLES, Trial
from fastcascade.cli.demo_questions import Question
from fastcascade.errors import ConfigError
from fastcascade.messages import Budget, Usage
from fastcascade.prices import Price, PriceSheet

__all__ = ["has_key", "live", "most_per_request"]

OVERHEAD: Final = 64
"""Tokens a provider may add of its own accord. A text has no more tokens than bytes."""


def has_key() -> bool:
    """Whether there is a key for the real API."""
    return bool(_key())


def live(asked: Sequence[Question], models: tuple[str, str], accept: float) -> Trial:
    """The cascade over two models of Anthropic's; a `ConfigError` says what is missing to ask them."""
    cheap, large = (_model(name) for name in models)
    prices = (_price(models[0]), _price(models[1]))
    budget = Budget(usd=max(most_per_request(each, prices) for each in asked))
    return Trial.of(cheap, large, asked, prices, accept, budget)


def most_per_request(question: Question, prices: tuple[Price, Price]) -> float:
    """US dollars a request can cost at most, the large model's answer to compare with among them."""
    request = question.request
    text = "".join(part.text for part in request.system) + request.text
    usage = Usage(len(text.encode()) + OVERHEAD, MAX_TOKENS)
    return SAMPLES * prices[0].cost(usage) + prices[1].cost(usage)


def _model(name: str) -> Anthropic:
    # Newer models take no temperature; their samples differ as they do of themselves.
    return Anthropic(name, api_key=_key(), classic=name in PRICES)


def _key() -> str:
    # A key read from a file often has a line end.
    return os.environ.get("ANTHROPIC_API_KEY", "").strip()


def _price(model: str) -> Price:
    price = PRICES.get(model) or PriceSheet().price(model)
    if price is None:
        hint = "" if find_spec("genai_prices") else "; for the sheet of prices: pip install 'fastcascade[prices]'"
        msg = f"the price of {model!r} is not known, so the cost of asking it cannot be bounded{hint}"
        raise ConfigError(msg)
    return price
