"""The figure `products`: products of two matrices that act as one, beside their factors."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, after_training, figure, of_cells
from ranktwo.report.drawing.marks import against_decay, entries, legend
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import decay_axis, rank_ticks

RANKS = {
    "factor_effective_rank": "factors $A$, $B$",
    "aligned_effective_rank": "factors' singular values multiplied",
    "effective_rank": "product $AB$",
}
"""Columns of spectra: the effective ranks that are compared, in the order of their colours."""


@figure(reads=["spectra"], medians=False)
def products(data: Data) -> Figure:
    """Effective rank of products W_Q^T W_K and W_O W_V and of their factors, and balance, against weight decay.

    After training, of the products A B of two matrices that act as one, as W_Q^T W_K (QK) and W_O W_V (OV) of each head
    of attention: the effective rank of the product, of its factors (geometric mean), and that of the products s_i(A)
    s_i(B) of their singular values (left); and the imbalance of the factors, 0 where A^T A = B B^T (right). A line is
    the median over the heads, the blocks and the n nets, a band reaches from the least to the greatest. If decay acts
    on the product, its line falls faster than that of its factors, on the logarithmic axis, and the imbalance falls.
    Singular values that are multiplied have a lower effective rank than each factor's, whatever the training: the
    middle line shows this part. Where the product lies on it, and covers it, nothing but that part is seen. A product
    of low rank need not make the net's map one of low rank.
    """
    own = after_training(data.products).merge(data.gaps[["cell", "status"]], on="cell")
    own = own.assign(kind=own["matrix"].str.split(".").str[-1])
    shown = [
        (f"{title}, {kind}", of_kind)
        for title, rows in data.families()
        for kind, of_kind in of_cells(own, rows).groupby("kind", sort=False)
    ]
    drawn, parts = panels(data, 2, parts=shown, without="no net here has products of two matrices, as attention has")
    for title, rows, (left, right) in parts:
        for axes, columns in ((left, RANKS), (right, {"imbalance": "imbalance"})):
            against_decay(axes, rows, columns, decay_axis(axes, rows["weight_decay"]))
            axes.set_title(title)
        left.set_ylabel("effective rank")
        rank_ticks(left.yaxis)
        right.set(ylabel="imbalance", ylim=(-0.02, 1.02))
    legend(drawn, data, entries(RANKS), columns=3)
    return drawn
