"""TODO analysis.certificates.table."""

import math
from typing import Any

import numpy as np
import pyarrow
import torch
from torch import Tensor

from ranktwo.analysis.certificates.chain import certificates, null_reason
from ranktwo.analysis.certificates.directions import data_floor
from ranktwo.analysis.certificates.pairs import pair_certificate
from ranktwo.analysis.certificates.passes import frobenius
from ranktwo.analysis.certificates.trajectory import memory_rank, trajectory_bound
from ranktwo.analysis.critical import critical_decay
from ranktwo.data import decay
from ranktwo.data.dataset import Dataset, training_data
from ranktwo.nets import mlp
from ranktwo.nets.losses import Task
from ranktwo.progress import Meter
from ranktwo.store.columns import AXIS_COLUMNS, schema
from ranktwo.store.records import Record
from ranktwo.study import schedule

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


def table(records: dict[str, Record], data: Dataset, meter: Meter | None = None) -> pyarrow.Table:
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
    decays = mu[:, None] * torch.where(by_norm[:, None], decay.relative_decays(x), 1.0)
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
            for layer, matrix in zip(found, mlp.matrix_names(len(weights)), strict=True):
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


def _critical_decays(cells: list[dict[str, Any]], data: Dataset, x: Tensor, targets: list[Tensor]) -> list[float]:
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
        factor = schedule.schedule_factor(cell["schedule"] == "cosine", t, cell["steps"])
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
