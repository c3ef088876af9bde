"""What tests of the pages live, traces and calibration share: a cascade in a file, and decisions that it made."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastcascade import Answer, Cascade, config
from fastcascade.console.asked import Asked, Person, Said, Sight
from fastcascade.evals.cases import load_cases
from fastcascade.evals.graders import grader_of
from fastcascade.evals.recorder import Recorder, version_of
from fastcascade.evals.runs import Runs
from fastcascade.evals.shadow_seen import digest
from fastcascade.messages import Request
from fastcascade.telemetry.decisions import Decisions, Writer
from fastcascade.telemetry.events import Decision, Graded, layer_of

__all__ = ["HOSTILE", "MODELS", "NOW", "TOML", "answers", "asked", "fill", "made", "record", "sight_of", "value"]

NOW = 1_800_000_000.0
PATH = "/v1/chat/completions"
HOSTILE = "<img src=x onerror=alert(1)> \u202eevil\u202c </script>"
MODELS = """
import hashlib

from fastcascade.messages import Reply, Usage


def share(text, salt):
    return int(hashlib.sha256((salt + text).encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def small(request):
    sure = 0.35 + 0.6 * share(request.text, "ease")
    said = f"answer to {request.text}" if share(request.text, "small") < sure else "I am not sure"
    return Reply(said, model="small-1", usage=Usage(120, 60))


def large(request):
    said = f"answer to {request.text}" if share(request.text, "large") < 0.93 else "no idea"
    return Reply(said, model="large-1", usage=Usage(120, 200))


def surely(request, reply):
    return round(share(request.text, "ease"), 3)
"""
TOML = """
[[tiers]]
name = "small"
backend = { kind = "function", function = "MODULE:small" }
price = { input = 0.5, output = 2.0 }
gate = "MODULE:surely"
accept = 0.6

[[tiers]]
name = "large"
backend = { kind = "function", function = "MODULE:large" }
price = { input = 5.0, output = 25.0 }

[gateway]
keys = false

[gateway.decisions]
texts = true

[gateway.console]
run = "run.db"

[gateway.promises]
quality = { small = 0.9 }
"""


def made(folder: Path, module: str, text: str = TOML) -> Path:
    """The cascade's file, and its models beside it under a name of their own."""
    (folder / f"{module}.py").write_text(MODELS, encoding="utf-8")
    file = folder / "cascade.toml"
    file.write_text(text.replace("MODULE", module), encoding="utf-8")
    return file


def answers(cascade: Cascade, texts: Sequence[str], **fields: Any) -> list[Answer]:
    """What the cascade really answers."""

    async def run() -> list[Answer]:
        return [await cascade.run(Request.of(text, id=f"r{place}", **fields)) for place, text in enumerate(texts)]

    return asyncio.run(run())


def fill(folder: Path, file: Path, n: int, *, texts: bool = True, now: float = NOW, span: float = 3_000.0) -> Decisions:
    """Keep n decisions of the cascade, spread over the seconds before `now`, half of the small tier's graded."""
    name, cascade = next(iter(config.load_all(file).cascades.items()))
    draw, path = random.Random(7), folder / "decisions.db"
    given = answers(cascade, [f"question {place}" if place else HOSTILE for place in range(n)], task="shop")
    writer = Writer(path, texts=texts, now=lambda: now, every=0.005)
    for place, answer in enumerate(given):
        at = now - span * (n - place) / n
        layer, by = layer_of(answer)
        told = Decision(layer, by, at, draw.uniform(0.05, 1.5), f"r{place}", 200, PATH, "team", name, answer)
        writer(replace(told, ladder=cascade))
        if place % 2 and (tier := answer.attempts[0]).score is not None:
            right = float(answer.outcomes["small/answer"].value.text != "I am not sure")
            grade = Graded(tier.tier, right, at + 1, "shop", 0.5, "checked", name, digest(f"r{place}"))
            writer(grade)
    for place in range(n // 10):
        writer(Decision("cache", "memory", now - place, 0.0002, f"c{place}", 200, PATH))
    assert writer.flush(60)
    writer.close()
    return Decisions(path)


def record(folder: Path, file: Path, n: int) -> Path:
    """Ask every tier n cases, into run.db."""
    cases, path = folder / "cases.jsonl", folder / "run.db"
    rows = [
        {"id": f"c{n}", "prompt": f"case {n}", "expected": f"answer to case {n}", "slice": "odd" if n % 2 else "even"}
        for n in range(n)
    ]
    cases.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with Runs(path, make=True) as runs:
        recorder = Recorder(config.load(file), runs, version=version_of(file), grader=grader_of("exact"), named="exact")
        asyncio.run(recorder.run(load_cases(cases)))
    return path


def sight_of(file: Path, decisions: Decisions | None, board: str = "", now: float = NOW) -> Sight:
    """What a gateway of this file would let the console look at."""
    whole = config.load_all(file)
    return Sight(
        whole.cascades, config.load_settings(file), file.parent, file, decisions, lambda: board, now=lambda: now
    )


def asked(sight: Sight, path: str, *, body: Any = None, rest: str = "", **query: str) -> Asked:
    """A call of an operator's."""
    return Asked("GET" if body is None else "POST", path, query, body, Person("ann", "operator"), sight, rest)


def value(said: Said) -> Any:
    """What was said, as a page reads it."""
    return json.loads(json.dumps(said.value, allow_nan=False))
