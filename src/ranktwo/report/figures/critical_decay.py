"""The figure `critical-decay`: rank against weight decay in units of the critical one."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import against_decay, legend
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import decay_axis, rank_ticks
from ranktwo.report.drawing.style import COLOURS


@figure
def critical_decay(data: Data) -> Figure:
    """Effective rank of V against weight decay in units of the critical one, above which zero is the global minimum.

    Effective rank of V against weight decay in units of mu_c, above which zero is the global minimum of the
    penalised loss. These units put all data sets on one scale. Low rank that serves the claim is to be seen left of
    the vertical line, in nets that fit (filled markers), and the lines show how far from it, by data set. mu_c is a
    numerical lower bound of a maximum and exists for nets of two layers only. Near the line, collapse can take
    longer than the run.
    """
    known = [(title, rows.dropna(subset=["decay_ratio"])) for title, rows in data.families()]
    drawn, parts = panels(
        data, 1, parts=[part for part in known if len(part[1])], without="no cell has a critical weight decay"
    )
    for title, rows, (axes,) in parts:
        # The critical decay differs between splits, and with label noise between seeds: a weight decay stands at its
        # median ratio.
        ratio = rows.groupby("weight_decay")["decay_ratio"].median()
        axis = decay_axis(axes, data.gaps["decay_ratio"], "$\\mu/\\mu_c$")
        axes.set(title=title, ylabel="effective rank of $V$")
        against_decay(axes, rows, {"effective_rank": "effective rank"}, partial(_place, axis, ratio))
        rank_ticks(axes.yaxis)
        axes.axvline(1, color=COLOURS[1], linestyle="--", label="$\\mu = \\mu_c$")
        axes.set_xlim(right=max(2, axes.get_xlim()[1]))
        axes.axhline(2, color="0.3", linewidth=0.7, linestyle="--")
    critical = Line2D([], [], color=COLOURS[1], linestyle="--", label="$\\mu = \\mu_c$")
    legend(drawn, data, [critical])
    return drawn


def _place(axis: Callable[[Any], Any], ratio: pandas.Series, mu: Any) -> Any:
    """The x of weight decays on an axis of ratios."""
    return axis(ratio[mu])
