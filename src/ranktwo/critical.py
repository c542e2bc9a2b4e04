"""The weight decay above which a two-layer net collapses to zero."""

import math

import torch
from torch import Tensor

from ranktwo.nets import Task, output_gradients_


def inverse(positive: Tensor) -> Tensor:
    """1/t, and 0 where t is 0, so that a zero vector has the zero vector for direction."""
    return torch.where(positive > 0, 1 / positive, 0.0)


def critical_decay(
    x: Tensor, targets: Tensor, task: Task, *, layers: int = 2, starts: int = 128, seed: int = 0
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
    after a loss; t = 1 is the fixed-point iteration, which alone can cycle or stop low. Kinks stop an ascent too, so
    the best starts go on with the relu's kink rounded off over less and less. Any local search gives a lower bound of
    mu_c: good to 1e-5 where the maximum is pronounced, to about 1e-3 for targets of pure noise.

    x [N, n], targets [N, c] as in `nets`. Cost: some 200 products of starts x N x n.
    """
    x = x.double()
    if layers != 2:
        return math.nan, torch.full_like(x[0], math.nan)
    output = torch.zeros(1, *targets.shape, dtype=x.dtype, device=x.device)
    delta = output_gradients_(output, targets.double(), task)[0] / len(x)
    means = delta.T @ x
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(starts, x.shape[1], generator=generator, dtype=x.dtype).to(x.device)
    v = torch.cat([means, -means, random])
    v = v[torch.linalg.vector_norm(v, dim=1) > 0]
    v = v / torch.linalg.vector_norm(v, dim=1, keepdim=True)
    scale = torch.linalg.vector_norm(x, dim=1).mean() / math.sqrt(x.shape[1])

    def evaluate(v: Tensor, width: float) -> tuple[Tensor, Tensor]:
        """h(v) [R, 1] and its gradient [R, n], relu made a parabola on (-width, width)."""
        z = v @ x.T
        slope = (z > 0).to(z) if width == 0 else (z / (2 * width) + 0.5).clamp_(0, 1)
        force = (slope * (z + width * (1 - slope))) @ delta
        size = torch.linalg.vector_norm(force, dim=1, keepdim=True)
        return size, (force @ delta.T * slope) @ x * inverse(size)

    record, record_v = evaluate(v, 0.0)[0], v
    for width in (0, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 0):
        width = float(width * scale)
        value, slope = evaluate(v, width)
        step = torch.ones_like(value)
        for _ in range(60):
            trial = v + step * (slope * inverse(value) - v)
            trial = trial * inverse(torch.linalg.vector_norm(trial, dim=1, keepdim=True))
            trial_value, trial_slope = evaluate(trial, width)
            gain = trial_value > value
            v, value, slope = (
                torch.where(gain, new, old) for new, old in ((trial, v), (trial_value, value), (trial_slope, slope))
            )
            step = torch.where(gain, 1.5 * step, 0.4 * step)
            if not gain.any() and step.max() < 1e-9:
                break
        exact = evaluate(v, 0.0)[0]
        record_v = torch.where(exact > record, v, record_v)
        record, keep = torch.maximum(record, exact).topk(min(len(v), max(1, starts // 4)), dim=0)
        record_v, v = record_v[keep[:, 0]], v[keep[:, 0]]
    return record[0].item(), record_v[0]
