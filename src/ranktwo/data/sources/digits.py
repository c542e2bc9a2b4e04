"""Digits, from scikit-learn."""

from pathlib import Path

from sklearn.datasets import load_digits

from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.scikit_learn import bundled


@source("digits", rows=(1_797,), columns=64, kind="classification", classes=10, image=(8, 8, 1))
def digits(name: str, folder: Path, download: bool) -> Raw:
    """8 x 8 images of handwritten digits, grey values 0..16, and the digit 0..9 (UCI, Alpaydin and Kaynak 1998)."""
    return bundled(name, *load_digits(return_X_y=True))
