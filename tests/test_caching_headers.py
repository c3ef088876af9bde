"""Reading of headers for the HTTP cache: well-formed text as the RFCs have it, and any bytes at all without harm."""

from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastcascade.caching.http_headers import (
    CEILING,
    age_said,
    directives,
    etag_in,
    http_date,
    names,
    seconds,
    selecting,
    split_list,
)

NOW = 1_700_000_000.0
JUNK = st.lists(
    st.sampled_from([b'"', b"\\", b",", b"=", b" ", b"no-store", b"max-age", b"60", b"\xff", b"W/", b"*"])
).map(b"".join) | st.binary(max_size=60)
TOKEN = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map(str.encode)
QUOTABLE = st.binary(max_size=12)

DIRECTIVES: list[tuple[list[bytes], dict[bytes, bytes | None]]] = [
    ([], {}),
    ([b""], {}),
    ([b"no-store"], {b"no-store": None}),
    ([b" No-Store ,, MAX-AGE=60 "], {b"no-store": None, b"max-age": b"60"}),
    ([b"public", b"max-age=60"], {b"public": None, b"max-age": b"60"}),
    ([b'max-age="60"'], {b"max-age": b"60"}),
    ([b"max-age='60'"], {b"max-age": b"'60'"}),
    ([b'ext="max-age=3600", max-age=1'], {b"ext": b"max-age=3600", b"max-age": b"1"}),
    ([b'max-age=1, ext="max-age=3600"'], {b"ext": b"max-age=3600", b"max-age": b"1"}),
    ([b'ext="a\\"b, no-store", public'], {b"ext": b'a"b, no-store', b"public": None}),
    ([b'ext="open, no-store'], {b"ext": b'"open', b"no-store": None}),
    ([b'no-cache="set-cookie, x"'], {b"no-cache": b"set-cookie, x"}),
    ([b'no-cache, no-cache="x"'], {b"no-cache": None}),
    ([b"max-age=1800, max-age=1"], {b"max-age": b"1"}),
    ([b"max-age=1", b"max-age=1800"], {b"max-age": b"1"}),
    ([b"max-age=junk, max-age=60"], {b"max-age": b"junk"}),
    ([b"max-age =60"], {b"max-age": b""}),
    ([b"max-age= 60"], {b"max-age": b" 60"}),
    ([b"=60, ="], {}),
]


@pytest.mark.parametrize(("lines", "said"), DIRECTIVES)
def test_directives(lines: list[bytes], said: dict[bytes, bytes | None]) -> None:
    """RFC 9111, 5.2: lines are joined, names have no case, quotes hide commas, the less of two numbers counts."""
    assert dict(directives(lines)) == said


@given(st.lists(st.tuples(TOKEN, st.none() | QUOTABLE), unique_by=lambda pair: pair[0]))
def test_directives_read_what_was_written(said: list[tuple[bytes, bytes | None]]) -> None:
    """Whatever is written as token or quoted string is read back the same."""
    written = [
        name if value is None else name + b'="' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        for name, value in said
    ]
    assert dict(directives([b", ".join(written)])) == dict(said)


@given(JUNK)
@example(b'"' * 2000)
@example(b'"\\' * 2000)
def test_junk_is_read_without_harm(junk: bytes) -> None:
    """No bytes make a reader raise, and a restriction on a line of its own counts before any junk."""
    split_list(junk)
    http_date(junk, NOW)
    etag_in(b'"x"', [junk])
    etag_in(junk, [b'"x"'])
    assert 0 <= age_said([junk]) <= CEILING
    assert all(name == name.strip(b" \t").lower() for name in names([junk]))
    selecting([(b"a", junk)], b"a")
    assert b"no-store" in directives([b"no-store", junk])


@given(st.lists(st.sampled_from([b"a", b'"x,y"', b'"\\""', b" "]), min_size=1))
def test_lists_are_split_at_commas_outside_quotes(members: list[bytes]) -> None:
    """A list of tokens and quoted strings has the members it was joined from."""
    assert split_list(b",".join(members)) == members


SECONDS = [
    (b"0", 0),
    (b"60", 60),
    (b"003600", 3600),
    (b"2147483648", CEILING),
    (b"99999999999", CEILING),
    (b"9" * 5000, CEILING),
    (b"0" * 5000 + b"7", 7),
    (None, None),
    (b"", None),
    (b"-1", None),
    (b"+1", None),
    (b"1.0", None),
    (b"1_0", None),
    (b" 1", None),
    (b"3600a", None),
    ("٣".encode(), None),
]


