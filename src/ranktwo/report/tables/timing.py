"""The table of timing: when nets fit, when they generalize, and when their matrices lose rank."""

import numpy as np
import pandas

from ranktwo.evidence.effects import Effect
from ranktwo.evidence.timing import OUTPUT
from ranktwo.evidence.wording import bracket
from ranktwo.evidence.wording import number as digits
from ranktwo.report.tables.tabulating import Table, settings, table

STEPS = {
    "fit_step": "fits at step",
    "generalization_step": "generalizes at step",
    "rank_fall_step": "V loses rank at step",
    f"{OUTPUT}rank_fall_step": "U loses rank at step",
}
"""Columns of steps, with their headings."""
RATIOS = {
    "rank_fall_ratio": ("rank_fall_step", "V's over that of generalization"),
    "residual_fall_ratio": ("residual_fall_step", ""),
    f"{OUTPUT}rank_fall_ratio": (f"{OUTPUT}rank_fall_step", "U's over that of generalization"),
    f"{OUTPUT}residual_fall_ratio": (f"{OUTPUT}residual_fall_step", ""),
}
"""Columns of steps over `generalization_step` of the same net, and the headings of those that people are shown."""
MATRICES = {"": "effective rank of V", OUTPUT: "effective rank of U"}
"""Headings of initial and last effective ranks, by the beginning of their columns' names."""


@table(beside="timing")
def timing(rows: pandas.DataFrame) -> Table:
    """When nets fit, when they generalize, and when V and the output matrix U lose rank, in steps of training.

    A net fits from the first snapshot with a training accuracy of 0.99 on, and generalizes from the first with a test
    accuracy of 0.9 on. A matrix loses rank at the first snapshot at which its effective rank is at most halfway from
    its initial to its last value; one that ends less than a tenth lower has no such step. Steps and their ratios are
    geometric means over splits of those over their seeds, with 95 % intervals over the splits, or over the seeds where
    there is one split, and in round brackets the number of nets that have such a step: the others are not in the mean.
    A ratio below 1 says that rank was lost before the test score rose, in the same nets. A step is known to within the
    snapshot before it. Cells that collapsed or diverged are left out.
    """
    numbers, text = [], []
    for averaged, number, line in settings(rows):
        for column, name in STEPS.items():
            own, line[name] = _mean(column, averaged[column])
            number |= own
        for column, (step, name) in RATIOS.items():
            own, said = _mean(column, averaged[step] / averaged["generalization_step"])
            number |= own
            line |= {name: said} if name else {}
        for prefix, name in MATRICES.items():
            ranks = averaged[[f"{prefix}initial_effective_rank", f"{prefix}effective_rank"]].astype(float).mean()
            number |= ranks.to_dict()
            line[name] = " to ".join(map(digits, ranks))
        numbers.append(number)
        text.append(line)
    return Table(pandas.DataFrame(numbers), pandas.DataFrame(text))


def _mean(column: str, values: pandas.Series) -> tuple[dict[str, float], str]:
    """The geometric mean of positive numbers with its 95 % interval and their number, by column, and as text."""
    known = values.dropna().astype(float)
    effect = Effect.of(np.log10(known[(known > 0) & np.isfinite(known)]))
    mean, low, high = (float(10**end) for end in (effect.value, effect.low, effect.high))
    found = {column: mean, f"{column}_low": low, f"{column}_high": high, f"{column}_n": effect.replicates}
    if not effect.replicates:
        return found, "-"
    interval = f" {bracket(low, high)}" if effect.known else ""
    return found, f"{mean:.3g}{interval} ({effect.replicates})"
