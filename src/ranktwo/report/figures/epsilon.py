"""The figure `epsilon`: the greatest gradient of a batch over training, and how small it would have to be."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure, of_cells
from ranktwo.report.drawing.marks import decay_colours, legend, over_seeds
from ranktwo.report.drawing.panels import panels, say
from ranktwo.report.drawing.scales import step_axis
from ranktwo.report.statuses import alive

MOST = 4
"""Weight decays of a panel."""
EPSILON = "$\\varepsilon$, upper end, and band to the lower end"
NEEDED = "$\\mu\\,\\|V\\|/(2B - 1)$, what the bound needs"
START = "$\\|V\\|$ at step 0"


@figure(reads=["certificates"], medians=False)
def epsilon(data: Data) -> Figure:
    """The theorem's epsilon over training, and the epsilon below which its bound would say something.

    The theorem bounds V's distance from rank one and two by (2B - 1) epsilon/mu, epsilon the greatest norm of a batch's
    gradient with decay over all batches. Bands reach from the largest norm of the batches that a search found to an
    upper bound of all, for up to four weight decays at which nets neither collapse nor diverge; lines are the upper
    ends, medians over n nets. The dotted line
    of the same colour is mu ||V||/(2B - 1): the bound is below ||V|| only where the band is below that line. The grey
    line is ||V|| at step 0, the norm that a random matrix of this shape has. With full batches epsilon is the norm of
    the full gradient, and the theorem says nothing.
    """
    drawn, parts = panels(data, 1, across=2)
    for title, rows, (axes,) in parts:
        axes.set(title=title, yscale="log", ylabel="$\\varepsilon$")
        step_axis(axes)
        family = of_cells(data.certificates, rows)
        # Of a net that collapses, epsilon falls over twenty decades, which would flatten all the others.
        nets = alive(rows[rows["weight_decay"] > 0])
        decays = np.sort(nets["weight_decay"].unique())
        if not len(decays):
            say(axes, "no weight decay at which a net ended")
            continue
        chosen = decays[np.unique(np.linspace(0, len(decays) - 1, MOST).round().astype(int))]
        for weight_decay in chosen:
            cells = of_cells(family, nets[nets["weight_decay"] == weight_decay])
            needed = weight_decay * cells["norm"] / (2 * cells["batch_size"].astype(float) - 1)
            needed = needed.where(cells["bound_upper"].notna())  # there is no bound with full batches
            upper, lower, wanted = (
                over_seeds(cells.assign(needed=needed), "step", column)
                for column in ("eps_upper", "eps_lower", "needed")
            )
            upper, lower, wanted = (one["median"] for one in (upper, lower, wanted))
            both, style = upper.index.intersection(lower.index), data.line_style(weight_decay)
            series, needs = (f"{style['label']}: {words}" for words in (EPSILON, NEEDED))
            axes.plot(upper.index, upper, **style | {"label": series})
            axes.fill_between(
                both, lower[both], upper[both], alpha=0.3, linewidth=0, color=style["color"], label=series
            )
            axes.plot(wanted.index, wanted, linestyle=":", linewidth=0.9, color=style["color"], label=needs)
        start = family.loc[family["step"] == 0, "norm"].median()
        axes.axhline(start, color="0.5", linewidth=0.9, label=START)
    decay_colours(drawn, data, [axes for *_, (axes,) in parts])
    handles = [
        Line2D([], [], color="0.2", label=EPSILON),
        Line2D([], [], color="0.2", linestyle=":", label=NEEDED),
        Line2D([], [], color="0.5", label=START),
    ]
    legend(drawn, data, handles, columns=3, statuses=())
    return drawn
