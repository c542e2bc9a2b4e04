"""TODO store.fingerprints."""

import ast
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ranktwo.store.registry import names

PACKAGE = Path(__file__).parent
WITHOUT_NUMBERS = {"grid", "errors", "files", "progress", "provenance", "registry"}
"""Types, sentences and the writing of files: whatever these modules do, a number stays what it is."""
STAGES = {"train": ("evaluation",)}
"""Modules whose meaning decides a stage's numbers, where they are not the stage's own."""


@cache
def fingerprint(*modules: str, **only: str) -> str:
    """Hash of the syntax trees, without docstrings, of these modules and of all package modules they import.

    And of the sources for a GPU that lie beside them.

    A comment, a docstring, white space or a new date on a file leaves it as it is; any other edit changes it. With
    `figure="ranks"`, say, functions that `@figure` registers under other names are left out: a figure does not depend
    on another one.
    """
    digest = hashlib.sha256()
    for name, statements in sorted(_closure(modules, only).items()):
        digest.update(f"{name}\n{[statement.meaning for statement in statements]}\n{_kernel(name)}".encode())
    return digest.hexdigest()[:16]


def _kernel(module: str) -> str:
    """The source for a GPU that a module brings, without comments and white space; empty where it brings none."""
    source = PACKAGE / f"{module}.cu"
    text = source.read_text(encoding="utf-8") if source.exists() else ""
    return "".join(f"{line.strip()}\n" for line in re.sub(r"//.*", "", text).split("\n") if line.strip())


@dataclass(frozen=True)
class _Statement:
    """What one statement of a module means, and the package modules it imports."""

    node: ast.stmt
    meaning: str
    imports: tuple[str, ...]


@cache
def _statements(source: str) -> tuple[_Statement, ...]:
    """Of a module's text; kept, because a figure's fingerprint asks for them again and again."""
    found = []
    for node in ast.parse(source).body:
        if not _is_text(node):
            imports = tuple(module for inner in ast.walk(node) for module in _imported(inner))
            found.append(_Statement(node, ast.dump(_without_docstrings(node)), imports))
    return tuple(found)


def _closure(modules: tuple[str, ...], only: Mapping[str, str] = MappingProxyType({})) -> dict[str, list[_Statement]]:
    """The statements of these modules and of those that they import, by module."""
    found: dict[str, list[_Statement]] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name in WITHOUT_NUMBERS:
            continue
        source = (PACKAGE / f"{name}.py").read_text(encoding="utf-8")
        found[name] = [
            statement
            for statement in _statements(source)
            if all(wanted in (names(statement.node, mark) or [wanted]) for mark, wanted in only.items())
        ]
        waiting += [module for statement in found[name] for module in statement.imports]
    return found


def _imported(node: ast.AST) -> list[str]:
    """Package modules that one import statement names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        return []
    inside = [name.removeprefix("ranktwo.") for name in names if name.startswith("ranktwo.")]
    return [name for name in inside if (PACKAGE / f"{name}.py").exists()]


def _without_docstrings(tree: ast.stmt) -> ast.stmt:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A bare string is a docstring of a module, class, function or field; it computes nothing anywhere.
            body[:] = [item for item in body if not _is_text(item)] or [ast.Pass()]
    return tree


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
