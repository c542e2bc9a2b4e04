"""The figure `bounds`: every generalization bound and rate beside the measured gap."""

from itertools import cycle
from typing import Any

import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import legend, line, mark_edge, mark_failures, marked, over_seeds
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import decay_axis, shade_trivial, trivial_entry
from ranktwo.report.drawing.style import COLOURS, MARKERS
from ranktwo.report.statuses import alive

# The marker shows a gap that is alone.
MEASURED: dict[str, Any] = {"color": "black", "linewidth": 2.5, "marker": "o", "label": "measured gap"}
BELOW = "0 or less"


@figure
def bounds(data: Data) -> Figure:
    """Every bound with explicit constants (left) and every rate (right) beside the gap, against weight decay.

    The left panels show the bounds with explicit constants and the right panels the rates, whose constants are
    dropped, against weight decay. The thick black line is the measured gap. A bound in the shaded region, above 1
    in error, explains nothing, and a bound that rises where the gap falls ranks nets wrongly. This axis has no
    place for zero or less: a triangle of the same colour at the lower edge marks it. Margin bounds are undefined where
    the percentile of the margins that they take (`bounds.percentile`) is negative, and a rate below 1 is no guarantee.
    In regression the gap is that of the loss.
    """
    drawn, parts = panels(data, 2, height=2.2)
    kinds = {kind: [name for name in data.columns(kind) if data.gaps[name].notna().any()] for kind in ("bound", "rate")}
    colours = [*(colour for colour in COLOURS if colour != "#000000"), "#882255", "#44AA99"]
    styles: dict[str, dict[str, Any]] = {
        name: {"marker": marker, "color": colour}
        for names in kinds.values()
        for name, marker, colour in zip(names, cycle(MARKERS), cycle(colours), strict=False)
    }
    for title, rows, pair in parts:
        regression = (rows["task"] == "regression").all()
        nets = alive(rows)
        measured = "matched_loss_gap" if regression else "matched_accuracy_gap"
        for axes, (kind, names) in zip(pair, kinds.items(), strict=True):
            place = decay_axis(axes, data.gaps["weight_decay"])
            axes.set(title=title, ylabel=f"{'loss' if regression else 'error'} gap, {kind}s", yscale="log")
            for name in names:
                label = name.replace("_", " ")
                below = _not_positive(over_seeds(nets, "weight_decay", name))
                marked(axes, rows[~rows["weight_decay"].isin(below)], name, place, **styles[name], label=label)
                mark_edge(axes, place(below), "v", 0.0, label=f"{label}, {BELOW}", color=styles[name]["color"])
            seeds = over_seeds(nets, "weight_decay", measured)
            line(axes, place(seeds.index), _positive(seeds), **MEASURED)
            mark_edge(axes, place(_not_positive(seeds)), "v", 0.0, label=f"{MEASURED['label']}, {BELOW}")
            mark_failures(axes, rows, place)
            if not regression:
                shade_trivial(axes)
            if not rows[names].notna().any(axis=None):
                axes.set_title(f"{title}: no {kind} is defined")
    handles = [Line2D([], [], **MEASURED), Line2D([], [], color="black", linestyle="none", marker="v", label=BELOW)]
    handles += [Line2D([], [], label=name.replace("_", " "), **style) for name, style in styles.items()]
    has_error = bool((data.gaps["task"] != "regression").any())
    legend(drawn, data, [*handles, *[trivial_entry()] * has_error], columns=4)
    return drawn


def _not_positive(seeds: pandas.DataFrame) -> pandas.Index:
    """The weight decays at which a logarithmic axis has no place for the median."""
    return seeds.index[seeds["median"] <= 0]


def _positive(seeds: pandas.DataFrame) -> pandas.DataFrame:
    """What a logarithmic axis can show: a line breaks where the median is not positive, and bands leave the panel."""
    shown = seeds.where(seeds["greatest"] > 0)
    return shown.assign(median=shown["median"].where(shown["median"] > 0))
