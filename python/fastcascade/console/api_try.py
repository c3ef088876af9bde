"""The calls of the page "Try it": presets and texts, through the playground or a cascade that is served."""

from collections.abc import Mapping
from typing import Any, Final

from fastcascade.console.asked import Asked, Call, Refusal, Said, Sight
from fastcascade.console.playground import Playground
from fastcascade.console.playground_parts import CONDITIONS
from fastcascade.console.playground_presets import PRESETS, Preset
from fastcascade.console.playground_served import allowance_of, estimated, served

__all__ = ["CALLS"]

MOST: Final = 200_000
"""Characters of a text."""
KEPT: Final = "try.playground"


async def shown(asked: Asked) -> Said:
    """What there is to try."""
    sight = asked.sight
    allowance = allowance_of(sight)
    return Said(
        value={
            "presets": [preset.json(name) for name, preset in PRESETS.items()],
            "conditions": [{"id": name, "title": title} for name, title in CONDITIONS.items()],
            "cascades": list(sight.cascades),
            "a_day": allowance.usd,
            "left": allowance.left(sight.now()),
        }
    )


async def run(asked: Asked) -> Said:
    """A preset, or a text, through the playground. It costs nothing."""
    body = _body(asked)
    name = body.get("preset")
    if name is not None:
        preset = PRESETS.get(name) if isinstance(name, str) else None
        if preset is None:
            raise Refusal(404, "there is no such preset")
        return Said(value=await _playground(asked.sight).run(preset))
    condition = body.get("condition", "well")
    if not isinstance(condition, str) or condition not in CONDITIONS:
        raise Refusal(422, f"a condition is one of {', '.join(CONDITIONS)}")
    typed = Preset("", "", text=_text(body), condition=condition, keep=True)
    return Said(value=await _playground(asked.sight).run(typed))


async def estimate(asked: Asked) -> Said:
    """What a text would cost through a cascade that is served."""
    body = _body(asked)
    return Said(value=estimated(asked.sight, _name(body), _text(body)))


async def through(asked: Asked) -> Said:
    """A text through a cascade that is served. It costs what its models cost."""
    body = _body(asked)
    return Said(value=await served(asked.sight, _name(body), _text(body), asked.person.name))


async def person(asked: Asked) -> Said:
    """What a person answers to a request that the playground has handed over."""
    body = _body(asked)
    ticket = body.get("ticket")
    if not isinstance(ticket, str) or not ticket:
        raise Refusal(422, "ticket is the text that the caller was given")
    return Said(value=await _playground(asked.sight).answer(ticket, _text(body), asked.person.name))


def _playground(sight: Sight) -> Playground:
    kept = sight.kept.get(KEPT)
    if not isinstance(kept, Playground):
        kept = sight.kept[KEPT] = Playground()
    return kept


def _body(asked: Asked) -> Mapping[str, Any]:
    if not isinstance(asked.body, dict):
        raise Refusal(422, "the body is a JSON object")
    return asked.body


def _text(body: Mapping[str, Any]) -> str:
    text = body.get("text")
    if not isinstance(text, str) or not text.strip():
        raise Refusal(422, "text is what is asked, and not empty")
    if len(text) > MOST:
        raise Refusal(413, f"a text has at most {MOST} characters")
    return text


def _name(body: Mapping[str, Any]) -> str:
    name = body.get("cascade")
    if not isinstance(name, str):
        raise Refusal(422, "cascade is the name of one")
    return name


CALLS: Final[Mapping[tuple[str, str], Call]] = {
    ("GET", "/console/api/try"): Call(shown),
    ("POST", "/console/api/try/run"): Call(run),
    ("POST", "/console/api/try/estimate"): Call(estimate),
    ("POST", "/console/api/try/served"): Call(through),
    ("POST", "/console/api/try/person"): Call(person),
}
