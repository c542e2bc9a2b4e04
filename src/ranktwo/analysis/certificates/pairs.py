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
    tile: tuple[int, int] = (128, 1024),
    candidates: int = 32,
) -> list[Tensor]:
    """min_{c_i != c_j} ||W + (g_i - g_j)/(c_i - c_j)|| >= d_2(W) for each weight matrix, [K]; nan if all c_i agree.

    The two gradients make a matrix of rank two at most: it holds at any weights. Small near stationarity, because
    W + (g_i - g_j)/(c_i - c_j) = (a_i - a_j)/(c_i - c_j) and ||a_i - a_j|| <= 2 B eps (see `layer_certificates`); the
    single-sample `sample_min` there, for the same decays, bounds d_1.

    With a_i = g_i + c_i W a pair's number is ||a_i - a_j||/|c_i - c_j|. A few coordinates of each a_i bound it from
    below (`_coordinates`), and tiles of pairs none of which can be among the first `candidates` by that bound are left
    out. Pairs in the others are ranked by the expansion with <g_i, g_j> = (delta_i.delta_j)(x_i.x_j) plus a bound on
    its rounding error, and the first `candidates` of them are then computed explicitly. The result is always a valid
    bound, and the minimum itself unless a pair's difference cancels below 1e-6 of its terms. Cost: N^2 (in + out) per
    cell where no tile is left out; as a rule nearly all are, and it is N^2 times the few coordinates.

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
    # By decay: as a rule the closest pairs are of the greatest and the least, in the first tile.
    decay, order = decay.sort(dim=1, descending=True)
    h, delta = h.take_along_dim(order[..., None], 1), delta.take_along_dim(order[..., None], 1)
    inner, size = inner.gather(1, order), length.gather(1, order) * row_norms(delta)  # <g_i, W>, ||g_i||
    norm = frobenius(weight)[:, None, None]
    # A few samples are ranked sooner than ruled out.
    points = _coordinates(h, delta, inner, size, decay, norm[:, 0]) if samples > tile[1] else None
    rounding = sum(weight.shape[1:]) * torch.finfo(weight.dtype).eps
    best, pairs = weight.new_full((cells, candidates), math.inf), decay.new_zeros(cells, candidates, dtype=torch.long)
    tiles = ((top, left) for top in range(0, samples, tile[0]) for left in reversed(range(top, samples, tile[1])))
    for top, left in tiles:
        rows, columns = slice(top, top + tile[0]), slice(left, left + tile[1])
        if points is not None and not _may_be_below(best.amax(1), points[:, rows], points[:, columns], top - left):
            continue
        i, j = (slice(None), rows, None), (slice(None), None, columns)
        slope = (decay[i] - decay[j]).reciprocal_()
        allowed = slope.isfinite().triu_(top - left + 1)  # none of equal decay, and each pair once, i before j
        square = torch.bmm(delta[:, rows], delta[:, columns].mT)
        square.mul_(torch.bmm(h[:, rows], h[:, columns].mT)).mul_(-2).add_(size[i].square() + size[j].square())
        square.mul_(slope).add_(2 * (inner[i] - inner[j])).mul_(slope).add_(norm.square())
        square.add_((size[i] + size[j]).mul_(slope.abs_()).add_(norm).square_(), alpha=rounding)
        width, square = square.shape[2], torch.where(allowed, square, math.inf).flatten(1)
        if not (square.amin(1) < best.amax(1)).any():
            continue
        smallest, places = square.topk(min(candidates, square.shape[1]), dim=1, largest=False)
        first, second = top + places // width, left + places % width
        best, kept = torch.cat([best, smallest], 1).topk(candidates, dim=1, largest=False)
        pairs = torch.cat([pairs, first * samples + second], 1).gather(1, kept)
    closest = torch.full_like(best[:, 0], math.nan)
    for cell in range(cells):
        ends = pairs[cell, best[cell].isfinite()]
        if len(ends):
            ends = torch.stack([ends // samples, ends % samples], dim=1)
            c, scaled = decay[cell, ends], delta[cell, ends]
            scaled = scaled * ((1 / (c[:, :1] - c[:, 1:])) * torch.tensor([1.0, -1.0]).to(c))[..., None]
            closest[cell] = frobenius(torch.baddbmm(weight[cell], scaled.mT, h[cell, ends])).amin()
    return closest


def _coordinates(
    h: Tensor, delta: Tensor, inner: Tensor, size: Tensor, decay: Tensor, norm: Tensor, seen: int = 128, kept: int = 16
) -> Tensor:
    """Points p_i with ||p_i - p_j|| <= ||a_i - a_j||, and after each its c_i: [K, N, kept + 3] at most.

    They are the coordinates of a_i along W and along the first principal directions of some gradients (of `seen`, each
    without its part along W), and last the length of what remains of a_i: lengths differ by no more than vectors do.
    norm: ||W|| [K, 1]; the others as in `_closest_pairs`.
    """
    along = inner / torch.where(norm > 0, norm, math.inf)  # of g_i
    some = torch.linspace(0, h.shape[1] - 1, min(seen, h.shape[1])).long()
    products = torch.bmm(delta, delta[:, some].mT).mul_(torch.bmm(h, h[:, some].mT))
    products -= along[..., None] * along[:, None, some]
    values, vectors = (part[..., -kept:] for part in torch.linalg.eigh(products[:, some]))
    # A direction of rounding is none.
    scale = torch.where(values > 1e-4 * values[:, -1:], values, math.inf).rsqrt()
    others = torch.bmm(products, vectors * scale[:, None])
    rest = (size.square() - along.square() - others.square().sum(2)).clamp_min(0).sqrt()
    return torch.cat([(along + decay * norm)[..., None], others, rest[..., None], decay[..., None]], 2)


def _may_be_below(square: Tensor, p: Tensor, q: Tensor, diagonal: int) -> bool:
    """Whether ||p_i - q_j||^2 < square (c_i - c_j)^2 for a pair of `_coordinates` above the diagonal, in any cell."""
    if square.isinf().any():
        return True
    signs = torch.ones_like(p[:, :1])
    signs[:, 0, -1] = -square
    # The difference of the two sides is a product of two vectors.
    own, other = ((part.square() * signs).sum(2, keepdim=True) for part in (p, q))
    left = torch.cat([-2 * signs * p, own, torch.ones_like(own)], 2)
    right = torch.cat([q, torch.ones_like(other), other], 2)
    return bool(torch.bmm(left, right.mT).triu_(diagonal + 1).amin() < 0)
