"""The figure `gap`: generalization gaps and the test score against weight decay."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import against_decay, legend
from ranktwo.report.drawing.panels import panels, say
from ranktwo.report.drawing.scales import decay_axis, loss_label
from ranktwo.report.statuses import alive


@figure
def gap(data: Data) -> Figure:
    """Generalization gap in loss and in error or R^2, and the test score, against weight decay.

    Test loss minus training loss, test error minus training error (in regression training R^2 minus test R^2), and the
    test score, against weight decay. A gap above 0 means that the net does worse on test data. If weight decay helps
    generalization, the gaps fall and the score does not. A gap that falls because the net no longer fits (hollow
    markers) does not support the claim. Test sets are small: a step of one test row can be as large as the differences
    between weight decays.
    """
    drawn, parts = panels(data, 3)
    for title, rows, three in parts:
        if (rows["task"] == "regression").all():
            shown = {"matched_loss_gap": loss_label(rows), "matched_r2_gap": "$R^2$ gap", "test_r2": "test $R^2$"}
        else:
            shown = {
                "matched_loss_gap": loss_label(rows),
                "matched_accuracy_gap": "error gap",
                "test_accuracy": "test accuracy",
            }
        for axes, (column, label) in zip(three, shown.items(), strict=True):
            against_decay(axes, rows, {column: label}, decay_axis(axes, data.gaps["weight_decay"]))
            axes.set(title=title, ylabel=label)
            nets = alive(rows)
            if len(nets) and nets[column].isna().all():
                say(axes, f"no {label} is defined")
            elif column.endswith("gap"):
                axes.axhline(0, color="0.3", linewidth=0.7, linestyle="--")
    legend(drawn, data, [])
    return drawn
