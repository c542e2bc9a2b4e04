"""The prepared data set that training and analyses read, its file, and the targets on which a cell was trained.

Shapes: N samples, n inputs, C classes, c outputs (c = 1 for regression and for two classes, else C).
A data set has train_x, test_x float32 [N, n] and train_y, test_y: float32 [N, 1] in regression, shifted and scaled to
mean 0 and sd 1 over the training part (a mean squared error of 1 is trivial), else int64 [N], class index 0..C-1.
The training rows lie in random order, so that the first N of them are a random subset, nested in N.

The file holds the tensors of split 0 under these names, and those of split 1 as train_x.1 and so on. Where the source
has a test part of its own, split 1 has the rows of split 0, the training rows in another order, and no tensors.
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
from ranktwo.nets.streams import random_seed
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

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: (n,), or (height, width, channels) of an image."""
        return tuple(self.metadata.get("image") or (self.inputs,))


PARTS = ("train_x", "train_y", "test_x", "test_y")
_FACTS = ("name", "task", "inputs", "outputs", "checksum")
"""Fields of Dataset that its metadata hold, too."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """What a file of the stage `dataset` holds: a data set in each of its splits."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]

    def checksum(self, split: int) -> str:
        """Of a split's tensors."""
        return self._facts(split)["checksum"]

    def split(self, split: int, inputs: torch.dtype = torch.float32) -> Dataset:
        """The data set in a split; UserError if the file lacks it or was changed in any way.

        inputs: the type of train_x and test_x; float64 for the analyses, which evaluate nets in it.
        """
        facts = self._facts(split)
        try:
            fields: dict[str, Any] = {key: facts[key] for key in _FACTS}
            dataset = Dataset(**fields | tensors_of(self.tensors, facts, split), metadata=facts)
            problem = _problem(dataset)
        except (KeyError, TypeError, RuntimeError, IndexError):
            problem = "is not a prepared data set"
        if problem:
            raise self._refused(problem)
        return replace(dataset, train_x=dataset.train_x.to(inputs), test_x=dataset.test_x.to(inputs))

    def _facts(self, split: int) -> dict[str, Any]:
        """The metadata of a split, and what all splits share."""
        try:
            found = {own["split"]: own for own in self.metadata["splits"]}
        except (KeyError, TypeError) as error:
            raise self._refused("is not a prepared data set") from error
        if split not in found:
            known = ", ".join(map(str, found))
            raise UserError(f"{self.path} lacks split {split} (it has {known}); run snakemake, which makes it")
        return {**self.metadata, **found[split]}

    def _refused(self, problem: str) -> UserError:
        return UserError(f"{self.path} {problem}; delete it and run snakemake again")


def load(path: Path) -> Prepared:
    """What a file of the stage `dataset` holds; UserError if it is absent or damaged."""
    tensors, metadata = files.read_tensors(path)
    return Prepared(path=path, tensors=tensors, metadata=metadata)


def tensors_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], split: int) -> dict[str, Tensor]:
    """A split's tensors by the names in PARTS, from all tensors of a file."""
    if not metadata["official_test"]:
        return {part: tensors[f"{part}.{split}" if split else part] for part in PARTS}
    own = {part: tensors[part] for part in PARTS}
    if split:
        first, other = (
            np.random.default_rng(metadata["options"]["seed"] + number).permutation(metadata["train_size"])
            for number in (0, split)
        )
        rows = torch.from_numpy(np.argsort(first)[other])
        own |= {part: own[part][rows] for part in ("train_x", "train_y")}
    return own


def training_data(cell: Mapping[str, Any], data: Dataset) -> tuple[Tensor, Tensor]:
    """x [N, n] and targets y [N, c], noise included, on which a cell was trained; `cell` as in `Record.cell`."""
    size = cell["train_size"]
    y = noisy_targets(data.train_y[:size], data.task, data.outputs, cell["label_noise"], random_seed(cell))
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
    tensors = {key: getattr(dataset, key) for key in PARTS}
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
