"""What is shipped: the installed package's metadata, and whatever wheels `make wheel` has left in `dist`."""

import zipfile
from email import message_from_string
from email.message import Message
from importlib.metadata import distribution
from pathlib import Path

import pytest

import fastcascade

ROOT = Path(__file__).resolve().parents[1]
LICENSE = (ROOT / "LICENSE").read_text(encoding="utf-8")
# Wheels of earlier versions may lie there too.
WHEELS = sorted((ROOT / "dist").glob(f"fastcascade-{fastcascade.__version__}-*.whl"))


class Shipped:
    """The files of a wheel, read from it."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as wheel:
            self.names = wheel.namelist()
            self.texts = {name: wheel.read(name).decode() for name in self.names if ".dist-info/" in name}

    def about(self, name: str) -> str:
        """A text of the wheel's `.dist-info`."""
        return next(text for path, text in self.texts.items() if path.split(".dist-info/")[1] == name)


@pytest.fixture(params=WHEELS, ids=lambda path: path.name)
def wheel(request: pytest.FixtureRequest) -> Shipped:
    """Each built wheel in turn; none built, the tests that ask for one are skipped."""
    return Shipped(request.param)


def installed() -> Message:
    """The metadata of the installed package."""
    return message_from_string(distribution("fastcascade").read_text("METADATA") or "")


def required(metadata: Message) -> list[str]:
    """What is installed along with the package even when no extra is asked for."""
    return [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]


def test_nothing_else_is_needed() -> None:
    """The package requires no other."""
    assert required(installed()) == []


def test_the_metadata_is_the_package_s_own() -> None:
    """Version, license and least Python are told as they are."""
    metadata = installed()
    told = metadata["Version"], metadata["License-Expression"], metadata["Requires-Python"]
    assert told == (fastcascade.__version__, "Apache-2.0", ">=3.11")


def test_the_license_is_apache_2() -> None:
    """The file at the root is the license's text, its appendix included, and goes with the package."""
    lines = LICENSE.split("\n")
    assert [lines[1].strip(), lines[2].strip()] == ["Apache License", "Version 2.0, January 2004"]
    assert "APPENDIX: How to apply the Apache License to your work." in LICENSE
    assert distribution("fastcascade").read_text("licenses/LICENSE") == LICENSE


def test_the_types_are_found_beside_the_package() -> None:
    """A type checker finds the stub and the mark that says that there are types."""
    folder = Path(fastcascade.__file__).parent
    assert [name for name in ("py.typed", "_core.pyi") if not (folder / name).is_file()] == []


def test_a_wheel_holds_the_types_and_one_compiled_module(wheel: Shipped) -> None:
    """Stub, mark and module are in it, and nothing from outside the package or left behind by a run of it."""
    assert {
        "fastcascade/py.typed",
        "fastcascade/_core.pyi",
        "fastcascade/__init__.py",
        "fastcascade/cli/demo_answers.jsonl",
    } <= set(wheel.names)
    assert len([name for name in wheel.names if name.endswith((".so", ".pyd"))]) == 1
    assert [name for name in wheel.names if not name.startswith(("fastcascade/", "fastcascade-"))] == []
    assert [name for name in wheel.names if "__pycache__" in name] == []


def test_a_wheel_needs_nothing_and_has_its_license(wheel: Shipped) -> None:
    """What is installed from a wheel alone works, has its command, and says under what terms."""
    assert required(message_from_string(wheel.about("METADATA"))) == []
    assert wheel.about("licenses/LICENSE") == LICENSE
    assert "fastcascade=fastcascade.cli:main" in wheel.about("entry_points.txt").replace(" ", "")
