"""What a gateway loads before its first answer: no more than its file names. Modules are counted, and no time is."""

import asyncio
import gc
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from fastcascade import gates
from fastcascade.cli import main
from fastcascade.config.families import FAMILIES
from fastcascade.errors import ConfigError
from fastcascade.gates import Gate
from fastcascade.gateway.listening import listen
from fastcascade.later import loader
from gateways import chat, client_of, running

CHAT = "/v1/chat/completions"
PLAIN = """
[[tiers]]
name = "small"
backend = { kind = "direct", model = "m", base_url = "http://127.0.0.1:1", api_key = "literal:k", wire = "anthropic" }
price = { input = 1.0, output = 5.0 }
gate = "checks:fine"

[[tiers]]
name = "large"
backend = { kind = "direct", model = "n", base_url = "http://127.0.0.1:1", api_key = "literal:k", wire = "anthropic" }
price = { input = 5.0, output = 25.0 }
"""
CHECKS = """
async def fine(request, reply):
    return True
"""
LOADED = """
import sys
import fastcascade.cli.serve, fastcascade.gateway.serve
from fastcascade.gateway import listening, loading
listening.listen("127.0.0.1", 0).close()
loading.load(sys.argv[1], loading.settings_of(sys.argv[1]))
print("\\n".join(sys.modules))
"""
ABSENT = {
    "anthropic": "an SDK, which takes longer to load than all else together",
    "difflib": "for mistakes in a file, or in a command",
    "encodings.idna": "for names that are not ASCII",
    "fastcascade.backends.litellm": "the file has no such backend",
    "fastcascade.backends.openai": "the file has no such backend",
    "fastcascade.backends.recorded": "the file has no such backend",
    "fastcascade.backends.rules": "the file has no such backend",
    "fastcascade.caching": "the file keeps no answers for clients to ask about",
    "fastcascade.cli.routefile": "for commands that read a table of routes",
    "fastcascade.clients": "for those who call an SDK in their own code",
    "fastcascade.config.models": "the file has no other names for its cascades",
    "fastcascade.console": "the file has no console",
    "fastcascade.drills": "for `fastcascade drill`",
    "fastcascade.embedders": "the file names none",
    "fastcascade.evals": "the file has no lanes that were admitted",
    "fastcascade.gates.agreement": "the file has no such gate",
    "fastcascade.gates.calibration": "the file calibrates nothing",
    "fastcascade.gates.combine": "the file has one gate for a tier",
    "fastcascade.gates.consistency": "the file has no such gate",
    "fastcascade.gates.hedging": "the file has no such gate",
    "fastcascade.gates.judge": "the file has no such gate",
    "fastcascade.gates.learned": "the file has no such gate",
    "fastcascade.gates.similarity": "the file has no such gate",
    "fastcascade.gates.structure": "the file has no such gate",
    "fastcascade.gateway.account": "the file has no keys",
    "fastcascade.gateway.choosing": "the file has no other names for its cascades",
    "fastcascade.gateway.gatekeeper": "the file has no keys",
    "fastcascade.gateway.observe": "the file enforces",
    "fastcascade.gateway.passthrough": "the file passes nothing through",
    "fastcascade.recording": "for those who record",
    "fastcascade.reviews": "the file has no desk",
    "fastcascade.semantic": "the file has no routes by meaning",
    "fastcascade.stores": "the file has no store",
    "fastcascade.testing": "for tests",
    "genai_prices": "the file says what its models cost",
    "httpx2": "an HTTP client that no direct backend needs",
    "litellm": "an SDK, as above",
    "numpy": "for those who work with figures",
    "openai": "an SDK, as above",
    "redis": "the file has no store",
    "sqlite3": "the file has no store",
}
"""What a plain gateway is not to load, and why it need not."""
PACKAGES = ("backends", "config", "fallbacks", "gates", "reviews", "stores")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A file of two tiers and a gate, with nothing else."""
    (tmp_path / "checks.py").write_text(CHECKS, encoding="utf-8")
    file = tmp_path / "cascade.toml"
    file.write_text(PLAIN, encoding="utf-8")
    return file


def test_a_plain_gateway_loads_what_its_file_names(plain: Path) -> None:
    """A supervisor and its worker have loaded none of what the file does not ask for when they begin to answer."""
    done = subprocess.run([sys.executable, "-c", LOADED, str(plain)], capture_output=True, text=True, check=True)
    found = {name: why for name, why in ABSENT.items() if name in done.stdout.split()}
    assert found == {}


def test_what_must_be_absent_exists() -> None:
    """No name in the list is a slip that nothing could ever load."""
    known = {
        each.name for each in pkgutil.walk_packages(importlib.import_module("fastcascade").__path__, "fastcascade.")
    }
    assert {name for name in ABSENT if name.startswith("fastcascade.")} <= known


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_loaded_late_can_be_had(name: str) -> None:
    """Each public name of a package that loads late is there when it is asked for, and is the very same every time."""
    package = importlib.import_module(f"fastcascade.{name}")
    for each in package.__all__:
        assert getattr(package, each) is getattr(package, each)
    with pytest.raises(AttributeError, match=f"module 'fastcascade.{name}' has no attribute 'nothing'"):
        _ = package.nothing


def test_a_late_name_costs_once() -> None:
    """What was found once is the package's own: nothing is looked up again."""
    package: Any = importlib.import_module("fastcascade.stores")
    vars(package).pop("Review", None)
    found = loader("fastcascade.stores", {"reviews": "Review ReviewStore"})("Review")
    assert vars(package)["Review"] is found


def test_every_gate_can_be_named_in_a_file() -> None:
    """The kinds of gates are all that is public and makes one, though none of them is loaded to know that."""
    makers: set[Any] = set()
    for each in (getattr(gates, name) for name in gates.__all__):
        made = each if isinstance(each, type) else get_type_hints(each).get("return") if callable(each) else None
        bound = getattr(made, "__bound__", None) or made
        if each is not Gate and any(
            isinstance(one, type) and issubclass(one, Gate) for one in (bound, *get_args(bound))
        ):
            makers.add(each)
    family = FAMILIES[Gate]
    assert {family.kind(name) for name in family.kinds} == makers


def test_workers_look_for_garbage(tmp_path: Path) -> None:
    """The collector waits while a gateway starts, and works once it answers."""
    (tmp_path / "answers.py").write_text(
        "import gc\n\ndef said(request):\n    return str(gc.isenabled())\n", encoding="utf-8"
    )
    file = tmp_path / "cascade.toml"
    file.write_text('[[tiers]]\nname = "t"\nbackend = { function = "answers:said" }\n', encoding="utf-8")
    with running(str(file), "--port", "0", "--drain", "1") as (_, port):

        async def main() -> None:
            async with client_of(port) as client:
                said = (await client.post(CHAT, chat("hi"))).json()
            assert said["choices"][0]["message"]["content"] == "True"

        asyncio.run(main())


def test_a_file_that_cannot_be_served_leaves_the_collector_at_work(capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever calls the command from code has the collector back, however it went."""
    assert main(["serve", "no such file"]) == 2
    assert "no such file" in capfd.readouterr().err
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "ü..b"])
def test_what_is_no_name_is_said(host: str) -> None:
    """A host that no machine can be called by is a mistake of the operator's, told in one line."""
    with pytest.raises(ConfigError, match="no address to listen at"):
        listen(host, 0)
