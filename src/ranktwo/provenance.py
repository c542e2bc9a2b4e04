"""Where a result comes from: the meaning of the code that made it, and the software and machine it ran on.

`python -m ranktwo.provenance FILE` prints it.
"""

import argparse
import ast
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ranktwo import files
from ranktwo.errors import run
from ranktwo.registry import names

PACKAGE = Path(__file__).parent
STARTED = datetime.now(UTC)
"""When this process began."""
STUDY = "RANKTWO_STUDY"
"""Environment variable in which Snakemake tells its jobs, as JSON, the config's file and the hash of what it says."""
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


def circumstances(stage: str, inputs: Iterable[Path] = (), *, device: str = "cpu") -> dict[str, Any]:
    """Where a result of `stage` comes from, to be written into its metadata; device as torch names it.

    `command` repeats it; `inputs` gives each file it was made from the first 16 digits of its SHA-256; `datasets` and
    `code` hold the checksums of the data sets and the fingerprints of the stages behind it, those of the inputs
    included; `study` is the config that Snakemake ran with, null for a command run by hand; times in UTC and seconds.
    """
    inputs = list(inputs)
    datasets: dict[str, str] = {}
    code = {stage: {fingerprint(*STAGES.get(stage, (stage,)))}}
    for path in inputs:
        metadata = files.read_metadata(path)
        if "checksum" in metadata:
            datasets[metadata["name"]] = metadata["checksum"]
        origin = metadata.get("provenance", {})
        datasets |= origin.get("datasets", {})
        for other, prints in origin.get("code", {}).items():
            code.setdefault(other, set()).update(prints)
    packages = ("ranktwo", "torch", "numba", "scipy", "numpy", "pandas", "pyarrow", "safetensors")
    return {
        "stage": stage,
        "command": ["python", "-m", f"ranktwo.{stage}", *sys.argv[1:]],
        "study": json.loads(os.environ.get(STUDY, "null")),
        "inputs": {str(path): file_hash(path) for path in inputs},
        "datasets": datasets,
        "code": {other: sorted(prints) for other, prints in code.items()},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": _git("status", "--porcelain", "--untracked-files=no") != "",
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
        "device": device,
        "machine": platform.platform(),
        "threads": 1,  # of each process, in all stages
        "started": STARTED.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - STARTED).total_seconds(), 3),
    }


def file_hash(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """Output of a git command in the package's checkout; None where there is no git or no checkout."""
    try:
        done = subprocess.run(["git", "-C", PACKAGE, *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def described(path: Path) -> str:
    """What a person wants to know of where a file comes from, and whether what it was made from is still there."""
    metadata = files.read_metadata(path)
    origin = metadata["provenance"]
    study, runs = origin["study"], metadata.get("runs", [])
    lines = {
        "made by": f"ranktwo.{origin['stage']}, begun {origin['started']}, {origin['seconds']:.1f} s",
        "study": f"{study['config']}, hash {study['hash']}" if study else "none: a command run by hand",
        "commit": (origin["commit"] or "unknown") + (", with uncommitted changes" if origin["dirty"] else ""),
        "code": ", ".join(f"{stage} {' and '.join(prints)}" for stage, prints in sorted(origin["code"].items())),
        "versions": ", ".join(f"{name} {version}" for name, version in origin["versions"].items()),
        "machine": f"{origin['machine']}; {origin['device']}, {origin['threads']} thread(s)",
        "data sets": ", ".join(f"{name} {checksum[:16]}" for name, checksum in sorted(origin["datasets"].items())),
    }
    text = [str(path), *(f"  {name:<10} {value}" for name, value in lines.items())]
    if "cells" in metadata:
        text.append(f"  {'cells':<10} {len(metadata['cells'])}, trained in {len(runs)} run(s)")
        text += [f"    {name}: run {', '.join(map(str, cell['runs']))}" for name, cell in metadata["cells"].items()]
        text += [
            f"    run {number}: begun {run['started']}, {run['seconds']:.1f} s, on {run['device']}, "
            f"commit {(run['commit'] or 'unknown')[:7]}, torch {run['versions']['torch']}"
            for number, run in enumerate(runs)
        ]
    states = {source: _state(Path(source), digits) for source, digits in origin["inputs"].items()}
    text.append(
        f"  {'made from':<10} {len(states)} file(s)" + (", all as they were" if not any(states.values()) else "")
    )
    text += [f"    {source}: {state}" for source, state in states.items() if state]
    text.append(f"  {'to repeat':<10} {shlex.join(origin['command'])}")
    return "\n".join(text)


def _state(path: Path, digits: str) -> str:
    """Empty if a file has the content it had."""
    try:
        return "" if file_hash(path) == digits else "has changed since"
    except OSError:
        return "is not there (paths count from the folder in which snakemake ran)"


def main() -> None:
    parser = argparse.ArgumentParser(description="Where a result file comes from, and how to repeat it.")
    parser.add_argument("file", type=Path, nargs="+", help="a .parquet or .safetensors file of a results folder")
    parser.add_argument("--json", action="store_true", help="print all metadata as JSON instead")
    arguments = parser.parse_args()
    for path in arguments.file:
        print(json.dumps(files.read_metadata(path), indent=1) if arguments.json else described(path))


if __name__ == "__main__":
    run(main)
