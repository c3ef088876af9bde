"""The reference of a cascade's file, as Markdown: every table that the reader knows, and every setting of each.

It is made of what the reader itself goes by, the constructors and their docstrings, so that it cannot go stale.
"""

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from textwrap import dedent
from typing import Any, Final, NamedTuple, get_args

from fastcascade.cascade import Cascade
from fastcascade.config.by_class import named
from fastcascade.config.families import FAMILIES
from fastcascade.config.hints import alternatives, is_list, is_mapping, is_part
from fastcascade.config.settings import FLAT, Setting, Settings, settings_of
from fastcascade.config.words import described
from fastcascade.entry.instance import Instance
from fastcascade.entry.pool import Pool
from fastcascade.gateway.proxy_settings import ProxyInstance, ProxyPool, ProxyRoute
from fastcascade.gateway.settings import Settings as Gateway
from fastcascade.lanes import Lane, Lanes
from fastcascade.tiers import SAMPLING, Tier

__all__ = ["markdown", "tables"]

ARG: Final = re.compile(r"^    (\w+): (.*)$")
TOP: Final = "The top of a file"
MANY: Final = (Tier, Instance, Lane, ProxyInstance, ProxyRoute)
"""What stands in a list, one table to each."""
HIDDEN: Final = frozenset({"Clock", "Callable"})
MANY_DIGITS: Final = 10_000
MOST: Final = 1e6
BY_CODE: Final = "by code alone"


class Table(NamedTuple):
    """A table of a file, or one kind of it: where it stands, what it is made into, and its settings."""

    place: str
    made: Callable[..., Any]
    settings: Settings

    @property
    def anchor(self) -> str:
        """What links lead to."""
        return _anchor(self.made)


def tables() -> tuple[list[Table], dict[str, list[Table]]]:
    """All tables by where they stand, and all kinds of whatever has kinds, by what it is."""
    found: dict[Any, Table] = {}
    families: dict[str, list[Table]] = {}
    waiting: list[tuple[str, Any]] = [("", Cascade), ("gateway", Gateway)]
    while waiting:
        place, made = waiting.pop(0)
        if made in found:
            continue
        table = found[made] = Table(place, made, settings_of(made))
        fresh = [table]
        while fresh:
            each = fresh.pop(0)
            kind = each is not table
            for setting in each.settings.by_name.values():
                where = f"{setting.name} of {each.place}" if kind else f"{each.place}.{setting.name}".lstrip(".")
                waiting += [(where, part) for part in _parts(setting.hint)]
                for family in _families(setting.hint):
                    if family.what not in families:
                        kinds = {name: family.kind(name) for name in family.kinds}
                        families[family.what] = [Table(name, made, _settings(made)) for name, made in kinds.items()]
                        fresh += families[family.what]
        if made is Tier:
            waiting.append(("tiers.pool", Pool))
    return list(found.values()), families


def _settings(kind: Callable[..., Any]) -> Settings:
    """Those of a kind; where a part of it stands in the same table, those of the part as well."""
    found = settings_of(kind)
    if kind not in FLAT:
        return found
    return dataclasses.replace(found, by_name={**settings_of(FLAT[kind][1]).by_name, **found.by_name})


def markdown() -> str:
    """The tables, then the kinds."""
    parts, families = tables()
    said = ["## Tables\n"]
    for table in parts:
        said += [f"({table.anchor})=", f"### {_heading(table)}\n", *_about(table), _rows(table)]
    said.append("## Kinds\n")
    for what, kinds in families.items():
        said += [f"({_slug(what)})=", f"### {what[0].upper()}{what[1:]}\n"]
        for table in kinds:
            said += [f"({_slug(what)}-{_slug(table.place)})=", f'#### `kind = "{table.place}"`\n', *_about(table)]
            said.append(_rows(table))
    return "\n".join(said)


def _heading(table: Table) -> str:
    if not table.place:
        return f"{TOP}, or `[cascades.NAME]`"
    setting, of, kind = table.place.partition(" of ")
    if of:
        return f"`{setting}` of `{kind}`: {table.made.__name__}"
    place = f"{table.place}.NAME" if table.made is ProxyPool else table.place
    return f"`[[{place}]]`" if table.made in MANY else f"`[{place}]`"


def _about(table: Table) -> Iterator[str]:
    said = inspect.getdoc(table.made) or ""
    if said and "(self" not in said and not said.startswith(table.made.__name__ + "("):
        yield said.split("\n\n")[0].replace("\n", " ") + "\n"
    if table.settings.rest is not None:
        yield f"Any other name is taken too: {described(table.settings.rest)}.\n"


