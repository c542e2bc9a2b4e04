"""TODO report.figures.gap."""

import pandas
from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import against_decay, legend
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import decay_axis


@figure
def gap(data: Data) -> Figure:
    """Generalization gap in loss and in error (R^2 in regression), and the test score, against weight decay.

    Test minus training loss, test minus training error (R^2 in regression) and the test score, against weight
    decay. If weight decay helps generalization, gaps fall and the score does not; a gap that falls because the net
    no longer fits (hollow markers) is no support. Test sets are small and the split is fixed: a step of one test
    row can be as large as the differences between weight decays.
    """
    drawn, parts = panels(data, 3)
    for title, rows, three in parts:
        if (rows["task"] == "regression").all():
            shown = {"matched_loss_gap": loss_gap(rows), "matched_r2_gap": "$R^2$ gap", "test_r2": "test $R^2$"}
        else:
            shown = {
                "matched_loss_gap": loss_gap(rows),
                "matched_accuracy_gap": "error gap",
                "test_accuracy": "test accuracy",
            }
        for axes, (column, label) in zip(three, shown.items(), strict=True):
            against_decay(axes, rows, {column: label}, decay_axis(axes, data.gaps["weight_decay"]))
            axes.set(title=title, ylabel=label)
            if column.endswith("gap"):
                axes.axhline(0, color="0.3", linewidth=0.7, linestyle="--")
    legend(drawn, data, [])
    return drawn


def loss_gap(rows: pandas.DataFrame) -> str:
    """The axis of a loss gap, with its unit."""
    return "loss gap (sd$^2$ of $y$)" if (rows["task"] == "regression").all() else "loss gap (nats)"
