"""Figures: one function each, drawn from the Parquet files alone, saved as PDF and PNG."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ranktwo import files, gaps
from ranktwo.drawing import (
    ZERO_COLOUR,
    Data,
    against_decay,
    colour_scale,
    decay_axis,
    decay_colours,
    entries,
    legend,
    line,
    over_seeds,
    panels,
    rank_ticks,
)
from ranktwo.errors import UserError, run

Draw = Callable[[Data], Figure]
FIGURES: dict[str, Draw] = {}
TABLES = ("spectra", "certificates", "truncation")
"""Tables that a figure may read beside gaps.parquet."""


def figure(function: Draw) -> Draw:
    """Register a figure under its function's name with hyphens."""
    FIGURES[function.__name__.replace("_", "-")] = function
    return function


@figure
def spectrum(data: Data) -> Figure:
    """Singular values of V after training, by weight decay."""
    drawn, parts = panels(data, 1)
    for title, rows, (axes,) in parts:
        axes.set(title=title, xlabel="index $i$", ylabel="$s_i(V)$", yscale="log")
        last = data.spectra[data.spectra["cell"].isin(rows["cell"]) & (data.spectra["step"] == data.spectra["steps"])]
        status = rows.groupby("weight_decay")["status"].agg(lambda status: sorted(set(status)))
        greatest = 0.0
        for weight_decay, cells in last.dropna(subset=["effective_rank"]).groupby("weight_decay"):
            values = np.stack(cells["singular_values"])
            index = np.arange(1, values.shape[1] + 1)
            greatest = max(greatest, values.max())
            seeds = pandas.DataFrame(
                {"median": np.median(values, 0), "least": values.min(0), "greatest": values.max(0)}
            )
            dashes = {"linestyle": "-" if status[weight_decay] == ["ok"] else (0, (3, 1.5))}
            line(axes, index, seeds, color=data.colour(weight_decay), **dashes)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_ylim(greatest * 1e-8, greatest * 3) if greatest else None
        failed = rows.loc[rows["status"] != "ok", "status"].value_counts(sort=False)
        if len(failed):
            note = ", ".join(f"{count} {name}" for name, count in failed.items())
            axes.set_title(f"{title}\n{note} of {len(rows)}")
    zero = decay_colours(drawn, data, [axes for *_, (axes,) in parts])
    dashed = Line2D([], [], color="0.2", linestyle=(0, (3, 1.5)), label="some seeds unfit, collapsed or diverged")
    drawn.legend(handles=[zero, dashed], loc="outside upper center", ncols=2)
    return drawn


@figure
def ranks(data: Data) -> Figure:
    """Rank-r residuals and ranks by every rule, against weight decay."""
    drawn, parts = panels(data, 2)
    residuals = {f"residual_{r}": f"$d_{r}/\\|V\\|$" for r in (1, 2, 3)}
    rules = {
        name: name.removeprefix("rank_").replace("_", "-") for name in data.gaps.columns if name.startswith("rank_")
    }
    rules = {"effective_rank": "effective rank", **rules}
    for title, rows, (left, right) in parts:
        for axes, columns in ((left, residuals), (right, rules)):
            against_decay(axes, rows, columns, decay_axis(axes, data.gaps["weight_decay"]))
            axes.set_title(title)
        left.set(ylabel="residual", ylim=(-0.02, 1.02))
        right.set(ylabel="rank of $V$")
        rank_ticks(right.yaxis)
        right.axhline(2, color="0.3", linewidth=0.7, linestyle="--")
    legend(drawn, data, [*entries(residuals), *entries(rules)], columns=5)
    return drawn


@figure
def training(data: Data) -> Figure:
    """Rank-two residual and effective rank over training, by weight decay."""
    drawn, parts = panels(data, 2)
    for title, rows, pair in parts:
        family = data.spectra[data.spectra["cell"].isin(rows["cell"])]
        for axes, column, label in zip(
            pair, ("residual_2", "effective_rank"), ("$d_2/\\|V\\|$", "effective rank of $V$"), strict=True
        ):
            axes.set(title=title, xlabel="step", ylabel=label)
            axes.set_xscale("symlog", linthresh=1, linscale=0.3)
            for weight_decay, cells in family.groupby("weight_decay"):
                seeds = over_seeds(cells, "step", column)
                line(axes, seeds.index, seeds, color=data.colour(weight_decay))
        pair[0].set_ylim(-0.02, 1.02)
        rank_ticks(pair[1].yaxis)
    zero = decay_colours(drawn, data, [axes for *_, pair in parts for axes in pair])
    drawn.legend(handles=[zero], loc="outside upper center")
    return drawn


