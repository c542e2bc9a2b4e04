"""The table of results: how well the nets fit and generalize, and the rank of V, by weight decay."""

import pandas

from ranktwo.evidence.effects import Effect
from ranktwo.report.tables.tabulating import Table, plus_minus, settings, table

SHOWN = {
    "train_loss": "train loss",
    "test_loss": "test loss",
    "train_score": "train accuracy or R2",
    "test_score": "test accuracy or R2",
    "effective_rank": "effective rank",
    "residual_2": "rank-two residual",
}
"""Columns that are averaged over splits and seeds, with their headings."""


@table
def results(rows: pandas.DataFrame) -> Table:
    """Losses, scores and ranks by data set and weight decay: means over splits of means over their seeds, with 95 %
    intervals over the splits, or over the seeds where there is one split.

    Intervals are Student's t; fewer than three splits, or seeds of one split, have none. Cells that collapsed or
    diverged are counted, and left out of the means.
    """
    rows = rows.assign(
        train_score=rows["train_accuracy"].fillna(rows["train_r2"]),
        test_score=rows["test_accuracy"].fillna(rows["test_r2"]),
    )
    numbers, text = [], []
    for averaged, number, line in settings(rows):
        for column, name in SHOWN.items():
            effect = Effect.of(averaged[column])
            number |= {column: effect.value, f"{column}_low": effect.low, f"{column}_high": effect.high}
            line[name] = plus_minus(effect)
        numbers.append(number)
        text.append(line)
    return Table(pandas.DataFrame(numbers), pandas.DataFrame(text))
