"""What figures share: the data, panels, axes, colours and marks that mean the same in each of them.

A panel holds the cells of one family: a data set and one value of every axis but weight decay and seed. Lines are
medians over seeds, bands reach from the least to the greatest seed. What is no honest result is drawn as what it is:
hollow markers for unfit cells, a cross for collapsed ones, a triangle at the upper edge for diverged ones.

What is drawn under a label stands in the figure's CSV, which ranktwo.sidecar reads off the drawing itself; what has no
label (grids, shades, the line that sets zero apart) is no result.
"""

from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import ZERO_COLOUR, ZERO_DASHES, Data, decay_map
from ranktwo.study.axes import AXES

matplotlib.use("agg")
MARKERS = "osD^vPX*"
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
"""Okabe and Ito's, told apart by colour-blind readers; with the markers also in grey."""
FAMILY = [axis for axis in AXES if axis not in ("weight_decay", "seed")]


def fit_decays(rows: pandas.DataFrame, least: float = 1e-300) -> pandas.Index:
    """Weight decays from `least` on at which every cell is ok, ascending."""
    fit = rows.groupby("weight_decay")["status"].agg(lambda status: (status == "ok").all()).astype(bool)
    return fit.index[fit & (fit.index >= least)]


def over_seeds(rows: pandas.DataFrame, by: str, column: str) -> pandas.DataFrame:
    """Median, least and greatest over seeds of a column at each value of `by` that has any."""
    grouped = rows.dropna(subset=[column]).groupby(by)[column]
    return pandas.DataFrame({"median": grouped.median(), "least": grouped.min(), "greatest": grouped.max()}).astype(
        float
    )


def line(axes: Axes, x: Any, seeds: pandas.DataFrame, *, label: str, **style: Any) -> None:
    """A median with its band."""
    (drawn,) = axes.plot(x, seeds["median"], label=label, **style)
    band(axes, x, seeds, label=label, color=drawn.get_color())


def band(axes: Axes, x: Any, seeds: pandas.DataFrame, **style: Any) -> None:
    """From the least to the greatest seed."""
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
    """A column of cells that ended whole, with a marker at each value of `by`, hollow where a cell is unfit."""
    whole = rows[rows["status"].isin(["ok", "unfit"])]
    unfit = whole.groupby(by)["status"].agg(lambda status: (status != "ok").any())
    seeds = over_seeds(whole, by, column)
    marker = {"marker": style.pop("marker"), "linestyle": "none", "color": style["color"], "label": label}
    axes.plot(place(seeds.index), seeds["median"], **style)
    band(axes, place(seeds.index), seeds, label=label, color=style["color"])
    hollow = unfit.reindex(seeds.index).to_numpy(dtype=bool)
    for chosen, fill in ((~hollow, style["color"]), (hollow, "white")):
        x, y = place(seeds.index)[chosen], seeds["median"][chosen]
        axes.plot(x, y, **marker, markerfacecolor=fill)


def against_decay(axes: Axes, rows: pandas.DataFrame, columns: dict[str, str], place: Callable[[Any], Any]) -> None:
    """Columns against weight decay for cells that ended whole; unfit ones hollow, the others marked at the edges."""
    for (column, label), marker, colour in zip(columns.items(), MARKERS, COLOURS, strict=False):
        marked(axes, rows, column, place, marker=marker, color=colour, label=label)
    mark_failures(axes, rows, place)


def entries(columns: dict[str, str]) -> list[Line2D]:
    """Legend entries of what `against_decay` draws."""
    styles = zip(columns.values(), MARKERS, COLOURS, strict=False)
    return [Line2D([], [], marker=marker, color=colour, label=label) for label, marker, colour in styles]


def mark_failures(axes: Axes, rows: pandas.DataFrame, place: Callable[[Any], Any], by: str = "weight_decay") -> None:
    """A cross at the lower edge where cells collapsed, a triangle at the upper edge where cells diverged."""
    for status, marker, height in (("collapsed", "x", 0.03), ("diverged", "^", 0.97)):
        mark_edge(axes, place(rows.loc[rows["status"] == status, by].unique()), marker, height, label=status)


def mark_edge(axes: Axes, x: Any, marker: str, height: float, label: str) -> None:
    """Black markers at a height of 0, the lower edge, to 1, the upper one, for what has no y to be drawn at."""
    if len(x):
        transform = axes.get_xaxis_transform()
        axes.plot(x, np.full(len(x), height), marker, color="black", transform=transform, clip_on=False, label=label)


STATUS_MARKS = {
    "unfit": Line2D([], [], linestyle="none", marker="o", color="0.2", markerfacecolor="white", label="does not fit"),
    "collapsed": Line2D([], [], linestyle="none", marker="x", color="black", label="collapsed to zero"),
    "diverged": Line2D([], [], linestyle="none", marker="^", color="black", label="diverged"),
}


def legend(
    drawn: Figure,
    data: Data,
    handles: list[Any],
    columns: int = 6,
    statuses: tuple[str, ...] = tuple(STATUS_MARKS),
    place: str = "center",
    title: str = "",
) -> None:
    """One legend above the panels, with the marks of statuses that occur; in a column a `right` one is below."""
    handles = handles + [STATUS_MARKS[status] for status in statuses if (data.gaps["status"] == status).any()]
    edge = "upper"
    if data.width == "column":
        edge, place = "lower" if place == "right" else "upper", "center"
        columns = 1 if max((len(handle.get_label()) for handle in handles), default=0) > 24 else 2
    loc: Any = f"outside {edge} {place}"
    if handles:
        columns = min(len(handles), columns)
        drawn.legend(handles=handles, loc=loc, ncols=columns, title=title or None)


def decay_colours(drawn: Figure, data: Data, axes: Any) -> Line2D:
    """A colour bar of weight decays; returns the legend's entry for zero."""
    scale = ScalarMappable(data.norm, decay_map())
    drawn.colorbar(scale, ax=axes, label="weight decay $\\mu$", aspect=40, pad=0.01)
    return Line2D([], [], color=ZERO_COLOUR, linestyle=ZERO_DASHES, label="$\\mu$ = 0")
