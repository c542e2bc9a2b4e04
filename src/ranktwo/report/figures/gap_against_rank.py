"""The figure `gap-against-rank`: the loss gap of each cell against its rank."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import decay_colours, legend
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import loss_label, rank_ticks
from ranktwo.report.drawing.style import ZERO_COLOUR, ZERO_MARKER
from ranktwo.report.statuses import ALIVE, alive


@figure(medians=False)
def gap_against_rank(data: Data) -> Figure:
    """Loss gap against the effective rank of V, a point for each cell.

    Loss gap against the effective rank of V, a point for each net, coloured by weight decay. If low rank is why
    nets generalize, the gap falls with the rank among points of one colour, too. If only the colours differ, weight
    decay explains as much. Weight decay changes rank, norm and fit at once, so these points alone show no cause.
    """
    drawn, parts = panels(data, 1)
    for title, rows, (axes,) in parts:
        axes.set(title=title, xlabel="effective rank of $V$", ylabel=loss_label(rows))
        for (weight_decay, status), cells in alive(rows).groupby(["weight_decay", "status"]):
            style = data.line_style(weight_decay) | {
                "linestyle": "none",
                "marker": "o" if weight_decay else ZERO_MARKER,
            }
            style |= {} if status == "ok" else {"markerfacecolor": "white"}
            axes.plot(cells["effective_rank"], cells["matched_loss_gap"], **style)
        rank_ticks(axes.xaxis)
        axes.axhline(0, color="0.3", linewidth=0.7, linestyle="--")
        lost = rows.loc[~rows["status"].isin(ALIVE), "status"].value_counts(sort=False)
        if len(lost):
            note = ", ".join(f"{count} {name}" for name, count in lost.items())
            axes.set_title(f"{title}\nnot drawn: {note}")
    decay_colours(drawn, data, [axes for *_, (axes,) in parts])
    zero = Line2D([], [], linestyle="none", marker=ZERO_MARKER, color=ZERO_COLOUR, label="$\\mu$ = 0")
    legend(drawn, data, [zero], statuses=("unfit",))
    return drawn
