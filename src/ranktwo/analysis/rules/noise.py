"""Rank rules that compare singular values with those of what decay left of the initial entries, which is noise.

The largest singular value of that noise alone is about its edge, sigma (sqrt(rows) + sqrt(columns)). Decay takes it to
zero. Where it is below s_1 max(rows, columns) eps, with eps of float32, rounding hides it, and the rules are undefined.
"""

import math

import numpy as np

from ranktwo.analysis.ranks import Array, Spectra, above, rule


@rule
def gavish_donoho(spectra: Spectra) -> Array:
    """Number of s_i > lambda*(beta) sqrt(max(rows, columns)) sigma (Gavish & Donoho 2014, known noise), sigma the sd of
    what decay left of the initial entries; null where sigma is unknown, as it is with momentum, and where that noise is
    below float32's rounding: sigma (sqrt(rows) + sqrt(columns)) < s_1 max(rows, columns) eps.

    beta = min(rows, columns)/max(rows, columns);
    lambda*(beta) = sqrt(2 (beta + 1) + 8 beta / (beta + 1 + sqrt(beta^2 + 14 beta + 1))), 4/sqrt(3) at beta = 1.
    """
    longer = max(spectra.rows, spectra.columns)
    beta = min(spectra.rows, spectra.columns) / longer
    shrinkage = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + math.sqrt(beta**2 + 14 * beta + 1)))
    return above(spectra.s, shrinkage * math.sqrt(longer) * _visible_noise(spectra))


@rule
def marchenko_pastur(spectra: Spectra) -> Array:
    """Number of s_i > sigma (sqrt(rows) + sqrt(columns)), the edge of the spectrum of noise alone (Marchenko & Pastur
    1967); sigma, and null, as in rank_gavish_donoho.
    """
    return above(spectra.s, _edge(spectra) * _visible_noise(spectra))


def _edge(spectra: Spectra) -> float:
    """sqrt(m) + sqrt(n)."""
    return math.sqrt(spectra.rows) + math.sqrt(spectra.columns)


def _visible_noise(spectra: Spectra) -> Array:
    """sigma, [R], nan where the edge of the noise is below the rounding of float32."""
    return np.where(_edge(spectra) * spectra.noise < spectra.rounding, np.nan, spectra.noise)
