"""The maximum over the sphere of the dual function h(v) = ||(1/N) sum_i e_i relu(v.x_i)||.

e_i [c] is the derivative dl_i/df of sample i's loss by the outputs, at whatever net is at hand. At the zero net the
maximum is the critical decay; at any net, over the weight decay, it is the dual ratio.

Shapes: K nets on the same inputs x [N, n], derivatives delta [K, N, c], each e_i/N, points v [K, R, n], R for each net.
h is piecewise smooth, with a kink where some v.x_i = 0. Any local search gives a lower bound of its maximum.
A net's numbers do not depend on the nets beside it.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

LARGE = 2**21
"""Numbers in x from which on the search is in float32, starts from fewer points and need not round kinks off."""
CHUNK_ROWS, CHUNK_ELEMENTS = 4096, 2**17
"""Most rows of x, and most numbers of a product with it, that are worked on at once: they stay in a core's cache."""
DISTINCT = 0.9999
"""Cosine above which two ends of ascents count as one."""
NEAR = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 1e-4, 1e-6, 1e-9)
"""Sines of the angle between v and the plane v.x_i = 0 below which `settle` takes v for a point of that plane."""
MEMORY, CURVED = 4, 1e-12
"""Steps that an ascent remembers; least s.y of a step s that counts, y the fall of the slope along it."""
FEW, SETTLING = 8, 20
"""Numbers of nearest planes that `settle` tries whatever their distance; most steps that it takes."""


def inverse(positive: Tensor) -> Tensor:
    """1/t, and 0 where t is 0, so that a zero vector has the zero vector for direction."""
    return torch.where(positive > 0, 1 / positive, 0.0)


def directions(rows: Tensor) -> Tensor:
    """The rows of [R, n] that are not zero, each over its length."""
    rows = rows[torch.linalg.vector_norm(rows, dim=1) > 0]
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)


class Effort(NamedTuple):
    """How hard a search tries."""

    kept: int
    """Points of each net that an ascent ends with."""
    steps: int = 60
    """Most steps of an ascent."""
    round: int = 15
    """Steps after which the worse half of the points is given up, and an ascent that gained nothing ends."""
    widths: tuple[float, ...] = (0, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 0)
    """Half widths over which one ascent after the other rounds the relu's kink off, as shares of a typical |v.x_i|."""
    twice: bool = False
    """Whether the second ascent starts from all points again: kinks hide broad maxima, rounding hides narrow ones."""
    single: bool = False
    """Whether all ascents but the last are in float32."""
    tolerance: float = 0.0
    """Relative gain of an ascent, in one round, below which it ends. In float32 a gain below 1e-7 is rounding."""
    settled: int = 0
    """How many of the points then settle into the kinks near them, exact to rounding."""


def thorough(x: Tensor, kept: int) -> Effort:
    """What is worth while on these inputs: in large data one kink is next to nothing, and need not be rounded off."""
    large = x.numel() >= LARGE
    return Effort(kept, widths=(0, 0), single=True, tolerance=1e-7) if large else Effort(kept)


def maximise(x: Tensor, delta: Tensor, v: Tensor, effort: Effort) -> tuple[Tensor, Tensor, Tensor]:
    """max h [K], a v that attains it [K, n], and the last `kept` points [K, kept, n], from the points v on the sphere.

    By ascent on the sphere from all of v. The worse half of the points is given up every few steps, down to `kept`.
    Kinks stop an ascent, so the relu's kink is rounded off over less and less from one ascent to the next. The value is
    that of float64 at the v returned, the best of all ascents.
    """
    scale = float(torch.linalg.vector_norm(x, dim=1).double().mean()) / math.sqrt(x.shape[1])
    best, best_v, first = x.new_full((len(v),), -math.inf, dtype=torch.float64), v[:, 0], v
    for stage, width in enumerate(effort.widths, start=1):
        if stage == 2 and effort.twice:
            v = torch.cat([v, first], dim=1)
        dtype = torch.float32 if effort.single and stage < len(effort.widths) else torch.float64
        v = ascend(x, delta, v, width * scale, dtype, effort)
        value, index = force(v, x, delta)[0][..., 0].max(1)
        gain = value > best
        best = torch.where(gain, value, best)
        best_v = torch.where(gain[:, None], v[torch.arange(len(v)), index], best_v)
    if effort.settled:
        ends = torch.cat([best_v[:, None], v], dim=1)
        ends = highest_apart(ends, force(ends, x, delta)[0][..., 0], effort.settled, DISTINCT)
        nets = zip(ends, delta, strict=True)
        settled = torch.stack([torch.stack([settle(point, x, e) for point in points]) for points, e in nets])
        v = torch.cat([settled, v], dim=1)
        best, index = force(v, x, delta)[0][..., 0].max(1)
        best_v = v[torch.arange(len(v)), index]
    return best, best_v, v


