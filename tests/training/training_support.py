"""What the tests of training share: small data for each task, cells trained on them, and a comparison of records."""

import math

import torch

from ranktwo.store.records import Record
from ranktwo.study.axes import Cell
from ranktwo.training import divergence
from ranktwo.training.divergence import Training

N, INPUTS = 22, 5
OUTPUTS = {"regression": 1, "binary": 1, "multiclass": 3}
"""Outputs of a net by task."""
OPTIMIZERS = ("sgd", "momentum", "adamw")
TORCH_LOSSES = {
    "regression": torch.nn.MSELoss(),
    "binary": torch.nn.BCEWithLogitsLoss(),
    "multiclass": torch.nn.CrossEntropyLoss(),
}
"""PyTorch's own loss by task, for oracles."""


def torch_schedule(cell: Cell, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
    """PyTorch's own scheduler with the cell's learning-rate schedule, for oracles."""
    cosine = cell.schedule == "cosine"
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: (1 + math.cos(math.pi * t / cell.steps)) / 2 if cosine else 1.0
    )


def toy_data(task: str, dtype: torch.dtype = torch.float64, inputs: int = INPUTS) -> tuple[torch.Tensor, torch.Tensor]:
    """x [N, n] and labels of N random samples."""
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(N, inputs, generator=generator, dtype=dtype)
    if task == "regression":
        return x, torch.randn(N, 1, generator=generator, dtype=dtype)
    return x, torch.randint(0, 3 if task == "multiclass" else 2, (N,), generator=generator)


def trained(cells: list[Cell], task: str, dtype: torch.dtype = torch.float64, inputs: int = INPUTS) -> Training:
    """The cells after their last step on the toy data."""
    x, y = toy_data(task, dtype, inputs)
    training = divergence.begin(cells, x, y, task, OUTPUTS[task])
    training.advance_to(cells[0].steps)
    return training


def same(one: Record, other: Record) -> None:
    """The same numbers, to the last bit."""
    assert (one.cell, one.steps, one.diverged) == (other.cell, other.steps, other.diverged)
    assert one.history == other.history
    for matrix, weights in one.weights.items():
        assert torch.equal(weights.view(torch.int32), other.weights[matrix].view(torch.int32)), matrix
