"""What the package exports, and what importing it costs."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import fastcascade
from fastcascade import _core, errors, routing

PACKAGE = Path(fastcascade.__file__).parent
# An HTTP client, a server, or something heavy that a router needs none of.
HEAVY = {
    "aiohttp", "anthropic", "anyio", "asyncio", "concurrent.futures", "http.client", "http.server", "httpcore",
    "httpx", "multiprocessing", "numpy", "openai", "pydantic", "requests", "socket", "socketserver", "ssl",
    "starlette", "tkinter", "unittest", "urllib.request", "urllib3", "uvicorn", "xml",
}  # fmt: skip


def public(module: ModuleType) -> set[str]:
    """The names of a module that are neither private nor modules."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name not in ("TYPE_CHECKING", "Any")
    } - {"import_module"}


def test_all_is_sorted_and_is_what_can_be_imported() -> None:
    """`__all__` names each public thing of the package once, in order."""
    assert fastcascade.__all__ == sorted(set(fastcascade.__all__))
    for name in fastcascade.__all__:
        getattr(fastcascade, name)
    assert public(fastcascade) | {"__version__"} == set(fastcascade.__all__)
    assert set(fastcascade.__all__) <= set(dir(fastcascade))
    for module in (errors, routing):
        assert module.__all__ == sorted(module.__all__)
        assert set(module.__all__) <= set(fastcascade.__all__)


def test_the_import_is_light() -> None:
    """In a fresh interpreter, `import fastcascade` loads no HTTP client, no server and no numpy."""
    code = "import sys; import fastcascade; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert HEAVY.isdisjoint(loaded)
    assert {"fastcascade", "fastcascade._core", "fastcascade.errors", "fastcascade.routing"} <= set(loaded)


def test_every_public_class_is_documented() -> None:
    """Each class says what it is, in its own docstring and, if compiled, in the stub."""
    stubs = {
        node.name: node
        for node in ast.parse((PACKAGE / "_core.pyi").read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    for name in fastcascade.__all__:
        thing = getattr(fastcascade, name)
        if not isinstance(thing, type):
            continue
        assert (thing.__doc__ or "").strip(), name
        if thing.__module__ == "fastcascade._core":
            assert ast.get_docstring(stubs[name]), name


def test_the_stub_has_just_what_the_core_has() -> None:
    """Each public class of the stub is in the core, is called by its name there, and has the members it states."""
    for node in ast.parse((PACKAGE / "_core.pyi").read_text()).body:
        if not isinstance(node, ast.ClassDef):
            continue
        thing = getattr(_core, node.name)
        assert (thing.__module__, thing.__qualname__) == ("fastcascade._core", node.name)
        for member in node.body:
            if isinstance(member, ast.FunctionDef):
                assert hasattr(thing, member.name), f"{node.name}.{member.name}"


def test_the_version_is_one() -> None:
    """The package, its metadata and the compiled core state the same version."""
    assert fastcascade.__version__ == _core.__version__ == version("fastcascade")


def test_the_package_is_typed() -> None:
    """Type checkers find the marker and the stub."""
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_core.pyi").is_file()
