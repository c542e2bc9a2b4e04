"""Training steps on a CPU, by the compiled functions of kernels.py."""

import numpy as np
from torch import Tensor

from ranktwo.nets import layout
from ranktwo.training.backends.base import TrainedNets

OPTIMIZERS = ("sgd", "momentum", "adamw")
"""Optimizers that kernels.py has code for."""


class CompiledSteps:
    """Steps of nets on a CPU."""

    def __init__(self, nets: TrainedNets) -> None:
        from ranktwo.training.backends import kernels  # numba takes half a second, which only a CPU's training needs

        optimizer, sizes, dtype = nets.optimizer, nets.sizes, nets.x.dtype
        targets = nets.targets if nets.targets.dim() == 3 else nets.targets[None]
        self._steps, self._no_rows = kernels.steps, np.empty((0, 0, nets.batch_size), np.int64)
        self._kind = kernels.OPTIMIZERS[optimizer.name], kernels.TASKS[nets.task]
        self._data = (
            np.array(sizes),
            nets.memory.numpy(),
            np.array(layout.starts(sizes)),
            nets.x.numpy(),
            targets.numpy(),
            nets.seed_of.numpy(),
        )
        numbers = [optimizer.constants[name] for name in kernels.CONSTANTS[optimizer.name]]
        constants = np.array(numbers, nets.memory.numpy().dtype)
        self._rest = constants, *kernels.work(dtype, sizes, nets.batch_size, optimizer.slots)

    def take(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take as many steps as there are factors, [count, F, K]."""
        chosen = self._no_rows if rows is None else rows.numpy()
        self._steps(*self._kind, *self._data, chosen, factors.numpy(), *self._rest)
