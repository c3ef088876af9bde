"""The models of the playground: small programs that look up what an invented parcel service has written down.

They are no language models, and nobody is called. But what they say comes of what is asked, and each sample of a reply
is drawn anew, so that whether samples agree is found out and not put on. How long they take and what they cost is made
up, and is called simulated wherever it is shown.
"""

import asyncio
import re
from dataclasses import dataclass
from random import Random
from typing import Final

from fastcascade.messages import Reply, Request, Usage
from fastcascade.prices import Price

__all__ = ["FAQ", "TOPICS", "Clerk", "Topic"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing the service knows: the words it goes by, more words that only a larger model knows, what it says."""

    words: frozenset[str]
    more: frozenset[str]
    answer: str


def _topic(words: str, more: str, answer: str) -> Topic:
    return Topic(frozenset(words.split()), frozenset(more.split()), answer)


TOPICS: Final = (
    _topic(
        "depot open opening hours saturday sunday closed",
        "when weekend evening visit counter pick",
        "The depot is open Monday to Friday from 8 to 18, and Saturday from 9 to 13.",
    ),
    _topic(
        "price cost postage send kilo weight",
        "much expensive cheap rate heavy letter",
        "A parcel of up to 5 kg costs 6.90 within the country and 14.50 abroad.",
    ),
    _topic(
        "lost missing late arrived tracking parcel",
        "waiting still nothing neighbour nowhere search",
        "A search for a parcel begins three days after it was due: give us its number, and we ask the depots.",
    ),
    _topic(
        "damaged broken claim compensation parcel",
        "pieces cracked vase photo liable repair",
        "Keep the wrapping, take a photo, and make a claim within seven days; up to 500 is covered.",
    ),
    _topic(
        "address change redirect delivery moved parcel",
        "flat street wrong house elsewhere old",
        "Until the parcel is in the van you can change its address with the number on your receipt.",
    ),
    _topic(
        "return refund label send back",
        "unwanted shop keep money again",
        "The shop that sold it gives you a label; hand the parcel in at any counter and keep the receipt.",
    ),
    _topic(
        "customs duty abroad invoice declaration",
        "tax country form value border",
        "Parcels to other countries need an invoice outside and form CN23, with the value of each thing.",
    ),
)
FAQ: Final = {
    "where do i find my parcel number?": "On the receipt, below the bars: two letters and six digits.",
    "do you deliver on sunday?": "No. We deliver from Monday to Saturday.",
}
"""Questions with an answer that needs no model."""
WORD: Final = re.compile(r"[^\W_]+")
MOST: Final = 4_000
"""Characters of a question that are read."""
PER_TOKEN: Final = 4


class Clerk:
    """Says what is written of the topic that shares most words with what is asked; None where none shares any.

    Asked at a temperature, it overlooks each word with some probability, drawn from the request's seed: a question
    that is plain is answered alike each time, one that could be of two topics is not.

    Args:
        name: what it is called.
        seconds: how long a reply takes, simulated.
        price: what it costs, simulated.
        overlooks: how likely it is to overlook a word.
        wide: whether it knows the further words.
        otherwise: what it says where it finds nothing; empty is no answer.
    """

    gives: frozenset[str] = frozenset()

    def __init__(
        self, name: str, seconds: float, price: Price, *, overlooks: float, wide: bool, otherwise: str = ""
    ) -> None:
        """Keep the settings."""
        self.name, self.seconds, self.price = name, seconds, price
        self._overlooks, self._wide, self._otherwise = overlooks, wide, otherwise

    async def complete(self, request: Request, /) -> Reply | None:
        """Look it up, after as long as a model would take."""
        await asyncio.sleep(self.seconds)
        said = self.look_up(request)
        if not said:
            return None
        asked = min(request.size, MOST) // PER_TOKEN
        return Reply(said, self.name, usage=Usage(input=120 + asked, output=max(1, len(said) // PER_TOKEN)))

    def look_up(self, request: Request) -> str:
        """What is written of it."""
        asked = request.messages[-1].text[:MOST].lower()
        words = WORD.findall(asked)
        if request.temperature:
            draw = Random(f"{self.name}:{request.seed}:{asked}")
            words = [word for word in words if draw.random() >= self._overlooks]
        there = set(words)
        shared = [len(there & topic.words) + (len(there & topic.more) if self._wide else 0) for topic in TOPICS]
        best = max(shared)
        return TOPICS[shared.index(best)].answer if best else self._otherwise

    def __repr__(self) -> str:
        """Show who it is."""
        return f"Clerk({self.name!r})"
