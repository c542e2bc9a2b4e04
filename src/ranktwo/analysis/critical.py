"""The weight decay above which a two-layer net collapses to zero."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ranktwo.nets.losses import Task, output_gradients_


def inverse(positive: Tensor) -> Tensor:
    """1/t, and 0 where t is 0, so that a zero vector has the zero vector for direction."""
    return torch.where(positive > 0, 1 / positive, 0.0)


LARGE = 2**21
"""Numbers in x from which on the search is in float32, starts from fewer points and need not round kinks off."""
STARTS, LARGE_STARTS = 128, 8
"""Random points that a search starts from, in small and in large data."""
CHUNK_ROWS, CHUNK_ELEMENTS = 4096, 2**17
"""Most rows of x, and most numbers of a product with it, that are worked on at once: they stay in a core's cache."""
STEPS, ROUND = 60, 15
"""Most steps of an ascent; steps after which the worse half of the points is given up."""


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

    Maximised from `starts` random points and from +-(1/N) sum_i delta_i x_i (class or target means), by ascent on the
    sphere: v <- normalise(v + t (grad h/h - v)), h = ||F||, taken only if h gains, t longer after a gain and shorter
    after a loss; t = 1 is the fixed-point iteration, which alone can cycle or stop low. The worse half of the points is
    given up every few steps, down to a sixteenth of `starts`. Kinks stop an ascent too, so the best points go on with
    the relu's kink rounded off over less and less. In large data one kink is next to nothing: there the search is in
    float32 from fewer points, followed by an ascent in float64. The value is that of float64 at the v returned.
    Any local search gives a lower bound of mu_c: good to 1e-5 where the maximum is pronounced, to about 1e-3 for
    targets of pure noise.

    x [N, n], targets [N, c] as in `nets`. Cost: about 100 products of starts x N x n, 50 in large data.
    """
    if layers != 2:
        return math.nan, torch.full_like(x[0], math.nan, dtype=torch.float64)
    large = x.numel() >= LARGE
    starts = starts or (LARGE_STARTS if large else STARTS)
    output = torch.zeros(1, *targets.shape, dtype=torch.float64, device=x.device)
    delta = output_gradients_(output, targets.double(), task)[0] / len(x)
    rows = zip(x.split(CHUNK_ROWS), delta.split(CHUNK_ROWS), strict=True)
    means = sum(part.T @ inputs.double() for inputs, part in rows)
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(starts, x.shape[1], generator=generator, dtype=torch.float64).to(x.device)
    v = torch.cat([means, -means, random])
    v = v[torch.linalg.vector_norm(v, dim=1) > 0]
    v = v / torch.linalg.vector_norm(v, dim=1, keepdim=True)
    scale = float(torch.linalg.vector_norm(x, dim=1).double().mean()) / math.sqrt(x.shape[1])
    best, best_v = -math.inf, v[0]
    # In float32 a smaller gain is rounding.
    widths, tolerance = ((0, 0), 1e-7) if large else ((0, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 0), 0.0)
    for stage, width in enumerate(widths):
        dtype = torch.float32 if large and stage == 0 else torch.float64
        force = partial(_force, x=x, delta=delta, width=width * scale, dtype=dtype)
        v = _ascend(force, v, max(2, starts // 16), tolerance)
        value, index = _force(v, x, delta)[0].max(0)
        if value > best:
            best, best_v = value.item(), v[index[0]]
    return best, best_v


def _ascend(function: Callable[[Tensor], tuple[Tensor, Tensor]], v: Tensor, kept: int, tolerance: float) -> Tensor:
    """Where ascent on the sphere leads the `kept` best of v [R, n]; `function` gives h [R, 1], its gradient [R, n].

    It ends when, in some steps, no value grew by more than the relative `tolerance`.
    """
    value, slope = function(v)
    step, before = torch.ones_like(value), value
    for count in range(1, STEPS + 1):
        trial = v + step * (slope * inverse(value) - v)
        trial = trial * inverse(torch.linalg.vector_norm(trial, dim=1, keepdim=True))
        trial_value, trial_slope = function(trial)
        gain = trial_value > value
        v, value, slope = (
            torch.where(gain, new, old) for new, old in ((trial, v), (trial_value, value), (trial_slope, slope))
        )
        step = torch.where(gain, 1.5 * step, 0.4 * step)
        if count % ROUND == 0:
            if (value - before <= tolerance * value).all():
                break
            better = value[:, 0].topk(min(len(v), max(kept, len(v) // 2))).indices
            v, value, slope, step = (tensor[better] for tensor in (v, value, slope, step))
            before = value
    return v[value[:, 0].topk(min(len(v), kept)).indices]


def _force(
    v: Tensor, x: Tensor, delta: Tensor, width: float = 0.0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """h(v) [R, 1] and its gradient [R, n], float64, relu made a parabola on (-width, width); products in `dtype`."""
    rows = min(CHUNK_ROWS, max(64, CHUNK_ELEMENTS // max(len(v), 1)))
    parts = [(part, d.to(dtype)) for part, d in zip(x.split(rows), delta.split(rows), strict=True)]
    narrow = v.to(dtype)
    force = delta.new_zeros(len(v), delta.shape[1])
    slopes = []
    for inputs, derivative in parts:
        z = narrow @ inputs.to(dtype).T
        if width == 0:
            slope = (z > 0).to(dtype)
            z *= slope
        else:
            slope = (z / (2 * width) + 0.5).clamp_(0, 1)
            z.add_(1 - slope, alpha=width).mul_(slope)
        slopes.append(slope)
        force += z @ derivative
    size = torch.linalg.vector_norm(force, dim=1, keepdim=True)
    direction = (force * inverse(size)).to(dtype)
    gradient = torch.zeros_like(v)
    for slope, (inputs, derivative) in zip(slopes, parts, strict=True):
        gradient += slope.mul_(direction @ derivative.T) @ inputs.to(dtype)
    return size, gradient
