"""Training steps of any net by torch.func: the module's own forward pass and autograd, for all K nets at once.

The gradient of each net's own batch is vmap(grad) of its loss. What PyTorch makes of that is written down once as a
list of plain operations, which take about half the time of vmap itself.

A net's bits must not depend on the nets beside it. Of few nets PyTorch computes a convolution in another way than of
several, and the last numbers of a tensor, fewer than two of a CPU's vectors, go through another exponential than the
rest. So spare nets are run behind the others, as many as hold those last numbers, and their gradients are dropped.

Of images, a CPU has all channels of a pixel side by side, net by net: its convolutions then take half the time.
"""

import contextlib
import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from ranktwo.nets.modules import ModuleNet
from ranktwo.training.backends.base import TrainedNets
from ranktwo.training.optimizers.base import Factors, Known, Optimizer, each

SPARE = 32
"""Numbers at the end of any tensor that spare nets hold: two vectors of 16."""
FEWEST = 4
"""Nets that are run at least. On one or three channels together, convolutions are computed in ways of their own."""


class FunctionalSteps:
    """Steps of nets that are modules, with every optimizer on every device."""

    def __init__(self, nets: TrainedNets) -> None:
        net = nets.net
        assert isinstance(net, ModuleNet)
        self._net, self._task = net, nets.task
        self._channels_last = net.convolves and nets.x.device.type == "cpu"
        self._x, self._targets = nets.x, nets.targets
        self._weights, self._slots, self._matrices = nets.weights, nets.slots, len(net.matrices)
        self._scratch = [[torch.empty_like(matrix) for matrix in slot] for slot in nets.slots]
        self._optimizer = nets.optimizer
        self._gradients: Callable[..., list[Tensor]] | None = None
        self._rest = nets.optimizer.vectors or nets.optimizer
        cells = torch.arange(len(nets.weights[0]), device=nets.x.device)
        # Without nets, once all have diverged, there is none to be a spare one.
        spare = max(math.ceil(SPARE / self._least_held(nets)), FEWEST - len(cells)) if len(cells) else 0
        self._run = torch.cat([cells, cells[:1].expand(spare)])
        """The nets that are run, the spare ones last."""
        self._of = nets.seed_of.to(nets.x.device)[self._run]

    def take(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take as many steps as there are factors, [count, F, K], on the batches rows [count, S, B]."""
        rows = rows if rows is None else rows.to(self._x.device)
        for number, numbers in enumerate(factors.to(self._x)):
            self._step(*self._batch(None if rows is None else rows[number]), Factors(*numbers))

    def _batch(self, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """x [K, B, n] and targets [K, B, c] of the nets that are run."""
        own = self._targets.dim() == 3
        targets = self._targets[self._run] if own else self._targets.expand(len(self._run), *self._targets.shape)
        if rows is None:
            return self._x.expand(len(self._run), *self._x.shape), targets
        rows = rows[self._of]
        return self._x[rows], targets.gather(1, rows[..., None].expand(-1, -1, targets.shape[-1]))

    def _step(self, x: Tensor, targets: Tensor, factors: Factors) -> None:
        arguments = [weight[self._run] for weight in self._weights], x, targets, factors.scale[self._run]
        self._gradients = self._gradients or self._written_down(*arguments)
        gradients = [gradient[: len(self._weights[0])] for gradient in self._gradients(*arguments)]
        for place in range(self._matrices):
            self._take(self._optimizer, place, gradients[place], factors)
        # Biases and gains are not decayed.
        still = factors._replace(decay=torch.zeros_like(factors.decay), shrinkage=torch.ones_like(factors.shrinkage))
        for place in range(self._matrices, len(gradients)):
            of_rate = self._rest.plain and not self._optimizer.plain
            self._take(
                self._rest, place, gradients[place] * -each(factors.rate) if of_rate else gradients[place], still
            )

    def _least_held(self, nets: TrainedNets) -> int:
        """How many of a tensor's last numbers one spare net holds, at least."""
        outputs = nets.batch_size * nets.targets.shape[-1]
        if not self._channels_last:
            return outputs
        channels = [rows for rows, _ in [*self._net.matrices.values()][:-1]]
        # Side by side with those of other nets lie a pixel's channels alone; whole vectors have no last numbers.
        return min([outputs, *(count for count in channels if nets.batch_size * count % SPARE)])

    def _written_down(self, *arguments: Any) -> Callable[..., list[Tensor]]:
        """The gradients as a list of operations on tensors of these sizes."""
        with warnings.catch_warnings():
            # A mean over positions rewrites strides net by net, which costs next to nothing.
            warnings.filterwarnings("ignore", "There is a performance drop .* aten::as_strided_")
            if self._channels_last:
                with contextlib.suppress(RuntimeError):
                    return in_one_order(make_fx(self._net.gradients(self._task, channels_last=True))(*arguments))
            return make_fx(self._net.gradients(self._task))(*arguments)

    def _take(self, optimizer: Optimizer, place: int, gradient: Tensor, factors: Factors) -> None:
        """A step of one matrix or vector of every net."""
        slots, scratch = ([kept[place] for kept in all_[: optimizer.slots]] for all_ in (self._slots, self._scratch))
        optimizer.step(self._weights[place], slots, scratch, Known(gradient), factors)


def in_one_order(module: GraphModule) -> GraphModule:
    """The same operations, but the derivatives of an activation are taken in the order in which its numbers lie.

    Behind the last convolution the order changes. One pass that reads two orders takes longer than a copy and a pass.
    """
    for node in module.graph.nodes:
        tags = getattr(node.target, "tags", ())
        if torch.Tag.pointwise in tags and str(node.target).endswith("_backward.default"):
            with module.graph.inserting_before(node):
                node.update_arg(0, module.graph.call_function(_in_order_of, node.args[1::-1]))
    module.recompile()
    return module


def _in_order_of(numbers: Tensor, other: Tensor) -> Tensor:
    """Numbers that lie in memory as those of another tensor do."""
    return other if other.stride() == numbers.stride() else torch.empty_like(numbers).copy_(other)
