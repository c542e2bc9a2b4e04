"""Rank rules that compare singular values with a fraction of the spectrum itself."""

import numpy as np

from ranktwo.analysis.ranks import Array, Spectra, above, rule


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
