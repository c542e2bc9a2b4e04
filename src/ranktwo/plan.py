"""What a study will take, before any of it is submitted: jobs, cells, CPU time, memory and disk, of what is new."""

import argparse
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ranktwo import datasets, engine, files, grid, provenance, train
from ranktwo.errors import UserError, run
from ranktwo.grid import Cell

# Calibration, on one core of an AMD EPYC (AVX-512) with torch 2.13.0 and other work beside; benchmarks/plan.py makes it
# anew. Training: least squares of relative errors over 88 runs of nets from 64-16-1 to 3072-128-10, B from 4 to 256, all
# optimizers, K from 1 to 32; the fit is within 0.58 to 1.49 of every run.
STEP = {"layer": 45.3, "product": 35.1e-6, "weight": 0.43e-3, "activation": 2.74e-3, "cell": 1.8}
"""Microseconds of a step: for each layer of a stack; for each weight and sample; weight; activation; cell."""
OPTIMIZER = {"sgd": 0.0, "momentum": 1.23e-3, "adamw": 3.28e-3}
"""Microseconds of a step for each weight on top of that."""
EVALUATION = {"product": 37.1e-6, "activation": 347e-6}
"""Microseconds of a snapshot for each weight and sample; activation and sample."""
START = 3.0
"""Seconds in which a job starts: Python, PyTorch, reading and writing."""
WITHIN = 2
"""Training times are meant to be within this factor."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack's cells, those of them to be trained, and the analyses to be made."""

    name: str
    cells: list[Cell]
    new: list[Cell]
    missing: set[str]
    """Stages after training whose file is not there, or has to be made again with the new cells."""
    data: datasets.Dataset
    snapshots: int
    """Recorded of each cell, the initial one included."""

    @property
    def parameters(self) -> int:
        """Weights of one net."""
        return sum(math.prod(pair) for pair in train.shapes(self.cells[0], self.data))

    @property
    def train_size(self) -> int:
        return self.cells[0].train_size or len(self.data.train_x)

    @property
    def samples(self) -> int:
        """Rows that one evaluation goes through."""
        return self.train_size + len(self.data.test_x)

    @property
    def activations(self) -> int:
        """Numbers that one sample makes of itself, its inputs included."""
        return self.data.inputs + sum(self.cells[0].widths) + self.data.outputs

    @property
    def values(self) -> int:
        """Multiplications in one singular value decomposition of each matrix: the sum of (least side)^2 (other side)."""
        return sum(min(pair) ** 2 * max(pair) for pair in train.shapes(self.cells[0], self.data))

    def weight_bytes(self, cells: int) -> int:
        """What so many cells' snapshots take in memory and on disk."""
        return 4 * self.parameters * self.snapshots * cells


def training_seconds(stack: Stack) -> float:
    """CPU seconds of training a stack's new cells on one core."""
    if not stack.new:
        return 0.0
    first, count = stack.new[0], len(stack.new)
    batch = stack.train_size if first.batch_size == "full" else first.batch_size
    slices = math.ceil(count / train.most_at_once(stack.parameters, "cpu"))
    step = (
        STEP["layer"] * (len(first.widths) + 1) * slices / count
        + STEP["product"] * stack.parameters * batch
        + (STEP["weight"] + OPTIMIZER[first.optimizer]) * stack.parameters
        + STEP["activation"] * stack.activations * batch
        + STEP["cell"]
    )
    look = stack.samples * (EVALUATION["product"] * stack.parameters + EVALUATION["activation"] * stack.activations)
    looks = stack.snapshots * sum(2 if cell.label_noise else 1 for cell in stack.new)
    return START + 1e-6 * (step * first.steps * count + look * looks)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage with one job for each stack: what a job takes."""

    name: str
    seconds: Callable[[Stack], float]
    """CPU seconds."""
    memory: Callable[[Stack], float]
    """Bytes at its peak."""
    disk: Callable[[Stack], float]
    """Bytes written."""
