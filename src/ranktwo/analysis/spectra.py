"""Singular values of weight matrices and of products of two at every snapshot, and their ranks under named rules.

Shapes: R matrices of one shape at a time; s [R, q] float64, descending, q = min(rows, columns).
Everything is undefined, nan here and null in the file, at W = 0 or where a weight is not finite.
"""

import math
from typing import Any

import numpy as np
import pyarrow
import torch

from ranktwo.analysis.inputs import Inputs, analysis
from ranktwo.analysis.ranks import Array, Spectra, rank_columns, ranks
from ranktwo.nets import initial
from ranktwo.nets.products import Product
from ranktwo.store import columns
from ranktwo.store.columns import REAL, REALS, TEXT, column
from ranktwo.store.records import MATRIX, SNAPSHOT, Record
from ranktwo.study import theory
from ranktwo.study.axes import CELL_COLUMNS, MLP
from ranktwo.study.schedules import schedule_factor

COLUMNS = {
    "singular_values": column(
        REALS,
        "s_1 >= ... >= s_q >= 0, q = min(rows, columns), in float64 of the float32 weights; null if any is not finite.",
    ),
    "norm": column(REAL, "Frobenius norm ||W||.", headline=True),
    "nuclear_norm": column(REAL, "sum s_i."),
    "schatten_half": column(REAL, "Schatten quasi-norm with p = 1/2: (sum s_i^(1/2))^2."),
    "stable_rank": column(REAL, "sum s_i^2 / s_1^2.", headline=True),
    "effective_rank": column(REAL, "exp(-sum p_i ln p_i), p_i = s_i / sum s (Roy & Vetterli 2007).", headline=True),
    "participation_ratio": column(REAL, "(sum s_i^2)^2 / sum s_i^4.", headline=True),
    "residual_1": column(
        REAL,
        "d_1/||W||, d_r = sqrt(sum over i > r of s_i^2): relative distance to rank one (Eckart-Young).",
        headline=True,
    ),
    "residual_2": column(REAL, "d_2/||W||: relative distance to rank two.", headline=True),
    "residual_3": column(REAL, "d_3/||W||.", headline=True),
    "residual_c": column(REAL, "d_c/||W||, c the number of outputs.", headline=True),
    "residual_c1": column(REAL, "d_(c+1)/||W||.", headline=True),
}
PRODUCT = {
    "factors": column(TEXT, "The two matrices of a product A B, as W_Q^T W_K of a head; null in a matrix's row."),
    "imbalance": column(
        REAL,
        "||A^T A - B B^T||/(||A^T A|| + ||B B^T||) of a product A B: 0 where its factors are balanced, as at a "
        "stationary point of the decayed loss (methods.md); at most 1. This and the next two are null "
        "in a matrix's row.",
    ),
    "factor_effective_rank": column(REAL, "Geometric mean of the effective ranks of A and B."),
    "aligned_effective_rank": column(
        REAL,
        "exp(-sum p_i ln p_i), p_i = s_i(A) s_i(B)/sum s(A) s(B): the effective rank that A B would have with the "
        "singular values of its factors, if the singular vectors between them were the same.",
    ),
}
"""Columns of products alone."""


def schema() -> pyarrow.Schema:
    """Of the table of `spectra`: the columns above, and one for each rank rule."""
    return columns.schema({**CELL_COLUMNS, **SNAPSHOT, **MATRIX, **COLUMNS, **PRODUCT, **rank_columns()})


@analysis(rows="cell, snapshot, and matrix or product", schema=schema)
def spectra(inputs: Inputs) -> pyarrow.Table:
    """Singular values of every weight matrix and product of two at every snapshot, norms, and ranks by named rules."""
    fields = schema()
    tables = [
        pyarrow.table(rows_of(record, cell, fields.names), schema=fields) for cell, record in inputs.cells("spectra")
    ]
    return pyarrow.concat_tables(tables)


def rows_of(record: Record, cell: str, names: list[str]) -> dict[str, list[Any]]:
    """The named columns of one cell's rows: a row for each matrix or product and snapshot, null where undefined."""
    result: dict[str, list[Any]] = {name: [] for name in names}
    outputs = record.cell["outputs"]

    def add(matrix: str, weights: torch.Tensor, noise: Array, factors: str | None, more: dict[str, Array]) -> None:
        _, m, n = weights.shape
        s, values = measured(weights, noise, outputs)
        for index, step in enumerate(record.steps):
            row = record.cell | {"cell": cell, "step": step, "matrix": matrix, "rows": m, "columns": n}
            row["factors"] = factors
            row["singular_values"] = None if math.isnan(s[index, 0]) else s[index].tolist()
            for name, series in (values | more).items():
                row[name] = None if math.isnan(series[index]) else series[index]
            for name in result:
                result[name].append(row[name])

    nothing = np.full(len(record.steps), math.nan)
    for matrix, weights in record.weights.items():
        n = weights.shape[2]
        std = initial.initial_std(n) if record.cell["net"] == MLP else float(weights[0].double().square().mean().sqrt())
        noise = remaining_noise(record.cell, std, record.steps)
        add(matrix, weights, noise, None, dict.fromkeys(PRODUCT.keys() - {"factors"}, nothing))
    for name, facts in record.products.items():
        product = Product(*facts)
        a, b = product.factors(*(record.weights[side].double() for side in (product.left, product.right)))
        # The entries of a product of random matrices are not independent: nothing is known of their noise.
        add(name, a @ b, nothing, f"{product.left}, {product.right}", of_factors(a, b))
    return result


