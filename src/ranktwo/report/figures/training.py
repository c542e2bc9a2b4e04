"""The figure `training`: V's rank and its distance from rank two over training."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, figure, of_cells
from ranktwo.report.drawing.marks import decay_colours, legend, line, over_seeds
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import rank_ticks, step_axis


@figure(reads=["spectra"])
def training(data: Data) -> Figure:
    """Rank-two residual and effective rank over training, by weight decay.

    The left panels show the relative distance of V from rank two, and the right panels its effective rank, over
    training, coloured by weight decay. Where a line still falls at its end, the net was not trained long enough for
    the claim to say anything of it. What happens between two snapshots whose weights are kept is not seen.
    """
    drawn, parts = panels(data, 2)
    for title, rows, pair in parts:
        family = of_cells(data.spectra, rows)
        for axes, column, label in zip(
            pair, ("residual_2", "effective_rank"), ("$d_2/\\|V\\|$", "effective rank of $V$"), strict=True
        ):
            axes.set(title=title, ylabel=label)
            step_axis(axes)
            for weight_decay, cells in family.groupby("weight_decay"):
                seeds = over_seeds(cells, "step", column)
                line(axes, seeds.index, seeds, **data.line_style(weight_decay))
        pair[0].set_ylim(-0.02, 1.02)
        rank_ticks(pair[1].yaxis)
    zero = decay_colours(drawn, data, [axes for *_, pair in parts for axes in pair])
    legend(drawn, data, [zero], statuses=())
    return drawn
