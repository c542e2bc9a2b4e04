"""Stochastic gradient descent, as torch.optim.SGD defines it."""

from torch import Tensor

from ranktwo.training.optimizers.base import Factors, Gradient, each, optimizer


@optimizer("sgd", slots=0, decay="coupled", backends=("cpu", "gpu"), plain=True)
def sgd(weight: Tensor, slots: list[Tensor], scratch: list[Tensor], g: Gradient, factors: Factors) -> None:
    """W <- (1 - eta mu) W - eta g."""
    weight.mul_(each(factors.shrinkage))
    g.add_to(weight)
