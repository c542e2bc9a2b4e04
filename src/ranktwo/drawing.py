"""What figures share: the data, panels, axes, colours and marks that mean the same in each of them.

A panel holds the cells of one family: a data set and one value of every axis but weight decay and seed. Lines are
medians over seeds, bands reach from the least to the greatest seed. What is no honest result is drawn as what it is:
hollow markers for unfit cells, a cross for collapsed ones, a triangle at the upper edge for diverged ones.

What is drawn under a label stands in the figure's CSV, which ranktwo.sidecar reads off the drawing itself; what has no
label (grids, shades, the line that sets zero apart) is no result.
"""

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from weakref import WeakKeyDictionary

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from ranktwo.grid import AXES

Width = Literal["page", "column"]
WIDTHS: dict[Width, float] = {"page": 7.0, "column": 3.4}
"""Inches across a page of text, and across one of its two columns."""
HEIGHT = 8.6
"""Inches down a page, less a caption: rows of panels are made lower to fit, down to LEAST_HEIGHT each."""
LEAST_HEIGHT = 1.25
ZERO_COLOUR = "0.45"
ZERO_DASHES = (0, (1, 1))
ZERO_MARKER = "s"
MARKERS = "osD^vPX*"
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
"""Okabe and Ito's, told apart by colour-blind readers; with the markers also in grey."""
FAMILY = [axis for axis in AXES if axis not in ("weight_decay", "seed")]
MINI_OR_FULL = [axis for axis in FAMILY if axis not in ("batch_size", "learning_rate", "steps")]
"""What cells share that are compared across batch sizes, each of which may need its own learning rate and steps."""
OPTIONAL = {
    "gaps": ["critical_decay", "decay_ratio"],
    "certificates": [
        *("cell", "step", "steps", "matrix", "weight_decay", "norm", "d_1", "d_2", "sample_min", "sample_max"),
        *("bound_lower", "bound_upper", "mean_residual_2", "pair_bound", "data_floor"),
    ],
    "truncation": [
        *("cell", "weight_decay", "truncation_ranks", "truncated_test_score", "shrunk_test_score", "functional_rank"),
        *("plane_1", "plane_2", "outgoing", "mean_1", "mean_2"),
    ],
}
"""Columns that a figure asks for and a study may lack: null throughout then."""
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


Draw = Callable[["Data"], Figure]
FIGURES: dict[str, Draw] = {}


def figure(function: Draw) -> Draw:
    """Register a figure under its function's name with hyphens."""
    FIGURES[function.__name__.replace("_", "-")] = function
    return function


