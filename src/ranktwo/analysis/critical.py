"""The weight decay above which a two-layer net collapses to zero."""

import math

import torch
from torch import Tensor

from ranktwo.analysis.optimum import search
from ranktwo.analysis.optimum.search import Effort
from ranktwo.nets.losses import Task, output_gradients_

STARTS, LARGE_STARTS = 128, 8
"""Random points that a search starts from, in small and in large data."""
ROUNDING = 1e-12
"""Of sum_i ||delta_i|| ||x_i|| / N: a lesser maximum is rounding."""


def critical_decay(
    x: Tensor, targets: Tensor, task: Task, *, layers: int = 2, starts: int | None = None, seed: int = 0
) -> tuple[float, Tensor]:
    """mu_c = max_{|v|=1} ||F(v)||, F(v) = (1/N) sum_i delta_i(0) relu(v.x_i), and the maximising v [n].

    delta_i(0) = dl_i/df at f = 0. For f = sum_j u_j relu(v_j.x) of any width, parameters theta = (U, V) and
    J = L(f) + mu/2 |theta|^2, L the mean loss, convex in f. As L is convex,
    <grad L(f), f> >= <grad L(0), f> = sum_j u_j.F(v_j) >= -mu_c sum_j |u_j||v_j| >= -mu_c/2 |theta|^2. Hence

    - mu > mu_c: zero is the only stationary point, hence the global minimum, and gradient flow collapses to it from
      anywhere: f is 2-homogeneous, so <theta, grad J> = 2 <grad L(f), f> + mu |theta|^2 >= (mu - mu_c) |theta|^2, and
      d|theta|^2/dt = -2 <theta, grad J>.
    - mu = mu_c: zero is still a global minimum: J - L(0) >= <grad L(0), f> + mu/2 |theta|^2 >= 0.
    - mu < mu_c: zero is a saddle, not even a local minimum: along u = -a F(v)/||F(v)|| and a v, J changes by
      a^2 (mu - mu_c) + o(a^2) < 0. A neuron near zero with |u| = |v| grows at the rate -<u/|u|, F(v/|v|)> - mu. That
      training then leaves zero is the rule, not a theorem: neurons that are dead on all samples, say, only decay.

    So zero is the global minimum iff it is a local one, mu >= mu_c (at equality perhaps not the only one). Discrete
    steps and batches follow the flow for small learning rates. Two layers only: with L > 2, f is of order |theta|^L,
    zero is a strict local minimum for every mu > 0 and there is no such number; with one there is no relu. Both: nan.

    Where all F(v) are zero to rounding, as where each input has labels that cancel each other, mu_c is 0.

    Maximised from `starts` random points and from +-(1/N) sum_i delta_i x_i (class or target means), as `search`
    describes; from fewer random points in large data. Any local search gives a lower bound of mu_c: good to 1e-5 where
    the maximum is pronounced, to about 1e-3 for targets of pure noise.

    x [N, n], targets [N, c] as in `nets`. Cost: tens of products of starts x N x n.
    """
    if layers != 2:
        return math.nan, torch.full_like(x[0], math.nan, dtype=torch.float64)
    starts = starts or (LARGE_STARTS if x.numel() >= search.LARGE else STARTS)
    output = torch.zeros(1, *targets.shape, dtype=torch.float64, device=x.device)
    delta = output_gradients_(output, targets.double(), task) / len(x)
    means, largest = delta.new_zeros(delta.shape[-1], x.shape[1]), delta.new_zeros(())
    for inputs, part in zip(x.split(search.CHUNK_ROWS), delta[0].split(search.CHUNK_ROWS), strict=True):
        inputs = inputs.double()
        means += part.T @ inputs
        largest += (part.norm(dim=1) * inputs.norm(dim=1)).sum()
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(starts, x.shape[1], generator=generator, dtype=torch.float64).to(x.device)
    points = search.directions(torch.cat([means, -means, random]))
    best, v, _ = search.maximise(x, delta, points[None], Effort(kept=max(2, starts // 16)))
    return (best.item() if best > ROUNDING * largest else 0.0), v[0]
