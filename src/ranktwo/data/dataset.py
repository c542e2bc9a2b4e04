"""TODO data.dataset."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
import pyarrow
from torch import Tensor
import contextlib
import difflib
import gzip
import hashlib
import json
import os
import socket
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args
import numpy as np
import torch
from ranktwo.data.labels import noisy_targets
from ranktwo.errors import UserError
from ranktwo.nets.losses import Task
from ranktwo.store.files import read_tensors


def load_data(path: Path) -> Dataset:
    """The data set in a file with its inputs in float64, in which stages evaluate nets; converted once, for all."""
    data = load(path)
    return replace(data, train_x=data.train_x.double(), test_x=data.test_x.double())


def training_data(cell: dict[str, Any], data: Dataset) -> tuple[Tensor, Tensor]:
    """x [N, n] and targets y [N, c], noise included, on which a record's cell was trained."""
    size = cell["train_size"]
    y = noisy_targets(data.train_y[:size], data.task, data.outputs, cell["label_noise"], cell["seed"])
    return data.train_x[:size], y


# The prepared data set: what training reads.


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A prepared data set; shapes, dtypes and units as in the module's docstring, `metadata` as in `prepare`."""

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


def load(path: Path) -> Dataset:
    """The data set in a file written by this module; UserError if it is absent or anything in it is not as written."""
    tensors, metadata = read_tensors(path)
    try:
        dataset = Dataset(**{key: metadata[key] for key in _DESCRIPTION}, **tensors, metadata=metadata)
        problem = _problem(dataset)
    except (KeyError, TypeError, RuntimeError):
        problem = "is not a prepared data set"
    if problem:
        raise UserError(f"{path} {problem}; delete it and run snakemake again")
    return dataset


_DESCRIPTION = ("name", "task", "inputs", "outputs", "checksum")


def _problem(dataset: Dataset) -> str | None:
    """What is wrong with a data set read from a file, cheap checks first."""
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
    return None if fingerprint(tensors) == dataset.checksum else "is damaged (its checksum differs)"


def fingerprint(arrays: Mapping[str, Tensor | np.ndarray]) -> str:
    """SHA-256 over names, shapes, dtypes and bytes (little-endian, row by row), the same on every machine."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        array = np.asarray(array)
        dtype = array.dtype.newbyteorder("<")
        digest.update(f"{name} {array.shape} {dtype.str};".encode())
        digest.update(np.ascontiguousarray(array, dtype).data.cast("B") if array.size else b"")
    return digest.hexdigest()
