"""The figure `weights`: matrices of files of weights trained elsewhere, beside V of the study's nets."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, after_training, figure, of_cells
from ranktwo.report.drawing.marks import fit_decays, legend
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import rank_ticks
from ranktwo.report.drawing.style import COLOURS, ZERO_COLOUR, ZERO_DASHES

WITHOUT, STRONGEST = "V of the study without decay", "V of the study at the strongest decay that fits"
STYLES: dict[str, dict[str, Any]] = {
    WITHOUT: {"color": ZERO_COLOUR, "linestyle": ZERO_DASHES},
    STRONGEST: {"color": "0.2", "linestyle": "--"},
}


@figure(reads=["spectra", "measure"], needs="weights", replicates=False)
def weights(data: Data) -> Figure:
    """Singular values and ranks of the matrices of files of weights, beside V of the study's nets.

    Left: singular values of each matrix over its norm. Right: its distance from rank two against its effective rank.
    Colours tell the files of the section `weights` apart, each line and point one matrix. Dark dashed lines and squares
    are V of the study's nets at the strongest weight decay at which every net fits, and grey dotted ones without decay:
    the median over replicates, a line for each data set. Matrices of other sizes have other ranks for that alone, and
    nothing is said of how the files' nets were trained.
    """
    own = data.weights
    own = own[own["norm"] > 0]
    drawn, parts = panels(data, 2, height=3.2, parts=[("", own)] if len(own) else [], without="no matrix to show")
    for _, rows, (left, right) in parts:
        styles = dict(zip(rows["weights"].unique(), cycle(COLOURS), strict=False))
        for row in rows.to_dict("records"):
            label, colour = f"{row['weights']}, {row['tensor']}", styles[row["weights"]]
            _values(left, np.asarray(row["singular_values"]) / row["norm"], color=colour, label=label)
            _point(right, row, color=colour, label=label, marker="o")
        for name, cells in _of_study(data):
            values = np.stack(cells["singular_values"])
            values = values / np.linalg.norm(values, axis=1, keepdims=True)
            label = f"{name}, {cells['dataset'].iloc[0]}"
            _values(left, np.median(values, 0), label=label, **STYLES[name])
            typical = cells[["effective_rank", "residual_2"]].median()
            _point(right, typical, label=label, **STYLES[name] | {"marker": "s"})
        left.set(title="singular values", xlabel="index $i$", ylabel="$s_i/\\|W\\|$", xscale="log", yscale="log")
        left.set_ylim(bottom=max(1e-8, left.get_ylim()[0]))
        right.set(title="distance from rank two", xlabel="effective rank", ylabel="$d_2/\\|W\\|$", ylim=(-0.02, 1.02))
        rank_ticks(right.xaxis)
        handles = [Line2D([], [], color=colour, marker="o", label=name) for name, colour in styles.items()]
        handles += [Line2D([], [], marker="s", label=name, **style) for name, style in STYLES.items()]
        legend(drawn, data, handles, columns=3, statuses=())
    return drawn


def _values(axes: Axes, s: np.ndarray, **style: Any) -> None:
    """Draw singular values; one alone has no line."""
    axes.plot(np.arange(1, len(s) + 1), s, linewidth=0.9, **style | ({"marker": "o"} if len(s) == 1 else {}))


def _point(axes: Axes, row: Any, **style: Any) -> None:
    axes.plot([row["effective_rank"]], [row["residual_2"]], **style | {"linestyle": "none"})


def _of_study(data: Data) -> Iterator[tuple[str, pandas.DataFrame]]:
    """V after training of each data set's first family, without decay and at the strongest decay that all nets fit."""
    seen = set()
    for _, rows in data.families():
        dataset, fit = rows["dataset"].iloc[0], fit_decays(rows)
        if dataset not in seen:
            seen.add(dataset)
            for name, decay in ((WITHOUT, 0.0), (STRONGEST, fit.max() if len(fit) else None)):
                last = after_training(of_cells(data.spectra, rows[rows["weight_decay"] == decay]))
                last = last.dropna(subset=["effective_rank"])
                if len(last):
                    yield name, last
