"""Matrices from the input to the output, as the x axis of figures."""

from typing import Any

import pandas
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ranktwo.report.drawing.data import Data
from ranktwo.report.drawing.marks import dashed_entry, decay_style, line, over_seeds
from ranktwo.report.drawing.scales import STANDS_FOR

SHORT, MOST = 3, 8
"""Characters of a name, and names, that fit below a panel; longer or more of them are numbered."""


def over_depth(axes: Axes, data: Data, rows: pandas.DataFrame, column: str) -> None:
    """Draw a column against the matrices by their depth, a line for each weight decay, dashed where a cell is not ok.

    `rows` has a row for each cell and matrix, with its `depth` and the cell's `status`.
    """
    names = list(rows.drop_duplicates("depth").sort_values("depth")["matrix"])
    for weight_decay, cells in rows.groupby("weight_decay"):
        seeds = over_seeds(cells, "depth", column)
        if len(seeds):
            line(axes, seeds.index, seeds, marker=".", **decay_style(data, weight_decay, cells["status"]))
    STANDS_FOR[axes] = lambda x: names[round(x) - 1] if 1 <= x <= len(names) else x
    if len(names) <= MOST:
        fit = all(len(name) <= SHORT for name in names)
        axes.set_xticks(range(1, len(names) + 1), names if fit else list(map(str, range(1, len(names) + 1))))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0.5, max(len(names), 1) + 0.5)


def depth_entries(data: Data) -> list[Any]:
    """The legend's entries of what `over_depth` draws."""
    decays = [Line2D([], [], **data.line_style(mu)) for mu in sorted(data.gaps["weight_decay"].unique())]
    return [*decays, dashed_entry()]
