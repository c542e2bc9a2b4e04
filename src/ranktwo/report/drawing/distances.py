"""What the figures of V's distances from rank one and two share: `distance` and `vacuity`."""

from collections.abc import Callable
from typing import Any

import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data
from ranktwo.report.drawing.marks import entries, legend, over_seeds
from ranktwo.report.drawing.scales import shade_trivial, trivial_entry
from ranktwo.report.drawing.style import COLOURS

DISTANCES = {
    "d_1": "$d_1$",
    "d_2": "$d_2$",
    "mean_residual_2": "mean-gradient bound on $d_2$",
    "sample_min": "$\\mathrm{min}_i\\,\\|V + g_i/\\mu\\|$",
    "sample_max": "$\\mathrm{max}_i\\,\\|V + g_i/\\mu\\|$",
    "bound_upper": "$(2B - 1)\\,\\varepsilon/\\mu$, the paper's, both ends of $\\varepsilon$",
    "pair_bound": "closest pair of samples, bound on $d_2$",
}
"""Columns of certificates: distances of V from rank one and two, and their bounds, in the order of their colours."""


def paper_bound_and_floor(axes: Axes, rows: pandas.DataFrame, by: str, place: Callable[[Any], Any]) -> None:
    """Draw what stands beside DISTANCES: the paper's bound as a band, the data floor, and the region of no content."""
    upper, lower = (over_seeds(rows, by, f"bound_{end}")["median"] for end in ("upper", "lower"))
    both = upper.index.intersection(lower.index)
    colour = COLOURS[list(DISTANCES).index("bound_upper")]
    ends = f"{DISTANCES['bound_upper']}, from end to end"
    axes.fill_between(place(both), lower[both], upper[both], color=colour, alpha=0.35, linewidth=0, label=ends)
    if rows["data_floor"].notna().any():
        axes.axhline(rows["data_floor"].median(), color="0.3", linestyle="--", label="data floor")
    axes.set_ylabel("relative to $\\|V\\|$")
    shade_trivial(axes)


def distances_legend(drawn: Figure, data: Data, statuses: tuple[str, ...]) -> None:
    """Draw the legend: DISTANCES without the bounds that no cell has, and what `paper_bound_and_floor` draws."""
    has = data.certificates.notna().any()
    handles = [entry for entry, column in zip(entries(DISTANCES), DISTANCES, strict=True) if has[column]]
    floor = Line2D(
        [], [], color="0.3", linestyle="--", label="data floor of $\\mathrm{max}_i$ and of the paper's bound"
    )
    legend(drawn, data, [*handles, floor, trivial_entry()], columns=3, statuses=statuses)
