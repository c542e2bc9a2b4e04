"""Singular values of every weight matrix at every snapshot, and the ranks they have under named rules.

Shapes: R matrices of one shape at a time; s [R, q] float64, descending, q = min(rows, columns).
Everything is undefined, nan here and null in the file, at W = 0 or where a weight is not finite.
"""

import math
from typing import Any

import numpy as np
import pyarrow
import torch

from ranktwo.analysis.ranks import RULES, Array, Spectra, described
from ranktwo.nets import initial
from ranktwo.store.columns import AXIS_COLUMNS, schema
from ranktwo.store.records import Record
from ranktwo.study import schedule


def residual(s: Array, r: int) -> Array:
    """sqrt(sum_{i>r} s_i^2) / ||W||: relative distance to the nearest matrix of rank r (Eckart-Young), [R]."""
    return np.sqrt(np.sum(s[:, r:] ** 2, axis=1) / np.sum(s**2, axis=1))


def measures(spectra: Spectra, outputs: int) -> dict[str, Array]:
    """Norms, continuous ranks, residuals and ranks by every rule, [R] each, by column name."""
    s = spectra.s
    p = s / s.sum(axis=1, keepdims=True)
    entropy = -np.sum(p * np.log(p, out=np.zeros_like(p), where=p > 0), axis=1)
    # Scaled by s_1 first: the fourth power of a nearly collapsed spectrum underflows.
    scaled = s / s[:, :1]
    energy_sum = np.sum(scaled**2, axis=1)
    return {
        "norm": spectra.norm,
        "nuclear_norm": s.sum(axis=1),
        "schatten_half": np.sum(np.sqrt(s), axis=1) ** 2,
        "stable_rank": energy_sum,
        "effective_rank": np.exp(entropy),
        "participation_ratio": energy_sum**2 / np.sum(scaled**4, axis=1),
        **{f"residual_{r}": residual(scaled, r) for r in (1, 2, 3)},
        "residual_c": residual(scaled, outputs),
        "residual_c1": residual(scaled, outputs + 1),
        **{f"rank_{name}": function(spectra) for name, function in RULES.items()},
    }


def remaining_noise(cell: dict[str, Any], inputs: int, steps: list[int]) -> Array:
    """sigma at each step: the sd of an initial entry times prod over t of (1 - eta_t mu), the share that decay leaves.

    Exact for SGD and AdamW, whose decay multiplies W at each step; nan with momentum and with decay by batch. [S].
    """
    if cell["optimizer"] == "momentum" or cell["decay_rule"] != "constant":
        return np.full(len(steps), np.nan)
    rates = cell["learning_rate"] * schedule.schedule_factor(
        cell["schedule"] == "cosine", np.arange(cell["steps"]), cell["steps"]
    )
    with np.errstate(over="ignore"):  # a decay that makes weights grow without bound leaves infinite noise
        left = np.concatenate([[1.0], np.cumprod(np.abs(1 - rates * cell["weight_decay"]))])
    return initial.initial_std(inputs) * left[steps]


def singular_values(matrices: torch.Tensor) -> Array:
    """s [R, q] of finite matrices [R, out, in], in float64."""
    tall = matrices if matrices.shape[1] >= matrices.shape[2] else matrices.transpose(1, 2)
    return torch.linalg.svdvals(tall.double()).numpy()


def table(record: Record, name: str) -> dict[str, list[Any]]:
    """Columns of one cell's rows: a row for each matrix and snapshot, null where undefined."""
    result: dict[str, list[Any]] = {column: [] for column in table_schema().names}
    for matrix, weights in record.weights.items():
        snapshots, rows, columns = weights.shape
        finite = weights.isfinite().flatten(1).all(1)
        s = np.full((snapshots, min(rows, columns)), np.nan)
        s[finite.numpy()] = singular_values(weights[finite])
        defined = s[:, 0] > 0
        spectra = Spectra(
            s=s[defined], rows=rows, columns=columns, noise=remaining_noise(record.cell, columns, record.steps)[defined]
        )
        values = {"norm": np.linalg.norm(s, axis=1)}
        for column, found in measures(spectra, record.cell["outputs"]).items():
            values.setdefault(column, np.full(snapshots, np.nan))[defined] = found
        for index, step in enumerate(record.steps):
            row = record.cell | {"cell": name, "step": step, "matrix": matrix, "rows": rows, "columns": columns}
            row["singular_values"] = s[index].tolist() if finite[index] else None
            row |= {column: None if math.isnan(found[index]) else found[index] for column, found in values.items()}
            for column in result:
                result[column].append(row[column])
    return result


def table_schema() -> pyarrow.Schema:
    names = [
        *("cell", *AXIS_COLUMNS, "step", "matrix", "rows", "columns", "singular_values"),
        *("norm", "nuclear_norm", "schatten_half", "stable_rank", "effective_rank", "participation_ratio"),
        *("residual_1", "residual_2", "residual_3", "residual_c", "residual_c1"),
    ]
    return schema(names, described())
