"""Counts of parameters, and the bound that rests on them."""

from math import e, log, prod

import numpy as np
from numpy import log2, sqrt

from ranktwo.analysis.bounds.net import Net
from ranktwo.analysis.bounds.register import CLASSIFICATION, bound, measure


@measure(per_rank=True)
def parameters(net: Net, ranks: np.ndarray) -> float:
    """Number of weights, a matrix of low rank r stored as two thin factors: sum min(r (out + in), out in)."""
    return np.minimum(ranks * net.shapes.sum(1), net.shapes.prod(1)).sum()


@measure(per_rank=True)
def pseudo_dimension(net: Net, ranks: np.ndarray) -> float:
    """Bartlett, Harvey, Liaw, Mehrabian 2019 (1703.02930), Thm 6 (Thm 7 in JMLR), for pseudo- and VC dimension alike.

    L + P log2(8e R log2(4e R)), P = sum_l P_l, P_l the weights of layers 1..l, R = sum_l degree_l out_l; constants of
    the two-layer form in bneyshabur/over-parametrization. degree_l is that of layer l's pre-activations as polynomials
    in the weights: l when dense, one more for every factored matrix so far. The count for factored nets, and for L > 2,
    is ours, from the same product of sign-pattern counts: 2^N <= prod_l 2 (2e N out_l degree_l / P_l)^P_l.
    """
    dense = net.shapes.prod(1)
    sizes = np.minimum(ranks * net.shapes.sum(1), dense)
    degrees = np.cumsum(1 + (sizes < dense))
    r = (degrees * net.shapes[:, 0]).sum()
    return len(dense) + np.cumsum(sizes).sum() * log2(8 * e * r * log2(4 * e * r))


@bound(tasks=CLASSIFICATION, per_rank=True)
def vc_bound(net: Net, ranks: np.ndarray) -> float:
    """VC bound, constants of bneyshabur/over-parametrization: sqrt((8 c D ln(e max(N/D, 1)) + 8 ln(2 Q/delta)) / N).

    D is `pseudo_dimension`. Of a factored net it bounds the *truncated* net, not the trained one; delta is then split
    over the Q = prod min(out, in) possible ranks, so that ranks read off the weights are covered. Q = 1 when dense.
    """
    dimension = pseudo_dimension(net, ranks)
    choices = prod(net.full_ranks.tolist()) if (ranks < net.full_ranks).any() else 1
    capacity = net.shapes[-1, 0] * dimension * np.log(e * np.maximum(net.samples / dimension, 1))
    return sqrt((8 * capacity + 8 * log(2 * choices / net.delta)) / net.samples)
