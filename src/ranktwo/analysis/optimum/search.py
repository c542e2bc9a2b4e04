"""The maximum over the sphere of the dual function h(v) = ||(1/N) sum_i e_i relu(v.x_i)||.

e_i [c] is the derivative dl_i/df of sample i's loss by the outputs, at whatever net is at hand. At the zero net the
maximum is the critical decay; at any net, over the weight decay, it is the dual ratio.

Shapes: K nets on the same inputs x [N, n], derivatives delta [K, N, c], each e_i/N, points v [K, R, n], R for each net.
h is piecewise smooth, with a kink where some v.x_i = 0. Any local search gives a lower bound of its maximum.
A net's numbers do not depend on the nets beside it.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ranktwo.errors import say_without_numba

Climb = Callable[..., tuple[Tensor, Tensor]]
"""`climb.climb`."""

LARGE = 2**21
"""Numbers in x from which on ascents come before the climbs, and searches start from fewer points."""
CHUNK_ROWS, CHUNK_ELEMENTS = 4096, 2**17
"""Most rows of x, and most numbers of a product with it, that are worked on at once: they stay in a core's cache."""
MEMORY, CURVED = 4, 1e-12
"""Steps that an ascent remembers; least s.y of a step s that counts, y the fall of the slope along it."""
LOOK, SWEEPS = 4, 200
"""Sweeps of a climb of every start, before the first ones are given up; most sweeps of a climb."""
TWINS = 0.999
"""Cosine above which two points climb the same peak: of such the highest goes on, as long as there are others."""
POLISHED, POLISHES, EXACT = 4, 1500, 1e-14
"""Ends that are climbed on to rounding, with how many sweeps, and to what relative gain."""


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
    """Points of each net that it goes on with, and ends with."""
    steps: int = 60
    """Most steps of an ascent."""
    round: int = 15
    """Steps after which the worse half of the points is given up, and an ascent that gained nothing ends."""
    tolerance: float = 1e-6
    """Relative gain below which a climb ends, and an ascent in one round. In float32 a gain below 1e-7 is rounding."""
    polished: bool = True
    """Whether the best ends are climbed on to rounding."""


def maximise(x: Tensor, delta: Tensor, v: Tensor, effort: Effort) -> tuple[Tensor, Tensor, Tensor]:
    """max h [K], a v that attains it [K, n], and the last points [K, R', n], from the points v on the sphere.

    In data of less than LARGE numbers, all points climb for LOOK sweeps; then the better half of them goes on, by turns
    of as many sweeps as they have behind them, until `kept` are left, which climb to their ends. Of twins (TWINS) all
    but the highest come last in that choice. In large data, all points ascend in float32, and the worse half of them is
    given up every few steps, down to `kept`. These ascend in float64, and the best climb.
    The value is that of float64 at the v returned.
    """
    climb, x = _climbing(), x.double()
    if climb and x.numel() < LARGE:
        v = _peaks(climb, x, delta, v, effort)
    else:
        for dtype in (torch.float32, torch.float64):
            v = ascend(x.to(dtype), delta.to(dtype), v, effort)
    if climb and effort.polished:
        best = _best(force(v, x, delta)[0], POLISHED, v)[0]
        best, _ = climb(x, delta, best, sweeps=POLISHES if x.numel() < LARGE else SWEEPS, tolerance=EXACT)
        v = torch.cat([best, v], dim=1)
    height, index = force(v, x, delta)[0][..., 0].max(1)
    return height, v[torch.arange(len(v)), index], v


