"""Requests to begin with, each with what there is to see."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from fastcascade.console.playground_parts import Condition

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True, slots=True)
class Preset:
    """One request.

    Args:
        title: of the button.
        watch: what to watch for.
        method: of HTTP.
        path: as a client sends it.
        text: of the body.
        key: whose key comes with it: one of the service's, "unknown" for one it does not know, empty for none.
        condition: what is broken meanwhile.
        keep: whether its answer may be kept, and a kept one be given.
        first: what is done before: "asked", the same request once; "drained", its client uses its bucket up.
    """

    title: str
    watch: str
    method: str = "POST"
    path: str = "/ask"
    text: str = ""
    key: str = "shop"
    condition: Condition = "well"
    keep: bool = False
    first: str = ""

    def json(self, name: str) -> dict[str, Any]:
        """As the page reads it: the key by its name, never itself."""
        return {
            "id": name,
            "title": self.title,
            "watch": self.watch,
            "method": self.method,
            "path": self.path,
            "text": self.text,
            "key": self.key,
            "condition": self.condition,
        }


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({
    "cache": Preset(
        "Cache hit",
        "The same was asked before: L1 gives the kept answer, and no model is paid.",
        text="When is the depot open on Saturday?",
        keep=True,
        first="asked",
    ),
    "exact": Preset(
        "Exact route",
        "L2 finds the path as it is written in the table; no model is needed.",
        "GET", "//hours/", key="",
    ),
    "prefix": Preset(
        "Prefix route",
        "L2 walks the prefix tree to /parcels/{id}, which leads to a pool of two instances.",
        "GET", "/parcels/4711", key="",
    ),
    "regex": Preset(
        "Regex route",
        "Exact and prefix miss, a regular expression matches, and a function answers.",
        "GET", "/track/FC204117", key="",
    ),
    "unknown": Preset(
        "Rejected: 401",
        "L3 does not know the key, so that nothing below it is asked or paid.",
        text="When is the depot open on Saturday?", key="unknown",
    ),
    "limited": Preset(
        "Rejected: 429",
        "This client has used its bucket up a moment ago; L3 says how long to wait.",
        text="When is the depot open on Saturday?", key="bursty", first="drained",
    ),
    "rules": Preset(
        "Rules answer",
        "The first tier is a list of questions with fixed answers, and free.",
        text="Do you deliver on Sunday?",
    ),
    "cheap": Preset(
        "Cheap tier accepts",
        "The small model is asked three times; all replies agree, so that the large one is not needed.",
        text="What does it cost to send a parcel, and what is the price of each kilo?",
    ),
    "escalates": Preset(
        "Escalates",
        "The small model contradicts itself; its gate sends the request up to the large one.",
        text="My vase is broken and in pieces: who is liable, you or the shop I send it back to?",
    ),
    "primary": Preset(
        "Primary down",
        "Small and large refuse every call, the retry too; L5 asks another provider.",
        text="How much is the postage to send two kilo?", condition="primary",
    ),
    "all": Preset(
        "All down",
        "No provider answers at all; the caller still gets an answer, made beforehand.",
        text="Can you redirect a delivery that is on its way?", condition="all",
    ),
    "human": Preset(
        "To a person",
        "Neither model is sure of a claim; L5 hands it to the review desk, and the caller gets a ticket.",
        path="/claims",
        text="The vase arrived in pieces at the old address and the shop wants the money back.",
    ),
})  # fmt: skip
