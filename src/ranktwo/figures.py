"""Figures: one function each, drawn from the Parquet files alone, saved as PDF and PNG.

A panel holds the cells of one family: a data set and one value of every axis but weight decay and seed. Lines are
medians over seeds, bands reach from the least to the greatest seed. What is no honest result is drawn as what it is:
hollow markers for unfit cells, a cross for collapsed ones, a triangle at the upper edge for diverged ones.
"""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
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
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from ranktwo import files, gaps
from ranktwo.errors import UserError, run
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
    "steps": "T = {}",
}


@dataclass(frozen=True, kw_only=True)
class Data:
    """What figures are drawn from: the rows of gaps.parquet, and those of V in the spectra, of the cells asked for."""

    gaps: pandas.DataFrame
    spectra: pandas.DataFrame
    norm: LogNorm
    """The colours of weight decays: one scale for the study, whichever of its cells a figure draws."""

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


Draw = Callable[[Data], Figure]
FIGURES: dict[str, Draw] = {}


def figure(function: Draw) -> Draw:
    """Register a figure under its function's name with hyphens."""
    FIGURES[function.__name__.replace("_", "-")] = function
    return function


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


@figure
def spectrum(data: Data) -> Figure:
    """Singular values of V after training, by weight decay."""
    drawn, parts = panels(data, 1)
    for title, rows, (axes,) in parts:
        axes.set(title=title, xlabel="index $i$", ylabel="$s_i(V)$", yscale="log")
        last = data.spectra[data.spectra["cell"].isin(rows["cell"]) & (data.spectra["step"] == data.spectra["steps"])]
        status = rows.groupby("weight_decay")["status"].agg(lambda status: sorted(set(status)))
        greatest = 0.0
        for weight_decay, cells in last.dropna(subset=["effective_rank"]).groupby("weight_decay"):
            values = np.stack(cells["singular_values"])
            index = np.arange(1, values.shape[1] + 1)
            greatest = max(greatest, values.max())
            seeds = pandas.DataFrame(
                {"median": np.median(values, 0), "least": values.min(0), "greatest": values.max(0)}
            )
            dashes = {"linestyle": "-" if status[weight_decay] == ["ok"] else (0, (3, 1.5))}
            line(axes, index, seeds, color=data.colour(weight_decay), **dashes)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_ylim(greatest * 1e-8, greatest * 3) if greatest else None
        failed = rows.loc[rows["status"] != "ok", "status"].value_counts(sort=False)
        if len(failed):
            note = ", ".join(f"{count} {name}" for name, count in failed.items())
            axes.set_title(f"{title}\n{note} of {len(rows)}")
    zero = decay_colours(drawn, data, [axes for *_, (axes,) in parts])
    dashed = Line2D([], [], color="0.2", linestyle=(0, (3, 1.5)), label="some seeds unfit, collapsed or diverged")
    drawn.legend(handles=[zero, dashed], loc="outside upper center", ncols=2)
    return drawn


@figure
def ranks(data: Data) -> Figure:
    """Rank-r residuals and ranks by every rule, against weight decay."""
    drawn, parts = panels(data, 2)
    residuals = {f"residual_{r}": f"$d_{r}/\\|V\\|$" for r in (1, 2, 3)}
    rules = {
        name: name.removeprefix("rank_").replace("_", "-") for name in data.gaps.columns if name.startswith("rank_")
    }
    rules = {"effective_rank": "effective rank", **rules}
    for title, rows, (left, right) in parts:
        for axes, columns in ((left, residuals), (right, rules)):
            against_decay(axes, rows, columns, decay_axis(axes, data.gaps["weight_decay"]))
            axes.set_title(title)
        left.set(ylabel="residual", ylim=(-0.02, 1.02))
        right.set(ylabel="rank of $V$")
        rank_ticks(right.yaxis)
        right.axhline(2, color="0.3", linewidth=0.7, linestyle="--")
    legend(drawn, data, [*entries(residuals), *entries(rules)], columns=5)
    return drawn


@figure
def training(data: Data) -> Figure:
    """Rank-two residual and effective rank over training, by weight decay."""
    drawn, parts = panels(data, 2)
    for title, rows, pair in parts:
        family = data.spectra[data.spectra["cell"].isin(rows["cell"])]
        for axes, column, label in zip(
            pair, ("residual_2", "effective_rank"), ("$d_2/\\|V\\|$", "effective rank of $V$"), strict=True
        ):
            axes.set(title=title, xlabel="step", ylabel=label)
            axes.set_xscale("symlog", linthresh=1, linscale=0.3)
            for weight_decay, cells in family.groupby("weight_decay"):
                seeds = over_seeds(cells, "step", column)
                line(axes, seeds.index, seeds, color=data.colour(weight_decay))
        pair[0].set_ylim(-0.02, 1.02)
        rank_ticks(pair[1].yaxis)
    zero = decay_colours(drawn, data, [axes for *_, pair in parts for axes in pair])
    drawn.legend(handles=[zero], loc="outside upper center")
    return drawn


