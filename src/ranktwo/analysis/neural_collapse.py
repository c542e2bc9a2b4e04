"""Neural collapse (Papyan, Han & Donoho 2020): how what a matrix is given tells classes apart, and of what rank it is.

The features of a weight matrix are its inputs h_i [in], one row for each of N training samples, means over its P places
where it acts at several (`nets.modules`). Labels are those that the cell was trained on, noise included. There are C
classes, those that a training sample has. With mu_c the mean of class c and mu_G the mean of the mu_c, M [C, in] has
the rows mu_c - mu_G, and

    S_W = (1/C) sum_c (1/n_c) sum_{i in c} (h_i - mu_c)(h_i - mu_c)^T,   S_B = (1/C) sum_c M_c M_c^T

so that every class counts alike. Under neural collapse of the last matrix's features NC1, NC2 and NC3 go to 0. All is
float64; what is undefined is nan here and null in the file.
"""

import math
from typing import Any

import numpy as np
import pyarrow
import torch
from torch import Tensor

from ranktwo.analysis.inputs import Inputs, analysis
from ranktwo.analysis.ranks import Spectra
from ranktwo.analysis.spectra import continuous, singular_values
from ranktwo.data.dataset import training_data
from ranktwo.nets import mlp
from ranktwo.nets import net as nets
from ranktwo.nets.losses import Task
from ranktwo.nets.modules import ModuleNet
from ranktwo.nets.net import Net
from ranktwo.store import columns
from ranktwo.store.columns import REAL, TEXT, column
from ranktwo.store.records import MATRIX, SNAPSHOT, defined
from ranktwo.study.axes import CELL_COLUMNS
from ranktwo.study.labels import labels_of

EPS = float(np.finfo(np.float32).eps)
ROUNDING = 1e-13
"""Class means that differ by no more than this share of the features are equal."""
COLUMNS = {
    "nc1": column(
        REAL,
        "NC1 of the matrix's inputs, tr(S_W S_B^+)/C: variance within classes over that between them, direction by "
        "direction. Singular values of the class means at most max(C, in) eps of the greatest, eps that of float32, "
        "are 0.",
    ),
    "within_over_between": column(
        REAL,
        "tr(S_W)/tr(S_B) of the matrix's inputs: the same over all directions together, in which directions of small "
        "class means count for little.",
    ),
    "nc2_norms": column(
        REAL,
        "NC2, equal norms: standard deviation over mean of the lengths of the centred class means; 0 for two classes, "
        "whatever the net.",
    ),
    "nc2_angles": column(
        REAL,
        "NC2, equal angles: mean over pairs of classes of |cos + 1/(C - 1)|, cos that of the centred class means; 0 "
        "for two classes, whatever the net.",
    ),
    "nc3": column(
        REAL,
        "NC3 of the last matrix: ||U/||U|| - M/||M|| ||, M the centred class means of its inputs, from 0 to 2; with "
        "one logit the rows of U are -u/2 and u/2. Null for the other matrices.",
    ),
    "feature_effective_rank": column(REAL, "`effective_rank` of the matrix's inputs, a row for each training sample."),
    "feature_stable_rank": column(REAL, "`stable_rank` of the same."),
    "no_neural_collapse": column(TEXT, "Why `nc1` and the columns behind it to `nc3` are null in this row."),
}


def schema() -> pyarrow.Schema:
    """Of the table of `neural_collapse`."""
    return columns.schema({**CELL_COLUMNS, **SNAPSHOT, **MATRIX, **COLUMNS})


