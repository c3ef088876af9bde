"""What the last tier alone would have cost for an answer: what savings are told against.

It is an estimate wherever the last tier was not asked: its price for as many tokens as the answer itself took. Models
differ in how much they write, so a saving that matters is measured with `fastcascade evaluate`, which asks both.
"""

from typing import TYPE_CHECKING

from fastcascade.messages import MOST_TOKENS

if TYPE_CHECKING:
    from fastcascade.answers import Answer
    from fastcascade.cascade import Cascade

__all__ = ["baseline_usd"]


def baseline_usd(answer: "Answer", cascade: "Cascade") -> float | None:
    """Dollars; None where nothing was answered, or the price of the last tier is not known."""
    reply, tier = answer.reply, cascade.tiers[-1]
    if reply is None or answer.via == "static":
        return None
    if not answer.via and answer.tier == tier.name:  # it was asked: its own call, without gates and escalations
        said = [call for attempt in answer.attempts if attempt.tier == tier.name for call in attempt.calls]
        own = [call for call in said if call.label == f"{tier.name}/answer"]
        if own:
            return own[-1].cost_usd
    price = tier.price or tier.rate(cascade.prices)
    if price is None:
        return None
    usage = reply.usage
    if usage is None or not usage.output:  # rules and functions count no tokens
        return tier.estimate(answer.request, cascade.prices)
    if 0 <= usage.input < MOST_TOKENS and 0 <= usage.output < MOST_TOKENS:
        return price.cost(usage)
    return None  # a backend of somebody's own may say anything
