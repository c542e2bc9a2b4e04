"""Addition of whole numbers modulo p, the task on which grokking was found (Power et al. 2022)."""

from pathlib import Path

import numpy as np

from ranktwo.data.sources.base import Raw, source


@source("modular", kind="classification")
def modular(name: str, folder: Path, download: bool, *, modulus: int) -> Raw:
    """All p^2 pairs (a, b) as two one-hot codes [2 p], and the class (a + b) mod p; p is the option `modulus`.

    Use it with `scaling: none`, which leaves the codes zeros and ones. As an image a row is two pixels with p channels,
    so that a transformer has two tokens, a and b.
    """
    first, second = np.divmod(np.arange(modulus**2), modulus)
    codes = np.eye(modulus, dtype=np.float32)
    return Raw(
        kind="classification",
        train_x=np.hstack([codes[first], codes[second]]),
        train_y=(first + second) % modulus,
        verified="structure",
        image=(1, 2, modulus),
    )
