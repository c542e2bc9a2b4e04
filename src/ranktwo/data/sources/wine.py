"""Wine, from scikit-learn."""

from pathlib import Path

from sklearn.datasets import load_wine

from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.scikit_learn import bundled


@source("wine", rows=(178,), columns=13, kind="classification", classes=3)
def wine(name: str, folder: Path, download: bool) -> Raw:
    """13 chemical measurements of 178 wines, and their cultivar, one of three (UCI, Aeberhard and Forina 1991)."""
    return bundled(name, *load_wine(return_X_y=True))
