"""A bound on the distance from rank two by pairs of samples, where samples decay the weights differently."""

import math

import torch
from torch import Tensor

from ranktwo.analysis.certificates.passes import cell_slices, finite_passes, frobenius, row_norms, samples_of
from ranktwo.nets.losses import Task
from ranktwo.store.columns import REAL, column

COLUMNS = {
    "pair_bound": column(
        REAL,
        "min over samples i, j of ||W + (g_i - g_j)/(c_i - c_j)||, c_i decays: at least d_2; null if all are equal.",
        headline=True,
    ),
}


def pair_certificate(
    weights: list[Tensor],
    x: Tensor,
    targets: Tensor,
    task: Task,
    *,
    decays: Tensor,
    tile: tuple[int, int] = (64, 1024),
    candidates: int = 32,
) -> list[Tensor]:
    """min_{c_i != c_j} ||W + (g_i - g_j)/(c_i - c_j)|| >= d_2(W) for each weight matrix, [K]; nan if all c_i agree.

    The two gradients make a matrix of rank two at most: it holds at any weights. Small near stationarity, because
    W + (g_i - g_j)/(c_i - c_j) = (a_i - a_j)/(c_i - c_j) and ||a_i - a_j|| <= 2 B eps (see `layer_certificates`); the
    single-sample `sample_min` there, for the same decays, bounds d_1.

    All pairs are ranked by the expansion with <g_i, g_j> = (delta_i.delta_j)(x_i.x_j) plus a bound on its rounding
    error, and the first `candidates` of them are then computed explicitly. The result is always a valid bound, and the
    minimum itself unless a pair's difference cancels below 1e-6 of its terms. Cost: N^2 (in + out) per cell.

    decays: c_i [K, N]. tile: how many samples i and j have their pairs ranked together, which fit in a core's cache.
    The rest as for `layer_certificates`.
    """
    weights = [weight.double() for weight in weights]
    x, targets, decays = x.double(), targets.double(), decays.double()
    widest = max(max(weight.shape[1:]) for weight in weights)
    bounds: list[list[Tensor]] = []
    for part in cell_slices(len(decays), max(x.shape[-2] * widest, math.prod(tile))):
        passes = finite_passes(
            [weight[part] for weight in weights], samples_of(x, part), samples_of(targets, part), task
        )
        layers = zip(passes.weights, passes.h, passes.deltas, passes.lengths, strict=True)
        closest = [_closest_pairs(*layer, passes.inner, decays[part], tile, candidates) for layer in layers]
        bounds.append([torch.where(passes.finite, bound, math.nan) for bound in closest])
    return [torch.cat(parts) for parts in zip(*bounds, strict=True)]


def _closest_pairs(
    weight: Tensor,
    h: Tensor,
    delta: Tensor,
    length: Tensor,
    inner: Tensor,
    decay: Tensor,
    tile: tuple[int, int],
    candidates: int,
) -> Tensor:
    """`pair_certificate` of one matrix, [K]; arguments as in `Passes`, decays [K, N]."""
    cells, samples = decay.shape
    size = length * row_norms(delta)  # ||g_i||
    norm = frobenius(weight)[:, None, None]
    rounding = sum(weight.shape[1:]) * torch.finfo(weight.dtype).eps
    best, pairs = weight.new_empty(cells, 0), decay.new_empty(cells, 0, dtype=torch.long)
    tiles = ((top, left) for top in range(0, samples, tile[0]) for left in range(top, samples, tile[1]))
    for top, left in tiles:
        rows, columns = slice(top, top + tile[0]), slice(left, left + tile[1])
        i, j = (slice(None), rows, None), (slice(None), None, columns)
        slope = (decay[i] - decay[j]).reciprocal_()
        allowed = slope.isfinite()  # none of equal decay
        if left < top + tile[0]:
            allowed.triu_(top - left + 1)  # each pair once, i before j
        square = torch.bmm(delta[:, rows], delta[:, columns].mT)
        square.mul_(torch.bmm(h[:, rows], h[:, columns].mT)).mul_(-2).add_(size[i].square() + size[j].square())
        square.mul_(slope).add_(2 * (inner[i] - inner[j])).mul_(slope).add_(norm.square())
        square.add_((size[i] + size[j]).mul_(slope.abs_()).add_(norm).square_(), alpha=rounding)
        width, square = square.shape[2], torch.where(allowed, square, math.inf).flatten(1)
        if best.shape[1] == candidates and not (square.amin(1) < best.amax(1)).any():
            continue
        smallest, places = square.topk(min(candidates, square.shape[1]), dim=1, largest=False)
        first, second = top + places // width, left + places % width
        best, pairs = torch.cat([best, smallest], 1), torch.cat([pairs, first * samples + second], 1)
        best, kept = best.topk(min(candidates, best.shape[1]), dim=1, largest=False)
        pairs = pairs.gather(1, kept)
    closest = torch.full_like(best[:, 0], math.nan)
    for cell in range(cells):
        ends = pairs[cell, best[cell].isfinite()]
        if len(ends):
            ends = torch.stack([ends // samples, ends % samples], dim=1)
            c, scaled = decay[cell, ends], delta[cell, ends]
            scaled = scaled * ((1 / (c[:, :1] - c[:, 1:])) * torch.tensor([1.0, -1.0]).to(c))[..., None]
            closest[cell] = frobenius(torch.baddbmm(weight[cell], scaled.mT, h[cell, ends])).amin()
    return closest
