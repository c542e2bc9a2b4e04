"""Rank rules that compare singular values with those of what decay left of the initial entries, which is noise.

Decay takes that noise to zero. What lies under the rounding of float32 is not counted all the same.
"""

import math

import numpy as np

from ranktwo.analysis.ranks import Array, Spectra, above, rule


@rule
def gavish_donoho(spectra: Spectra) -> Array:
    """Number of s_i > lambda*(beta) sqrt(max(rows, columns)) sigma (Gavish & Donoho 2014, known noise), sigma the sd of
    what decay left of the initial entries; null where sigma is unknown, as it is with momentum.

    beta = min(rows, columns)/max(rows, columns);
    lambda*(beta) = sqrt(2 (beta + 1) + 8 beta / (beta + 1 + sqrt(beta^2 + 14 beta + 1))), 4/sqrt(3) at beta = 1.
    """
    longer = max(spectra.rows, spectra.columns)
    beta = min(spectra.rows, spectra.columns) / longer
    shrinkage = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + math.sqrt(beta**2 + 14 * beta + 1)))
    return above(spectra.s, np.maximum(shrinkage * math.sqrt(longer) * spectra.noise, spectra.rounding))


@rule
def marchenko_pastur(spectra: Spectra) -> Array:
    """Number of s_i > sigma (sqrt(rows) + sqrt(columns)), the edge of the spectrum of noise alone (Marchenko & Pastur
    1967), sigma as in rank_gavish_donoho.
    """
    edge = spectra.noise * (math.sqrt(spectra.rows) + math.sqrt(spectra.columns))
    return above(spectra.s, np.maximum(edge, spectra.rounding))
