"""Build a wheel for each CPython of this machine that the package is for, and try each in a bare environment.

An interpreter is looked for on the path, then among those of pyenv. The wheels carry the tag of this machine's
C library; those for a release are built as docs/releasing.md says.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
VERSIONS = ("3.11", "3.12", "3.13")
IDENTITY = "import sys; print(sys.implementation.name, '{}.{}'.format(*sys.version_info) + sys.abiflags)"
TRIAL = """
import fastcascade
found = fastcascade.Router({"/users/{id}": "user"}).match("/users/42")
assert found is not None and (found.target, found.params, found.by) == ("user", {"id": "42"}, "prefix"), found
"""


def interpreter(version: str) -> str | None:
    """Find a CPython of this version that runs, with a GIL."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = [str(home / "bin" / "python") for home in sorted(pyenv.glob(f"{version}.*"), reverse=True)]
    on_path = shutil.which(f"python{version}")
    candidates = [on_path, *installed] if on_path else installed
    return next((python for python in candidates if says(python, IDENTITY) == f"cpython {version}"), None)


def says(python: str, code: str) -> str:
    """Return what an interpreter prints: nothing when it does not run, as a pyenv shim of a version not chosen."""
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def build(python: str, out: Path) -> Path:
    """Build one wheel, without its debugging symbols."""
    maturin = Path(sys.executable).with_name("maturin")
    options = ("--release", "--locked", "--strip", "--interpreter", python, "--out", str(out))
    subprocess.run([maturin, "build", *options], cwd=ROOT, check=True)
    return next(out.glob("*.whl"))


def prove(wheel: Path, python: str, room: Path) -> str:
    """Install a wheel alone, match one path and ask the command for its version."""
    scripts = room / "bare" / "bin"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=room, env=clean, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    run(python, "-m", "venv", room / "bare")
    run(scripts / "python", "-m", "pip", "install", "--no-index", "--no-deps", wheel)
    run(scripts / "python", "-W", "error", "-c", TRIAL)
    return run(scripts / "fastcascade", "--version")


def main() -> int:
    """Build and try them all; the exit status says whether there was one to build and all of them work."""
    found = {version: interpreter(version) for version in VERSIONS}
    for wanted, python in found.items():
        if python is None:
            print(f"CPython {wanted} was not found: no wheel for it", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as room:
            wheel = build(python, Path(room) / "out")
            version = prove(wheel, python, Path(room))
            DIST.mkdir(exist_ok=True)
            kept = DIST / wheel.name
            shutil.copy(wheel, kept)
        print(f"{kept.relative_to(ROOT)}  {kept.stat().st_size / 1e6:.1f} MB  works: {version}", flush=True)
    return 0 if any(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
