"""What is registered under a decorator, read from the package's source: no torch or matplotlib is imported for a name.

A data source, an optimizer, a rank rule, a bound, an analysis, a claim, a figure or a table is a function marked with
the decorator of its kind, in any file of its kind's folder. `entries(mark)` lists the functions with the literal
arguments of their decorators; `load` and `load_all` import the modules that define them.
"""

import ast
import difflib
import importlib
import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Entry:
    """A registered function."""

    name: str
    """The name it is registered under."""
    module: str
    """The module that defines it, such as `ranktwo.analysis.spectra`."""
    function: str
    text: str
    """Its docstring."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The literal keyword arguments of its decorator."""

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, on one line."""
        return " ".join(self.text.partition("\n\n")[0].split())


@cache
def entries(mark: str) -> dict[str, Entry]:
    """All functions of the package that are marked with this decorator, by name, in the order of files and lines."""
    found: dict[str, Entry] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not re.search(rf"^@{mark}\b", source, flags=re.MULTILINE):
            continue
        module = ".".join(("ranktwo", *path.relative_to(PACKAGE).with_suffix("").parts))
        for node in ast.parse(source).body:
            for name in names(node, mark):
                assert isinstance(node, ast.FunctionDef)
                text = inspect.cleandoc(ast.get_docstring(node) or "")
                found[name] = Entry(name, module, node.name, text, _settings(node, mark))
    return found


def analyses(*, on_demand: bool = False) -> list[str]:
    """The registered analyses that every study makes, or those that are made only where a figure reads them."""
    return [name for name, entry in entries("analysis").items() if bool(entry.settings.get("on_demand")) == on_demand]


def names(node: ast.stmt, mark: str) -> list[str]:
    """The names under which a statement registers a function: the decorator's texts, else the function's own name.

    A function's own name has hyphens for underscores. A statement that registers nothing under the mark has no names.
    """
    decorator = _decorator(node, mark)
    if decorator is None:
        return []
    given = decorator.args if isinstance(decorator, ast.Call) else []
    texts = [item.value for item in given if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return texts or [node.name.replace("_", "-")]  # type: ignore[attr-defined]


def _decorator(node: ast.stmt, mark: str) -> ast.expr | None:
    if isinstance(node, ast.FunctionDef):
        for decorator in node.decorator_list:
            name = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(name, ast.Name) and name.id == mark:
                return decorator
    return None


def _settings(node: ast.stmt, mark: str) -> dict[str, Any]:
    decorator, found = _decorator(node, mark), {}
    for keyword in decorator.keywords if isinstance(decorator, ast.Call) else []:
        try:
            found[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:
            continue  # not a literal: known once the module is imported
    return found


def load(mark: str, name: str) -> Any:
    """Import the module that registers this name, and only that one; returns the function."""
    entry = entries(mark)[name]
    return getattr(importlib.import_module(entry.module), entry.function)


def load_all(mark: str) -> dict[str, Any]:
    """Import every module that registers something under the mark; returns the functions by name."""
    return {name: load(mark, name) for name in entries(mark)}


def stages() -> dict[str, str]:
    """The stages of `python -m ranktwo`, each with the first line of its file."""
    found = {}
    for path in sorted((PACKAGE / "stages").glob("[a-z]*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.stem] = text.partition("\n")[0]
    return found


def near_miss(word: object, known: Iterable[object]) -> str:
    """`; did you mean WORD?` with the nearest known word, or nothing."""
    match = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f"; did you mean {match[0]}?" if match else ""
