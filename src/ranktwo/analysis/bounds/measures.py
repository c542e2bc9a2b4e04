"""Measures without a theorem, for ranking nets."""

import numpy as np
from numpy import sqrt

from ranktwo.analysis.bounds.net import Net
from ranktwo.analysis.bounds.register import CLASSIFICATION, measure


@measure(exponent=lambda depth: depth, over_margin=True)
def product_frobenius(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), prod-of-fro: prod ||W_l|| / sqrt(N)."""
    return net.frobenius.prod() / sqrt(net.samples)


@measure(exponent=lambda depth: depth, over_margin=True)
def product_spectral(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), prod-of-spec: prod s(W_l) / sqrt(N)."""
    return net.spectral.prod() / sqrt(net.samples)


@measure(exponent=lambda depth: depth, over_margin=True)
def path_norm_1(net: Net) -> float:
    """Neyshabur, Tomioka, Srebro 2015 (1503.00036): sum over paths of prod |w| / sqrt(N)."""
    return _path_sum(net, 1) / sqrt(net.samples)


@measure(exponent=lambda depth: depth, over_margin=True)
def path_norm_2(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), path-norm: sqrt(sum over paths of prod w^2 / N)."""
    return sqrt(_path_sum(net, 2) / net.samples)


def _path_sum(net: Net, power: int) -> float:
    """Outputs, summed, of the linear net with weights |w|^power at an input of ones."""
    flow = np.ones(net.shapes[0, 1])
    for weight in net.weights:
        flow = np.abs(weight) ** power @ flow
    return flow.sum()


@measure()
def frobenius_over_spectral(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), fro-over-spec: sqrt(sum_l ||W_l||^2/s(W_l)^2 / N)."""
    return sqrt(net.stable_ranks.sum() / net.samples)


@measure(exponent=lambda depth: depth, over_margin=True)
def spectral_stable_rank(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), spec-orig: prod s(W_l) sqrt(sum_l ||W_l||^2/s(W_l)^2 / N)."""
    return net.spectral.prod() * sqrt(net.stable_ranks.sum() / net.samples)


@measure(exponent=lambda depth: depth, over_margin=True)
def spectral_distance(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), spec-init: prod s(W_l) sqrt(sum_l ||W_l - W_l(0)||^2/s(W_l)^2 / N)."""
    return net.spectral.prod() * sqrt(((net.distances / net.spectral) ** 2).sum() / net.samples)


@measure(exponent=lambda depth: 1)
def distance_frobenius(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), fro-dist: sqrt(sum_l ||W_l - W_l(0)||^2 / N)."""
    return sqrt((net.distances**2).sum() / net.samples)


@measure(exponent=lambda depth: 1)
def norm_frobenius(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), param-norm: sqrt(sum_l ||W_l||^2 / N)."""
    return sqrt((net.frobenius**2).sum() / net.samples)


@measure(tasks=CLASSIFICATION, exponent=lambda depth: -depth)
def inverse_margin(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), inverse-margin: 1 / (gamma sqrt(N))."""
    return 1 / (net.gamma * sqrt(net.samples))
