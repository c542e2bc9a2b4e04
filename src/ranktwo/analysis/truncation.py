"""Losses and scores of a net whose first matrix V is truncated to rank r after training.

Shapes: V = P diag(s) Q^T [m, n], s [q] descending, q = min(m, n); N samples, c outputs; K ranks r.
V_r = sum over i <= r of s_i p_i q_i^T is V's nearest matrix of rank r (Eckart-Young), ||V_r||^2 = sum over i <= r of
s_i^2. The control has V's full rank and V_r's norm: V ||V_r||/||V||. What both do is done by the norm, not by the rank.

A bias-free ReLU net is homogeneous in V, f(a V) = a f(V) for a >= 0, whatever its depth. So the control multiplies the
outputs: for r > 0 it changes losses and R^2 but no classification, and costs no forward pass. In any other net both are
run as they are. The first matrix alone is truncated in every net.

Everything is in float64: float32 takes two thirds of the time, but in it the small s_i, and the small losses of nets
that fit every sample, are rounding.
"""

from itertools import pairwise
from typing import Any

import pyarrow
import torch
from torch import Tensor

from ranktwo.analysis.inputs import Inputs, analysis
from ranktwo.data.dataset import Dataset, training_data
from ranktwo.data.labels import targets
from ranktwo.nets import losses, mlp
from ranktwo.nets import net as nets
from ranktwo.nets.losses import Task
from ranktwo.nets.net import Net
from ranktwo.store import columns
from ranktwo.store.columns import LOSS_UNIT, REALS, WHOLE, WHOLES, column
from ranktwo.store.records import Record, defined
from ranktwo.study.axes import CELL_COLUMNS
from ranktwo.study.schedules import snapshot_steps
from ranktwo.study.theory import why_not_relu_mlp, why_shared

TOLERANCE = 0.01
"""Scores that differ from the full net's by no more count as the same in `functional_rank`."""
CHUNK_ELEMENTS = 2**15
"""Pre-activations worked on at once: their 256 KB stay in a core's cache from rank to rank."""
PASS_ELEMENTS = 2**21
"""Numbers of a forward pass of any net that are held at once: 16 MB. All samples of a large test set at once take twice
as long."""
CURVES = {
    "truncated_train_loss": column(
        REALS, "`train_loss` of the net with V_r, V's nearest matrix of rank r, in place of V.", unit=LOSS_UNIT
    ),
    "truncated_test_loss": column(REALS, "`test_loss` of the net with V_r.", unit=LOSS_UNIT),
    "truncated_train_score": column(REALS, "`train_accuracy`, or `train_r2` in regression, of the net with V_r."),
    "truncated_test_score": column(REALS, "`test_accuracy`, or `test_r2` in regression, of the net with V_r."),
    "shrunk_train_loss": column(
        REALS,
        "`train_loss` of the norm-matched control: V, of full rank, times ||V_r||/||V||; as this multiplies f in a "
        "bias-free ReLU net, no classification changes there at r > 0.",
        unit=LOSS_UNIT,
    ),
    "shrunk_test_loss": column(REALS, "`test_loss` of the norm-matched control.", unit=LOSS_UNIT),
    "shrunk_train_score": column(REALS, "`train_accuracy`, or `train_r2` in regression, of the norm-matched control."),
    "shrunk_test_score": column(REALS, "`test_accuracy`, or `test_r2` in regression, of the norm-matched control."),
}
"""Columns that `curves` computes."""
PLANE = {
    "plane_1": column(
        REALS,
        "Row by row (neuron by neuron) V's coordinate along its first right singular vector, whose sign makes the "
        "largest entry of `mean_1` positive. This and the next four columns are null in nets but the mlp.",
    ),
    "plane_2": column(REALS, "The same along the second right singular vector; null if q = 1."),
    "outgoing": column(REALS, "Neuron by neuron its outgoing weight if it has one (one output), else their norm."),
    "mean_1": column(
        REALS,
        "Output by output the coordinate along the first right singular vector of (1/N) sum_i (y_i - ybar) x_i, the "
        "mean of -dl_i/df x_i at the best constant f (times 2/c in regression).",
    ),
    "mean_2": column(REALS, "The same along the second right singular vector; null if q = 1."),
}
"""Columns that `plane` computes."""
COLUMNS = {
    "truncation_ranks": column(
        WHOLES,
        "r of each entry of the lists below: 0, 1, ..., q = min(m, n) if q <= 64, else 0 to 3 and log-spaced to q.",
    ),
    **CURVES,
    "functional_rank": column(
        WHOLE,
        "Least r of `truncation_ranks` from which on every `truncated_test_score` is within 0.01, either way, of the "
        "full net's.",
        headline=True,
    ),
    **PLANE,
}


