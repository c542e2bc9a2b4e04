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


def conjugate(a, y, task):
    """Mean over samples of sup_f (a.f - l(f)), a and y [N, c]."""
    if task == "regression":
        return ((a * y).sum(1) + a.shape[1] / 4 * (a**2).sum(1)).mean()
    p = a + y
    if task == "binary":
        p = np.concatenate([p, 1 - p], axis=1)
    return np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(1).mean()


def loss(f, y, task):
    """The mean loss at outputs f [N, c], its gradient [N, c], and its second derivatives [N, c, c]."""
    n, c = f.shape
    eye = np.eye(c)
    if task == "regression":
        return ((f - y) ** 2).mean(), 2 * (f - y) / (n * c), np.broadcast_to(2 * eye / (n * c), (n, c, c))
    if task == "binary":
        p = 1 / (1 + np.exp(-f))
        return (np.logaddexp(0, f) - y * f).mean(), (p - y) / n, (p * (1 - p))[..., None] / n
    top = f.max(1, keepdims=True)
    log = top + np.log(np.exp(f - top).sum(1, keepdims=True))
    p = np.exp(f - log)
    value = (log[:, 0] - (y * f).sum(1)).mean()
    return value, (p - y) / n, (p[:, :, None] * eye - p[:, :, None] * p[:, None, :]) / n


def barrier(blocks, cones, start, y, task, mu, accuracy):
    """The least mean loss at f = sum_b blocks[b] w_b, plus mu sum_b ||w_b||, with cones[b] w_b >= 0: by a log barrier.

    blocks [B, N, c, r], cones [B, C, r], start [B, r] strictly inside. The value is at most `accuracy` too great.
    Also gives w [B, r].
    """
    count, samples, outputs, size = blocks.shape
    flat = blocks.transpose(1, 2, 0, 3).reshape(samples * outputs, count * size)
    w, t = start.copy(), 2 * np.linalg.norm(start, axis=1) + 1
    terms = 2 * count + cones.shape[0] * cones.shape[1]

    def value(w, t, weight):
        slack, inside = np.einsum("bcr,br->bc", cones, w), t**2 - (w**2).sum(1)
        if (slack <= 0).any() or (inside <= 0).any() or (t <= 0).any():
            return np.inf
        f = (flat @ w.ravel()).reshape(samples, outputs)
        return loss(f, y, task)[0] + mu * t.sum() - weight * (np.log(slack).sum() + np.log(inside).sum())

    weight = 1.0
    while weight * terms > accuracy:
        weight /= 5
        for _ in range(50):
            f = (flat @ w.ravel()).reshape(samples, outputs)
            _, e, second = loss(f, y, task)
            slack, inside = np.einsum("bcr,br->bc", cones, w), t**2 - (w**2).sum(1)
            by_w = (flat.T @ e.ravel()).reshape(count, size) + weight * (
                2 * w / inside[:, None] - np.einsum("bcr,bc->br", cones, 1 / slack)
            )
            by_t = mu - weight * 2 * t / inside
            n = count * size
            hessian = np.zeros((n + count, n + count))
            bent = np.einsum("ikl,ilx->ikx", second, flat.reshape(samples, outputs, n)).reshape(-1, n)
            hessian[:n, :n] = flat.T @ bent
            for b in range(count):
                place = slice(b * size, (b + 1) * size)
                own = 2 * np.eye(size) / inside[b] + 4 * np.outer(w[b], w[b]) / inside[b] ** 2
                own = own + (cones[b].T / slack[b] ** 2) @ cones[b]
                hessian[place, place] += weight * own
                hessian[place, n + b] = hessian[n + b, place] = -weight * 4 * t[b] * w[b] / inside[b] ** 2
                hessian[n + b, n + b] = weight * (4 * t[b] ** 2 / inside[b] ** 2 - 2 / inside[b])
            slope = np.concatenate([by_w.ravel(), by_t])
            step = -np.linalg.solve(hessian, slope)
            fall, share, now = -slope @ step, 1.0, value(w, t, weight)
            if fall < 1e-3 * weight:
                break
            dw, dt = step[:n].reshape(w.shape), step[n:]
            while value(w + share * dw, t + share * dt, weight) > now - 0.1 * share * fall and share > 1e-12:
                share /= 2
            w, t = w + share * dw, t + share * dt
    f = (flat @ w.ravel()).reshape(samples, outputs)
    return loss(f, y, task)[0] + mu * np.linalg.norm(w, axis=1).sum(), w


def optimum_over_patterns(x, y, task, mu, accuracy):
    """P* for one output: a second-order cone programme with two vectors for each pattern (Pilanci & Ergen 2020)."""
    active, inside = patterns(x)
    seen = active.any(1)
    active, inside = active[seen], inside[seen]
    block = active[:, :, None] * x[None]
    blocks = np.concatenate([block, -block])[:, :, None, :]
    cones = np.where(active, 1.0, -1.0)[:, :, None] * x
    start = 0.1 * np.concatenate([inside, inside])
    return barrier(blocks, np.concatenate([cones, cones]), start, y, task, mu, accuracy)[0]


def optimum_over_angles(x, y, task, mu, accuracy):
    """P* for several outputs in two dimensions: a group LASSO over directions, ever finer where the weight lies."""
    corners = vertices(x)
    corners = np.arctan2(corners[:, 1], corners[:, 0])
    spacing = 2 * np.pi / 48
    angles = np.arange(48) * spacing
    while True:
        every = np.unique(np.concatenate([angles, corners]))
        hidden = np.maximum(np.stack([np.cos(every), np.sin(every)], 1) @ x.T, 0)
        outputs = y.shape[1]
        blocks = hidden[:, :, None, None] * np.eye(outputs)
        start = np.full((len(every), outputs), 1e-3)
        value, w = barrier(blocks, np.zeros((len(every), 0, outputs)), start, y, task, mu, accuracy)
        if spacing**2 < 0.01 * accuracy:
            return value
        weight = np.linalg.norm(w, axis=1)
        peak = (weight >= np.roll(weight, 1)) & (weight >= np.roll(weight, -1)) & (weight > 1e-3 * weight.max())
        angles = (every[peak][:, None] + spacing * np.linspace(-1, 1, 7)).ravel()
        spacing /= 3
