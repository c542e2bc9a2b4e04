"""The training step, written by hand for K nets at once; autograd is its oracle in the tests, never its engine.

Shapes: K cells, B samples a batch, N training samples, n inputs, c outputs; weights [K, out, in] as in nets.py.
Every operation acts on each cell by itself, so a cell's numbers do not depend on the cells stacked with it.
"""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranktwo import gpu, nets, optimizers
from ranktwo.labels import noisy_targets
from ranktwo.streams import stream

if TYPE_CHECKING:
    from ranktwo.grid import Cell

# Steps taken at once; where torch takes them on a GPU, they are recorded once and then repeated as a whole.
CHUNK = 128
# Steps between checks for divergence. Each costs a copy of the weights, from which the exact step is found again, and
# on a GPU a wait. Fewer on a CPU where they are long, in weights times rows: a second or so, while no signal is heard.
CPU_CHECK, GPU_CHECK = CHUNK, 4 * CHUNK
CHECK_WORK = 10**10
# Activations of a cell, in numbers, that an evaluation holds at once: those of some 30 cells stay in a CPU's cache, and
# a GPU wants few and large operations.
SLICE, GPU_SLICE = 2**16, 2**20


def schedule_factor(cosine: bool, t: NDArray[np.int64], steps: int) -> NDArray[np.float64]:
    """What the learning rate is multiplied by at steps t: (1 + cos(pi t / steps)) / 2, or 1 if constant."""
    return (1 + np.cos(math.pi * t / steps)) / 2 if cosine else np.ones(len(t))


def relative_decays(x: Tensor) -> Tensor:
    """c_i / mu = ||x_i||^2 / mean_j ||x_j||^2 of the decay rule `input-norm`, [N] float64; 1 if all are zero."""
    squares = x.double().square().sum(-1)
    return squares / squares.mean() if squares.any() else torch.ones_like(squares)


def _cuda_graph(steps: Callable[[], None]) -> Callable[[], None]:
    """`steps` recorded, not taken: calling what is returned takes them, with one launch for all."""
    graph = torch.cuda.CUDAGraph()
    # Only what this thread does may spoil a recording.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        steps()
    return graph.replay


RECORDERS = {"cuda": _cuda_graph}


KERNELS = importlib.util.find_spec("numba") is not None
"""Whether there are compiled steps for a CPU; where not, torch takes them, slower."""