def of_factors(a: torch.Tensor, b: torch.Tensor) -> dict[str, Array]:
    """The numbers of PRODUCT, [R] each, of A [R, rows, units] and B [R, units, columns]; nan where undefined."""
    finite = (a.isfinite().flatten(1).all(1) & b.isfinite().flatten(1).all(1)).numpy()
    first, second = (singular_values(factor[finite]) for factor in (a, b))
    shorter = min(first.shape[1], second.shape[1])
    left, right = a.mT @ a, b @ b.mT
    sizes = torch.linalg.matrix_norm(left) + torch.linalg.matrix_norm(right)
    result = {
        "factor_effective_rank": np.sqrt(effective_rank(first) * effective_rank(second)),
        "aligned_effective_rank": effective_rank(first[:, :shorter] * second[:, :shorter]),
    }
    for name, numbers in result.items():
        result[name] = np.full(len(finite), math.nan)
        result[name][finite] = numbers
    return {"imbalance": (torch.linalg.matrix_norm(left - right) / sizes).numpy(), **result}


def measured(weights: torch.Tensor, noise: Array, outputs: int) -> tuple[Array, dict[str, Array]]:
    """s [R, q] of matrices [R, out, in], and norms, ranks and residuals, [R] each, by column; nan where undefined."""
    count, m, n = weights.shape
    finite = weights.isfinite().flatten(1).all(1)
    s = np.full((count, min(m, n)), np.nan)
    s[finite.numpy()] = singular_values(weights[finite])
    defined = s[:, 0] > 0
    values = {"norm": np.linalg.norm(s, axis=1)}
    found = measures(Spectra(s=s[defined], rows=m, columns=n, noise=noise[defined]), outputs)
    for name, numbers in found.items():
        values.setdefault(name, np.full(count, np.nan))[defined] = numbers
    return s, values


def singular_values(matrices: torch.Tensor) -> Array:
    """s [R, q] of finite matrices [R, out, in], in float64."""
    tall = matrices if matrices.shape[1] >= matrices.shape[2] else matrices.transpose(1, 2)
    return torch.linalg.svdvals(tall.double()).numpy()


def remaining_noise(cell: dict[str, Any], std: float, steps: list[int]) -> Array:
    """sigma at each step: `std` of an initial entry times prod over t of |1 - eta_t mu|, the share that decay leaves.

    Exact where decay multiplies W by 1 - eta_t mu at each step. Nan where it does not, as with coupled decay and
    momentum and with a decay that depends on the batch, and where it is not known. [S].
    """
    if not theory.shrinks_geometrically(cell, facts=cell):
        return np.full(len(steps), np.nan)
    rates = cell["learning_rate"] * schedule_factor(cell["schedule"], np.arange(cell["steps"]), cell["steps"])
    with np.errstate(over="ignore"):  # a decay that makes weights grow without bound leaves infinite noise
        left = np.concatenate([[1.0], np.cumprod(np.abs(1 - rates * cell["weight_decay"]))])
    return std * left[steps]


def measures(spectra: Spectra, outputs: int) -> dict[str, Array]:
    """Norms, continuous ranks, residuals and ranks by every rule, [R] each, by column."""
    return {**continuous(spectra, outputs), **ranks(spectra)}


def continuous(matrices: Spectra, outputs: int) -> dict[str, Array]:
    """Norms, continuous ranks and residuals, [R] each, by column: all that no rank rule says."""
    s = matrices.s
    # Scaled by s_1 first: the fourth power of a nearly collapsed spectrum underflows.
    scaled = s / s[:, :1]
    energy_sum = np.sum(scaled**2, axis=1)
    return {
        "norm": matrices.norm,
        "nuclear_norm": s.sum(axis=1),
        "schatten_half": np.sum(np.sqrt(s), axis=1) ** 2,
        "stable_rank": energy_sum,
        "effective_rank": effective_rank(s),
        "participation_ratio": energy_sum**2 / np.sum(scaled**4, axis=1),
        **{f"residual_{r}": residual(scaled, r) for r in (1, 2, 3)},
        "residual_c": residual(scaled, outputs),
        "residual_c1": residual(scaled, outputs + 1),
    }


def effective_rank(s: Array) -> Array:
    """exp(-sum p_i ln p_i), p_i = s_i / sum s (Roy & Vetterli 2007), of s [R, q]; nan where all s_i are 0."""
    sums = s.sum(axis=1, keepdims=True)
    p = s / np.where(sums > 0, sums, math.nan)
    return np.exp(-np.sum(p * np.log(p, out=np.zeros_like(p), where=p > 0), axis=1))


def residual(s: Array, r: int) -> Array:
    """sqrt(sum_{i>r} s_i^2) / ||W||: relative distance to the nearest matrix of rank r (Eckart-Young), [R]."""
    return np.sqrt(np.sum(s[:, r:] ** 2, axis=1) / np.sum(s**2, axis=1))
