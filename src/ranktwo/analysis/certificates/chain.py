"""The chain of bounds on the distance of a weight matrix from rank one and two, at any weights, trained or not.

Shapes: K cells, N samples, a weight matrix W [K, out, in] with its own inputs x_i [in] and derivatives delta_i [out] by
its pre-activations. The gradient of sample i is g_i = delta_i x_i^T, of rank one at most; where W acts at P places of a
sample it is the sum over them, of rank R <= min(P, out, in), and what is said of rank one holds of rank R. c_i >= 0 is
its weight decay in torch's convention (c_i W is added to the gradient), c_i = mu unless the decay depends on the data.
Throughout a_i = g_i + c_i W; G_S is the mean of a_i over a batch S, G over all samples; q = min(out, in);
s_1 >= ... >= s_q are singular values, d_r = sqrt(sum_{i>r} s_i^2) is the distance to the nearest matrix of rank r
(Eckart & Young), ||.|| the Frobenius norm. Everything is float64 and exact, up to rounding, for every matrix of any net
whose samples do not mix; of dense layers no g_i is stored. Undefined numbers are nan here.
"""

import math

import torch
from torch import Tensor

from ranktwo.analysis.certificates.directions import data_floor, distinct_directions
from ranktwo.analysis.certificates.norms import rank_distance, spectral_norm, tall
from ranktwo.analysis.certificates.passes import cell_slices, finite_passes, frobenius, or_zero, samples_of
from ranktwo.analysis.certificates.places import dense_columns, net_columns, sample_rank
from ranktwo.nets.losses import Task
from ranktwo.nets.modules import ModuleNet
from ranktwo.nets.net import Net
from ranktwo.progress import Meter
from ranktwo.store.columns import REAL, column

COLUMNS = {
    "norm": column(REAL, "Frobenius norm ||W||, over which the vacuities are taken."),
    "d_1": column(REAL, "Distance of W from rank one, absolute."),
    "d_2": column(REAL, "Distance of W from rank two, absolute."),
    "sample_rank": column(
        REAL,
        "R = min(P, rows, columns), which bounds the rank of one sample's gradient; P is the number of places of a "
        "sample where the matrix acts: 1 in a dense layer, the positions of a convolution.",
        headline=True,
    ),
    "d_sample_rank": column(REAL, "Distance of W from rank R, absolute: of this the paper's theorem speaks."),
    "sample_min": column(
        REAL,
        "min over samples of ||W + g_i/mu||, g_i the gradient of sample i and mu its decay: at least `d_sample_rank`.",
    ),
    "sample_max": column(REAL, "max over samples of ||W + g_i/mu||: at most the paper's bound if decays are equal."),
    "eps_batch": column(
        REAL,
        "Largest norm of a batch's gradient with decay in a search: the best of three greedy batches, and two steps of "
        "ascent by swaps from it (methods.md); ||G|| for full batches.",
    ),
    "eps_lower": column(REAL, "Lower end of eps, the supremum over batches of the norm of the gradient with decay."),
    "eps_upper": column(REAL, "Upper end of eps: max over samples of ||g_i + mu W||; ||G|| for full batches."),
    "bound_lower": column(
        REAL,
        "(2B - 1) eps/mu with `eps_lower`, mu the greatest decay of a sample: the paper's bound on `d_sample_rank` is "
        "at least this.",
    ),
    "bound_upper": column(REAL, "(2B - 1) eps/mu with `eps_upper`: the paper's bound is at most this."),
    "vacuity_lower": column(
        REAL, "`bound_lower`/||W||: where this is 1 or more, the paper's bound says nothing.", headline=True
    ),
    "vacuity_upper": column(
        REAL, "`bound_upper`/||W||: where this is below 1, the paper's bound says something.", headline=True
    ),
    "data_floor": column(
        REAL,
        "Relative distance of the normalised inputs of V, the data, from rank one. No training gets `vacuity_lower` "
        "below it. Null where the decay differs between samples: the bound is for the greatest decay there.",
        headline=True,
    ),
    "gradient_norm": column(REAL, "||G||, G the gradient over all training samples with decay."),
    "weyl_slack": column(REAL, "||G||_2/mu: no s_i(W) is farther from s_i(mean gradient)/mu (Weyl).", headline=True),
    "weyl_gap": column(REAL, "max over i of |s_i(W) - s_i(mean gradient)/mu|."),
    "weyl_tightness": column(REAL, "`weyl_gap`/`weyl_slack`."),
    "mean_residual_1": column(REAL, "d_1(mean gradient)/mu + ||G||/mu: at least d_1(W)."),
    "mean_residual_2": column(REAL, "d_2(mean gradient)/mu + ||G||/mu: at least d_2(W).", headline=True),
    "scale_invariance": column(
        REAL,
        "|<gbar, W>|/(||gbar|| ||W||), gbar the mean gradient: near 0 where the outputs of W are normalised, and then "
        "`vacuity_lower` is at least 2B - 1 whatever the data and the training.",
        headline=True,
    ),
    "dead_fraction": column(
        REAL,
        "Share of the layer's units that are 0 on every training sample; null for the last matrix, and where "
        "`not_covered` says why.",
        headline=True,
    ),
    "directions": column(
        REAL,
        "Rows of W, from the longest down, whose cosine with each row counted before is at most 0.99; rows of at most "
        "1e-3 of the longest are left out.",
        headline=True,
    ),
}


