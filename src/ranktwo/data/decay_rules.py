"""Decay rules: how strongly each training sample decays the weights."""

from collections.abc import Callable

import torch
from torch import Tensor

from ranktwo.store import registry

DecayRule = Callable[[Tensor], Tensor]


def decay_rule(*names: str) -> Callable[[DecayRule], DecayRule]:
    """Register a decay rule: a function of the inputs x [N, n] that gives c_i/mu of every sample, [N] float64, mean 1.

    A batch adds c W to the gradient by each weight matrix W, as torch does with its weight decay; c is the mean of the
    c_i of the batch's samples.
    """
    return lambda function: function


@decay_rule("constant")
def constant(x: Tensor) -> Tensor:
    """c_i = mu."""
    return torch.ones(len(x), dtype=torch.float64, device=x.device)


@decay_rule("input-norm")
def input_norm(x: Tensor) -> Tensor:
    """c_i = mu ||x_i||^2 / mean_j ||x_j||^2; mu if all inputs are zero."""
    squares = x.double().square().sum(-1)
    return squares / squares.mean() if squares.any() else torch.ones_like(squares)


def relative_decays(rule: str, x: Tensor) -> Tensor:
    """c_i/mu of the named rule, [N] float64."""
    return registry.load("decay_rule", rule)(x)
