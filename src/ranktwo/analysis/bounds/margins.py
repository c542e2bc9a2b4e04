"""Margin bounds with explicit constants."""

from math import log

import numpy as np
from numpy import sqrt

from ranktwo.analysis.bounds.net import Net
from ranktwo.analysis.bounds.rates import bartlett_complexity
from ranktwo.analysis.bounds.register import CLASSIFICATION, bound


@bound(tasks=("binary",), exponent=None)
def golowich2018_bound(net: Net) -> float:
    """Golowich, Rakhlin, Shamir 2018 (1712.06541), Thm 1, in the margin bound of Mohri et al. 2018 (book), Thm 5.8.

    2/gamma (sqrt(2 ln2 L) + 1) prod ||W_l|| sqrt(sum ||x||^2) / N + 3 sqrt(ln(2/delta) / (2N)), for norms and margin
    fixed beforehand. The empirical Rademacher complexity of real-valued nets, hence one logit only.
    """
    peeling = (sqrt(2 * log(2) * len(net.weights)) + 1) * net.frobenius.prod() * net.total_input / net.samples
    return 2 * peeling / net.gamma + 3 * sqrt(log(2 / net.delta) / (2 * net.samples))


@bound(tasks=CLASSIFICATION, layers=2, exponent=None)
def neyshabur2015_bound(net: Net) -> float:
    """Neyshabur, Tomioka, Srebro 2015 (1503.00036), constants of bneyshabur/over-parametrization.

    (8 sqrt(c) ||V|| ||U|| rms||x|| / gamma + 3 sqrt(ln(N/delta))) / sqrt(N), for norms fixed beforehand.
    """
    r = 8 * sqrt(net.shapes[-1, 0]) * net.frobenius.prod() * _rms_input(net) / net.gamma
    return (r + 3 * sqrt(log(net.samples / net.delta))) / sqrt(net.samples)


@bound(tasks=CLASSIFICATION, layers=2, exponent=None)
def bartlett2017_bound(net: Net) -> float:
    """Bartlett, Foster, Telgarsky 2017 (1706.08498), constants of bneyshabur/over-parametrization.

    (R' + sqrt(4.5 ln(1/delta) + ln(2N/gamma) + 2 ln(2 + sqrt(sum ||x||^2))
               + 2 sum_l ln((2 + 2||W_l - W_l(0)||)(2 + 2 s(W_l))))) / sqrt(N),
    R' = 144 ln N ln(2P) (rms||x|| + 1/sqrt(N)) R / gamma, P weights, R as in `bartlett2017_rate`.
    """
    n = net.samples
    scale = 144 * log(n) * log(2 * net.shapes.prod(1).sum()) * (_rms_input(net) + 1 / sqrt(n))
    union = 4.5 * log(1 / net.delta) + log(2 * n / net.gamma) + 2 * log(2 + net.total_input)
    union += 2 * np.log((2 + 2 * net.distances) * (2 + 2 * net.spectral)).sum()
    return (scale * bartlett_complexity(net) / net.gamma + sqrt(union)) / sqrt(n)


@bound(tasks=CLASSIFICATION, layers=2, exponent=None)
def neyshabur2018_bound(net: Net) -> float:
    """Neyshabur, Bhojanapalli, Srebro 2018 (1707.09564), constants of bneyshabur/over-parametrization.

    sqrt((R^2 + 6 ln(2N/delta)) / N), D = distance to the initial matrix,
    R = 42 * 8 s(V) sqrt(ln(8m)) B sqrt(m (s(U) ||D_V||)^2 + c (s(V) ||D_U||)^2) / (sqrt(2) gamma).
    """
    units = net.shapes[:, 0]
    perturbation = sqrt((units * (net.spectral[::-1] * net.distances) ** 2).sum())
    r = 42 * 8 * net.spectral[0] * sqrt(log(8 * units[0])) * net.largest_input * perturbation / (sqrt(2) * net.gamma)
    return sqrt((r**2 + 6 * log(2 * net.samples / net.delta)) / net.samples)


@bound(tasks=CLASSIFICATION, layers=2, exponent=None)
def neyshabur2019_bound(net: Net) -> float:
    """Neyshabur, Li, Bhojanapalli, LeCun, Srebro 2019 (1805.12076), constants of bneyshabur/over-parametrization.

    (R + 3 sqrt(5m + ln(max(1, gamma sqrt(N)) / delta))) / sqrt(N),
    R = 3 sqrt(2) (sqrt(2c) + 1) (||U|| + 1) (sqrt(mean_i ||relu(V(0) x_i)||^2) + ||V - V(0)|| rms||x|| + 1) / gamma.
    """
    m, c = net.shapes[:, 0]
    unit_capacity = net.initial_activity + net.distances[0] * _rms_input(net) + 1
    r = 3 * sqrt(2) * (sqrt(2 * c) + 1) * (net.frobenius[1] + 1) * unit_capacity / net.gamma
    confidence = log(max(1, net.gamma * sqrt(net.samples)) / net.delta)
    return (r + 3 * sqrt(5 * m + confidence)) / sqrt(net.samples)


def _rms_input(net: Net) -> float:
    return net.total_input / sqrt(net.samples)
