"""Lines, bands and markers that mean the same in every figure, and the legend that explains them.

Lines are medians over splits and seeds, and bands reach from the least to the greatest. A result that does not count is
drawn as what it is: a hollow marker where a cell does not fit, a cross where one collapsed, and a triangle at the upper
edge where one diverged.

What is drawn with a label stands in the figure's CSV, which `sidecar` reads off the drawing. What has no label (grids,
shades, the line that sets zero apart) is no result.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data
from ranktwo.report.drawing.style import COLOURS, DASHES, MARKERS, ZERO_COLOUR, ZERO_DASHES, decay_map
from ranktwo.report.statuses import alive


def fit_decays(rows: pandas.DataFrame, least: float = 1e-300) -> pandas.Index:
    """Weight decays of at least `least` at which every cell is ok, ascending."""
    fit = rows.groupby("weight_decay")["status"].agg(lambda status: (status == "ok").all()).astype(bool)
    return fit.index[fit & (fit.index >= least)]


def over_seeds(rows: pandas.DataFrame, by: str, column: str) -> pandas.DataFrame:
    """Median, least and greatest over splits and seeds of a column, at each value of `by` at which it has a number."""
    grouped = rows.dropna(subset=[column]).groupby(by)[column]
    return pandas.DataFrame({"median": grouped.median(), "least": grouped.min(), "greatest": grouped.max()}).astype(
        float
    )


def line(axes: Axes, x: Any, seeds: pandas.DataFrame, *, label: str, **style: Any) -> None:
    """Draw a median and its band."""
    (drawn,) = axes.plot(x, seeds["median"], label=label, **style)
    band(axes, x, seeds, label=label, color=drawn.get_color())


def band(axes: Axes, x: Any, seeds: pandas.DataFrame, **style: Any) -> None:
    """Draw a band from the least to the greatest."""
    axes.fill_between(x, seeds["least"], seeds["greatest"], alpha=0.2, linewidth=0, **style)


def marked(
    axes: Axes,
    rows: pandas.DataFrame,
    column: str,
    place: Callable[[Any], Any],
    by: str = "weight_decay",
    *,
    label: str,
    **style: Any,
) -> None:
    """Draw a column of the cells that are ok or unfit, with a hollow marker at values of `by` where a cell is unfit."""
    nets = alive(rows)
    unfit = nets.groupby(by)["status"].agg(lambda status: (status != "ok").any())
    seeds = over_seeds(nets, by, column)
    marker = {"marker": style.pop("marker"), "linestyle": "none", "color": style["color"], "label": label}
    axes.plot(place(seeds.index), seeds["median"], **style)
    band(axes, place(seeds.index), seeds, label=label, color=style["color"])
    hollow = unfit.reindex(seeds.index).to_numpy(dtype=bool)
    for chosen, fill in ((~hollow, style["color"]), (hollow, "white")):
        x, y = place(seeds.index)[chosen], seeds["median"][chosen]
        axes.plot(x, y, **marker, markerfacecolor=fill)


def against_decay(axes: Axes, rows: pandas.DataFrame, columns: dict[str, str], place: Callable[[Any], Any]) -> None:
    """Draw columns against weight decay; where cells are not ok, markers say so."""
    for (column, label), marker, colour in zip(columns.items(), MARKERS, COLOURS, strict=False):
        marked(axes, rows, column, place, marker=marker, color=colour, label=label)
    mark_failures(axes, rows, place)


def entries(columns: dict[str, str]) -> list[Line2D]:
    """The legend's entries of what `against_decay` draws."""
    styles = zip(columns.values(), MARKERS, COLOURS, strict=False)
    return [Line2D([], [], marker=marker, color=colour, label=label) for label, marker, colour in styles]


def mark_failures(axes: Axes, rows: pandas.DataFrame, place: Callable[[Any], Any], by: str = "weight_decay") -> None:
    """Draw a cross at the lower edge where cells collapsed, and a triangle at the upper edge where cells diverged."""
    for status, marker, height in (("collapsed", "x", 0.03), ("diverged", "^", 0.97)):
        mark_edge(axes, place(rows.loc[rows["status"] == status, by].unique()), marker, height, label=status)


def mark_edge(axes: Axes, x: Any, marker: str, height: float, label: str, color: str = "black") -> None:
    """Draw markers for what has no y, at a height from 0, the lower edge of the panel, to 1, the upper edge."""
    if len(x):
        transform = axes.get_xaxis_transform()
        axes.plot(x, np.full(len(x), height), marker, color=color, transform=transform, clip_on=False, label=label)


def decay_style(data: Data, weight_decay: float, status: pandas.Series) -> dict[str, Any]:
    """The style of a weight decay's line, dashed where a cell is not ok."""
    return data.line_style(weight_decay) | ({} if (status == "ok").all() else {"linestyle": DASHES})


def dashed_entry() -> Line2D:
    """The legend's entry of what `decay_style` dashes."""
    return Line2D([], [], color="0.2", linestyle=DASHES, label="some nets unfit, collapsed or diverged")


STATUS_MARKS: dict[str, dict[str, Any]] = {
    "unfit": {"marker": "o", "color": "0.2", "markerfacecolor": "white", "label": "does not fit"},
    "collapsed": {"marker": "x", "color": "black", "label": "collapsed to zero"},
    "diverged": {"marker": "^", "color": "black", "label": "diverged"},
}
"""The legend's entries of statuses that are not ok."""


def legend(
    drawn: Figure,
    data: Data,
    handles: list[Any],
    columns: int = 6,
    statuses: tuple[str, ...] = tuple(STATUS_MARKS),
    place: str = "center",
    title: str = "",
) -> None:
    """Draw one legend above the panels, if there is one, with the marks of the statuses that occur.

    In a figure as wide as a column, a legend whose place is `right` is put below the panels.
    """
    if not drawn.axes:
        return
    for status in statuses:
        if (data.gaps["status"] == status).any():
            handles = [*handles, Line2D([], [], linestyle="none", markersize=6, **STATUS_MARKS[status])]
    edge = "upper"
    if data.width == "column":
        edge, place = "lower" if place == "right" else "upper", "center"
        columns = 1 if max((len(handle.get_label()) for handle in handles), default=0) > 24 else 2
    loc: Any = f"outside {edge} {place}"
    if handles:
        columns = min(len(handles), columns)
        drawn.legend(handles=handles, loc=loc, ncols=columns, title=title or None)


def decay_colours(drawn: Figure, data: Data, axes: Any) -> Line2D:
    """Draw a colour bar of weight decays, unless there is none but zero; return the legend's entry for zero."""
    if (data.gaps["weight_decay"] > 0).any():
        scale = ScalarMappable(data.norm, decay_map())
        drawn.colorbar(scale, ax=axes, label="weight decay $\\mu$", aspect=40, pad=0.01)
    return Line2D([], [], color=ZERO_COLOUR, linestyle=ZERO_DASHES, label="$\\mu$ = 0")
