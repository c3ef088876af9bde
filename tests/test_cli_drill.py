"""`fastcascade drill`: what it prints, how it ends, and a service that is killed and started again for real."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fastcascade import ConfigError
from fastcascade.cli import main
from fastcascade.drills import SCENARIOS, ServiceDrill
from fastcascade.testing import FaultyProcess, FaultyServer
from wire.server import Canned, Seen, WireServer

QUICK = ["--before", "20", "--lasting", "40", "--rate", "4"]
SERVICE = ["--before", "0.6", "--lasting", "0.6", "--after", "1", "--rate", "20"]
KEY = "a-key-of-the-drills-own"

CONFIG = """
{top}
[[tiers]]
name = "chat"
pool = {{ {pool} }}
  [[tiers.instances]]
  region = "eu"
  backend = {{ kind = "openai", model = "m", api_key = "literal:abc", base_url = "http://127.0.0.1:9/v1" }}
  {second}
"""
PRESSING = "{ times = 5, base = 0.1, cap = 0.1, budget = false }"
SECOND = """[[tiers.instances]]
  region = "us"
  priority = 1
  backend = { kind = "openai", model = "m", api_key = "literal:abc", base_url = "http://127.0.0.1:9/v1" }
"""


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks a real model, whoever runs it."""
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "FASTCASCADE_DRILL_KEY"):
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, *, second: str = SECOND, pool: str = "", top: str = "") -> str:
    """A configuration file."""
    file = folder / "cascade.toml"
    file.write_text(CONFIG.format(second=second, pool=pool, top=top), encoding="utf-8")
    return str(file)


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    """The command as a process of its own."""
    command = [sys.executable, "-m", "fastcascade", "drill", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_an_example_where_no_file_is_given() -> None:
    """Without a file it drills an example, in plain ASCII, says which, and ends well."""
    done = run(*QUICK)
    assert done.returncode == 0 and done.stdout.isascii()
    assert done.stdout.startswith("primary off: the primary refuses connections\nstruck: chat/eu\n")
    assert "held: every promise" in done.stdout
    assert done.stderr == "fastcascade: no file was given: drilling an example of three regions\n"


def test_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The cascade of a file is drilled with stand-ins: none of its models is asked, and its promise is checked."""
    assert main(["drill", written(tmp_path), *QUICK, "--within", "1"]) == 0
    said = capsys.readouterr()
    assert "chat/us" in said.out and "(1.0 s promised)" in said.out and said.err == ""


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        ({"second": "", "top": "last_resort = false"}, [], "requests were lost"),
        ({"second": "", "pool": f"retry = {PRESSING}, breaker = false"}, [], "for each time it was asked"),
        ({}, ["--scenario", "primary hangs", "--within", "0.1"], "0.1 s are promised"),
    ],
)
def test_a_broken_promise_ends_with_1(
    settings: dict[str, str], options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a promise is broken the report says which, and the exit code is 1."""
    assert main(["drill", written(tmp_path, **settings), *QUICK, *options]) == 1
    out = capsys.readouterr().out
    assert any(said in line for line in out.splitlines() if line.startswith("BROKEN: ")), out


def test_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--all` drills every scenario that fits, says which do not, and writes a document of all."""
    file = tmp_path / "reports.json"
    assert main(["drill", written(tmp_path), "--all", "--json", str(file), *QUICK]) == 0
    said = capsys.readouterr()
    found = json.loads(file.read_text(encoding="utf-8"))
    names = [report["scenario"] for report in found["drills"]]
    assert names == [name for name in SCENARIOS if name != "store off"]
    assert "left out: 'store off' needs a Review" in said.err
    assert all(f"{name}: " in said.out for name in names) and all(report["ok"] for report in found["drills"])


def test_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json -` writes the document to the output, and nothing else."""
    assert main(["drill", "--scenario", "store-off", "--scenario", "429 storm", "--json", "-", *QUICK]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [report["scenario"] for report in found["drills"]] == ["store off", "429 storm"]
    assert set(found) == {"schema", "version", "drills"} and found["drills"][1]["early"] == 0


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """`--list` names every scenario with what goes wrong, and does nothing."""
    assert main(["drill", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"{each.name} " in out and each.summary in out for each in SCENARIOS.values())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scenario", "primry off"], "did you mean 'primary off'"),
        (["--scenario", "?"], "there are: primary off, primary slow"),
        (["nowhere.toml"], "nowhere.toml"),
        (["--live"], "--live needs a cascade"),
        (["--all", "--scenario", "flapping"], "--all is every scenario"),
        (["--tier", "small"], "there is no tier 'small'; there are: chat"),
        (["--break", "true"], "give its --url"),
        (["--url", "http://127.0.0.1:1", "--all"], "leave out file and scenarios"),
        (["--url", "http://127.0.0.1:1"], "a command that breaks it and one that mends it"),
        (["--url", "ftp://x", "--break", "true", "--mend", "true"], "must be like http://"),
        (["--requests", "100001"], "at most 100000 requests"),
        (["--json", "/nowhere/at/all.json", *QUICK], "cannot be written"),
    ],
)
def test_what_is_refused(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the operator must change ends with 2, and is said."""
    assert main(["drill", *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--rate", "0"], ["--lasting", "x"], ["--wire", "smoke"], ["--within", "-1"]])
def test_options_are_checked(options: list[str]) -> None:
    """An option that cannot be read ends with 2 as everywhere."""
    with pytest.raises(SystemExit) as ended:
        main(["drill", *options])
    assert ended.value.code == 2


def test_live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--live` asks the real backends, so many times at most as was said beforehand, and breaks none of them."""
    with FaultyProcess("fine") as server:
        file = Path(written(tmp_path))
        file.write_text(file.read_text(encoding="utf-8").replace("http://127.0.0.1:9", server.url), encoding="utf-8")
        load = ["--before", "0.5", "--lasting", "0.5", "--after", "1", "--rate", "20", "--requests", "30"]
        assert main(["drill", str(file), "--live", *load]) == 0
        counted = server.counts()
    said = capsys.readouterr()
    assert "30 requests at most" in said.err and "in real time, asking the backends" in said.out
    assert 0 < counted["served"] <= 30 and counted["calls"] == counted["served"]


# A service that runs.


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[tuple[FaultyProcess, list[str]]]:
    """A server in a process of its own, and the commands that kill it and start it again."""
    pidfile = tmp_path / "pid"
    with FaultyProcess("fine") as server:
        start = [sys.executable, "-m", "fastcascade.testing.faulty_server", "--port", str(server.port)]
        # What mends it waits until it listens: the operator's command ends when the service is up.
        mend = tmp_path / "mend.sh"
        mend.write_text(
            f"{shlex.join(start)} --answer fine >{tmp_path}/out 2>&1 &\n"
            f"echo $! >{pidfile}\n"
            f"for i in $(seq 200); do grep -q http {tmp_path}/out && exit 0; sleep 0.05; done\nexit 1\n",
            encoding="utf-8",
        )
        yield server, ["--break", f"kill -9 {server.pid}", "--mend", f"sh {mend}"]
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(pidfile.read_text(encoding="utf-8")), 9)


def test_killed_for_real(killable: tuple[FaultyProcess, list[str]], tmp_path: Path) -> None:
    """A service killed with SIGKILL and started again: what was lost is counted, the gap seen, the return too."""
    server, commands = killable
    file = tmp_path / "report.json"
    done = run("--url", f"{server.url}/v1", *commands, *SERVICE, "--json", str(file))
    assert done.returncode == 1, done.stderr
    (report,) = json.loads(file.read_text(encoding="utf-8"))["drills"]
    before, during, after = report["phases"]
    assert before["lost"] == 0 and during["lost"] > 0 and after["requests"] > 0
    assert report["served"]["drill"][0] == before["requests"] and report["served"]["drill"][2] > 0
    assert report["gap"] > 0.4 and report["comeback"]["all"] is not None
    assert [each for each in report["broken"] if "requests were lost (connection" in each] == report["broken"]
    assert "127.0.0.1, 500 requests at most" in done.stderr
    assert "does not say who answers" in done.stdout


def test_over_the_other_wire() -> None:
    """A service that speaks Anthropic's language is drilled in it."""
    with FaultyServer("fine") as server:
        drill = ServiceDrill(server.url, "anthropic", "true", "true", before=0.3, lasting=0.3, after=0.3, rate=10.0)
        report = drill.run()
        assert server.calls == report.requests > 0
    assert report.ok and report.served["drill"][1] > 0 and "anthropic" in report.way


def gateway(server: WireServer, flag: Path) -> None:
    """Have a server answer as a service does whose primary is off while there is a flag, and says so."""

    def answer(_seen: Seen) -> Canned:
        by, degraded = ("us", "") if flag.exists() else ("eu", "")
        body = {
            "id": "1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "fine"}}],
        }  # fmt: skip
        return Canned.plain(
            200, body, {"x-cascade-tier": "chat", "x-cascade-instance": by, "X-Cascade-Degraded": degraded}
        )

    server.handler = answer


def test_a_service_that_says_who_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With headers that say so, the failover inside is seen; the key is the drill's own, and is shown nowhere."""
    monkeypatch.setenv("OPENAI_API_KEY", "never-to-be-sent")
    monkeypatch.setenv("MY_KEY", KEY)
    flag, file = tmp_path / "off", tmp_path / "report.json"
    with WireServer() as server:
        gateway(server, flag)
        commands = ["--break", f"touch {flag}", "--mend", f"rm {flag}"]
        done = run("--url", f"{server.url}/v1", *commands, "--key-env", "MY_KEY", "--within", "0.5", *SERVICE,
                   "--requests", "30", "--json", str(file))  # fmt: skip
        sent = {each.headers["authorization"] for each in server.seen}
        assert len(server.seen) <= 30
    assert done.returncode == 0, done.stdout + done.stderr
    assert sent == {f"Bearer {KEY}"} and KEY not in done.stdout + done.stderr + file.read_text(encoding="utf-8")
    (report,) = json.loads(file.read_text(encoding="utf-8"))["drills"]
    assert set(report["served"]) == {"chat/eu", "chat/us"} and report["served"]["chat/us"][0] == 0
    assert report["failover"]["first"] is not None and report["comeback"]["all"] is not None
    assert report["ok"] and report["lost"] == 0


@pytest.mark.parametrize(
    ("off", "said"), [("exit 3", "failed with 3: it said nothing"), ("echo why; exit 1", "1: why")]
)
def test_it_is_mended_whatever_happens(off: str, said: str, tmp_path: Path) -> None:
    """A command that fails ends the drill with what it said; what mends is run all the same."""
    flag = tmp_path / "mended"
    with WireServer() as server:
        gateway(server, tmp_path / "off")
        drill = ServiceDrill(f"{server.url}/v1", "openai", off, f"touch {flag}", before=0.2, lasting=0.2, after=0.2)
        with pytest.raises(ConfigError, match=said):
            drill.run()
    assert flag.exists()


def test_an_interrupted_drill_is_mended(tmp_path: Path) -> None:
    """Ctrl-C in the middle of the fault ends the drill, and the service is mended before it ends."""
    flag = tmp_path / "off"
    with WireServer() as server:
        gateway(server, flag)
        command = [sys.executable, "-m", "fastcascade", "drill", "--url", f"{server.url}/v1", "--before", "0.2"]
        command += ["--lasting", "60", "--break", f"touch {flag}", "--mend", f"rm {flag}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            for _ in range(1_000):
                if flag.exists():
                    break
                time.sleep(0.02)
            assert flag.exists()
            process.send_signal(2)
            assert process.wait(30) == 130
    assert not flag.exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"wire": "smoke"}, "speaks openai or anthropic"),
        ({"rate": 0.0}, "rate"),
        ({"lasting": 4_000.0}, "lasting"),
        ({"most": 0}, "from 1 to 10000 requests"),
        ({"most": 20_000}, "from 1 to 10000 requests"),
        ({"within": 0.0}, "within"),
        ({"off": " "}, "a command that breaks it"),
        ({"url": "127.0.0.1:80"}, "url must be like"),
    ],
)
def test_bad_settings(settings: dict[str, Any], said: str) -> None:
    """What cannot work, or has no bound, is refused before anything is sent."""
    given: dict[str, Any] = {"url": "http://127.0.0.1:1/v1", "wire": "openai", "off": "true", "on": "true"}
    with pytest.raises(ConfigError, match=said):
        ServiceDrill(**{**given, **settings})


def test_addresses_are_shown_without_secrets() -> None:
    """A password in the address is nowhere to be read."""
    drill = ServiceDrill("http://me:hunter22@127.0.0.1:1/v1", "openai", "true", "true")
    assert "hunter22" not in repr(drill)
