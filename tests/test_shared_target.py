"""URLs of Redis: what is in them is found, what is wrong is said, and nothing of them is shown."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.shared import Shared, Target

SECRET: Final = "open-sesame-4711"

GOOD: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("redis://localhost", {"kind": "one", "places": (("localhost", 6379),), "database": 0}, "localhost:6379/0"),
    ("redis://h:1/2", {"places": (("h", 1),), "database": 2}, "h:1/2"),
    ("redis://h?db=3", {"database": 3}, "h:6379/3"),
    ("rediss://:p%40ss@[::1]:7/", {"tls": True, "password": "p@ss", "user": "", "places": (("::1", 7),)}, "[::1]:7/0"),
    ("redis://u:p@h", {"user": "u", "password": "p"}, "h:6379/0"),
    ("unix:///a%20b/c?db=2", {"places": (("/a b/c", 0),), "database": 2}, "/a b/c"),
    ("unix://u:p@/a/b", {"user": "u", "password": "p", "places": (("/a/b", 0),)}, "/a/b"),
    (
        "redis+sentinel://u:p@a:1,b/mymaster/4?sentinel_user=s&sentinel_password=t",
        {
            "kind": "sentinel",
            "places": (("a", 1), ("b", 26379)),
            "service": "mymaster",
            "database": 4,
            "sentinel_user": "s",
            "sentinel_password": "t",
        },
        "a:1,b:26379/mymaster/4",
    ),
    ("rediss+sentinel://a/m", {"tls": True, "kind": "sentinel", "service": "m"}, "a:26379/m/0"),
    (
        "redis+cluster://a:1,b,[::2]",
        {"kind": "cluster", "places": (("a", 1), ("b", 6379), ("::2", 6379))},
        "a:1,b:6379,[::2]:6379",
    ),
    ("rediss+cluster://a?ca=x&cert=y&key=z", {"tls": True, "ca": "x", "cert": "y", "key": "z"}, "a:6379"),
]


@pytest.mark.parametrize(("url", "fields", "where"), GOOD, ids=[each[0] for each in GOOD])
def test_a_url_is_taken_apart(url: str, fields: dict[str, Any], where: str) -> None:
    """Each part of a URL is found, and what it points to is shown without user and password."""
    target = Target.of(url)
    assert {name: getattr(target, name) for name in fields} == fields
    assert target.where == where


BAD: Final = [
    ("", "scheme"),
    ("http://h", "scheme"),
    ("redis://", "lacks a host"),
    ("redis://h:x", "port"),
    ("redis://h:0", "port"),
    ("redis://h:65536", "port"),
    ("redis://[::1", "apart"),
    ("redis://h/x", "number"),
    ("redis://h/1/2", "path"),
    ("redis://a,b", "several hosts"),
    (f"redis://{SECRET}@h", "user:password"),
    (f"redis://{SECRET}:@h", "user without a password"),
    (f"redis://:{SECRET}#@h", "#"),
    (f"redis://h?{SECRET}=1", "an option in it"),
    (f"redis://h?{SECRET}", "apart"),
    ("redis://h?db=1&db=2", "twice"),
    ("redis://h?ca=x", "TLS"),
    ("rediss://h?cert=x", "go together"),
    ("redis://h?sentinel_user=x", "sentinel"),
    ("unix://h/a", "three slashes"),
    ("unix:///", "three slashes"),
    ("redis+sentinel://h", "the name of what it watches"),
    ("redis+sentinel://h/a/b/c", "the name of what it watches"),
    ("redis+cluster://h/1", "no databases"),
    ("redis+cluster://h?db=1", "no databases"),
]


@pytest.mark.parametrize(("url", "says"), BAD, ids=[each[0] for each in BAD])
def test_what_is_wrong_is_said(url: str, says: str) -> None:
    """A URL that cannot be used is the operator's error, which says why and shows nothing of it."""
    with pytest.raises(ConfigError) as caught:
        Shared(url)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


names = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True)
hosts = st.one_of(names, st.ip_addresses(v=6).map(str), st.ip_addresses(v=4).map(str))
secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    scheme=st.sampled_from(["redis", "rediss", "redis+sentinel", "rediss+cluster"]),
    places=st.lists(st.tuples(hosts, st.integers(1, 65_535)), min_size=1, max_size=3),
    user=st.one_of(st.just(""), secrets),
    password=secrets,
    database=st.integers(0, 99),
    service=names,
)
def test_what_was_put_in_comes_out(
    scheme: str, places: list[tuple[str, int]], user: str, password: str, database: int, service: str
) -> None:
    """Whatever a URL was made of is what it is taken apart into, and its repr has no password."""
    if "+" not in scheme:
        places = places[:1]
    written = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in places)
    path = {"cluster": "", "sentinel": f"/{service}/{database}"}.get(scheme.partition("+")[2], f"/{database}")
    target = Target.of(f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{written}{path}")
    assert target.places == tuple(places)
    assert (target.user, target.password) == (user, password)
    assert target.database == (0 if scheme.endswith("cluster") else database)
    assert target.service == (service if scheme.endswith("sentinel") else "")
    assert Target.of(f"{scheme}://:{SECRET}@{written}{path}").where == target.where
    assert SECRET not in repr(Target.of(f"{scheme}://:{SECRET}@{written}{path}"))


@given(st.one_of(st.text(), st.text().map(lambda text: f"redis+sentinel://{text}"), st.text().map("redis://{}".format)))
def test_any_text_is_taken_or_refused(text: str) -> None:
    """No text at all is anything but a target or a `ConfigError`."""
    with suppress(ConfigError):
        Target.of(text)


def test_certificates_are_read_at_once(tmp_path: Path) -> None:
    """Files that cannot be read are found when it is built, by name."""
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    Shared(f"rediss://h?ca={ca}")
    for option, says in (
        (f"ca={tmp_path}/none.pem", "none.pem"),
        (f"ca={empty}", "empty.pem"),
        (f"ca={ca}&cert={empty}&key={empty}", "empty.pem"),
    ):
        with pytest.raises(ConfigError, match=says):
            Shared(f"rediss://h?{option}")


ALONE: Final = """
import sys
sys.modules["hiredis"] = None
import fastcascade.shared
assert "asyncio" not in sys.modules, "it is loaded when it is used"
from fastcascade.errors import ConfigError
try:
    fastcascade.shared.Shared
except ConfigError as error:
    assert "pip install 'fastcascade[redis]'" in str(error)
else:
    raise AssertionError
"""


def test_what_is_missing_is_named() -> None:
    """The package loads nothing of itself, and without the extra it says what to install."""
    subprocess.run([sys.executable, "-c", ALONE], check=True)
