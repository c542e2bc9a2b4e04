"""Figures of panels: how many stand side by side, how high they are, and how their titles break.

A panel shows the cells of one family: a data set and one value of every axis but weight decay, split and seed.
"""

import math
import textwrap
from typing import Any

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data
from ranktwo.report.drawing.scales import tick_enough
from ranktwo.report.drawing.style import WIDTHS

HEIGHT = 8.6
"""Inches down a page without the caption. To fit, rows of panels are made lower, down to LEAST_HEIGHT each."""
LEAST_HEIGHT = 1.25
CHARACTERS = 17
"""Characters of a title that fit in an inch."""
BAR, BESIDE = 0.9, 0.45
"""Inches that a colour bar takes, and that numbers and label of a y axis take of a panel's width."""
Parts = list[tuple[str, pandas.DataFrame]]


def panels(
    data: Data,
    columns: int,
    height: float = 1.9,
    across: int | None = None,
    parts: Parts | None = None,
    without: str = "no cell to draw",
) -> tuple[Figure, list[tuple[str, pandas.DataFrame, Any]]]:
    """A figure with `columns` panels for each family, or for each of the `parts`: (title, rows, axes [columns]).

    `across` panels share a row: by default up to three if a part has one panel, else as many as a part has, and one in
    a figure as wide as a column. Without any part the figure is the sentence `without`.
    """
    parts = data.families() if parts is None else parts
    width = WIDTHS[data.width]
    if not parts:
        drawn = Figure(figsize=(width, 1.0))
        drawn.text(0.5, 0.5, textwrap.fill(without, round(width * CHARACTERS)), ha="center", va="center")
        return drawn, []
    across = across or ({1: 1, 2: 2, 4: 2}.get(len(parts), 3) if columns == 1 else columns)
    across = 1 if data.width == "column" else across
    down = math.ceil(len(parts) * columns / across)
    height = max(LEAST_HEIGHT, min(height, (HEIGHT - 0.6) / down))
    drawn = Figure(figsize=(width, height * down + 0.6))
    flat = list(drawn.subplots(down, across, squeeze=False).flat)
    for unused in flat[len(parts) * columns :]:
        unused.remove()
    return drawn, [
        (title, rows, flat[index * columns : (index + 1) * columns]) for index, (title, rows) in enumerate(parts)
    ]


def finish(drawn: Figure) -> None:
    """Break titles and sentences that are wider than their panel, name an x axis once where panels above each other
    share it, and see that every logarithmic axis has two numbers to read it by.
    """
    for axes in drawn.axes:
        for axis in (axes.xaxis, axes.yaxis):
            tick_enough(axis)
    placed = {
        (place.rowspan.start, place.colspan.start): axes for axes in drawn.axes if (place := axes.get_subplotspec())
    }
    columns = 1 + max((column for _, column in placed), default=0)
    bar = BAR if any(axes.get_label() == "<colorbar>" for axes in drawn.axes) else 0
    characters = round(CHARACTERS * ((drawn.get_figwidth() - bar) / columns - BESIDE))
    for (row, column), axes in placed.items():
        for words in (axes.title, *axes.texts):
            lines = words.get_text().split("\n")
            words.set_text("\n".join(part for line in lines for part in textwrap.wrap(line, characters)))
        below = placed.get((row + 1, column))
        if below and below.get_xlabel() == axes.get_xlabel() and below.get_xscale() == axes.get_xscale():
            axes.set_xlabel("")


def say(axes: Axes, sentence: str) -> None:
    """Write in an empty panel why it is empty."""
    axes.text(0.5, 0.5, sentence, ha="center", va="center", color="0.4", transform=axes.transAxes)
