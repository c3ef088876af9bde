"""The reference of the API, as Markdown: the public names of each module, read from the sources and not by importing.

So what needs an extra is there too, signatures have their defaults as they are written, and the compiled core is read
from its stub, which is its manual.
"""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

__all__ = ["MODULES", "SOURCES", "Name", "markdown", "names"]

SOURCES: Final = Path(__file__).resolve().parent.parent / "python"
MODULES: Final = (
    *("fastcascade", "fastcascade.backends", "fastcascade.gates", "fastcascade.entry", "fastcascade.fallbacks"),
    *("fastcascade.caching", "fastcascade.embedders", "fastcascade.guards", "fastcascade.dependency"),
    *("fastcascade.evals", "fastcascade.evals.graders", "fastcascade.reviews", "fastcascade.stores"),
    *("fastcascade.telemetry", "fastcascade.notices", "fastcascade.drills", "fastcascade.testing"),
    *("fastcascade.telemetry.tracing", "fastcascade.telemetry.logs", "fastcascade.wire.endpoint", "fastcascade.shared"),
    "fastcascade.config",
)
SECTION: Final = re.compile(r"^(Args|Raises|Returns|Yields|Attributes):$", re.MULTILINE)
ARG: Final = re.compile(r"^    (\*{0,2}\w+): ", re.MULTILINE)
Def = ast.FunctionDef | ast.AsyncFunctionDef
Described: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Name(NamedTuple):
    """A public name: what it is called, what is written there, and what stands below it as its description."""

    name: str
    node: ast.stmt
    said: str


def markdown(module: str) -> str:
    """A module's page."""
    said = ast.get_docstring(_tree(module)) or ""
    parts = [f"# {module}\n", _prose(said), f"```{{py:module}} {module}\n```\n"]
    return "\n".join([*parts, *(_shown(each) for each in names(module))])


def names(module: str) -> list[Name]:
    """The names of its `__all__`, each with what defines it, wherever that is."""
    return [_found(module, name) for name in _listed(module)]


# Finding.


@cache
def _tree(module: str) -> ast.Module:
    """A module, with the constants that are defaults in the place of their names."""
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    known = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(value := getattr(node, "value", None), ast.Constant):
            known[target.id] = value
    for inner in ast.walk(tree):
        if isinstance(inner, ast.arguments):
            inner.defaults = [_plain(each, known) for each in inner.defaults]
            inner.kw_defaults = [each and _plain(each, known) for each in inner.kw_defaults]
        elif isinstance(inner, ast.AnnAssign) and inner.value is not None:
            inner.value = _plain(inner.value, known)
    return tree


def _plain(node: ast.expr, known: Mapping[str, ast.Constant]) -> ast.expr:
    return known.get(node.id, node) if isinstance(node, ast.Name) else node


def _file(module: str) -> Path:
    place = SOURCES.joinpath(*module.split("."))
    files = [place / "__init__.py", place.with_suffix(".py"), place.with_suffix(".pyi")]
    return next(each for each in files if each.exists())


def _listed(module: str) -> list[str]:
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return sorted(ast.literal_eval(node.value), key=str.casefold)
    raise LookupError(f"{module} has no __all__")


def _found(module: str, name: str, asked: str = "") -> Name:
    """Where a name is defined: here, or where it is imported from, also for type checkers alone."""
    body = list(_statements(_tree(module)))
    same = [each for each in body if isinstance(each, ast.ClassDef | Def) and each.name == name]
    if same:
        defined = _whole(same)
        return Name(asked or name, defined, _described(defined))
    for place, node in enumerate(body):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == name:
                return Name(asked or name, node, _text(body[place + 1]) if place + 1 < len(body) else "")
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _found(node.module, alias.name, asked or name)
    raise LookupError(f"{module}.{name} is defined nowhere")


def _whole(same: Sequence[Described]) -> Described:
    """Of several overloads the one that has the description."""
    return next((each for each in same if ast.get_docstring(each)), same[-1])


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in tree.body:
        yield node
        if isinstance(node, ast.If):
            yield from node.body


