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


@figure
def bounds(data: Data) -> Figure:
    """Every bound with explicit constants (left) and every rate (right) beside the gap, against weight decay.

    The left panels show the bounds with explicit constants and the right panels the rates, whose constants are
    dropped, against weight decay. The thick black line is the measured gap. A bound in the shaded region, above 1
    in error, explains nothing, and a bound that rises where the gap falls ranks nets wrongly. This axis has no
    place for a gap of zero or less: a triangle at the lower edge marks it. Margin bounds are undefined where the
    percentile of the margins that they take (`bounds.percentile`) is negative, and a rate below 1 is no guarantee.
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
        measured = "matched_loss_gap" if regression else "matched_accuracy_gap"
        for axes, (kind, names) in zip(pair, kinds.items(), strict=True):
            place = decay_axis(axes, data.gaps["weight_decay"])
            axes.set(title=title, ylabel=f"{'loss' if regression else 'error'} gap, {kind}s", yscale="log")
            for name in names:
                marked(axes, rows, name, place, **styles[name], label=name.replace("_", " "))
            seeds = over_seeds(alive(rows), "weight_decay", measured)
            line(axes, place(seeds.index), _positive(seeds), color="black", linewidth=2.5, label="measured gap")
            below = seeds.index[seeds["median"] <= 0]
            mark_edge(axes, place(below), "v", 0.0, label="measured gap, 0 or less")
            mark_failures(axes, rows, place)
            if not regression:
                shade_trivial(axes)
            if not rows[names].notna().any(axis=None):
                axes.set_title(f"{title}: no {kind} is defined")
    handles = [
        Line2D([], [], color="black", linewidth=2.5, label="measured gap"),
        Line2D([], [], color="black", linestyle="none", marker="v", label="measured gap, 0 or less"),
    ]
    handles += [Line2D([], [], label=name.replace("_", " "), **style) for name, style in styles.items()]
    legend(drawn, data, [*handles, trivial_entry()], columns=4)
    return drawn


def _positive(seeds: pandas.DataFrame) -> pandas.DataFrame:
    """What a logarithmic axis can show: a line breaks where the median is not positive, and bands are cut off below."""
    least = seeds[seeds > 0].min(axis=None) / 2
    return seeds.clip(lower=least).assign(median=seeds["median"].where(seeds["median"] > 0))
