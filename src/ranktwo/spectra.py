"""Singular values of every weight matrix at every snapshot, and the ranks they have under named rules.

Shapes: R matrices of one shape at a time; s [R, q] float64, descending, q = min(rows, columns).
Everything is undefined, nan here and null in the file, at W = 0 or where a weight is not finite.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
import torch
from numpy.typing import NDArray

from ranktwo import engine, files, nets, provenance
from ranktwo.columns import AXIS_COLUMNS, WHOLE, Column, schema
from ranktwo.errors import run
from ranktwo.progress import over
from ranktwo.records import Record, load_records, stage_parser

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Spectra:
    """Singular values of R finite matrices W != 0 of one shape, and what a rank rule may ask of them."""

    s: Array
    """[R, q], descending."""
    rows: int
    columns: int
    noise: Array
    """sigma [R]: sd of what decay left of the initial entries; nan where unknown."""

    @property
    def rounding(self) -> Array:
        """s_1 max(m, n) eps, [R], with eps of float32, the precision of the weights: what is below may be rounding."""
        return self.s[:, 0] * max(self.rows, self.columns) * float(np.finfo(np.float32).eps)

    @property
    def norm(self) -> Array:
        """||W|| = sqrt(sum s_i^2), [R]."""
        return np.sqrt(np.sum(self.s**2, axis=1))


Rule = Callable[[Spectra], Array]
RULES: dict[str, Rule] = {}
"""Rank rules by name; the file has a column `rank_<name>` for each."""


def rule(function: Rule) -> Rule:
    """Register a rank rule: a function of Spectra that returns a rank for each matrix, [R], nan where undefined."""
    RULES[function.__name__] = function
    return function


def above(s: Array, threshold: Array) -> Array:
    """Number of s_i > threshold for each matrix, nan where the threshold is nan."""
    return np.where(np.isnan(threshold), np.nan, np.sum(s > threshold[:, None], axis=1))


@rule
def numpy(spectra: Spectra) -> Array:
    """Number of s_i > s_1 max(rows, columns) eps, numpy.linalg.matrix_rank's rule, with eps of the weights' float32.

    By the eps of float64, in which this is computed, an exactly rank-two float32 matrix has full rank.
    """
    return above(spectra.s, spectra.rounding)


@rule
def galanti(spectra: Spectra) -> Array:
    """Number of s_i > 1e-3 ||W|| (Galanti et al., arXiv 2206.05794)."""
    return above(spectra.s, 1e-3 * spectra.norm)


@rule
def relative(spectra: Spectra) -> Array:
    """Number of s_i > 1e-2 s_1."""
    return above(spectra.s, 1e-2 * spectra.s[:, 0])


@rule
def energy(spectra: Spectra) -> Array:
    """Fewest s_i that hold 99 % of sum s_i^2."""
    held = np.cumsum(spectra.s**2, axis=1)
    return np.sum(held < 0.99 * held[:, -1:], axis=1) + 1.0


@rule
def gavish_donoho(spectra: Spectra) -> Array:
    """Number of s_i > lambda*(beta) sqrt(max(rows, columns)) sigma (Gavish & Donoho 2014, known noise), sigma the sd of
    what decay left of the initial entries; null where sigma is unknown (momentum).

    beta = min(rows, columns)/max(rows, columns);
    lambda*(beta) = sqrt(2 (beta + 1) + 8 beta / (beta + 1 + sqrt(beta^2 + 14 beta + 1))), 4/sqrt(3) at beta = 1.
    Decay takes sigma to zero; under the rounding of float32 nothing is counted all the same.
    """
    longer = max(spectra.rows, spectra.columns)
    beta = min(spectra.rows, spectra.columns) / longer
    shrinkage = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + math.sqrt(beta**2 + 14 * beta + 1)))
    return above(spectra.s, np.maximum(shrinkage * math.sqrt(longer) * spectra.noise, spectra.rounding))


@rule
def marchenko_pastur(spectra: Spectra) -> Array:
    """Number of s_i > sigma (sqrt(rows) + sqrt(columns)), the edge of the spectrum of noise alone (Marchenko & Pastur
    1967), sigma as in rank_gavish_donoho.

    As in gavish_donoho, nothing under the rounding of float32 is counted.
    """
    edge = spectra.noise * (math.sqrt(spectra.rows) + math.sqrt(spectra.columns))
    return above(spectra.s, np.maximum(edge, spectra.rounding))


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
    rates = cell["learning_rate"] * engine.schedule_factor(
        cell["schedule"] == "cosine", np.arange(cell["steps"]), cell["steps"]
    )
    with np.errstate(over="ignore"):  # a decay that makes weights grow without bound leaves infinite noise
        left = np.concatenate([[1.0], np.cumprod(np.abs(1 - rates * cell["weight_decay"]))])
    return nets.initial_std(inputs) * left[steps]


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


def described() -> dict[str, Column]:
    """Columns of the rank rules, each described by the first paragraph of its rule."""
    return {
        f"rank_{name}": (WHOLE, (function.__doc__ or "").partition("\n\n")[0].replace("\n    ", " "))
        for name, function in RULES.items()
    }


def table_schema() -> pyarrow.Schema:
    names = [
        *("cell", *AXIS_COLUMNS, "step", "matrix", "rows", "columns", "singular_values"),
        *("norm", "nuclear_norm", "schatten_half", "stable_rank", "effective_rank", "participation_ratio"),
        *("residual_1", "residual_2", "residual_3", "residual_c", "residual_c1"),
    ]
    return schema(names, described())


def main() -> None:
    arguments = stage_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    records = load_records(arguments.job, arguments.weights, arguments.history)
    cells = over(records.items(), f"{arguments.output.stem}: spectra of {len(records)} cells", "cells")
    tables = [pyarrow.table(table(record, name), schema=table_schema()) for name, record in cells]
    files.write_parquet(
        arguments.output,
        pyarrow.concat_tables(tables),
        {"provenance": provenance.circumstances("spectra", [arguments.weights, arguments.history])},
    )


if __name__ == "__main__":
    run(main)