@pytest.mark.parametrize(("said", "read"), SECONDS)
def test_seconds(said: bytes | None, read: int | None) -> None:
    """RFC 9111, 1.2.2: digits alone are a number, and no number is beyond 2^31."""
    assert seconds(said) == read


AGES = [
    ([], 0),
    ([b"30"], 30),
    ([b"abc"], 0),
    ([b"-5"], 0),
    ([b"0, 7200"], 7200),
    ([b"7200", b"0"], 7200),
    ([b"1.5"], 0),
]


@pytest.mark.parametrize(("said", "read"), AGES)
def test_age(said: list[bytes], read: int) -> None:
    """RFC 9111, 5.1: junk is ignored, and of several ages the largest counts."""
    assert age_said(said) == read


DATES = [
    (b"Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
    (b"Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
    (b"Sun Nov  6 08:49:37 1994", 784111777),
    (b"sun, 06 NOV 1994 08:49:37 gmt", 784111777),
    (b"Friday, 18-Nov-50 00:00:00 GMT", 2552342400),
    (b"Sun, 06 Nov 1994 08:49:37 UTC", None),
    (b"Sun 06 Nov 1994 08:49:37 GMT", None),
    (b"Sun, 06  Nov  1994 08:49:37 GMT", None),
    (b"Sun, 06-Nov-1994 08:49:37 GMT", None),
    (b"Sun, 06 Nov 94 08:49:37 GMT", None),
    (b"Sun, 06 Nov 1994 08.49.37 GMT", None),
    (b"Sun, 06 Nov 1994 8:49:37 GMT", None),
    (b"Sun, 31 Feb 1994 08:49:37 GMT", None),
    (b"Sun, 06 Nov 0000 08:49:37 GMT", None),
    (b"Sun, 06 Nov 1994 24:49:37 GMT", None),
    (b"Sun, 06 Foo 1994 08:49:37 GMT", None),
    (b"0", None),
    (b"", None),
    (None, None),
]


@pytest.mark.parametrize(("said", "read"), DATES)
def test_date(said: bytes | None, read: int | None) -> None:
    """RFC 9110, 5.6.7: the three forms are read, without regard to case, and nothing that merely looks like them."""
    assert http_date(said, NOW) == read


@given(st.integers(0, 4_000_000_000))
def test_dates_read_what_was_written(at: int) -> None:
    """What the standard library writes as an HTTP date is read as the same second, in both full forms."""
    assert http_date(formatdate(at, usegmt=True).encode(), NOW) == at
    moment = datetime.fromtimestamp(at, UTC)
    assert http_date(format_datetime(moment, usegmt=True).encode(), NOW) == at
    assert http_date(moment.strftime("%a %b %e %H:%M:%S %Y").encode(), NOW) == at


ETAGS: list[tuple[bytes, list[bytes], bool]] = [
    (b'"a"', [b'"a"'], True),
    (b'W/"a"', [b'"a"'], True),
    (b'"a"', [b'W/"a"'], True),
    (b'"a"', [b'"b", W/"a"'], True),
    (b'"a"', [b'"b"', b'"a"'], True),
    (b'"a,b"', [b'"x", "a,b"'], True),
    (b'"a\\"', [b'"a\\", "b"'], True),
    (b'"a"', [b'"b"'], False),
    (b'"a"', [b'"A"'], False),
    (b'"a"', [b"a"], False),
    (b"a", [b"a"], True),
    (b'"a"', [b"*"], True),
    (b"", [b"*"], True),
    (b"", [b'""'], False),
    (b'""', [b'""'], True),
]


@pytest.mark.parametrize(("etag", "asked", "found"), ETAGS)
def test_if_none_match(etag: bytes, asked: list[bytes], found: bool) -> None:
    """RFC 9110, 13.1.2: the weak comparison, over lists on any number of lines."""
    assert etag_in(etag, asked) is found


SELECTING: list[tuple[bytes, list[tuple[bytes, bytes]], bytes | None]] = [
    (b"a", [], None),
    (b"a", [(b"a", b"")], b""),
    (b"a", [(b"a", b" 1, 2 ")], b"1,2"),
    (b"a", [(b"a", b"1"), (b"b", b"x"), (b"a", b"2")], b"1,2"),
    (b"a", [(b"a", b'"1, 2"')], b'"1, 2"'),
    (b"cookie", [(b"cookie", b'a="1, 2"; b=1 , c')], b'a="1, 2"; b=1 , c'),
]


@pytest.mark.parametrize(("name", "headers", "value"), SELECTING)
def test_selecting(name: bytes, headers: list[tuple[bytes, bytes]], value: bytes | None) -> None:
    """RFC 9111, 4.1: lines and blanks between members make no difference, but in what tells callers apart."""
    assert selecting(headers, name) == value