@figure
def gap(data: Data) -> Figure:
    """Generalization gap in loss and in error (R^2 in regression), and the test score, against weight decay."""
    drawn, parts = panels(data, 3)
    for title, rows, three in parts:
        if (rows["task"] == "regression").all():
            shown = {"matched_loss_gap": "loss gap", "matched_r2_gap": "$R^2$ gap", "test_r2": "test $R^2$"}
        else:
            shown = {
                "matched_loss_gap": "loss gap",
                "matched_accuracy_gap": "error gap",
                "test_accuracy": "test accuracy",
            }
        for axes, (column, label) in zip(three, shown.items(), strict=True):
            against_decay(axes, rows, {column: label}, decay_axis(axes, data.gaps["weight_decay"]))
            axes.set(title=title, ylabel=label)
            if column.endswith("gap"):
                axes.axhline(0, color="0.3", linewidth=0.7, linestyle="--")
    legend(drawn, data, [])
    return drawn


@figure
def gap_against_rank(data: Data) -> Figure:
    """Loss gap against the effective rank of V, a point for each cell."""
    drawn, parts = panels(data, 1)
    for title, rows, (axes,) in parts:
        axes.set(title=title, xlabel="effective rank of $V$", ylabel="loss gap")
        for _, cell in rows[rows["status"].isin(["ok", "unfit"])].iterrows():
            colour = data.colour(cell["weight_decay"])
            face = colour if cell["status"] == "ok" else "white"
            axes.plot(cell["effective_rank"], cell["matched_loss_gap"], "o", color=colour, markerfacecolor=face)
        rank_ticks(axes.xaxis)
        axes.axhline(0, color="0.3", linewidth=0.7, linestyle="--")
        lost = rows.loc[rows["status"].isin(["collapsed", "diverged"]), "status"].value_counts(sort=False)
        if len(lost):
            note = ", ".join(f"{count} {name}" for name, count in lost.items())
            axes.set_title(f"{title}\nnot drawn: {note}")
    decay_colours(drawn, data, [axes for *_, (axes,) in parts])
    zero = Line2D([], [], linestyle="none", marker="o", color=ZERO_COLOUR, label="$\\mu$ = 0")
    legend(drawn, data, [zero], statuses=("unfit",))
    return drawn


def select(table: pandas.DataFrame, where: dict[str, Any]) -> pandas.DataFrame:
    """The rows whose axes have one of the values asked for, written as in the config."""
    for axis, wanted in where.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if axis == "widths":
            values = ["-".join(map(str, value if isinstance(value, list) else [value])) for value in values]
        chosen = table[axis].isin(values)
        if axis == "batch_size" and "full" in values:
            chosen |= table["batch_size"] == table["train_size"]
        if axis == "train_size" and None in values:
            chosen |= table["train_size"] == table.groupby("dataset")["train_size"].transform("max")
        table = table[chosen]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(FIGURES))
    parser.add_argument("--gaps", type=Path, required=True)
    for name in TABLES:
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    parser.add_argument("--where", type=json.loads, default={}, help="JSON: the cells to draw, by axis")
    parser.add_argument("--style", type=Path, default=Path(__file__).with_name("style.mplstyle"))
    parser.add_argument("--pdf", type=Path, required=True)
    parser.add_argument("--png", type=Path, required=True)
    arguments = parser.parse_args()
    study = gaps.read([arguments.gaps])
    rows = select(study, arguments.where)
    if rows.empty:
        raise UserError(
            f"figure {arguments.name}: no cell has the values asked for by `where`; name values of the grid"
        )
    plt.style.use(arguments.style)
    norm = colour_scale(study["weight_decay"])
    drawn = FIGURES[arguments.name](Data(gaps=rows, read=lambda name: gaps.read(vars(arguments)[name]), norm=norm))
    for path in (arguments.pdf, arguments.png):
        with files.replacing(path) as temporary:
            drawn.savefig(temporary, metadata={"CreationDate": None} if path == arguments.pdf else None)


if __name__ == "__main__":
    run(main)
