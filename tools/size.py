"""Print how long each source file is against its budget, and fail when one is over the hard limit.

Lines are counted as they stand, blank ones too; a Rust file's inline tests are not. A stub is shown only: it is as
long as the module it describes has names, and cannot be split.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
HARD_LIMIT = 400
BUDGETS = {".rs": 300, ".py": 250}
VAGUE = {"utils", "helpers", "common", "base", "manager"}
INLINE_TESTS = re.compile(r"^#\[cfg\(test\)\]\nmod \w+ \{$", re.MULTILINE)


class Counted(NamedTuple):
    """One file: its lines, those that document it, and those that are other comments."""

    path: Path
    lines: int
    docs: int
    comments: int

    @property
    def over(self) -> str:
        """What the file breaks, if anything."""
        if self.path.stem in VAGUE:
            return "a name that says nothing"
        budget = BUDGETS.get(self.path.suffix, self.lines)
        if self.lines <= budget:
            return ""
        return f"over the limit of {HARD_LIMIT}" if self.lines > HARD_LIMIT else f"over its {budget}"

    @property
    def failed(self) -> bool:
        """Whether that is more than a few lines too many."""
        return bool(self.over) and (self.lines > HARD_LIMIT or self.path.stem in VAGUE)


def count_rust(path: Path) -> Counted:
    """Count a Rust file, up to its inline tests."""
    text = path.read_text(encoding="utf-8")
    tests = INLINE_TESTS.search(text)
    lines = [line.lstrip() for line in text[: tests.start() if tests else None].splitlines()]
    docs = sum(line.startswith(("///", "//!")) for line in lines)
    comments = sum(line.startswith("//") for line in lines) - docs
    return Counted(path, len(lines), docs, comments)


def count_python(path: Path) -> Counted:
    """Count a Python file; its docstrings are its documentation."""
    text = path.read_text(encoding="utf-8")
    docs = sum(last - first + 1 for first, last in docstrings(ast.parse(text)))
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = sum(token.type == tokenize.COMMENT and token.line.lstrip().startswith("#") for token in tokens)
    return Counted(path, len(text.splitlines()), docs, comments)


def docstrings(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """Yield the first and last line of every docstring."""
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if ast.get_docstring(node):
                yield node.body[0].lineno, node.body[0].end_lineno or node.body[0].lineno


def function_lengths(path: Path) -> Iterator[int]:
    """Yield the lines of each function's body, its docstring left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[ast.get_docstring(node) is not None :]
            yield (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def share(counted: list[Counted]) -> str:
    """Sum up a language."""
    lines = sum(one.lines for one in counted)
    docs, comments = sum(one.docs for one in counted), sum(one.comments for one in counted)
    return f"{len(counted)} files, {lines} lines, docs {docs / lines:.0%}, other comments {comments / lines:.0%}"


def main(*, quiet: bool) -> int:
    """Print every file, longest first, then what they come to."""
    rust = [count_rust(path) for path in ROOT.glob("rust/**/*.rs")]
    python = [count_python(path) for path in ROOT.glob("python/**/*.py*") if path.suffix in {".py", ".pyi"}]
    counted = sorted(rust + python, key=lambda one: -one.lines)
    for one in counted:
        if one.over or not quiet:
            docs = one.docs / max(one.lines, 1)
            print(f"{one.lines:5} {docs:4.0%} docs  {one.path.relative_to(ROOT)}  {one.over}".rstrip())
    if not quiet:
        tests = sum(count_rust(path).lines for path in ROOT.glob("tests/**/*.rs"))
        tests += sum(count_python(path).lines for path in ROOT.glob("tests/**/*.py"))
        lengths = [lines for one in python if one.path.suffix == ".py" for lines in function_lengths(one.path)]
        print(f"rust    {share(rust)} (docs wanted: 20 to 30%)")
        print(f"python  {share(python)} (docs wanted: 20 to 25%)")
        print(f"python  functions: median {median(lengths):.0f} lines, p90 {quantiles(lengths, n=10)[-1]:.0f}")
        print(f"tests   {tests / sum(one.lines for one in counted):.2f} lines for each line of source")
    failed = [one for one in counted if one.failed]
    print(f"size: {len(failed)} of {len(counted)} files cannot stay as they are")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(quiet="--quiet" in sys.argv[1:]))