def _rows(table: Table) -> str:
    known = table.settings.by_name
    if not known:
        return "It has no settings.\n"
    about, defaults = _described(table.made), _defaults(table.made)
    places = table.settings.places
    rows = ["| setting | takes | default | what it is |", "|---|---|---|---|"]
    for setting in known.values():
        param = places.get(setting.name, setting.name)
        default = "needed" if setting.required else _default(defaults.get(param, inspect.Parameter.empty), setting)
        said = about.get(param, about.get(setting.name, ""))
        if table.made is Tier and setting.name in SAMPLING:
            said = "for requests that do not say it themselves."
        rows.append(f"| `{setting.name}` | {_takes(setting)} | {default} | {_cell(said)} |")
    return "\n".join(rows) + "\n"


def _takes(setting: Setting) -> str:
    """What it takes, with links to the tables and kinds that are told of elsewhere."""
    if all(getattr(each, "__name__", "") in HIDDEN for each in alternatives(setting.hint) if each is not type(None)):
        return "a function" if "Callable" in str(setting.hint) else BY_CODE
    said = _cell(described(setting.hint))
    links = [f"[{each.__name__}](#{_anchor(each)})" for each in _parts(setting.hint)]
    links += [f"[{each.what}](#{_slug(each.what)})" for each in _families(setting.hint)]
    return f"{said}: {', '.join(dict.fromkeys(links))}" if links else said


def _default(value: Any, setting: Setting) -> str:
    match value:
        case inspect.Parameter.empty:
            said = "none" if setting.spread else ""
        case None:
            said = "`false`"
        case bool():
            said = f"`{str(value).lower()}`"
        case str():
            said = f'`"{value}"`'
        case int():
            said = f"`{value:_}`" if value >= MANY_DIGITS else f"`{value}`"
        case float():
            said = f"`{value:g}`" if value < MOST else f"`{value:.0f}`"
        case tuple() | list() | frozenset() | set() | dict():
            said = f"`{json.dumps(sorted(value))}`" if value else "none"
        case _:
            said = "as with `true`" if is_part(type(value)) else "as it comes"
    return said


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# What constructors say.


@cache
def _described(made: Callable[..., Any]) -> dict[str, str]:
    """What a docstring says of each parameter, under "Args:"."""
    found: dict[str, str] = {}
    sources = [made, named("fastcascade.evals.admitted:Admitted")] if made is Lanes else [made]
    sources += [FLAT[made][1]] if made in FLAT else []
    for doc in [inspect.getdoc(each) for one in sources for each in (one, getattr(one, "__init__", None))]:
        _, _, args = (doc or "").partition("Args:\n")
        name = ""
        for line in dedent(args).splitlines() if args.startswith("  ") else ():
            begins = ARG.match(f"    {line}")
            if begins and not line.startswith(" "):
                name = begins[1]
                found.setdefault(name, begins[2])
            elif line.startswith(" ") and name:
                found[name] += " " + line.strip()
            else:
                break
    return found


@cache
def _defaults(made: Callable[..., Any]) -> dict[str, Any]:
    if dataclasses.is_dataclass(made):
        return {
            each.name: each.default_factory() if each.default_factory is not dataclasses.MISSING else each.default
            for each in dataclasses.fields(made)
            if each.default is not dataclasses.MISSING or each.default_factory is not dataclasses.MISSING
        }
    try:
        inner = _defaults(FLAT[made][1]) if made in FLAT else {}
        return inner | {name: each.default for name, each in inspect.signature(made).parameters.items()}
    except (TypeError, ValueError):
        return {}


def _parts(hint: Any) -> Iterator[Any]:
    for each in alternatives(hint):
        if each not in FAMILIES and is_part(each):
            yield each
        elif is_list(each) or is_mapping(each):
            for inner in get_args(each):
                yield from _parts(inner)


def _families(hint: Any) -> Iterator[Any]:
    for each in alternatives(hint):
        if each in FAMILIES:
            yield FAMILIES[each]
        elif is_list(each):
            for inner in get_args(each):
                yield from _families(inner)


def _anchor(made: Callable[..., Any]) -> str:
    return f"{made.__module__.rpartition('.')[2]}-{made.__name__}".lower().lstrip("_")


def _slug(text: str) -> str:
    return "kind-" + re.sub(r"\W+", "-", text).strip("-").lower()
