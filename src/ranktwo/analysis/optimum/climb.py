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
    _climb(rows, (rows**2).sum(1), delta.mT.contiguous().cpu().numpy(), ends, heights, sweeps, tolerance)
    return torch.from_numpy(ends[..., : x.shape[1]].copy()).to(v.device), torch.from_numpy(heights).to(v.device)


def _compiled_dot(matrix: Any, i: int, vector: Any) -> float:
    """The product of row i with a vector. A slice would be counted as a reference, which takes longer than the sum."""
    total = 0.0
    for j in range(len(vector)):
        total += matrix[i, j] * vector[j]
    return total


def _compiled_add(result: Any, factor: float, matrix: Any, i: int) -> None:
    for j in range(len(result)):
        result[j] += factor * matrix[i, j]


def _compiled_length(vector: Any) -> float:
    total = 0.0
    for j in range(len(vector)):
        total += vector[j] * vector[j]
    return np.sqrt(total)


_dot, _add = compiled(_compiled_dot, "always", any_order=True), compiled(_compiled_add, "always", any_order=True)
_length = compiled(_compiled_length, "always", any_order=True)


def _compiled_climb(x: Any, squares: Any, deltas: Any, v: Any, heights: Any, most: int, tolerance: float) -> None:
    """`climb` with x [N, n], its rows' squared lengths [N], deltas [K, c, N]; changes v [K, R, n] and heights [K, R].

    Of row i, active says whether v.x_i > 0, at_anchor is its product with the point u, and share is alpha_i/|a_i|; for
    a_i >= 0 and for rows far from their kinks, the share is that of the tangent, `active`. M is summed only once rows
    near their kinks are all that is looked at: before, the products with all rows are at hand.
    """
    cells, outputs, samples = deltas.shape
    inputs = x.shape[1]
    lengths, inverse = np.sqrt(squares), 1 / squares
    a, share, active, at_anchor = np.empty(samples), np.empty(samples), np.empty(samples), np.empty(samples)
    near, moving = np.empty(samples, dtype=np.int64), np.empty(samples, dtype=np.int64)
    force, d, m = np.empty(outputs), np.empty(outputs), np.empty((outputs, inputs))
    w, trial, best = np.empty(inputs), np.empty(inputs), np.empty(inputs)
    target, last, anchor = np.empty(inputs), np.empty(inputs), np.empty(inputs)
    for number in range(cells * v.shape[1]):
        cell, point = divmod(number, v.shape[1])
        delta = deltas[cell]
        height, step, momentum, gains, done, summed = 0.0, np.inf, 0.0, 0, 0, False
        best[:] = v[cell, point]
        trial[:], last[:], anchor[:] = best, best, best
        share[:], active[:], at_anchor[:], d[:], w[:] = 0.0, 0.0, 0.0, 0.0, 0.0
        while True:
            apart = 0.0
            for j in range(inputs):
                apart += (trial[j] - anchor[j]) ** 2
            count = _near(near, np.sqrt(apart) + REACH * step, lengths, at_anchor, active, share)
            if count > MANY * samples:
                anchor[:] = trial
                summed, force[:] = False, 0.0
                for i in range(samples):
                    at_anchor[i] = _dot(x, i, trial)
                    active[i] = at_anchor[i] > 0
                for k in range(outputs):
                    for i in range(samples):
                        force[k] += active[i] * at_anchor[i] * delta[k, i]
                if done == 0:
                    share[:] = active
                count = _near(near, REACH * step, lengths, at_anchor, active, share)
            else:
                if not summed:
                    summed, m[:] = True, 0.0
                    for i in range(samples):
                        if active[i] > 0:
                            _add_to_all(m, 1.0, delta, x, i)
                for k in range(count):
                    i = near[k]
                    positive = _dot(x, i, trial) > 0
                    if positive != (active[i] > 0):
                        _add_to_all(m, 1 - 2 * active[i], delta, x, i)
                        active[i] = positive
                for k in range(outputs):
                    force[k] = _dot(m, k, trial)
            now = _length(force)
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
                        step += (trial[j] - best[j]) ** 2
                    step = np.sqrt(step)
                best[:], height = trial, now
                d[:], a[:], w[:] = force / now, 0.0, 0.0
                for k in range(outputs):
                    _add(a, -d[k], delta, k)
                # From M the tangent of all rows, which those off it correct; without M, w row by row.
                for k in range(outputs if summed else 0):
                    _add(w, d[k], m, k)
                for k in range(count if summed else samples):
                    i = near[k] if summed else k
                    if a[i] <= 0:
                        share[i] = active[i]
                    factor = (active[i] - share[i] if summed else -share[i]) * a[i]
                    if factor != 0:
                        _add(w, factor, x, i)
            if now == 0 or done >= most:
                break
            free = 0
            for k in range(count):
                moving[free] = near[k]
                free += a[near[k]] > 0
            for sweep in range(1 + INNER):
                kept = 0
                for k in range(free):
                    i = moving[k]
                    if squares[i] > 0:
                        alpha = share[i] * a[i]
                        then = min(max(alpha + _dot(x, i, w) * inverse[i], 0.0), a[i])
                        if then != alpha:
                            share[i] = then / a[i]
                            _add(w, alpha - then, x, i)
                            moving[kept] = i
                            kept += 1
                if sweep == 0:
                    free = kept
            done += 1
            size = _length(w)
            if size <= height * (1 + tolerance):
                break
            for j in range(inputs):
                target[j] = w[j] / size
                trial[j] = target[j] + momentum * (target[j] - last[j])
                last[j] = target[j]
            size = _length(trial)
            for j in range(inputs):
                trial[j] /= size
        v[cell, point], heights[cell, point] = best, height


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


def _compiled_add_to_all(m: Any, factor: float, delta: Any, x: Any, i: int) -> None:
    """Add row i's factor delta_i x_i^T to M."""
    for k in range(len(m)):
        weight = factor * delta[k, i]
        for j in range(x.shape[1]):
            m[k, j] += weight * x[i, j]


_near, _add_to_all = compiled(_compiled_near), compiled(_compiled_add_to_all, "always", any_order=True)
_climb = compiled(_compiled_climb, any_order=True)
