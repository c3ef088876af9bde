"""The labelled pairs of `semantic_pairs/`: texts that ask the same, and texts that only look as if they did.

A file has groups of lines: a text, texts that ask the same (`=`), and texts that do not (`!` and the reason). Each
group gives pairs of the text with each of its others, of neighboring paraphrases, and of paraphrases with texts that
differ; each text also meets the first of the next group. What is `systematic` was made from the texts by rule, the
rest was written by hand. `dev` is what the guard's lists were tuned on. `test` was written before the guard was, with
other subjects and other opposites; `fresh` was written after, and nothing was changed for what it showed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["SPLITS", "Group", "Pair", "groups", "pairs"]

FOLDER = Path(__file__).parent / "semantic_pairs"
SPLITS = ("dev", "test", "fresh")
AUXILIARY = re.compile(
    r"^((?:How |When |Where |Why |Who )?(?:do|does|did|can|should|must|is|are) \w+)\b", re.IGNORECASE
)
KINDS = (("How do I", "Why do I"), ("How do I", "When do I"), ("Can I", "When can I"), ("Is ", "Why is "),
         ("What is", "Why is"), ("Do ", "When do "), ("Does ", "How does "), ("Should I", "When should I"))  # fmt: skip
ENDINGS = (
    ("scope", "in one sentence"), ("scope", "as JSON"), ("time", "in 1995"), ("scope", "for my mother"),
    ("name", "in German"), ("time", "next week"), ("scope", "and why"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts, whether they ask the same, and why or why not."""

    a: str
    b: str
    same: bool
    reason: str
    domain: str
    systematic: bool = False


@dataclass(slots=True)
class Group:
    """A text, what asks the same, and what does not."""

    text: str
    domain: str
    same: list[str] = field(default_factory=list)
    different: list[tuple[str, str]] = field(default_factory=list)


def groups(split: str) -> list[Group]:
    """The groups of one file."""
    found: list[Group] = []
    domain = ""
    for line in (FOLDER / f"{split}.txt").read_text("utf-8").splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "#":
            domain = rest
        elif mark == "=":
            found[-1].same.append(rest)
        elif mark == "!":
            reason, _, text = rest.partition(" ")
            found[-1].different.append((reason, text))
        elif line:
            found.append(Group(line, domain))
    return found


def pairs(split: str) -> list[Pair]:
    """All pairs of one file, each once."""
    every = groups(split)
    found: dict[frozenset[str], Pair] = {}
    for at, group in enumerate(every):
        for pair in (*_written(group, every[(at + 1) % len(every)]), *_made(group, at)):
            if pair.a != pair.b:
                found.setdefault(frozenset((pair.a, pair.b)), pair)
    return list(found.values())


def _written(group: Group, following: Group) -> Iterator[Pair]:
    text, domain = group.text, group.domain
    for at, other in enumerate(group.same):
        yield Pair(text, other, True, "paraphrase", domain)
        if at:
            yield Pair(group.same[at - 1], other, True, "paraphrase", domain)
    for at, (reason, other) in enumerate(group.different):
        yield Pair(text, other, False, reason, domain)
        if group.same:
            yield Pair(group.same[at % len(group.same)], other, False, reason, domain)
    if group.domain == following.domain:
        yield Pair(text, following.text, False, "topic", domain)


def _made(group: Group, at: int) -> Iterator[Pair]:
    """What a rule makes of the text."""
    text, domain = group.text, group.domain
    bare = text.rstrip("?.!")
    for other in (text.lower(), f"{bare}, please{text[len(bare) :]}", f"Hello, {text[0].lower()}{text[1:]} Thanks!"):
        if text[0] != "I":
            yield Pair(text, other, True, "paraphrase", domain, True)
    reason, ending = ENDINGS[at % len(ENDINGS)]
    yield Pair(text, f"{bare} {ending}{text[len(bare) :]}", False, reason, domain, True)
    if re.search(r"\d", text):
        changed = re.sub(r"\d+", lambda m: str(int(m[0]) + 1), text, count=1)
        yield Pair(text, changed, False, "number", domain, True)
    if AUXILIARY.match(text):
        yield Pair(text, AUXILIARY.sub(r"\1 not", text, count=1), False, "negation", domain, True)
    for kind, other in KINDS:
        if text.startswith(kind):
            yield Pair(text, other + text[len(kind) :], False, "kind", domain, True)
            break
