"""The figure `timing`: scores and ranks over training, and the steps at which they rise and fall."""

from typing import Any

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.evidence.timing import FIT, GENERAL, OUTPUT
from ranktwo.report.drawing.data import Data, figure, of_cells
from ranktwo.report.drawing.marks import legend, line, over_seeds
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import step_axis
from ranktwo.report.drawing.style import COLOURS, DASHES, DOTS
from ranktwo.study.axes import title_part

SCORES = {"train_accuracy": ("fit_step", FIT), "test_accuracy": ("generalization_step", GENERAL)}
"""Columns of the history, each with the column of the step at which it has reached a level, and the level."""
NAMES = {
    "train_accuracy": ("training accuracy", f"reaches {FIT:g}"),
    "test_accuracy": ("test accuracy", f"reaches {GENERAL:g}"),
    "": ("rank of $V$ over its initial one", "has fallen halfway"),
    OUTPUT: ("rank of $U$ over its initial one", "has fallen halfway"),
}
"""What each line shows, and what its markers say: of scores by column, of a matrix by its columns' first letters."""
STYLES: dict[str, tuple[str, Any, str]] = dict(
    zip(NAMES, zip(COLOURS, (DOTS, "-", "-", DASHES), "vosD", strict=False), strict=True)
)
"""Colour, dashes and marker of each line."""

ACROSS = 4
"""Weight decays that fit side by side, so that a family has a row of its own."""


@figure(reads=["spectra", "train"])
def timing(data: Data) -> Figure:
    """Accuracies and the ranks of the first and last matrix over training, with the steps of their rise and fall.

    Training accuracy, test accuracy, and the effective ranks of V and of the output matrix U over their initial values.
    Markers, one for each net, stand where the training accuracy has reached 0.99, where the test accuracy has reached
    0.9, and where an effective rank has fallen halfway from its initial to its last value; a rank that ends less than a
    tenth below its initial value has none. If nets generalize because their rank is low, ranks fall no later than the
    test accuracy rises. Where the test accuracy rises and no rank falls, it rises for another reason. What comes first
    need not be the cause. A moment is known to within the snapshot before it.
    """
    families = data.families()
    settings = [
        (f"{title}\n{title_part('weight_decay', weight_decay)}", cells)
        for title, rows in families
        for weight_decay, cells in rows.groupby("weight_decay")
    ]
    most = max((rows["weight_decay"].nunique() for _, rows in families), default=1)
    drawn, parts = panels(data, 1, parts=settings, across=most if most <= ACROSS else 3)
    for title, rows, (axes,) in parts:
        axes.set(title=title, ylabel="share")
        step_axis(axes)
        history = of_cells(data.history, rows)
        for column, (step, level) in SCORES.items():
            _line(axes, history, column, column)
            _markers(axes, rows[step], level, column)
        spectra = of_cells(data.matrices, rows)
        names = list(dict.fromkeys(spectra["matrix"]))
        for prefix, matrix in (("", names[:1]), (OUTPUT, names[-1:])):
            own = spectra[spectra["matrix"].isin(matrix)]
            initial = own.groupby("cell")["effective_rank"].transform("first")
            _line(axes, own.assign(share=own["effective_rank"] / initial), "share", prefix)
            ends = rows[f"{prefix}effective_rank"] / rows[f"{prefix}initial_effective_rank"]
            _markers(axes, rows[f"{prefix}rank_fall_step"], (1 + ends) / 2, prefix)
        axes.set_ylim(bottom=-0.02)
    handles = [
        Line2D([], [], color=colour, linestyle=dashes, marker=marker, label=f"{name}; marker: {event}")
        for (name, event), (colour, dashes, marker) in zip(NAMES.values(), STYLES.values(), strict=True)
    ]
    legend(drawn, data, handles, columns=2, statuses=())
    return drawn


def _line(axes: Axes, rows: pandas.DataFrame, column: str, of: str) -> None:
    """Draw the median over nets of a column, with its band."""
    nets, (colour, dashes, _) = over_seeds(rows, "step", column), STYLES[of]
    if len(nets):
        line(axes, nets.index, nets, label=NAMES[of][0], color=colour, linestyle=dashes)


def _markers(axes: Axes, steps: pandas.Series, heights: float | pandas.Series, of: str) -> None:
    """Draw a marker for each net that reaches a step."""
    known = pandas.DataFrame({"step": steps.astype(float), "height": heights}).dropna()
    if len(known):
        colour, _, marker = STYLES[of]
        label = " ".join(NAMES[of])
        axes.plot(known["step"], known["height"], linestyle="none", marker=marker, color=colour, label=label)
