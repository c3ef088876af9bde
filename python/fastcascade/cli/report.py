"""Plain aligned text."""

import sys
from collections.abc import Sequence

from fastcascade.cli.figures import EDGES

__all__ = ["bars", "number", "share", "table", "warn"]

BLOCKS = " ▁▂▃▄▅▆▇█"
PLAIN = " .:-=+*#%@"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Columns as wide as they must be: the first `left` flush left, the others right, the last left if it is a note."""
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [
            cell.ljust(width) if at < left or head[at] == "note" else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def number(value: float | None) -> str:
    """A figure at the precision it deserves; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"


def share(part: int, whole: int) -> str:
    """A percentage with two digits behind the point."""
    return f"{100 * part / whole:.2f} %" if whole else "-"


def bars(rows: Sequence[tuple[str, Sequence[int]]], *, plain: bool) -> list[str]:
    """A histogram a line, one column a bucket: the bar, and what share of the calls it stands for."""
    used = [at for at in range(len(EDGES)) if any(counts[at] for _, counts in rows)]
    if not used:
        return []
    span = range(used[0], used[-1] + 1)
    head = ["from ns", *(f"{EDGES[at]:,}" for at in span)]
    head[-1] += "+" if span[-1] == len(EDGES) - 1 else ""
    return table(head, [[name, *(_cell(counts[at], sum(counts), plain=plain) for at in span)] for name, counts in rows])


def _cell(count: int, total: int, *, plain: bool) -> str:
    if count == 0:
        return "."
    blocks = PLAIN if plain else BLOCKS
    bar = blocks[max(1, round(count / total * (len(blocks) - 1)))]
    percent = 100 * count / total
    return f"{bar} {percent:.1f}" if percent >= 0.05 else f"{bar} <.1"


def warn(text: str) -> None:
    """To the error stream, so that output stays what it is."""
    print(f"fastcascade: {text}", file=sys.stderr)
