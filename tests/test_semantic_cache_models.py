"""The semantic cache with a real model, on the labelled set: what is served wrongly, and what is still answered."""

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from fastcascade.caching.semantic import SemanticCache
from fastcascade.embedders import Model2Vec
from semantic_set import SPLITS, pairs


def test_with_a_real_model_the_cache_serves_hardly_a_wrong_answer(
    record_property: Callable[[str, object], None],
) -> None:
    """At the default threshold 1 in 200 of hard different pairs hits at most; without the guard more than half do.

    Each pair goes through a cache of its own: one text is added, the other is asked.
    """
    package = find_spec("static_model")
    if package is None or package.origin is None or find_spec("model2vec") is None:
        pytest.skip("model2vec and a model are not installed: no real model to ask")
    embedder = Model2Vec(Path(package.origin).parent / "model")
    every = [pair for split in SPLITS for pair in pairs(split)]
    texts = sorted({text for pair in every for text in (pair.a, pair.b)})
    vectors = dict(zip(texts, asyncio.run(embedder(texts)), strict=True))
    rates: dict[str, float] = {}
    for name, settings in (("guard", {}), ("no guard", {"guard": None})):
        cache = SemanticCache(embedder, **settings)  # type: ignore[arg-type] # a guard or none
        hits = {True: 0, False: 0}
        for pair in every:
            cache.add(vectors[pair.a], pair.a, b"", pair, 0.0)
            hits[pair.same] += cache.find(vectors[pair.b], pair.b, b"", 0.0) is not None
            cache.drop()
        for same, word in ((True, "kept"), (False, "false")):
            rates[f"{word}, {name}"] = hits[same] / sum(pair.same is same for pair in every)
    for name, rate in rates.items():
        record_property(name, round(rate, 4))
    assert rates["false, guard"] <= 0.005, rates
    assert rates["false, no guard"] > 0.5, rates
    assert rates["kept, guard"] >= 0.4, rates
