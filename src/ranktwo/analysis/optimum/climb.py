"""Climbs of the dual function that kinks do not stop.

h(v) = max over ||d|| = 1 of sum_i a_i relu(v.x_i), a_i = d.delta_i. For the best d at hand, terms with a_i >= 0 are
convex in v: they are replaced by their tangents, which give s.v, s the sum of a_i x_i over a_i >= 0 and v.x_i > 0. The
terms with a_i < 0 are concave. What is left has a maximum over the whole ball that can be found exactly:

    max over ||v|| <= 1 of s.v + sum over a_i < 0 of a_i relu(v.x_i)
        = min over 0 <= alpha_i <= |a_i| of ||w||, w = s - sum over a_i < 0 of alpha_i x_i,

at v = w/||w|| (the minimax theorem). Tangents lie below convex functions and no d gives more than the best, so h is no
less there (the concave-convex procedure, Yuille & Rangarajan 2003). The minimum is sought by sweeps of coordinate
descent, as for support vector machines (Hsieh et al. 2008). As ||w|| is an upper bound at any alpha, a climb knows
where it has ended.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranktwo.compiling import compiled

INNER = 4
"""Sweeps over the rows that the last whole sweep moved, before v is set to w/||w||."""


def climb(x: Tensor, delta: Tensor, v: Tensor, *, sweeps: int, tolerance: float) -> tuple[Tensor, Tensor]:
    """Where climbs of so many whole sweeps at most lead from points v [K, R, n] of the sphere, and h there [K, R].

    A climb ends earlier where the share `tolerance` is more than it can gain at its d and tangents.
    x [N, n], delta [K, N, c], as in `search`.
    """
    rows = x.double().cpu().numpy()
    squares = np.maximum((rows**2).sum(1), np.finfo(float).tiny)
    ends, heights = v.double().cpu().numpy().copy(), np.zeros(v.shape[:2])
    _climb(np.ascontiguousarray(rows), squares, delta.mT.contiguous().cpu().numpy(), ends, heights, sweeps, tolerance)
    return torch.from_numpy(ends).to(v.device), torch.from_numpy(heights).to(v.device)


def _compiled_climb(x: Any, squares: Any, delta: Any, v: Any, heights: Any, most: int, tolerance: float) -> None:
    """`climb` with x [N, n], its rows' squared lengths [N], delta [K, c, N]; changes v [K, R, n] and heights [K, R]."""
    cells, outputs, samples = delta.shape
    inputs = x.shape[1]
    force, a, alpha = np.empty(outputs), np.empty(samples), np.empty(samples)
    moving = np.empty(samples, dtype=np.int64)
    z, w, trial = np.empty(samples), np.empty(inputs), np.empty(inputs)
    for number in range(cells * v.shape[1]):
        cell, point = divmod(number, v.shape[1])
        height, done = 0.0, 0
        alpha[:] = 0.0
        trial[:] = v[cell, point]
        while True:
            for i in range(samples):
                total = 0.0
                for j in range(inputs):
                    total += x[i, j] * trial[j]
                z[i] = total
            here = 0.0
            for k in range(outputs):
                total = 0.0
                for i in range(samples):
                    total += max(z[i], 0.0) * delta[cell, k, i]
                force[k] = total
                here += total * total
            here = np.sqrt(here)
            if here > height * (1 + tolerance):
                v[cell, point], height = trial, here
                a[:] = 0.0
                for k in range(outputs):
                    for i in range(samples):
                        a[i] += force[k] / here * delta[cell, k, i]
                w[:] = 0.0
                for i in range(samples):
                    share = a[i] if z[i] > 0 else 0.0
                    if a[i] < 0:
                        if done:
                            share = -min(alpha[i], -a[i])
                        alpha[i] = -share  # at first, w is the slope of h
                    if share != 0:
                        for j in range(inputs):
                            w[j] += share * x[i, j]
            if here == 0 or done >= most:
                break
            count = 0
            for i in range(samples):
                if a[i] < 0:
                    moving[count] = i
                    count += 1
            for sweep in range(1 + INNER):
                kept = 0
                for m in range(count):
                    i = moving[m]
                    total = 0.0
                    for j in range(inputs):
                        total += w[j] * x[i, j]
                    change = min(max(alpha[i] + total / squares[i], 0.0), -a[i]) - alpha[i]
                    if change != 0:
                        alpha[i] += change
                        for j in range(inputs):
                            w[j] -= change * x[i, j]
                        if sweep == 0:
                            moving[kept] = i
                            kept += 1
                if sweep == 0:
                    count = kept
            done += 1
            size = 0.0
            for j in range(inputs):
                size += w[j] * w[j]
            size = np.sqrt(size)
            if size <= height * (1 + tolerance):
                break
            for j in range(inputs):
                trial[j] = w[j] / size
        heights[cell, point] = height


_climb = compiled(_compiled_climb, any_order=True)
