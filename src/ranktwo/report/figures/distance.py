"""TODO report.figures.distance."""

from collections.abc import Callable
from typing import Any

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import COLOURS, MARKERS, entries, fit_decays, legend, line, over_seeds
from ranktwo.report.drawing.panels import panels, say, unbroken
from ranktwo.report.drawing.scales import TRIVIAL, shade_trivial, step_axis

CHAIN = {
    "d_1": "$d_1$",
    "d_2": "$d_2$",
    "mean_residual_2": "mean-gradient bound on $d_2$",
    "sample_min": "$\\mathrm{min}_i\\,\\|V + g_i/\\mu\\|$",
    "sample_max": "$\\mathrm{max}_i\\,\\|V + g_i/\\mu\\|$",
    "bound_upper": "$(2B - 1)\\,\\varepsilon/\\mu$, the paper's, both ends of $\\varepsilon$",
    "pair_bound": "closest pair of samples, bound on $d_2$",
}
"""Distances of V from rank one and two, and what bounds them, in the order of their colours."""


def chain(axes: Axes, rows: pandas.DataFrame, by: str, place: Callable[[Any], Any]) -> None:
    """What `distance` and `vacuity` draw beside CHAIN: the paper's bound as a band, the data floor, what is trivial."""
    upper, lower = (over_seeds(rows, by, f"bound_{end}")["median"] for end in ("upper", "lower"))
    both = upper.index.intersection(lower.index)
    colour = COLOURS[list(CHAIN).index("bound_upper")]
    ends = f"{CHAIN['bound_upper']}, from end to end"
    axes.fill_between(place(both), lower[both], upper[both], color=colour, alpha=0.35, linewidth=0, label=ends)
    if rows["data_floor"].notna().any():
        axes.axhline(rows["data_floor"].median(), color="0.3", linestyle="--", label="data floor")
    axes.set_ylabel("relative to $\\|V\\|$")
    shade_trivial(axes)


def chain_legend(drawn: Figure, data: Data, statuses: tuple[str, ...]) -> None:
    """Entries of CHAIN, less the bounds that no cell has, and of what `chain` adds."""
    has = data.certificates.notna().any()
    handles = [entry for entry, column in zip(entries(CHAIN), CHAIN, strict=True) if has[column]]
    floor = Line2D(
        [], [], color="0.3", linestyle="--", label="data floor of $\\mathrm{max}_i$ and of the paper's bound"
    )
    legend(drawn, data, [*handles, floor, TRIVIAL], columns=3, statuses=statuses)


@figure
def distance(data: Data) -> Figure:
    """Distances of V from rank one and two over training and what bounds them, at two weight decays that all fit.

    Distances of V from rank one and two over training, relative to its norm, and all that bounds them: the
    distances to -g_i/mu of the closest and the farthest sample, the paper's bound with both ends of epsilon, and
    the bound by the mean gradient; left a weaker and right the strongest weight decay at which every seed fits. A
    bound in the shaded region, 1 or more, says nothing of V, and no training can push the paper's bound under the
    dashed data floor, so that what makes d_2 small is not what the paper's theorem sees. Medians over few seeds;
    distances near 1e-7 are rounding, and with full batches the paper's bound is undefined and absent.
    """
    drawn, parts = panels(data, 2)
    for title, rows, pair in parts:
        family = data.certificates[data.certificates["cell"].isin(rows["cell"])]
        fit = fit_decays(rows)
        for axes, decays in zip(pair, (fit[fit <= fit.max() / 10], fit), strict=True):
            axes.set_title(title)
            step_axis(axes)
            cells = family[family["weight_decay"] == decays.max()]
            if cells.empty:
                say(axes, "no such weight decay at which all seeds fit")
                continue
            axes.set_title(f"{title}, " + unbroken(f"$\\mu$ = {decays.max():g}"))
            for (column, label), marker, colour in zip(CHAIN.items(), MARKERS, COLOURS, strict=False):
                seeds = over_seeds(cells, "step", column)
                line(axes, seeds.index, seeds, color=colour, marker=marker, label=label)
            chain(axes, cells, "step", lambda step: step)
    chain_legend(drawn, data, statuses=())
    return drawn
