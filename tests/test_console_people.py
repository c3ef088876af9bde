"""People of the console: how credentials are made, typed and kept, and how a gateway follows their file."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consoles import CHEAP
from fastcascade.console.people import People
from fastcascade.console.people_file import PeopleFile
from fastcascade.console.people_record import COST, Cost, PersonRecord, new_secret
from fastcascade.errors import ConfigError
from fastcascade.notices import Notice

ADD = """
import sys
from fastcascade.console.people_file import PeopleFile
from fastcascade.console.people_record import Cost
for turn in range(10):
    PeopleFile(sys.argv[1], cost=Cost(1024, 8, 1)).add(f"{sys.argv[2]}{turn}")
"""
OWN = "correct horse battery"


def file_of(folder: Path, **more: Any) -> PeopleFile:
    """A file of people whose hashes are cheap."""
    return PeopleFile(folder / "console.json", **{"cost": CHEAP, **more})


# Credentials.


def test_made_credentials_are_long_and_forgiving(tmp_path: Path) -> None:
    """What is made has 140 random bits, and may be typed in capitals, without dashes, with letters that look alike."""
    file = file_of(tmp_path)
    record, secret = file.add("ada")
    assert len(set(secret) - {"-"} & set("ilou")) == 0
    assert len(secret.replace("-", "")) == 28
    assert secret != new_secret()
    alike = secret.replace("0", "O").replace("1", "l")
    for typed in (secret, secret.upper(), secret.replace("-", ""), f" {secret} ", alike, secret.replace("-", " ")):
        assert record.fits(typed)
    for typed in ("", secret[:-1], secret + "0", secret[::-1]):
        assert not record.fits(typed)


def test_own_passwords_are_taken_as_they_are(tmp_path: Path) -> None:
    """A password of one's own counts letter by letter, however the keyboard composes them."""
    record, _ = file_of(tmp_path).add("ada", "operator", "Café crème brûlée")
    assert record.fits("Cafe\u0301 cre\u0300me bru\u0302le\u0301e")
    for typed in ("café crème brûlée", "Café-crème-brûlée", "Caf\ud800 crème", "Café crème brûlé"):
        assert not record.fits(typed)


@pytest.mark.parametrize("password", ["", "short", "elevenchars", "x" * 257, "a" * 20, "abababababababab"])
def test_weak_passwords_are_refused(tmp_path: Path, password: str) -> None:
    """Too short, too long, or of a letter or two alone: refused without being said back, and nothing is written."""
    file = file_of(tmp_path)
    with pytest.raises(ConfigError) as refusal:
        file.add("ada", "operator", password)
    assert not password or password not in str(refusal.value)
    assert not file.path.exists()


@pytest.mark.parametrize("name", ["", " ada", "ada\n", "a\x00b", "a\u202eb", "x" * 65, "a\x1b[2Jb", "\ud800"])
def test_names_can_be_shown(tmp_path: Path, name: str) -> None:
    """A name that is empty, too long, or would move the cursor or the direction of a text is refused."""
    with pytest.raises(ConfigError, match="a name has"):
        file_of(tmp_path).add(name)


def test_the_hash_is_strong() -> None:
    """New hashes take 32 MiB and three passes; what is weaker than could be meant, or too dear, is refused."""
    assert (COST.n, COST.r, COST.p) == (32_768, 8, 3)
    for n, r, p in ((512, 8, 1), (1_000, 8, 1), (1024, 4, 1), (1024, 8, 0), (1024, 8, 17), (2**20, 8, 1), (True, 8, 1)):
        with pytest.raises(ConfigError):
            Cost(n, r, p)


@given(st.text(min_size=12, max_size=40).filter(lambda text: len(set(text)) >= 5), st.booleans())
def test_what_is_written_is_read(password: str, made: bool) -> None:
    """A record that was written as JSON is read as it was, and fits what it fitted."""
    salt = b"0123456789abcdef"
    record = PersonRecord("ada", "reviewer", "id", CHEAP, salt, CHEAP.hash(password, salt), made, 5.0)
    assert PersonRecord.read(json.loads(json.dumps(record.written()))) == record
    assert str(password) not in json.dumps(record.written())


# The file.


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    """It is readable by its owner alone, holds no credential, and is no more when nobody is in it than it was."""
    file = file_of(tmp_path)
    secrets = [file.add("ada")[1], file.add("rex", "reviewer", OWN)[1]]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert all(each not in file.path.read_text(encoding="utf-8") for each in secrets)
    assert [(each.name, each.role, each.made) for each in file.read()] == [
        ("ada", "operator", True),
        ("rex", "reviewer", False),
    ]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["console.json", "console.json.lock"]