@dataclass(kw_only=True)
class Data:
    """What figures are drawn from: the rows of gaps.parquet of the cells asked for, and other tables when needed."""

    gaps: pandas.DataFrame
    read: Callable[[str], pandas.DataFrame]
    """Reads the rows of all cells of a table: `spectra`, `certificates` or `truncation`."""
    norm: LogNorm
    """The colours of weight decays: one scale for the study, whichever of its cells a figure draws."""
    width: Width = "page"

    def __post_init__(self) -> None:
        self.gaps = _with_optional(self.gaps, "gaps")

    @cached_property
    def spectra(self) -> pandas.DataFrame:
        """Spectra of V: a row for each cell and snapshot."""
        return self._of_v("spectra")

    @cached_property
    def certificates(self) -> pandas.DataFrame:
        """Certificates of V: a row for each cell and snapshot. Distances and bounds relative to ||V||."""
        rows = self._of_v("certificates")
        absolute = [
            "d_1",
            "d_2",
            "sample_min",
            "sample_max",
            "bound_lower",
            "bound_upper",
            "mean_residual_2",
            "pair_bound",
        ]
        relative = rows[absolute].div(rows["norm"], axis=0).replace([np.inf, -np.inf], np.nan)
        return rows.assign(**relative)

    @cached_property
    def truncation(self) -> pandas.DataFrame:
        """Truncated nets: a row for each cell."""
        rows = _with_optional(self.read("truncation"), "truncation")
        return rows[rows["cell"].isin(self.gaps["cell"])]

    def _of_v(self, name: str) -> pandas.DataFrame:
        rows = _with_optional(self.read(name), name)
        return rows[(rows["matrix"] == "V") & rows["cell"].isin(self.gaps["cell"])]

    def families(self, by: list[str] = FAMILY) -> list[tuple[str, pandas.DataFrame]]:
        """Title and rows of gaps.parquet of each family, in the order of the study; `by`: what its cells share."""
        varying = {
            name: [axis for axis in SYMBOLS if axis in by and rows[axis].nunique() > 1]
            for name, rows in self.gaps.groupby("dataset", sort=False)
        }
        result = []
        for key, rows in self.gaps.groupby(by, sort=False):
            values = dict(zip(by, key, strict=True))
            # A title breaks between its parts only.
            details = [unbroken(SYMBOLS[axis].format(_short(values[axis]))) for axis in varying[values["dataset"]]]
            seeds = rows.groupby([*dict.fromkeys([*FAMILY, "weight_decay"])])["seed"].nunique()
            count = str(seeds.min()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
            result.append((", ".join([values["dataset"], *details]) + " " + unbroken(f"($n$ = {count})"), rows))
        return result

    def colour(self, weight_decay: float) -> Any:
        """One colour for a weight decay in every figure; grey for none."""
        return decay_map()(self.norm(weight_decay)) if weight_decay > 0 else ZERO_COLOUR

    def style(self, weight_decay: float) -> dict[str, Any]:
        """Colour, label and dashes of a weight decay's line: in grey, the dots tell none from some."""
        dashes = {} if weight_decay > 0 else {"linestyle": ZERO_DASHES}
        return {"color": self.colour(weight_decay), "label": f"$\\mu$ = {weight_decay:g}"} | dashes


def decay_map() -> Colormap:
    """The style's colour map without its lightest end, which white paper swallows."""
    return ListedColormap(plt.get_cmap()(np.linspace(0, 0.9, 256)))


def unbroken(text: str) -> str:
    return text.replace(" ", "\u00a0")


def plain(text: str) -> str:
    """The text on one line, with ordinary spaces."""
    return text.replace("\u00a0", " ").replace("\n", ", ")


def _with_optional(rows: pandas.DataFrame, table: str) -> pandas.DataFrame:
    """The rows with every column that figures ask for; numbers as floats, whatever nulls were read as."""
    rows = rows.reindex(columns=list(dict.fromkeys([*rows.columns, *OPTIONAL.get(table, [])])))
    empty = [name for name in rows.columns if rows[name].dtype == object and rows[name].isna().all()]
    return rows.astype(dict.fromkeys(empty, float))


def colour_scale(weight_decays: pandas.Series) -> LogNorm:
    """From the least positive weight decay to the greatest, and some way around a single one."""
    positive = weight_decays[weight_decays > 0]
    least, greatest = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    return LogNorm(least, greatest) if least < greatest else LogNorm(least / 10, greatest * 10)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


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


STANDS_FOR: WeakKeyDictionary[Axes, Callable[[float], float | str]] = WeakKeyDictionary()
"""What an x of the drawing stands for, where it is not that number itself."""


def step_axis(axes: Axes) -> None:
    """Make x an axis of optimizer steps: logarithmic, with step 0 in its place."""
    axes.set_xlabel("step $t$")
    axes.set_xscale("symlog", linthresh=1, linscale=0.3)


def truncation_axis(axes: Axes, greatest: float) -> None:
    """Make x a logarithmic axis of the rank that a matrix is cut to, with rank 0 in its place."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.3)
    ticks = [rank for rank in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if rank <= greatest]
    axes.set_xticks(ticks, [str(rank) for rank in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def decay_axis(axes: Axes, values: pandas.Series, label: str = "weight decay $\\mu$") -> Callable[[Any], Any]:
    """Make x a logarithmic axis of weight decay with zero set apart at the left; returns the map from mu to x."""
    distinct = np.unique(values.dropna().to_numpy(dtype=float))
    positive = distinct[distinct > 0]
    least, greatest = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    zero = least / 10**0.6
    axes.set_xscale("log")
    axes.set_xlabel(label)
    decades = 10.0 ** np.arange(math.ceil(math.log10(least) - 1e-9), math.floor(math.log10(greatest) + 1e-9) + 1)
    decades = decades[:: math.ceil(len(decades) / 5)] if len(decades) else np.array([least])
    labels = [f"$10^{{{round(math.log10(value))}}}$" if len(decades) > 1 else f"{value:g}" for value in decades]
    if 0 in distinct:
        decades, labels = np.append(decades, zero), [*labels, "0"]
        axes.axvline(least / 10**0.3, color="0.6", linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set_xticks(decades, labels)
    axes.xaxis.set_minor_locator(NullLocator())
    left = zero if 0 in distinct else least
    margin = (greatest / left) ** 0.04
    axes.set_xlim(left / margin, greatest * margin)
    STANDS_FOR[axes] = lambda x: 0.0 if x == zero else x
    return lambda mu: np.where(np.asarray(mu, dtype=float) > 0, mu, zero)


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


def rank_ticks(axis: XAxis | YAxis) -> None:
    """A logarithmic axis of ranks, with plain numbers, where there are ranks to show."""
    least = getattr(axis.axes.dataLim, f"minpos{axis.axis_name}")
    if not np.isfinite(least):
        return
    greatest = getattr(axis.axes.dataLim, f"{axis.axis_name}max")
    # Side by side, 100 and 200 run into each other where a panel's width holds two decades.
    crowded = axis.axis_name == "x" and greatest > 100 * least
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(base=10, subs=(2, 5) if crowded else (1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def shade_trivial(axes: Axes) -> None:
    """Shade what is above 1 on a logarithmic y axis, where a relative bound says nothing; call it last."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.axhspan(1, max(high, 2), color="0.9", linewidth=0, zorder=0)
    axes.set_ylim(min(low, 0.5) if low > 0 else 0.5, max(high, 2))


TRIVIAL = Patch(color="0.9", label="says nothing (1 or more)")


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
