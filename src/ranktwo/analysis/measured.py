"""Ranks and norms of any matrix, and of all matrices in files of weights, as `spectra` has them for trained nets."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas
import pyarrow
from numpy.typing import ArrayLike
from torch import Tensor

from ranktwo.analysis import spectra
from ranktwo.analysis.ranks import rank_columns
from ranktwo.analysis.weight_files import Weights, tensor_of
from ranktwo.errors import UserError
from ranktwo.progress import over
from ranktwo.store import columns
from ranktwo.store.columns import REAL, TEXT, column
from ranktwo.store.records import MATRIX

OF_NETS = ("residual_c", "residual_c1")
"""Columns of `spectra` that need a net's number of outputs."""
NAMES = {"file": column(TEXT, "File of weights."), "tensor": column(TEXT, "Name of the tensor in the file.")}
COLUMNS = {
    "shape": column(TEXT, "Shape of the tensor; a kernel [out, in, h, w] is measured as the matrix [out, in h w]."),
    "rows": MATRIX["rows"],
    "columns": MATRIX["columns"],
    "spectral_norm": column(REAL, "s_1, the largest singular value."),
    **{name: one for name, one in spectra.COLUMNS.items() if name not in OF_NETS},
    **rank_columns(),
    "remark": column(TEXT, "Why ranks and residuals are null."),
}


def schema() -> pyarrow.Schema:
    """Of the table of `of_files`."""
    return columns.schema({**NAMES, **COLUMNS})


def measure(matrix: ArrayLike | Tensor) -> pandas.Series:
    """A matrix's norms, ranks by every rule and residuals, null where undefined; of an array of any number type.

    More dimensions than two are flattened to [first, all others].
    """
    tensor = matrix if isinstance(matrix, Tensor) else _given(matrix)
    if tensor.ndim < 2:
        raise UserError(f"a matrix has two dimensions or more, not the shape {list(tensor.shape)}; reshape it")
    return pandas.Series(_row(tensor), dtype=object)


def _given(matrix: ArrayLike) -> Tensor:
    """The tensor of an array or of nested lists; UserError where they are no numbers that PyTorch knows."""
    what = type(matrix).__name__
    try:
        array = np.asarray(matrix)
        what = f"array of {array.dtype.name}"
        return tensor_of(array)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"a matrix has rows of one length, of whole, real or complex numbers, which this {what} has not; convert "
            "it, say with numpy.array(matrix, dtype=float)"
        ) from error


def of_files(files: Iterable[Weights]) -> pyarrow.Table:
    """A row for each matrix of these files."""
    rows = []
    for file in files:
        for name, tensor in over(file.matrices.items(), f"{file.path}: {len(file.matrices)} matrices", "matrices"):
            rows.append({"file": str(file.path), "tensor": name, **_row(tensor)})
    return pyarrow.Table.from_pylist(rows, schema=schema())


def _row(tensor: Tensor) -> dict[str, Any]:
    """The columns of a tensor's matrix."""
    flat = tensor.detach().to_dense().cpu().flatten(1)
    m, n = flat.shape
    shape = "x".join(map(str, tensor.shape))
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"shape": shape, "rows": m, "columns": n}
    if flat.is_complex() or not flat.numel():
        return row | {"remark": "complex numbers" if flat.is_complex() else "no entries"}
    with np.errstate(over="ignore", invalid="ignore"):  # squares of numbers beyond 1e154
        s, values = spectra.measured(flat.double()[None], np.full(1, np.nan), 1)
    if math.isnan(s[0, 0]):
        return row | {"remark": "nan or infinity among its entries"}
    row |= {"singular_values": s[0].tolist(), "spectral_norm": float(s[0, 0])}
    row |= {name: _number(name, number[0]) for name, number in values.items() if name in COLUMNS}
    return row | {"remark": "all entries are zero" if s[0, 0] == 0 else None}


def _number(name: str, value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return float(value) if COLUMNS[name].type == REAL else int(value)
