"""TODO report.tables."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas
from scipy import stats

from ranktwo.evidence.wording import short
from ranktwo.study.axes import FAMILY, HEADINGS


@dataclass(frozen=True)
class Table:
    """A table twice: with numbers in full, and with text for people."""

    numbers: pandas.DataFrame
    text: pandas.DataFrame


Make = Callable[[pandas.DataFrame], Table]
TABLES: dict[str, Make] = {}


def table(function: Make) -> Make:
    """Register a table under its function's name."""
    TABLES[function.__name__] = function
    return function


def interval(values: pandas.Series) -> tuple[float, float, int]:
    """Mean, half-width of its 95 % interval (Student's t, nan for fewer than two values), and the number of values."""
    values = values.dropna().astype(float)
    count = len(values)
    if count < 2:
        return (float(values.mean()) if count else np.nan), np.nan, count
    return float(values.mean()), float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)), count


@table
def results(rows: pandas.DataFrame) -> Table:
    """Losses, scores and ranks by data set and weight decay: mean over seeds and its 95 % interval.

    Cells that collapsed or diverged are counted, and left out of the means.
    """
    rows = rows.assign(
        train_score=rows["train_accuracy"].fillna(rows["train_r2"]),
        test_score=rows["test_accuracy"].fillna(rows["test_r2"]),
    )
    varying = [axis for axis in FAMILY if axis != "dataset" and rows[axis].nunique() > 1]
    keys = ["dataset", *(axis for axis in varying if rows.groupby("dataset")[axis].nunique().max() > 1), "weight_decay"]
    columns = ["train_loss", "test_loss", "train_score", "test_score", "effective_rank", "residual_2"]
    numbers, text = [], []
    for values, cells in rows.groupby([*FAMILY, "weight_decay"], sort=False):
        named = dict(zip([*FAMILY, "weight_decay"], values, strict=True))
        whole = cells[cells["status"].isin(["ok", "unfit"])]
        number = {key: named[key] for key in keys} | {
            "cells": len(cells),
            "averaged": len(whole),
            "status": counts(cells),
        }
        line = {HEADINGS.get(key, key): short(named[key]) for key in keys}
        line |= {"n": f"{len(whole)}", "status": counts(cells)}
        for column in columns:
            mean, half, _ = interval(whole[column])
            number |= {column: mean, f"{column}_low": mean - half, f"{column}_high": mean + half}
            line[HEADINGS[column]] = plus_minus(mean, half)
        numbers.append(number)
        text.append(line)
    return Table(pandas.DataFrame(numbers), pandas.DataFrame(text))


@table
def grid(rows: pandas.DataFrame) -> Table:
    """The grid as it was run: the values of every axis, and how each family of cells ended."""
    lines = []
    for values, cells in rows.groupby(FAMILY, sort=False):
        line = {HEADINGS.get(axis, axis): short(value) for axis, value in zip(FAMILY, values, strict=True)}
        line["weight decays"] = " ".join(short(value) for value in sorted(cells["weight_decay"].unique()))
        line["seeds"] = " ".join(str(seed) for seed in sorted(cells["seed"].unique()))
        lines.append(line | {"cells": str(len(cells)), "status": counts(cells)})
    frame = pandas.DataFrame(lines)
    return Table(frame, frame)


def counts(cells: pandas.DataFrame) -> str:
    """`3 ok` or `2 ok, 1 diverged`."""
    found = cells["status"].value_counts()
    return ", ".join(f"{found[name]} {name}" for name in ("ok", "unfit", "collapsed", "diverged") if name in found)


def plus_minus(mean: float, half: float) -> str:
    """A mean with its interval's half-width, to two digits of the latter; a dash where undefined."""
    if np.isnan(mean):
        return "-"
    if np.isnan(half):
        return f"{mean:.3g}"
    if half < 1e-9:
        return f"{mean:.4f} ± 0"
    places = min(5, max(0, 1 - int(np.floor(np.log10(half)))))
    return f"{mean:.{places}f} ± {half:.{places}f}"
