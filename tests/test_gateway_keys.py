"""Keys of the gateway: how they are made, written and kept."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.gateway.key_store import KeyFile, Keys, Listed
from fastcascade.gateway.keys import KeyRecord, digest_of, expiry_of, new_key, new_secret, quota_of, well_formed
from fastcascade.notices import Notice

NOW = 1_800_000_000.0
PATH = "/v1/chat/completions"
MAKE = """
import sys
from fastcascade.gateway.key_store import KeyFile
for turn in range(10):
    KeyFile(sys.argv[1]).create(f"{sys.argv[2]}{turn}")
"""


# Secrets and records.


@given(st.integers(0, 52), st.characters(codec="ascii"))
def test_a_mistyped_secret_is_told_apart(place: int, letter: str) -> None:
    """Whatever letter of a secret is changed or left out, it is no secret of ours; and none is like another."""
    secret = new_secret()
    changed = secret[:place] + letter + secret[place + 1 :]
    assert well_formed(secret)
    assert well_formed(changed) == (changed == secret)
    assert not well_formed(secret[:place] + secret[place + 1 :])
    assert secret != new_secret()


RECORDS = st.builds(
    KeyRecord,
    id=st.from_regex(r"key_[0-9a-f]{6}", fullmatch=True),
    name=st.from_regex(r"[a-zA-Z][a-z -]{0,9}[a-z]", fullmatch=True),
    digest=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    tenant=st.text(max_size=5),
    scopes=st.lists(st.text(min_size=1, max_size=5), max_size=2).map(tuple),
    models=st.none() | st.lists(st.text(min_size=1, max_size=5), max_size=2).map(tuple),
    routes=st.none() | st.just(("/v1/messages",)) | st.just(()),
    limit=st.sampled_from(["", "100/min", "5/s burst 20"]),
    tokens_per_minute=st.none() | st.integers(1, 10**9),
    budget_day=st.none() | st.floats(0.001, 1e6),
    fields=st.sampled_from([{}, {"customer": "acme", "priority": 3}]),
    created=st.integers(0, 4_000_000_000).map(float),
    expires=st.none() | st.integers(0, 4_000_000_000).map(float),
    revoked=st.none() | st.integers(0, 4_000_000_000).map(float),
    admin=st.booleans(),
)


@given(RECORDS)
def test_what_is_written_is_read(record: KeyRecord) -> None:
    """A key that was written as JSON is read as it was."""
    assert KeyRecord.read(json.loads(json.dumps(record.written()))) == record


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"limt": "1/s"}, "there is no 'limt'; did you mean 'limit'?"),
        ({"limit": "many"}, "limit 'many' cannot be read"),
        ({"limit": "0/s"}, "limit '0/s'"),
        ({"budget_day": -1}, "budget_day must be a number above 0"),
        ({"budget_day": True}, "budget_day must be a number above 0"),
        ({"budget_day": 10**400}, "budget_day must be a number above 0"),
        ({"tokens_per_minute": 1.5}, "tokens_per_minute must be a whole number"),
        ({"models": "all"}, "models must be a list of texts"),
        ({"fields": {"messages": "x"}}, "fields cannot set 'messages'"),
        ({"fields": {"priority": "high"}}, "priority must be a number"),
        ({"admin": "yes"}, "admin must be true or false"),
        ({"expires": "soon"}, "'soon' is no time"),
        ({"name": "two\nlines"}, "must be 1 to 100 letters on one line"),
        ({"digest": "fck_not-hashed"}, "digest must be a SHA-256 in hex"),
    ],
)
def test_a_record_that_cannot_work_is_refused(more: dict[str, Any], said: str) -> None:
    """What is wrong with a key is said, with its name and the field, and never what was given as its digest."""
    with pytest.raises(ConfigError) as caught:
        KeyRecord.read({"id": "k", "name": "n", "digest": digest_of("x"), **more})
    assert said in str(caught.value)
    assert "fck_not-hashed" not in str(caught.value)


def test_limits_and_times_are_read() -> None:
    """Limits and times are read in the ways that people write them."""
    quotas = [quota_of(text) for text in ("100/min burst 20", "5 per second", "1000/d, burst 7", "")]
    assert [each and (each.n, each.per, each.burst) for each in quotas] == [
        (100.0, 60.0, 20.0),
        (5.0, 1.0, 5.0),
        (1000.0, 86_400.0, 7.0),
        None,
    ]
    assert expiry_of("90d", NOW) == NOW + 90 * 86_400
    assert expiry_of("2027-01-31", NOW) == expiry_of("2027-01-31T00:00:00Z", NOW)
    with pytest.raises(ConfigError, match="is over already"):
        expiry_of("2020-01-01", NOW)


# The file.


def test_no_secret_is_kept(tmp_path: Path) -> None:
    """The file has no secret, only its owner may read it, and neither a record nor a list shows a digest."""
    file = KeyFile(tmp_path / "keys.json")
    record, secret = file.create("ci", tenant="acme")
    text = file.path.read_text(encoding="utf-8")
    assert secret not in text
    assert secret[4:20] not in text
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert record.digest not in repr(record)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["keys.json", "keys.json.lock"]
    found = Listed(file.read()).find(secret)
    assert found == record


def test_names_are_of_one_key_that_works(tmp_path: Path) -> None:
    """A name is taken while its key works, and free once that was revoked; who is revoked is so once."""
    file = KeyFile(tmp_path / "keys.json")
    first, _ = file.create("ci")
    with pytest.raises(ConfigError, match="there is a key named 'ci'"):
        file.create("ci")
    assert file.revoke("ci").id == first.id
    second, _ = file.create("ci")
    assert file.revoke(second.id).id == second.id
    with pytest.raises(ConfigError, match="the key 'ci' was revoked already"):
        file.revoke("ci")
    with pytest.raises(ConfigError, match="the key 'cd' is not there"):
        file.revoke("cd")


def test_processes_change_it_together(tmp_path: Path) -> None:
    """Of keys that two processes make at once, in one file, none is lost."""
    path = tmp_path / "keys.json"
    makers = [subprocess.Popen([sys.executable, "-c", MAKE, str(path), name]) for name in "ab"]
    assert [each.wait() for each in makers] == [0, 0]
    assert {each.name for each in KeyFile(path).read()} == {f"{name}{turn}" for name in "ab" for turn in range(10)}


def test_what_stands_beside_the_keys_is_kept(tmp_path: Path) -> None:
    """A change leaves what else is in the file."""
    path = tmp_path / "keys.json"
    path.write_text('{"comment": "ours", "keys": []}', encoding="utf-8")
    KeyFile(path).create("ci")
    assert json.loads(path.read_text(encoding="utf-8"))["comment"] == "ours"


def test_a_broken_file_leaves_the_old_keys(tmp_path: Path, heard: list[Notice]) -> None:
    """While the file is broken or gone, the keys that were known work on, and somebody hears of it."""
    file = KeyFile(tmp_path / "keys.json")
    _, secret = file.create("ci")
    keys = Keys(file)
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:-20])
    assert not keys.look()
    assert keys.listed.find(secret) is not None
    file.path.unlink()
    assert not keys.look()
    assert keys.listed.find(secret) is not None
    assert [each.kind for each in heard] == ["store off", "store off"]
    assert all(secret not in each.text and "keys.json" in each.about + each.text for each in heard)
    file.path.write_bytes(whole.replace(b'"ci"', b'"cd"'))
    assert keys.look()
    found = keys.listed.find(secret)
    assert found is not None
    assert found.name == "cd"


def test_what_could_not_be_read_is_read_once_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[Notice]
) -> None:
    """A change that could not be read, for want of descriptors or of rights, is seen when that is over; told once."""
    file = KeyFile(tmp_path / "keys.json")
    _, secret = file.create("ci")
    keys = Keys(file)
    file.revoke("ci")

    def short(_file: KeyFile) -> list[KeyRecord]:
        raise ConfigError("too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(KeyFile, "read", short)
        assert [keys.look(), keys.look()] == [False, False]
    assert len(heard) == 1
    assert keys.look()
    found = keys.listed.find(secret)
    assert found is not None
    assert found.revoked is not None
    assert not keys.look()


def test_a_change_keeps_who_may_read(tmp_path: Path) -> None:
    """Rights that the operator gave the file, to the gateway's group such as it is, are those of the next one."""
    file = KeyFile(tmp_path / "keys.json")
    file.create("ci")
    seen = file.stamp()
    file.path.chmod(0o640)
    assert file.stamp() != seen
    file.create("cd")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640


@pytest.mark.parametrize("text", ["", "[]", '{"keys": 1}', '{"keys": [1]}', "[" * 100_000, '{"keys": [{"id": "a"}]}'])
def test_what_is_no_file_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    """A file that is none of keys is refused by name, and is not written over."""
    path = tmp_path / "keys.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"keys\.json"):
        KeyFile(path).create("ci")
    assert path.read_text(encoding="utf-8") == text


def test_a_gateway_without_keys_does_not_begin(tmp_path: Path) -> None:
    """Where there is no file of keys, it is said how to make one."""
    with pytest.raises(ConfigError, match="fastcascade keys create"):
        Keys(KeyFile(tmp_path / "keys.json"))


def test_new_keys_of_admins_open_no_models() -> None:
    """An admin key that names no models has none."""
    assert new_key("root", NOW, admin=True)[0].models == ()
    assert new_key("root", NOW, admin=True, models=("chat",))[0].models == ("chat",)
