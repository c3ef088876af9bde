"""How often a semantic cache would serve the answer to another question, with its guard and without, and what it keeps.

    python benches/semantic_cache.py                                  # the small model of the tests, and hashed letters
    python benches/semantic_cache.py --model2vec FOLDER --sentence-transformers FOLDER --openai text-embedding-3-small

The pairs are those of `tests/semantic_pairs/`. "false" is the share of pairs that ask for different things of which
one would be served the other's answer; "kept" the share of paraphrases that would hit. In brackets are the exact
(Clopper-Pearson) intervals of 95 %. Pairs of one group have texts in common, so the intervals are narrower than those
of as many pairs drawn at random. The questions are hard ones: real traffic has mostly pairs that are far apart.
"""

import argparse
import asyncio
import sys
from array import array
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from time import process_time
from typing import Any
from zlib import crc32

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fastcascade._core import cosine
from fastcascade.caching.semantic import SemanticCache
from fastcascade.caching.semantic_guard import Guard
from fastcascade.embedders import Model2Vec, OpenAIEmbedder, SentenceTransformer, Vector, as_embedder
from fastcascade.evals.bounds import exact_interval
from semantic_set import SPLITS, Pair, pairs

DIM = 256


def hashed(texts: Sequence[str]) -> list[Vector]:
    """Three letters at a time, each at a place by its checksum: what an embedder should better."""
    rows = []
    for text in texts:
        row = array("f", bytes(4 * DIM))
        low = f"  {text.lower()} "
        for at in range(len(low) - 2):
            row[crc32(low[at : at + 3].encode()) % DIM] += 1.0
        rows.append(row)
    return rows


def share(count: int, total: int) -> str:
    low, high = (float(end) for end in exact_interval(count, total))
    return f"{100 * count / total:5.1f} [{100 * low:4.1f}, {100 * high:4.1f}]"


def table(name: str, embedder: Any, thresholds: Sequence[float]) -> None:
    guard = Guard()
    print(f"\n{name}\n{'split':14} {'least':>5} | {'false, no guard':>20} {'false, guard':>20} | "
          f"{'kept, no guard':>20} {'kept, guard':>20} | pairs")  # fmt: skip
    for split in SPLITS:
        every = pairs(split)
        if not every:
            continue
        texts = sorted({text for pair in every for text in (pair.a, pair.b)})
        vectors = dict(zip(texts, asyncio.run(as_embedder(embedder)(texts)), strict=True))
        near = [cosine(vectors[pair.a], vectors[pair.b]) for pair in every]
        passed = [guard.same(pair.a, pair.b) for pair in every]
        for part, chosen in (("", [True] * len(every)), (", by hand", [not pair.systematic for pair in every])):
            for least in thresholds:
                print(line(f"{split}{part}", least, every, near, passed, chosen))


def line(name: str, least: float, every: list[Pair], near: list[float], passed: list[bool], chosen: list[bool]) -> str:
    cells = []
    for same in (False, True):
        at = [i for i, pair in enumerate(every) if pair.same is same and chosen[i]]
        cells.append(share(sum(near[i] >= least for i in at), len(at)))
        cells.append(share(sum(near[i] >= least and passed[i] for i in at), len(at)))
    counts = [sum(pair.same is same and chosen[i] for i, pair in enumerate(every)) for same in (False, True)]
    return (f"{name:14} {least:5.2f} | {cells[0]:>20} {cells[1]:>20} | {cells[2]:>20} {cells[3]:>20} | "
            f"{counts[0]} different, {counts[1]} same")  # fmt: skip


def speed() -> None:
    texts = [pair.a for pair in pairs("dev")]
    guard = Guard()
    best = min(timed(lambda: [guard.form(text) for text in texts]) for _ in range(5))
    print(f"\nguard: {1e6 * best / len(texts):.0f} us a text")
    draw = Random(7)
    rows = [array("f", [draw.gauss(0, 1) for _ in range(DIM)]) for _ in range(10_000)]

    for name, kept in (("with forms", guard), ("searched, no guard", None)):
        cache = SemanticCache(hashed, threshold=0.9, guard=kept)
        texts = [f"What is number {at}?" for at in range(len(rows))]
        filled = timed(lambda c=cache, t=texts: [c.add(row, t[at], b"", at, 0.0) for at, row in enumerate(rows)])
        query = array("f", [(-1.0) ** i for i in range(DIM)])
        hit = fastest(lambda c=cache, t=texts: [c.find(rows[at], t[at], b"", 1.0) for at in range(0, len(rows), 50)])
        miss = fastest(lambda c=cache, q=query: [c.find(q, "What is the number?", b"", 1.0) for _ in range(200)])
        print(f"10,000 x {DIM}, {name}: hit {hit:.0f} us, miss {miss:.0f} us, add {filled * 100:.0f} us")


def fastest(work: Any) -> float:
    """Microseconds for one of 200."""
    return min(timed(work) for _ in range(5)) * 1e6 / 200


def timed(work: Any) -> float:
    """Of the processor's time: other work on the machine does not count."""
    began = process_time()
    work()
    return process_time() - began


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model2vec", metavar="FOLDER")
    parser.add_argument("--sentence-transformers", metavar="FOLDER")
    parser.add_argument("--openai", metavar="MODEL")
    parser.add_argument("--base-url")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.7, 0.8, 0.9])
    args = parser.parse_args(argv)
    chosen: list[tuple[str, Any]] = []
    if args.model2vec:
        chosen.append((f"model2vec {Path(args.model2vec).name}", Model2Vec(args.model2vec)))
    if args.sentence_transformers:
        name = Path(args.sentence_transformers).name
        chosen.append((f"sentence-transformers {name}", SentenceTransformer(args.sentence_transformers)))
    if args.openai:
        chosen.append((f"openai {args.openai}", OpenAIEmbedder(args.openai, base_url=args.base_url)))
    if not chosen:
        found = find_spec("static_model")
        if found is not None and found.origin is not None:
            chosen.append(("tokenlearn-static-model, 64", Model2Vec(Path(found.origin).parent / "model")))
        chosen.append((f"hashed letters, {DIM}", hashed))
    for name, embedder in chosen:
        table(name, embedder, args.thresholds)
    speed()
    return 0


if __name__ == "__main__":
    sys.exit(main())
