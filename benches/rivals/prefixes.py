"""Longest prefix: the literal directories of four real route tables, asked for the longest that begins a path."""

import random
from typing import Any

from cython_core import core
from harness import Contender, Inline, Job, timed
from inputs import SEED, prefixes, word
from ours import fastcascade
from report import run

COUNT = 193


def _requests(stems: list[str], count: int) -> list[tuple[str, str]]:
    """(path, its longest prefix): a directory and one to three random segments behind it; drawn from a pool."""
    rng = random.Random(SEED)
    pool = [(stem + "/".join(word(rng) for _ in range(rng.randint(1, 3))), stem) for stem in stems for _ in range(5)]
    return rng.choices(pool, k=count)


def _marisa(stems: list[str]) -> Inline:
    import marisa_trie

    trie = marisa_trie.Trie(stems)
    return Inline("prefixes(a)[-1]", prefixes=trie.prefixes)


def _datrie(stems: list[str], method: str) -> Inline:
    import string

    import datrie

    trie = datrie.Trie(string.printable)
    for stem in stems:
        trie[stem] = stem
    return Inline("find(a)", find=getattr(trie, method))


def _pygtrie(stems: list[str]) -> Inline:
    import pygtrie

    trie = pygtrie.StringTrie(separator="/")
    for stem in stems:
        trie[stem.removesuffix("/")] = stem
    return Inline("find(a).value", find=trie.longest_prefix)


def _ours(stems: list[str]) -> Any:
    return fastcascade().Router({stem + "{rest...}": stem for stem in stems})


def _cython(stems: list[str]) -> Any:
    return core().Tree([(stem + "{rest...}", None, stem) for stem in stems])


def _python(stems: list[str]) -> Any:
    table = dict(zip(stems, stems, strict=True))

    def find(path: str) -> str | None:
        end = path.rfind("/")
        while end >= 0:
            found = table.get(path[: end + 1])
            if found is not None:
                return found
            end = path.rfind("/", 0, end)
        return None

    return find


def main(quick: bool) -> dict[str, Any]:
    """One table: the target of the longest prefix."""
    found = prefixes()
    stems = sorted(random.Random(SEED).sample(found, min(COUNT, len(found))))
    asked = _requests(stems, 10_000)
    job = Job("prefixes", [(path,) for path, _ in asked], [stem for _, stem in asked])
    full = dict(asked)
    rows = [
        Contender(
            "dict of full paths",
            lambda: Inline("get(a)", get=full.get),
            role="limit",
            note="each path known beforehand",
        ),
        Contender(
            "fastcascade lookup",
            lambda: Inline("find(a)", find=_ours(stems).lookup),
            package="fastcascade",
            role="ours",
        ),
        Contender(
            "fastcascade match + params",
            lambda: Inline("m(a).target", "m(a).params", m=_ours(stems).match),
            package="fastcascade",
            note="with the rest of the path",
        ),
        Contender("cython tree lookup", lambda: Inline("find(a)", find=_cython(stems).lookup), package="Cython"),
        Contender(
            "cython tree match",
            lambda: Inline("find(a)[0]", "find(a)", find=_cython(stems).match),
            package="Cython",
            note="with the rest of the path",
        ),
        Contender("datrie value", lambda: _datrie(stems, "longest_prefix_value"), package="datrie"),
        Contender(
            "datrie item",
            lambda: _datrie(stems, "longest_prefix_item"),
            package="datrie",
            answer=lambda item: item[1],
            note="with the prefix",
        ),
        Contender(
            "marisa-trie", lambda: _marisa(stems), package="marisa-trie", note="all prefixes, the last taken; no value"
        ),
        Contender("pygtrie", lambda: _pygtrie(stems), package="pygtrie"),
        Contender("dict of prefixes, rfind('/') loop", lambda: _python(stems), note="segments only"),
    ]
    return {"prefixes": timed(f"prefixes: longest of {len(stems)} prefixes (of {len(found)} found)", rows, job, quick)}


if __name__ == "__main__":
    run(main, __doc__)
