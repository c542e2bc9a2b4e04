"""Initial weights: uniform, with the spread that torch.nn.Linear has."""

import math

import torch
from torch import Tensor, nn


def initial_std(inputs: int) -> float:
    """1/sqrt(3 n), n = `inputs`: the standard deviation of an initial weight.

    The weight is uniform on (-1/sqrt(n), 1/sqrt(n)), as in torch.nn.Linear.
    """
    return 1.0 / math.sqrt(3 * inputs)


def initial_weights(sizes: list[int], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """W_1 .. W_L, [out, in] each, with entries uniform on (-1/sqrt(in), 1/sqrt(in)).

    `sizes` are the layer sizes n, m_1, ..., c of one net. Entries are drawn in float32 and then converted to `dtype`,
    so that a seed gives the same net in every precision.
    """
    weights = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        weights.append(_uniform(outputs, inputs, generator).to(dtype))
    return weights


def _uniform(outputs: int, inputs: int, generator: torch.Generator | None = None) -> Tensor:
    """[out, in] float32, uniform on (-1/sqrt(in), 1/sqrt(in)); by torch's own generator if none is given."""
    uniform = torch.rand(outputs, inputs, generator=generator, dtype=torch.float32)
    return (2 * uniform - 1) / math.sqrt(inputs)


class Dense(nn.Linear):
    """torch.nn.Linear with initial weights as `initial_weights` draws them: one seed gives one first matrix V in every
    net of dense layers, whatever its activation."""

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.weight.copy_(_uniform(*self.weight.shape))
            if self.bias is not None:
                self.bias.uniform_(-1 / math.sqrt(self.in_features), 1 / math.sqrt(self.in_features))
