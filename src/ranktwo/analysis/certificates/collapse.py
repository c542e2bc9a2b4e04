"""The weight decay above which each cell of a stack collapses to zero."""

import math
from typing import Any

from torch import Tensor

from ranktwo.analysis.critical import critical_decay
from ranktwo.analysis.updates import is_penalised
from ranktwo.data.dataset import Dataset
from ranktwo.store.columns import REAL, column
from ranktwo.study import theory
from ranktwo.study.labels import labels_of

COLUMNS = {
    "critical_decay": column(
        REAL,
        "mu_c: a two-layer net trained by gradient flow collapses to zero if mu > mu_c; null for other nets than "
        "two bias-free ReLU layers and where decay is not added to the gradient.",
        headline=True,
    ),
}


def critical_decays(cells: list[dict[str, Any]], data: Dataset, x: Tensor, targets: list[Tensor]) -> list[float]:
    """mu_c of what each cell is trained on, inputs x [N, n] and its own targets [N, c].

    All rows of the data set without noise have the data set's mu_c, which its file states. The others' is worked out,
    once for all cells with the same targets. Nan where decay is not the gradient of a penalty, and for nets that are
    not two bias-free ReLU layers.
    """
    known: dict[tuple[Any, ...], float] = {}
    result = []
    for cell, own in zip(cells, targets, strict=True):
        if not is_penalised(cell) or theory.why_not_two_layers(cell):
            result.append(math.nan)
            continue
        labels = labels_of(cell)
        if labels not in known:
            whole = cell["label_noise"] == 0 and len(x) == len(data.train_x)
            known[labels] = data.metadata["critical_decay"] if whole else critical_decay(x, own, data.task)[0]
        result.append(known[labels])
    return result
