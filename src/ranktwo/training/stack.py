"""K nets trained at once, each by its own recipe; autograd and torch.optim check the steps in the tests.

Shapes: K cells, B samples a batch, N training samples, n inputs, c outputs; weights [K, rows, columns] as in nets.net.
Every operation acts on each cell by itself, so a cell's numbers do not depend on the cells stacked with it.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ranktwo.data.decay_rules import relative_decays
from ranktwo.nets import layout, losses
from ranktwo.nets.losses import Task
from ranktwo.nets.net import Net
from ranktwo.study.schedules import schedule_factor
from ranktwo.training.backends.base import TrainedNets
from ranktwo.training.backends.choice import fastest_steps
from ranktwo.training.batches import CHUNK
from ranktwo.training.optimizers.base import named

# Steps between checks for divergence. A check copies the weights, to find the exact step from the copy, and makes the
# program wait for a GPU.
CPU_CHECK, GPU_CHECK = CHUNK, 4 * CHUNK
# Most work between two checks on a CPU, in weights times rows: about a second, in which no signal is answered.
CHECK_WORK = 10**10


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How each of K cells is trained."""

    optimizer: str
    """Name of a registered optimizer."""
    task: Task
    steps: int
    batch_size: int
    seed_of: Tensor
    """Which of the S seeds each cell has, [K] int64: it is trained on the batches of that seed."""
    learning_rate: Tensor
    """eta, [K] float64."""
    schedules: tuple[str, ...]
    """Name of each cell's learning-rate schedule, K of them."""
    weight_decay: Tensor
    """mu, [K] float64: mu W is added to the gradient by W (torch's convention), for every weight matrix; a net's other
    parameters, biases and gains, are not decayed."""
    decay_rules: tuple[str, ...]
    """Name of each cell's decay rule, K of them: a batch decays the weights by the mean of its samples' decays."""

    def rates(self, first: int, count: int) -> Tensor:
        """Learning rates of the steps first, ..., first + count - 1, [count, K] float64."""
        t = np.arange(first, first + count)
        factors = torch.empty(count, len(self.schedules), dtype=torch.float64)
        for name in set(self.schedules):
            factors[:, _has(self.schedules, name)] = torch.from_numpy(schedule_factor(name, t, self.steps))[:, None]
        return self.learning_rate * factors

    def keep(self, cells: Tensor) -> "Recipe":
        """The recipe of these cells (bool [K])."""
        return replace(
            self,
            seed_of=self.seed_of[cells],
            learning_rate=self.learning_rate[cells],
            schedules=tuple(itertools.compress(self.schedules, cells.tolist())),
            weight_decay=self.weight_decay[cells],
            decay_rules=tuple(itertools.compress(self.decay_rules, cells.tolist())),
        )


def _has(names: tuple[str, ...], name: str) -> Tensor:
    """Which cells have this name, bool [K]."""
    return torch.tensor([other == name for other in names], dtype=torch.bool)


class Stack:
    """K nets of equal shape, trained together on rows of x [N, n] and targets [N, c] ([K, N, c] where they differ)."""

    def __init__(self, net: Net, weights: list[Tensor], x: Tensor, targets: Tensor, recipe: Recipe) -> None:
        self.net, self.x, self.targets, self.recipe = net, x.contiguous(), targets.contiguous(), recipe
        self._optimizer = named(recipe.optimizer)
        self.step = 0
        shapes = [weight.shape[1:] for weight in weights]
        # One net after the other, each layer on a 64-byte boundary; first all weights, then each of the slots.
        starts = layout.offsets(shape.numel() for shape in shapes)
        self.memory = x.new_zeros(1 + self._optimizer.slots, len(weights[0]), starts[-1])
        places = list(zip(starts, shapes, strict=False))
        self.weights, *self.slots = (
            [part[:, start : start + shape.numel()].unflatten(1, shape) for start, shape in places]
            for part in self.memory
        )
        for mine, weight in zip(self.weights, weights, strict=True):
            mine.copy_(weight)
        work = self.memory[0].numel() * recipe.batch_size
        self.check = min(CPU_CHECK, max(1, CHECK_WORK // max(work, 1))) if x.device.type == "cpu" else GPU_CHECK
        """Steps to take before the next check for divergence."""
        decays = {rule: relative_decays(rule, x).cpu() for rule in set(recipe.decay_rules)}
        self._sample_decays = {rule: values for rule, values in decays.items() if not (values == 1).all()}
        """c_i/mu of every training sample, [N] float64, for rules by which samples differ."""
        self._steps = fastest_steps(self._nets())

    def _nets(self) -> TrainedNets:
        return TrainedNets(
            net=self.net,
            memory=self.memory,
            weights=self.weights,
            slots=self.slots,
            x=self.x,
            targets=self.targets,
            optimizer=self._optimizer,
            task=self.recipe.task,
            batch_size=self.recipe.batch_size,
            seed_of=self.recipe.seed_of,
        )

    def advance(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take as many steps as there are factors, [count, F, K], on the batches `rows` [count, S, B] (None: all)."""
        self._steps.take(rows, factors)
        self.step += len(factors)

    def factors(self, rows: Tensor | None, first: int, count: int) -> Tensor:
        """`Factors` of the steps first, ..., first + count - 1 on the batches `rows`, [count, F, K]."""
        recipe = self.recipe
        decay = recipe.weight_decay.repeat(count, 1)
        # All training rows together decay by mu, whatever the rule.
        for rule, decays in self._sample_decays.items() if rows is not None else ():
            cells = _has(recipe.decay_rules, rule)
            decay[:, cells] *= decays[rows].mean(-1)[:, recipe.seed_of[cells]]
        factors = self._optimizer.factors(recipe.rates(first, count), decay, first, recipe.batch_size, self.x.dtype)
        return torch.stack(factors, dim=1)

    def finite(self) -> Tensor:
        """Whether every weight of a cell is finite, bool [K]."""
        # The extremes are nan if an entry is; to look at them is 20 times faster than to look at each entry.
        weights = self.memory[0]
        return weights.amax(1).isfinite() & weights.amin(1).isfinite()

    def keep(self, cells: Tensor) -> "Stack":
        """A copy that goes on with these cells only (bool [K])."""
        targets = self.targets if self.targets.dim() == 2 else self.targets[cells]
        kept = Stack(self.net, [weight[cells] for weight in self.weights], self.x, targets, self.recipe.keep(cells))
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
            cells = torch.arange(len(rows), device=x.device)[:, None]
            x, targets = x[rows], targets[rows] if targets.dim() == 2 else targets[cells, rows]
        return losses.sample_losses(self.net.outputs(self.weights, x), targets, self.recipe.task)
