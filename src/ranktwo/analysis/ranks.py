"""Rank rules: how one is registered, and what it may ask of a spectrum."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranktwo.store import registry
from ranktwo.store.columns import WHOLE, Column, column

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Spectra:
    """Singular values of R finite matrices W != 0 of one shape, and what a rank rule may ask of them."""

    s: Array
    """[R, q], descending, q = min(rows, columns)."""
    rows: int
    columns: int
    noise: Array
    """sigma [R]: sd of what decay left of the initial entries; nan where it is not known."""

    @property
    def rounding(self) -> Array:
        """s_1 max(m, n) eps, [R], with eps of float32, the precision of the weights: what is below may be rounding."""
        return self.s[:, 0] * max(self.rows, self.columns) * float(np.finfo(np.float32).eps)

    @property
    def norm(self) -> Array:
        """||W|| = sqrt(sum s_i^2), [R]."""
        return np.sqrt(np.sum(self.s**2, axis=1))


Rule = Callable[[Spectra], Array]


def rule(function: Rule) -> Rule:
    """Register a rank rule: a function of Spectra that returns a rank for each matrix, [R], nan where undefined.

    spectra.parquet has a column `rank_NAME` for each, NAME the function's own name, which the first paragraph of the
    function's docstring describes.
    """
    return function


def ranks(spectra: Spectra) -> dict[str, Array]:
    """Ranks by every registered rule, [R] each, by column."""
    return {_column(name): function(spectra) for name, function in registry.load_all("rule").items()}


def rank_columns() -> dict[str, Column]:
    """The columns of the rank rules."""
    return {
        _column(name): column(WHOLE, entry.summary, headline=True, kind="rank")
        for name, entry in registry.entries("rule").items()
    }


def _column(name: str) -> str:
    return f"rank_{name.replace('-', '_')}"


def above(s: Array, threshold: Array) -> Array:
    """Number of s_i > threshold for each matrix, nan where the threshold is nan."""
    return np.where(np.isnan(threshold), np.nan, np.sum(s > threshold[:, None], axis=1))
