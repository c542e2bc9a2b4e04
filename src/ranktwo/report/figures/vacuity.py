"""The figure `vacuity`: V's distances from rank one and two after training, and their bounds."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, after_training, figure, of_cells
from ranktwo.report.drawing.distances import DISTANCES, distances_legend, paper_bound_and_floor
from ranktwo.report.drawing.marks import against_decay
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import decay_axis
from ranktwo.report.statuses import alive


@figure(reads=["certificates"])
def vacuity(data: Data) -> Figure:
    """Distances of V from rank one and two after training, and what bounds them, against weight decay.

    V's distances from rank one and two after training, relative to its norm, and what each bound says of them,
    against weight decay. The claim rests on the paper's bound (a band between both ends of epsilon) being below 1,
    the edge of the shaded region. At weight decay 0 no bound is defined, and with full batches the paper's is not.
    Collapsed nets are marked but have no value.
    """
    cells = after_training(data.certificates).merge(data.gaps[["cell", "status"]], on="cell")
    drawn, parts = panels(data, 1, across=2)
    for title, rows, (axes,) in parts:
        place = decay_axis(axes, data.gaps["weight_decay"])
        axes.set_title(title)
        family = of_cells(cells, rows)
        against_decay(axes, family, DISTANCES, place)
        paper_bound_and_floor(axes, alive(family), "weight_decay", place)
    distances_legend(drawn, data, statuses=("unfit", "collapsed", "diverged"))
    return drawn
