"""The activations: what a hidden unit makes of its input z."""

import torch
from torch import Tensor

from ranktwo.nets.blueprint import activation


@activation("relu")
def relu(z: Tensor) -> Tensor:
    """max(z, 0)."""
    return z.relu()


@activation("leaky-relu")
def leaky_relu(z: Tensor) -> Tensor:
    """max(z, 0.01 z)."""
    return torch.nn.functional.leaky_relu(z)


@activation("gelu")
def gelu(z: Tensor) -> Tensor:
    """z Phi(z), Phi the normal distribution function."""
    return torch.nn.functional.gelu(z)


@activation("tanh")
def tanh(z: Tensor) -> Tensor:
    """tanh z."""
    return z.tanh()


@activation("linear")
def linear(z: Tensor) -> Tensor:
    """z."""
    return z