@figure
def gap(data: Data) -> Figure:
    """Generalization gap in loss and in error (R^2 in regression), and the test score, against weight decay."""
    drawn, parts = panels(data, 3)
    for title, rows, three in parts:
        if (rows["task"] == "regression").all():
            shown = {"matched_loss_gap": "loss gap", "matched_r2_gap": "$R^2$ gap", "test_r2": "test $R^2$"}
        else:
            shown = {
                "matched_loss_gap": "loss gap",
                "matched_accuracy_gap": "error gap",
                "test_accuracy": "test accuracy",
            }
        for axes, (column, label) in zip(three, shown.items(), strict=True):
            against_decay(axes, rows, {column: label}, decay_axis(axes, data.gaps["weight_decay"]))
            axes.set(title=title, ylabel=label)
            if column.endswith("gap"):
                axes.axhline(0, color="0.3", linewidth=0.7, linestyle="--")
    legend(drawn, data, [])
    return drawn


@figure
def gap_against_rank(data: Data) -> Figure:
    """Loss gap against the effective rank of V, a point for each cell."""
    drawn, parts = panels(data, 1)
    for title, rows, (axes,) in parts:
        axes.set(title=title, xlabel="effective rank of $V$", ylabel="loss gap")
        for _, cell in rows[rows["status"].isin(["ok", "unfit"])].iterrows():
            colour = data.colour(cell["weight_decay"])
            face = colour if cell["status"] == "ok" else "white"
            axes.plot(cell["effective_rank"], cell["matched_loss_gap"], "o", color=colour, markerfacecolor=face)
        rank_ticks(axes.xaxis)
        axes.axhline(0, color="0.3", linewidth=0.7, linestyle="--")
        lost = rows.loc[rows["status"].isin(["collapsed", "diverged"]), "status"].value_counts(sort=False)
        if len(lost):
            note = ", ".join(f"{count} {name}" for name, count in lost.items())
            axes.set_title(f"{title}\nnot drawn: {note}")
    decay_colours(drawn, data, [axes for *_, (axes,) in parts])
    zero = Line2D([], [], linestyle="none", marker="o", color=ZERO_COLOUR, label="$\\mu$ = 0")
    legend(drawn, data, [zero], statuses=("unfit",))
    return drawn


def select(table: pandas.DataFrame, where: dict[str, Any]) -> pandas.DataFrame:
    """The rows whose axes have one of the values asked for, written as in the config."""
    for axis, wanted in where.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if axis == "widths":
            values = ["-".join(map(str, value if isinstance(value, list) else [value])) for value in values]
        chosen = table[axis].isin(values)
        if axis == "batch_size" and "full" in values:
            chosen |= table["batch_size"] == table["train_size"]
        if axis == "train_size" and None in values:
            chosen |= table["train_size"] == table.groupby("dataset")["train_size"].transform("max")
        table = table[chosen]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(FIGURES))
    parser.add_argument("--gaps", type=Path, required=True)
    parser.add_argument("--spectra", type=Path, nargs="+", required=True)
    parser.add_argument("--where", type=json.loads, default={}, help="JSON: the cells to draw, by axis")
    parser.add_argument("--style", type=Path, default=Path(__file__).with_name("style.mplstyle"))
    parser.add_argument("--pdf", type=Path, required=True)
    parser.add_argument("--png", type=Path, required=True)
    arguments = parser.parse_args()
    study = gaps.read([arguments.gaps])
    rows = select(study, arguments.where)
    spectra = gaps.read(arguments.spectra)
    spectra = spectra[(spectra["matrix"] == "V") & spectra["cell"].isin(rows["cell"])]
    if rows.empty:
        raise UserError(
            f"figure {arguments.name}: no cell has the values asked for by `where`; name values of the grid"
        )
    plt.style.use(arguments.style)
    drawn = FIGURES[arguments.name](Data(gaps=rows, spectra=spectra, norm=colour_scale(study["weight_decay"])))
    for path in (arguments.pdf, arguments.png):
        with files.replacing(path) as temporary:
            drawn.savefig(temporary, metadata={"CreationDate": None} if path == arguments.pdf else None)


if __name__ == "__main__":
    run(main)
