"""What a linear model makes of a cell's training rows: the yardstick of whether a net fits them.

The linear model is x -> w.x + b of least squares on the targets that the cell was trained on, noise included: values in
regression, else 0 and 1 for two classes and one-hot rows for more, the greatest output being the class predicted. Of
several such models it is the one of least norm: singular values of the inputs below `SMALLEST` of the greatest are 0.
"""

from typing import Any

import pyarrow
import torch
from torch import Tensor

from ranktwo.analysis.inputs import Inputs, analysis
from ranktwo.data.dataset import training_data
from ranktwo.data.labels import targets
from ranktwo.nets import losses
from ranktwo.nets.losses import Task, target_variance
from ranktwo.store import columns
from ranktwo.store.columns import REAL, WHOLE, column
from ranktwo.store.records import CELL, defined
from ranktwo.study.labels import labels_of

SMALLEST = 1e-5
"""Share of the greatest singular value of the inputs, which are float32, below which one is rounding."""
COLUMNS = {
    "input_rank": column(
        WHOLE, f"Rank of the training inputs: singular values above {SMALLEST:g} of the greatest.", headline=True
    ),
    "chance_score": column(
        REAL,
        "Training score without inputs: the share of the most frequent training label, noise included; 0 (R^2) in "
        "regression.",
        headline=True,
    ),
    "linear_train_score": column(
        REAL,
        "`train_accuracy`, or `train_r2` in regression, of the linear model of least squares with an intercept on the "
        "same rows and targets.",
        headline=True,
    ),
    "linear_test_score": column(REAL, "The same model's `test_accuracy`, or `test_r2` in regression.", headline=True),
}


def schema() -> pyarrow.Schema:
    """Of the table of `baseline`."""
    return columns.schema({**CELL, **COLUMNS})


@analysis(rows="cell", schema=schema)
def baseline(inputs: Inputs) -> pyarrow.Table:
    """The scores of a linear model on each cell's rows and targets."""
    data = inputs.data
    known: dict[Any, dict[str, float | None]] = {}
    rows = []
    for cell, record in inputs.cells("baseline"):
        labels = labels_of(record.cell)
        if labels not in known:
            x, y = training_data(record.cell, data)
            test_y = targets(data.test_y, data.task, data.outputs)
            known[labels] = linear(x, y, data.test_x, test_y, data.task)
        rows.append({"cell": cell} | known[labels])
    return pyarrow.Table.from_pylist(rows, schema=schema())


def linear(x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor, task: Task) -> dict[str, float | None]:
    """The values of COLUMNS, of inputs x [N, n] and targets y [N, c] as the net has them."""
    x, y, test_x, test_y = (part.double() for part in (x, y, test_x, test_y))
    mean_x, mean_y = x.mean(0), y.mean(0)
    centred = x - mean_x
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    kept = values > SMALLEST**2 * values[-1]
    weights = vectors[:, kept] / values[kept] @ (vectors[:, kept].T @ (centred.T @ (y - mean_y)))
    squares = torch.linalg.eigvalsh(x.T @ x)
    found: dict[str, float | None] = {"input_rank": int((squares > SMALLEST**2 * squares[-1]).sum())}
    chance = 0.0 if task == "regression" else float(mean_y.max())
    if task == "binary":
        chance = max(chance, 1 - chance)

    def score(inputs: Tensor, wanted: Tensor) -> float | None:
        outputs = (inputs - mean_x) @ weights + mean_y
        if task == "regression":
            return defined(1 - float((outputs - wanted).square().mean() / target_variance(wanted)))
        # A logit of 0 is the border of two classes; targets of 0 and 1 have it at a half.
        logits = outputs - 0.5 if task == "binary" else outputs
        return float(losses.correct(logits[None], wanted, task).double().mean())

    return found | {
        "chance_score": chance,
        "linear_train_score": score(x, y),
        "linear_test_score": score(test_x, test_y),
    }
