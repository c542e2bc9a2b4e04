"""The figure `dual`: the dual function of a trained net, which its neurons maximise."""

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure, of_cells
from ranktwo.report.drawing.marks import legend
from ranktwo.report.drawing.panels import panels, say
from ranktwo.report.drawing.style import COLOURS
from ranktwo.report.drawing.titles import one_net
from ranktwo.study.limits import Limits


@figure(reads=["optimality"], settings="verdicts", replicates=False)
def dual(data: Data) -> Figure:
    """The dual function of the trained net nearest to the least decayed loss, in the plane of V, and its neurons.

    At a minimum of the decayed loss no direction v has a dual function h(v) above the weight decay, and every neuron
    lies at a maximum of h, where h touches it. So the rank of V is at most the dimension of the span of these maxima.
    For one output and d_2/||V|| below `verdicts.low_rank` (0.1 by default), the line is h/mu along the circle of the
    plane of V's first two right singular vectors, and the points are the net's neurons at their angles, larger with
    more weight. For other nets the points are h/mu at each neuron against its share of the weight. The net with the
    least duality gap among those that fit is shown, one of each family. A line below 1 everywhere proves nothing of
    directions outside the plane.
    """
    low_rank = Limits(**data.settings).low_rank
    ends = data.optimality.dropna(subset=["neuron_heights"])
    nets = ends.set_index("cell")
    fit = of_cells(data.gaps[data.gaps["status"] == "ok"], ends)
    found = [(title, own) for title, rows in data.families(count=False) if len(own := of_cells(fit, rows))]
    drawn, parts = panels(data, 1, parts=found, without="no two-layer net fits with a decay that is a penalty")
    for title, rows, (axes,) in parts:
        chosen = rows.loc[rows["relative_gap"].astype(float).idxmin()]
        axes.set_title(f"{title}\n{one_net(chosen, data.gaps)}")
        axes.set_ylabel("$h/\\mu$")
        _net(axes, nets.loc[chosen["cell"]], circle=chosen["outputs"] == 1 and chosen["residual_2"] < low_rank)
        axes.axhline(1, color="0.3", linewidth=0.7, linestyle="--", label="weight decay")
    level = Line2D([], [], color="0.3", linewidth=0.7, linestyle="--", label="the level $h = \\mu$")
    line = Line2D([], [], color=COLOURS[0], label="$h/\\mu$ in the plane of $V$")
    points = Line2D([], [], color=COLOURS[1], marker="o", linestyle="none", markersize=4, label="neurons of the net")
    legend(drawn, data, [line, points, level], statuses=())
    return drawn


def _net(axes: Axes, net: pandas.Series, *, circle: bool) -> None:
    """Draw one net: along the circle, or against the neurons' shares of the weight."""
    heights, shares = (np.asarray(net[name], dtype=float) for name in ("neuron_heights", "neuron_shares"))
    size = {"s": 4 + 60 * shares / shares.max(), "color": COLOURS[1], "label": "neurons", "linewidths": 0, "zorder": 3}
    if circle:
        curve, angles = (np.asarray(net[name], dtype=float) for name in ("dual_curve", "neuron_angles"))
        axes.plot(np.linspace(0, 360, len(curve)), curve, color=COLOURS[0], label="dual function")
        axes.scatter(np.degrees(angles) % 360, heights, alpha=0.6, **size)
        axes.set(xlabel="angle in the plane of $V$ (degrees)", xticks=range(0, 361, 90))
    elif len(heights):
        axes.scatter(shares, heights, alpha=0.6, **size)
        axes.set(xlabel="share of all weight", xscale="log")
    else:
        say(axes, "no live neuron")
