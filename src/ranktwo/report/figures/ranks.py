"""The figure `ranks`: V's residuals and its rank by every rule against weight decay."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import against_decay, entries, legend
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import decay_axis, rank_ticks
from ranktwo.report.drawing.titles import RESIDUALS


@figure
def ranks(data: Data) -> Figure:
    """Rank-r residuals and ranks by every rule, against weight decay.

    The left panels show the relative distance of V from rank one, two and three, and the right panels its rank by
    every rule, against weight decay. For the claim, d_2 has to be near 0 at weight decays at which the net still
    fits (filled markers), and not at weight decay 0, left of the dotted line. The rank of V depends on the rule.
    The rules that know the initial noise (gavish-donoho, marchenko-pastur) count the directions that training has
    made, not those that V needs, and end where rounding hides what decay has left of that noise.
    """
    drawn, parts = panels(data, 2)
    by_rule = {name: name.removeprefix("rank_").replace("_", "-") for name in data.columns("rank")}
    rules = {"effective_rank": "effective rank", **by_rule}
    for title, rows, (left, right) in parts:
        for axes, columns in ((left, RESIDUALS), (right, rules)):
            against_decay(axes, rows, columns, decay_axis(axes, data.gaps["weight_decay"]))
            axes.set_title(title)
        left.set(ylabel="residual", ylim=(-0.02, 1.02))
        right.set(ylabel="rank of $V$")
        rank_ticks(right.yaxis)
        right.axhline(2, color="0.3", linewidth=0.7, linestyle="--")
    legend(drawn, data, entries(RESIDUALS), columns=2, place="left", title="residual: distance from rank $r$")
    legend(drawn, data, entries(rules), columns=4, statuses=(), place="right", title="rank by each rule")
    return drawn
