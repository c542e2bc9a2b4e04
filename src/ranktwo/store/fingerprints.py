"""A fingerprint of the code behind a number: it changes when the code's meaning does, and at no other time.

A stage's numbers pass through some functions, classes and constants of the package. `fingerprint` starts at the
stage's `main`, follows every name that it uses to the statement that defines it, and hashes the syntax trees of all
statements that it reaches. It does not count comments, docstrings, the meaning and unit of a column, or the help of an
option. A function that nothing on the way uses does not count either.
"""

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ranktwo.store import registry, syntax
from ranktwo.store.syntax import Statement

PACKAGE = registry.PACKAGE
WITHOUT_NUMBERS = (
    *("errors", "parallel", "progress", "store"),
    *("study.axes", "study.config", "study.grid", "study.jobs", "study.problems", "study.schema"),
    *("training.checkpoints", "training.devices", "training.job", "training.processes"),
)
"""Modules and packages that name, schedule and write work, and leave every number as it is.

Their own statements do not count. What they use in other modules does.
"""


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
            yield from (f"{name}: {_file(path)}" for file in statement.files for path in _files(name, file))


class _Module(NamedTuple):
    definitions: dict[str, list[Statement]]
    """Name -> the statements that define it."""
    imports: dict[str, tuple[str, str]]
    """Local name -> (module of the package, name in it); the name is empty where the module itself is imported."""
    effects: list[Statement]
    """Statements that define no name: they count whenever anything of the module does."""


def _closure(start: str, chosen: dict[str, str]) -> list[tuple[str, Statement]]:
    """(module, statement) for all that `start.main` reaches."""
    found: dict[tuple[str, Statement], None] = {}
    waiting: list[tuple[str, str]] = [(start, "main")]
    seen: set[tuple[str, str]] = set()

    def reach(name: str, statement: Statement) -> None:
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


def _counts(module: str, statement: Statement) -> bool:
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
    """A module of the package, read once."""
    path = _path(name)
    assert path is not None, name
    statements, imports = syntax.parsed(path)
    definitions: dict[str, list[Statement]] = {}
    for statement in statements:
        for bound in statement.binds:
            definitions.setdefault(bound, []).append(statement)
    return _Module(
        definitions=definitions,
        imports={
            local: (inner, "") if _path(inner := f"{origin}.{wanted}".removeprefix(".")) else (origin, wanted)
            for local, origin, wanted in imports
        },
        effects=[statement for statement in statements if not statement.binds],
    )


@cache
def _files(module: str, name: str) -> list[Path]:
    """The data files of a name beside a module."""
    path = _path(module)
    assert path is not None, module
    return sorted(path.parent.rglob(name))


def clear() -> None:
    """Forget all modules, for a package whose files have changed."""
    for cached in (fingerprint, _read, _path, _files, registry.entries):
        cached.cache_clear()


def _file(path: Path) -> str:
    """A data file's content; of C++ without comments and white space at the ends of lines."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".cu":
        text = "".join(f"{line.strip()}\n" for line in re.sub(r"//.*", "", text).split("\n") if line.strip())
    return f"{path.name} {text}"
