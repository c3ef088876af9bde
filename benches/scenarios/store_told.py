"""How the store's scenario tells what it found, and what of that is ill."""

import math
from collections.abc import Sequence
from typing import Any, Final

RETURN: Final = 5.0
"""Seconds within which shared limits are to be back."""


def ill(told: dict[str, Any]) -> list[str]:
    """What should not be, in words."""
    found: list[str] = []
    if told["part"] == "exact":
        if told["misses"]["calls"] != 1:
            found.append(f"{told['misses']['calls']} calls for one question")
        return found
    failed = dict(told["whole"]["failed"])
    if told["off"] == "closed":
        failed.pop("503", None)  # as it was told
    if failed:
        found.append(f"requests failed: {failed}")
    for key, book in told["books"].items():
        if book["charged"] != book["kept"]:
            found.append(f"{key}: charged {book['charged']}, kept {book['kept']} nano-dollars")
        if book["answered"] != book["counted"]:
            found.append(f"{key}: {book['answered']} answered, {book['counted']} counted")
    late = [key for key, seconds in told["returned"].items() if seconds > RETURN]
    if late or len(told["returned"]) < 3:
        found.append(f"limits that are not shared again within {RETURN:g} s: {late or told['returned']}")
    if told["purge"]["seconds"] == math.inf:
        found.append("a purge has not arrived")
    if told["complaints"]:
        found.append(f"the gateways complain: {told['complaints'][:3]}")
    return found


def drill(told: dict[str, Any]) -> None:
    """Print what happened to a store."""
    what = {"cluster": "the primary that was killed returned as a replica", "cut": "healed"}.get(told["part"], "back")
    print(f"\n## {told['part']}: away for {told['gone']:.1f} s, {what} after {told['started']:.2f} s "
          f"(the load itself late by {told['lag']:.1f} ms, p99)\n")  # fmt: skip
    print(f"{'window':<15}{'s':>6}{'asked':>8}{'failed':>8}{'p50 ms':>9}{'p99 ms':>9}{'most':>9}"
          f"{'limit, both':>13}{'by gateway':>15}{'own':>13}")  # fmt: skip
    for row, let in zip(told["times"], told["admitted"], strict=True):
        print(
            f"{row['window']:<15}{row['seconds']:>6.1f}{row['asked']:>8,}{sum(row['failed'].values()):>8}"
            f"{row['p50']:>9.1f}{row['p99']:>9.1f}{row['most']:>9.1f}{let['shared']:>13.3f}"
            f"{_pair(let['by gateway']):>15}{_pair((let['own0'], let['own1'])):>13}"
        )
    print("\nlimits are what was let in over the exact figure; own: a key that is asked at one gateway alone")
    for key, counts in told["seconds"].items():
        print(f"  {key:<8} let in by second from the return's beginning: {' '.join(map(str, counts))}")
    returned = ", ".join(f"{key} {seconds:.2f} s" for key, seconds in told["returned"].items())
    since = "the kill" if told["part"] == "cluster" else "its return"
    print(f"limits are shared again, from {since}: {returned}")
    purge = told["purge"]
    where = "told everywhere at once" if purge["everywhere"] else "not told everywhere at once, as it said"
    print(f"a purge asked for meanwhile: {where}; at the other gateway {purge['seconds']:.2f} s after "
          f"{'it was asked for' if purge['at once'] else 'the return'}")  # fmt: skip
    for key, book in told["books"].items():
        print(f"  {key:<8} charged ${book['charged'] / 1e9:.6f}, in the account ${book['kept'] / 1e9:.6f}; "
              f"{book['answered']:,} answered, {book['counted']:,} counted")  # fmt: skip
    for number in (0, 1):
        rows = [row[number] for row in told["held"]]
        memory, files = (" ".join(f"{row[name]:.0f}" for row in rows) for name in ("mb", "files"))
        print(f"gateway {number}, at the beginning, as it went, before its return, at the end: "
              f"{memory} MB; {files} descriptors")  # fmt: skip
    _ended(told)


def exact(told: dict[str, Any]) -> None:
    """Print what is exact while the store is there."""
    print("\n## with the store there\n")
    for row in told["limits"]:
        print(f"a limit of {row['rate']:g}/s, burst {row['burst']:g}, asked {row['asked']:g} times a second of two "
              f"gateways for {row['seconds']:.0f} s: {row['admitted']:,} let in, {row['whole']:+.2%} of the exact "
              f"figure;")  # fmt: skip
        for each in row["windows"]:
            print(
                f"    any {each['seconds']:g} s: at most {each['law']:+.2%} beyond burst + rate; once it is used up "
                f"{each['least']:+.2%} to {each['most']:+.2%} off the rate, by when answers came"
            )
    misses = told["misses"]
    print(f"{misses['asked']:,} identical misses at both: {misses['calls']} upstream call, {misses['texts']} answer, "
          f"in {misses['seconds']:.2f} s")  # fmt: skip
    purges = sorted(told["purges"])
    print(f"{len(purges)} purges, seen by the other gateway after {purges[len(purges) // 2]:.1f} ms (median), "
          f"{purges[-1]:.1f} ms (worst)")  # fmt: skip
    print("commands at Redis for each request (INFO commandstats):")
    for name, counts in told["trips"].items():
        said = ", ".join(f"{command} {count:g}" for command, count in counts.items()) or "none"
        print(f"    {name:<44} {said}")
    print("processor time for each request, 32 at once, in us: at the gateway, at Redis (and requests a second)")
    for name, each in told["processor"].items():
        print(f"    {name:<44} {each['gateway']:>6.0f}{each['server']:>6.0f}{each['rate']:>8,.0f}")
    _ended(told)


def _pair(values: Sequence[float]) -> str:
    return " + ".join(f"{each:.2f}" for each in values)


def _ended(told: dict[str, Any]) -> None:
    for each in ill(told) or ["all is as it should be"]:
        print(f"=> {each}")
