"""The weights of given atoms that make the decayed loss least: a convex problem with weights t_j >= 0.

The output is f_i = sum_j t_j m_ij, m_ij = relu(v_j.x_i) d_j with ||v_j|| = ||d_j|| = 1; decay charges mu sum_j t_j.
Shapes: N samples, c outputs, a atoms; m is [N, c, a], t is [a]; all float64.
"""

import torch
from torch import Tensor

from ranktwo.nets import losses
from ranktwo.nets.losses import Task

STEPS = 40
"""Most Newton steps."""
RIDGE = 1e-10
"""Share of the curvature's mean diagonal added to it, as nearly equal atoms make it singular."""


def best_weights(
    m: Tensor, t: Tensor, targets: Tensor, task: Task, weight_decay: float, tolerance: float
) -> tuple[Tensor, Tensor]:
    """The t >= 0 with the least (1/N) sum_i l_i(f_i) + mu sum_j t_j, and the outputs f [N, c] there; t is the start.

    By Newton steps, each to the minimum of the quadratic model over t >= 0, shortened until the value falls. It ends
    where no derivative by a positive t_j, and no negative one by t_j = 0, exceeds `tolerance` times mu.
    """
    samples, outputs, atoms = m.shape
    flat = m.reshape(samples * outputs, atoms)

    def value(t: Tensor) -> tuple[float, Tensor]:
        f = (flat @ t).view(1, samples, outputs)
        return (losses.sample_losses(f, targets, task).mean() + weight_decay * t.sum()).item(), f

    now, f = value(t)
    for _ in range(STEPS):
        e = losses.output_gradients_(f.clone(), targets, task).flatten() / samples
        slope = flat.T @ e + weight_decay
        if torch.where(t > 0, slope.abs(), -slope).max() <= tolerance * weight_decay:
            break
        curvature = _curvature(m, f[0], task)
        curvature.diagonal().add_(RIDGE * curvature.diagonal().mean())
        step = _nonnegative_minimum(curvature, curvature @ t - slope, t, 0.1 * tolerance * weight_decay) - t
        fall, share = (slope @ step).item(), 1.0
        while share > 1e-8:
            trial = (t + share * step).clamp(min=0)
            then, f_then = value(trial)
            if then <= now + 1e-4 * share * fall:
                break
            share /= 2
        else:
            break  # rounding is all that is left
        t, now, f = trial, then, f_then
    return t, f[0]


def _curvature(m: Tensor, f: Tensor, task: Task) -> Tensor:
    """Second derivatives of the mean loss by t, [a, a]."""
    samples, outputs, atoms = m.shape
    if task == "regression":
        root = m.reshape(-1, atoms)
        return root.T @ root * (2 / (outputs * samples))
    if task == "binary":
        p = f.sigmoid()
        root = m[:, 0] * (p * (1 - p)).sqrt()
        return root.T @ root / samples
    p = torch.softmax(f, dim=1)
    root = (m * p.sqrt()[..., None]).reshape(-1, atoms)
    mean = torch.einsum("ic,ica->ia", p, m)
    return (root.T @ root - mean.T @ mean) / samples


def _nonnegative_minimum(h: Tensor, b: Tensor, t: Tensor, tolerance: float) -> Tensor:
    """The t >= 0 with the least t.Ht/2 - b.t, from a start, by active sets (Lawson & Hanson 1974)."""
    on = t > 0
    for _ in range(10 * len(t) + 10):
        index = on.nonzero()[:, 0]
        free = torch.zeros_like(t)
        if len(index):
            factor, failed = torch.linalg.cholesky_ex(h[index][:, index])
            if failed:
                break
            free[index] = torch.cholesky_solve(b[index, None], factor)[:, 0]
        falling = on & (free <= 0)
        if falling.any():
            share = (t[falling] / (t[falling] - free[falling])).min()
            t = torch.where(on, t + share * (free - t), 0.0)
            on = on & (t > 1e-14 * t.max())
            t = torch.where(on, t, 0.0)
            continue
        t = free
        gain = torch.where(on, -torch.inf, b - h @ t)
        best = gain.argmax()
        if gain[best] <= tolerance:
            break
        on[best] = True
    return t
