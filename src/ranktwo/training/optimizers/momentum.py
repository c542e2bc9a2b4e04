"""Gradient descent with momentum 0.9, as torch.optim.SGD defines it."""

import torch
from torch import Tensor

from ranktwo.training.optimizers.base import Factors, Gradient, each, optimizer

MOMENTUM = 0.9


@optimizer("momentum", slots=1, decay="coupled", backends=("cpu", "gpu"), constants={"BETA": MOMENTUM})
def momentum(weight: Tensor, slots: list[Tensor], scratch: list[Tensor], g: Gradient, factors: Factors) -> None:
    """v <- 0.9 v + mu W + g, then W <- W - eta v."""
    (velocity,), (spare,) = slots, scratch
    velocity.mul_(MOMENTUM).add_(torch.mul(weight, each(factors.decay), out=spare))
    g.add_to(velocity)
    weight.sub_(torch.mul(velocity, each(factors.rate), out=spare))
