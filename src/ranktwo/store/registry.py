"""What is registered under a decorator, read from the source: no torch, no matplotlib is imported for a name."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


@cache
def registered(decorator: str) -> dict[str, str]:
    """Docstrings, by name, of all functions of the package that are marked with this decorator."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        if re.search(rf"^@{decorator}\b", source, flags=re.MULTILINE):
            for node in ast.parse(source).body:
                found |= dict.fromkeys(names(node, decorator), inspect.cleandoc(_docstring(node)))
    return found


def names(node: ast.stmt, decorator: str) -> list[str]:
    """Names under which a statement registers a function: the texts given to the decorator, else the function's own.

    A function's own name has hyphens for underscores. What is no function so marked has no names.
    """
    if not isinstance(node, ast.FunctionDef):
        return []
    for mark in node.decorator_list:
        call = mark if isinstance(mark, ast.Call) else None
        name = call.func if call else mark
        if isinstance(name, ast.Name) and name.id == decorator:
            given = [item.value for item in (call.args if call else []) if isinstance(item, ast.Constant)]
            return [str(value) for value in given] or [node.name.replace("_", "-")]
    return []


def _docstring(node: ast.stmt) -> str:
    return ast.get_docstring(node) or "" if isinstance(node, ast.FunctionDef) else ""