def _text(node: ast.stmt) -> str:
    """A text that stands alone below a name."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _described(node: Described) -> str:
    """Its docstring; of a class what its constructor says besides."""
    said = ast.get_docstring(node) or ""
    if isinstance(node, ast.ClassDef) and (made := _method(node, "__init__")) is not None:
        more = ast.get_docstring(made) or ""
        said = "\n\n".join(filter(None, [said, more if SECTION.search(more) else ""]))
    return said


def _method(node: ast.ClassDef, name: str) -> Def | None:
    return next((each for each in node.body if isinstance(each, Def) and each.name == name), None)


# Writing.


def _shown(each: Name) -> str:
    """A heading to find it by, its signature, what is said of it, and its methods."""
    node = each.node
    if isinstance(node, ast.ClassDef):
        methods: dict[str, list[Described]] = {}
        for inner in node.body:
            if isinstance(inner, Def):
                methods.setdefault(inner.name, []).append(inner)
        below = [_below(_whole(same)) for same in methods.values()]
        return _object("class", each.name + _making(node), each.said, "\n".join(filter(None, below)), 5)
    if isinstance(node, Def):
        return _object("function", _signature(node, each.name), each.said, "", 4)
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    said = f"`{ast.unparse(value)}`" if value is not None else ""
    return _object("data", each.name, "\n\n".join(filter(None, [each.said, said])), "", 4)


def _below(node: Described) -> str:
    """A method or a property, if it is for others."""
    said = ast.get_docstring(node) or ""
    if not isinstance(node, Def) or node.name.startswith("_"):
        return ""
    marks = {ast.unparse(mark) for mark in node.decorator_list}
    if "property" in marks:
        return _object("property", node.name, said, "", 4)
    kind = "classmethod" if "classmethod" in marks else "method"
    return _object(kind, _signature(node, node.name, bound="staticmethod" not in marks), said, "", 4)


def _object(kind: str, head: str, said: str, below: str, fence: int) -> str:
    inner = "\n".join(filter(None, [_prose(said), below]))
    return f"{':' * fence}{{py:{kind}}} {head}\n\n{inner}\n{':' * fence}\n"


def _making(node: ast.ClassDef) -> str:
    """The parameters of a class: of its constructor, or its fields."""
    for name in ("__init__", "__new__"):
        if (made := _method(node, name)) is not None:
            return _signature(made, "", bound=True)
    if not any("dataclass" in ast.unparse(mark) for mark in node.decorator_list):
        return ""
    fields = [each for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)]
    return f"({', '.join(_field(each) for each in fields if 'ClassVar' not in ast.unparse(each.annotation))})"


def _field(node: ast.AnnAssign) -> str:
    name, hint = ast.unparse(node.target), ast.unparse(node.annotation).strip("'\"")
    if node.value is None:
        return f"{name}: {hint}"
    value = ast.unparse(node.value)
    return f"{name}: {hint} = {'...' if value.startswith('field(') else value}"


def _signature(node: Def, name: str, *, bound: bool = False) -> str:
    said, first = ast.unparse(node.args), (node.args.posonlyargs + node.args.args)[:1]
    if bound and first:  # without the object itself
        own = ast.unparse(ast.arguments([], [first[0]], None, [], [], None, []))
        said = re.sub(r"^[, ]*(/(, |$))?", "", said.removeprefix(own))
    back = f" -> {ast.unparse(node.returns)}" if node.returns is not None and name else ""
    return f"{name}({said}){back}".replace("\n", " ")


def _prose(said: str) -> str:
    """A docstring as Markdown: what it says of parameters becomes a list."""
    parts = SECTION.split(said)
    told = [parts[0].rstrip()]
    for head, text in zip(parts[1::2], parts[2::2], strict=True):
        block, _, rest = text.lstrip("\n").partition("\n\n")
        lines = ARG.sub(lambda found: f"- `{found[1]}`: ", block) if ARG.search(block) else block
        told.append(f"*{head}*\n\n" + re.sub(r"^ {4,}", "  ", lines, flags=re.MULTILINE))
        told.append(inspect.cleandoc(rest) if rest else "")
    return "\n\n".join(filter(None, told)) + "\n"
