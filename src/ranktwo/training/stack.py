"""The training step, written by hand for K nets at once; autograd is its oracle in the tests, never its engine.

Shapes: K cells, B samples a batch, N training samples, n inputs, c outputs; weights [K, out, in] as in nets.py.
Every operation acts on each cell by itself, so a cell's numbers do not depend on the cells stacked with it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ranktwo.data.decay import relative_decays
from ranktwo.nets import layout, losses, mlp
from ranktwo.nets.losses import Task
from ranktwo.study.schedule import schedule_factor
from ranktwo.training import optimizers
from ranktwo.training.backends.choice import fastest_steps
from ranktwo.training.optimizers import SLOTS

# Steps taken at once; where torch takes them on a GPU, they are recorded once and then repeated as a whole.
CHUNK = 128

# Steps between checks for divergence. Each costs a copy of the weights, from which the exact step is found again, and
# on a GPU a wait. Fewer on a CPU where they are long, in weights times rows: a second or so, while no signal is heard.
CPU_CHECK, GPU_CHECK = CHUNK, 4 * CHUNK
CHECK_WORK = 10**10


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How each of K cells is trained. Momentum is 0.9; AdamW has betas 0.9 and 0.999 and epsilon 1e-8."""

    optimizer: str
    """`sgd`, `momentum` or `adamw`, each as in torch.optim; decay is coupled in the first two, decoupled in AdamW."""
    task: Task
    steps: int
    batch_size: int
    seed_of: Tensor
    """Which of the S seeds each cell has, [K] int64: its batches are those of this one."""
    learning_rate: Tensor
    """eta, [K] float64."""
    cosine: Tensor
    """bool [K]: the learning rate is eta (1 + cos(pi t / steps)) / 2 at step t, else eta throughout."""
    weight_decay: Tensor
    """mu, [K] float64: mu W is added to the gradient by W (torch's convention), for every weight matrix."""
    by_input_norm: Tensor
    """bool [K]: sample i decays the weights by mu ||x_i||^2 / mean_j ||x_j||^2, a batch by its samples' mean."""

    def rates(self, first: int, count: int) -> Tensor:
        """Learning rates of the steps first, ..., first + count - 1, [count, K] float64."""
        factor = schedule_factor(True, np.arange(first, first + count), self.steps)
        return self.learning_rate * torch.where(self.cosine, torch.from_numpy(factor)[:, None], 1.0)

    def keep(self, cells: Tensor) -> "Recipe":
        """The recipe of these cells (bool [K])."""
        return replace(
            self,
            seed_of=self.seed_of[cells],
            learning_rate=self.learning_rate[cells],
            cosine=self.cosine[cells],
            weight_decay=self.weight_decay[cells],
            by_input_norm=self.by_input_norm[cells],
        )


class Stack:
    """K nets of equal shape, trained together on rows of x [N, n] and targets [N, c] ([K, N, c] where they differ)."""

    def __init__(self, weights: list[Tensor], x: Tensor, targets: Tensor, recipe: Recipe) -> None:
        self.x, self.targets, self.recipe = x.contiguous(), targets.contiguous(), recipe
        self.sample_decays = relative_decays(x).cpu()
        self.step = 0
        shapes = [weight.shape[1:] for weight in weights]
        # Net by net, each layer on a 64-byte boundary, first the weights, then what the optimizer keeps of each.
        self.sizes = [weights[0].shape[2], *(weight.shape[1] for weight in weights)]
        starts = layout.starts(self.sizes)
        self.memory = x.new_zeros(1 + SLOTS[recipe.optimizer], len(weights[0]), starts[-1])
        parts = list(zip(starts, shapes, strict=False))
        self.weights, *self.slots = (
            [kept[:, start : start + shape.numel()].unflatten(1, shape) for start, shape in parts]
            for kept in self.memory
        )
        for mine, weight in zip(self.weights, weights, strict=True):
            mine.copy_(weight)
        work = self.memory[0].numel() * recipe.batch_size
        self.check = min(CPU_CHECK, max(1, CHECK_WORK // max(work, 1))) if x.device.type == "cpu" else GPU_CHECK
        """Steps to be taken before a look at what they did."""
        self._steps = fastest_steps(self)

    def advance(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take as many steps as there are factors, [count, F, K], on the batches `rows` [count, S, B] (None: all)."""
        self._steps.take(rows, factors)
        self.step += len(factors)

    def factors(self, rows: Tensor | None, first: int, count: int) -> Tensor:
        """`optimizers.Factors` of the steps first, ..., first + count - 1, [count, F, K]."""
        recipe = self.recipe
        decay = recipe.weight_decay.expand(count, -1)
        if rows is not None and recipe.by_input_norm.any():
            means = self.sample_decays[rows].mean(-1)[:, recipe.seed_of]
            decay = decay * torch.where(recipe.by_input_norm, means, 1.0)
        rates = recipe.rates(first, count)
        found = optimizers.factors(recipe.optimizer, rates, decay, first, recipe.batch_size, self.x.dtype)
        return torch.stack(found, dim=1)

    def finite(self) -> Tensor:
        """Whether every weight of a cell is finite, bool [K]."""
        # Of the extremes, either of which is nan if an entry is: 20 times faster than entry by entry.
        weights = self.memory[0]
        return weights.amax(1).isfinite() & weights.amin(1).isfinite()

    def keep(self, cells: Tensor) -> "Stack":
        """A copy that goes on with these cells only (bool [K])."""
        targets = self.targets if self.targets.dim() == 2 else self.targets[cells]
        kept = Stack([weight[cells] for weight in self.weights], self.x, targets, self.recipe.keep(cells))
        kept.memory.copy_(self.memory[:, cells])
        kept.step = self.step
        return kept

    def state(self) -> tuple[Tensor, int]:
        """Weights, optimizer slots and step: all that a step changes."""
        return self.memory.clone(), self.step

    def restore(self, state: tuple[Tensor, int]) -> None:
        """Go on from a state."""
        self.memory.copy_(state[0])
        self.step = state[1]

    def losses(self, rows: Tensor | None) -> Tensor:
        """Losses of a batch's samples, rows [S, B] (None: all), at the present weights, [K, B]."""
        x, targets = self.x, self.targets
        if rows is not None:
            rows = rows[self.recipe.seed_of].to(x.device)
            each = torch.arange(len(rows), device=x.device)[:, None]
            x, targets = x[rows], targets[rows] if targets.dim() == 2 else targets[each, rows]
        return losses.sample_losses(mlp.forward(self.weights, x)[-1], targets, self.recipe.task)
