"""TODO analysis.ranks."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranktwo.store.columns import WHOLE, Column

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


def described() -> dict[str, Column]:
    """Columns of the rank rules, each described by the first paragraph of its rule."""
    return {
        f"rank_{name}": (WHOLE, (function.__doc__ or "").partition("\n\n")[0].replace("\n    ", " "))
        for name, function in RULES.items()
    }
