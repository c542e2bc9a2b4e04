"""What few samples in two or three dimensions allow: every activation pattern, and the maximum over all of them."""

import itertools

import numpy as np


def dual_function(v, x, e):
    """h(v) = ||(1/N) sum_i e_i relu(v.x_i)|| of the rows of v, as a textbook has it."""
    return np.linalg.norm(np.maximum(v @ x.T, 0) @ e, axis=1) / len(x)


def vertices(x):
    """Unit vectors on which as many v.x_i = 0 as can be, both signs; x [N, 2] or [N, 3] in general position."""
    if x.shape[1] == 2:
        rows = np.stack([-x[:, 1], x[:, 0]], axis=1)
    else:
        rows = np.array([np.cross(a, b) for a, b in itertools.combinations(x, 2)])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.concatenate([rows, -rows])


def patterns(x):
    """Every pattern 1[v.x_i > 0] that some v with no v.x_i = 0 has, [P, N], and such a v for each, [P, n]."""
    corners = vertices(x)
    found = {}
    for v in corners:
        z = x @ v
        on = np.abs(z) < 1e-9 * np.linalg.norm(x, axis=1)
        touched = x[on]
        for signs in itertools.product((-1, 1), repeat=len(touched)):
            # A small step off the corner, to the given side of each plane that meets there.
            step = np.linalg.lstsq(touched, np.array(signs, float), rcond=None)[0]
            free = ~on & (np.sign(x @ step) != np.sign(z))
            room = np.min(np.abs(z[free] / (x[free] @ step)), initial=1.0)
            inside = v + 0.5 * room * step
            found.setdefault(tuple(x @ inside > 0), inside / np.linalg.norm(inside))
    return np.array(list(found)), np.array(list(found.values()))


def dual_maximum(x, e):
    """max h over the sphere: on the face of a pattern h is ||A v||, so its maximum is one of finitely many points."""
    candidates = [vertices(x)]
    for pattern in patterns(x)[0]:
        slope = (pattern[:, None] * e).T @ x
        for plane in [None, *x]:
            kept = slope if plane is None else slope - np.outer(slope @ plane, plane) / (plane @ plane)
            leading = np.linalg.svd(kept)[2][0]
            candidates.append(np.stack([leading, -leading]))
    return dual_function(np.concatenate(candidates), x, e).max()
