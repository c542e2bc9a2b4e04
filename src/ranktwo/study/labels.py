"""What decides on the training labels of a data set's cells."""

from collections.abc import Mapping
from typing import Any

LABELS = ("train_size", "split", "label_noise", "seed")
"""The axes that do. The seed is that of the noise."""


def labels_of(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values on LABELS of a cell, given as its axes by name: what cells with the same labels share.

    Without noise the seed is None, as the labels are those of every seed.
    """
    return tuple(None if axis == "seed" and not cell["label_noise"] else cell[axis] for axis in LABELS)
