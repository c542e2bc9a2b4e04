"""The figure `seeds`: how rank and test loss are distributed over replicates."""

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.evidence.gaps import OPTIMUM
from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import decay_colours, legend
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import loss_label, rank_ticks

COLUMNS = {"residual_2": "$d_2/\\|V\\|$", "effective_rank": "effective rank of $V$", "test_loss": "test loss"}
"""A panel each."""


@figure(medians=False)
def seeds(data: Data) -> Figure:
    """Share of replicates below each value: distance from rank two, effective rank and test loss, by weight decay.

    Empirical distributions over replicates, pairs of split and seed, of trained nets that did not diverge: the share of
    nets at or below a value, one curve for each weight decay. A steep curve says that every seed gives the same rank; a
    flat one, or steps, that seeds end in different minima. Vertical lines are the minimiser of the decayed loss, found
    from the data alone, where it is known. Seeds of one split say nothing of another draw of the data, and with few
    replicates a curve is a few steps.
    """
    drawn, parts = panels(data, len(COLUMNS), height=2.1, across=len(COLUMNS))
    for title, rows, row_of_axes in parts:
        for (column, label), axes in zip(COLUMNS.items(), row_of_axes, strict=True):
            ended = rows[rows["status"] != "diverged"].dropna(subset=[column])
            axes.set(title=title, xlabel=label, ylabel="share of nets", ylim=(0, 1.02))
            if column == "test_loss":
                axes.set_xlabel(loss_label(rows, label))
            for mu, own in ended.groupby("weight_decay"):
                style = data.line_style(mu)
                axes.ecdf(own[column].to_numpy(float), **style)
                predicted = own[f"{OPTIMUM}{column}"].dropna() if f"{OPTIMUM}{column}" in own else own[column].iloc[:0]
                if len(predicted):
                    label_of = f"{style['label']}, predicted"
                    axes.axvline(
                        predicted.median(), color=style["color"], linestyle="--", linewidth=0.9, label=label_of
                    )
            _logarithmic(axes, ended[column], column)
    if parts:
        zero = decay_colours(drawn, data, drawn.axes)
        dashed = Line2D([], [], color="0.4", linestyle="--", linewidth=0.9, label="minimiser of the decayed loss")
        known = any(str(line.get_label()).endswith("predicted") for axes in drawn.axes for line in axes.lines)
        legend(drawn, data, [zero, *[dashed] * known], statuses=())
    return drawn


def _logarithmic(axes: Axes, values: pandas.Series, column: str) -> None:
    """Make x logarithmic where the values span a decade."""
    numbers = values.to_numpy(float)
    if len(numbers) and numbers.min() > 0 and np.ptp(np.log10(numbers)) >= 1:
        axes.set_xscale("log")
        if column == "effective_rank":
            rank_ticks(axes.xaxis)
