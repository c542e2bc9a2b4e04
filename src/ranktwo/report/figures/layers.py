"""The figure `layers`: every matrix of a net after training, from the input to the output."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, figure, of_cells
from ranktwo.report.drawing.depths import depth_entries, over_depth
from ranktwo.report.drawing.marks import legend
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import rank_ticks


@figure(reads=["layers"])
def layers(data: Data) -> Figure:
    """Residual, effective rank and the theorem's bound of every matrix, from the input to the output.

    After training, of every matrix W of a net: the relative distance from rank two (left), the effective rank (middle),
    and the lower end of the theorem's bound over ||W||, its vacuity, in units of 2B - 1 (right), with a line for each
    weight decay. If decay makes a net low rank, the lines of strong decay are low in every layer, and not in the first
    alone. On the right the theorem says nothing from 1/(2B - 1) on; in a layer with normalised outputs no training
    takes it below 1, the grey line, but for what the normalisation's epsilon leaves open. Dashed lines include nets
    that do not fit, collapsed or diverged. Where the names of matrices are long, matrices are numbered.
    """
    matrices = data.layers.dropna(subset=["depth"])
    matrices = matrices.assign(share=matrices["vacuity_lower"] / (2 * matrices["batch_size"] - 1))
    drawn, parts = panels(data, 3)
    for title, rows, (left, middle, right) in parts:
        own = of_cells(matrices, rows)
        for axes, column, label in (
            (left, "residual_2", "$d_2/\\|W\\|$"),
            (middle, "effective_rank", "effective rank"),
            (right, "share", "vacuity/$(2B-1)$"),
        ):
            over_depth(axes, data, own, column)
            axes.set(title=title, xlabel="matrix", ylabel=label)
        left.set_ylim(-0.02, 1.02)
        rank_ticks(middle.yaxis)
        right.set_yscale("log")
        right.axhline(1, color="0.3", linewidth=0.9)
    legend(drawn, data, depth_entries(data), statuses=())
    return drawn
