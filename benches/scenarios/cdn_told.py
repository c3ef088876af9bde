"""What the CDN scenario prints."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from cdn_client import Asked
from cdn_model import EDGE, TARGET, Shares

__all__ = ["LEVELS", "by_level", "model_tables", "percentile", "run_table"]

LEVELS: Final = ("edge", "shield", "joined", "origin")
POINTS: Final = (50, 95, 99)


def percentile(values: Sequence[float], point: float) -> float:
    """Of values in order, the least that so many percent are not above."""
    return values[min(len(values) - 1, int(len(values) * point / 100))] if values else 0.0


def by_level(asked: Iterable[Asked]) -> dict[str, dict[str, float]]:
    """Requests, milliseconds and bytes of each level, and of all."""
    groups: dict[str, list[Asked]] = {level: [] for level in (*LEVELS, "all")}
    for each in asked:
        groups.setdefault(each.level, []).append(each)
        groups["all"].append(each)
    count = len(groups["all"])
    found = {}
    for level, mine in groups.items():
        took = sorted(1e3 * each.seconds for each in mine)
        found[level] = {
            "requests": len(mine),
            "share": len(mine) / max(1, count),
            **{f"p{point}_ms": percentile(took, point) for point in POINTS},
            "bytes": sum(each.size for each in mine),
        }
    return found


def run_table(levels: dict[str, dict[str, float]], told: dict[str, str]) -> None:
    """A row a level."""
    print(f"\n{'level':<10}{'requests':>10}{'share':>9}" + "".join(f"{f'p{p} ms':>10}" for p in POINTS) + f"{'MB':>9}")
    for level, row in levels.items():
        figures = "".join(f"{row[f'p{point}_ms']:>10.1f}" for point in POINTS) if row["requests"] else f"{'-':>10}" * 3
        print(
            f"{level:<10}{row['requests']:>10,}{row['share']:>9.2%}{figures}{row['bytes'] / 1e6:>9.2f}"
            f"  {told.get(level, '')}"
        )


def model_tables(rows: Sequence[dict[str, Any]], edges: int) -> None:
    """What every trace would give, so that one can be judged beside the others."""
    print(
        f"\n## every trace: can {TARGET:.0%} of requests be answered by an edge at all?\n\n"
        "bound: an edge that keeps everything; what it misses are first requests, which no policy avoids. least: the\n"
        f"smallest LRU edge that has {TARGET:.0%}, as a share of the trace's keys. cold: all of the trace; warm: its\n"
        f"second half, behind the first. {edges} edges: each request comes to one, drawn at random.\n"
    )
    two = f"{edges} edges"
    heads = ("1 edge cold", "warm", f"{two} cold", "warm", "least cold", "warm")
    print(f"{'trace':<20}{'requests':>10}{'keys':>9}" + "".join(f"{head:>13}" for head in heads))
    for row in rows:
        bounds = [row[which][when] for which in ("bound_one_edge", "bound") for when in ("cold", "warm")]
        least = [row["least"][when] for when in ("cold", "warm")]
        cells = [f"{100 * each:.1f} %" for each in bounds] + [f"{each:.0%}" if each else "never" for each in least]
        print(f"{row['trace']:<20}{row['requests']:>10,}{row['keys']:>9,}" + "".join(f"{cell:>13}" for cell in cells))
    print()
    for when in ("cold", "warm"):
        able = [f"{row['trace']} ({row['least'][when]:.0%})" for row in rows if row["least"][when]]
        print(
            f"{when}: {len(able)} of {len(rows)} can have {TARGET:.0%}"
            + (f", with edges of so many of their keys: {', '.join(able)}" if able else "")
            + ("; in the others too much is asked for the first time" if len(able) < len(rows) else "")
        )
    for when in ("cold", "warm"):
        print(f"\n## {when}: edge/shield/origin in %, by the size of each edge in keys; the shield keeps all\n")
        _grid(rows, "edges", when)
    print("\n## warm, edges of 10 % (LRU), by the size of the shield\n")
    _grid(rows, "shields", "warm")


def _grid(rows: Sequence[dict[str, Any]], what: str, when: str) -> None:
    names = list(rows[0][what])
    print(f"{'trace':<20}" + "".join(f"{name:>16}" for name in names))
    for row in rows:
        cells: list[Shares] = [row[what][name][when] for name in names]
        print(f"{row['trace']:<20}" + "".join(f"{str(cell) + _mark(cell):>16}" for cell in cells))


def _mark(shares: Shares) -> str:
    return "*" if shares.of(EDGE) >= TARGET else " "