def layer_certificates(
    weights: list[Tensor],
    x: Tensor,
    targets: Tensor,
    task: Task,
    *,
    weight_decay: Tensor,
    batch_size: int,
    net: Net | None = None,
    input_floor: Tensor | None = None,
    meter: Meter | None = None,
) -> list[dict[str, Tensor]]:
    """The values of COLUMNS for each weight matrix, input side first: [K] float64 tensors by name.

    The chain, with eps = sup of ||G_S|| over all batches S of B *different* samples and B < N:

        d_2 <= d_1 <= min_i ||W + g_i/mu|| <= max_i ||W + g_i/mu|| <= (2B - 1) eps / mu

    Proof. -g_i/mu has rank one at most: the second step. Batches that differ in one sample exist as B < N and give
    ||a_i - a_j|| = B ||G_S - G_S'|| <= 2 B eps. With i in S, a_i = G_S + (1/B) sum_{j in S, j != i} (a_i - a_j), so
    mu ||W + g_i/mu|| = ||a_i|| <= eps + (B-1)/B * 2 B eps = (2B - 1) eps: the last step. No smaller constant will do:
    there is equality where all a_j but one are the same vector of length eps and a_i is -(2B - 1) times it. The proof
    fails with B = N, where there is one batch and eps = ||G|| does not bound ||a_i||: the bound is then nan. It fails
    as well if only some batches count, say the disjoint ones of one epoch. Batches drawn with replacement include
    i, ..., i: then eps = max_i ||a_i|| and the factor is 1.

    Reversed, max_i ||a_i|| / (2B - 1) <= eps <= max_i ||a_i||, and ||G|| <= eps as G is the mean of G_S over all S.

    - `norm` is ||W||, `d_1` and `d_2` are absolute, `sample_min` and `sample_max` are the two middle members.
    - `eps_batch` is the largest ||G_S|| that the search of `largest_batch` met.
    - `eps_lower` is the largest of `eps_batch` and the two lower ends above, `eps_upper` is max_i ||a_i||. With B = N
      all three are ||G||.
    - `bound_lower` and `bound_upper` are (2B - 1) eps / mu with either end; `vacuity_lower` and `vacuity_upper` are the
      same over ||W||: from 1 on the bound says nothing. The bound of Chen, Yi, Yang (arXiv 2410.02176) lies between
      the two ends. (2B - 1) eps_batch / mu may be below `sample_max`; the two ends never are.
    - `data_floor` is that of `data_floor(x)`: at most sample_max/||W||, so at most `vacuity_lower`. It is nan for all
      matrices but the first, as the inputs of the others are what training makes them, and where the decay differs
      between samples, as `vacuity_lower` may be below sample_max/||W|| then.
    - `gradient_norm` is ||G||. `weyl_slack`, ||G||_2/mu, bounds `weyl_gap`, max_i |s_i(W) - s_i(gbar)/mu|, gbar the
      mean of g_i (Weyl for W and -gbar/mu, whose difference is G/mu). `weyl_tightness` is gap/slack, at most 1 until
      the gap is rounding only, about 1e-15 s_1.
    - `mean_residual_1` and `mean_residual_2` are d_r(gbar)/mu + ||G||/mu >= d_r(W): d_r, a Frobenius distance to a
      set, changes by no more than its argument moves in that norm. The spectral norm of G would not do: with gbar = 0
      and W = I, d_1 = sqrt(q - 1), above 1 for q > 2.
    - `sample_rank` is R, `d_sample_rank` the distance from it. With R > 1 read d_R for d_1 in the chain above.
    - `scale_invariance` is |<gbar, W>|/(||gbar|| ||W||). If the loss does not change with the scale of W, as where its
      outputs are normalised, <g_i, W> = 0, so ||a_i|| >= mu ||W|| and ||G|| >= mu ||W||: (2B - 1) eps/mu is at least
      (2B - 1) ||W||, and no training makes it say anything. The epsilon of the normalisation leaves it near 0.
    - `dead_fraction` is the share of the matrix's own hidden units whose output is 0 on every sample; nan for the last
      matrix, which has none. `directions` is that of `distinct_directions`.

    Where decay depends on the data, weight_decay [K, N] holds c_i. The chain is then, by the same proof,
    d_1 <= min_i ||W + g_i/c_i|| <= (2B - 1) eps / max_i c_i (so that near-stationarity makes W rank *one* here too,
    whenever the decay of a batch is the mean of its samples' c_i), max_i ||W + g_i/c_i|| <= (2B - 1) eps / min_i c_i,
    minima and maxima over c_i > 0; gbar, G and mu of the last group are means.

    net: the kind of net; of bias-free ReLU layers if it is not given. weights: [K, out, in] each, and behind the
    matrices the net's vectors, if it has some; x [N, n] or [K, N, n]; targets as in `nets`; weight_decay [K] or [K, N],
    >= 0; input_floor: `data_floor(x)` if it is known; meter: counts the cells that are done.
    Raises ValueError unless 1 <= batch_size <= N.
    """
    weights = [weight.double() for weight in weights]
    cells, samples = weights[0].shape[0], x.shape[-2]
    if not 1 <= batch_size <= samples:
        raise ValueError(f"batch_size {batch_size} is not between 1 and the {samples} samples")
    x, targets = x.double(), targets.double()
    decay = weight_decay.double().reshape(cells, -1).expand(cells, samples)
    floor = data_floor(x) if input_floor is None else input_floor
    equal = decay.amax(1) == decay.amin(1)

    if isinstance(net, ModuleNet):
        rows, places = _of_modules(net, weights, x, targets, task, decay, batch_size, meter), list(net.places.values())
        weights = weights[: len(places)]
    else:
        rows, places = _of_relu_nets(weights, x, targets, task, decay, batch_size, meter), [1] * len(weights)
    columns = []
    for layer, (weight, parts) in enumerate(zip(weights, zip(*rows, strict=True), strict=True)):
        values = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        finite, of_data = values.pop("finite"), values.pop("of_data")
        rank = sample_rank(places[layer], weight)
        column = _columns(or_zero(weight, finite), decay, batch_size, rank, **values)
        column["data_floor"] = torch.where(of_data & equal, floor, math.nan)
        column["directions"] = distinct_directions(weight)
        known = {name: torch.where(finite, value, math.nan) for name, value in column.items()}
        columns.append(known | {"sample_rank": column["sample_rank"]})  # it is known of a diverged net, too
    return columns


