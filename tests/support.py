"""What test files share: small cells, data sets and records, copies of the project, and runs of its workflow."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import torch
import yaml

from ranktwo.data.dataset import Dataset
from ranktwo.nets.mlp import matrix_names
from ranktwo.store.records import Record
from ranktwo.study.axes import Cell

ROOT = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("RANKTWO_DATA") or ROOT.parent / "shared" / "data")
SGD_AXES = {
    "train_size": 50,
    "label_noise": 0.0,
    "widths": "8",
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "schedule": "constant",
    "batch_size": 16,
    "decay_rule": "constant",
    "steps": 10,
}
"""Axes of the cells of made-up tables, as gaps.parquet has them; a test sets the others."""
SGD_FACTS = {"decay": "coupled", "plain": True}
"""What a record says of plain SGD."""


def needs_real(*names: str) -> pytest.MarkDecorator:
    """Marks a test that reads real data, which lie beside the checkout or where RANKTWO_DATA says."""
    absent = [name for name in names if not (REAL_DATA / name).exists()]
    reason = f"no {', '.join(absent)} in {REAL_DATA}; name a folder in RANKTWO_DATA"
    return pytest.mark.skipif(bool(absent), reason=reason)


def a_cell(**axes: object) -> Cell:
    """A small cell with some axes set."""
    defaults = {
        "dataset": "toy",
        "widths": (6,),
        "learning_rate": 0.05,
        "batch_size": 4,
        "weight_decay": 0.01,
        "steps": 50,
        "seed": 0,
    }
    return Cell(**defaults | axes)


def a_dataset(task: str, outputs: int, x: torch.Tensor, y: torch.Tensor, train_size: int) -> Dataset:
    """A data set of these rows, the first for training, with inputs in float64 as analyses have them."""
    parts = {"train_x": x[:train_size], "test_x": x[train_size:], "train_y": y[:train_size], "test_y": y[train_size:]}
    facts = {"name": "toy", "task": task, "inputs": x.shape[1], "outputs": outputs, "checksum": "", "metadata": {}}
    return Dataset(**facts, **parts)


def a_record(weights: list[torch.Tensor], data: Dataset, **axes: object) -> Record:
    """What training would leave of a net that ended with these matrices and began with others."""
    generator = torch.Generator().manual_seed(1)
    initial = [torch.randn(w.shape, generator=generator) for w in [weights[-1], *weights[1:-1], weights[0]]]
    initial = [initial[-1], *initial[1:-1], initial[0]]
    snapshots = {
        name: torch.stack([first, last.float()])
        for name, first, last in zip(matrix_names(len(weights)), initial, weights, strict=True)
    }
    size = axes.pop("train_size", len(data.train_x))
    facts = {"task": data.task, "inputs": data.inputs, "outputs": data.outputs, "train_size": size, "widths": "6"}
    return Record(cell=vars(a_cell(**axes)) | facts | SGD_FACTS, identity="", steps=[0, 50], weights=snapshots)


# Runs of the workflow.

SMALL = {
    "datasets": {"digits-3v8": {"source": "digits", "classes": [3, 8]}},
    "grids": [
        {
            "dataset": "digits-3v8",
            "widths": 16,
            "learning_rate": 0.1,
            "batch_size": 16,
            "weight_decay": [0, 0.3],
            "steps": 200,
            "seed": [0, 1],
        }
    ],
    "snapshots": 4,
    "figures": {"spectrum": None},
}
"""A study of four cells."""


def with_axis(axis: str, value: object) -> dict:
    """SMALL with another value or other values on an axis."""
    return SMALL | {"grids": [SMALL["grids"][0] | {axis: value}]}


def copy_project(parent: Path) -> Path:
    """A copy of the project as a user gets it: what git tracks, as it is now, and no results."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split("\0")[:-1] if listed.returncode == 0 else None
    folder = parent / "ranktwo"
    if names is None:
        ignored = shutil.ignore_patterns(".git", ".venv", "results", ".snakemake", "__pycache__")
        shutil.copytree(ROOT, folder, ignore=ignored)
        return folder
    for name in names:
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def environment(**more: str) -> dict[str, str]:
    """The environment of a shell in which the installed environment is active."""
    # A make above this process exports variables that a user's shell does not have; PYTHONPATH is for tests' own code.
    own = ("MAKE", "PYTHONPATH")
    shell = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return shell | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"} | more


def snakemake(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    """`snakemake --cores 2 ...` in a folder, as a user types it."""
    command = ["snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=900)


def run_study(folder: Path, study: dict, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    """Run a study that is written to study.yaml in the folder."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return snakemake(folder, *arguments, "--configfile", "study.yaml", **more)


def make_gaps(folder: Path, study: dict, *arguments: str) -> subprocess.CompletedProcess:
    """Run a study as far as its rows: all that is trained, and no figure."""
    return run_study(folder, study, *arguments, "results/gaps.parquet")


def trained(done: subprocess.CompletedProcess) -> list[int]:
    """Numbers of cells that each training job of a run says it trained."""
    assert done.returncode == 0, done.stderr
    return [int(count) for count in re.findall(r": (\d+) cells trained in", done.stderr)]


def planned(done: subprocess.CompletedProcess) -> dict[str, int]:
    """Jobs by rule that a dry run would start, less the target; nothing if there is nothing to be done."""
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", said, flags=re.MULTILINE)}
    assert jobs or "Nothing to be done" in said, said
    return {name: count for name, count in jobs.items() if name not in ("all", "total")}


def gaps(folder: Path) -> pandas.DataFrame:
    """The rows of a study in a folder, by cell."""
    return pandas.read_parquet(folder / "results" / "gaps.parquet").set_index("cell")
