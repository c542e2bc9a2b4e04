"""How far a weight matrix can be from rank one or two: bounds that hold at any weights, trained or not.

Shapes: K cells, N samples, a weight matrix W [K, out, in] with its own inputs x_i [in] and derivatives delta_i [out] by
its pre-activations. The gradient of sample i is g_i = delta_i x_i^T, of rank one at most; c_i >= 0 is its weight decay
in torch's convention (c_i W is added to the gradient), c_i = mu unless the decay depends on the data. Throughout
a_i = g_i + c_i W; G_S is the mean of a_i over a batch S, G over all samples; q = min(out, in); s_1 >= ... >= s_q are
singular values, d_r = sqrt(sum_{i>r} s_i^2) is the distance to the nearest matrix of rank r (Eckart & Young), ||.|| the
Frobenius norm. Everything is float64 and exact, up to rounding, for every dense layer of a net of any depth; no g_i is
stored. Undefined numbers are nan here and `null_reason` says why.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow
import torch
from torch import Tensor

from ranktwo import datasets, engine, files, nets, provenance
from ranktwo.columns import AXIS_COLUMNS, schema
from ranktwo.critical import critical_decay, inverse
from ranktwo.errors import run
from ranktwo.nets import Task, deltas
from ranktwo.progress import Meter, Progress
from ranktwo.records import Record, load_data, load_records, stage_parser, training_data

NEEDS_SMALLER_BATCH = frozenset({"bound_lower", "bound_upper", "vacuity_lower", "vacuity_upper"})
NEEDS_DECAY = NEEDS_SMALLER_BATCH | {
    "sample_min",
    "sample_max",
    "weyl_slack",
    "weyl_gap",
    "weyl_tightness",
    "mean_residual_1",
    "mean_residual_2",
}
CHUNK_ELEMENTS = 2**18  # activations of one layer worked on at once: more of them would leave the cache
frobenius = torch.linalg.matrix_norm


def certificates(
    weights: list[Tensor],
    x: Tensor,
    targets: Tensor,
    task: Task,
    *,
    weight_decay: Tensor,
    batch_size: int,
    ascent_steps: int = 2,
    input_floor: Tensor | None = None,
    meter: Meter | None = None,
) -> list[dict[str, Tensor]]:
    """For each weight matrix, input side first, a dict of [K] float64 tensors, under the names in quotes.

    The chain, with eps = sup of ||G_S|| over all batches S of B *different* samples and B < N:

        d_2 <= d_1 <= min_i ||W + g_i/mu|| <= max_i ||W + g_i/mu|| <= (2B - 1) eps / mu

    Proof. -g_i/mu has rank one at most: the second step. Batches that differ in one sample exist as B < N and give
    ||a_i - a_j|| = B ||G_S - G_S'|| <= 2 B eps. With i in S, a_i = G_S + (1/B) sum_{j in S, j != i} (a_i - a_j), so
    mu ||W + g_i/mu|| = ||a_i|| <= eps + (B-1)/B * 2 B eps = (2B - 1) eps: the last step. No smaller constant will do
    (equality: all a_j but one are the same vector of length eps, a_i is -(2B - 1) times it). Where it fails: with
    B = N there is one batch, eps = ||G|| does not bound ||a_i||, and the bound is null; if only some batches count
    (say the disjoint ones of one epoch), likewise. Batches drawn with replacement include i, ..., i: then
    eps = max_i ||a_i|| and the factor is 1.

    Reversed, max_i ||a_i|| / (2B - 1) <= eps <= max_i ||a_i||, and ||G|| <= eps as G is the mean of G_S over all S.

    "norm" ||W||; "d_1", "d_2" absolute; "sample_min", "sample_max" the two middle members.
    "eps_batch" the largest ||G_S|| met in the batch most aligned with the largest a_i, in `ascent_steps` of ascent from
    it (S' = the B samples of largest <a_i, G_S> has ||G_S'|| >= ||G_S||), and in as many from the batch most opposed to
    that: on small problems 0.8 to 1 of the supremum. In no trained net yet has a random batch had a larger one.
    "eps_lower" the largest of it and the two lower ends above; "eps_upper" = max_i ||a_i||; with B = N all three are
    ||G||.
    "bound_lower", "bound_upper" (2B - 1) eps / mu with either end, "vacuity_lower", "vacuity_upper" the same over
    ||W||: from 1 on the bound says nothing. The bound of Chen, Yi, Yang (arXiv 2410.02176) lies between the two ends.
    (2B - 1) eps_batch / mu may be below sample_max; both ends here never are.
    "data_floor" see `data_floor`: at most sample_max/||W||, so at most vacuity_lower; nan but for the first matrix, as
    the inputs of the others are what training makes them.
    "gradient_norm" ||G||. "weyl_slack" ||G||_2/mu bounds "weyl_gap" max_i |s_i(W) - s_i(gbar)/mu|, gbar the mean of
    g_i (Weyl for W and -gbar/mu, whose difference is G/mu); "weyl_tightness" is gap/slack, at most 1 until the gap is
    rounding only, about 1e-15 s_1. "mean_residual_1", "mean_residual_2": d_r(gbar)/mu + ||G||/mu >= d_r(W), because
    d_r, a Frobenius distance to a set, changes by no more than its argument moves in that norm. The spectral norm of G
    would not do (gbar = 0, W = I: d_1 = sqrt(q - 1), above 1 for q > 2).
    "dead_fraction" of the matrix's own hidden units, those whose output is 0 on every sample; null for the last matrix.
    "directions" see `distinct_directions`.

    Decay that depends on the data: weight_decay [K, N] holds c_i. The chain is then, by the same proof,
    d_1 <= min_i ||W + g_i/c_i|| <= (2B - 1) eps / max_i c_i (so that near-stationarity makes W rank *one* here too,
    whenever the decay of a batch is the mean of its samples' c_i), max_i ||W + g_i/c_i|| <= (2B - 1) eps / min_i c_i,
    minima and maxima over c_i > 0; gbar, G and mu of the last group are means.

    weights: [K, out, in] each; x [N, n] or [K, N, n]; targets as in `nets`; weight_decay [K] or [K, N], >= 0;
    input_floor `data_floor(x)` if known; meter counts the cells that are done.
    """
    weights = [weight.double() for weight in weights]
    cells, samples = weights[0].shape[0], x.shape[-2]
    if not 1 <= batch_size <= samples:
        raise ValueError(f"batch_size {batch_size} is not between 1 and the {samples} samples")
    x, targets = x.double(), targets.double()
    decay = weight_decay.double().reshape(cells, -1).expand(cells, samples)
    floor = data_floor(x) if input_floor is None else input_floor

    rows: list[list[dict[str, Tensor]]] = []
    for part in _slices(cells, samples * max(max(weight.shape[1:]) for weight in weights)):
        passes = _finite_passes([weight[part] for weight in weights], _cut(x, part), _cut(targets, part), task)
        rows.append([])
        for layer in range(len(weights)):
            row = _sample_columns(passes, layer, decay[part], batch_size, ascent_steps)
            row["dead_fraction"] = torch.full_like(row["eps_batch"], math.nan)
            if layer + 1 < len(weights):
                row["dead_fraction"] = (passes.h[layer + 1].sum(1) == 0).double().mean(1)
            rows[-1].append(row | {"finite": passes.finite})
        if meter:
            meter.add(len(passes.finite))
    columns = []
    for layer, (weight, parts) in enumerate(zip(weights, zip(*rows, strict=True), strict=True)):
        found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        finite = found.pop("finite")
        column = _columns(_or_zero(weight, finite), decay, batch_size, **found)
        column["data_floor"] = torch.full_like(column["norm"], math.nan) if layer else floor.expand(cells)
        column["directions"] = distinct_directions(weight)
        columns.append({name: torch.where(finite, value, math.nan) for name, value in column.items()})
    return columns


def null_reason(
    column: str, *, norm: float, weight_decay: float, batch_size: int, samples: int, first: bool, last: bool
) -> str | None:
    """Why a nan in `column` of `certificates` is undefined; `norm` is that row's own, weight_decay the mean decay."""
    if not math.isfinite(norm):
        return "the weights or the gradients are not finite"
    if column in NEEDS_DECAY and weight_decay == 0:
        return "weight decay is zero and the bound divides by it"
    if column in NEEDS_SMALLER_BATCH and batch_size == samples:
        return "the batch is the whole training set: no two batches differ in one sample"
    if column == "data_floor" and not first:
        return "the matrix's inputs are not the data"
    if column == "dead_fraction" and last:
        return "the last matrix has no hidden units"
    if norm == 0:
        return "the weight matrix is zero"
    if column == "weyl_tightness":
        return "the mean gradient with decay is exactly zero"
    return None


def _slices(cells: int, elements: int) -> list[slice]:
    """The cells in parts: in a tensor of `elements` numbers for each, a part's stay in the cache."""
    count = max(1, CHUNK_ELEMENTS // elements)
    return [slice(start, start + count) for start in range(0, cells, count)]


def _cut(samples: Tensor, part: slice) -> Tensor:
    """The part of inputs or targets [K, N, ...] that these cells have, or all [N, ...] that every cell has."""
    return samples if samples.ndim == 2 else samples[part]


class _Passes(NamedTuple):
    """What a forward and a backward pass leave of K nets, in lists by layer."""

    weights: list[Tensor]
    h: list[Tensor]
    """Inputs of each matrix, [K, N, in]."""
    images: list[Tensor]
    """W h, [K, N, out]."""
    deltas: list[Tensor]
    """Derivatives by them, [K, N, out]."""
    lengths: list[Tensor]
    """||h_i||, [K, N]."""
    inner: Tensor
    """<g_i, W>, [K, N], the same for every matrix of a net: relu(z) is z relu'(z), so each layer hands on delta.z."""
    finite: Tensor
    """bool [K]: whether a cell's gradients can be squared. One whose gradients can not is run as zero."""


def _finite_passes(weights: list[Tensor], x: Tensor, targets: Tensor, task: Task) -> _Passes:
    passes = _passes(weights, x, targets, task)
    finite = passes.finite
    if not finite.all():
        # The factorisations raise on nan and inf, and one diverged cell must not cost the others their rows.
        passes = _passes([_or_zero(weight, finite) for weight in weights], x, targets, task)
    return passes._replace(finite=finite)


def _passes(weights: list[Tensor], x: Tensor, targets: Tensor, task: Task) -> _Passes:
    activations, images = [x.expand(len(weights[0]), *x.shape[-2:])], []
    for weight in weights:
        images.append(nets.linear(activations[-1], weight))
        activations.append(images[-1].relu())
    activations[-1] = images[-1]
    derivatives = deltas(weights, activations, targets, task)
    lengths = [_row_norms(x).expand(len(weights[0]), -1), *(_row_norms(h) for h in activations[1:-1])]
    size = sum(frobenius(weight).square() for weight in weights)
    for length, delta in zip(lengths, derivatives, strict=True):
        size = size + (_row_norms(length) * frobenius(delta)).square()
    inner = torch.linalg.vecdot(derivatives[-1], images[-1])
    return _Passes(weights, activations[:-1], images, derivatives, lengths, inner, size.isfinite())


def _or_zero(weight: Tensor, finite: Tensor) -> Tensor:
    return weight if finite.all() else torch.where(finite[:, None, None], weight, 0.0)


def _sample_columns(
    passes: _Passes, layer: int, decay: Tensor, batch_size: int, ascent_steps: int
) -> dict[str, Tensor]:
    """What `_columns` needs to know of the samples of one matrix, by the names of its arguments."""
    weight, h, image, delta = (of[layer] for of in (passes.weights, passes.h, passes.images, passes.deltas))
    norms = sample_norms(weight, h, image, delta, decay, passes.lengths[layer])
    eps_batch = torch.full_like(norms[:, 0], math.nan)
    if batch_size < h.shape[1]:
        eps_batch = _largest_batch(weight, h, delta, decay, passes.inner, norms.argmax(1), batch_size, ascent_steps)
    return {"norms": norms, "mean_gradient": torch.bmm(delta.transpose(1, 2), h) / h.shape[1], "eps_batch": eps_batch}


def _columns(
    weight: Tensor,
    decay: Tensor,
    batch_size: int,
    *,
    norms: Tensor,
    mean_gradient: Tensor,
    eps_batch: Tensor,
    dead_fraction: Tensor,
) -> dict[str, Tensor]:
    """Columns of `certificates` from W and gbar [K, out, in], c_i and ||a_i|| [K, N]."""
    singular = torch.linalg.svdvals(_tall(weight))
    norm = frobenius(weight)
    mu = torch.where(decay.mean(1) > 0, decay.mean(1), math.nan)
    decayed = decay > 0
    distance = norms / torch.where(decayed, decay, math.nan)
    nothing = mu.isnan()

    gradient = mean_gradient + decay.mean(1)[:, None, None] * weight
    gradient_norm = frobenius(gradient)
    mean_singular = torch.linalg.svdvals(_tall(mean_gradient))
    slack = _spectral_norm(gradient) / mu
    gap = (singular - mean_singular / mu[:, None]).abs().amax(1)

    if batch_size < norms.shape[1]:
        eps_upper = norms.amax(1)
        eps_lower = torch.stack([eps_batch, gradient_norm, eps_upper / (2 * batch_size - 1)]).amax(0)
        factor = (2 * batch_size - 1) / torch.where(nothing, math.nan, decay.amax(1))
    else:
        eps_batch = eps_lower = eps_upper = gradient_norm
        factor = torch.full_like(norm, math.nan)

    row = {
        "norm": norm,
        "d_1": _residual(singular, 1),
        "d_2": _residual(singular, 2),
        "sample_min": torch.where(decayed, distance, math.inf).amin(1).where(~nothing, math.nan),
        "sample_max": torch.where(decayed, distance, -math.inf).amax(1).where(~nothing, math.nan),
        "eps_batch": eps_batch,
        "eps_lower": eps_lower,
        "eps_upper": eps_upper,
        "bound_lower": factor * eps_lower,
        "bound_upper": factor * eps_upper,
        "gradient_norm": gradient_norm,
        "weyl_slack": slack,
        "weyl_gap": gap,
        "weyl_tightness": torch.where(slack > 0, gap / slack, math.nan),
        "mean_residual_1": (_residual(mean_singular, 1) + gradient_norm) / mu,
        "mean_residual_2": (_residual(mean_singular, 2) + gradient_norm) / mu,
        "dead_fraction": dead_fraction,
    }
    nonzero = torch.where(norm > 0, norm, math.nan)
    return row | {f"vacuity_{end}": row[f"bound_{end}"] / nonzero for end in ("lower", "upper")}


def _tall(matrix: Tensor) -> Tensor:
    """M or its transpose, whichever has more rows: of those LAPACK finds the same singular values faster."""
    return matrix if matrix.shape[1] >= matrix.shape[2] else matrix.transpose(1, 2)


def _nearly_leading(weight: Tensor) -> Tensor:
    """A unit vector v [K, in] with ||W - W v v^T|| <= sqrt(2m + 1) d_1(W), W of m rows; 0 for W = 0.

    v is W^T W w / ||W^T W w||, w the longest row, whose length is at least ||W||/sqrt(m). If d_1 >= s_1/sqrt(2m) any v
    does, as ||W||^2 = s_1^2 + d_1^2. Else w has at least s_1/sqrt(2m) along the leading singular vector and at most d_1
    across, a ratio that W^T W reduces by (s_2/s_1)^2 < 1/(2m), to less than d_1/s_1.
    """
    v = _unit(weight[torch.arange(len(weight)), _row_norms(weight).argmax(1)])
    u = _unit(torch.bmm(weight, v[..., None])[..., 0])  # a length in between: collapsed weights cubed could underflow
    return _unit(torch.bmm(u[:, None], weight)[:, 0])


def _unit(rows: Tensor) -> Tensor:
    """Each last-axis row over its length; 0 for 0."""
    return rows * inverse(_row_norms(rows))[..., None]


def _residual(singular: Tensor, rank: int) -> Tensor:
    """d_r, [K], from singular values [K, q], largest first."""
    return torch.linalg.vector_norm(singular[:, rank:], dim=1)


def _spectral_norm(matrix: Tensor) -> Tensor:
    """||M||_2, [K]: the root of the largest eigenvalue of the smaller Gram matrix, which loses digits only below it."""
    wide = _tall(matrix).transpose(1, 2)
    scale = wide.abs().amax((1, 2)).clamp_min(torch.finfo(wide.dtype).tiny)
    wide = wide / scale[:, None, None]  # squares of a nearly stationary gradient could underflow
    return scale * torch.linalg.eigvalsh(torch.bmm(wide, wide.transpose(1, 2)))[:, -1].clamp_min(0).sqrt()


def sample_norms(weight: Tensor, h: Tensor, image: Tensor, delta: Tensor, decay: Tensor, length: Tensor) -> Tensor:
    """||g_i + c_i W||, [K, N], to rounding of ||g_i|| + c_i ||W||, though it may be far smaller than either.

    The textbook expansion c^2 ||W||^2 + 2 c <g_i, W> + ||g_i||^2 subtracts squares and loses half the digits where W
    nearly cancels g_i/c. Instead split the rows along xhat = x_i/||x_i|| (0 for x_i = 0) and across it, by
    P = I - xhat xhat^T:

        ||g_i + c W||^2 = ||c W xhat + ||x_i|| delta_i||^2 + c^2 ||W P||^2

    The first term subtracts vectors, not squares. For the second take any unit vector v, w = W v, R = W - w v^T and
    z = R^T w; as R v = 0 and z.v = 0,

        ||W P||^2 = ||w||^2 ||v - (v.xhat) xhat||^2 - 2 (v.xhat) (z.xhat) + ||R||^2 - ||W xhat - (v.xhat) w||^2

    which is at least d_1^2 (Eckart & Young). Subtracting costs nothing where ||R|| is of that size: near the leading
    right singular vector, see `_nearly_leading`. There z is small, and rounding in it, of size s_1^2, counts by
    z.(xhat - (v.xhat) v) only, as much as rounding of s_1 in ||W P||.

    weight [K, out, in], h [K, N, in], image W x_i [K, N, out], delta [K, N, out], decay [K, N], length ||x_i|| [K, N].
    """
    scale = inverse(length)
    v = _nearly_leading(weight)
    w = torch.bmm(weight, v[..., None])  # [K, out, 1]
    rest = torch.baddbmm(weight, w, v[:, None], alpha=-1)
    z = torch.bmm(w.transpose(1, 2), rest)[:, 0]
    z = z - torch.linalg.vecdot(z, v)[:, None] * v
    # c W xhat + ||x_i|| delta_i = ||x_i|| (delta_i + c/||x_i||^2 W x_i): one pass over [K, N, out].
    share = (decay * scale * scale).clamp_max_(torch.finfo(delta.dtype).max)
    along_square = (length * _row_norms(torch.addcmul(delta, image, share[..., None]))).square()
    cosine, sine_square = _direction(h, scale, v)
    turn = _along(h, z) * scale
    rest_image = (image * scale[..., None]).baddbmm_(cosine[..., None], w.transpose(1, 2), alpha=-1)
    rest_square = frobenius(rest).square()[:, None] - _row_norms(rest_image).square()
    across_square = w.square().sum(1) * sine_square - 2 * cosine * turn + rest_square
    return (along_square + decay.square() * across_square.clamp_min_(0)).sqrt()


def _along(h: Tensor, v: Tensor) -> Tensor:
    """h_i.v, [K, N], of h [K, N, in] and v [K, in]."""
    return torch.bmm(v[:, None], h.transpose(1, 2))[:, 0]  # h v^T, with a single column, takes five times as long


def _direction(h: Tensor, scale: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of the rows of h [K, N, in] with unit vectors v [K, in], and the squared sines, [K, N] each.

    `scale` [K, N] is 1/||h_i||, or 0 where h_i = 0, whose cosine is 0. The sine is 1 - cosine^2 where that loses fewer
    than two of sixteen digits, and ||v - (v.xhat) xhat|| where it would lose more.
    """
    cosine = _along(h, unit) * scale
    square = 1 - cosine.square()
    cell, sample = (square < 1e-2).nonzero(as_tuple=True)
    if len(cell):
        rest = unit[cell] - (cosine * scale)[cell, sample, None] * h[cell, sample]
        square[cell, sample] = _row_norms(rest).square()
    return cosine, square


def _row_norms(rows: Tensor) -> Tensor:
    """Length of each last-axis row."""
    return torch.linalg.vector_norm(rows, dim=-1)


def _largest_batch(
    weight: Tensor,
    h: Tensor,
    delta: Tensor,
    decay: Tensor,
    inner: Tensor,
    extreme: Tensor,
    batch_size: int,
    ascent_steps: int,
) -> Tensor:
    """The largest ||G_S||, [K], of batches built around sample `extreme` [K] and against it, with an ascent from each.

    Each is the norm of the batch gradient itself, not of its Gram expansion, which near stationarity would lose digits.
    Which samples are tried is another matter: any B of them give a lower bound.
    """
    cells = torch.arange(len(weight), device=h.device)[:, None]
    square = frobenius(weight).square()

    def batch_gradient(batch: Tensor) -> Tensor:
        part, inputs = delta[cells, batch], h[cells, batch]
        shrink = decay.gather(1, batch).mean(1)[:, None, None]
        return torch.baddbmm(shrink * weight, part.transpose(1, 2), inputs, alpha=1 / batch.shape[1])

    def aligned(batch: Tensor, sign: int = 1) -> Tensor:
        """The B samples of largest <a_i, G_S>, or of smallest if the sign is -1."""
        if batch.shape[1] * sum(weight.shape[1:]) < math.prod(weight.shape[1:]):
            # <g_i, g_j> = (delta_i.delta_j)(x_i.x_j) takes fewer products than the gradient itself.
            mean = decay.gather(1, batch).mean(1, keepdim=True)
            score = torch.bmm(delta[cells, batch], delta.transpose(1, 2))
            score = torch.linalg.vecdot(score, torch.bmm(h[cells, batch], h.transpose(1, 2)), dim=1) / batch.shape[1]
            score += mean * inner + decay * (inner.gather(1, batch).mean(1) + mean[:, 0] * square)[:, None]
        else:
            gradient = batch_gradient(batch)
            score = torch.linalg.vecdot(torch.bmm(h, gradient.transpose(1, 2)), delta)
            score += decay * (weight * gradient).sum((1, 2))[:, None]
        return (sign * score).topk(batch_size, dim=1).indices

    def ascend(batch: Tensor) -> tuple[Tensor, Tensor]:
        """The best batch [K, B] on the way up from one, and its norm [K]."""
        norm = frobenius(batch_gradient(batch))
        for _ in range(ascent_steps):
            tried = aligned(batch)
            larger = frobenius(batch_gradient(tried))
            batch = torch.where((larger > norm)[:, None], tried, batch)
            norm = torch.maximum(norm, larger)
        return batch, norm

    best, norm = ascend(aligned(extreme[:, None]))
    return torch.maximum(norm, ascend(aligned(best, sign=-1))[1])


def data_floor(x: Tensor) -> Tensor:
    """sqrt(1 - lambda_max((1/N) sum_i xhat_i xhat_i^T)), xhat_i = x_i/||x_i||, [K]: the normalised inputs' own relative
    distance from rank one. Exactly 1 if some x_i = 0.

    For every W and mu > 0, max_i ||W + g_i/mu|| / ||W|| >= floor, so no training pushes the paper's bound under it.
    Proof. g_i has rows along xhat_i, so ||W + g_i/mu||^2 >= ||W (I - xhat_i xhat_i^T)||^2 = ||W||^2 - ||W xhat_i||^2.
    The maximum is at least the mean over i: ||W||^2 - tr(W C W^T) >= (1 - lambda_max(C)) ||W||^2, C as above.
    A sample with x_i = 0 has g_i = 0, so its own term is ||W||: the maximum is then at least ||W||.

    x: [N, n], which gives [1], or [K, N, n]. For the first matrix this is a number of the data set alone.
    """
    x = x.double().reshape(-1, *x.shape[-2:])
    length = torch.linalg.vector_norm(x, dim=2)
    scale = inverse(length)
    unit = x * scale[..., None]
    best = torch.linalg.eigh(torch.bmm(unit.transpose(1, 2), unit)).eigenvectors[..., -1]
    # By the residual of the best direction, not by 1 - lambda: nearly equal inputs would leave only rounding.
    floor = _direction(x, scale, best)[1].mean(1).sqrt()
    return torch.where((length == 0).any(1), 1.0, floor)


def distinct_directions(weight: Tensor, *, cosine: float = 0.99, relative_norm: float = 1e-3) -> Tensor:
    """How many directions the rows w_j (the neurons' input weights) point in, [K]; null where W = 0.

    Rows of at most `relative_norm` times the longest are left out. From the longest row down, a row opens a new
    direction unless its cosine with a row that opened one before exceeds `cosine`; the sign counts, as
    relu(-z) is not -relu(z). (Leaders, not connected components: a chain of small turns is not one direction.)
    """
    norms, order = _row_norms(weight).sort(dim=1, descending=True, stable=True)
    unit = weight[torch.arange(len(weight))[:, None], order] * inverse(norms)[..., None]
    near = (torch.bmm(unit, unit.transpose(1, 2)) > cosine).cpu().numpy()
    left_out = (norms <= relative_norm * norms[:, :1]).cpu().numpy()
    # Sets of rows as bits of an integer.
    rows, claimed = (np.packbits(sets, axis=-1, bitorder="little") for sets in (near, left_out))
    counts = []
    for cell_rows, cell_claimed in zip(rows, claimed, strict=True):
        count, taken = 0, int.from_bytes(cell_claimed, "little")
        for number, like_it in enumerate(cell_rows):
            if not taken >> number & 1:
                count, taken = count + 1, taken | int.from_bytes(like_it, "little")
        counts.append(count or math.nan)
    return torch.tensor(counts, dtype=weight.dtype, device=weight.device)


def pair_certificate(
    weights: list[Tensor],
    x: Tensor,
    targets: Tensor,
    task: Task,
    *,
    decays: Tensor,
    block: int = 64,
    candidates: int = 32,
) -> list[Tensor]:
    """min_{c_i != c_j} ||W + (g_i - g_j)/(c_i - c_j)|| >= d_2(W) for each weight matrix, [K]; null if all c_i agree.

    The two gradients make a matrix of rank two at most: it holds at any weights. Small near stationarity, because
    W + (g_i - g_j)/(c_i - c_j) = (a_i - a_j)/(c_i - c_j) and ||a_i - a_j|| <= 2 B eps (see `certificates`); the
    single-sample `sample_min` there, for the same decays, bounds d_1.

    All pairs are ranked by the expansion with <g_i, g_j> = (delta_i.delta_j)(x_i.x_j) plus a bound on its rounding
    error, and the `candidates` first are then computed explicitly. The result is always a valid bound, and the
    minimum itself unless a pair's difference cancels below 1e-6 of its terms. Cost: N^2 (in + out) per cell.

    decays: c_i [K, N]; the rest as for `certificates`.
    """
    weights = [weight.double() for weight in weights]
    x, targets, decays = x.double(), targets.double(), decays.double()
    widest = max(max(weight.shape[1:]) for weight in weights)
    found: list[list[Tensor]] = []
    for part in _slices(len(decays), x.shape[-2] * max(widest, block)):
        passes = _finite_passes([weight[part] for weight in weights], _cut(x, part), _cut(targets, part), task)
        layers = zip(passes.weights, passes.h, passes.deltas, passes.lengths, strict=True)
        closest = [_closest_pairs(*layer, passes.inner, decays[part], block, candidates) for layer in layers]
        found.append([torch.where(passes.finite, bound, math.nan) for bound in closest])
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


def _closest_pairs(
    weight: Tensor, h: Tensor, delta: Tensor, length: Tensor, inner: Tensor, decay: Tensor, block: int, candidates: int
) -> Tensor:
    """`pair_certificate` of one matrix, [K]; arguments as in `_Passes`, decays [K, N]."""
    cells, samples = decay.shape
    size = length * _row_norms(delta)  # ||g_i||
    norm = frobenius(weight)[:, None, None]
    rounding = sum(weight.shape[1:]) * torch.finfo(weight.dtype).eps
    best, pairs = weight.new_empty(cells, 0), decay.new_empty(cells, 0, dtype=torch.long)
    index = torch.arange(samples, device=decay.device)
    for start in range(0, samples, block):  # of rows, with themselves and all later ones: each pair once
        i, j = (slice(None), slice(start, start + block), None), (slice(None), None, slice(start, None))
        slope = 1 / (decay[i] - decay[j])
        wanted = slope.isfinite() & (index[j[1:]] > index[i[1:]])  # none of equal decay
        gram = torch.bmm(delta[i[:2]], delta[:, start:].mT) * torch.bmm(h[i[:2]], h[:, start:].mT)
        square = size[i].square() + size[j].square() - 2 * gram
        square = norm.square() + slope * (2 * (inner[i] - inner[j]) + slope * square)
        square = square + rounding * (norm + slope.abs() * (size[i] + size[j])).square()
        square = torch.where(wanted, square, math.inf).flatten(1)
        found, places = square.topk(min(candidates, square.shape[1]), dim=1, largest=False)
        row, other = places // (samples - start), places % (samples - start)
        best, pairs = torch.cat([best, found], 1), torch.cat([pairs, (start + row) * samples + start + other], 1)
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


def trajectory_bound(
    norms: Tensor, steps: list[int], *, learning_rates: Tensor, weight_decay: Tensor, batch_size: int, max_rank: int
) -> dict[str, Tensor]:
    """What the steps before each snapshot T say about its rank; a dict of [K, S] float64 tensors, nan where nothing.

    A step of plain SGD is V <- (1 - eta mu) V - eta (mean of B matrices of rank one), so from any earlier t

        d_r(V_T) <= prod_{s=t}^{T-1} |1 - eta_s mu| ||V_t||,   r = (T - t) B        (Galanti et al., arXiv 2206.05794)

    Sound for any schedule and at any T, not for momentum or Adam, whose updates remember more than B samples. It needs
    ||V_t|| at a recorded t with r < q: record norms within q/B steps before a snapshot, or there is nothing to say.
    Any matrix at all has d_r <= sqrt(1 - r/q) ||V||, as the r largest of q squares are dropped; only a bound under that
    says something, which for steady norms needs about eta mu > B/(2q): rarely met (q = 64, B = 16: eta mu > 1/8).

    "rank" r and "bound", relative to ||V_T||, of the t that is smallest against the generic sqrt(1 - r/q), and that
    ratio, "against_generic": from 1 on nothing is said. "nontrivial_rank": the smallest r whose ratio is under 1.

    norms ||V_t|| [K, S] at increasing `steps`; learning_rates eta_s [K, T] or [T] for s = 0, ..., T - 1; weight_decay
    [K]; max_rank q = min(m, n).
    """
    norms = norms.double()
    logs = (1 - learning_rates.double() * weight_decay.double()[:, None]).abs().clamp_min(1e-300).log()
    total = torch.cat([torch.zeros_like(logs[:, :1]), logs.cumsum(1)], 1)[:, steps]
    best = {name: torch.full_like(norms, math.nan) for name in ("rank", "bound", "against_generic", "nontrivial_rank")}
    best["against_generic"].fill_(math.inf)
    for now in range(len(steps)):
        for before in reversed(range(now)):
            rank = (steps[now] - steps[before]) * batch_size
            if rank >= max_rank:
                break
            bound = (total[:, now] - total[:, before]).exp() * norms[:, before] / norms[:, now]
            ratio = bound / math.sqrt(1 - rank / max_rank)
            better = ratio < best["against_generic"][:, now]
            for name, value in (("rank", float(rank)), ("bound", bound), ("against_generic", ratio)):
                best[name][:, now] = torch.where(better, value, best[name][:, now])
            first = best["nontrivial_rank"][:, now].isnan() & (ratio < 1)
            best["nontrivial_rank"][:, now] = torch.where(first, float(rank), best["nontrivial_rank"][:, now])
    best["against_generic"] = torch.where(best["against_generic"].isfinite(), best["against_generic"], math.nan)
    return best


def memory_rank(tolerance: float, *, learning_rate: float, weight_decay: float, batch_size: int) -> float:
    """B ceil(ln(2/e) / -ln(1 - eta mu)): a rank that comes within e ||V_T|| of V_T once norms have settled.

    From `trajectory_bound` with ||V_t|| <= 2 ||V_T||: (1 - eta mu)^(T-t) <= e/2 suffices. About B ln(2/e)/(eta mu) in
    torch's convention, penalty mu/2 ||V||^2; Galanti et al. (arXiv 2206.05794) penalise lambda ||V||^2, so
    mu = 2 lambda and the same number reads B ln(2/e)/(2 eta lambda). It says something only if under q. nan at mu = 0;
    needs eta mu <= 1.
    """
    shrink = learning_rate * weight_decay
    if shrink == 0:
        return math.nan
    return float(batch_size * (math.ceil(math.log(2 / tolerance) / -math.log1p(-shrink)) if shrink < 1 else 1))


# The stage.


SCHEMA = schema(
    [
        *("cell", *AXIS_COLUMNS, "critical_decay", "step", "matrix", "norm", "d_1", "d_2", "sample_min", "sample_max"),
        *("eps_batch", "eps_lower", "eps_upper", "bound_lower", "bound_upper", "vacuity_lower", "vacuity_upper"),
        *("data_floor", "gradient_norm", "weyl_slack", "weyl_gap", "weyl_tightness", "mean_residual_1"),
        *("mean_residual_2", "pair_bound", "trajectory_rank", "trajectory_bound", "trajectory_against_generic"),
        *("memory_rank", "dead_fraction", "directions", "null_reason"),
    ]
)


def table(records: dict[str, Record], data: datasets.Dataset, meter: Meter | None = None) -> pyarrow.Table:
    """A row for each cell, snapshot and weight matrix of a stack; the data's inputs in float64.

    `meter` counts cells and snapshots.
    """
    first = next(iter(records.values()))
    cells = [record.cell for record in records.values()]
    size, batch_size = first.cell["train_size"], first.cell["batch_size"]
    x = data.train_x[:size]
    noisy = [training_data(cell, data)[1].double() for cell in cells]
    targets = noisy[0] if all(cell["label_noise"] == 0 for cell in cells) else torch.stack(noisy)
    by_norm = torch.tensor([cell["decay_rule"] == "input-norm" for cell in cells])
    mu = torch.tensor([cell["weight_decay"] for cell in cells], dtype=torch.float64)
    decays = mu[:, None] * torch.where(by_norm[:, None], engine.relative_decays(x), 1.0)
    critical = _critical_decays(cells, data, x, noisy)

    floor = data_floor(x)  # once: the first matrix has the same inputs in every cell and at every snapshot
    rows: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for index, step in enumerate(first.steps):
        weights = [torch.stack(layer) for layer in zip(*(r.net(index) for r in records.values()), strict=True)]
        layers = certificates(
            weights,
            x,
            targets,
            data.task,
            weight_decay=decays,
            batch_size=batch_size,
            ascent_steps=0,
            input_floor=floor,
            meter=meter,
        )
        pairs = _pair_bounds(weights, x, targets, data.task, decays, by_norm)
        trajectory = _trajectory(list(records.values()), index, min(weights[0].shape[1:]))
        nothing = torch.full((len(cells),), math.nan)
        for number, (layer, pair_bound) in enumerate(zip(layers, pairs, strict=True)):
            layer |= {name: nothing if number else values for name, values in trajectory.items()}
            layer["pair_bound"] = pair_bound
        found = [{column: values.tolist() for column, values in layer.items()} for layer in layers]
        for number, (name, record) in enumerate(records.items()):
            for layer, matrix in zip(found, nets.matrix_names(len(weights)), strict=True):
                row = {column: values[number] for column, values in layer.items()}
                row["null_reason"] = _row_reason(row, record.cell["weight_decay"], batch_size, size)
                row |= record.cell | {"cell": name, "step": step, "matrix": matrix, "critical_decay": critical[number]}
                for column, values in rows.items():
                    values.append(row[column])
    columns = [pyarrow.array(values, type=SCHEMA.field(name).type, from_pandas=True) for name, values in rows.items()]
    return pyarrow.table(columns, schema=SCHEMA)


def _row_reason(row: dict[str, float], weight_decay: float, batch_size: int, size: int) -> str | None:
    """Why the paper's bound is null in a row; null if it is not."""
    if math.isfinite(row["vacuity_upper"]):
        return None
    facts = {"norm": row["norm"], "weight_decay": weight_decay, "batch_size": batch_size, "samples": size}
    return null_reason("vacuity_upper", **facts, first=False, last=False)


def _critical_decays(
    cells: list[dict[str, Any]], data: datasets.Dataset, x: Tensor, targets: list[Tensor]
) -> list[float]:
    """mu_c of what each cell is trained on: the data set's own for all its rows without noise, else worked out here.

    Once for all cells with the same targets. nan for AdamW, whose decay is not that of a penalty, and for nets of more
    than two layers.
    """
    found: dict[tuple[float, int], float] = {}
    result = []
    for cell, wanted in zip(cells, targets, strict=True):
        if cell["optimizer"] == "adamw" or "-" in cell["widths"]:
            result.append(math.nan)
            continue
        labels = (cell["label_noise"], cell["seed"] if cell["label_noise"] else 0)
        if labels not in found:
            whole = cell["label_noise"] == 0 and len(x) == len(data.train_x)
            found[labels] = data.metadata["critical_decay"] if whole else critical_decay(x, wanted, data.task)[0]
        result.append(found[labels])
    return result


def _pair_bounds(
    weights: list[Tensor], x: Tensor, targets: Tensor, task: Task, decays: Tensor, chosen: Tensor
) -> list[Tensor]:
    """`pair_certificate` of the chosen cells (bool [K]), [K] for each matrix; nan for the others."""
    result = [torch.full((len(chosen),), math.nan, dtype=torch.float64) for _ in weights]
    if chosen.any():
        wanted = targets if targets.ndim == 2 else targets[chosen]
        found = pair_certificate([weight[chosen] for weight in weights], x, wanted, task, decays=decays[chosen])
        for bounds, part in zip(result, found, strict=True):
            bounds[chosen] = part
    return result


def _trajectory(records: list[Record], index: int, max_rank: int) -> dict[str, Tensor]:
    """`trajectory_bound` of V at a snapshot from the norm recorded a few steps before, and `memory_rank`, [K] each."""
    names = ("trajectory_rank", "trajectory_bound", "trajectory_against_generic", "memory_rank")
    result = {name: torch.full((len(records),), math.nan, dtype=torch.float64) for name in names}
    cells = [record.cell for record in records]
    plain = [n for n, cell in enumerate(cells) if cell["optimizer"] == "sgd" and cell["decay_rule"] == "constant"]
    for number in plain:
        eta, mu, batch_size = (cells[number][axis] for axis in ("learning_rate", "weight_decay", "batch_size"))
        if cells[number]["schedule"] == "constant":
            result["memory_rank"][number] = memory_rank(1e-2, learning_rate=eta, weight_decay=mu, batch_size=batch_size)
    before, lags = ([record.history[name][index] for record in records] for name in ("norm_before", "steps_before"))
    known = [number for number in plain if before[number] is not None and lags[number]]
    if not known:
        return result
    lag = int(lags[known[0]])  # of the stack: its batch size and V's shape determine it
    t, eta = np.arange(records[0].steps[index] - lag, records[0].steps[index]), []
    for cell in (cells[number] for number in known):
        factor = engine.schedule_factor(cell["schedule"] == "cosine", t, cell["steps"])
        eta.append(torch.from_numpy(cell["learning_rate"] * factor))
    norms = [[before[number], frobenius(records[number].weights["V"][index].double())] for number in known]
    found = trajectory_bound(
        torch.tensor(norms, dtype=torch.float64),
        [0, lag],
        learning_rates=torch.stack(eta),
        weight_decay=torch.tensor([cells[number]["weight_decay"] for number in known], dtype=torch.float64),
        batch_size=cells[known[0]]["batch_size"],
        max_rank=max_rank,
    )
    for name, column in zip(names, ("rank", "bound", "against_generic"), strict=False):
        result[name][known] = found[column][:, 1]
    return result


def main() -> None:
    arguments = stage_parser(__doc__, "dataset").parse_args()
    torch.set_num_threads(1)
    records = load_records(arguments.job, arguments.weights, arguments.history)
    snapshots = sum(len(record.steps) for record in records.values())
    progress = Progress(f"{arguments.output.stem}: certificates of {len(records)} cells", snapshots, "cell-snapshots")
    result = table(records, load_data(arguments.dataset), progress)
    progress.close()
    files.write_parquet(
        arguments.output,
        result,
        {
            "provenance": provenance.circumstances(
                "certificates", [arguments.weights, arguments.history, arguments.dataset]
            )
        },
    )


if __name__ == "__main__":
    run(main)
