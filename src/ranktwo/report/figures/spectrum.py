"""The figure `spectrum`: the singular values of V after training."""

import numpy as np
import pandas
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ranktwo.report.drawing.data import Data, after_training, figure, of_cells
from ranktwo.report.drawing.marks import dashed_entry, decay_colours, decay_style, legend, line
from ranktwo.report.drawing.panels import panels


@figure(reads=["spectra"])
def spectrum(data: Data) -> Figure:
    """Singular values of V after training, by weight decay.

    Singular values of V after training, a line for each weight decay. V of rank two would have two large values and a
    cliff after them. The claim predicts this, and the lines show for each data set whether it is so. Values near 1e-7
    of the largest are rounding of the float32 weights. Dashed lines include nets that do not fit, collapsed or
    diverged.
    """
    drawn, parts = panels(data, 1)
    for title, rows, (axes,) in parts:
        axes.set(title=title, xlabel="index $i$", ylabel="$s_i(V)$", yscale="log")
        last = after_training(of_cells(data.spectra, rows))
        greatest = 0.0
        for weight_decay, cells in last.dropna(subset=["effective_rank"]).groupby("weight_decay"):
            values = np.stack(cells["singular_values"])
            index = np.arange(1, values.shape[1] + 1)
            greatest = max(greatest, values.max())
            seeds = pandas.DataFrame(
                {"median": np.median(values, 0), "least": values.min(0), "greatest": values.max(0)}
            )
            status = rows.loc[rows["weight_decay"] == weight_decay, "status"]
            line(axes, index, seeds, **decay_style(data, weight_decay, status))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlim(left=0)
        axes.set_ylim(greatest * 1e-8, greatest * 3) if greatest else None
        failed = rows.loc[rows["status"] != "ok", "status"].value_counts(sort=False)
        if len(failed):
            note = ", ".join(f"{count} {name}" for name, count in failed.items())
            axes.set_title(f"{title}\n{note} of {len(rows)}")
    zero = decay_colours(drawn, data, [axes for *_, (axes,) in parts])
    legend(drawn, data, [zero, dashed_entry()], statuses=())
    return drawn
