"""The prepared data set that training and analyses read, its file, and the targets on which a cell was trained.

Shapes: N samples, n inputs, C classes, c outputs (c = 1 for regression and for two classes, else C).
The file holds train_x, test_x float32 [N, n] and train_y, test_y: float32 [N, 1] in regression, shifted and scaled to
mean 0 and sd 1 over the training part (a mean squared error of 1 is trivial), else int64 [N], class index 0..C-1.
The training rows lie in random order, so that the first N of them are a random subset, nested in N.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranktwo.data.labels import noisy_targets
from ranktwo.errors import UserError
from ranktwo.nets.losses import Task
from ranktwo.store import files


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A prepared data set. The module's docstring gives shapes, types and units, `preparation.prepare` the metadata."""

    name: str
    task: Task
    inputs: int
    outputs: int
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    checksum: str
    metadata: dict[str, Any]


_FACTS = ("name", "task", "inputs", "outputs", "checksum")
"""Fields of Dataset that its metadata hold, too."""


def load(path: Path) -> Dataset:
    """The data set in a file that the stage `dataset` wrote; UserError if it is absent or was changed in any way."""
    tensors, metadata = files.read_tensors(path)
    try:
        dataset = Dataset(**{key: metadata[key] for key in _FACTS}, **tensors, metadata=metadata)
        problem = _problem(dataset)
    except (KeyError, TypeError, RuntimeError):
        problem = "is not a prepared data set"
    if problem:
        raise UserError(f"{path} {problem}; delete it and run snakemake again")
    return dataset


def load_in_float64(path: Path) -> Dataset:
    """The data set in a file, as `load` gives it, but with inputs in float64, in which the analyses evaluate nets."""
    data = load(path)
    return replace(data, train_x=data.train_x.double(), test_x=data.test_x.double())


def training_data(cell: Mapping[str, Any], data: Dataset) -> tuple[Tensor, Tensor]:
    """x [N, n] and targets y [N, c], noise included, on which a cell was trained; `cell` as in `Record.cell`."""
    size = cell["train_size"]
    y = noisy_targets(data.train_y[:size], data.task, data.outputs, cell["label_noise"], cell["seed"])
    return data.train_x[:size], y


def _problem(dataset: Dataset) -> str | None:
    """What is wrong with a data set that was read from a file. Cheap checks come first."""
    regression = dataset.task == "regression"
    for part in ("train", "test"):
        x, y = getattr(dataset, f"{part}_x"), getattr(dataset, f"{part}_y")
        size = dataset.metadata[f"{part}_size"]
        if x.shape != (size, dataset.inputs) or y.shape != ((size, 1) if regression else (size,)):
            return f"holds {part} tensors of other shapes than it says"
        if x.dtype != torch.float32 or y.dtype != (torch.float32 if regression else torch.int64):
            return f"holds {part} tensors of other types than it says"
        if not (x.isfinite().all() and y.isfinite().all()):
            return f"holds {part} numbers that are not finite"
        if not regression and not (y.min() >= 0 and y.max() < max(2, dataset.outputs)):
            return f"holds {part} labels that are no class"
    tensors = {key: getattr(dataset, key) for key in ("train_x", "train_y", "test_x", "test_y")}
    return None if checksum_of(tensors) == dataset.checksum else "is damaged (its checksum differs)"


def checksum_of(arrays: Mapping[str, Tensor | np.ndarray]) -> str:
    """SHA-256 of the names, shapes, types and bytes of arrays.

    Bytes are taken little-endian and row by row, so that it is the same on every machine.
    """
    digest = hashlib.sha256()
    for name, array in arrays.items():
        array = np.asarray(array)
        dtype = array.dtype.newbyteorder("<")
        digest.update(f"{name} {array.shape} {dtype.str};".encode())
        digest.update(np.ascontiguousarray(array, dtype).data.cast("B") if array.size else b"")
    return digest.hexdigest()
