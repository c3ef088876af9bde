"""`fastcascade serve`: what it refuses, each in a line that says what to do."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from fastcascade.cli import COMMANDS, main, serve
from gateways import RUN


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is there."""
    monkeypatch.setitem(COMMANDS, "serve", serve)


@pytest.fixture
def good(tmp_path: Path) -> str:
    """A file that can be served."""
    file = tmp_path / "cascade.toml"
    file.write_text('[[tiers]]\nname = "t"\nbackend = { function = "math:sqrt" }\n', encoding="utf-8")
    return str(file)


def refusal(capfd: pytest.CaptureFixture[str], *options: str) -> str:
    """What it says when it will not serve; nothing was served."""
    try:
        code = main(["serve", *options])
    except SystemExit as error:
        code = int(str(error.code))
    told = capfd.readouterr()
    assert (code, told.out) == (2, "")
    return told.err.removeprefix("fastcascade: ")


def test_a_port_that_is_taken_is_said_at_once(good: str, capfd: pytest.CaptureFixture[str]) -> None:
    """One line, with the address and what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refusal(capfd, good, "--port", str(port))
    assert said == (
        f"127.0.0.1:{port} cannot be listened at: it is taken; "
        "end who listens there, or choose another with --port\n"
    )  # fmt: skip


def test_an_address_that_is_not_ours_is_said(good: str, capfd: pytest.CaptureFixture[str]) -> None:
    """One line."""
    assert "no such address" in refusal(capfd, good, "--host", "192.0.2.1", "--port", "0", "--allow-anyone")


def test_strangers_are_not_served_by_accident(good: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Beyond this machine it needs keys, or --allow-anyone; the line says so."""
    said = refusal(capfd, good, "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert said.count("\n") == 1 and "callers need no keys" in said and "--allow-anyone" in said


def test_a_file_that_is_wrong_is_said_with_its_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As at any other command that reads it; once, however many workers were to be."""
    file = tmp_path / "cascade.toml"
    file.write_text("[[tiers]]\nname = 3\n", encoding="utf-8")
    said = refusal(capfd, str(file), "--port", "0", "--workers", "3")
    assert said.count(f"{file}, line 2") == 1
    assert "cannot be read: No such file" in refusal(capfd, str(tmp_path / "none.toml"), "--port", "0")


def test_certificates_that_cannot_be_served_are_said(
    good: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each in one line with the file at fault: it is not there, is no certificate, or does not fit the key."""
    issued = trustme.CA().issue_cert("localhost")
    cert, key, other, text = (tmp_path / name for name in ("cert.pem", "key.pem", "other.pem", "text.pem"))
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
    text.write_text("no certificate")
    for given, problem in (
        ((cert, tmp_path / "none.pem"), "none.pem: cannot be read: No such file"),
        ((text, key), "text.pem with"),
        ((cert, other), "the key is not that of the certificate"),
        ((cert, key, text), "text.pem: holds no certificates"),
    ):
        options = [part for pair in zip(("--tls-cert", "--tls-key", "--client-ca"), map(str, given), strict=False)
                   for part in pair]  # fmt: skip
        said = refusal(capfd, good, "--port", "0", *options)
        assert problem in said and said.count("\n") == 1


WRONG = [
    (["--tls-cert", "a"], "go together"),
    (["--client-ca", "a"], "needs --tls-cert"),
    (["--port", "70000"], "no port"),
    (["--workers", "0"], "no whole number"),
    (["--drain", "0"], "no number of seconds"),
    (["--workers", "300"], "workers must be"),
]


@pytest.mark.parametrize(("options", "problem"), WRONG)
def test_options_that_cannot_work_are_said(
    good: str, options: list[str], problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before anything is begun."""
    assert problem in refusal(capfd, good, *options)


def test_without_the_extra_it_says_which(good: str) -> None:
    """A server that is not installed is named with what brings it."""
    without = f"import sys\nsys.modules['granian'] = None\n{RUN}"
    ended = subprocess.run([sys.executable, "-c", without, good], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "fastcascade: the gateway needs granian: pip install 'fastcascade[gateway]'\n"


def test_the_help_needs_no_extra() -> None:
    """It is shown where no server is installed."""
    without = f"import sys\nsys.modules['granian'] = None\n{RUN}"
    ended = subprocess.run([sys.executable, "-c", without, "--help"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0 and "--client-ca" in ended.stdout
