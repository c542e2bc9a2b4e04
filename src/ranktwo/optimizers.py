"""A step of SGD, momentum or AdamW, as torch.optim defines them, for one weight matrix of K nets at once.

Each net has its own learning rate eta and weight decay mu. With g = delta^T h the gradient of the batch's mean loss,

    SGD        W <- (1 - eta mu) W - eta g
    momentum   v <- 0.9 v + mu W + g,  W <- W - eta v
    AdamW      m <- 0.9 m + 0.1 g,  s <- 0.999 s + 0.001 g^2,
               W <- (1 - eta mu) W - eta m / (1 - 0.9^t) / (sqrt(s / (1 - 0.999^t)) + 1e-8).

Two forms of each, equal to rounding: torch's operations, which a GPU runs and can record, and, on a CPU, functions
compiled by numba (kernels.py), one pass over the memory each. A net's bits never depend on the nets beside it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ranktwo import kernels, nets

MOMENTUM = 0.9
BETAS = (0.9, 0.999)
EPSILON = 1e-8
SLOTS = {"sgd": 0, "momentum": 1, "adamw": 2}
"""Matrices that an optimizer keeps for each weight matrix."""
# Where MKL's delta^T h is slow, by measurement: benchmarks/run.py forms.
FEW_ROWS = 8
FEW_INPUTS = 12


class Factors(NamedTuple):
    """What the steps of a chunk multiply by, each [count, K], in the weights' precision."""

    rate: Tensor
    """eta."""
    decay: Tensor
    """mu."""
    shrinkage: Tensor
    """1 - eta mu."""
    scale: Tensor
    """What the sum of the batch's gradients is multiplied by: -eta/B for SGD, whose step it is then, else 1/B."""
    mean_rate: Tensor
    """AdamW's eta / (1 - 0.9^t)."""
    root: Tensor
    """AdamW's sqrt(1 - 0.999^t)."""


def factors(optimizer: str, rate: Tensor, decay: Tensor, first: int, batch_size: int, dtype: torch.dtype) -> Factors:
    """The factors of the steps first, first + 1, ..., from their rates and decays [count, K] float64."""
    t = torch.arange(first + 1, first + 1 + len(rate), dtype=torch.float64)[:, None]
    rounded = rate.to(dtype)
    return Factors(
        rate=rounded,
        decay=decay.to(dtype),
        shrinkage=(1 - rate * decay).to(dtype),
        scale=(-rounded if optimizer == "sgd" else torch.ones_like(rounded)) / batch_size,
        mean_rate=(rate / (1 - BETAS[0] ** t)).to(dtype),
        root=(1 - BETAS[1] ** t).sqrt().expand_as(rate).to(dtype),
    )


Update = Callable[[Tensor, list[Tensor], list[Tensor], Tensor, Tensor, Factors], None]
"""Takes W [K, out, in], its slots, as much scratch memory, delta `scale` [K, B, out], h [K, B, in], factors [K]."""


def update_of(optimizer: str, inputs: int, batch_size: int, full: bool, device: str) -> Update:
    """How a step of a matrix [out, inputs] is taken on this device; the rows of a full batch are shared by all nets."""
    compiled = optimizer != "sgd" or (moves_more_than_it_computes(inputs, batch_size) and not full)
    return (COMPILED if kernels.USABLE and device == "cpu" and compiled else PLAIN)[optimizer]