def _peaks(climb: Climb, x: Tensor, delta: Tensor, v: Tensor, effort: Effort) -> Tensor:
    """The ends [K, kept, n] of climbs from points v [K, R, n], the worse half of which is given up turn by turn."""
    done = 0
    while v.shape[1] > effort.kept:
        sweeps = max(LOOK, done)
        v, heights = climb(x, delta, v, sweeps=sweeps, tolerance=effort.tolerance)
        chosen = highest_apart(heights, torch.bmm(v, v.mT) > TWINS, max(effort.kept, v.shape[1] // 2))
        v = v.take_along_dim(chosen[..., None], 1)
        done += sweeps
    return climb(x, delta, v, sweeps=SWEEPS, tolerance=effort.tolerance)[0]


@functools.cache
def _climbing() -> Climb | None:
    """`climb`; None where numba does not work, and then a sentence says so, once."""
    try:
        from ranktwo.analysis.optimum.climb import climb
    except ImportError as error:
        say_without_numba(
            error,
            "the greatest values of the dual function are sought by ascents alone, which kinks stop; critical decays, "
            "dual ratios and gaps may be too small; install a numba that fits",
        )
        return None
    return climb


def highest_apart(heights: Tensor, near: Tensor, count: int) -> Tensor:
    """Which [K, count] of the points at heights [K, S] are the highest, the highest of those not near it, and so on.

    near [K, S, S] or [1, S, S] says which points are near each other. Points near one that was chosen come after all
    others. All are chosen if there are no more than `count`.
    """
    chosen = []
    for order, close in zip(
        heights.argsort(dim=1, descending=True, stable=True), near.expand(len(heights), -1, -1), strict=True
    ):
        first, later, beside = [], [], np.zeros(len(order), dtype=bool)
        rows = close.cpu().numpy()
        for index in order.tolist():
            if beside[index]:
                later.append(index)
                continue
            first.append(index)
            beside |= rows[index]
            if len(first) == count:
                break
        chosen.append((first + later)[:count])
    return torch.tensor(chosen, device=heights.device)


def ascend(x: Tensor, delta: Tensor, v: Tensor, effort: Effort) -> Tensor:
    """Where ascent of ln h on the sphere by L-BFGS leads the best of v [K, R, n], float64, best first.

    Products are taken in the precision of x and delta.

    A step goes to normalise(v + t d), d the direction of the last MEMORY steps, and is taken only if h gains; t is
    shorter after a loss and 1 after a gain. The first step, d = grad h/h - v, is the fixed-point iteration, which alone
    can cycle or stop low. A net's ascent ends when, in one round, none of its values gained more than the tolerance.
    """
    ends = v.new_empty(len(v), min(effort.kept, v.shape[1]), v.shape[2])
    nets = torch.arange(len(v), device=v.device)
    value, slope = force(v, x, delta)
    slope = _tangent(slope * inverse(value), v)
    length, before = torch.ones_like(value), value
    pairs: list[tuple[Tensor, Tensor]] = []
    for count in range(1, effort.steps + 1):
        trial = v + length * _tangent(_direction(slope.to(x.dtype), pairs), v)
        trial = trial * inverse(torch.linalg.vector_norm(trial, dim=2, keepdim=True))
        trial_value, trial_slope = force(trial, x, delta)
        trial_slope = _tangent(trial_slope * inverse(trial_value), trial)
        gain = trial_value > value
        moved, fall = (torch.where(gain, change, 0.0).to(x.dtype) for change in (trial - v, slope - trial_slope))
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
    return [tensor.take_along_dim(order, 1) for tensor in tensors]


def force(v: Tensor, x: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """h(v) [K, R, 1] and its gradient [K, R, n] at v [K, R, n], float64; products in the precision of x and delta.

    delta [K, N, c] are the derivatives e_i/N.
    """
    cells, points, n = v.shape
    rows = min(CHUNK_ROWS, max(64, CHUNK_ELEMENTS // max(points, 1)))
    parts = list(zip(x.split(rows), delta.split(rows, dim=1), strict=True))
    narrow = v.to(x.dtype)
    total = v.new_zeros(cells, points, delta.shape[2])
    slopes = []
    for inputs, derivative in parts:
        z = torch.bmm(narrow, inputs.T.expand(cells, n, -1))
        slope = (z > 0).to(x.dtype)
        z *= slope
        slopes.append(slope)
        total += torch.bmm(z, derivative)
    size = torch.linalg.vector_norm(total, dim=2, keepdim=True)
    direction = (total * inverse(size)).to(x.dtype)
    gradient = torch.zeros_like(v)
    for slope, (inputs, derivative) in zip(slopes, parts, strict=True):
        slope.mul_(torch.bmm(direction, derivative.mT))
        gradient += torch.bmm(slope, inputs.expand(cells, -1, n))
    return size, gradient
