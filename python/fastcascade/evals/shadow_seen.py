"""What a shadow log takes from an answer: which try it is about, what was asked, and by whom only as a digest."""

from collections.abc import Collection
from dataclasses import replace
from hashlib import sha256
from typing import Any

from fastcascade.answers import Answer, Attempt
from fastcascade.errors import ConfigError
from fastcascade.messages import Block, Reply, Request, Text
from fastcascade.records import dump

__all__ = ["accepted_try", "asked_of", "digest", "escalated_try", "reply_of", "slice_of"]


def accepted_try(answer: Answer) -> Attempt | None:
    """The try that a gate accepted in this very run; None where the answer is kept, degraded or nobody's."""
    if answer.reply is None or answer.degraded or answer.via:
        return None
    return next((each for each in answer.attempts if each.tier == answer.tier and each.verdict == "accept"), None)


def escalated_try(answer: Answer, tiers: Collection[str] = ()) -> Attempt | None:
    """The first try whose gate sent it up, of these tiers if any are named."""
    if answer.via:
        return None
    tries = (each for each in answer.attempts if each.verdict == "escalate")
    return next((each for each in tries if not tiers or each.tier in tiers), None)


def reply_of(answer: Answer, attempt: Attempt) -> Reply | None:
    """What a try said, from the outcomes that the answer came with."""
    name = f"{attempt.tier}/answer"
    for call in attempt.calls:
        if call.label == name or call.label.startswith((f"{name}/", f"{name}~")):
            outcome = answer.outcomes.get(call.label)
            if outcome is not None and isinstance(outcome.value, Reply):
                return outcome.value
    return None


def slice_of(answer: Answer) -> str:
    """The kind of case that an answer is, where nobody says otherwise."""
    return answer.request.route or answer.request.task


def digest(request: Request | str, customer: str = "") -> str:
    """What a request's own id is known by in a log; ids are the customer's own, so his name is part of it."""
    name, customer = (request.id, request.customer) if isinstance(request, Request) else (request, customer)
    return sha256(f"{len(customer)}:{customer}{name}".encode("utf-8", "surrogatepass")).hexdigest()[:24] if name else ""


def asked_of(request: Request) -> dict[str, Any] | None:
    """What was asked, as a case has it, without who asked; the whole request is there where texts do not say it.

    None where it holds what no file can: a log must not fail whoever asked.
    """
    plain = all(type(block) is Text for message in request.messages for block in message.content)
    said = [{"role": each.role, "content": _words(each.content)} for each in request.messages]
    text: Any = said[0]["content"] if len(said) == 1 and said[0]["role"] == "user" else said
    made: dict[str, Any] = {"input": text}
    if request.system:
        made["system"] = "\n\n".join(text.text for text in request.system)
    blank = not text or (isinstance(text, str) and not text.strip())
    if request.tools or request.schema is not None or not plain or blank:
        bare = replace(request, id="", customer="", user="", session="", callback="", idempotency="")
        try:
            made["request"] = dump(bare)
        except (ConfigError, RecursionError):
            return None
    return made


def _words(content: tuple[Block, ...]) -> str:
    return "".join(block.text for block in content if type(block) is Text)
