"""Figures of what rank V has, when, and what bounds it: one function each."""

from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import pandas
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ranktwo.drawing import (
    COLOURS,
    MARKERS,
    MINI_OR_FULL,
    STANDS_FOR,
    TRIVIAL,
    Data,
    against_decay,
    decay_axis,
    decay_colours,
    entries,
    figure,
    fit_decays,
    legend,
    line,
    mark_failures,
    marked,
    over_seeds,
    panels,
    plain,
    rank_ticks,
    say,
    shade_trivial,
    step_axis,
    unbroken,
)

RANK_AND_RESIDUAL = {"effective_rank": "effective rank of $V$", "residual_2": "$d_2/\\|V\\|$"}
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


@figure
def spectrum(data: Data) -> Figure:
    """Singular values of V after training, by weight decay.

    Singular values of V after training, a line for each weight decay: the median over seeds, with a band from the
    least to the greatest. V of rank two would be two large values and a cliff after them, which is what the claim
    predicts and what the lines show or do not show for each data set. Values near 1e-7 of the largest are rounding
    of the float32 weights, and dashed lines include seeds that do not fit, collapsed or diverged.
    """
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
            dashes = {} if status[weight_decay] == ["ok"] else {"linestyle": (0, (4, 1.5))}
            line(axes, index, seeds, **data.style(weight_decay) | dashes)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlim(left=0)
        axes.set_ylim(greatest * 1e-8, greatest * 3) if greatest else None
        failed = rows.loc[rows["status"] != "ok", "status"].value_counts(sort=False)
        if len(failed):
            note = ", ".join(f"{count} {name}" for name, count in failed.items())
            axes.set_title(f"{title}\n{note} of {len(rows)}")
    zero = decay_colours(drawn, data, [axes for *_, (axes,) in parts])
    dashed = Line2D([], [], color="0.2", linestyle=(0, (4, 1.5)), label="some seeds unfit, collapsed or diverged")
    legend(drawn, data, [zero, dashed], statuses=())
    return drawn


@figure
def ranks(data: Data) -> Figure:
    """Rank-r residuals and ranks by every rule, against weight decay.

    Relative distance of V from rank one, two and three (left) and its rank by every rule (right), against weight
    decay. The claim needs d_2 near 0 at weight decays at which the net still fits (filled markers), and not at 0,
    left of the dotted line. Which rank V has depends on the rule; the rules that know the initial noise
    (gavish-donoho, marchenko-pastur) count directions that training has made, not directions that V needs.
    """
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
    legend(drawn, data, entries(residuals), columns=2, place="left", title="residual: distance from rank $r$")
    legend(drawn, data, entries(rules), columns=4, statuses=(), place="right", title="rank by each rule")
    return drawn


@figure
def training(data: Data) -> Figure:
    """Rank-two residual and effective rank over training, by weight decay.

    Relative distance of V from rank two (left) and its effective rank (right) over training, coloured by weight
    decay. Where a line is still falling at its end, the net was not trained enough for the claim to say anything of
    it. Snapshots are log-spaced, so what happens between two of them is not seen.
    """
    drawn, parts = panels(data, 2)
    for title, rows, pair in parts:
        family = data.spectra[data.spectra["cell"].isin(rows["cell"])]
        for axes, column, label in zip(
            pair, ("residual_2", "effective_rank"), ("$d_2/\\|V\\|$", "effective rank of $V$"), strict=True
        ):
            axes.set(title=title, ylabel=label)
            step_axis(axes)
            for weight_decay, cells in family.groupby("weight_decay"):
                seeds = over_seeds(cells, "step", column)
                line(axes, seeds.index, seeds, **data.style(weight_decay))
        pair[0].set_ylim(-0.02, 1.02)
        rank_ticks(pair[1].yaxis)
    zero = decay_colours(drawn, data, [axes for *_, pair in parts for axes in pair])
    legend(drawn, data, [zero], statuses=())
    return drawn


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


@figure
def vacuity(data: Data) -> Figure:
    """Distances of V from rank one and two after training, and what bounds them, against weight decay.

    What V's distances from rank one and two are after training, relative to its norm, and what each bound says of
    them, against weight decay. The claim rests on the paper's bound (a band between both ends of epsilon) being
    below 1, the shaded region's edge; the bound by the mean gradient gets there first. At weight decay 0 no bound
    is defined, with full batches the paper's is not, and collapsed nets are marked but have no value.
    """
    last = data.certificates[data.certificates["step"] == data.certificates["steps"]]
    cells = last.drop(columns="status", errors="ignore").merge(data.gaps[["cell", "status"]], on="cell")
    drawn, parts = panels(data, 1, across=2)
    for title, rows, (axes,) in parts:
        place = decay_axis(axes, data.gaps["weight_decay"])
        axes.set_title(title)
        family = cells[cells["cell"].isin(rows["cell"])]
        against_decay(axes, family, CHAIN, place)
        chain(axes, family[family["status"].isin(["ok", "unfit"])], "weight_decay", place)
    chain_legend(drawn, data, statuses=("unfit", "collapsed", "diverged"))
    return drawn


