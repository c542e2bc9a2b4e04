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

Two things make it fast. A step goes on beyond w/||w|| by a momentum (Nesterov 1983); where h does not gain by that, it
is taken to w/||w|| alone. And h(v) = ||M v||, M the sum of delta_i x_i^T over v.x_i > 0, so only rows near their kink
are looked at: v.x_i has the sign of u.x_i if |u.x_i| > ||v - u|| ||x_i||, for a point u where all signs are known.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ranktwo.compiling import compiled

INNER = 4
"""Sweeps over the rows that the first one moved, before v is set to w/||w||."""
REACH = 0.5
"""A row is near its kink if a step as long as the last, times this, might reach it."""
WIDTH = 16
"""The inputs are filled up with zeros to a multiple of it: a compiled sum takes so many at once, and others singly."""
MANY = 0.3
"""Share of rows near their kinks above which the signs of all rows are found anew."""


def climb(x: Tensor, delta: Tensor, v: Tensor, *, sweeps: int, tolerance: float) -> tuple[Tensor, Tensor]:
    """Where climbs of so many steps at most lead from points v [K, R, n] of the sphere, and h there [K, R].

    A climb ends earlier where the share `tolerance` is more than it can gain at its d and tangents.
    x [N, n], delta [K, N, c], as in `search`.
    """
    rows, ends = (pad(tensor.double(), (0, -x.shape[1] % WIDTH)).cpu().numpy() for tensor in (x, v))
    rows, ends, heights = np.ascontiguousarray(rows), ends.copy(), np.zeros(v.shape[:2])
    _climb(rows, (rows**2).sum(1), delta.contiguous().cpu().numpy(), ends, heights, sweeps, tolerance)
    return torch.from_numpy(ends[..., : x.shape[1]].copy()).to(v.device), torch.from_numpy(heights).to(v.device)


def _compiled_dot(first: Any, second: Any) -> float:
    total = 0.0
    for j in range(len(first)):
        total += first[j] * second[j]
    return total


def _compiled_add(result: Any, factor: float, vector: Any) -> None:
    for j in range(len(vector)):
        result[j] += factor * vector[j]


_dot, _add = compiled(_compiled_dot, any_order=True), compiled(_compiled_add, any_order=True)


def _compiled_climb(x: Any, squares: Any, delta: Any, v: Any, heights: Any, most: int, tolerance: float) -> None:
    """`climb` with x [N, n], its rows' squared lengths [N], delta [K, N, c]; changes v [K, R, n] and heights [K, R].

    Of row i, active says whether v.x_i > 0, at_anchor is its product with the point u, and share is alpha_i/|a_i|; for
    a_i >= 0 and for rows far from their kinks, the share is that of the tangent, `active`.
    """
    cells, samples, outputs = delta.shape
    inputs = x.shape[1]
    lengths, inverse = np.sqrt(squares), 1 / squares
    a, share, active, at_anchor = np.empty(samples), np.empty(samples), np.empty(samples), np.empty(samples)
    near, moving = np.empty(samples, dtype=np.int64), np.empty(samples, dtype=np.int64)
    force, d, m = np.empty(outputs), np.empty(outputs), np.empty((outputs, inputs))
    w, trial = np.empty(inputs), np.empty(inputs)
    target, last, anchor = np.empty(inputs), np.empty(inputs), np.empty(inputs)
    for number in range(cells * v.shape[1]):
        cell, point = divmod(number, v.shape[1])
        height, step, momentum, gains, done = 0.0, np.inf, 0.0, 0, 0
        trial[:], last[:], anchor[:] = v[cell, point], v[cell, point], v[cell, point]
        share[:], active[:], at_anchor[:], d[:], m[:], w[:] = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        while True:
            apart = 0.0
            for j in range(inputs):
                apart += (trial[j] - anchor[j]) ** 2
            count = _near(near, np.sqrt(apart) + REACH * step, lengths, at_anchor, active, share)
            if count > MANY * samples:
                anchor[:] = trial
                for i in range(samples):
                    at_anchor[i] = _dot(x[i], trial)
                    _sign(i, at_anchor[i] > 0, active, m, delta[cell], x)
                if done == 0:
                    share[:] = active
                count = _near(near, REACH * step, lengths, at_anchor, active, share)
            else:
                for k in range(count):
                    _sign(near[k], _dot(x[near[k]], trial) > 0, active, m, delta[cell], x)
            for k in range(outputs):
                force[k] = _dot(m[k], trial)
            now = np.sqrt(_dot(force, force))
            gained = now > height * (1 + tolerance)
            if not gained and momentum > 0:
                momentum, gains, done = 0.0, 0, done + 1
                trial[:] = target
                if done < most:
                    continue
            if gained:
                gains += 1
                momentum = gains / (gains + 3)
                if done > 0:
                    step = 0.0
                    for j in range(inputs):
                        step += (trial[j] - v[cell, point, j]) ** 2
                    step = np.sqrt(step)
                v[cell, point], height = trial, now
                d[:], w[:] = force / now, 0.0
                for k in range(outputs):
                    _add(w, d[k], m[k])
            if now == 0 or done >= most:
                break
            free = 0
            for k in range(count):
                i = near[k]
                a[i] = -_dot(d, delta[cell, i])
                moving[free] = i
                free += a[i] > 0
                if gained and share[i] != active[i]:
                    if a[i] > 0:
                        _add(w, (active[i] - share[i]) * a[i], x[i])
                    else:
                        share[i] = active[i]
            for sweep in range(1 + INNER):
                kept = 0
                for k in range(free):
                    i = moving[k]
                    if squares[i] > 0:
                        alpha = share[i] * a[i]
                        then = min(max(alpha + _dot(w, x[i]) * inverse[i], 0.0), a[i])
                        if then != alpha:
                            share[i] = then / a[i]
                            _add(w, alpha - then, x[i])
                            moving[kept] = i
                            kept += 1
                if sweep == 0:
                    free = kept
            done += 1
            size = np.sqrt(_dot(w, w))
            if size <= height * (1 + tolerance):
                break
            for j in range(inputs):
                target[j] = w[j] / size
                trial[j] = target[j] + momentum * (target[j] - last[j])
                last[j] = target[j]
            size = np.sqrt(_dot(trial, trial))
            for j in range(inputs):
                trial[j] /= size
        heights[cell, point] = height


def _compiled_near(near: Any, reach: float, lengths: Any, at_anchor: Any, active: Any, share: Any) -> int:
    """Put into `near` the rows whose sign a point may change that lies so far from the anchor, and the unsettled ones.

    Unsettled are those whose sign is not the anchor's, or whose share is not that of the tangent. Returns their number.
    """
    count = 0
    for i in range(len(lengths)):
        unsettled = (share[i] != active[i]) | ((active[i] > 0) != (at_anchor[i] > 0))
        near[count] = i
        count += unsettled | (abs(at_anchor[i]) <= reach * lengths[i])
    return count


def _compiled_sign(i: int, positive: bool, active: Any, m: Any, delta: Any, x: Any) -> None:
    """Set row i's sign, and M by it."""
    if positive != (active[i] > 0):
        change = 1 - 2 * active[i]
        active[i] += change
        for k in range(len(m)):
            _add(m[k], change * delta[i, k], x[i])


_near, _sign = compiled(_compiled_near), compiled(_compiled_sign, any_order=True)
_climb = compiled(_compiled_climb, any_order=True)
