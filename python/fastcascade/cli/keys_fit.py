"""Whether keys fit a cascade's file: a tier that is none is a 400 for each request, which its caller cannot mend."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from fastcascade.config.mistakes import listed, meant
from fastcascade.config.models import STAR
from fastcascade.gateway.in_use import Patterns

if TYPE_CHECKING:
    from fastcascade.config import File
    from fastcascade.gateway.keys import KeyRecord

__all__ = ["Misfit", "misfits"]

TIERS: Final = ("min_tier", "max_tier")
SEVERAL: Final = 8
"""Names that are listed where none is near."""


class Misfit(NamedTuple):
    """What of a key does not fit. `grave`: nothing can come of it; else it is refused at some of what it may ask."""

    said: str
    grave: bool


def misfits(record: "KeyRecord", whole: "File") -> Iterator[Misfit]:
    """What of a key fits nothing in a file."""
    names = [
        *whole.cascades,
        *(f"{name}/{tier}" for name, cascade in whole.cascades.items() for tier in cascade.places),
        *whole.models,
    ]
    for pattern in record.models or ():
        if not any(_fits(pattern, name) for name in names):
            yield Misfit(f"models: {pattern!r} fits no model{_near(pattern, names)}", grave=True)
    reached = _reached(record, whole)
    wrong = False
    for field in TIERS:
        tier = record.fields.get(field)
        without = [name for name, places in reached.items() if tier not in places]
        if not tier or not without:
            continue
        wrong = True
        if len(without) < len(reached):
            where = listed(without[:SEVERAL])
            yield Misfit(
                f"{field}: there is no tier {tier!r} in {where}, and what it asks there is refused", grave=False
            )
        else:
            known = list(dict.fromkeys(each for places in reached.values() for each in places))
            yield Misfit(f"{field}: there is no tier {tier!r}{_near(tier, known)}", grave=True)
    least, most = (record.fields.get(field) for field in TIERS)
    if least and most and reached and not wrong and all(each[least] > each[most] for each in reached.values()):
        yield Misfit(f"min_tier {least!r} is above max_tier {most!r}", grave=True)


def _reached(record: "KeyRecord", whole: "File") -> Mapping[str, Mapping[str, int]]:
    """The tiers of each cascade that a key may ask; of what is passed on, those of the one that translates."""
    own = None if record.models is None else Patterns(record.models)
    found: dict[str, Mapping[str, int]] = {}
    for name, cascade in whole.cascades.items():
        if own is None or name in own or any(f"{name}/{tier}" in own for tier in cascade.places):
            found[name] = cascade.places
    for name, model in whole.models.items():
        if own is not None and not any(_fits(pattern, name) for pattern in own):
            continue
        if behind := model.cascade or model.instead:
            found[behind] = whole.cascades[behind].places
        else:
            found[name] = {} if model.through is None else model.through.places
    return found


def _fits(pattern: str, name: str) -> bool:
    """Whether a key's pattern fits a name, or a name that a star stands for."""
    if name in Patterns((pattern,)):
        return True
    if not name.endswith(STAR):
        return False
    start, (begin, star, _) = name[:-1], pattern.partition(STAR)
    return begin.startswith(start) or bool(star and start.startswith(begin))


def _near(name: str, names: "list[str]") -> str:
    near = meant(name, names)
    if near:
        return f"; did you mean {near!r}?"
    return f"; there are: {listed(names[:SEVERAL])}" if names else ""
