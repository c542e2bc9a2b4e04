"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum 0.95, orthogonalised; SGD for all else."""

import math

import torch
from torch import Tensor

from ranktwo.training.optimizers.base import Factors, Gradient, each, optimizer
from ranktwo.training.optimizers.sgd import sgd

MOMENTUM = 0.95
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5
"""Of the published Newton-Schulz iteration, which takes singular values in (0, 1] near 1, fast and not exactly."""
LEAST = 1e-7
"""Norm below which a matrix counts as this large."""


@optimizer("muon", slots=1, decay="decoupled", vectors=sgd)
def muon(weight: Tensor, slots: list[Tensor], scratch: list[Tensor], g: Gradient, factors: Factors) -> None:
    """v <- 0.95 v + g, then W <- (1 - eta mu) W - eta sqrt(max(1, rows/columns)) O(g + 0.95 v).
    Biases and gains take steps of SGD.

    O is P Q^T of the matrix P diag(s) Q^T, nearly: see `orthogonalised`.
    """
    (velocity,), (gradient,) = slots, scratch
    g.write_to(gradient)
    velocity.mul_(MOMENTUM).add_(gradient)
    step = orthogonalised(gradient.add_(velocity * MOMENTUM))
    scale = math.sqrt(max(1.0, weight.shape[1] / weight.shape[2]))
    weight.mul_(each(factors.shrinkage)).sub_(step.mul_(each(factors.rate * scale)))


def orthogonalised(matrices: Tensor) -> Tensor:
    """Of K matrices P diag(s) Q^T the matrices P diag(p(s/||s||)) Q^T, [K, out, in], with p five times the polynomial
    3.4445 s - 4.7750 s^3 + 2.0315 s^5: between 0.68 and 1.14 for s/||s|| above 0.01, 0 at 0."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x).clamp_min(LEAST)[:, None, None]
    for _ in range(ITERATIONS):
        gram = torch.bmm(x, x.mT)
        x = x * a + torch.bmm(gram * b + torch.bmm(gram, gram) * c, x)
    return x.mT if tall else x
