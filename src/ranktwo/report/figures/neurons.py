"""The figure `neurons`: the rows of V of one net of low rank in its plane."""

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure, of_cells
from ranktwo.report.drawing.marks import legend
from ranktwo.report.drawing.panels import panels, say
from ranktwo.report.drawing.titles import one_net
from ranktwo.study.axes import REPLICATE
from ranktwo.study.limits import Limits

MEAN = r"$\frac{1}{N}\,\sum_i\,(y_i - \bar{y})\,x_i$"
"""The label of the arrow."""


@figure(reads=["truncation"], settings="verdicts", replicates=False)
def neurons(data: Data) -> Figure:
    """Rows of V in the plane of its first two directions, at the weakest weight decay that fits near rank two.

    Rows of V, a point for each neuron, in the plane of V's first two right singular vectors, coloured by the neuron's
    outgoing weight. The arrow shows the direction of (1/N) sum_i (y_i - ybar) x_i, projected on the plane. Where points
    lie on two rays, one for each sign of the outgoing weight, V is of rank two because its neurons have one direction
    for each sign of the output. Where they point in more directions, V is of rank two for another reason. One net of
    each family is shown, at the weakest weight decay at which it fits with d_2/||V|| below `verdicts.low_rank` (0.1 by
    default). Colours are relative to the largest outgoing weight of that net.
    """
    low_rank = Limits(**data.settings).low_rank
    nets = data.truncation.dropna(subset=["plane_1"])
    one = [part for part in data.families(count=False) if (part[1]["outputs"] == 1).all()]
    drawn, parts = panels(data, 1, height=2.4, parts=one, without="no net has one output")
    signs = colormaps["PuOr"]
    for title, rows, (axes,) in parts:
        low = of_cells(rows[(rows["status"] == "ok") & (rows["residual_2"] < low_rank)], nets)
        axes.set(title=title, xlabel="along $v_1$", ylabel="along $v_2$")
        if low.empty:
            say(axes, f"no net that fits\nwith $d_2<{low_rank:g}\\,\\|V\\|$")
            continue
        chosen = low.sort_values(["weight_decay", *REPLICATE]).iloc[0]
        net = nets.set_index("cell").loc[chosen["cell"]]
        axes.set_title(f"{title}\n{one_net(chosen, data.gaps)}")
        x, y, outgoing = (np.asarray(net[name], dtype=float) for name in ("plane_1", "plane_2", "outgoing"))
        axes.scatter(
            x,
            y,
            c=outgoing / np.abs(outgoing).max(),
            cmap=signs,
            vmin=-1,
            vmax=1,
            edgecolors="0.3",
            linewidths=0.4,
            s=14,
            label="outgoing weight",
        )
        means = np.column_stack([net["mean_1"], net["mean_2"]]).astype(float)
        reach = np.hypot(x, y).max()
        for mean in reach * means / np.linalg.norm(means, axis=1, keepdims=True):
            axes.plot(*np.column_stack([[0, 0], mean]), color="black", label=MEAN)
            axes.arrow(0, 0, *mean, head_width=0.06 * reach, length_includes_head=True, color="black")
        axes.set_aspect("equal", "datalim")
    if parts:
        shown = [axes for *_, (axes,) in parts]
        label = "outgoing weight, relative to the largest"
        drawn.colorbar(ScalarMappable(Normalize(-1, 1), signs), ax=shown, label=label, aspect=40, pad=0.01)
        arrow = Line2D([], [], color="black", marker=">", label=f"{MEAN}, direction only")
        legend(drawn, data, [arrow], statuses=())
    return drawn
