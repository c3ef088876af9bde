"""What is asked and what is answered, the same for every contender; and what is known when one must decide."""

from collections.abc import Awaitable, Callable

QUESTION = "What is the capital of France?"
WEAK = "I am not sure, but it might be Lyon, or perhaps some other town."
GOOD = "The capital of France is Paris."
LONGER = "How does a heat pump warm a house, and why does it need less electricity than an electric heater?"
PARAGRAPH = (
    "A heat pump warms a house by moving heat instead of making it. Outside, a refrigerant evaporates at low pressure "
    "and takes heat from the air. A compressor then raises its pressure, and with it its temperature. Inside, the "
    "refrigerant condenses and gives its heat to the house, before a valve lowers the pressure again and the cycle "
    "starts over. The heat pump needs less electricity than an electric heater because the electricity only drives "
    "the compressor: for each unit of electricity, three to four units of heat are moved into the house, whereas an "
    "electric heater gives one unit of heat for one unit of electricity."
)
SHORT = (QUESTION, GOOD)
LONG = (LONGER, PARAGRAPH)
MODELS = ("small", "middle", "large")

LAMBDA = 10.0  # quality per dollar: one cent must bring ten points
# The score of the first reply, and how long the request is beside the usual one: no two decisions are quite the same.
STANDINGS = [(score / 20, length) for score in range(1, 20) for length in (0.5, 1.0, 2.0)]


def qualities(tiers: int) -> list[float]:
    """How often each is right: each more often than the one before."""
    return [0.6 + 0.3 * tier / (tiers - 1) for tier in range(tiers)]


def costs(tiers: int, length: float) -> list[float]:
    """US dollars, from a hundredth of a cent to a cent."""
    return [0.0001 * length * 100 ** (tier / (tiers - 1)) for tier in range(tiers)]


def answering() -> Callable[[], Awaitable[str]]:
    """An async function that returns at once."""

    async def answer() -> str:
        return GOOD

    return answer
