"""What an answered review says of the cascade: whether the answer that it had given was right."""

from hashlib import sha256
from typing import Final

from fastcascade.messages import Reply
from fastcascade.stores.reviews import Review
from fastcascade.telemetry.events import HUB, Graded

__all__ = ["graded", "tell_grade"]

SOURCE: Final = "review"


def graded(review: Review, sample: float = 0.0) -> Graded | None:
    """The grade of an answer that was drawn to be checked; None where nobody checked it, or it was not drawn.

    It is right where the reviewer's answer says the same, but for blanks, and else wrong: one who says the same in
    other words should pick it instead. `sample` is the share that is drawn, if any.
    """
    if review.why != "sampled" or review.best is None or review.answer is None:
        return None
    return Graded(
        tier=str(review.trace.get("tier") or ""),
        score=float(_alike(review.best, review.answer)),
        at=review.ended or 0.0,
        slice=review.slice,
        propensity=sample or None,
        source=SOURCE,
        id=_digest(review),
    )


def tell_grade(review: Review, sample: float = 0.0) -> None:
    """Tell it to everybody in this process who listens."""
    if HUB.listeners and (event := graded(review, sample)) is not None:
        HUB.tell(event)


def _alike(said: Reply, right: Reply) -> bool:
    if said.content == right.content:
        return True
    calls = [[(call.name, call.arguments) for call in reply.tool_calls] for reply in (said, right)]
    return not right.empty and calls[0] == calls[1] and said.text.split() == right.text.split()


def _digest(review: Review) -> str:
    """As the log of shadow runs knows a request by: ids are the customer's own, so his name is part of it."""
    name, customer = review.request.id, review.request.customer
    return sha256(f"{len(customer)}:{customer}{name}".encode("utf-8", "surrogatepass")).hexdigest()[:24] if name else ""
