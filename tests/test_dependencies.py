"""What the package imports is what pyproject.toml declares."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from support import ROOT


def declared(*groups: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for name in groups for one in project["optional-dependencies"][name])]
    return {re.match(r"[\w.-]+", one)[0].lower() for one in wanted}


def imported() -> set[str]:
    """Distributions of the modules that the package imports anywhere."""
    modules: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add((node.module or "").partition(".")[0])
    of = packages_distributions()
    return {of[module][0].lower() for module in modules - sys.stdlib_module_names - {"ranktwo"}}


def test_every_import_is_declared_and_every_dependency_imported():
    # numba and pydantic need these in one version each.
    needed = imported() - {"llvmlite", "pydantic_core"}
    assert needed <= declared("workflow")
    # pandas takes it for its tables in Markdown.
    assert declared() - needed <= {"tabulate"}
