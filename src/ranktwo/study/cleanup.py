"""Finds and deletes results that no study asks for, and nothing else.

A file goes only if it lies where ranktwo puts it and says itself that ranktwo made it.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet

from ranktwo.errors import UserError
from ranktwo.store import files, records, registry
from ranktwo.study import grid, jobs, plan

RUN_FILES = ("weights.safetensors", "history.parquet", "checkpoint*.safetensors", "lock")
STACK = re.compile(r"_[0-9a-f]{8}$")
"""How the name of a stack ends."""


@dataclass
class Wanted:
    """What studies with one results folder ask for."""

    stacks: dict[str, set[str]] = field(default_factory=dict)
    """Names of the cells of each stack."""
    datasets: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)

    def add(self, study: dict[str, Any]) -> None:
        """Add what a study asks for."""
        for stack, cells in grid.stacks(grid.expand(study["grids"]), study["stack"], study["datasets"]).items():
            options = study["datasets"][cells[0].dataset]
            self.stacks.setdefault(stack, set()).update(grid.cell_name(cell, options) for cell in cells)
            self.datasets.add(cells[0].dataset)
        self.weights.update(study["weights"])


def clean(studies: list[dict[str, Any]], *, delete: bool) -> None:
    """List or delete what none of the studies asks for, in each folder of results that one of them names.

    Studies share a folder whatever they call it: by a relative path, an absolute one, or through a symbolic link.
    """
    folders: dict[Path, list[dict[str, Any]]] = {}
    for study in studies:
        folders.setdefault(Path(study["results"]).resolve(), []).append(study)
    for _, sharing in sorted(folders.items()):
        wanted = Wanted()
        for study in sharing:
            wanted.add(study)
        clean_folder(Path(sharing[0]["results"]), wanted, delete=delete)


def unwanted(results: Path, wanted: Wanted) -> Iterator[tuple[Path, str]]:
    """Files of ours that nothing asks for, with the reason; cells of stacks that stay are not among them."""
    for stage, pattern, named, what in (
        ("dataset", "datasets/*.safetensors", wanted.datasets, "data set"),
        ("optimum", "optima/*.parquet", wanted.datasets, "data set"),
        ("measure", "weights/*.parquet", wanted.weights, "weights"),
    ):
        for path in sorted(results.glob(pattern)):
            if path.stem not in named and _made_by(path, stage):
                yield path, what
    for folder in sorted((results / "runs").glob("*")):
        found = [path for pattern in RUN_FILES for path in sorted(folder.glob(pattern))]
        if folder.name not in wanted.stacks and any(_made_by(path, "train") for path in found):
            yield from ((path, "stack") for path in found)
    analyses = list(registry.entries("analysis"))
    for name in analyses:
        for path in sorted((results / name).glob("*.parquet")):
            if path.stem not in wanted.stacks and _made_by(path, name):
                yield path, "stack"
    for path in sorted((results / "jobs").glob("*.json")):
        if path.stem not in wanted.stacks and _is_job(path):
            yield path, "stack"
    for path in sorted([*(results / "logs").glob("*/*.log"), *(results / "benchmarks").glob("*/*.tsv")]):
        if (
            path.parent.name in ("train", "analysis", *analyses)
            and STACK.search(path.stem)
            and path.stem not in wanted.stacks
        ):
            yield path, "stack"
    for path in sorted(results.rglob("*.damaged")):
        yield path, "put aside as damaged"
    for folder in sorted({path.parent for path in results.rglob(".*.tmp*")}):
        for path in sorted(files.leftovers(folder)):
            yield path, "left by a killed job"


def unwanted_cells(results: Path, wanted: Wanted) -> Iterator[tuple[Path, list[str]]]:
    """Folders of stacks that stay, with the cells in them that nothing asks for."""
    for stack, cells in sorted(wanted.stacks.items()):
        weights = results / "runs" / stack / "weights.safetensors"
        if _made_by(weights, "train"):
            rest = [name for name in files.read_metadata(weights)["cells"] if name not in cells]
            if rest:
                yield weights.parent, rest


def drop_cells(folder: Path, names: list[str]) -> None:
    """Write a stack's files without these cells; the others, and the files' dates, stay as they are."""
    weights, history = folder / "weights.safetensors", folder / "history.parquet"
    with files.only_writer(folder):
        kept = {name: record for name, record in records.read_records(weights, history).items() if name not in names}
        times = {path: path.stat().st_mtime_ns for path in (weights, history)}
        columns = pyarrow.parquet.read_schema(history)
        records.write_records(weights, history, kept, columns, files.read_metadata(weights)["provenance"])
        # A newer date would have every analysis of the stack made anew.
        for path, time in times.items():
            os.utime(path, ns=(time, time))


def _made_by(path: Path, stage: str) -> bool:
    with contextlib.suppress(UserError, KeyError, TypeError):
        return files.read_metadata(path)["provenance"]["stage"] == stage
    return False


def _is_job(path: Path) -> bool:
    """Whether a file is a stack's job file."""
    with contextlib.suppress(UserError):
        return jobs.read(path).stack == path.stem
    return False


def clean_folder(results: Path, wanted: Wanted, *, delete: bool) -> None:
    """List what a folder of results has that is not wanted; delete it if asked to."""
    total = count = 0
    for path, reason in list(unwanted(results, wanted)):
        size = path.stat().st_size
        print(f"{'deleted' if delete else 'unwanted'}  {plan.size_text(size):>10}  {path}  ({reason})")
        total, count = total + size, count + 1
        if delete:
            path.unlink(missing_ok=True)
            if path.parent.parent.name == "runs" and not any(path.parent.iterdir()):
                path.parent.rmdir()
    for folder, names in unwanted_cells(results, wanted):
        print(f"{'deleted' if delete else 'unwanted'}  {len(names):>5} cells in  {folder}, {names[0]} for one")
        count += 1
        if delete:
            drop_cells(folder, names)
    if not count:
        print(f"{results}: nothing that the configs do not ask for")
    elif delete:
        print(f"{results}: {plan.size_text(total)} of files deleted")
    else:
        print(f"{results}: {plan.size_text(total)} in whole files; nothing was changed, add --delete to delete them")
