"""Job files: what one stack's jobs are asked for, as JSON that a person can read, a cell a line.

`results/jobs/{stack}.json` holds the cells of a stack, the options of their data set and the snapshots to record;
`results/jobs/all.json` lists the stacks. Snakemake hands a job the file and its hash, so that a job that finds another
content stops with a sentence. A file is rewritten only when its content changes.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranktwo.errors import UserError
from ranktwo.store import files
from ranktwo.store.canonical import canonical, short_hash
from ranktwo.study.axes import Cell
from ranktwo.study.schedules import ALL


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the jobs of one stack are asked for."""

    stack: str
    options: dict[str, Any]
    """Of the data set, with every default."""
    snapshots: int
    keep: str = ALL
    """Which snapshots' weights stay on disk, `all` or `last`."""
    cells: list[Cell]

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits that differ where the content does."""
        return short_hash([*self._head.values(), [vars(cell) for cell in self.cells]])

    @property
    def _head(self) -> dict[str, Any]:
        # A job that keeps all has the hash that it had before there was a choice.
        keep = {} if self.keep == ALL else {"keep": self.keep}
        return {"stack": self.stack, "options": self.options, "snapshots": self.snapshots} | keep

    def text(self) -> str:
        """The file's content."""
        cells = ",\n".join(f"    {json.dumps(vars(cell))}" for cell in self.cells)
        return json.dumps(self._head, indent=2).removesuffix("\n}") + f',\n  "cells": [\n{cells}\n  ]\n}}\n'


def path_of(results: Path, stack: str) -> Path:
    """Where a stack's job file lies."""
    return results / "jobs" / f"{stack}.json"


def list_of(results: Path) -> Path:
    """Where the list of a study's stacks lies."""
    return results / "jobs" / "all.json"


def write(results: Path, job: Job) -> None:
    """Write a stack's job file, unless it is there as it should be."""
    _write(path_of(results, job.stack), job.text())


def read(path: Path) -> Job:
    """A stack's job file; UserError where it is absent or not one."""
    content = _read(path)
    try:
        cells = [Cell(**cell | {"widths": tuple(cell["widths"])}) for cell in content["cells"]]
        asked = {name: content[name] for name in ("stack", "options", "snapshots")}
        return Job(cells=cells, keep=content.get("keep", ALL), **asked)
    except (TypeError, KeyError) as error:
        raise UserError(f"{path} is not a job file of ranktwo ({error}); delete it and run snakemake again") from error


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The arguments with which a stage is told its stack."""
    parser.add_argument("--job", type=Path, required=True, help="the stack's job file, results/jobs/{stack}.json")
    parser.add_argument("--job-hash", help="the hash that the job file's content has to have; not checked if absent")


def of(arguments: argparse.Namespace) -> Job:
    """The stack that the arguments name; UserError where its job file is another than Snakemake asked for."""
    job = read(arguments.job)
    if arguments.job_hash not in (None, job.hash):
        raise UserError(
            f"{arguments.job} holds other cells than this job was started for; "
            "another Snakemake has changed it: run one at a time in a results folder, and run this one again"
        )
    return job


def write_stacks(results: Path, stacks: Iterable[str]) -> None:
    """Write the list of a study's stacks, unless it is there as it should be."""
    names = ",\n".join(f"    {json.dumps(name)}" for name in stacks)
    _write(list_of(results), f'{{\n  "stacks": [\n{names}\n  ]\n}}\n')


def read_stacks(path: Path, hash: str | None = None) -> list[str]:
    """The stacks of a study; UserError where the list is absent or has another hash."""
    content = _read(path)
    names = content.get("stacks")
    if not isinstance(names, list):
        raise UserError(f"{path} is not a list of stacks; delete it and run snakemake again")
    if hash not in (None, short_hash(names)):
        raise UserError(f"{path} lists other stacks than this job was started for; run snakemake again")
    return list(map(str, names))


def add_stacks_argument(parser: argparse.ArgumentParser) -> None:
    """The arguments with which a stage is told all stacks of a study."""
    parser.add_argument("--stacks", type=Path, required=True, help="the list of stacks, results/jobs/all.json")
    parser.add_argument("--stacks-hash", help="the hash that the list has to have; not checked if absent")


def stacks_of(arguments: argparse.Namespace) -> list[str]:
    """The stacks that the arguments name; UserError where the list is another than Snakemake asked for."""
    return read_stacks(arguments.stacks, arguments.stacks_hash)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); run snakemake, which writes it") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run snakemake again") from error
    return content if isinstance(content, dict) else {}


def _write(path: Path, text: str) -> None:
    if not (path.exists() and path.read_text(encoding="utf-8", errors="replace") == text):
        with files.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def described(cells: list[Cell]) -> str:
    """The cells in a line for a log: how many, and the values of the axes in which they differ."""
    rows = [vars(cell) for cell in cells]
    differing = {}
    for axis in rows[0]:
        values = list(dict.fromkeys(row[axis] for row in rows))
        if len(values) > 1:
            differing[axis] = " ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    parts = [f"{axis} {values}" for axis, values in differing.items()]
    return f"{len(cells)} cells" + (f": {'; '.join(parts)}" if parts else f": {canonical(rows[0])}")
