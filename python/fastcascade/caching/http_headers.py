"""Reading the headers a cache looks at: lists, directives, numbers, dates, entity tags.

What comes in may be junk and may be meant to be: nothing here raises on any bytes, takes more than linear time, or
reads more leave to keep or to reuse an answer into a malformed text than the well-formed part of it gives.
"""

import re
from calendar import timegm
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

__all__ = [
    "CEILING",
    "Directives",
    "age_said",
    "directives",
    "etag_in",
    "field",
    "http_date",
    "lowered",
    "names",
    "seconds",
    "selecting",
    "split_list",
]

CEILING = 1 << 31
"""Seconds beyond this are this (RFC 9111, 1.2.2): 68 years."""

Directives: TypeAlias = Mapping[bytes, bytes | None]

_NOTHING: Directives = MappingProxyType({})
# A quoted string that never closes runs to the end and leaves the group empty, so a text is read once, whatever it is.
_COMMA_OR_QUOTED = re.compile(rb',|"(?:[^"\\]|\\.)*+("?)', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_EXACT = frozenset({b"authorization", b"cookie"})
# In an entity tag a backslash escapes nothing (RFC 9110, 8.8.3).
_OPAQUE = re.compile(rb'"[^"]*"')

_MONTHS = {name: at for at, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_DAY, _CLOCK = rb"[a-z]{3,9}", rb"(\d\d):(\d\d):(\d\d)"
_FIXDATE = re.compile(_DAY + rb", (\d\d) ([a-z]{3}) (\d{4}) " + _CLOCK + rb" gmt")
_RFC_850 = re.compile(_DAY + rb", (\d\d)-([a-z]{3})-(\d\d) " + _CLOCK + rb" gmt")
_ASCTIME = re.compile(_DAY + rb" ([a-z]{3}) ([ \d]\d) " + _CLOCK + rb" (\d{4})")


def split_list(value: bytes) -> list[bytes]:
    """The members of a comma-separated list; commas in quoted strings do not count."""
    if b'"' not in value:
        return value.split(b",")
    members, start = [], 0
    for found in _COMMA_OR_QUOTED.finditer(value):
        if found[0] == b",":
            members.append(value[start : found.start()])
            start = found.end()
        elif not found[1]:
            # The quote never closes: it may not hide a no-store, so from here on quotes mean nothing.
            return members + value[start:].split(b",")
    members.append(value[start:])
    return members


@lru_cache(maxsize=512)
def _read(value: bytes) -> Directives:
    """One joined field of directives; apps say the same few again and again."""
    said: dict[bytes, bytes | None] = {}
    for member in split_list(value):
        name, equals, argument = member.partition(b"=")
        spaced = name.rstrip(b" \t") != name
        name = name.strip(b" \t").lower()
        if not name:
            continue
        # `max-age =60` is malformed: it counts as given, with an argument that cannot be read.
        given = None if not equals else b"" if spaced else _unquoted(argument.rstrip(b" \t"))
        said[name] = _stricter(said[name], given) if name in said else given
    return MappingProxyType(said)


def directives(values: Iterable[bytes]) -> Directives:
    """Cache-Control, its lines joined: names in lower case, to their arguments (None: none was given).

    Of a number given twice the smaller counts, and one that cannot be read counts as 0 (RFC 9111, 4.2.1).
    """
    value = b",".join(values)
    return _read(value) if value else _NOTHING


def _unquoted(argument: bytes) -> bytes:
    if len(argument) > 1 and argument[:1] == b'"' == argument[-1:]:
        return _ESCAPED.sub(rb"\1", argument[1:-1])
    return argument


def _stricter(one: bytes | None, other: bytes | None) -> bytes | None:
    """Of two arguments of one directive: none at all is the widest form of no-cache and private, else the less."""
    if one is None or other is None:
        return None
    return one if (seconds(one) or 0) <= (seconds(other) or 0) else other


def seconds(argument: bytes | None) -> int | None:
    """Delta-seconds, at most `CEILING`; None for what is no such number."""
    if not argument or not argument.isdigit():
        return None
    return min(int(argument), CEILING) if len(argument) <= len("2147483648") else _capped(argument)


def _capped(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return min(int(digits or b"0"), CEILING) if len(digits) <= len("2147483648") else CEILING


def age_said(values: Iterable[bytes]) -> int:
    """The age an answer says it has: the largest of several, 0 for what is no number."""
    return max((seconds(member.strip(b" \t")) or 0 for value in values for member in value.split(b",")), default=0)


def names(values: Iterable[bytes]) -> list[bytes]:
    """The members of a list of field names (Vary, Connection): in lower case, each once, in order."""
    found = [member.strip(b" \t").lower() for value in values for member in value.split(b",")]
    return [name for name in dict.fromkeys(found) if name]


def etag_in(etag: bytes, values: Iterable[bytes]) -> bool:
    """Whether If-None-Match names the tag, by the weak comparison (RFC 9110, 8.8.3.2); `*` names any."""
    value = b",".join(values).strip(b" \t")
    if value == b"*":
        return True
    if not etag:
        return False
    opaque = etag.removeprefix(b"W/")
    return value.removeprefix(b"W/") == opaque or opaque in _OPAQUE.findall(value)


def field(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Every value of a header."""
    return [value for called, value in headers if called == name]


def lowered(headers: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """An app's headers with names in lower case: not every app keeps to that, and no Set-Cookie may be overlooked."""
    for name, _ in headers:
        if not name.islower():
            return [(name.lower(), value) for name, value in headers]
    return headers


def selecting(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """A request header as Vary compares it: lines joined, blanks around commas gone; None when it is not there.

    What tells callers apart is compared byte by byte.
    """
    value = None
    for called, said in headers:
        if called == name:
            value = said if value is None else value + b"," + said
    if value is None:
        return None
    return value.strip(b" \t") if b"," not in value or name in _EXACT else _spaced_alike(value)


@lru_cache(maxsize=512)
def _spaced_alike(value: bytes) -> bytes:
    """Clients say the same few values of Accept and its kin again and again."""
    return b",".join(member.strip(b" \t") for member in split_list(value))


def http_date(value: bytes | None, now: float) -> int | None:
    """Seconds since 1970 of a date in one of HTTP's three forms (RFC 9110, 5.6.7); None for anything else.

    `now` tells the century of a year of two digits: more than 50 years ahead is the past.
    """
    text = (value or b"").strip(b" \t").lower()
    if found := _FIXDATE.fullmatch(text):
        day, month, year, *clock = found.groups()
        return _stamp(int(year), month, day, clock)
    if found := _RFC_850.fullmatch(text):
        day, month, year, *clock = found.groups()
        this_year = 1970 + int(now // 31_556_952)
        full = int(year) + this_year // 100 * 100
        return _stamp(full - 100 if full > this_year + 50 else full, month, day, clock)
    if found := _ASCTIME.fullmatch(text):
        month, day, *clock, year = found.groups()
        return _stamp(int(year), month, day, clock)
    return None


def _stamp(year: int, month: bytes, day: bytes, clock: list[bytes]) -> int | None:
    hour, minute, second = map(int, clock)
    if month not in _MONTHS or hour > 23 or minute > 59 or second > 60:
        return None
    try:
        date(year, _MONTHS[month], int(day))
    except ValueError:
        return None
    return timegm((year, _MONTHS[month], int(day), hour, minute, second))
