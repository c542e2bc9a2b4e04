"""The figure `optimality`: how far trained nets are from the least decayed loss, over training."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, figure, of_cells
from ranktwo.report.drawing.marks import decay_colours, line, over_seeds
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import step_axis
from ranktwo.report.drawing.titles import NO_PENALTY

LEAST = 1e-6
"""Gaps below this are drawn here: the axis is logarithmic, and less is next to rounding."""


@figure(reads=["optimality"])
def optimality(data: Data) -> Figure:
    """Upper bound of the distance from the least decayed loss over training, by weight decay.

    The duality gap over the decayed loss: no two-layer net of any width has a decayed loss that is lower by more than
    this share. It falls as training goes on, and stays up where noise of small batches at a constant rate keeps the
    net from the minimum, or where weight decay had too little time. The search behind it can miss the maximum of the
    dual function, and then the true bound is greater than what is shown. Gaps below 1e-6, as of nets that collapsed to
    zero where zero is the minimiser, are drawn at 1e-6.
    """
    known = data.optimality.dropna(subset=["relative_gap"])
    found = [(title, rows) for title, rows in data.families() if len(of_cells(known, rows))]
    drawn, parts = panels(data, 1, parts=found, without=NO_PENALTY)
    for title, rows, (axes,) in parts:
        family = of_cells(known, rows)
        axes.set(title=title, ylabel="relative duality gap")
        step_axis(axes)
        for weight_decay, cells in family.groupby("weight_decay"):
            seeds = over_seeds(cells, "step", "relative_gap").clip(lower=LEAST)
            line(axes, seeds.index, seeds, **data.line_style(weight_decay))
        axes.set(yscale="log")
    if parts:
        decay_colours(drawn, data, [axes for *_, (axes,) in parts])
    return drawn
