"""A step of SGD, momentum or AdamW, as torch.optim defines them, for one weight matrix of K nets at once.

Each net has its own learning rate eta and weight decay mu. With g = delta^T h the gradient of the batch's mean loss,

    SGD        W <- (1 - eta mu) W - eta g
    momentum   v <- 0.9 v + mu W + g,  W <- W - eta v
    AdamW      m <- 0.9 m + 0.1 g,  s <- 0.999 s + 0.001 g^2,
               W <- (1 - eta mu) W - eta m / (1 - 0.9^t) / (sqrt(s / (1 - 0.999^t)) + 1e-8).

By torch's operations, which a GPU runs and can record; kernels.py has the same for a CPU, equal to rounding.
A net's bits never depend on the nets beside it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

MOMENTUM = 0.9
BETAS = (0.9, 0.999)
EPSILON = 1e-8
SLOTS = {"sgd": 0, "momentum": 1, "adamw": 2}
"""Matrices that an optimizer keeps for each weight matrix."""
CONSTANTS = {"sgd": (), "momentum": (MOMENTUM,), "adamw": (*BETAS, 1 - BETAS[0], 1 - BETAS[1], EPSILON)}
"""What kernels.py multiplies by, besides the factors."""


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


# No addcmul, lerp or add with a factor: whether they round once or twice depends on where an entry lies in
# memory, and so on the nets stacked before it.


def _each(factor: Tensor) -> Tensor:
    return factor.view(-1, 1, 1)


def _sgd(weight: Tensor, slots: list[Tensor], scratch: list[Tensor], delta: Tensor, h: Tensor, at: Factors) -> None:
    weight.mul_(_each(at.shrinkage)).baddbmm_(delta.mT, h)


def _momentum(
    weight: Tensor, slots: list[Tensor], scratch: list[Tensor], delta: Tensor, h: Tensor, at: Factors
) -> None:
    (velocity,), (spare,) = slots, scratch
    velocity.mul_(MOMENTUM).add_(torch.mul(weight, _each(at.decay), out=spare))
    velocity.baddbmm_(delta.mT, h)
    weight.sub_(torch.mul(velocity, _each(at.rate), out=spare))


def _adamw(weight: Tensor, slots: list[Tensor], scratch: list[Tensor], delta: Tensor, h: Tensor, at: Factors) -> None:
    (mean, square), (spare, slope) = slots, scratch
    torch.bmm(delta.mT, h, out=slope)
    mean.mul_(BETAS[0]).add_(torch.mul(slope, 1 - BETAS[0], out=spare))
    square.mul_(BETAS[1]).add_(slope.mul_(slope).mul_(1 - BETAS[1]))
    root = torch.sqrt(square, out=slope).div_(_each(at.root)).add_(EPSILON)
    weight.mul_(_each(at.shrinkage)).sub_(torch.div(mean, root, out=spare).mul_(_each(at.mean_rate)))


Update = Callable[[Tensor, list[Tensor], list[Tensor], Tensor, Tensor, Factors], None]
UPDATES: dict[str, Update] = {"sgd": _sgd, "momentum": _momentum, "adamw": _adamw}
"""Take W [K, out, in], its slots, as much scratch memory, delta `scale` [K, B, out], h [K, B, in], factors [K]."""
