"""The figure `distance`: V's distances from rank one and two over training, and their bounds."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, figure, of_cells
from ranktwo.report.drawing.distances import DISTANCES, distances_legend, paper_bound_and_floor
from ranktwo.report.drawing.marks import fit_decays, line, over_seeds
from ranktwo.report.drawing.panels import panels, say
from ranktwo.report.drawing.scales import step_axis
from ranktwo.report.drawing.style import COLOURS, MARKERS
from ranktwo.report.drawing.titles import unbroken


@figure(reads=["certificates"])
def distance(data: Data) -> Figure:
    """Distances of V from rank one and two over training and what bounds them, at two weight decays that all fit.

    Distances of V from rank one and two over training, relative to its norm, and all that bounds them: the distances to
    -g_i/mu of the closest and of the farthest sample, the paper's bound (a band between both ends of epsilon), and the
    bound by the mean gradient. The right panels show the strongest weight decay at which every net fits, and the left
    panels a weaker one. A bound in the shaded region, 1 or more, says nothing of V. With one decay for all samples no
    training can push the paper's bound below the dashed data floor: where d_2 lies below it, something else than the
    paper's theorem makes it small. Distances near 1e-7 are rounding. With full batches the paper's bound is undefined
    and absent.
    """
    drawn, parts = panels(data, 2)
    for title, rows, pair in parts:
        family = of_cells(data.certificates, rows)
        fit = fit_decays(rows)
        for axes, decays in zip(pair, (fit[fit <= fit.max() / 10], fit), strict=True):
            axes.set_title(title)
            step_axis(axes)
            cells = family[family["weight_decay"] == decays.max()]
            if cells.empty:
                say(axes, "no such weight decay at which all nets fit")
                continue
            axes.set_title(f"{title}, " + unbroken(f"$\\mu$ = {decays.max():g}"))
            for (column, label), marker, colour in zip(DISTANCES.items(), MARKERS, COLOURS, strict=False):
                seeds = over_seeds(cells, "step", column)
                line(axes, seeds.index, seeds, color=colour, marker=marker, label=label)
            paper_bound_and_floor(axes, cells, "step", lambda step: step)
    distances_legend(drawn, data, statuses=())
    return drawn