def schema() -> pyarrow.Schema:
    """Of the table of `truncation`."""
    return columns.schema({**CELL_COLUMNS, **COLUMNS})


@analysis(rows="cell", schema=schema)
def truncation(inputs: Inputs) -> pyarrow.Table:
    """Losses and scores of the trained net with V truncated to every rank, beside V shrunk to the same norm."""
    data = inputs.data
    rows = [row(cell, record, data) for cell, record in inputs.cells("truncation")]
    return pyarrow.Table.from_pylist(rows, schema=schema())


def truncation_ranks(q: int) -> list[int]:
    """0, 1, ..., q, or of these, if q > 64, at most 23: 0 to 3 and log-spaced ones to q."""
    return list(range(q + 1)) if q <= 64 else sorted({2, 3, *snapshot_steps(q, 20)})


def curves(
    net: list[Tensor],
    decomposed: tuple[Tensor, Tensor, Tensor],
    x: Tensor,
    y: Tensor,
    task: Task,
    ranks: list[int],
) -> dict[str, Tensor]:
    """Losses and scores [K] of truncated nets and of controls on x [N, n], y [N, c]: `truncated_loss` and so on.

    `net` holds V, W_2, ..., W_L, and `decomposed` V's P, s, Q^T; `ranks` rise, to q.
    V_r x = sum over i <= r of s_i p_i (q_i^T x): from one rank to the next, pre-activations gain the terms between.
    At r = q they are those of V itself: what is exactly 0 there, by the sum would be rounding, of either sign.
    """
    p, s, qt = decomposed
    net = [weight[None] for weight in net]
    z, directions, y = x @ qt.T, (p * s).T, y.to(x)
    norms = torch.cat([s.new_zeros(1), s.square().cumsum(0)]).sqrt()
    shares = (norms[ranks] / norms[-1])[:, None, None]
    sums = s.new_zeros(2, 2, len(ranks))  # truncated, shrunk; losses, correct samples
    size = max(1, CHUNK_ELEMENTS // len(p))
    for rows, coordinates, labels in zip(x.split(size), z.split(size), y.split(size), strict=True):
        hidden = z.new_zeros(len(coordinates), len(p))
        outputs = z.new_empty(len(ranks), *labels.shape)
        for index, (last, r) in enumerate(pairwise([0, *ranks[:-1]])):
            hidden.addmm_(coordinates[:, last:r], directions[last:r])
            outputs[index] = mlp.forward(net[1:], hidden.relu())[-1][0]
        outputs[-1] = mlp.forward(net, rows)[-1][0]
        for total, values in zip(sums, (outputs, shares * outputs[-1]), strict=True):
            total[0] += losses.sample_losses(values, labels, task).sum(1)
            if task != "regression":
                total[1] += losses.correct(values, labels, task).sum(1)
    loss, accuracy = (sums / len(x)).unbind(1)
    score = 1 - loss / losses.target_variance(y) if task == "regression" else accuracy
    return {
        "truncated_loss": loss[0],
        "truncated_score": score[0],
        "shrunk_loss": loss[1],
        "shrunk_score": score[1],
    }


def any_curves(
    net: Net,
    weights: list[Tensor],
    decomposed: tuple[Tensor, Tensor, Tensor],
    x: Tensor,
    y: Tensor,
    task: Task,
    ranks: list[int],
) -> dict[str, Tensor]:
    """`curves` of any net, by a forward pass for each rank and each control; `weights` are all of the net's."""
    p, s, qt = decomposed
    v, rest = weights[0], weights[1:]
    norms = torch.cat([s.new_zeros(1), s.square().cumsum(0)]).sqrt()
    truncated = [(p[:, :r] * s[:r]) @ qt[:r] for r in ranks[:-1]] + [v]
    size = max(1, PASS_ELEMENTS // net.activations)
    result: dict[str, list[float]] = {}
    for name, matrices in (("truncated", truncated), ("shrunk", [v * (norms[r] / norms[-1]) for r in ranks])):
        for matrix in matrices:
            own = [weight[None] for weight in (matrix, *rest)]
            outputs = torch.cat([net.outputs(own, part) for part in x.split(size)], 1)
            loss = losses.sample_losses(outputs, y.to(x), task).mean()
            if task == "regression":
                score = 1 - loss / losses.target_variance(y)
            else:
                score = losses.correct(outputs, y.to(x), task).double().mean()
            result.setdefault(f"{name}_loss", []).append(loss.item())
            result.setdefault(f"{name}_score", []).append(score.item())
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in result.items()}


def functional_rank(ranks: list[int], test_scores: list[float | None]) -> int | None:
    """Least r of `ranks` such that the scores at r and at all greater ranks are within TOLERANCE of the last one.

    Scores need not be monotone in r: a truncated net that has the full net's score by chance and loses it again with
    the next direction does not count. "Within" is meant both ways, as a better net is another net, too.
    """
    full = test_scores[-1]
    if full is None:
        return None
    # Accuracies are ratios: a difference of one in a hundred must not depend on how they are rounded.
    apart = [score is None or abs(score - full) > TOLERANCE + 1e-9 for score in test_scores]
    return ranks[max((index + 1 for index, far in enumerate(apart) if far), default=0)]


def plane(v: Tensor, qt: Tensor, following: Tensor, x: Tensor, y: Tensor) -> dict[str, list[float]]:
    """V's rows in the plane of its two leading right singular vectors, and the means there: the columns of PLANE.

    `following` [m', m] is the matrix W_2. The means g_k = (1/N) sum_i (y_i - ybar)_k x_i are, output by output, those
    of -dl_i/df x_i at the best constant f (times 2/c in regression): a net that knows no more than the mean drives V's
    rows along them. Each vector's sign makes the coordinate of largest size among the g_k positive.
    """
    means = (y.to(x) - y.to(x).mean(0)).T @ x / len(x)
    axes = qt[:2]
    along = means @ axes.T
    largest = along.gather(0, along.abs().argmax(0, keepdim=True))
    signs = torch.where(largest < 0, -1.0, 1.0)
    result = {"outgoing": (following[0] if len(following) == 1 else following.norm(dim=0)).tolist()}
    for name, rows in (("plane", v @ axes.T), ("mean", along)):
        result |= {f"{name}_{number}": values.tolist() for number, values in enumerate((rows * signs).T, start=1)}
    return result


def row(cell: str, record: Record, data: Dataset) -> dict[str, Any]:
    """One cell's columns after training; all but its axes null if a weight is not finite or V = 0."""
    axes = {name: value for name, value in record.cell.items() if name in CELL_COLUMNS}
    result: dict[str, Any] = {"cell": cell, **axes, **dict.fromkeys(COLUMNS)}
    net = record.whole_net(-1)
    v = net[0]
    if not (all(weight.isfinite().all() for weight in net) and v.any()):
        return result
    covered = why_not_relu_mlp(record.cell) is None
    kind = nets.of(record.cell, data.shape, data.outputs)
    x, y = training_data(record.cell, data)
    test_y = targets(data.test_y, data.task, data.outputs)
    ranks = truncation_ranks(min(v.shape))
    decomposed = torch.linalg.svd(v, full_matrices=False)
    for part, inputs, labels in (("train", x, y), ("test", data.test_x, test_y)):
        arguments = net, decomposed, inputs, labels, data.task, ranks
        for key, values in (curves(*arguments) if covered else any_curves(kind, *arguments)).items():
            result[key.replace("_", f"_{part}_")] = [defined(value) for value in values.tolist()]
    result |= {"truncation_ranks": ranks, "functional_rank": functional_rank(ranks, result["truncated_test_score"])}
    dense = why_shared(record.cell) is None
    return result | (plane(v, decomposed[2], net[1], x, y) if dense else {})
