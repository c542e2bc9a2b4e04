"""What several test files share: tiny data sets and cells, and the real data where they lie beside the checkout."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
import torch

from ranktwo.data import dataset, preparation
from ranktwo.data.dataset import Dataset
from ranktwo.data.options import Options
from ranktwo.progress import Progress
from ranktwo.store import files, provenance, records
from ranktwo.store.records import Record
from ranktwo.study.axes import Cell
from ranktwo.study.grid import cell_name
from ranktwo.study.jobs import encode
from ranktwo.training import recording



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
# Commands that tests start are those of this checkout.
os.environ["PYTHONPATH"] = str(ROOT / "src")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """The promise of equal bits is made for one thread."""
    torch.set_num_threads(1)


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
    """A data set of these rows, the first for training, with inputs in float64 as stages have them."""
    parts = {"train_x": x[:train_size], "test_x": x[train_size:], "train_y": y[:train_size], "test_y": y[train_size:]}
    facts = {"name": "toy", "task": task, "inputs": x.shape[1], "outputs": outputs, "checksum": "", "metadata": {}}
    return Dataset(**facts, **parts)


def a_record(weights: list[torch.Tensor], data: Dataset, **axes: object) -> Record:
    """What training would leave of a net that ended with these matrices and began with others."""
    generator = torch.Generator().manual_seed(1)
    names = ["U", *(f"W{layer}" for layer in range(2, len(weights))), "V"]  # in the order in which a file has them
    ordered = [weights[-1], *weights[1:-1], weights[0]]
    snapshots = {
        name: torch.stack([torch.randn(w.shape, generator=generator), w.float()])
        for name, w in zip(names, ordered, strict=True)
    }
    size = axes.pop("train_size", len(data.train_x))
    facts = {"task": data.task, "inputs": data.inputs, "outputs": data.outputs, "train_size": size, "widths": "6"}
    return Record(cell=vars(a_cell(**axes)) | facts, identity="", steps=[0, 50], weights=snapshots)


@pytest.fixture(scope="session")
def run_stage(tmp_path_factory) -> Callable[..., pyarrow.Table]:
    """Trains three small cells, with and without label noise, one of which diverges; runs a stage's `main` on them."""
    folder = tmp_path_factory.mktemp("stack")
    options = Options(source="iris")
    files.write_tensors(folder / "dataset", *preparation.prepare("toy", options, folder, False))
    data = dataset.load(folder / "dataset")
    changes = [{"seed": 1}, {"label_noise": 0.2}, {"learning_rate": 1e4}]
    cells = [a_cell(train_size=80, **change) for change in changes]
    wanted = {cell_name(cell, {"source": "iris"}): cell for cell in cells}
    trained = recording.train(wanted, data, snapshots=3, device="cpu", progress=Progress("toy", 150, "cell-steps"))
    records.write_records(folder / "weights", folder / "history", trained, provenance.circumstances("train"))
    paths = {name: folder / name for name in ("weights", "history", "dataset", "output")}

    def run(stage: object, *reads: str, wanted: list[Cell] = cells, **more: str) -> pyarrow.Table:
        arguments = {"job": encode(wanted, {"source": "iris"}), "output": str(paths["output"])}
        arguments |= {name: str(paths[name]) for name in ("weights", "history", *reads)} | more
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["stage", *(f"--{name}={value}" for name, value in arguments.items())])
            stage.main()
        return files.read_parquet(paths["output"], stage.__name__.partition(".")[2])[0]

    run.cells = cells
    run.records = trained
    run.data = dataset.load_data(folder / "dataset")
    return run
