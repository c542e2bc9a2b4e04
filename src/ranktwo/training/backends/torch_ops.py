"""TODO training.backends.torch_ops."""

from collections.abc import Callable

import torch
from torch import Tensor

from ranktwo.nets import layout, losses, mlp
from ranktwo.training.optimizers import UPDATES, Factors
from ranktwo.training.stack import CHUNK, Stack


def _cuda_graph(steps: Callable[[], None]) -> Callable[[], None]:
    """`steps` recorded, not taken: calling what is returned takes them, with one launch for all."""
    graph = torch.cuda.CUDAGraph()
    # Only what this thread does may spoil a recording.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        steps()
    return graph.replay


RECORDERS = {"cuda": _cuda_graph}


class TorchSteps:
    """Steps by torch's operations, all nets at once, in buffers made once: a GPU can record and repeat them."""

    def __init__(self, stack: Stack) -> None:
        # Not the stack itself, which holds these steps: a circle would keep a GPU's memory until Python looks for it.
        x, recipe, weights = stack.x, stack.recipe, stack.weights
        self._x, self._targets, self._task = x, stack.targets, recipe.task
        self._weights, self._slots = weights, stack.slots
        cells, batch, full, sizes = len(weights[0]), recipe.batch_size, recipe.batch_size == len(x), stack.sizes
        # Activations h_0 .. f, their gradients, and the targets of the batch.
        self._activations = [layout.aligned(cells, batch, size, x) for size in sizes]
        # Apart in memory by more than they hold, the outputs of two cells never share a vector of the sigmoid, whose
        # last digit depends on an entry's place in its vector. Products are slower into memory with such gaps.
        apart = layout.aligned(cells, batch + 16, sizes[-1], x)[:, :batch]
        self._outputs = apart if recipe.task == "binary" else None
        self._deltas = [None, *(layout.aligned(cells, batch, size, x) for size in sizes[1:-1])]
        self._batch_targets = x.new_empty(cells, batch, sizes[-1])
        self._scratch = [[layout.aligned(*w.shape, w) for w in weights] for _ in stack.slots]
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
        factors = x.new_empty(CHUNK, len(Factors._fields), cells)
        self._rows, self._factors = rows, factors
        self._inputs = [(list(rows[:, index]), Factors(*factors[index])) for index in range(CHUNK)]
        self._update = UPDATES[recipe.optimizer]
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
            mlp.linear(h, weight, out=out)
            if out is not self._activations[-1]:
                out.relu_()
        return self._activations[-1]

    def _backpropagate(self, factors: Factors, outputs: Tensor) -> None:
        outputs = outputs if self._outputs is None else self._outputs.copy_(outputs)
        delta = losses.output_gradients_(outputs, self._batch_targets, self._task)
        # The gradient's factor goes into the small output delta, not into each large gradient.
        delta.mul_(factors.scale.view(-1, 1, 1))
        for layer in reversed(range(len(self._weights))):
            below, h, weight = None, self._activations[layer], self._weights[layer]
            if layer:
                below = torch.bmm(delta, weight, out=self._deltas[layer])
                mlp.relu_backward(below, h, 0, grad_input=below)
            slots, scratch = ([matrices[layer] for matrices in kept] for kept in (self._slots, self._scratch))
            self._update(weight, slots, scratch, delta, h, factors)
            delta = below
