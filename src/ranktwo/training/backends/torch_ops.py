"""Training steps of bias-free ReLU nets by torch's operations, with every optimizer on every device."""

from collections.abc import Callable

import torch
from torch import Tensor

from ranktwo.nets import layout, losses, mlp
from ranktwo.training.backends.base import TrainedNets
from ranktwo.training.batches import CHUNK
from ranktwo.training.optimizers.base import Factors, Product


def _cuda_graph(steps: Callable[[], None]) -> Callable[[], None]:
    """Record steps without taking them; the function that is returned takes all of them with one launch."""
    graph = torch.cuda.CUDAGraph()
    # Other threads, such as torch's own, may go on with work that cannot be recorded.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        steps()
    return graph.replay


RECORDERS = {"cuda": _cuda_graph}
"""How steps are recorded, for the types of devices that can do it."""


class TorchSteps:
    """Steps of all nets at once, in buffers that stay where they are, so that a GPU can record and repeat the steps."""

    def __init__(self, nets: TrainedNets) -> None:
        x, weights, full = nets.x, nets.weights, nets.full_batches
        self._x, self._targets, self._task = x, nets.targets, nets.task
        self._weights, self._slots = weights, nets.slots
        cells, batch, sizes = len(weights[0]), nets.batch_size, nets.sizes
        # Activations h_0 .. f, their gradients, and the targets of the batch.
        self._activations = [layout.aligned(cells, batch, size, x) for size in sizes]
        # The last digit of a sigmoid depends on an entry's place in a CPU's vector. With a gap in memory between them,
        # the outputs of two cells never share a vector. Products go to memory without gaps, which is faster.
        apart = layout.aligned(cells, batch + 16, sizes[-1], x)[:, :batch]
        self._outputs = apart if nets.task == "binary" else None
        self._deltas = [None, *(layout.aligned(cells, batch, size, x) for size in sizes[1:-1])]
        self._batch_targets = x.new_empty(cells, batch, sizes[-1])
        self._scratch = [[layout.aligned(cells, *w.shape[1:], like=w) for w in weights] for _ in nets.slots]
        self._gathered = x.new_empty(cells, batch, sizes[0])
        if full:
            self._activations[0] = x.expand(cells, *x.shape)
            self._batch_targets = nets.targets.expand(cells, *nets.targets.shape[-2:])
        elif self._activations[0].is_contiguous():
            self._gathered = self._activations[0]
        self._seed_of = nets.seed_of
        self._row_offsets = len(x) * torch.arange(cells)[:, None] if nets.targets.dim() == 3 else 0
        # A recorded step reads its rows and factors from the same places each time; these are filled before it.
        rows = torch.empty(0 if full else 2, CHUNK, cells * batch, dtype=torch.long, device=x.device)
        factors = x.new_empty(CHUNK, len(Factors._fields), cells)
        self._rows, self._factors = rows, factors
        self._inputs = [(list(rows[:, index]), Factors(*factors[index])) for index in range(CHUNK)]
        self._update = nets.optimizer.step
        self._repeat: Callable[[], None] | None = None
        self._whole_chunks = 0

    def take(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take as many steps as there are factors, [count, F, K]."""
        for start in range(0, len(factors), CHUNK):
            some = slice(start, start + CHUNK)
            self._take_chunk(None if rows is None else rows[some], factors[some])

    def _take_chunk(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take steps; a whole chunk of them by one recording, if the device can record."""
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
        # The first whole chunk is not recorded: in it libraries set themselves up, which no recording can hold.
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
        # To scale the small output gradients is cheaper than to scale each matrix's gradient.
        delta.mul_(factors.scale.view(-1, 1, 1))
        for layer in reversed(range(len(self._weights))):
            below, h, weight = None, self._activations[layer], self._weights[layer]
            if layer:
                below = torch.bmm(delta, weight, out=self._deltas[layer])
                mlp.relu_backward(below, h, 0, grad_input=below)
            slots, scratch = ([matrices[layer] for matrices in kept] for kept in (self._slots, self._scratch))
            self._update(weight, slots, scratch, Product(delta, h), factors)
            delta = below
