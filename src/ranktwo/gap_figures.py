"""Figures of the generalization gap: what it depends on, what bounds it, and what rank has to do with it."""

from itertools import cycle
from typing import Any

import numpy as np
import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ranktwo.drawing import (
    COLOURS,
    MARKERS,
    TRIVIAL,
    ZERO_COLOUR,
    ZERO_MARKER,
    Data,
    against_decay,
    decay_axis,
    decay_colours,
    figure,
    fit_decays,
    legend,
    line,
    mark_edge,
    mark_failures,
    marked,
    over_seeds,
    panels,
    rank_ticks,
    say,
    shade_trivial,
    truncation_axis,
)


@figure
def gap(data: Data) -> Figure:
    """Generalization gap in loss and in error (R^2 in regression), and the test score, against weight decay.

    Test minus training loss, test minus training error (R^2 in regression) and the test score, against weight
    decay. If weight decay helps generalization, gaps fall and the score does not; a gap that falls because the net
    no longer fits (hollow markers) is no support. Test sets are small and the split is fixed: a step of one test
    row can be as large as the differences between weight decays.
    """
    drawn, parts = panels(data, 3)
    for title, rows, three in parts:
        if (rows["task"] == "regression").all():
            shown = {"matched_loss_gap": loss_gap(rows), "matched_r2_gap": "$R^2$ gap", "test_r2": "test $R^2$"}
        else:
            shown = {
                "matched_loss_gap": loss_gap(rows),
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


def loss_gap(rows: pandas.DataFrame) -> str:
    """The axis of a loss gap, with its unit."""
    return "loss gap (sd$^2$ of $y$)" if (rows["task"] == "regression").all() else "loss gap (nats)"


@figure
def gap_against_rank(data: Data) -> Figure:
    """Loss gap against the effective rank of V, a point for each cell.

    Loss gap against the effective rank of V, a point for each net, coloured by weight decay. If low rank is why
    nets generalize, the gap falls with rank also among points of one colour; if only colours differ, weight decay
    explains as much. Weight decay moves rank, norm and fit at once, so the cloud alone shows no cause.
    """
    drawn, parts = panels(data, 1)
    for title, rows, (axes,) in parts:
        axes.set(title=title, xlabel="effective rank of $V$", ylabel=loss_gap(rows))
        drawn_cells = rows[rows["status"].isin(["ok", "unfit"])]
        for (weight_decay, status), cells in drawn_cells.groupby(["weight_decay", "status"]):
            style = data.style(weight_decay) | {"linestyle": "none", "marker": "o" if weight_decay else ZERO_MARKER}
            style |= {} if status == "ok" else {"markerfacecolor": "white"}
            axes.plot(cells["effective_rank"], cells["matched_loss_gap"], **style)
        rank_ticks(axes.xaxis)
        axes.axhline(0, color="0.3", linewidth=0.7, linestyle="--")
        lost = rows.loc[rows["status"].isin(["collapsed", "diverged"]), "status"].value_counts(sort=False)
        if len(lost):
            note = ", ".join(f"{count} {name}" for name, count in lost.items())
            axes.set_title(f"{title}\nnot drawn: {note}")
    decay_colours(drawn, data, [axes for *_, (axes,) in parts])
    zero = Line2D([], [], linestyle="none", marker=ZERO_MARKER, color=ZERO_COLOUR, label="$\\mu$ = 0")
    legend(drawn, data, [zero], statuses=("unfit",))
    return drawn


@figure
def bounds(data: Data) -> Figure:
    """Every bound with explicit constants (left) and every rate (right) beside the gap, against weight decay.

    Bounds with explicit constants (left) and rates, whose constants are dropped (right), beside the measured gap,
    the thick black line, against weight decay. A bound in the shaded region, above 1 in error, explains nothing,
    and one that rises where the gap falls ranks nets wrongly. A gap of zero or less has no place on this axis and
    is a triangle at the lower edge; margin bounds are undefined where the tenth percentile of the margins is
    negative, a rate below 1 is no guarantee, and in regression the gap is that of the loss.
    """
    from ranktwo.bounds import REGISTRY  # here, since it takes torch along, which no other figure needs

    drawn, parts = panels(data, 2, height=2.2)
    known = [bound for name, bound in REGISTRY.items() if name in data.gaps and data.gaps[name].notna().any()]
    kinds = {kind: [bound.name for bound in known if bound.kind == kind] for kind in ("bound", "rate")}
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
            seeds = over_seeds(rows[rows["status"].isin(["ok", "unfit"])], "weight_decay", measured)
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
    legend(drawn, data, [*handles, TRIVIAL], columns=4)
    return drawn


def _positive(seeds: pandas.DataFrame) -> pandas.DataFrame:
    """What a logarithmic axis can show: a line that breaks where the median is not positive, bands cut off below."""
    least = seeds[seeds > 0].min(axis=None) / 2
    return seeds.clip(lower=least).assign(median=seeds["median"].where(seeds["median"] > 0))


@figure
def truncation(data: Data) -> Figure:
    """Test score of the net with V cut to rank r (left), and with all of V shrunk to the same norm (right).

    Test score of the trained net with V cut to rank r (left), and with all of V shrunk to the norm that it has then
    (right), coloured by weight decay; dots mark the functional rank, the least within 1 % of the whole net's score.
    If rank and not norm carries what the net knows, the left falls at small r and the right does not; if low rank
    helps, cutting a net of full rank raises its score. Scaling V only scales the outputs, so accuracy on the right
    cannot change, and only R^2 and losses are controls there; at most five weight decays at which all seeds fit are
    shown.
    """
    drawn, parts = panels(data, 2)
    lists = ["truncation_ranks", "truncated_test_score", "shrunk_test_score"]
    for title, rows, pair in parts:
        nets = data.truncation[data.truncation["cell"].isin(rows["cell"])].dropna(subset=lists)
        fit = fit_decays(rows[rows["cell"].isin(nets["cell"])], least=0)
        shown = fit[np.unique(np.linspace(0, len(fit) - 1, 5).round().astype(int))] if len(fit) else fit
        score = "$R^2$" if (rows["task"] == "regression").all() else "accuracy"
        functional = nets.groupby("weight_decay")["functional_rank"].median()
        for axes, column, what in zip(
            pair, lists[1:], ("rank $r$ of $V$", "$V$ shrunk to its norm at rank $r$"), strict=True
        ):
            axes.set(title=title, xlabel=what, ylabel=f"test {score}")
            if not len(shown):
                say(axes, "no weight decay at which all seeds fit")
            for weight_decay in shown:
                curves = nets.loc[nets["weight_decay"] == weight_decay, ["truncation_ranks", column]]
                curves = curves.explode(["truncation_ranks", column]).astype(float)
                seeds = over_seeds(curves, "truncation_ranks", column)
                colour = data.colour(weight_decay)
                line(axes, seeds.index, seeds, **data.style(weight_decay))
                if column == "truncated_test_score":
                    rank = functional[weight_decay]
                    score_there = np.interp(rank, seeds.index, seeds["median"])
                    axes.plot(rank, score_there, "o", color=colour, label="functional rank")
            truncation_axis(axes, max((ranks[-1] for ranks in nets["truncation_ranks"]), default=1))
        pair[1].sharey(pair[0])
    zero = decay_colours(drawn, data, [axes for *_, pair in parts for axes in pair])
    mark = Line2D(
        [], [], linestyle="none", marker="o", color="0.2", label="functional rank: within 1 % of the whole net"
    )
    legend(drawn, data, [zero, mark], statuses=())
    return drawn
