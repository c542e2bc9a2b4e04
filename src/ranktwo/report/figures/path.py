"""The figure `path`: the rank that the minimiser of the decayed loss has, beside that of trained nets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import legend, mark_failures, over_seeds
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import rank_ticks
from ranktwo.report.drawing.style import COLOURS, MARKERS
from ranktwo.report.drawing.titles import NO_PENALTY, RESIDUALS
from ranktwo.report.statuses import alive

FAR = 0.05
"""Relative gap above which a trained net is drawn hollow."""


@figure(reads=["optimum"], medians=False)
def path(data: Data) -> Figure:
    """Residuals and effective rank of the minimiser of the decayed loss, predicted from the data, and of trained nets.

    Lines are predictions from the data alone, without training: the distance from rank one, two and three (left) and
    the effective rank (right) of the matrix V with the least decayed loss of all two-layer nets, against weight decay
    in units of the critical one, on the first split. The grey steps count its neurons' directions. Markers are trained
    nets, their median and range, hollow where the duality gap, a bound as good as the search behind it, exceeds 5 % of
    the decayed loss. Where markers lie on lines, V has the residuals and the effective rank of the minimiser. Where
    they do not, training may not have reached the minimiser, the loss may be so flat that nets of another rank are as
    good, the splits may differ, or the search may have ended above the minimum. Below the least weight decay of a line
    nothing is predicted.
    """
    found = [part for part in data.families(across=("schedule", "batch_size")) if part[1]["relative_gap"].notna().any()]
    drawn, parts = panels(data, 2, parts=found, without=NO_PENALTY)
    kinds = data.gaps[["schedule", "batch_size"]].drop_duplicates().sort_values(["schedule", "batch_size"])
    shapes = dict(zip(map(tuple, kinds.to_numpy()), MARKERS * len(kinds), strict=False))
    for title, rows, (left, right) in parts:
        predicted = data.path_of(rows)
        for axes in (left, right):
            axes.set(title=title, xlabel="$\\mu/\\mu_c$", xscale="log")
        for (column, label), colour in zip(RESIDUALS.items(), COLOURS, strict=False):
            left.plot(predicted["decay_ratio"], predicted[column], color=colour, label=f"{label}, predicted")
            _trained(left, rows, column, shapes, color=colour, label=label)
        right.step(
            predicted["decay_ratio"], predicted["atoms"], where="post", color="0.6", label="directions, predicted"
        )
        right.plot(
            predicted["decay_ratio"], predicted["effective_rank"], color=COLOURS[3], label="effective rank, predicted"
        )
        _trained(right, rows, "effective_rank", shapes, color=COLOURS[3], label="effective rank")
        left.set(ylabel="residual", ylim=(-0.02, 1.02))
        right.set(ylabel="rank of $V$")
        rank_ticks(right.yaxis)
        for axes in (left, right):
            mark_failures(axes, rows, _ratio(rows))
    if parts:
        _legend(drawn, data, shapes)
    return drawn


def _ratio(rows: pandas.DataFrame) -> Callable[[Any], Any]:
    """The map from weight decays of rows to their mu/mu_c; the median over splits, and over seeds with label noise."""
    ratio = rows.groupby("weight_decay")["decay_ratio"].median()
    return lambda mu: np.asarray(ratio[mu])


def _trained(axes: Axes, rows: pandas.DataFrame, column: str, shapes: dict[Any, str], **style: Any) -> None:
    """Draw trained nets of each schedule and batch size, with their range."""
    for (schedule, batch_size), own in rows[rows["weight_decay"] > 0].groupby(["schedule", "batch_size"]):
        own = alive(own)
        seeds = over_seeds(own, "weight_decay", column)
        gap = own.groupby("weight_decay")["relative_gap"].median().reindex(seeds.index).to_numpy(float)
        x = _ratio(own)(seeds.index)
        axes.vlines(x, seeds["least"], seeds["greatest"], linewidth=0.8, **style)
        for chosen, fill in ((gap <= FAR, style["color"]), (~(gap <= FAR), "white")):
            axes.plot(
                x[chosen],
                seeds["median"].to_numpy()[chosen],
                linestyle="none",
                marker=shapes[schedule, batch_size],
                markersize=3.5,
                markerfacecolor=fill,
                **style | {"label": f"{style['label']}, {schedule} rate, batch size {batch_size}"},
            )


def _legend(drawn: Figure, data: Data, shapes: dict[Any, str]) -> None:
    colours = [*zip(RESIDUALS.values(), COLOURS, strict=False), ("effective rank", COLOURS[3])]
    lines = [Line2D([], [], color=colour, label=f"{label}, predicted") for label, colour in colours]
    steps = Line2D([], [], color="0.6", label="number of directions, predicted")
    black: dict[str, Any] = {"linestyle": "none", "color": "0.2", "markersize": 4}
    nets = [
        Line2D([], [], marker=marker, label=f"trained: {schedule} rate, batch size {batch_size}", **black)
        for (schedule, batch_size), marker in shapes.items()
    ]
    far = Line2D([], [], marker="o", markerfacecolor="white", label=f"gap above {FAR:.0%}".replace("%", " %"), **black)
    legend(drawn, data, [*lines, steps, *nets, far], columns=3, statuses=("collapsed", "diverged"))
