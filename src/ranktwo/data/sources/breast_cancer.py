"""Breast cancer, from scikit-learn."""

from pathlib import Path

from sklearn.datasets import load_breast_cancer

from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.scikit_learn import bundled


@source("breast-cancer", rows=(569,), columns=30, kind="classification", classes=2)
def breast_cancer(name: str, folder: Path, download: bool) -> Raw:
    """30 measurements of cell nuclei of 569 tumours; malignant is 0, benign 1 (UCI, Wolberg et al. 1995)."""
    return bundled(name, *load_breast_cancer(return_X_y=True))
