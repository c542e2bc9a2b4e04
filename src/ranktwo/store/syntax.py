"""The top-level statements of a module: what each means, without text for people, and the names that it uses.

To parse the package takes most of a second, and many processes need it. So what a text comes to is kept beside its
module, in `__pycache__`, under a hash of the text, of this file and of Python's version.
"""

import ast
import pickle
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ranktwo.store import derived

TEXTS = {"column": ("meaning", "unit"), "analysis": ("rows",), "UserError": (), "print": ()}
"""Calls with text for people: every text among their unnamed arguments, and the named arguments listed here."""
DATA = re.compile(r"[\w.-]+\.(cu|html|md|tex|mplstyle)")
"""Names of data files; one that lies beside the module that names it counts as code."""
LOADS = {"load", "load_all"}
"""Functions of the registry whose first argument names a decorator."""


@dataclass(frozen=True, eq=False)
class Statement:
    """A top-level statement of a module, which is no other one even if both say the same."""

    binds: tuple[str, ...]
    """Names that it defines."""
    meaning: str
    """Its syntax tree, without text for people."""
    uses: tuple[tuple[str, str], ...]
    """(name, attribute) of every name it reads; the attribute is empty where the name stands alone."""
    loads: tuple[str, ...]
    """Decorators whose functions it takes from the registry."""
    files: tuple[str, ...]
    """Names of data files among its strings."""


class Module(NamedTuple):
    """What a module's text says."""

    statements: tuple[Statement, ...]
    """All but imports, docstrings, and what is for type checkers alone."""
    imports: tuple[tuple[str, str, str], ...]
    """(local name, module of the package, name in it) for what it takes from the package, at any place."""


def parsed(path: Path) -> Module:
    """The module in a file, as it was kept beside it or from its text."""
    text, kept = path.read_bytes(), path.parent / "__pycache__" / f"{path.stem}.meaning"
    if (code := derived.read(kept, _VERSION, text)) is not None:
        return pickle.loads(code)
    module = parse(text.decode())
    derived.write(kept, pickle.dumps(module), _VERSION, text)
    return module


_VERSION = sys.version.encode() + Path(__file__).read_bytes()


def parse(text: str) -> Module:
    """The module of a text."""
    statements: list[Statement] = []
    imports: dict[str, tuple[str, str]] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom):
            imports |= _imported(node)
        elif not (isinstance(node, ast.Import) or _is_text(node) or (isinstance(node, ast.If) and _for_types(node))):
            statements.append(_statement(node, imports))
    return Module(tuple(statements), tuple((local, *origin) for local, origin in imports.items()))


def _imported(node: ast.ImportFrom) -> dict[str, tuple[str, str]]:
    """Local name -> (module of the package, name in it) for what an import statement takes from the package."""
    package, _, origin = (node.module or "").partition(".")
    return {alias.asname or alias.name: (origin, alias.name) for alias in node.names if package == "ranktwo"}


def _statement(node: ast.stmt, imports: dict[str, tuple[str, str]]) -> Statement:
    """A top-level statement; its imports from the package are added to `imports`."""
    uses: dict[tuple[str, str], None] = {}
    loads: dict[str, None] = {}
    files: dict[str, None] = {}
    waiting: list[ast.AST] = [_without_texts(node)]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
            uses[inner.value.id, inner.attr] = None
            continue
        if isinstance(inner, ast.Name):
            if isinstance(inner.ctx, ast.Load):
                uses[inner.id, ""] = None
        elif isinstance(inner, ast.ImportFrom):
            imports |= _imported(inner)
        elif isinstance(inner, ast.Call):
            if _called(inner) in LOADS and inner.args and _is_string(inner.args[0]):
                loads[inner.args[0].value] = None  # type: ignore[attr-defined]
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and DATA.fullmatch(inner.value):
            files[inner.value] = None
        waiting.extend(ast.iter_child_nodes(inner))
    return Statement(tuple(_bound(node)), ast.dump(node), tuple(uses), tuple(loads), tuple(files))


def _for_types(node: ast.If) -> bool:
    """Whether this is `if TYPE_CHECKING:`."""
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _called(call: ast.Call) -> str:
    """The name of the function or method that is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _bound(node: ast.stmt) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.If | ast.Try | ast.With | ast.For):
        return [
            inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
        ]
    return []


def _without_texts(tree: ast.stmt) -> ast.stmt:
    """The statement without docstrings and without text for people among the arguments of calls."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A bare string is a docstring of a module, class, function or field; it computes nothing anywhere.
            body[:] = [item for item in body if not _is_text(item)] or [ast.Pass()]
        if isinstance(node, ast.Call) and (name := _called(node)) in TEXTS:
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in TEXTS[name]]
            node.args = [item for item in node.args if not _is_string(item)]
    return tree


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and _is_string(node.value)


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