Rows = list[list[dict[str, Tensor]]]
"""For parts of the cells, and in each for every matrix: arguments of `_columns` by name, and `finite` and `of_data`."""


def _of_relu_nets(
    weights: list[Tensor], x: Tensor, targets: Tensor, task: Task, decay: Tensor, batch_size: int, meter: Meter | None
) -> Rows:
    """Of nets of bias-free ReLU layers, as many together as the cache holds."""
    rows: Rows = []
    for part in cell_slices(len(decay), decay.shape[1] * max(max(weight.shape[1:]) for weight in weights)):
        passes = finite_passes(
            [weight[part] for weight in weights], samples_of(x, part), samples_of(targets, part), task
        )
        rows.append([])
        for layer, of_layer in enumerate(
            zip(passes.weights, passes.h, passes.images, passes.deltas, passes.lengths, strict=True)
        ):
            row = dense_columns(*of_layer, passes.inner, decay[part], batch_size)
            row["dead_fraction"] = torch.full_like(row["eps_batch"], math.nan)
            if layer + 1 < len(weights):
                row["dead_fraction"] = (passes.h[layer + 1].sum(1) == 0).double().mean(1)
            of_data = torch.full_like(passes.finite, layer == 0)
            rows[-1].append(row | {"finite": passes.finite, "of_data": of_data})
        if meter:
            meter.add(len(passes.finite))
    return rows


def _of_modules(
    net: ModuleNet,
    weights: list[Tensor],
    x: Tensor,
    targets: Tensor,
    task: Task,
    decay: Tensor,
    batch_size: int,
    meter: Meter | None,
) -> Rows:
    """Of nets that are modules, one after the other."""
    rows: Rows = []
    for k in range(len(decay)):
        inputs, labels = (part if part.ndim == 2 else part[k] for part in (x, targets))
        found = net_columns(net, [weight[k] for weight in weights], inputs, labels, task, decay[k], batch_size)
        rows.append([row | {"dead_fraction": torch.full_like(row["eps_batch"], math.nan)} for row in found])
        if meter:
            meter.add(1)
    return rows


def _columns(
    weight: Tensor,
    decay: Tensor,
    batch_size: int,
    rank: int,
    *,
    norms: Tensor,
    mean_gradient: Tensor,
    eps_batch: Tensor,
    dead_fraction: Tensor,
) -> dict[str, Tensor]:
    """Columns of `layer_certificates` from W and gbar [K, out, in], c_i and ||a_i|| [K, N], and R."""
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
        "sample_rank": torch.full_like(norm, rank),
        "d_sample_rank": rank_distance(singular, rank),
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
        "scale_invariance": (mean_gradient * weight).sum((1, 2)).abs() / (frobenius(mean_gradient) * norm),
        "dead_fraction": dead_fraction,
    }
    nonzero = torch.where(norm > 0, norm, math.nan)
    return row | {f"vacuity_{end}": row[f"bound_{end}"] / nonzero for end in ("lower", "upper")}