def test_people_come_and_go(tmp_path: Path) -> None:
    """A name is there once; a change makes another id; who is not there cannot be changed or removed."""
    file = file_of(tmp_path)
    first = file.add("ada")[0]
    with pytest.raises(ConfigError, match="somebody named 'ada' already"):
        file.add("ada")
    second = file.set_password("ada")[0]
    third = file.set_role("ada", "reviewer")
    assert len({first.id, second.id, third.id}) == 3
    assert (third.hash, third.role, second.role) == (second.hash, "reviewer", "operator")
    file.remove("ada")
    assert file.read() == []
    for change in (
        lambda: file.remove("ada"),
        lambda: file.set_password("ada"),
        lambda: file.set_role("ada", "operator"),
    ):
        with pytest.raises(ConfigError, match="nobody named 'ada'"):
            change()


def test_processes_take_turns(tmp_path: Path) -> None:
    """Of what several processes write at once, nothing is lost."""
    path = tmp_path / "console.json"
    runs = [subprocess.Popen([sys.executable, "-c", ADD, str(path), name]) for name in ("a", "b")]
    assert [each.wait(60) for each in runs] == [0, 0]
    assert len(PeopleFile(path).read()) == 20


GOOD = PersonRecord("ada", "operator", "id", CHEAP, b"0" * 16, b"0" * 32, True, 0.0).written()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"people": 1}',
        '{"people": [1]}',
        "[" * 100_000,
        *(
            json.dumps({"people": [GOOD | change]})
            for change in (
                {"name": 1},
                {"role": "owner"},
                {"role": ["operator"]},
                {"scrypt": [2**30, 8, 1]},
                {"scrypt": [1024, 8]},
                {"scrypt": 1},
                {"salt": "00"},
                {"hash": "zz"},
                {"hash": 1},
                {"id": ""},
                {"made": 1},
                {"created": "then"},
                {"created": 10**400},
            )
        ),
        json.dumps({"people": [GOOD, GOOD]}),
        json.dumps({"people": [{name: value for name, value in GOOD.items() if name != "hash"}]}),
    ],
)
def test_what_is_no_file_of_people_is_refused(tmp_path: Path, text: str) -> None:
    """A file that is none of people, or has a record that is not whole, is refused by name and not written over."""
    path = tmp_path / "console.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"console\.json"):
        PeopleFile(path, cost=CHEAP).add("eve")
    assert path.read_text(encoding="utf-8") == text


# In use.


def test_without_people_there_is_no_console(tmp_path: Path) -> None:
    """Where nobody may see it, it is said how to let somebody in."""
    with pytest.raises(ConfigError, match="fastcascade console add NAME"):
        People(file_of(tmp_path))


def test_changes_are_followed(tmp_path: Path) -> None:
    """Who is added can log in after the next look, and who is removed cannot."""
    file = file_of(tmp_path)
    ada = file.add("ada")[1]
    people = People(file)
    assert not people.look()
    rex = file.add("rex", "reviewer")[1]
    assert people.check("rex", rex) is None
    assert people.look()
    found = people.check("rex", rex)
    assert found is not None
    assert found.role == "reviewer"
    file.remove("ada")
    assert people.look()
    assert people.check("ada", ada) is None


def test_a_broken_file_changes_nothing(tmp_path: Path, heard: list[Notice]) -> None:
    """While the file is broken or gone those known before can still log in; that is told once, without a secret."""
    file = file_of(tmp_path)
    secret = file.add("ada")[1]
    people, whole = People(file), file.path.read_bytes()
    for damage in (lambda: file.path.write_text("{", encoding="utf-8"), file.path.unlink):
        heard.clear()
        damage()
        assert [people.look(), people.look()] == [False, False]
        assert people.check("ada", secret) is not None
        assert [each.kind for each in heard] == ["store off"]
        assert "console.json" in heard[0].about
        assert secret not in heard[0].text
    file.path.write_bytes(whole.replace(b'"ada"', b'"eve"'))
    assert people.look()
    assert people.check("eve", secret) is not None
    assert people.check("ada", secret) is None


def test_hashes_are_made_anew_when_they_are_to_cost_more(tmp_path: Path) -> None:
    """A login under a higher cost leaves its hash in the file, and the id as it was; a lower one changes nothing."""
    secret = file_of(tmp_path).add("ada")[1]
    dearer = file_of(tmp_path, cost=Cost(2048, 8, 1))
    people = People(dearer)
    before = dearer.find("ada")
    assert people.check("ada", "wrong") is None
    assert dearer.find("ada") == before
    assert people.check("ada", secret) == before
    after = dearer.find("ada")
    assert (after.cost, after.id) == (Cost(2048, 8, 1), before.id)
    assert after.salt != before.salt
    assert after.fits(secret)
    assert People(file_of(tmp_path)).check("ada", secret) == after
    assert dearer.find("ada") == after


def test_a_file_that_cannot_be_written_lets_people_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the gateway may only read the file, the old hash does as well."""
    secret = file_of(tmp_path).add("ada")[1]
    dearer = file_of(tmp_path, cost=Cost(2048, 8, 1))

    def refused(_said: object) -> None:
        raise ConfigError("console.json: cannot be written")

    monkeypatch.setattr(dearer, "replace", refused)
    assert People(dearer).check("ada", secret) is not None