@figure
def critical_decay(data: Data) -> Figure:
    """Effective rank of V against weight decay in units of the critical one, above which zero is the global minimum.

    Effective rank of V against weight decay in units of mu_c, above which zero is the global minimum of the
    penalised loss. It puts data sets on one scale: rank falls as mu/mu_c rises and V collapses beyond the vertical
    line, so the low rank of the claim lives in a window below it whose width the data set decides. mu_c is a
    numerical lower bound of a maximum and exists for nets of two layers only; near the line, collapse takes longer
    than the run.
    """
    known = [(title, rows.dropna(subset=["decay_ratio"])) for title, rows in data.families()]
    drawn, parts = panels(
        data, 1, parts=[part for part in known if len(part[1])], without="no cell has a critical weight decay"
    )
    for title, rows, (axes,) in parts:
        # Label noise moves the critical decay from seed to seed: a weight decay stands at its median.
        ratio = rows.groupby("weight_decay")["decay_ratio"].median()
        axis = decay_axis(axes, data.gaps["decay_ratio"], "$\\mu/\\mu_c$")
        axes.set(title=title, ylabel="effective rank of $V$")
        place = lambda mu, axis=axis, ratio=ratio: axis(ratio[mu])  # noqa: E731
        against_decay(axes, rows, {"effective_rank": "effective rank"}, place)
        rank_ticks(axes.yaxis)
        axes.axvline(1, color=COLOURS[1], linestyle="--", label="$\\mu = \\mu_c$")
        axes.set_xlim(right=max(2, axes.get_xlim()[1]))
        axes.axhline(2, color="0.3", linewidth=0.7, linestyle="--")
    critical = Line2D([], [], color=COLOURS[1], linestyle="--", label="$\\mu = \\mu_c$")
    legend(drawn, data, [critical] if parts else [])
    return drawn


@figure
def scaling(data: Data) -> Figure:
    """Effective rank and distance from rank two against B/(eta mu); a line joins the nets of equal eta mu T.

    Effective rank of V and its relative distance from rank two against B/(eta mu); a line joins nets of equal eta
    mu T, so that the initial weights have decayed alike. If the rank follows B/(eta mu), as the trajectory bound of
    Galanti et al. suggests, lines rise and fall onto one curve; a flat line says that the batch size does not
    matter once eta mu T is fixed. Values of eta mu T count as equal if they agree to two digits; without such nets
    the figure says so.
    """
    comparable = []
    for title, rows in data.families(MINI_OR_FULL):
        rows = rows[rows["weight_decay"] > 0]
        decayed = rows["learning_rate"] * rows["weight_decay"]
        # T is a whole number, so values of eta mu T that are meant to be equal agree to some digits only.
        times = [float(f"{time:.1e}") for time in decayed * rows["steps"]]
        rows = rows.assign(ratio=rows["batch_size"] / decayed, time=times)
        rows = rows[rows.groupby("time")["ratio"].transform("nunique") > 1]
        comparable += [(title, rows)] if len(rows) else []
    drawn, parts = panels(
        data,
        2,
        parts=comparable,
        without="no nets of equal $\\eta\\mu T$ with several values of $B/(\\eta\\mu)$ to compare",
    )
    times = sorted({time for _, rows in comparable for time in rows["time"]})
    styles: dict[Any, dict[str, Any]] = {
        time: {"marker": marker, "color": colour}
        for time, marker, colour in zip(times, cycle(MARKERS), cycle(COLOURS), strict=False)
    }
    for title, rows, pair in parts:
        for axes, (column, label) in zip(pair, RANK_AND_RESIDUAL.items(), strict=True):
            axes.set(title=title, xlabel="$B/(\\eta\\mu)$", ylabel=label, xscale="log")
            for time, same in rows.groupby("time"):
                marked(axes, same, column, np.asarray, by="ratio", **styles[time], label=f"$\\eta\\mu T$ = {time:g}")
            mark_failures(axes, rows, np.asarray, by="ratio")
        rank_ticks(pair[0].yaxis)
        pair[1].set_ylim(-0.02, 1.02)
    handles = [Line2D([], [], label=f"$\\eta\\mu T$ = {time:g}", **style) for time, style in styles.items()]
    legend(drawn, data, handles)
    return drawn