class Batches:
    """Mini-batches of each of S seeds: the N rows in a random order, cut into floor(N/B) batches, then a new order.

    The last N mod B rows of each order are left out, so that every batch has B rows. Cells of one seed see the same
    batches. A batch of all N rows needs no order and has none: `take` then returns None.
    """

    def __init__(self, seeds: list[int], train_size: int, batch_size: int) -> None:
        self.train_size, self.batch_size = train_size, batch_size
        self._generators = [stream(seed, "batches") for seed in seeds]
        self._ahead = torch.empty(len(seeds), 0, batch_size, dtype=torch.long)

    def take(self, count: int) -> Tensor | None:
        """Row numbers of the next `count` batches, [count, S, B]."""
        if self.batch_size == self.train_size:
            return None
        whole = self.train_size // self.batch_size
        parts, have = [self._ahead], self._ahead.shape[1]
        while have < count:
            orders = [torch.randperm(self.train_size, generator=generator) for generator in self._generators]
            orders = torch.stack(orders)[:, : whole * self.batch_size]
            parts.append(orders.view(len(orders), whole, self.batch_size))
            have += whole
        ahead = torch.cat(parts, dim=1) if len(parts) > 1 else self._ahead
        self._ahead = ahead[:, count:]
        return ahead[:, :count].transpose(0, 1).contiguous()

    def skip(self, count: int) -> None:
        """Leave out the next `count` batches, as if they had been taken."""
        for done in range(0, count, CHUNK):
            self.take(min(CHUNK, count - done))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How each of K cells is trained. Momentum is 0.9; AdamW has betas 0.9 and 0.999 and epsilon 1e-8."""

    optimizer: str
    """`sgd`, `momentum` or `adamw`, each as in torch.optim; decay is coupled in the first two, decoupled in AdamW."""
    task: nets.Task
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
        starts = nets.starts(self.sizes)
        self.memory = x.new_zeros(1 + optimizers.SLOTS[recipe.optimizer], len(weights[0]), starts[-1])
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
        self._steps = _fastest_steps(self)

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
        return nets.sample_losses(nets.forward(self.weights, x)[-1], targets, self.recipe.task)


def _fastest_steps(stack: Stack) -> "_CompiledSteps | gpu.Steps | _TorchSteps":
    """Steps by the fastest way there is for this stack on its device."""
    x, targets, recipe = stack.x, stack.targets, stack.recipe
    if KERNELS and x.device.type == "cpu":
        return _CompiledSteps(stack)
    whole = recipe.batch_size == len(x)
    if x.is_cuda and x.dtype == torch.float32:
        kernel = gpu.available(stack.sizes, recipe.batch_size, whole, recipe.optimizer, recipe.task)
        if kernel is not None:
            return gpu.Steps(kernel, stack.memory, x, targets, recipe.seed_of)
    return _TorchSteps(stack)


class _CompiledSteps:
    """Steps on a CPU, by kernels.py."""

    def __init__(self, stack: Stack) -> None:
        from ranktwo import kernels  # numba, which nobody else needs, takes half a second

        recipe, sizes, dtype = stack.recipe, stack.sizes, stack.x.dtype
        targets = stack.targets if stack.targets.dim() == 3 else stack.targets[None]
        self._steps, self._no_rows = kernels.steps, np.empty((0, 0, recipe.batch_size), np.int64)
        self._kind = kernels.blas(dtype, sizes), kernels.OPTIMIZERS[recipe.optimizer], kernels.TASKS[recipe.task]
        self._data = (
            np.array(sizes),
            stack.memory.numpy(),
            np.array(nets.starts(sizes)),
            stack.x.numpy(),
            targets.numpy(),
            recipe.seed_of.numpy(),
        )
        constants = np.array(optimizers.CONSTANTS[recipe.optimizer], stack.memory.numpy().dtype)
        self._rest = constants, *kernels.work(dtype, sizes, recipe.batch_size)

    def take(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take as many steps as there are factors, [count, F, K]."""
        chosen = self._no_rows if rows is None else rows.numpy()
        self._steps(*self._kind, *self._data, chosen, factors.numpy(), *self._rest)