def highest_apart(points: Tensor, heights: Tensor, count: int, cosine: float) -> Tensor:
    """The highest of points [K, S, n] on the sphere, the highest of those apart from it, and so on, `count` of them.

    Points lie apart if their cosine is at most `cosine`. Where no more do, the highest is repeated; where there are no
    more than `count`, all are taken. heights [K, S].
    """
    if count >= points.shape[1]:
        return points
    chosen, left = [], heights
    for _ in range(count):
        point = points[torch.arange(len(points)), left.argmax(1)]
        chosen.append(point)
        near = torch.bmm(points, point[..., None])[..., 0] > cosine
        left = torch.where(near, -torch.inf, left)
    return torch.stack(chosen, dim=1)


def ascend(x: Tensor, delta: Tensor, v: Tensor, width: float, dtype: torch.dtype, effort: Effort) -> Tensor:
    """Where ascent of ln h on the sphere by L-BFGS leads the best of v [K, R, n], best first; width, dtype: `force`.

    A step goes to normalise(v + t d), d the direction of the last MEMORY steps, and is taken only if h gains; t is
    shorter after a loss and 1 after a gain. The first step, d = grad h/h - v, is the fixed-point iteration, which alone
    can cycle or stop low. A net's ascent ends when, in one round, none of its values gained more than the tolerance.
    """
    ends = v.new_empty(len(v), min(effort.kept, v.shape[1]), v.shape[2])
    nets = torch.arange(len(v), device=v.device)
    value, slope = force(v, x, delta, width, dtype)
    slope = _tangent(slope * inverse(value), v)
    length, before = torch.ones_like(value), value
    pairs: list[tuple[Tensor, Tensor]] = []
    for count in range(1, effort.steps + 1):
        trial = v + length * _tangent(_direction(slope.to(dtype), pairs), v)
        trial = trial * inverse(torch.linalg.vector_norm(trial, dim=2, keepdim=True))
        trial_value, trial_slope = force(trial, x, delta, width, dtype)
        trial_slope = _tangent(trial_slope * inverse(trial_value), trial)
        gain = trial_value > value
        moved, fall = (torch.where(gain, change, 0.0).to(dtype) for change in (trial - v, slope - trial_slope))
        pairs = [*pairs[1 - MEMORY :], (moved, fall)]
        v, value, slope = (
            torch.where(gain, new, old) for new, old in ((trial, v), (trial_value, value), (trial_slope, slope))
        )
        length = torch.where(gain, 1.0, 0.3 * length)
        if count % effort.round == 0:
            going = (value - before > effort.tolerance * value).any(1)[:, 0]
            if not going.all():
                ends[nets[~going]] = _best(value[~going], effort.kept, v[~going])[0]
                nets, delta, v, value, slope, length = (
                    tensor[going] for tensor in (nets, delta, v, value, slope, length)
                )
                pairs = [(s[going], y[going]) for s, y in pairs]
            if not len(nets):
                break
            kept, flat = max(effort.kept, v.shape[1] // 2), [tensor for pair in pairs for tensor in pair]
            v, value, slope, length, *flat = _best(value, kept, v, value, slope, length, *flat)
            pairs = list(zip(flat[::2], flat[1::2], strict=True))
            before = value
    ends[nets] = _best(value, effort.kept, v)[0]
    return ends


def _tangent(vectors: Tensor, v: Tensor) -> Tensor:
    """Vectors [K, R, n] without their parts along the points v of the sphere."""
    return vectors - (vectors * v).sum(2, keepdim=True) * v


def _direction(slope: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The direction of L-BFGS [K, R, n] for each point by itself (Nocedal 1980), the slope where that would descend.

    `pairs` are steps s and the falls y of the slope along them, oldest first; both zero where no step was taken.
    """
    result, passed = slope, []
    for s, y in reversed(pairs):
        rise = (s * y).sum(2, keepdim=True)
        share = torch.where(rise > CURVED, 1 / rise, 0.0)
        along = share * (s * result).sum(2, keepdim=True)
        result = result - along * y
        passed.append((s, y, share, along))
    if passed:
        s, y, share, _ = passed[0]
        result = result * torch.where(share > 0, inverse(share * y.square().sum(2, keepdim=True)), 1.0)
    for s, y, share, along in reversed(passed):
        result = result + (along - share * (y * result).sum(2, keepdim=True)) * s
    return torch.where((result * slope).sum(2, keepdim=True) > 0, result, slope)


def _best(value: Tensor, kept: int, *tensors: Tensor) -> list[Tensor]:
    """The rows of tensors [K, R, ...] at the `kept` greatest of value [K, R, 1], greatest first."""
    order = value[..., 0].topk(min(value.shape[1], kept)).indices[..., None]
    return [tensor.gather(1, order.expand(-1, -1, tensor.shape[2])) for tensor in tensors]


def force(
    v: Tensor, x: Tensor, delta: Tensor, width: float = 0.0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """h(v) [K, R, 1] and its gradient [K, R, n], float64, relu made a parabola on (-width, width); products in `dtype`.

    delta [K, N, c] are the derivatives e_i/N.
    """
    cells, points, n = v.shape
    rows = min(CHUNK_ROWS, max(64, CHUNK_ELEMENTS // max(points, 1)))
    parts = [(part, d.to(dtype)) for part, d in zip(x.split(rows), delta.split(rows, dim=1), strict=True)]
    narrow = v.to(dtype)
    total = delta.new_zeros(cells, points, delta.shape[2])
    slopes = []
    for inputs, derivative in parts:
        z = torch.bmm(narrow, inputs.to(dtype).T.expand(cells, n, -1))
        if width == 0:
            slope = (z > 0).to(dtype)
            z *= slope
        else:
            slope = (z / (2 * width) + 0.5).clamp_(0, 1)
            z.add_(1 - slope, alpha=width).mul_(slope)
        slopes.append(slope)
        total += torch.bmm(z, derivative)
    size = torch.linalg.vector_norm(total, dim=2, keepdim=True)
    direction = (total * inverse(size)).to(dtype)
    gradient = torch.zeros_like(v)
    for slope, (inputs, derivative) in zip(slopes, parts, strict=True):
        slope.mul_(torch.bmm(direction, derivative.mT))
        gradient += torch.bmm(slope, inputs.to(dtype).expand(cells, -1, n))
    return size, gradient


def settle(v: Tensor, x: Tensor, delta: Tensor) -> Tensor:
    """A local maximum of h near v [n], exact to rounding where it lies at kinks; v itself if h gains nothing.

    x [N, n], delta [N, c]. With A = sum_i 1[v.x_i > 0] delta_i x_i^T, h(v) = ||A v|| as long as no v.x_i changes its
    sign. On the subspace of v.x_i = 0 for the i of a set Z its maximum is the leading right singular vector of A P, P
    the projection on that subspace; those i themselves add nothing to A P. As the sets Z the nearest planes are
    tried, few and many of them, and the best trial that gains is taken, until none does.
    """
    lengths = torch.linalg.vector_norm(x, dim=1)
    seen = lengths > 0
    x, delta, lengths = x[seen].double(), delta[seen], lengths[seen].double()
    value = force(v[None, None], x, delta[None])[0].max()
    for _ in range(SETTLING):
        z = x @ v
        slope = ((z > 0) * delta.T) @ x
        distance, nearest = (z.abs() / lengths).sort()
        counts = torch.cat([torch.searchsorted(distance, distance.new_tensor(NEAR)), torch.arange(FEW + 1)])
        counts = counts[counts < min(len(v), len(x) + 1)].unique()
        trials = torch.stack([_leading(_projected(slope, x[nearest[:count]])) for count in counts])
        trials = torch.where((trials @ v < 0)[:, None], -trials, trials)
        values = force(trials[None], x, delta[None])[0][0, :, 0]
        best = values.argmax()
        if not values[best] > value:
            break
        value, v = values[best], trials[best]
    return v


def _projected(slope: Tensor, planes: Tensor) -> Tensor:
    """The rows of slope [c, n], each projected on the subspace orthogonal to the rows of planes [R, n]."""
    _, s, axes = torch.linalg.svd(planes, full_matrices=False)
    axes = axes[s > 1e-10 * s.sum()]
    return slope - (slope @ axes.T) @ axes


def _leading(matrix: Tensor) -> Tensor:
    """The leading right singular vector [n] of a matrix [c, n]."""
    return torch.linalg.svd(matrix, full_matrices=False).Vh[0]
