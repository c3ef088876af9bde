"""What the tests of the review desk share: a clock that stands, a network of receivers, reviews of each kind."""

from collections.abc import Mapping
from typing import Any

from fastcascade import Cascade, Tier
from fastcascade.messages import Reply, Request
from fastcascade.reviews.callbacks import Callbacks, verify
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.stores.reviews import Review
from fastcascade.testing import Fault, ScriptedBackend, run_virtual

KEY = b"k" * 32
SECRET = b"s" * 32
HOOK = "https://caller.example/hook"
START = 1_700_000_000.0
ASKED = Request.of("Where is my parcel?", route="/orders")


class Clock:
    """Seconds since 1970, as the test has them."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Network:
    """Stands for the receivers of callbacks: keeps what reached them, and answers as told."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.reached: list[tuple[str, dict[str, Any]]] = []
        self.clock = Clock()

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        self.reached.append((headers["webhook-id"], verify(body, headers, SECRET, self.clock())))
        return self.status, {}


def calling(network: Network) -> Callbacks:
    """Callbacks over that network."""
    return Callbacks([HOOK], SECRET, post=network)


async def ended(desk: ReviewDesk, callback: str = HOOK) -> Review:
    """Submit a review and answer it."""
    review = await desk.submit(ASKED, "failed", callback=callback)
    claimed = await desk.claim("ann")
    assert claimed is not None
    await desk.answer(claimed, "At the gate.")
    return review


def traced() -> tuple[Mapping[str, Any], Reply]:
    """The trace of a real run: one tier failed, one said something poor, one had nothing to say."""
    tiers = [
        Tier(ScriptedBackend(Fault("server")), name="off"),
        Tier(ScriptedBackend("Perhaps."), name="small"),
        Tier(ScriptedBackend(None), name="rules"),
        Tier(ScriptedBackend("It is on its way."), name="large"),
    ]
    trace = run_virtual(Cascade(*tiers[:1], *tiers[2:]).run(ASKED)).trace()
    small = run_virtual(Cascade(tiers[1]).run(ASKED)).trace()
    trace["attempts"] += small["attempts"]
    trace["outcomes"] |= small["outcomes"]
    return trace, Reply("the best so far")
