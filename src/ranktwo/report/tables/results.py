"""The table of results: how well the nets fit and generalize, and the rank of V, by weight decay."""

import pandas

from ranktwo.evidence.wording import short
from ranktwo.report.tables.tabulating import Table, counts, interval, plus_minus, setting_columns, table
from ranktwo.study.axes import FAMILY, heading

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
    """Losses, scores and ranks by data set and weight decay: mean over splits and seeds and its 95 % interval.

    Cells that collapsed or diverged are counted, and left out of the means.
    """
    rows = rows.assign(
        train_score=rows["train_accuracy"].fillna(rows["train_r2"]),
        test_score=rows["test_accuracy"].fillna(rows["test_r2"]),
    )
    keys = setting_columns(rows)
    numbers, text = [], []
    for values, cells in rows.groupby([*FAMILY, "weight_decay"], sort=False):
        setting = dict(zip([*FAMILY, "weight_decay"], values, strict=True))
        averaged = cells[cells["status"].isin(["ok", "unfit"])]
        number = {key: setting[key] for key in keys}
        number |= {"cells": len(cells), "averaged": len(averaged), "status": counts(cells)}
        line = {heading(key): short(setting[key]) for key in keys}
        line |= {"n": f"{len(averaged)}", "status": counts(cells)}
        for column, name in SHOWN.items():
            mean, half, _ = interval(averaged[column])
            number |= {column: mean, f"{column}_low": mean - half, f"{column}_high": mean + half}
            line[name] = plus_minus(mean, half)
        numbers.append(number)
        text.append(line)
    return Table(pandas.DataFrame(numbers), pandas.DataFrame(text))
