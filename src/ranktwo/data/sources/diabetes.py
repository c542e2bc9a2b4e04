"""Diabetes, from scikit-learn."""

from pathlib import Path

from sklearn.datasets import load_diabetes

from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.scikit_learn import bundled


@source("diabetes", rows=(442,), columns=10, kind="regression")
def diabetes(name: str, folder: Path, download: bool) -> Raw:
    """Ten measurements of 442 patients in their own units, and their disease a year later (Efron et al. 2004)."""
    return bundled(name, *load_diabetes(return_X_y=True, scaled=False))
