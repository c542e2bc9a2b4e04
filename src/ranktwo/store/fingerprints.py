"""A fingerprint of the code behind a number: it changes when the code's meaning does, and at no other time.

A stage's numbers pass through some functions, classes and constants of the package. `fingerprint` starts at the
stage's `main`, follows every name that it uses to the statement that defines it, and hashes the syntax trees of all
statements that it reaches. It does not count comments, docstrings, the meaning and unit of a column, or the help of an
option. A function that nothing on the way uses does not count either.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ranktwo.store import registry

PACKAGE = registry.PACKAGE
WITHOUT_NUMBERS = (
    *("errors", "progress", "store"),
    *("study.axes", "study.config", "study.grid", "study.jobs", "study.problems", "study.schema"),
    *("training.checkpoints", "training.devices", "training.job", "training.processes"),
)
"""Modules and packages that name, schedule and write work, and leave every number as it is.

Their own statements do not count. What they use in other modules does.
"""
TEXTS = {"column": ("meaning", "unit"), "analysis": ("rows",), "UserError": (), "print": ()}
"""Calls with text for people: every text among their unnamed arguments, and the named arguments listed here."""
DATA = re.compile(r"[\w.-]+\.(cu|html|md|tex|mplstyle)")
"""Names of data files; one that lies beside the module that names it counts as code."""
LOADS = {"load", "load_all"}
"""Functions of the registry whose first argument names a decorator."""


@cache
def fingerprint(stage: str, **chosen: str) -> str:
    """Hash of all code that the numbers of a stage pass through, 16 hexadecimal digits.

    Of functions registered under a decorator all count, unless `chosen` names those that are used, with spaces between
    them: with `figure="ranks"` no other figure counts.
    """
    digest = hashlib.sha256()
    for meaning in sorted(_meanings(f"stages.{stage}", chosen)):
        digest.update(f"{meaning}\n".encode())
    return digest.hexdigest()[:16]


def reached(stage: str, **chosen: str) -> dict[str, list[str]]:
    """The names that count for a stage, by module: what `fingerprint` hashes, for people and tests."""
    found: dict[str, list[str]] = {}
    for module, statement in _closure(f"stages.{stage}", chosen):
        if _counts(module, statement):
            found.setdefault(module, []).extend(statement.binds or ["(statement)"])
    return found


def _meanings(module: str, chosen: dict[str, str]) -> Iterator[str]:
    for name, statement in _closure(module, chosen):
        if _counts(name, statement):
            yield f"{name}: {statement.meaning}"
            yield from (f"{name}: {_file(path)}" for path in statement.files)


@dataclass(frozen=True, eq=False)
class _Statement:
    """A top-level statement of a module."""

    binds: tuple[str, ...]
    """Names that it defines."""
    meaning: str
    """Its syntax tree, without text for people."""
    uses: tuple[tuple[str, str], ...]
    """(name, attribute) of every name it reads; the attribute is empty where the name stands alone."""
    loads: tuple[str, ...]
    """Decorators whose functions it takes from the registry."""
    files: tuple[Path, ...]
    """Data files beside the module that it names."""


@dataclass(frozen=True, eq=False)
class _Module:
    definitions: dict[str, list[_Statement]]
    """Name -> the statements that define it."""
    imports: dict[str, tuple[str, str]]
    """Local name -> (module of the package, name in it); the name is empty where the module itself is imported."""
    effects: tuple[_Statement, ...]
    """Statements that define no name: they count whenever anything of the module does."""


def _closure(start: str, chosen: dict[str, str]) -> list[tuple[str, _Statement]]:
    """(module, statement) for all that `start.main` reaches."""
    found: dict[tuple[str, _Statement], None] = {}
    waiting: list[tuple[str, str]] = [(start, "main")]
    seen: set[tuple[str, str]] = set()

    def reach(name: str, statement: _Statement) -> None:
        if (name, statement) in found:
            return
        found[name, statement] = None
        module = _read(name)
        for used, attribute in statement.uses:
            if used in module.imports:
                origin, inner = module.imports[used]
                # A module passed around as a value may be asked for anything.
                waiting.append((origin, inner or attribute or "*"))
            else:
                waiting.append((name, used))
        for mark in statement.loads:
            for entry in registry.entries(mark).values():
                if entry.name in chosen.get(mark, entry.name).split():
                    waiting.append((entry.module.removeprefix("ranktwo."), entry.function))

    while waiting:
        wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        name, binding = wanted
        module = _read(name)
        for effect in module.effects:
            reach(name, effect)
        if binding in module.imports:
            waiting.append((module.imports[binding][0], module.imports[binding][1] or "*"))
        for defined in list(module.definitions) if binding == "*" else [binding]:
            for statement in module.definitions.get(defined, []):
                reach(name, statement)
    return list(found)


def _counts(module: str, statement: _Statement) -> bool:
    """Whether a statement can change a number."""
    if any(module == quiet or module.startswith(f"{quiet}.") for quiet in WITHOUT_NUMBERS):
        return False
    return module != "stages" and not (module.startswith("stages.") and statement.binds == ("main",))


@cache
def _path(module: str) -> Path | None:
    """The file of a module of the package, named without `ranktwo.`; None where there is none."""
    base = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return path
    return None


@cache
def _read(name: str) -> _Module:
    """A module of the package, parsed once."""
    path = _path(name)
    assert path is not None, name
    definitions: dict[str, list[_Statement]] = {}
    effects: list[_Statement] = []
    imports: dict[str, tuple[str, str]] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        statement = _statement(node, path.parent, imports)
        if statement is not None and not statement.binds:
            effects.append(statement)
        elif statement is not None:
            for name in statement.binds:
                definitions.setdefault(name, []).append(statement)
    return _Module(definitions, imports, tuple(effects))


def clear() -> None:
    """Forget all modules, for a package whose files have changed."""
    for cached in (fingerprint, _read, _path, registry.entries):
        cached.cache_clear()


def _imported(node: ast.ImportFrom) -> Iterator[tuple[str, tuple[str, str]]]:
    """(local name, (module of the package, name in it)) for what an import statement takes from the package."""
    if node.module and node.module.split(".")[0] == "ranktwo":
        origin = node.module.removeprefix("ranktwo").removeprefix(".")
        for alias in node.names:
            inner = f"{origin}.{alias.name}".removeprefix(".")
            yield alias.asname or alias.name, (inner, "") if _path(inner) else (origin, alias.name)


def _statement(node: ast.stmt, folder: Path, imports: dict[str, tuple[str, str]]) -> _Statement | None:
    """A top-level statement, None for an import or a docstring; its imports from the package are added to `imports`."""
    if isinstance(node, ast.Import) or _is_text(node) or (isinstance(node, ast.If) and _for_types(node)):
        return None
    if isinstance(node, ast.ImportFrom):
        imports |= dict(_imported(node))
        return None
    uses: dict[tuple[str, str], None] = {}
    loads: dict[str, None] = {}
    named: dict[str, None] = {}
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
            imports |= dict(_imported(inner))
        elif isinstance(inner, ast.Call):
            if _called(inner) in LOADS and inner.args and _is_string(inner.args[0]):
                loads[inner.args[0].value] = None  # type: ignore[attr-defined]
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and "." in inner.value:
            named[inner.value] = None
        waiting.extend(ast.iter_child_nodes(inner))
    return _Statement(
        binds=tuple(_bound(node)),
        meaning=ast.dump(node),
        uses=tuple(uses),
        loads=tuple(loads),
        files=tuple(path for name in named if DATA.fullmatch(name) for path in sorted(folder.rglob(name))),
    )


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


def _file(path: Path) -> str:
    """A data file's content; of C++ without comments and white space at the ends of lines."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".cu":
        text = "".join(f"{line.strip()}\n" for line in re.sub(r"//.*", "", text).split("\n") if line.strip())
    return f"{path.name} {text}"


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