@analysis(rows="cell, snapshot and matrix", schema=schema, on_demand=True)
def neural_collapse(inputs: Inputs) -> pyarrow.Table:
    """Neural collapse and rank of what every weight matrix is given, at every snapshot, for the figure of this name."""
    data, rows = inputs.data, []
    of_data: dict[Any, dict[str, Any]] = {}
    for cell, record in inputs.cells("neural-collapse"):
        x, targets = (part.double() for part in training_data(record.cell, data))
        same = labels_of(record.cell)
        labels = None if data.task == "regression" else targets.argmax(1) if targets.shape[1] > 1 else targets[:, 0]
        net = nets.of(record.cell, data.shape, data.outputs)
        for snapshot, step in enumerate(record.steps):
            weights = record.whole_net(snapshot)
            finite = all(weight.isfinite().all() for weight in weights)
            given = features(net, weights, x, targets, data.task) if finite else [x * math.nan] * len(record.weights)
            for number, (matrix, h) in enumerate(zip(record.weights, given, strict=True), start=1):
                last = weights[number - 1] if number == len(record.weights) else None
                if last is None and h.shape == x.shape and torch.equal(h, x):
                    # These the first matrix has in every cell and at every snapshot.
                    found = of_data.get(same) or of_features(h, labels, None)
                    of_data[same] = found
                else:
                    found = of_features(h, labels, last)
                m, n = record.weights[matrix].shape[1:]
                place = {"cell": cell, "step": step, "matrix": matrix, "rows": m, "columns": n}
                rows.append(record.cell | place | found)
    return pyarrow.Table.from_pylist(rows, schema=schema())


def features(net: Net, weights: list[Tensor], x: Tensor, targets: Tensor, task: Task) -> list[Tensor]:
    """h [N, in] of each matrix of one net, means over the places of a sample.

    weights [rows, columns] each, in float64, the matrices first; x [N, n], targets [N, c].
    """
    if not isinstance(net, ModuleNet):
        return [h[0] for h in mlp.forward([weight[None] for weight in weights], x)[:-1]]
    parts = [[use.h.mean(1) for use in uses] for uses in net.uses_by_part(weights, x, targets, task)]
    return [torch.cat(of_one) for of_one in zip(*parts, strict=True)]


def of_features(h: Tensor, labels: Tensor | None, last: Tensor | None) -> dict[str, Any]:
    """The values of COLUMNS, of features h [N, in] with labels [N], None in regression.

    last: U [c, in], if h is what the last matrix is given.
    """
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    if not h.isfinite().all():
        return found | {"no_neural_collapse": "the weights are not finite"}
    s = singular_values(h[None])
    if s[0, 0] > 0:
        ranks = continuous(Spectra(s=s, rows=len(h), columns=h.shape[1], noise=np.full(1, math.nan)), 1)
        found |= {f"feature_{name}": float(ranks[name][0]) for name in ("effective_rank", "stable_rank")}
    if labels is None:
        return found | {"no_neural_collapse": "a regression has no classes"}
    classes, labels, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        return found | {"no_neural_collapse": "the training samples are of one class"}
    means = torch.zeros(len(classes), h.shape[1], dtype=h.dtype).index_add_(0, labels, h) / counts[:, None]
    centred = means - means.mean(0)
    if not centred.norm() > ROUNDING * h.norm():
        return found | {"no_neural_collapse": "the means of all classes are equal"}
    found |= of_classes(h - means[labels], labels, counts, centred)
    if last is not None:
        rows = torch.cat([-last, last]) if len(last) == 1 else last
        found["nc3"] = float((_unit(rows[classes.long()]) - _unit(centred)).norm())
    return {name: defined(value) if isinstance(value, float) else value for name, value in found.items()}


def of_classes(deviations: Tensor, labels: Tensor, counts: Tensor, centred: Tensor) -> dict[str, float]:
    """NC1, NC2 and tr(S_W)/tr(S_B), of h_i - mu_c [N, in], labels [N], n_c [C] and M [C, in].

    With M = P S Q^T, S_B^+ = C Q S^-2 Q^T: NC1 is the mean over classes of the mean of ||S^-1 Q^T (h_i - mu_c)||^2.
    """
    size = len(centred)
    weights = 1 / (size * counts[labels].double())
    _, s, q = torch.linalg.svd(centred, full_matrices=False)
    kept = s > max(centred.shape) * EPS * s[0]
    lengths = centred.norm(dim=1)
    cosines = (centred @ centred.T / (lengths[:, None] * lengths))[*torch.triu_indices(size, size, 1)]
    return {
        "nc1": float(weights @ (deviations @ (q[kept].T / s[kept])).square().sum(1)),
        "within_over_between": float(weights @ deviations.square().sum(1) / (centred.square().sum() / size)),
        "nc2_norms": float(lengths.std(correction=0) / lengths.mean()),
        "nc2_angles": float((cosines + 1 / (size - 1)).abs().mean()),
    }


def _unit(matrix: Tensor) -> Tensor:
    """M/||M||; nan for 0."""
    return matrix / matrix.norm()
