"""What is told of a request that was passed through: a `Done`, as of one that reached a cascade."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.answers import Answer, Attempt, Ended, Spent
from fastcascade.errors import WireError
from fastcascade.gateway.passthrough_usage import Peeked, Reading
from fastcascade.messages import Budget, Message, Reply, Request, Text, Usage
from fastcascade.tiers import CHARACTERS_PER_TOKEN
from fastcascade.wire.endpoint_fields import fields_of
from fastcascade.wire.endpoint_models import UNSAID, Caller
from fastcascade.wire.endpoint_turn import Done
from fastcascade.wire.format import Asked

if TYPE_CHECKING:
    from fastcascade.prices import Price, PriceSheet
    from fastcascade.spans import CallSpan

__all__ = ["Account", "Record"]

UNREAD: Final = (Message("user", (Text(""),)),)
"""In the place of a conversation that is not read here."""

log: Final = logging.getLogger("fastcascade")


class Account:
    """Who is told, and what things cost."""

    def __init__(
        self,
        name: str,
        provider: str,
        price: "Price | None",
        prices: "PriceSheet | None",
        on_done: Callable[[Done], object] | None,
        clock: Callable[[], float],
    ) -> None:
        """Keep them."""
        self.name, self.on_done, self.clock = name, on_done, clock
        self._provider, self._price, self._prices = provider, price, prices

    def open(
        self, peeked: Peeked, headers: Mapping[str, str], caller: Caller, request_id: str, *, free: bool = False
    ) -> "Record":
        """Begin a record; what is `free` is told to nobody.

        Raises `WireError` for a header that cannot be read, and for one whose money does not suffice.
        """
        budget = caller.fields.get("budget")
        if not free and budget is not None and budget.usd is not None:
            self._check(peeked, budget.usd)
        fields: dict[str, Any] = fields_of(headers, Budget())
        if caller.locked:
            fields.update({name: UNSAID[name] for name in caller.locked})
        if not fields.get("customer") and (caller.tenant or caller.name):
            fields["customer"] = caller.tenant or caller.name
        request = Request(UNREAD, **{**fields, **caller.fields, "id": request_id})
        asked = Asked(request, peeked.model, {"model": peeked.model}, peeked.stream)
        return Record(self, asked, caller, peeked, told=free)

    def _check(self, peeked: Peeked, most: float) -> None:
        """Refuse what costs more than `most` before a word of it is answered, and what nobody knows the price of.

        What will be written is not known; that it costs, whoever counts hears when it is over.
        """
        cost = self.cost(peeked.model, Usage(input=peeked.size // CHARACTERS_PER_TOKEN))
        if cost is None:
            msg = (
                f"a budget in money needs the price of every model, and that of {peeked.model!r} is not known; "
                "its operator can give it: `price` in gateway.models"
            )
            raise WireError(msg, "model")
        if cost > most:
            msg = f"this would cost {cost:.2g} USD before a word is answered, and no more than {most:.2g} may be spent"
            raise WireError(msg, "", 402)

    def cost(self, model: str, usage: Usage) -> float | None:
        """What that costs; None where it is not known."""
        if self._price is not None:
            return self._price.cost(usage)
        return None if self._prices is None else self._prices.cost(model, usage, self._provider)


class Record:
    """One request, from when it was passed on."""

    __slots__ = ("_account", "_asked", "_began", "_caller", "_peeked", "_told", "span")

    def __init__(self, account: Account, asked: Asked, caller: Caller, peeked: Peeked, *, told: bool) -> None:
        """Begin now."""
        self._account, self._asked, self._caller, self._peeked = account, asked, caller, peeked
        self._began = account.clock()
        self._told = told
        self.span: CallSpan | None = None

    def done(self, status: int, failure: str, reading: Reading | None) -> None:
        """Tell of it, once. `reading` is what was read of an answer; None where there is none."""
        account = self._account
        if self.span is not None:
            model, usage = ("", None) if reading is None else (reading.model, reading.usage)
            self.span.answered(status, failure, model, usage)
        if self._told or account.on_done is None:
            return
        self._told = True
        seconds = account.clock() - self._began
        answer = None if reading is None else self._answer(reading, seconds, failure)
        try:
            account.on_done(Done(self._caller, self._asked, answer, status, seconds, failure))
        except Exception as error:  # noqa: BLE001 - a listener's fault is no matter of the request's
            name = type(error).__name__
            log.error("on_done failed for request %s: %s", self._asked.request.id, name)  # noqa: TRY400 - its words may be anyone's

    def _answer(self, reading: Reading, seconds: float, failure: str) -> Answer:
        name, model = self._account.name, reading.model or self._peeked.model
        usage, estimated = reading.usage, False
        if usage is None or (failure and usage.output < reading.pieces):
            # Nothing is free because nobody counted: about a token to an event, and the body by its length.
            asked = usage.input if usage is not None else self._peeked.size // CHARACTERS_PER_TOKEN
            usage, estimated = Usage(asked, reading.pieces), True
        cost = self._account.cost(model, usage)
        spent = Spent(f"{name}/answer", model, usage, cost, estimated, 0.0, seconds)
        verdict: Ended = "incomplete" if failure else "accept"
        attempt = Attempt(name, verdict, model=model, latency=seconds, calls=(spent,))
        reply = Reply((), model, usage=usage, id=reading.id)
        degraded = "incomplete" if failure else ""
        return Answer(reply, self._asked.request, name, latency=seconds, degraded=degraded, attempts=(attempt,))