class _TorchSteps:
    """Steps by torch's operations, all nets at once, in buffers made once: a GPU can record and repeat them."""

    def __init__(self, stack: Stack) -> None:
        # Not the stack itself, which holds these steps: a circle would keep a GPU's memory until Python looks for it.
        x, recipe, weights = stack.x, stack.recipe, stack.weights
        self._x, self._targets, self._task = x, stack.targets, recipe.task
        self._weights, self._slots = weights, stack.slots
        cells, batch, full, sizes = len(weights[0]), recipe.batch_size, recipe.batch_size == len(x), stack.sizes
        # Activations h_0 .. f, their gradients, and the targets of the batch.
        self._activations = [nets.aligned(cells, batch, size, x) for size in sizes]
        # Apart in memory by more than they hold, the outputs of two cells never share a vector of the sigmoid, whose
        # last digit depends on an entry's place in its vector. Products are slower into memory with such gaps.
        apart = nets.aligned(cells, batch + 16, sizes[-1], x)[:, :batch]
        self._outputs = apart if recipe.task == "binary" else None
        self._deltas = [None, *(nets.aligned(cells, batch, size, x) for size in sizes[1:-1])]
        self._batch_targets = x.new_empty(cells, batch, sizes[-1])
        self._scratch = [[nets.aligned(*w.shape, w) for w in weights] for _ in stack.slots]
        self._gathered = x.new_empty(cells, batch, sizes[0])
        if full:
            self._activations[0] = x.expand(cells, *x.shape)
            self._batch_targets = stack.targets.expand(cells, *stack.targets.shape[-2:])
        elif self._activations[0].is_contiguous():
            self._gathered = self._activations[0]
        self._seed_of = recipe.seed_of
        self._row_offsets = len(x) * torch.arange(cells)[:, None] if stack.targets.dim() == 3 else 0
        # What a chunk's steps differ in lies at fixed places too, so that they can be recorded and repeated.
        rows = torch.empty(0 if full else 2, CHUNK, cells * batch, dtype=torch.long, device=x.device)
        factors = x.new_empty(CHUNK, len(optimizers.Factors._fields), cells)
        self._rows, self._factors = rows, factors
        self._inputs = [(list(rows[:, index]), optimizers.Factors(*factors[index])) for index in range(CHUNK)]
        self._update = optimizers.UPDATES[recipe.optimizer]
        self._repeat: Callable[[], None] | None = None
        self._whole_chunks = 0

    def take(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take as many steps as there are factors, [count, F, K]."""
        for start in range(0, len(factors), CHUNK):
            some = slice(start, start + CHUNK)
            self._take_chunk(None if rows is None else rows[some], factors[some])

    def _take_chunk(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take steps, recorded ones where the device records and these are a whole chunk."""
        count = len(factors)
        self._factors[:count].copy_(factors)
        if rows is not None:
            rows = rows[:, self._seed_of]
            self._rows[0, :count].copy_(rows.flatten(1))
            self._rows[1, :count].copy_((rows + self._row_offsets).flatten(1))
        record = RECORDERS.get(self._x.device.type)
        if record is None or count < CHUNK:
            self._take(count)
            return
        # The first whole chunk is not recorded: libraries set themselves up in it.
        if self._whole_chunks == 1:
            self._repeat = record(lambda: self._take(CHUNK))
        (self._repeat or (lambda: self._take(CHUNK)))()
        self._whole_chunks += 1

    def _take(self, count: int) -> None:
        for rows, factors in self._inputs[:count]:
            if rows:
                self._gather(*rows)
            self._backpropagate(factors, self._forward())

    def _gather(self, rows: Tensor, target_rows: Tensor) -> None:
        x, y, targets = self._gathered, self._batch_targets, self._targets
        torch.index_select(self._x, 0, rows, out=x.view(-1, x.shape[-1]))
        torch.index_select(targets.view(-1, y.shape[-1]), 0, target_rows, out=y.view(-1, y.shape[-1]))
        if x is not self._activations[0]:
            self._activations[0].copy_(x)

    def _forward(self) -> Tensor:
        """Outputs f [K, B, c]; the activations stay in their buffers."""
        for weight, h, out in zip(self._weights, self._activations, self._activations[1:], strict=False):
            nets.linear(h, weight, out=out)
            if out is not self._activations[-1]:
                out.relu_()
        return self._activations[-1]

    def _backpropagate(self, factors: optimizers.Factors, outputs: Tensor) -> None:
        outputs = outputs if self._outputs is None else self._outputs.copy_(outputs)
        delta = nets.output_gradients_(outputs, self._batch_targets, self._task)
        # The gradient's factor goes into the small output delta, not into each large gradient.
        delta.mul_(factors.scale.view(-1, 1, 1))
        for layer in reversed(range(len(self._weights))):
            below, h, weight = None, self._activations[layer], self._weights[layer]
            if layer:
                below = torch.bmm(delta, weight, out=self._deltas[layer])
                nets.relu_backward(below, h, 0, grad_input=below)
            slots, scratch = ([matrices[layer] for matrices in kept] for kept in (self._slots, self._scratch))
            self._update(weight, slots, scratch, delta, h, factors)
            delta = below


class Training:
    """A stack on its way: which of its K cells are still trained, and at which step each of the others diverged."""

    def __init__(self, stack: Stack, batches: Batches) -> None:
        self.stack, self.batches = stack, batches
        self.alive = torch.arange(len(stack.weights[0]))
        """Numbers of the cells still in `stack`, in its order."""
        self.diverged: dict[int, int] = {}
        """Cell number -> the first step after which a weight or a loss of it was not finite."""

    def advance_to(self, step: int, tick: Callable[[int], None] = lambda steps: None) -> None:
        """Train to `step`. A cell that diverges is taken out of the stack; the others never notice.

        `tick` is called with the number of steps taken since its last call; what it sees is whole and can be resumed.
        """
        rows, factors = self._prepare(self.stack.step, step)
        while self.stack.step < step and len(self.alive):
            stack, count = self.stack, len(factors)
            before = stack.state()
            stack.advance(rows, factors)
            # A GPU does not return from its work before it is asked: what the next steps need is found meanwhile.
            following = self._prepare(stack.step, step)
            finite = stack.finite().cpu()
            if not finite.all():
                # Cells do not depend on each other: the diverged ones alone, again from before, show at which step.
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
        """Go on after `step` steps, none of which were taken here, from the weights and slots of that time."""
        self.batches.skip(step)
        self.stack.step = step
        for mine, then in zip([self.stack.weights, *self.stack.slots], [weights, *slots], strict=True):
            for matrix, values in zip(mine, then, strict=True):
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


def evaluate(weights: list[Tensor], x: Tensor, targets: Tensor, task: nets.Task) -> tuple[Tensor, Tensor]:
    """Mean loss over the N samples and share of them classified correctly, both [K] float64 on the CPU.

    The share is nan in regression. Samples go through in slices, which keeps the activations in the cache.
    """
    cells, widest = len(weights[0]), max(max(weight.shape[1:]) for weight in weights)
    # Neither the slices nor the vectors of the losses may depend on how many cells there are: a sum's last digit would.
    size = max(1, (SLICE if x.device.type == "cpu" else GPU_SLICE) // widest)
    loss = torch.zeros(cells, dtype=torch.float64, device=x.device)
    right = torch.full_like(loss, math.nan if task == "regression" else 0.0)
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        outputs, wanted = nets.forward(weights, x[rows])[-1], targets[..., rows, :].expand(cells, -1, -1)
        for cell in range(cells):
            one = outputs[cell : cell + 1], wanted[cell : cell + 1], task
            loss[cell] += nets.sample_losses(*one).double().sum()
            if task != "regression":
                right[cell] += nets.correct(*one).sum()
    return loss.cpu() / len(x), right.cpu() / len(x)


def snapshot_steps(steps: int, count: int) -> list[int]:
    """Step 0 and `count` log-spaced steps from 1 to `steps`, both included; rounded, small ones may coincide."""
    if count == 1:
        return [0, steps]
    spaced = (round(steps ** (index / (count - 1))) for index in range(count))
    return sorted({0, steps, *spaced})


def begin(cells: list["Cell"], x: Tensor, labels: Tensor, task: nets.Task, outputs: int) -> Training:
    """The training of cells that share everything but the stackable axes, at step 0, on the device of x [N, n].

    `labels` are the clean ones as a data set stores them: [N, 1] values or [N] class numbers.
    """
    first = cells[0]
    sizes = [x.shape[1], *first.widths, outputs]
    initial = [nets.initial_weights(sizes, stream(cell.seed, "init"), x.dtype) for cell in cells]
    weights = [torch.stack(layer).to(x.device) for layer in zip(*initial, strict=True)]
    noisy = [noisy_targets(labels, task, outputs, cell.label_noise, cell.seed) for cell in cells]
    seeds = sorted({cell.seed for cell in cells})
    recipe = Recipe(
        optimizer=first.optimizer,
        task=task,
        steps=first.steps,
        batch_size=len(x) if first.batch_size == "full" else first.batch_size,
        seed_of=torch.tensor([seeds.index(cell.seed) for cell in cells]),
        learning_rate=torch.tensor([cell.learning_rate for cell in cells], dtype=torch.float64),
        cosine=torch.tensor([cell.schedule == "cosine" for cell in cells]),
        weight_decay=torch.tensor([cell.weight_decay for cell in cells], dtype=torch.float64),
        by_input_norm=torch.tensor([cell.decay_rule == "input-norm" for cell in cells]),
    )
    shared = all(cell.label_noise == 0 for cell in cells)
    targets = (noisy[0] if shared else torch.stack(noisy)).to(x)
    batches = Batches(seeds, len(x), recipe.batch_size)
    return Training(Stack(weights, x, targets, recipe), batches)