@figure
def full_batch(data: Data) -> Figure:
    """Effective rank and distance from rank two, mini-batches beside full batches; the longest runs at each decay.

    Effective rank of V and its relative distance from rank two against weight decay, mini-batches beside full
    batches. The paper's argument needs batches that differ, so low rank under full batches too would show that
    mini-batch noise is not its cause. Runs may differ in learning rate and steps; where several lengths exist, the
    longest is shown.
    """
    is_full = data.gaps["batch_size"] == data.gaps["train_size"]
    both = [part for part in data.families(MINI_OR_FULL) if is_full[part[1].index].nunique() == 2]
    drawn, parts = panels(data, 2, parts=both, without="no data set was trained with mini-batches and full batches")
    kind = data.gaps["batch_size"].astype(str).radd("B = ").mask(is_full, "full batch")
    sizes = data.gaps.loc[~is_full, "batch_size"].sort_values().unique() if parts else []
    styles: dict[Any, dict[str, Any]] = {
        f"B = {size}": {"marker": marker, "color": COLOURS[0]}
        for size, marker in zip(sizes, cycle("oD^vP"), strict=False)
    }
    styles["full batch"] = {"marker": "s", "color": COLOURS[1]}
    for title, rows, pair in parts:
        rows = rows.assign(kind=kind)
        rows = rows[rows["steps"] == rows.groupby(["kind", "learning_rate", "weight_decay"])["steps"].transform("max")]
        for axes, (column, label) in zip(pair, RANK_AND_RESIDUAL.items(), strict=True):
            place = decay_axis(axes, data.gaps["weight_decay"])
            axes.set(title=title, ylabel=label)
            for (name, _), cells in rows.groupby(["kind", "learning_rate"]):
                marked(axes, cells, column, place, **styles[name], label=name)
            mark_failures(axes, rows, place)
        rank_ticks(pair[0].yaxis)
        pair[1].set_ylim(-0.02, 1.02)
    legend(drawn, data, [Line2D([], [], label=name, **style) for name, style in styles.items()] if parts else [])
    return drawn


@figure
def classes(data: Data) -> Figure:
    """Rank of V by three rules beside the number of classes C, at like weight decays in units of the critical one.

    Rank of V by three rules for each classification task, with lines at the number of classes C, at C - 1 and at
    two, where weight decay is near 0.05 and near 0.2 of the critical one. The claim says two for every task; ranks
    that rise with C contradict it for more than two classes. Each task stands at the nearest weight decay at which
    all seeds fit, if within a factor of three, so the comparison is rough, and ranks depend on the rule.
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
        without="no classification at a known $\\mu/\\mu_c$ that all seeds fit",
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
    legend(drawn, data, [*handles, *marks, rank_two] if parts else [], statuses=())
    return drawn


def _name(names: list[str], x: float) -> str:
    """What stands at place 0, 1, 2, ... of an axis."""
    return plain(names[round(x)])


@figure
def neurons(data: Data) -> Figure:
    """Rows of V in the plane of its first two directions, at the weakest weight decay that fits near rank two.

    Rows of V, one point per neuron, in the plane of its first two right singular vectors, coloured by the outgoing
    weight; the arrow is the direction of the mean vector of the data, projected on the plane. In a net of rank two
    they lie on two rays, one for each sign of the outgoing weight: the two of the claim would be one direction per
    sign of one output. One seed of each task, at the weakest weight decay at which it fits with d_2 under a tenth
    of the norm; colours are relative to the largest outgoing weight of that net.
    """
    one = [(title, rows) for title, rows in data.families() if (rows["outputs"] == 1).all()]
    drawn, parts = panels(data, 1, height=2.4, parts=one, without="no net has one output")
    signs = colormaps["PuOr"]
    for title, rows, (axes,) in parts:
        low = rows[(rows["status"] == "ok") & (rows["residual_2"] < 0.1)].sort_values(["weight_decay", "seed"])
        nets = data.truncation.dropna(subset=["plane_1"]).set_index("cell")
        low = low[low["cell"].isin(nets.index)]
        title = title.rpartition(" ")[0]  # n is of no account: one net is drawn
        axes.set(title=title, xlabel="along $v_1$", ylabel="along $v_2$")
        if low.empty:
            say(axes, "no net that fits\nwith $d_2 < 0.1\\,\\|V\\|$")
            continue
        net, chosen = nets.loc[low["cell"].iloc[0]], low.iloc[0]
        axes.set_title(
            f"{title}\n$\\mu$ = {chosen['weight_decay']:g}, seed {chosen['seed']} of {rows['seed'].nunique()}"
        )
        x, y, outgoing = (np.asarray(net[name], dtype=float) for name in ("plane_1", "plane_2", "outgoing"))
        axes.scatter(
            x,
            y,
            c=outgoing / np.abs(outgoing).max(),
            cmap=signs,
            vmin=-1,
            vmax=1,
            edgecolors="0.3",
            linewidths=0.4,
            s=14,
            label="outgoing weight",
        )
        means = np.column_stack([net["mean_1"], net["mean_2"]]).astype(float)
        reach = np.hypot(x, y).max()
        for mean in reach * means / np.linalg.norm(means, axis=1, keepdims=True):
            axes.plot(*np.column_stack([[0, 0], mean]), color="black", label="mean vector")
            axes.arrow(0, 0, *mean, head_width=0.06 * reach, length_includes_head=True, color="black")
        axes.set_aspect("equal", "datalim")
    if parts:
        shown = [axes for *_, (axes,) in parts]
        label = "outgoing weight, relative to the largest"
        drawn.colorbar(ScalarMappable(Normalize(-1, 1), signs), ax=shown, label=label, aspect=40, pad=0.01)
        arrow = Line2D([], [], color="black", marker=">", label="mean vector, direction only")
        legend(drawn, data, [arrow], statuses=())
    return drawn
