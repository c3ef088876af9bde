"""What importing a library costs: time and memory over a bare interpreter, each in a fresh process.

Wall time of `python -c "import X"` less that of `python -c ""`, medians over rounds in which all take turns; one round
before them writes the bytecode and fills the page cache. Memory is the highest resident size of the child.
"""

import contextlib
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from typing import Any

from turns import SETTINGS

ROUNDS = 5
SLOW = 2.0  # seconds; what takes longer is run fewer times
BARE = ""
# What a program would write that uses it: packages load parts of themselves when these are first asked for.
IMPORTS = {
    "fastcascade": ("fastcascade", "import fastcascade"),
    "fastcascade, its parts named": (
        "fastcascade",
        "from fastcascade import Cascade, Tier, gates; from fastcascade.backends import Anthropic, Function, OpenAI",
    ),
    "cascadeflow": ("cascadeflow", "import cascadeflow"),
    "cascadeflow, CascadeAgent named": ("cascadeflow", "from cascadeflow import CascadeAgent, ModelConfig"),
    "litellm": ("litellm", "import litellm"),
    "pydantic_ai": ("pydantic-ai-slim", "import pydantic_ai"),
    "pydantic_ai, Agent named": ("pydantic-ai-slim", "from pydantic_ai import Agent"),
    "langchain_core": ("langchain-core", "import langchain_core"),
    "langchain_core, chat models and chains": (
        "langchain-core",
        "from langchain_core.language_models import BaseChatModel; from langchain_core.runnables import RunnableLambda",
    ),
    "langchain_openai, ChatOpenAI named": ("langchain-openai", "from langchain_openai import ChatOpenAI"),
    "openai": ("openai", "import openai"),
    "anthropic": ("anthropic", "import anthropic"),
}
# The child says its own peak. `ru_maxrss` would begin at the parent's size, which fork and exec hand down on Linux.
_PEAK = """
import os
try:
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
except OSError:
    import resource, sys
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
os.write(1, str(peak).encode())
os._exit(0)
"""


def _run(code: str) -> tuple[float, int, str]:
    """Seconds, bytes, and what went wrong."""
    # As in with_cascadeflow.py: it imports litellm where it finds it, and its own installation does not bring it.
    hide = "import sys; sys.modules['litellm'] = None\n" if "cascadeflow" in code else ""
    command = [sys.executable, "-P", "-c", f"{hide}{code}\n{_PEAK}"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **SETTINGS}, check=False)
    spent = time.perf_counter() - start
    if done.returncode:
        return spent, 0, done.stderr.strip().split("\n")[-1][:200]
    return spent, int(done.stdout.split("\n")[-1] or 0), ""


def tables(quick: bool) -> dict[str, Any]:
    """One table."""
    title = "import, over a bare interpreter"
    print(f"\n## {title}\n", flush=True)
    codes = {"bare interpreter": BARE, **{name: code for name, (_, code) in IMPORTS.items()}}
    wrong: dict[str, str] = {}
    seconds: dict[str, list[float]] = {name: [] for name in codes}
    sizes: dict[str, list[int]] = {name: [] for name in codes}
    first: dict[str, float] = {}
    for name, code in codes.items():
        first[name], _, wrong[name] = _run(code)
    for index in range(1 if quick else ROUNDS):
        for name, code in codes.items():
            if wrong[name] or (first[name] > SLOW and index > (0 if quick else 2)):
                continue
            spent, size, wrong[name] = _run(code)
            seconds[name].append(spent)
            sizes[name].append(size)
    rows = [_figures(name, seconds, sizes, wrong) for name in codes]
    _show(rows)
    return {title: rows}


def _figures(
    name: str, seconds: dict[str, list[float]], sizes: dict[str, list[int]], wrong: dict[str, str]
) -> dict[str, Any]:
    if wrong[name]:
        return {"name": name, "absent": wrong[name]}
    bare, ours = "bare interpreter", "fastcascade"
    took, size = statistics.median(seconds[name]), statistics.median(sizes[name])
    row: dict[str, Any] = {"name": name, "rounds": seconds[name], "version": _version(name)}
    if name == bare:
        return {**row, "ms": took * 1e3, "mib": size / 2**20}
    row["ms"] = (took - statistics.median(seconds[bare])) * 1e3
    row["mib"] = (size - statistics.median(sizes[bare])) / 2**20
    if not wrong[ours]:
        row["x_ours"] = row["ms"] / ((statistics.median(seconds[ours]) - statistics.median(seconds[bare])) * 1e3)
    return row


def _version(name: str) -> str:
    if name not in IMPORTS:
        return platform.python_version()
    package, code = IMPORTS[name]
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    # Put on the path without being installed.
    command = [sys.executable, "-P", "-c", f"{code}\nimport {package}; print({package}.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "?"


def _show(rows: list[dict[str, Any]]) -> None:
    print(f"{'import':<40}{'version':>12}{'ms':>11}{'MiB':>11}{'x ours':>11}")
    for row in rows:
        if "absent" in row:
            print(f"{row['name']:<40}  left out: {row['absent']}")
            continue
        ratio = f"{row['x_ours']:.1f}" if "x_ours" in row else "-"
        print(f"{row['name']:<40}{row['version']:>12}{row['ms']:>11,.0f}{row['mib']:>11,.1f}{ratio:>11}")
    sys.stdout.flush()
