"""The reference of the commands and of the metrics, as Markdown: what argparse prints, and what Prometheus is told."""

import argparse
import os
from collections.abc import Iterator
from typing import Final
from unittest.mock import patch

from fastcascade import cli
from fastcascade.telemetry.prometheus_kinds import KINDS

__all__ = ["markdown", "metrics"]

SHAPE: Final = {"COLUMNS": "100", "NO_COLOR": "1"}


def markdown() -> str:
    """A section to each command, and to each command of a command."""
    with patch.dict(os.environ, SHAPE):  # the same, whatever the terminal
        return "\n".join(_section(name, parser) for name, parser in _parsers())


def metrics() -> str:
    """A row to each family of metrics."""
    rows = [f"| `{name}` | {kind} | {said} |" for name, (kind, said) in sorted(KINDS.items())]
    return "\n".join(["| metric | type | what it is |", "|---|---|---|", *rows]) + "\n"


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    return f"## `{name}`\n\n```text\n{parser.format_help().strip()}\n```\n"


def _parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for name in cli.COMMANDS:
        whole = cli._parser(name, cli._loaded(name))  # noqa: SLF001 - what the command itself is made with
        yield from _below(f"fastcascade {name}", _named(whole)[name])


def _below(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for inner, each in _named(parser).items():
        yield from _below(f"{name} {inner}", each)


def _named(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser, by name."""
    for action in parser._actions:  # noqa: SLF001 - there is no other way to them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            return dict(action.choices)
    return {}
