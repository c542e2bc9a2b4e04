"""Fixtures of all tests: one thread, a stack of small trained nets, a copy of the project, and one finished study."""

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pytest
import torch
from filelock import FileLock
from support import ROOT, SMALL, a_cell, copy_project, run_study

from ranktwo.analysis.inputs import load_records
from ranktwo.data import dataset
from ranktwo.data.options import Options
from ranktwo.data.preparation import prepare
from ranktwo.stages import analysis, train
from ranktwo.store import files
from ranktwo.study.axes import Cell
from ranktwo.study.jobs import Job

# Commands that tests start are those of this checkout.
os.environ["PYTHONPATH"] = str(ROOT / "src")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, whole studies before all: a long one that is begun last keeps all waiting."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    # By name backwards, workflow/test_studies.py is the first, and the files of the workflow are the longest.
    items.sort(key=lambda item: (item.path in slow, item.path), reverse=True)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """The promise of equal bits is made for one thread."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def subnormal_numbers() -> Iterator[None]:
    """Training flushes them to zero for its whole process; hypothesis refuses to draw numbers in such a one."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project as a user gets it."""
    return copy_project(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A copy of the project in which SMALL was run whole, and said.txt, what the run said.

    Tests that change it copy it first: `finished_copy`.

    Processes of tests that run side by side share it: the first one makes it, and the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    parent = (base if worker_id == "master" else base.parent) / "finished"
    parent.mkdir(exist_ok=True)
    folder, whole = parent / "ranktwo", parent / "whole"
    with FileLock(parent / "lock"):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            done = run_study(copy_project(parent), SMALL)
            assert done.returncode == 0, done.stderr
            (folder / "said.txt").write_text(done.stdout + done.stderr)
            whole.touch()
    return folder


@pytest.fixture
def finished_copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished` with its results, dates and Snakemake's metadata, to change at will."""
    # Snakemake names its metadata after relative paths: they hold in the copy.
    return shutil.copytree(finished, tmp_path / "ranktwo", symlinks=True)


@pytest.fixture(scope="session")
def run_analysis(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., pyarrow.Table]:
    """Trains three small cells, with and without label noise, one of which diverges; runs an analysis on them.

    `run_analysis(name, wanted=cells, settings={})` gives its table; `.cells`, `.records` and `.data` are what it read.
    `run_analysis.stage(*arguments)` runs the stage in `run_analysis.folder`.
    """
    folder = tmp_path_factory.mktemp("stack")
    options = {"source": "iris"}
    tensors, metadata = prepare("toy", Options(**options), folder, False)
    files.write_tensors(folder / "dataset", tensors, metadata | {"critical_decay": 1.0, "provenance": {}})
    changes = [{"seed": 1}, {"label_noise": 0.2}, {"learning_rate": 1e4}]
    cells = [a_cell(train_size=80, **change) for change in changes]

    def stage(module: object, *arguments: str, wanted: list[Cell]) -> None:
        (folder / "job.json").write_text(Job(stack="toy", options=options, snapshots=3, cells=wanted).text())
        common = ["--job", "job.json", "--dataset", "dataset", "--weights", "weights", "--history", "history"]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["stage", *arguments, *common])
            module.main()

    stage(train, "--device", "cpu", wanted=cells)

    def run(name: str, *, wanted: list[Cell] = cells, settings: dict[str, object] | None = None) -> pyarrow.Table:
        stage(analysis, name, "--results", "results", f"--settings={json.dumps({name: settings or {}})}", wanted=wanted)
        return files.read_parquet(folder / "results" / name / "toy.parquet", name)[0]

    run.folder, run.stage = folder, functools.partial(stage, analysis, wanted=cells)
    run.cells = cells
    run.data = dataset.load(folder / "dataset").split(0, torch.float64)
    run.records = load_records(
        Job(stack="toy", options=options, snapshots=3, cells=cells), folder / "weights", folder / "history"
    )
    return run