def moves_more_than_it_computes(inputs: int, batch_size: int) -> bool:
    """Whether one pass over the memory makes up for MKL's better products in SGD's update of long rows."""
    return batch_size <= min(FEW_ROWS, inputs // 64)


def gradient(delta: Tensor, h: Tensor, out: Tensor) -> Tensor:
    """delta^T h, written to `out` [K, out, in]."""
    return out.copy_(_turned(delta, h)) if _narrow(h) else torch.bmm(delta.transpose(1, 2), h, out=out)


def add_gradient(matrix: Tensor, delta: Tensor, h: Tensor) -> Tensor:
    """Add delta^T h to a matrix [K, out, in], in place."""
    return matrix.add_(_turned(delta, h)) if _narrow(h) else matrix.baddbmm_(delta.transpose(1, 2), h)


def _narrow(h: Tensor) -> bool:
    """Whether (h^T delta)^T is faster than delta^T h, by up to four times."""
    return h.device.type == "cpu" and h.shape[2] < FEW_INPUTS and h.shape[1] > 4


def _turned(delta: Tensor, h: Tensor) -> Tensor:
    out = nets.aligned(len(delta), h.shape[2], delta.shape[2], delta)
    return torch.bmm(h.transpose(1, 2), delta, out=out).transpose(1, 2)


# By torch. No addcmul, lerp or add with a factor: whether they round once or twice depends on where an entry lies in
# memory, and so on the nets stacked before it.


def _each(factor: Tensor) -> Tensor:
    return factor.view(-1, 1, 1)


def _sgd(weight: Tensor, slots: list[Tensor], scratch: list[Tensor], delta: Tensor, h: Tensor, at: Factors) -> None:
    add_gradient(weight.mul_(_each(at.shrinkage)), delta, h)


def _momentum(
    weight: Tensor, slots: list[Tensor], scratch: list[Tensor], delta: Tensor, h: Tensor, at: Factors
) -> None:
    (velocity,), (spare,) = slots, scratch
    velocity.mul_(MOMENTUM).add_(torch.mul(weight, _each(at.decay), out=spare))
    add_gradient(velocity, delta, h)
    weight.sub_(torch.mul(velocity, _each(at.rate), out=spare))


def _adamw(weight: Tensor, slots: list[Tensor], scratch: list[Tensor], delta: Tensor, h: Tensor, at: Factors) -> None:
    (mean, square), (spare, slope) = slots, scratch
    gradient(delta, h, slope)
    mean.mul_(BETAS[0]).add_(torch.mul(slope, 1 - BETAS[0], out=spare))
    square.mul_(BETAS[1]).add_(slope.mul_(slope).mul_(1 - BETAS[1]))
    root = torch.sqrt(square, out=slope).div_(_each(at.root)).add_(EPSILON)
    weight.mul_(_each(at.shrinkage)).sub_(torch.div(mean, root, out=spare).mul_(_each(at.mean_rate)))


PLAIN: dict[str, Update] = {"sgd": _sgd, "momentum": _momentum, "adamw": _adamw}


# Compiled. What kernels.py takes are the K nets' matrices, each a row of an array with the padding between them.


def rows(matrices: Tensor) -> np.ndarray:
    """The memory of K matrices that `nets.aligned` made, [K, P]."""
    stride = matrices.stride(0)
    return matrices.as_strided((len(matrices), stride), (stride, 1)).numpy()


def _sgd_compiled(
    weight: Tensor, slots: list[Tensor], scratch: list[Tensor], delta: Tensor, h: Tensor, at: Factors
) -> None:
    kernels.sgd(rows(weight), weight.shape[2], delta.numpy(), rows(h), at.shrinkage.numpy())


def _momentum_compiled(
    weight: Tensor, slots: list[Tensor], scratch: list[Tensor], delta: Tensor, h: Tensor, at: Factors
) -> None:
    slope = rows(gradient(delta, h, scratch[0]))
    size, number = weight[0].numel(), slope.dtype.type
    kernels.momentum(rows(weight), rows(slots[0]), slope, size, at.rate.numpy(), at.decay.numpy(), number(MOMENTUM))


def _adamw_compiled(
    weight: Tensor, slots: list[Tensor], scratch: list[Tensor], delta: Tensor, h: Tensor, at: Factors
) -> None:
    slope = rows(gradient(delta, h, scratch[0]))
    size, constants = weight[0].numel(), (*BETAS, 1 - BETAS[0], 1 - BETAS[1], EPSILON)
    kernels.adamw(
        rows(weight), rows(slots[0]), rows(slots[1]), slope, size,
        at.shrinkage.numpy(), at.mean_rate.numpy(), at.root.numpy(), np.array(constants, slope.dtype),
    )  # fmt: skip


COMPILED: dict[str, Update] = {"sgd": _sgd_compiled, "momentum": _momentum_compiled, "adamw": _adamw_compiled}
