"""The figure `classes`: rank beside the number of classes."""

from functools import partial
from typing import Any

import numpy as np
import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.report.drawing.data import Data, figure
from ranktwo.report.drawing.marks import entries, fit_decays, legend, over_seeds
from ranktwo.report.drawing.panels import panels
from ranktwo.report.drawing.scales import STANDS_FOR, rank_ticks
from ranktwo.report.drawing.style import COLOURS, MARKERS
from ranktwo.report.drawing.titles import plain


@figure(medians=False)
def classes(data: Data) -> Figure:
    """Rank of V by three rules beside the number of classes C, at like weight decays in units of the critical one.

    Rank of V by three rules for each classification task, where weight decay is near 0.05 and near 0.2 of the
    critical one: medians over the n nets, and upright lines from the least to the greatest. Level lines mark the number
    of classes C, C - 1, and two. The claim says two for every task; ranks that rise with C contradict it for more than
    two classes. Each task is shown at the nearest weight decay at which all nets fit, if that is within a factor of
    three, so the comparison is rough. Ranks depend on the rule.
    """
    rules = {"effective_rank": "effective rank", "rank_relative": "relative", "rank_energy": "energy"}
    families = [(title, rows) for title, rows in data.families() if (rows["task"] != "regression").all()]
    families.sort(key=lambda family: family[1]["outputs"].max())
    alike = []
    for target in (0.05, 0.2):
        chosen = []
        for title, rows in families:
            ratios = rows[rows["weight_decay"].isin(fit_decays(rows))].groupby("weight_decay")["decay_ratio"].median()
            away = np.abs(np.log(ratios / target)).dropna()
            if len(away) and away.min() < np.log(3):
                count = max(2, rows["outputs"].max())
                label = f"{title.replace(', ', chr(10))}\n$C$ = {count}, $\\mu/\\mu_c$ = {ratios[away.idxmin()]:.2g}"
                chosen.append(rows[rows["weight_decay"] == away.idxmin()].assign(classes=count, label=label))
        if chosen:
            alike.append((f"$\\mu/\\mu_c$ near {target:g}: {len(chosen)} of {len(families)}", pandas.concat(chosen)))
    drawn, parts = panels(
        data,
        1,
        parts=alike,
        across=1,
        height=2.4,
        without="no classification at a known $\\mu/\\mu_c$ that all nets fit",
    )
    lines: dict[str, Any] = {"$C$": "-", "$C - 1$": ":"}
    for title, rows, (axes,) in parts:
        labels = rows.groupby("label", sort=False)["classes"].first()
        position = pandas.Series(np.arange(len(labels)), labels.index, dtype=float)
        for number, (column, marker, colour) in enumerate(zip(rules, MARKERS, COLOURS, strict=False)):
            seeds = over_seeds(rows, "label", column)
            x = position[seeds.index] + 0.15 * (number - 1)
            axes.vlines(x, seeds["least"], seeds["greatest"], color=colour, linewidth=1, label=rules[column])
            axes.plot(x, seeds["median"], marker, color=colour, label=rules[column])
        for below, (name, style) in enumerate(lines.items()):
            ends = (position - 0.35, position + 0.35)
            axes.hlines(labels - below, *ends, color="black", linestyle=style, linewidth=1, label=name)
        axes.axhline(2, color="0.3", linewidth=0.7, linestyle="--")
        rank_ticks(axes.yaxis)
        axes.set(title=title, ylabel="rank of $V$", xlim=(-0.6, len(labels) - 0.4))
        slant = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(position, labels.index, **slant if len(labels) > (5 if data.width == "page" else 2) else {})
        STANDS_FOR[axes] = partial(_name, list(labels.index))
    marks = [Line2D([], [], color="black", linestyle=style, label=name) for name, style in lines.items()]
    rank_two = Line2D([], [], color="0.3", linewidth=0.7, linestyle="--", label="rank two")
    handles = entries(rules)
    for handle in handles:
        handle.set_linestyle("none")
    legend(drawn, data, [*handles, *marks, rank_two], statuses=())
    return drawn


def _name(names: list[str], x: float) -> str:
    """The name at the nearest of the places 0, 1, 2, ... of an axis."""
    return plain(names[round(x)])
