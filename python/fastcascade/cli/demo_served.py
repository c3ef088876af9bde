"""The second half of `fastcascade demo`: a gateway with its console, and customers who ask it.

All of it lies in a folder of its own, with a file that can be read, changed and served again: the cascade, cases with
their truth, a recording of them for the page on calibration, and what the customers are answered.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from fastcascade.cli.demo_models import PACE
from fastcascade.cli.demo_shop import drawn
from fastcascade.cli.report import warn
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.evals.cases import Case
    from fastcascade.messages import Reply

__all__ = ["is_right", "laid_out", "serve"]

CASES: Final = 400
RATE: Final = 12.0
"""Requests a second."""
LINK: Final = 600.0
PERSON: Final = "demo"
GRADER: Final = "fastcascade.cli.demo_served:is_right"
BESIDE: Final = "import sys; from fastcascade.cli import main; sys.exit(main(sys.argv[1:]))"


def is_right(case: "Case", reply: "Reply") -> bool:
    """Grade an answer by its last word: what the cases name as their grader."""
    from fastcascade.cli.demo_questions import same  # noqa: PLC0415 - for those who grade

    return same(reply.text, str(case.expected))


def laid_out(folder: Path) -> Path:
    """Write down the cascade and its cases; the cascade's file. Nothing that is there is written over."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "cascade.toml"
    if not file.exists():
        file.write_bytes(files("fastcascade.cli").joinpath("demo_cascade.toml").read_bytes())
    cases = folder / "cases.jsonl"
    if not cases.exists():
        cases.write_text("".join(f"{json.dumps(each)}\n" for each in _cases()), encoding="utf-8")
    return file


def _cases() -> Iterator[dict[str, str]]:
    rng, seen = random.Random(2), set[str]()
    while len(seen) < CASES:
        question = drawn(rng)
        if question.right and question.ask not in seen:
            seen.add(question.ask)
            yield {"input": question.ask, "expected": question.right, "slice": question.task, "grader": GRADER}


def serve(folder: Path | None, port: int, seconds: float | None, *, browse: bool) -> int:
    """Serve it until told to end, or for so many seconds. Raises `ConfigError` where the extra is missing."""
    try:
        import fastcascade.gateway.worker  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise ConfigError(f"the console needs {error.name}: pip install 'fastcascade[gateway]'") from None
    if folder is not None:
        return _served(folder.resolve(), port, seconds, browse=browse)
    with TemporaryDirectory(prefix="fastcascade-demo-") as made:
        return _served(Path(made), port, seconds, browse=browse)


def _served(folder: Path, port: int, seconds: float | None, *, browse: bool) -> int:
    from fastcascade.console.people import People  # noqa: PLC0415 - as what follows, only where it is served
    from fastcascade.console.people_file import PeopleFile  # noqa: PLC0415
    from fastcascade.console.served import SESSIONS  # noqa: PLC0415
    from fastcascade.console.sessions import Sessions  # noqa: PLC0415
    from fastcascade.gateway.serve import Supervisor  # noqa: PLC0415

    file = laid_out(folder)
    people = PeopleFile(folder / "console.json")
    with suppress(ConfigError):  # there from an earlier demo in this folder
        people.remove(PERSON)
    _, password = people.add(PERSON)
    supervisor = Supervisor(file, {"port": port}, say=lambda _: None)
    sessions = Sessions(folder / SESSIONS, People(people))
    try:
        link = f"{supervisor.address}/console/login?once={sessions.link(PERSON, LINK)}"
    finally:
        sessions.close()
    _told(supervisor.address, link, password, folder, seconds)
    with _beside(folder, supervisor.address), _ending(seconds):
        if browse:
            threading.Thread(target=_opened, args=(link,), daemon=True).start()
        return supervisor.run()


def _told(address: str, link: str, password: str, folder: Path, seconds: float | None) -> None:
    bound = "Ctrl-C ends it" if seconds is None else f"it ends in {seconds:g} s; on a terminal it stays until Ctrl-C"
    print(
        "",
        "The console, with simulated customers and models (all here, nothing is sent anywhere):",
        "",
        f"    {link}",
        "",
        f"The link logs in once, for {LINK / 60:.0f} minutes; after that {address}/console/ takes the name",
        f"{PERSON!r} and the password {password}.",
        f"The API is {address}/v1; {bound}.",
        f"The files lie in {folder}",
        "In a second terminal, in that folder: fastcascade top, fastcascade report --since 1h, fastcascade review",
        sep="\n",
        flush=True,
    )


@contextmanager
def _beside(folder: Path, address: str) -> Iterator[None]:
    """Customers, and a recording of the cases for the page on calibration, each a process of its own."""
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [
        subprocess.Popen([sys.executable, "-m", "fastcascade.cli.demo_traffic", address, str(RATE)], **quiet)  # noqa: S603 - our own
    ]
    if not (folder / "run.db").exists():
        record = ["record", "cascade.toml", "cases.jsonl", "--to", "run.db", "--trust", "--concurrency", "2"]
        environment = {**os.environ, PACE: "0"}
        command = [sys.executable, "-c", BESIDE, *record]
        started.append(subprocess.Popen(command, cwd=folder, env=environment, **quiet))  # noqa: S603 - our own
    try:
        yield
    finally:
        for each in started:
            each.terminate()
        for each in started:
            try:
                each.wait(5)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()


@contextmanager
def _ending(seconds: float | None) -> Iterator[None]:
    """End this process as an operator would, after a while."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _opened(link: str) -> None:
    """Show it to whoever sits here, where there is something to show it with."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    try:
        webbrowser.open(link)
    except (OSError, webbrowser.Error) as error:
        warn(f"no browser could be opened ({type(error).__name__}); the link above is the way in")
