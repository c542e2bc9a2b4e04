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

import torch
from torch import Tensor

from ranktwo.analysis.certificates.batches import largest_batch
from ranktwo.analysis.certificates.directions import data_floor, distinct_directions
from ranktwo.analysis.certificates.norms import rank_distance, sample_norms, spectral_norm, tall
from ranktwo.analysis.certificates.passes import Passes, cell_slices, finite_passes, frobenius, or_zero, samples_of
from ranktwo.nets.losses import Task
from ranktwo.progress import Meter

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
    for part in cell_slices(cells, samples * max(max(weight.shape[1:]) for weight in weights)):
        passes = finite_passes(
            [weight[part] for weight in weights], samples_of(x, part), samples_of(targets, part), task
        )
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
        column = _columns(or_zero(weight, finite), decay, batch_size, **found)
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


def _sample_columns(passes: Passes, layer: int, decay: Tensor, batch_size: int, ascent_steps: int) -> dict[str, Tensor]:
    """What `_columns` needs to know of the samples of one matrix, by the names of its arguments."""
    weight, h, image, delta = (of[layer] for of in (passes.weights, passes.h, passes.images, passes.deltas))
    norms = sample_norms(weight, h, image, delta, decay, passes.lengths[layer])
    eps_batch = torch.full_like(norms[:, 0], math.nan)
    if batch_size < h.shape[1]:
        eps_batch = largest_batch(weight, h, delta, decay, passes.inner, norms.argmax(1), batch_size, ascent_steps)
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
    singular = torch.linalg.svdvals(tall(weight))
    norm = frobenius(weight)
    mu = torch.where(decay.mean(1) > 0, decay.mean(1), math.nan)
    decayed = decay > 0
    distance = norms / torch.where(decayed, decay, math.nan)
    nothing = mu.isnan()

    gradient = mean_gradient + decay.mean(1)[:, None, None] * weight
    gradient_norm = frobenius(gradient)
    mean_singular = torch.linalg.svdvals(tall(mean_gradient))
    slack = spectral_norm(gradient) / mu
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
        "d_1": rank_distance(singular, 1),
        "d_2": rank_distance(singular, 2),
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
        "mean_residual_1": (rank_distance(mean_singular, 1) + gradient_norm) / mu,
        "mean_residual_2": (rank_distance(mean_singular, 2) + gradient_norm) / mu,
        "dead_fraction": dead_fraction,
    }
    nonzero = torch.where(norm > 0, norm, math.nan)
    return row | {f"vacuity_{end}": row[f"bound_{end}"] / nonzero for end in ("lower", "upper")}
