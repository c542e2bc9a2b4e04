"""The certificates of all cells, snapshots and weight matrices of a stack."""

import math
from typing import Any

import pyarrow
import torch
from torch import Tensor

from ranktwo.analysis.certificates import chain, collapse, pairs, trajectory
from ranktwo.analysis.certificates.chain import layer_certificates
from ranktwo.analysis.certificates.collapse import critical_decays
from ranktwo.analysis.certificates.directions import data_floor
from ranktwo.analysis.certificates.pairs import pair_certificate
from ranktwo.analysis.certificates.trajectory import trajectory_columns
from ranktwo.analysis.inputs import Inputs, analysis
from ranktwo.data.dataset import training_data
from ranktwo.data.decay_rules import relative_decays
from ranktwo.nets import net as nets
from ranktwo.nets.losses import Task
from ranktwo.store import columns
from ranktwo.store.columns import TEXT, column
from ranktwo.store.records import MATRIX, SNAPSHOT
from ranktwo.study import theory
from ranktwo.study.axes import CELL_COLUMNS, CONSTANT

COLUMNS = {
    **collapse.COLUMNS,
    **chain.COLUMNS,
    **pairs.COLUMNS,
    **trajectory.COLUMNS,
    "null_reason": column(TEXT, "Why the paper's bound is null in this row."),
    "not_covered": column(
        TEXT,
        "Why `critical_decay`, `pair_bound` and `dead_fraction` are null where the net is not made of bias-free ReLU "
        "layers.",
    ),
}


def schema() -> pyarrow.Schema:
    """Of the table of `certificates`."""
    return columns.schema({**CELL_COLUMNS, **SNAPSHOT, **MATRIX, **COLUMNS})


@analysis(rows="cell, snapshot and matrix", schema=schema)
def certificates(inputs: Inputs) -> pyarrow.Table:
    """How far every weight matrix can be from rank one or two at every snapshot, by bounds that need no training."""
    data, records = inputs.data, list(inputs.records.values())
    cells = [record.cell for record in records]
    steps, size, batch_size = records[0].steps, cells[0]["train_size"], cells[0]["batch_size"]
    x = data.train_x[:size]
    noisy = [training_data(cell, data)[1].double() for cell in cells]
    targets = noisy[0] if all(cell["label_noise"] == 0 for cell in cells) else torch.stack(noisy)
    decays = _decays(cells, x)
    by_sample = torch.tensor([cell["decay_rule"] != CONSTANT for cell in cells])
    critical = critical_decays(cells, data, x, noisy)
    net = nets.of(cells[0], data.shape, data.outputs)
    not_covered = theory.why_not_relu_mlp(cells[0])

    floor = data_floor(x)  # once: the first matrix has the same inputs in every cell and at every snapshot
    fields = schema()
    rows: dict[str, list[Any]] = {name: [] for name in fields.names}
    progress = inputs.progress("certificates", len(steps) * len(cells), "cell-snapshots")
    for snapshot, step in enumerate(steps):
        weights = [
            torch.stack(layer) for layer in zip(*(record.whole_net(snapshot) for record in records), strict=True)
        ]
        layers = layer_certificates(
            weights,
            x,
            targets,
            data.task,
            weight_decay=decays,
            batch_size=batch_size,
            net=net,
            input_floor=floor,
            meter=progress,
        )
        nothing = torch.full((len(cells),), math.nan)
        path = trajectory_columns(records, snapshot)
        chosen = by_sample if not_covered is None else torch.zeros_like(by_sample)
        pair_bounds = _pair_bounds(weights[: len(layers)], x, targets, data.task, decays, chosen)
        for number, bound in enumerate(pair_bounds):
            layers[number] |= {name: nothing if number else values for name, values in path.items()}
            layers[number]["pair_bound"] = bound
        numbers = [{name: values.tolist() for name, values in layer.items()} for layer in layers]
        for number, (cell, record) in enumerate(inputs.records.items()):
            for layer, matrix in zip(numbers, record.weights, strict=True):
                row = {name: values[number] for name, values in layer.items()}
                row["null_reason"] = why_no_bound(row, record.cell["weight_decay"], batch_size, size)
                m, n = record.weights[matrix].shape[1:]
                row |= record.cell | {"cell": cell, "step": step, "matrix": matrix, "rows": m, "columns": n}
                row |= {"critical_decay": critical[number], "not_covered": not_covered}
                for name, values in rows.items():
                    values.append(row[name])
    progress.close()
    arrays = [pyarrow.array(values, type=fields.field(name).type, from_pandas=True) for name, values in rows.items()]
    return pyarrow.table(arrays, schema=fields)


def _decays(cells: list[dict[str, Any]], x: Tensor) -> Tensor:
    """c_i of every sample, [K, N] float64."""
    relative = {rule: relative_decays(rule, x) for rule in dict.fromkeys(cell["decay_rule"] for cell in cells)}
    mu = torch.tensor([cell["weight_decay"] for cell in cells], dtype=torch.float64)
    return mu[:, None] * torch.stack([relative[cell["decay_rule"]] for cell in cells])


def _pair_bounds(
    weights: list[Tensor], x: Tensor, targets: Tensor, task: Task, decays: Tensor, chosen: Tensor
) -> list[Tensor]:
    """`pair_certificate` of the chosen cells (bool [K]), [K] for each matrix; nan for the others."""
    result = [torch.full((len(chosen),), math.nan, dtype=torch.float64) for _ in weights]
    if chosen.any():
        own = targets if targets.ndim == 2 else targets[chosen]
        parts = pair_certificate([weight[chosen] for weight in weights], x, own, task, decays=decays[chosen])
        for bounds, part in zip(result, parts, strict=True):
            bounds[chosen] = part
    return result


def why_no_bound(row: dict[str, float], weight_decay: float, batch_size: int, samples: int) -> str | None:
    """Why the paper's bound is null in a row, `weight_decay` the mean of the samples'; None if it is not."""
    if math.isfinite(row["vacuity_upper"]):
        return None
    if not math.isfinite(row["norm"]):
        return "the weights or the gradients are not finite"
    if weight_decay == 0:
        return "weight decay is zero and the bound divides by it"
    if batch_size == samples:
        return "the batch is the whole training set: no two batches differ in one sample"
    return "the weight matrix is zero" if row["norm"] == 0 else None
