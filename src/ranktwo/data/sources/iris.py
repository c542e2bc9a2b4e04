"""Iris, from scikit-learn."""

from pathlib import Path

from sklearn.datasets import load_iris

from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.scikit_learn import bundled


@source("iris", rows=(150,), columns=4, kind="classification", classes=3)
def iris(name: str, folder: Path, download: bool) -> Raw:
    """Lengths and widths of sepals and petals of 150 irises, in cm, and their species, one of three (Fisher 1936)."""
    return bundled(name, *load_iris(return_X_y=True))
