"""TODO nets.initial."""

import math

import torch
from torch import Tensor


def initial_std(inputs: int) -> float:
    """Standard deviation 1/sqrt(3 n) of an initial entry, uniform on (-1/sqrt(n), 1/sqrt(n)): torch.nn.Linear's own."""
    return 1.0 / math.sqrt(3 * inputs)


def initial_weights(sizes: list[int], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Initial W_1 .. W_L, [out, in] each, of one net with layer sizes n, m_1, ..., c: U(-1/sqrt(in), 1/sqrt(in)).

    Drawn in float32 whatever the dtype, so that the same seed means the same net in both precisions.
    """
    weights = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        uniform = torch.rand(outputs, inputs, generator=generator, dtype=torch.float32)
        weights.append(((2 * uniform - 1) / math.sqrt(inputs)).to(dtype))
    return weights
