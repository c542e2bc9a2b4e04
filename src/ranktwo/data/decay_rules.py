"""Decay rules, registered by name: how strongly each training sample decays the weights."""

from collections.abc import Callable

import torch
from torch import Tensor

from ranktwo.store import registry

DecayRule = Callable[[Tensor], Tensor]


def decay_rule(*names: str) -> Callable[[DecayRule], DecayRule]:
    """Register a decay rule: a function of the inputs x [N, n] that gives c_i/mu of every sample, [N] float64, mean 1.

    Sample i adds c_i W to the gradient by a weight matrix W (torch's convention), a batch the mean of its samples' c_i.
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
