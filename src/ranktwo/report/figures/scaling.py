"""The figure `scaling`: rank against batch size over learning rate and weight decay."""

from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.batch_sizes import ACROSS_BATCH_SIZES, RANK_AND_RESIDUAL
from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import legend, mark_failures, marked
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import rank_ticks
from ranktwo.report.drawing.style import COLOURS, MARKERS


@figure
def scaling(data: Data) -> Figure:
    """Effective rank and distance from rank two against B/(eta mu); a line joins the nets of equal eta mu T.

    Effective rank of V and its relative distance from rank two against B/(eta mu). A line joins nets of equal eta
    mu T, whose initial weights have decayed alike. If the rank follows B/(eta mu), as the trajectory bound of
    Galanti et al. suggests, the lines rise and fall onto one curve. A flat line says that the batch size does not
    matter once eta mu T is fixed. Values of eta mu T count as equal if they agree to two digits. Without such nets
    the figure says so.
    """
    comparable = []
    for title, rows in data.families(ACROSS_BATCH_SIZES):
        rows = rows[rows["weight_decay"] > 0]
        decayed = rows["learning_rate"] * rows["weight_decay"]
        # T is a whole number, so values of eta mu T that are meant to be equal agree to a few digits only.
        times = [float(f"{time:.1e}") for time in decayed * rows["steps"]]
        rows = rows.assign(ratio=rows["batch_size"] / decayed, time=times)
        rows = rows[rows.groupby("time")["ratio"].transform("nunique") > 1]
        comparable += [(title, rows)] if len(rows) else []
    drawn, parts = panels(
        data,
        2,
        parts=comparable,
        without="no nets of equal $\\eta\\mu T$ with several values of $B/(\\eta\\mu)$ to compare",
    )
    times = sorted({time for _, rows in comparable for time in rows["time"]})
    styles: dict[Any, dict[str, Any]] = {
        time: {"marker": marker, "color": colour}
        for time, marker, colour in zip(times, cycle(MARKERS), cycle(COLOURS), strict=False)
    }
    for title, rows, pair in parts:
        for axes, (column, label) in zip(pair, RANK_AND_RESIDUAL.items(), strict=True):
            axes.set(title=title, xlabel="$B/(\\eta\\mu)$", ylabel=label, xscale="log")
            for time, same in rows.groupby("time"):
                marked(axes, same, column, np.asarray, by="ratio", **styles[time], label=f"$\\eta\\mu T$ = {time:g}")
            mark_failures(axes, rows, np.asarray, by="ratio")
        rank_ticks(pair[0].yaxis)
        pair[1].set_ylim(-0.02, 1.02)
    handles = [Line2D([], [], label=f"$\\eta\\mu T$ = {time:g}", **style) for time, style in styles.items()]
    legend(drawn, data, handles)
    return drawn
