"""TODO report.figures.vacuity."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import against_decay
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import decay_axis
from ranktwo.report.figures.distance import CHAIN, chain, chain_legend


@figure
def vacuity(data: Data) -> Figure:
    """Distances of V from rank one and two after training, and what bounds them, against weight decay.

    What V's distances from rank one and two are after training, relative to its norm, and what each bound says of
    them, against weight decay. The claim rests on the paper's bound (a band between both ends of epsilon) being
    below 1, the shaded region's edge; the bound by the mean gradient gets there first. At weight decay 0 no bound
    is defined, with full batches the paper's is not, and collapsed nets are marked but have no value.
    """
    last = data.certificates[data.certificates["step"] == data.certificates["steps"]]
    cells = last.drop(columns="status", errors="ignore").merge(data.gaps[["cell", "status"]], on="cell")
    drawn, parts = panels(data, 1, across=2)
    for title, rows, (axes,) in parts:
        place = decay_axis(axes, data.gaps["weight_decay"])
        axes.set_title(title)
        family = cells[cells["cell"].isin(rows["cell"])]
        against_decay(axes, family, CHAIN, place)
        chain(axes, family[family["status"].isin(["ok", "unfit"])], "weight_decay", place)
    chain_legend(drawn, data, statuses=("unfit", "collapsed", "diverged"))
    return drawn
