"""TODO training.backends.cpu."""

import numpy as np
from torch import Tensor

from ranktwo.nets import layout
from ranktwo.training.backends.kernels import OPTIMIZERS, TASKS
from ranktwo.training.optimizers import CONSTANTS
from ranktwo.training.stack import Stack


class CompiledSteps:
    """Steps on a CPU, by kernels.py."""

    def __init__(self, stack: Stack) -> None:
        from ranktwo import kernels  # numba, which nobody else needs, takes half a second

        recipe, sizes, dtype = stack.recipe, stack.sizes, stack.x.dtype
        targets = stack.targets if stack.targets.dim() == 3 else stack.targets[None]
        self._steps, self._no_rows = kernels.steps, np.empty((0, 0, recipe.batch_size), np.int64)
        self._kind = kernels.blas(dtype, sizes), OPTIMIZERS[recipe.optimizer], TASKS[recipe.task]
        self._data = (
            np.array(sizes),
            stack.memory.numpy(),
            np.array(layout.starts(sizes)),
            stack.x.numpy(),
            targets.numpy(),
            recipe.seed_of.numpy(),
        )
        constants = np.array(CONSTANTS[recipe.optimizer], stack.memory.numpy().dtype)
        self._rest = constants, *kernels.work(dtype, sizes, recipe.batch_size)

    def take(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take as many steps as there are factors, [count, F, K]."""
        chosen = self._no_rows if rows is None else rows.numpy()
        self._steps(*self._kind, *self._data, chosen, factors.numpy(), *self._rest)
