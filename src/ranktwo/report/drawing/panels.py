"""TODO report.drawing.panels."""

import math
import textwrap
from typing import Any, Literal

import matplotlib.pyplot as plt
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data

Width = Literal["page", "column"]
WIDTHS: dict[Width, float] = {"page": 7.0, "column": 3.4}
"""Inches across a page of text, and across one of its two columns."""
HEIGHT = 8.6
"""Inches down a page, less a caption: rows of panels are made lower to fit, down to LEAST_HEIGHT each."""
LEAST_HEIGHT = 1.25


def unbroken(text: str) -> str:
    return text.replace(" ", "\u00a0")


def plain(text: str) -> str:
    """The text on one line, with ordinary spaces."""
    return text.replace("\u00a0", " ").replace("\n", ", ")


CHARACTERS = 17
"""Of a title that stand in an inch."""
Parts = list[tuple[str, pandas.DataFrame]]


def panels(
    data: Data,
    columns: int,
    height: float = 1.9,
    across: int | None = None,
    parts: Parts | None = None,
    without: str = "no cell to draw",
) -> tuple[Figure, list[tuple[str, pandas.DataFrame, Any]]]:
    """A figure with `columns` axes for every family, or for other parts of the study: (title, rows, axes [columns]).

    `across` axes share a row, by default up to three if a part has one and otherwise as many as it has; in a column,
    one. With no part at all the figure is the sentence `without`.
    """
    parts = data.families() if parts is None else parts
    width = WIDTHS[data.width]
    if not parts:
        drawn = plt.figure(figsize=(width, 1.0))
        drawn.text(0.5, 0.5, textwrap.fill(without, round(width * CHARACTERS)), ha="center", va="center")
        return drawn, []
    across = across or ({1: 1, 2: 2, 4: 2}.get(len(parts), 3) if columns == 1 else columns)
    across = 1 if data.width == "column" else across
    down = math.ceil(len(parts) * columns / across)
    height = max(LEAST_HEIGHT, min(height, (HEIGHT - 0.6) / down))
    drawn, axes = plt.subplots(down, across, figsize=(width, height * down + 0.6), squeeze=False)
    flat = list(axes.flat)
    for unused in flat[len(parts) * columns :]:
        unused.remove()
    return drawn, [
        (title, rows, flat[index * columns : (index + 1) * columns]) for index, (title, rows) in enumerate(parts)
    ]


def finish(drawn: Figure) -> None:
    """Break titles that are wider than their panel; name an x axis once where panels above share it."""
    placed = {
        (place.rowspan.start, place.colspan.start): axes for axes in drawn.axes if (place := axes.get_subplotspec())
    }
    columns = 1 + max((column for _, column in placed), default=0)
    characters = round(drawn.get_figwidth() * CHARACTERS / columns) - (6 if columns > 1 else 0)
    for (row, column), axes in placed.items():
        lines = axes.get_title().split("\n")
        axes.set_title("\n".join(part for line in lines for part in textwrap.wrap(line, characters)))
        below = placed.get((row + 1, column))
        if below and below.get_xlabel() == axes.get_xlabel() and below.get_xscale() == axes.get_xscale():
            axes.set_xlabel("")


def say(axes: Axes, sentence: str) -> None:
    """Why a panel is empty."""
    axes.text(0.5, 0.5, sentence, ha="center", va="center", color="0.4", transform=axes.transAxes)
