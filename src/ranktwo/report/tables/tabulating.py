"""What the tables have in common: how one is registered, and how means, intervals and statuses are written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import overload

import numpy as np
import pandas
from scipy import stats

from ranktwo.evidence.claims.judging import STATUSES
from ranktwo.study.axes import FAMILY


@dataclass(frozen=True)
class Table:
    """A table in two forms."""

    numbers: pandas.DataFrame
    """For programs: every number in full."""
    text: pandas.DataFrame
    """For people: text, with headings in words."""


Make = Callable[[pandas.DataFrame], Table]
"""Makes a table from rows of gaps.parquet."""


@overload
def table(make: Make) -> Make: ...
@overload
def table(*, beside: str) -> Callable[[Make], Make]: ...
def table(make: Make | None = None, *, beside: str = "") -> Make | Callable[[Make], Make]:
    """Register a table under its function's name, with hyphens for underscores.

    The first paragraph of the docstring says on the page what the table shows; all of it is the caption in the report.
    `beside` names a figure: only a study that draws it makes the table.
    """
    return make or (lambda making: making)


def setting_columns(rows: pandas.DataFrame) -> list[str]:
    """The axes that name a line: the data set, those whose values differ within a data set, and weight decay."""
    varying = [axis for axis in FAMILY if axis != "dataset" and rows.groupby("dataset")[axis].nunique().max() > 1]
    return ["dataset", *varying, "weight_decay"]


def interval(values: pandas.Series) -> tuple[float, float, int]:
    """Mean, half-width of its 95 % interval, and number n of the values that are not null.

    The half-width is t_(n-1) s/sqrt(n), with s the standard deviation of the n values and t_(n-1) the 97.5 % quantile
    of Student's distribution with n - 1 degrees of freedom; nan for fewer than two values.
    """
    values = values.dropna().astype(float)
    count = len(values)
    if count < 2:
        return (float(values.mean()) if count else np.nan), np.nan, count
    return float(values.mean()), float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)), count


def counts(cells: pandas.DataFrame) -> str:
    """How many of the cells have each status, such as `2 ok, 1 diverged`."""
    number = cells["status"].value_counts()
    return ", ".join(f"{number[status]} {status}" for status in STATUSES if status in number)


def plus_minus(mean: float, half: float) -> str:
    """A mean with its interval's half-width, to two digits of the half-width; a dash where the mean is undefined."""
    if np.isnan(mean):
        return "-"
    if np.isnan(half):
        return f"{mean:.3g}"
    if half < 1e-9:
        return f"{mean:.4f} ± 0"
    places = min(5, max(0, 1 - int(np.floor(np.log10(half)))))
    return f"{mean:.{places}f} ± {half:.{places}f}"
