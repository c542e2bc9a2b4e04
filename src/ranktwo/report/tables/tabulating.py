"""What the tables have in common: how one is registered, its lines, and how means and statuses are written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pandas

from ranktwo.evidence.claims.judging import STATUSES
from ranktwo.evidence.effects import Effect
from ranktwo.evidence.wording import short
from ranktwo.report.statuses import alive
from ranktwo.study.axes import FAMILY, REPLICATE, heading

ROUNDING = 1e-12
"""Half of an interval, as a share of the mean, that is rounding and no spread."""
MOST_PLACES = 5
"""Most digits after the point; smaller numbers have a power of ten."""


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


def settings(rows: pandas.DataFrame) -> Iterator[tuple[pandas.DataFrame, dict[str, Any], dict[str, str]]]:
    """Of each setting the cells to average, by (split, seed), and how its line begins: in numbers, and as text.

    The axes that name it are the data set, those whose values differ within a data set, and weight decay. Cells that
    collapsed or diverged are counted, and not averaged; a run that the study names twice is averaged once.
    """
    varying = [axis for axis in FAMILY if axis != "dataset" and rows.groupby("dataset")[axis].nunique().max() > 1]
    for values, cells in rows.groupby([*FAMILY, "weight_decay"], sort=False):
        own = dict(zip([*FAMILY, "weight_decay"], values, strict=True))
        named = {axis: own[axis] for axis in ("dataset", *varying, "weight_decay")}
        averaged, status = alive(cells).drop_duplicates([*REPLICATE]).set_index([*REPLICATE]), counts(cells)
        numbers = named | {"cells": len(cells), "averaged": len(averaged), "status": status}
        text = {heading(axis): short(value) for axis, value in named.items()}
        yield averaged, numbers, text | {"n": f"{len(averaged)}", "status": status}


def counts(cells: pandas.DataFrame) -> str:
    """How many of the cells have each status, such as `2 ok, 1 diverged`."""
    number = cells["status"].value_counts()
    return ", ".join(f"{number[status]} {status}" for status in STATUSES if status in number)


def plus_minus(effect: Effect) -> str:
    """A mean with its interval's half-width, to two digits of the half-width; a dash where the mean is undefined."""
    mean, half = effect.value, effect.high - effect.value
    if np.isnan(mean):
        return "-"
    if np.isnan(half):
        return f"{mean:.3g}"
    if half <= ROUNDING * abs(mean):
        return f"{mean:.3g} ± 0"
    places = max(0, 1 - int(np.floor(np.log10(half))))
    return f"{mean:.{places}f} ± {half:.{places}f}" if places <= MOST_PLACES else f"{mean:.3g} ± {half:.2g}"
