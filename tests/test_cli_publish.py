"""`fastcascade publish`: what it refuses, what it keeps, and what it tells of what was published."""

import json
import stat
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.cli import COMMANDS, main, serve
from fastcascade.cli.publish_checks import checked
from fastcascade.errors import ConfigError
from fastcascade.gateway.copies import Copies
from redis_server import RedisServer, redis_server

GOOD = """
[[tiers]]
name = "a"
backend = { kind = "openai", model = "m", api_key = "env:OPENAI_API_KEY" }
"""
SECRET = "sk-proj-0123456789abcdef"
REFUSED = {
    "a key in clear": (GOOD.replace("env:OPENAI_API_KEY", SECRET), "line 4"),
    "a literal": (GOOD.replace("env:OPENAI_API_KEY", "literal:hush"), "backend.api_key"),
    "a key in a comment": (f"# it was {SECRET}\n{GOOD}", "line 1"),
    "a password in a URL": (f'[gateway.shared]\nurl = "redis://u:hush@h:6379/0"\n{GOOD}', "line 2"),
    "a header": (GOOD.replace(" }", ', headers = { "x-api-key" = "hush" } }'), "x-api-key"),
    "a mistake": (GOOD.replace("kind", "kin"), "kin"),
    "no TOML": ("tiers = [", "not TOML"),
    "an open door": (f'[gateway]\nhost = "0.0.0.0"\n{GOOD}', "callers need no keys"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One for all, since each test has a name of its own."""
    with redis_server() as running:
        yield running


@pytest.fixture
def publish(server: RedisServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[str]:
    """The command, as far as it is the same for all."""
    monkeypatch.setenv("FASTCASCADE_CONFIG_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "there")
    return ["publish", "--name", request.node.name[:60].replace("[", ".").replace("]", "").replace(" ", "_")]


def written(folder: Path, text: str) -> str:
    """A file that says this."""
    file = folder / "cascade.toml"
    file.write_bytes(text.encode())
    return str(file)


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_fit_is_not_published(
    what: str, tmp_path: Path, publish: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said where, and never the secret; nothing was published."""
    text, part = REFUSED[what]
    assert main([*publish, written(tmp_path, text)]) == 2
    said = capsys.readouterr().err
    assert part in said
    assert SECRET not in said
    assert "hush" not in said
    assert main([*publish, "--list"]) == 2


def test_versions_are_listed_shown_and_published_anew(
    tmp_path: Path, publish: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With who, why and a digest; what is shown is what was published; the same is not published twice."""
    first, second = f"# één\n{GOOD}", f"{GOOD}# two\n"
    assert main([*publish, written(tmp_path, first), "--comment", "the first", "--who", "ada"]) == 0
    assert main([*publish, written(tmp_path, second)]) == 0
    assert main([*publish, written(tmp_path, second)]) == 2
    assert main([*publish, "--back", "1"]) == 0
    assert main([*publish, "--back", "9"]) == 2
    capsys.readouterr()
    assert main([*publish, "--list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["number"], each["again"], each["who"]) for each in told][::2] == [
        (3, 1, told[1]["who"]),
        (1, 0, "ada"),
    ]
    assert told[0]["digest"] == told[2]["digest"] != told[1]["digest"]
    assert (told[0]["comment"], told[2]["comment"]) == ("back to version 1", "the first")
    assert main([*publish, "--show", "3"]) == 0
    assert capsys.readouterr().out == first
    assert main([*publish, "--list"]) == 0
    assert "the first" in capsys.readouterr().out
    assert main([*publish, "--status"]) == 0
    assert "no gateway follows it" in capsys.readouterr().out


def test_what_only_gateways_know_is_noted(
    tmp_path: Path, publish: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable or a file that is not here, and files that each gateway needs beside it, do not keep it back."""
    monkeypatch.delenv("OPENAI_API_KEY")
    more = '[gateway]\nkeys = "keys.json"\naccount = "sqlite:account.db"\n'
    text = more + GOOD + GOOD.replace('"a"', '"b"').replace("env:OPENAI_API_KEY", "file:/run/secrets/none-such")
    assert main([*publish, written(tmp_path, text)]) == 0
    said = capsys.readouterr().err
    assert "env:OPENAI_API_KEY is not known here" in said
    assert "file:/run/secrets/none-such is not known here" in said
    assert "keys.json is not here; each gateway must have it in its --folder" in said
    assert main([*publish, "--show", "1"]) == 0
    assert capsys.readouterr().out == text


def test_secrets_may_be_published_by_those_who_say_so(tmp_path: Path, publish: list[str]) -> None:
    """With --with-secrets."""
    text, _ = REFUSED["a literal"]
    assert main([*publish, written(tmp_path, text), "--with-secrets"]) == 0


def test_one_thing_at_a_time(publish: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither nothing nor a file and something else; nor an odd name."""
    assert main(publish) == 2
    assert main([*publish, written(tmp_path, GOOD), "--list"]) == 2
    assert "one of" in capsys.readouterr().err
    assert main(["publish", "--name", "../up", "--list"]) == 2
    assert "--name" in capsys.readouterr().err


def test_where_it_is_published_must_be_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the environment, or by an option that others can see; a password never comes back."""
    monkeypatch.delenv("FASTCASCADE_CONFIG_URL", raising=False)
    monkeypatch.setitem(COMMANDS, "serve", serve)
    assert main(["publish", "--list"]) == 2
    assert "FASTCASCADE_CONFIG_URL" in capsys.readouterr().err
    assert main(["publish", "--list", "--to", "redis://u:hush@127.0.0.1:1/0"]) == 2
    said = capsys.readouterr().err
    assert "can be seen by others" in said
    assert "hush" not in said
    assert main(["serve", "--from"]) == 2
    assert "FASTCASCADE_CONFIG_URL" in capsys.readouterr().err
    assert main(["serve"]) == 2
    assert main(["serve", written(tmp_path, GOOD), "--from", "redis://127.0.0.1:1/0"]) == 2
    assert capsys.readouterr().err.count("one of the two") == 2


def test_what_is_damaged_there_is_said(
    publish: list[str], server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A text that is not that of its digest, or no version at all, is served by nobody."""
    name = publish[-1]
    assert main([*publish, written(tmp_path, GOOD)]) == 0
    for said in ("nonsense", '5 {"text": "x", "digest": "y", "who": "", "comment": "", "again": 0}', "5 []", ""):
        server.tell("HSET", f"fastcascade:{{config:{name}}}:versions", "1", said)
        capsys.readouterr()
        assert main([*publish, "--list"]) == 2
        assert "damaged" in capsys.readouterr().err


@given(st.text(string.ascii_letters + string.digits, min_size=12, max_size=40))
def test_no_secret_of_a_known_form_is_published(secret: str) -> None:
    """Wherever in the file it stands: a value, a list, a name, a comment."""
    key = f"sk-{secret}"
    for text in (f"# {key}\n{GOOD}", f'x = ["{key}"]\n{GOOD}', f'"{key}" = 1\n{GOOD}', GOOD.replace("m", key, 1)):
        with tempfile.TemporaryDirectory() as folder, pytest.raises(ConfigError) as caught:
            checked(Path(written(Path(folder), text)))
        assert key not in str(caught.value)


def test_copies_are_whole_or_not_there(tmp_path: Path) -> None:
    """A copy is its owner's alone; one that was changed is not good; those well before it go; a bad pointer is none."""
    copies = Copies(tmp_path / "deep" / "copies", "a.b")
    copies.make()
    assert copies.good() is None
    files = [copies.write(number, f"text {number}\r\n") for number in range(1, 15)]
    copies.keep(files[12])
    good = copies.good()
    assert good is not None
    assert (good.file, good.number) == (files[12], 13)
    assert [each.exists() for each in files] == [False] * 2 + [True] * 12
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in copies.folder.iterdir())
    files[12].write_text("other", encoding="utf-8")
    assert copies.good() is None
    for pointer in ("../x.1.0123456789abcdef.toml", "", "x", "a.b.1.0123456789abcdef.toml"):
        (copies.folder / "a.b.good").write_text(pointer, encoding="utf-8")
        assert copies.good() is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Before anything is begun."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--copies"):
        Copies(tmp_path / "file" / "copies", "x").make()
