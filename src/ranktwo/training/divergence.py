"""A stack on its way to a later step, with the cells taken out that diverge, and the step of each."""

from collections.abc import Callable

import torch
from torch import Tensor

from ranktwo.data.labels import noisy_targets
from ranktwo.nets import net as nets
from ranktwo.nets.losses import Task
from ranktwo.nets.streams import random_seed
from ranktwo.study.axes import Cell
from ranktwo.training.batches import Batches
from ranktwo.training.stack import Recipe, Stack


class Training:
    """A stack on its way: which of its K cells are still trained, and at which step each of the others diverged."""

    def __init__(self, stack: Stack, batches: Batches) -> None:
        self.stack, self.batches = stack, batches
        self.alive = torch.arange(len(stack.weights[0]))
        """Numbers of the cells still in `stack`, in its order."""
        self.diverged: dict[int, int] = {}
        """By cell number, the first step after which a weight or a loss of the cell was not finite."""

    def advance_to(self, step: int, tick: Callable[[int], None] = lambda steps: None) -> None:
        """Train to `step`. A cell that diverges is taken out of the stack; the numbers of the others do not change.

        `tick` is called with the number of steps taken since its last call, at a moment when the training can be
        written down and resumed.
        """
        rows, factors = self._prepare(self.stack.step, step)
        while self.stack.step < step and len(self.alive):
            stack, count = self.stack, len(factors)
            before = stack.state()
            stack.advance(rows, factors)
            # A GPU is still at work when `advance` returns. Meanwhile the next steps are prepared.
            following = self._prepare(stack.step, step)
            finite = stack.finite().cpu()
            if not finite.all():
                # Cells do not depend on each other. The diverged ones take these steps again, alone, one by one.
                after = stack.state()
                stack.restore(before)
                suspects = stack.keep(~finite)
                stack.restore(after)
                self.freeze(~finite, _first_bad_steps(suspects, rows, factors[..., ~finite].contiguous()))
                following = following[0], following[1][..., finite].contiguous()
            rows, factors = following
            tick(count)

    def _prepare(self, first: int, end: int) -> tuple[Tensor | None, Tensor]:
        """Rows and factors of the steps from `first` on, as many as are taken before the next check."""
        count = min(self.stack.check, end - first)
        rows = self.batches.take(count)
        return rows, self.stack.factors(rows, first, count)

    def resume(self, step: int, weights: list[Tensor], slots: list[list[Tensor]]) -> None:
        """Go on from the weights and slots of a training of these cells that had taken `step` steps."""
        self.batches.skip(step)
        self.stack.step = step
        for mine, saved in zip([self.stack.weights, *self.stack.slots], [weights, *slots], strict=True):
            for matrix, values in zip(mine, saved, strict=True):
                matrix.copy_(values)

    def freeze(self, cells: Tensor, steps: list[int]) -> None:
        """Mark these cells of the stack (bool) as diverged at `steps` and go on without them."""
        self.diverged.update(zip(self.alive[cells].tolist(), steps, strict=True))
        self.alive = self.alive[~cells]
        self.stack = self.stack.keep(~cells)


def _first_bad_steps(stack: Stack, rows: Tensor | None, factors: Tensor) -> list[int]:
    """For each cell, all of which diverge within these steps: the first step after which it is not finite."""
    first = torch.full((len(stack.weights[0]),), stack.step + len(factors))
    for index in range(len(factors)):
        stack.advance(None if rows is None else rows[index : index + 1], factors[index : index + 1])
        bad = ~(stack.finite() & stack.losses(None if rows is None else rows[index]).isfinite().all(1)).cpu()
        first[bad] = first[bad].clamp(max=stack.step)
    return first.tolist()


def begin(
    cells: list[Cell], x: Tensor, labels: Tensor, task: Task, outputs: int, shape: tuple[int, ...] | None = None
) -> Training:
    """The training of cells that share everything but the stackable axes, at step 0, on the device of x [N, n].

    `labels` are the clean ones as a data set stores them: [N, 1] values or [N] class numbers. `shape` is that of one
    sample, as `Dataset.shape` has it; (n,) unless it is given.
    """
    first = cells[0]
    net = nets.of(vars(first), shape or (x.shape[1],), outputs)
    own = [random_seed(vars(cell)) for cell in cells]
    seeds = sorted(set(own))
    drawn = {seed: net.initial(seed, x.dtype) for seed in seeds}
    weights = [torch.stack(layer).to(x.device) for layer in zip(*(drawn[seed] for seed in own), strict=True)]
    noisy = [
        noisy_targets(labels, task, outputs, cell.label_noise, seed) for cell, seed in zip(cells, own, strict=True)
    ]
    recipe = Recipe(
        optimizer=first.optimizer,
        task=task,
        steps=first.steps,
        batch_size=len(x) if first.batch_size == "full" else int(first.batch_size),
        seed_of=torch.tensor([seeds.index(seed) for seed in own]),
        learning_rate=torch.tensor([cell.learning_rate for cell in cells], dtype=torch.float64),
        schedules=tuple(cell.schedule for cell in cells),
        weight_decay=torch.tensor([cell.weight_decay for cell in cells], dtype=torch.float64),
        decay_rules=tuple(cell.decay_rule for cell in cells),
    )
    shared = all(cell.label_noise == 0 for cell in cells)
    targets = (noisy[0] if shared else torch.stack(noisy)).to(x)
    batches = Batches(seeds, len(x), recipe.batch_size)
    return Training(Stack(net, weights, x, targets, recipe), batches)
