"""The figure `neural-collapse`: whether low rank of weights comes with neural collapse."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, figure, of_cells
from ranktwo.report.drawing.depths import depth_entries, over_depth
from ranktwo.report.drawing.marks import against_decay, entries, legend
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import decay_axis, rank_ticks

LAST = {
    "residual_2": "$d_2/\\|V\\|$",
    "nc1": "NC1",
    "nc2_norms": "NC2, norms",
    "nc2_angles": "NC2, angles",
    "nc3": "NC3",
}
"""What the left panel shows, by column."""
OF_SEVERAL = ("nc2_norms", "nc2_angles")
"""Of two classes these are 0 whatever the net."""
LEAST = 1e-3
"""The least that the left panel shows."""


@figure(reads=["layers", "neural-collapse"])
def neural_collapse(data: Data) -> Figure:
    """Neural collapse of the features and rank of the weights, against weight decay and by layer.

    After training. Left, against weight decay: the distance of V from rank two, and of what the last matrix U is given
    the variance within classes over that between them (NC1), how unequal the class means are in length and angle (NC2),
    and how far U is from them (NC3). If low rank of weights came with neural collapse, all would fall together. Middle
    and right, by matrix: NC1 and the effective rank of what each matrix is given, a line for each weight decay. V is
    given the data, and a convolution the mean of its patches. Collapsed features have NC1 near 0 and rank C - 1, or C
    with a mean of their own. NC1 divides direction by direction, so that one in which class means hardly differ counts
    as much as any. Of two classes NC2 is 0 whatever the net and is left out, as are data without classes; the
    left panel ends at 0.001. All is of the training rows, at the study's number of steps: neural collapse is said to
    come long after the training error is 0, and these nets may not be there yet.
    """
    rows = data.layers.dropna(subset=["depth"])[["cell", "matrix", "depth", "status"]]
    rows = rows.merge(data.neural_collapse, on=["cell", "matrix"])
    several = rows["outputs"] > 1
    rows = rows.assign(**{name: rows[name].where(several) for name in OF_SEVERAL})
    last = rows[rows["depth"] == rows.groupby("cell")["depth"].transform("max")]
    found = [part for part in data.families() if (part[1]["task"] != "regression").all()]
    drawn, parts = panels(data, 3, parts=found, without="no data set with classes")
    for title, cells, (left, middle, right) in parts:
        ended = cells.merge(last[["cell", *(name for name in LAST if name not in cells)]], on="cell", how="left")
        against_decay(left, ended, LAST, decay_axis(left, data.gaps["weight_decay"]))
        own = of_cells(rows, cells)
        over_depth(middle, data, own, "nc1")
        over_depth(right, data, own, "feature_effective_rank")
        left.set(title=title, ylabel="distance")
        middle.set(title=title, xlabel="matrix", ylabel="NC1 of inputs")
        right.set(title=title, xlabel="matrix", ylabel="rank of inputs")
        for axes in (left, middle, right):
            rank_ticks(axes.yaxis)
        left.set_ylim(bottom=max(LEAST, left.get_ylim()[0]))
    legend(drawn, data, [*entries(LAST), *depth_entries(data)], columns=5)
    return drawn
