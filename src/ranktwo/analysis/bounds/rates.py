"""Rates: the orders of magnitude that theorems on the generalization gap state."""

from math import log

import numpy as np
from numpy import sqrt

from ranktwo.analysis.bounds.net import Net
from ranktwo.analysis.bounds.register import CLASSIFICATION, rate


@rate(layers=2)
def chen2024_dense_rate(net: Net) -> float:
    """Chen, Yi, Yang 2024 (2410.02176), the rate before low rank: sqrt(m n ln m ln N / N)."""
    m, n = net.shapes[0]
    return sqrt(m * n * log(m) * log(net.samples) / net.samples)


@rate(layers=2)
def chen2024_rank_two_rate(net: Net) -> float:
    """Chen, Yi, Yang 2024 (2410.02176), the rate at rank two: sqrt((m + n) ln m ln N / N)."""
    m, n = net.shapes[0]
    return sqrt((m + n) * log(m) * log(net.samples) / net.samples)


@rate(tasks=CLASSIFICATION)
def bartlett2017_rate(net: Net) -> float:
    """Bartlett, Foster, Telgarsky 2017 (1706.08498), Thm 1.1: sqrt(sum ||x||^2) R ln(width) / (gamma N).

    R = prod s(W_l) (sum_l (d_l / s(W_l))^(2/3))^(3/2), d_l = sum over rows of ||W_l - W_l(0)||; the reference matrices
    are the initial ones, and the width is the largest of all dimensions. Written as others quote the theorem.
    """
    return net.total_input * bartlett_complexity(net) * log(net.shapes.max()) / (net.gamma * net.samples)


def bartlett_complexity(net: Net) -> float:
    """R of `bartlett2017_rate`."""
    return net.spectral.prod() * ((net.row_distances / net.spectral) ** (2 / 3)).sum() ** 1.5


@rate(tasks=CLASSIFICATION)
def neyshabur2018_rate(net: Net) -> float:
    """Neyshabur, Bhojanapalli, Srebro 2018 (1707.09564), Thm 1, without its ln(L N / delta).

    sqrt(B^2 L^2 h ln(L h) prod s(W_l)^2 sum ||W_l||^2/s(W_l)^2 / (gamma^2 N)), h the largest layer. Written as others
    quote the theorem.
    """
    depth, h = len(net.weights), net.shapes[:, 0].max()
    lipschitz = net.largest_input * net.spectral.prod() / net.gamma
    return lipschitz * depth * sqrt(h * log(depth * h) * net.stable_ranks.sum() / net.samples)


@rate(exponent=lambda depth: depth)
def golowich2018_rate(net: Net) -> float:
    """Golowich, Rakhlin, Shamir 2018 (1712.06541), Thm 1: B (sqrt(2 ln2 L) + 1) prod ||W_l|| / sqrt(N).

    The Rademacher complexity of real-valued nets with these norms; it knows no margin, loss or number of outputs.
    """
    return net.largest_input * (sqrt(2 * log(2) * len(net.weights)) + 1) * net.frobenius.prod() / sqrt(net.samples)


@rate(exponent=None)
def ledent2025_schatten_rate(net: Net) -> float:
    """Ledent, Alves, Lei 2025 (2510.21945), Thm 3.6, dense layers, reference matrices 0, constants and logs dropped.

    sqrt(L/N sum_l min_p (B prod s(W))^(2p/(p+2)) (sum_i (s_i(W_l)/s(W_l))^p (out + in))^(2/(p+2))), 0 <= p <= 2,
    for a loss of Lipschitz constant 1. Written as in a public reproduction of the paper's figure D.3; the text of the
    theorem was not seen. Near p = 0 it counts ranks, at p = 2 it is a norm bound.
    """
    p = np.linspace(0, 2, 41)
    lipschitz = (net.largest_input * net.spectral.prod()) ** (2 * p / (p + 2))
    ranks = _numerical_ranks(net)
    total = 0.0
    for s, shape, rank in zip(net.singular_values, net.shapes, ranks, strict=True):
        proxy = np.array([rank, *((s / s[0]) ** p[1:, None]).sum(1)])
        total += (lipschitz * (proxy * shape.sum()) ** (2 / (p + 2))).min()
    return sqrt(len(net.weights) * total / net.samples)


@rate()
def ledent2025_rank_rate(net: Net) -> float:
    """Ledent, Alves, Lei 2025 (2510.21945), Thm 3.6 at p = 0: sqrt(L sum_l r_l (out + in) / N).

    r_l counts singular values above s(W_l) max(out, in) eps, eps of the precision in which the weights were trained.
    """
    return sqrt(len(net.weights) * (_numerical_ranks(net) * net.shapes.sum(1)).sum() / net.samples)


def _numerical_ranks(net: Net) -> np.ndarray:
    """NaN at W_l = 0."""
    return np.array(
        [
            np.sum(s > s[0] * shape.max() * net.epsilon) * (s[0] / s[0])
            for s, shape in zip(net.singular_values, net.shapes, strict=True)
        ]
    )
