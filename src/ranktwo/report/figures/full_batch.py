"""The figure `full-batch`: rank with mini-batches beside rank with full batches."""

from itertools import cycle
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.batch_sizes import ACROSS_BATCH_SIZES, RANK_AND_RESIDUAL
from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import legend, mark_failures, marked
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import decay_axis, rank_ticks
from ranktwo.report.drawing.style import COLOURS


@figure
def full_batch(data: Data) -> Figure:
    """Effective rank and distance from rank two, mini-batches beside full batches; the longest runs at each decay.

    Effective rank of V and its relative distance from rank two against weight decay, with mini-batches and with
    full batches. The paper's argument needs batches that differ, so low rank with full batches too would show that
    the noise of mini-batches is not its cause. Runs may differ in learning rate and steps; of several lengths the
    longest is shown.
    """
    is_full = data.gaps["batch_size"] == data.gaps["train_size"]
    both = [part for part in data.families(ACROSS_BATCH_SIZES) if is_full[part[1].index].nunique() == 2]
    drawn, parts = panels(data, 2, parts=both, without="no data set was trained with mini-batches and full batches")
    kind = data.gaps["batch_size"].astype(str).radd("B = ").mask(is_full, "full batch")
    sizes = data.gaps.loc[~is_full, "batch_size"].sort_values().unique() if parts else []
    styles: dict[Any, dict[str, Any]] = {
        f"B = {size}": {"marker": marker, "color": COLOURS[0]}
        for size, marker in zip(sizes, cycle("oD^vP"), strict=False)
    }
    styles["full batch"] = {"marker": "s", "color": COLOURS[1]}
    for title, rows, pair in parts:
        rows = rows.assign(kind=kind)
        rows = rows[rows["steps"] == rows.groupby(["kind", "learning_rate", "weight_decay"])["steps"].transform("max")]
        for axes, (column, label) in zip(pair, RANK_AND_RESIDUAL.items(), strict=True):
            place = decay_axis(axes, data.gaps["weight_decay"])
            axes.set(title=title, ylabel=label)
            for (name, _), cells in rows.groupby(["kind", "learning_rate"]):
                marked(axes, cells, column, place, **styles[name], label=name)
            mark_failures(axes, rows, place)
        rank_ticks(pair[0].yaxis)
        pair[1].set_ylim(-0.02, 1.02)
    legend(drawn, data, [Line2D([], [], label=name, **style) for name, style in styles.items()])
    return drawn
