"""What figures share: the data, panels, axes, colours and marks that mean the same in each of them.

A panel holds the cells of one family: a data set and one value of every axis but weight decay and seed. Lines are
medians over seeds, bands reach from the least to the greatest seed. What is no honest result is drawn as what it is:
hollow markers for unfit cells, a cross for collapsed ones, a triangle at the upper edge for diverged ones.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from ranktwo.grid import AXES

WIDTH = 7.0
"""Inches across a page of text."""
ZERO_COLOUR = "0.45"
MARKERS = "osD^vPX*"
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
"""Okabe and Ito's, told apart by colour-blind readers; with the markers also in grey."""
FAMILY = [axis for axis in AXES if axis not in ("weight_decay", "seed")]
SYMBOLS = {
    "train_size": "N = {}",
    "label_noise": "label noise {}",
    "widths": "m = {}",
    "optimizer": "{}",
    "learning_rate": "$\\eta$ = {}",
    "schedule": "{}",
    "batch_size": "B = {}",
    "decay_rule": "{} decay",
    "steps": "T = {}",
}


@dataclass(kw_only=True)
class Data:
    """What figures are drawn from: the rows of gaps.parquet of the cells asked for, and other tables when needed."""

    gaps: pandas.DataFrame
    read: Callable[[str], pandas.DataFrame]
    """Reads the rows of all cells of a table: `spectra`, `certificates` or `truncation`."""
    norm: LogNorm
    """The colours of weight decays: one scale for the study, whichever of its cells a figure draws."""

    @cached_property
    def spectra(self) -> pandas.DataFrame:
        """Spectra of V: a row for each cell and snapshot."""
        return self._of_v("spectra")

    @cached_property
    def certificates(self) -> pandas.DataFrame:
        """Certificates of V: a row for each cell and snapshot."""
        return self._of_v("certificates")

    @cached_property
    def truncation(self) -> pandas.DataFrame:
        """Truncated nets: a row for each cell."""
        rows = self.read("truncation")
        return rows[rows["cell"].isin(self.gaps["cell"])]

    def _of_v(self, name: str) -> pandas.DataFrame:
        rows = self.read(name)
        return rows[(rows["matrix"] == "V") & rows["cell"].isin(self.gaps["cell"])]

    def families(self) -> list[tuple[str, pandas.DataFrame]]:
        """Title and rows of gaps.parquet of each family, in the order of the study."""
        varying = {
            name: [axis for axis in SYMBOLS if rows[axis].nunique() > 1]
            for name, rows in self.gaps.groupby("dataset", sort=False)
        }
        result = []
        for key, rows in self.gaps.groupby(FAMILY, sort=False):
            values = dict(zip(FAMILY, key, strict=True))
            details = [SYMBOLS[axis].format(_short(values[axis])) for axis in varying[values["dataset"]]]
            seeds = rows.groupby("weight_decay")["seed"].nunique()
            count = str(seeds.min()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
            result.append((", ".join([values["dataset"], *details]) + f" ($n$ = {count})", rows))
        return result

    def colour(self, weight_decay: float) -> Any:
        """One colour for a weight decay in every figure; grey for none."""
        return plt.get_cmap()(self.norm(weight_decay)) if weight_decay > 0 else ZERO_COLOUR


def colour_scale(weight_decays: pandas.Series) -> LogNorm:
    """From the least positive weight decay to the greatest, and some way around a single one."""
    positive = weight_decays[weight_decays > 0]
    least, greatest = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    return LogNorm(least, greatest) if least < greatest else LogNorm(least / 10, greatest * 10)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def panels(data: Data, columns: int, height: float = 1.9) -> tuple[Figure, list[tuple[str, pandas.DataFrame, Any]]]:
    """A figure with `columns` axes for every family: (title, rows, axes [columns]) of each.

    With one axes for a family, three families share a row; with two, a family has a row of its own.
    """
    families = data.families()
    across = 3 if columns == 1 else columns
    down = math.ceil(len(families) * columns / across)
    drawn, axes = plt.subplots(down, across, figsize=(WIDTH, height * down + 0.4), squeeze=False)
    flat = list(axes.flat)
    for unused in flat[len(families) * columns :]:
        unused.remove()
    return drawn, [
        (title, rows, flat[index * columns : (index + 1) * columns]) for index, (title, rows) in enumerate(families)
    ]


def decay_axis(axes: Axes, values: pandas.Series) -> Callable[[Any], Any]:
    """Make x a logarithmic axis of weight decay with zero set apart at the left; returns the map from mu to x."""
    distinct = np.unique(values.to_numpy(dtype=float))
    positive = distinct[distinct > 0]
    least, greatest = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    zero = least / 10**0.6
    axes.set_xscale("log")
    axes.set_xlabel("weight decay $\\mu$")
    decades = 10.0 ** np.arange(math.ceil(math.log10(least) - 1e-9), math.floor(math.log10(greatest) + 1e-9) + 1)
    decades = decades[:: math.ceil(len(decades) / 5)] if len(decades) else np.array([least])
    labels = [f"$10^{{{round(math.log10(value))}}}$" if len(decades) > 1 else f"{value:g}" for value in decades]
    if 0 in distinct:
        decades, labels = np.append(decades, zero), [*labels, "0"]
        axes.axvline(least / 10**0.3, color="0.6", linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set_xticks(decades, labels)
    axes.xaxis.set_minor_locator(NullLocator())
    return lambda mu: np.where(np.asarray(mu, dtype=float) > 0, mu, zero)


def over_seeds(rows: pandas.DataFrame, by: str, column: str) -> pandas.DataFrame:
    """Median, least and greatest over seeds of a column at each value of `by` that has any."""
    grouped = rows.dropna(subset=[column]).groupby(by)[column]
    return pandas.DataFrame({"median": grouped.median(), "least": grouped.min(), "greatest": grouped.max()}).astype(
        float
    )


def line(axes: Axes, x: Any, seeds: pandas.DataFrame, **style: Any) -> None:
    """A median with its band."""
    (drawn,) = axes.plot(x, seeds["median"], **style)
    axes.fill_between(x, seeds["least"], seeds["greatest"], color=drawn.get_color(), alpha=0.2, linewidth=0)


def against_decay(axes: Axes, rows: pandas.DataFrame, columns: dict[str, str], place: Callable[[Any], Any]) -> None:
    """Columns against weight decay for cells that ended whole; unfit ones hollow, the others marked at the edges."""
    whole = rows[rows["status"].isin(["ok", "unfit"])]
    unfit = whole.groupby("weight_decay")["status"].agg(lambda status: (status != "ok").any())
    for column, marker, colour in zip(columns, MARKERS, COLOURS, strict=False):
        seeds = over_seeds(whole, "weight_decay", column)
        line(axes, place(seeds.index), seeds, color=colour)
        hollow = unfit.reindex(seeds.index).to_numpy(dtype=bool)
        for chosen, fill in ((~hollow, colour), (hollow, "white")):
            x, y = place(seeds.index)[chosen], seeds["median"][chosen]
            axes.plot(x, y, marker, color=colour, markerfacecolor=fill)
    mark_failures(axes, rows, place)


def entries(columns: dict[str, str]) -> list[Line2D]:
    """Legend entries of what `against_decay` draws."""
    styles = zip(columns.values(), MARKERS, COLOURS, strict=False)
    return [Line2D([], [], marker=marker, color=colour, label=label) for label, marker, colour in styles]


def rank_ticks(axis: Axis) -> None:
    """A logarithmic axis of ranks, with plain numbers, where there are ranks to show."""
    if not np.isfinite(getattr(axis.axes.dataLim, f"minpos{axis.axis_name}")):
        return
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def mark_failures(axes: Axes, rows: pandas.DataFrame, place: Callable[[Any], Any]) -> None:
    """A cross at the lower edge where cells collapsed, a triangle at the upper edge where cells diverged."""
    for status, marker, height in (("collapsed", "x", 0.03), ("diverged", "^", 0.97)):
        where = rows.loc[rows["status"] == status, "weight_decay"].unique()
        if len(where):
            transform = axes.get_xaxis_transform()
            axes.plot(
                place(where), np.full(len(where), height), marker, color="black", transform=transform, clip_on=False
            )


STATUS_MARKS = {
    "unfit": Line2D([], [], linestyle="none", marker="o", color="0.2", markerfacecolor="white", label="does not fit"),
    "collapsed": Line2D([], [], linestyle="none", marker="x", color="black", label="collapsed to zero"),
    "diverged": Line2D([], [], linestyle="none", marker="^", color="black", label="diverged"),
}


def legend(
    drawn: Figure, data: Data, handles: list[Any], columns: int = 6, statuses: tuple[str, ...] = tuple(STATUS_MARKS)
) -> None:
    """One legend above the panels, with the marks of those statuses that occur."""
    handles = handles + [STATUS_MARKS[status] for status in statuses if (data.gaps["status"] == status).any()]
    if handles:
        drawn.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), columns))


def decay_colours(drawn: Figure, data: Data, axes: Any) -> Line2D:
    """A colour bar of weight decays; returns the legend's entry for zero."""
    drawn.colorbar(ScalarMappable(data.norm, plt.get_cmap()), ax=axes, label="weight decay $\\mu$", aspect=40, pad=0.01)
    return Line2D([], [], color=ZERO_COLOUR, label="$\\mu$ = 0")
