"""`fastcascade console`: who may see the console."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from consoles import CHEAP
from fastcascade.cli import main
from fastcascade.console import people_file
from fastcascade.console.people_file import PeopleFile

OWN = "correct horse battery"
RUN = "import sys; from fastcascade.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hashes that take no time, in a folder of its own."""
    monkeypatch.setattr(people_file, "COST", CHEAP)
    monkeypatch.chdir(tmp_path)


def test_a_password_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    """`add` prints the password alone on stdout, `list` shows who there is without it, `remove` takes them out."""
    assert main(["console", "add", "ada"]) == 0
    out, err = capsys.readouterr()
    secret = out.strip()
    assert len(secret) == 34
    assert secret not in err
    assert "ada, an operator, is in console.json" in err
    assert PeopleFile("console.json").find("ada").fits(secret)
    assert main(["console", "add", "rex", "--role", "reviewer", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["name"], made["role"]) == ("rex", "reviewer")
    assert main(["console", "list"]) == 0
    listed = capsys.readouterr().out
    assert "ada   operator" in listed
    assert "rex   reviewer" in listed
    assert secret not in listed
    assert main(["console", "remove", "ada"]) == 0
    assert main(["console", "list", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out.splitlines()[-1])] == ["rex"]


def test_another_password_and_role(capsys: pytest.CaptureFixture[str]) -> None:
    """`password` makes another, after which the first is none; `role` changes what they may see."""
    main(["console", "add", "ada"])
    first = capsys.readouterr().out.strip()
    assert main(["console", "password", "ada"]) == 0
    second = capsys.readouterr().out.strip()
    assert main(["console", "role", "ada", "reviewer"]) == 0
    record = PeopleFile("console.json").find("ada")
    assert (record.fits(first), record.fits(second), record.role) == (False, True, "reviewer")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["add", "ada"], "somebody named 'ada' already"),
        (["remove", "eve"], "nobody named 'eve'"),
        (["password", "eve", "--own"], "nobody named 'eve'"),
        (["role", "eve", "reviewer"], "nobody named 'eve'"),
        (["add", "bad\x1b[2J"], "a name has 1 to 64 letters"),
        (["add", "eve", "--own"], "at a terminal"),
        (["add", "eve", "--file", "nowhere/console.json"], "nowhere/console.json: cannot be written"),
        (["list", "--config", "nowhere.toml"], "nowhere.toml: cannot be read"),
    ],
)
def test_mistakes_are_told(capsys: pytest.CaptureFixture[str], command: list[str], said: str) -> None:
    """What cannot be done is said in a line, with exit code 2."""
    main(["console", "add", "ada"])
    capsys.readouterr()
    assert main(["console", *command]) == 2
    assert said in capsys.readouterr().err


def test_the_cascades_file_names_that_of_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --config it is the file that is named there, from where that lies."""
    (tmp_path / "deep").mkdir()
    config = tmp_path / "deep" / "cascade.toml"
    config.write_text('[gateway.console]\npeople = "who.json"\n', encoding="utf-8")
    assert main(["console", "add", "ada", "--config", str(config)]) == 0
    assert PeopleFile(tmp_path / "deep" / "who.json").find("ada").role == "operator"
    config.write_text("gateway = 1\n", encoding="utf-8")
    assert main(["console", "list", "--config", str(config)]) == 0
    assert "has nobody" in capsys.readouterr().out


@pytest.mark.parametrize(("typed", "code"), [((OWN, OWN), 0), ((OWN, OWN + "x"), 2), (("short", "short"), 2)])
def test_a_password_of_ones_own_is_typed_unseen(tmp_path: Path, typed: tuple[str, str], code: int) -> None:
    """It is asked for twice at the terminal, which does not show it; it is on no command line and in no output."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", RUN, "console", "add", "ada", "--own"]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, start_new_session=True
    )
    os.close(theirs)
    shown = b""
    for prompt, each in zip((b"password: ", b"once more: "), typed, strict=True):
        while prompt not in shown:
            shown += os.read(ours, 1_000)
        os.write(ours, each.encode() + b"\n")
    try:
        while more := os.read(ours, 1_000):
            shown += more
    except OSError:  # how a terminal says that nobody is there any more
        pass
    os.close(ours)
    assert process.wait(60) == code
    assert OWN.encode() not in shown
    assert (tmp_path / "console.json").exists() is (code == 0)
    if code == 0:
        assert PeopleFile(tmp_path / "console.json").find("ada").fits(OWN)
