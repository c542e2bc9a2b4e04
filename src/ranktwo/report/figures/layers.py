"""The figure `layers`: every matrix of a net after training, from the input to the output."""

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import legend, line, over_seeds
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import STANDS_FOR, rank_ticks

SHORT, MOST = 3, 8
"""Characters of a name, and names, that fit below a panel; longer or more of them are numbered."""
DASHES = (0, (4, 1.5))


@figure
def layers(data: Data) -> Figure:
    """Residual, effective rank and the theorem's bound of every matrix, from the input to the output.

    After training, of every matrix W of a net: the relative distance from rank two (left), the effective rank (middle),
    and the lower end of the theorem's bound over ||W||, its vacuity, in units of 2B - 1 (right). A line for each weight
    decay is the median, with a band from the least to the greatest. If decay makes a net low rank, the lines of strong
    decay are low in every layer, and not in the first alone. On the right the theorem says nothing from 1/(2B - 1) on;
    in a layer with normalised outputs no training can take it below 1, the grey line. Dashed lines include nets that do
    not fit, collapsed or diverged. Where the names of matrices are long, matrices are numbered.
    """
    matrices = data.layers.dropna(subset=["depth"])
    matrices = matrices.assign(share=matrices["vacuity_lower"] / (2 * matrices["batch_size"] - 1))
    drawn, parts = panels(data, 3)
    for title, rows, (left, middle, right) in parts:
        status = rows.groupby("weight_decay")["status"].agg(lambda status: sorted(set(status)))
        own = matrices[matrices["cell"].isin(rows["cell"])]
        for axes, column, label in (
            (left, "residual_2", "$d_2/\\|W\\|$"),
            (middle, "effective_rank", "effective rank"),
            (right, "share", "vacuity/$(2B-1)$"),
        ):
            _draw(axes, data, own, column, status)
            axes.set(title=title, xlabel="matrix", ylabel=label)
        left.set_ylim(-0.02, 1.02)
        rank_ticks(middle.yaxis)
        right.set_yscale("log")
        right.axhline(1, color="0.3", linewidth=0.9)
    decays = [Line2D([], [], **data.line_style(mu)) for mu in sorted(data.gaps["weight_decay"].unique())]
    dashed = Line2D([], [], color="0.2", linestyle=DASHES, label="some nets unfit, collapsed or diverged")
    legend(drawn, data, [*decays, dashed], statuses=())
    return drawn


def _draw(axes: Axes, data: Data, rows: pandas.DataFrame, column: str, status: pandas.Series) -> None:
    """A line for each weight decay over the matrices, which stand by their depth."""
    names = list(rows.drop_duplicates("depth").sort_values("depth")["matrix"])
    for weight_decay, cells in rows.groupby("weight_decay"):
        seeds = over_seeds(cells, "depth", column)
        dashes = {} if status[weight_decay] == ["ok"] else {"linestyle": DASHES}
        if len(seeds):
            line(axes, seeds.index, seeds, marker=".", **data.line_style(weight_decay) | dashes)
    STANDS_FOR[axes] = lambda x: names[round(x) - 1] if 1 <= x <= len(names) else x
    if len(names) <= MOST:
        fit = all(len(name) <= SHORT for name in names)
        axes.set_xticks(range(1, len(names) + 1), names if fit else list(map(str, range(1, len(names) + 1))))
    axes.set_xlim(0.5, max(len(names), 1) + 0.5)
