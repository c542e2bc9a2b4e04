"""Figures show what is there: every status is visible, nothing is dropped in silence, every point is in its place."""

import dataclasses

import numpy as np
import pandas
import pytest
from figure_study import FLOOR, KINDS, NAMES, RANKS, SCORES, changed, draw, panels_of, study
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ranktwo.report.drawing import sidecar
from ranktwo.report.drawing.panels import finish
from ranktwo.report.drawing.style import COLOURS
from ranktwo.report.drawing.titles import plain
from ranktwo.store import registry


def marks(drawn: Figure, marker: str) -> int:
    return sum(len(line.get_xdata()) for axes in drawn.axes for line in axes.lines if line.get_marker() == marker)


@pytest.mark.parametrize(("name", "columns"), [("ranks", 2), ("gap", 3)])
def test_failed_cells_are_marked_where_they_are(name, columns):
    assert marks(draw(name, study()), "x") == 0
    assert marks(draw(name, study(mu1="collapsed")), "x") == 2 * columns
    diverged = draw(name, study(mu1="diverged"))
    edge = [line for axes in diverged.axes for line in axes.lines if list(line.get_ydata()) == [0.97]]
    assert len(edge) == 2 * columns
    assert all(list(line.get_xdata()) == [1.0] for line in edge)


@pytest.mark.parametrize("name", ["spectrum", "gap-against-rank"])
def test_cells_that_cannot_be_drawn_are_counted_in_the_title(name):
    titles = [axes.get_title() for axes in panels_of(draw(name, study(mu1="collapsed")))]
    assert ["3 collapsed" in title for title in titles] == [True, True]


def test_unfit_cells_are_hollow():
    drawn = draw("gap", study(mu1="unfit"))
    hollow = [line for line in drawn.axes[0].lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in hollow] == [[1.0]]


def test_zero_decay_is_drawn_apart_and_not_dropped():
    axes = draw("ranks", study()).axes[0]
    assert "0" in labelled(axes)
    assert min(line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 4) < 1e-3


def test_n_is_stated():
    assert ["$n$ = 3" in plain(axes.get_title()) for axes in draw("gap", study()).axes] == [True] * 6


def legend_texts(drawn: Figure) -> list[str]:
    return [text.get_text() for legend in drawn.legends for text in legend.get_texts()]


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_that_is_one_sentence_has_no_legend(name):
    """Of one batch size, without a critical weight decay, and with nets that do not fit."""
    unfit = study(**{f"mu{mu}": "unfit" for mu in ("0", "0.001", "0.01", "1")})
    data = changed(unfit, "gaps", lambda rows: rows[rows["batch_size"] == 16].assign(decay_ratio=np.nan))
    drawn = draw(name, data)
    assert bool(drawn.axes) != bool(drawn.texts)
    assert drawn.axes or not drawn.legends


def test_ranks_shows_the_columns_that_are_declared_as_ranks():
    data = changed(study(), "gaps", lambda rows: rows.assign(rank_of_nothing=5.0))
    shown = legend_texts(draw("ranks", data))[3:]
    assert shown == ["effective rank", *(name.removeprefix("rank_").replace("_", "-") for name in RANKS)]


def test_a_rank_that_is_null_from_a_decay_on_ends_there_and_the_others_go_on():
    def without(rows: pandas.DataFrame) -> pandas.DataFrame:
        return rows.assign(rank_gavish_donoho=rows["rank_gavish_donoho"].mask(rows["weight_decay"] >= 0.01))

    right = draw("ranks", changed(study(), "gaps", without)).axes[1]
    lines = [(line.get_label(), np.isfinite(line.get_ydata()).sum()) for line in right.lines]
    names = ("gavish-donoho", "relative", "energy")
    assert [sum(points for label, points in lines if label == name) for name in names] == [2, 4, 4]


def test_layers_shows_every_matrix_in_its_order_and_the_bound_in_units_of_the_floor():
    def of_u(rows: pandas.DataFrame) -> pandas.DataFrame:
        return rows.assign(residual_2=rows["residual_2"].mask(rows["matrix"] == "U", 0.25))

    def floor(rows: pandas.DataFrame) -> pandas.DataFrame:
        return rows.assign(vacuity_lower=(2 * rows["batch_size"] - 1) * np.where(rows["matrix"] == "U", 0.5, 3.0))

    drawn = draw("layers", changed(changed(study(), "layers", of_u), "layers", floor))
    left, _, right = drawn.axes[:3]
    assert labelled(left) == ["V", "U"]
    for axes, values in ((left, [0.05, 0.25]), (right, [3.0, 0.5])):
        lines = [line for line in axes.lines if line.get_label().startswith("$\\mu$")]
        assert len(lines) == 4
        assert all(list(line.get_ydata()) == pytest.approx(values) for line in lines)


@pytest.mark.parametrize("count", [9, 10, 12, 14])
def test_matrices_of_a_deep_net_are_numbered_by_whole_numbers(count):
    def deep(rows: pandas.DataFrame) -> pandas.DataFrame:
        return pandas.concat([rows.assign(matrix=f"W{depth}", depth=depth) for depth in range(1, count + 1)])

    ticks = draw("layers", changed(study(), "layers", deep)).axes[0].get_xticks()
    assert len(ticks) > 2 and all(tick == round(tick) for tick in ticks)


def test_neural_collapse_is_of_the_last_matrix_and_of_every_layer():
    def of_u(rows: pandas.DataFrame) -> pandas.DataFrame:
        last = (rows["matrix"] == "U") & (rows["step"] == 10)
        return rows.assign(nc1=np.where(last, 0.25, 0.5), nc2_angles=np.where(last, 0.125, 0.5))

    data = changed(study(), "neural-collapse", of_u)
    left, middle, _ = draw("neural-collapse", data).axes[:3]

    def drawn(axes: Axes, label: str) -> set[float]:
        return {y for line in axes.lines if line.get_label() == label for y in line.get_ydata()}

    assert drawn(left, "NC1") == {0.25} and drawn(left, "$d_2/\\|V\\|$") == {0.05}
    # Of two classes these are 0 whatever the net.
    assert not drawn(left, "NC2, angles") and not drawn(left, "NC2, norms") and drawn(left, "NC3")
    lines = [line for line in middle.lines if line.get_label().startswith("$\\mu$")]
    assert len(lines) == 4 and all(list(line.get_ydata()) == [0.5, 0.25] for line in lines)
    ten = data
    for table in ("gaps", "layers", "neural-collapse"):
        ten = changed(ten, table, lambda rows: rows.assign(outputs=10, task="multiclass"))
    assert drawn(draw("neural-collapse", ten).axes[0], "NC2, angles") == {0.125}
    numbers = changed(data, "gaps", lambda rows: rows.assign(task="regression"))
    assert [text.get_text() for text in draw("neural-collapse", numbers).texts] == ["no data set with classes"]


def test_products_are_drawn_beside_their_factors_over_heads_and_nets_after_training():
    def of_product(rows: pandas.DataFrame) -> pandas.DataFrame:
        second = rows["matrix"] == "head2.QK"
        last = rows["factors"].notna() & (rows["step"] == 10)
        return rows.assign(
            effective_rank=np.where(last, np.where(second, 4.0, 2.0), 77.0),
            factor_effective_rank=rows["factor_effective_rank"].mask(last, 8.0),
            imbalance=rows["imbalance"].mask(last, rows["weight_decay"] / 2),
        )

    drawn = draw("products", changed(study(mu1="unfit"), "spectra", of_product))
    assert len(drawn.axes) == 4 and drawn.axes[0].get_title().endswith(", QK")
    left, right = drawn.axes[:2]
    drawn_at = {
        label: [tuple(line.get_ydata()) for line in left.lines if line.get_label() == label]
        for label in ("product $AB$", "factors $A$, $B$")
    }
    assert drawn_at == {"product $AB$": [(3.0,) * 3, (3.0,)], "factors $A$, $B$": [(8.0,) * 3, (8.0,)]}
    filled, hollow = (line.get_ydata() for line in right.lines if line.get_label() == "imbalance")
    assert [*filled, *hollow] == pytest.approx([0, 0.0005, 0.005, 0.5])
    none = changed(study(), "spectra", lambda rows: rows[rows["factors"].isna()])
    assert "no net here has products" in draw("products", none).texts[0].get_text().replace("\n", " ")


def labelled(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_xticklabels()]


def level(axes: Axes, value: float) -> bool:
    """Whether a horizontal line is drawn at this value."""
    return any(len(set(line.get_ydata())) == 1 and line.get_ydata()[0] == value for line in axes.lines)


def shaded_from_1(axes: Axes) -> bool:
    low, high = axes.get_ylim()
    spans = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches]
    return any(np.isclose(span.y0, 1) and np.isclose(span.y1, high) for span in spans) and low < 1 < high


@pytest.mark.parametrize(("name", "count"), [("distance", 4), ("vacuity", 2)])
def test_distances_show_what_is_trivial_the_data_floor_and_are_relative_to_the_norm(name, count):
    drawn = draw(name, study())
    drawn.draw_without_rendering()
    assert len(drawn.axes) == count
    for axes in drawn.axes:
        assert axes.get_yscale() == "log" and shaded_from_1(axes)
        assert level(axes, FLOOR)
        assert any(len(line.get_ydata()) and line.get_ydata()[-1] == 900 / 2 for line in axes.lines)


def test_epsilon_is_beside_what_the_bound_needs_which_full_batches_have_not():
    data = changed(
        study(),
        "certificates",
        lambda rows: rows.assign(bound_upper=rows["bound_upper"].where(rows["batch_size"] == 16)),
    )
    drawn = draw("epsilon", data)
    needed = [[line for line in axes.lines if line.get_linestyle() == ":"] for axes in panels_of(drawn)]
    assert [set(line.get_ydata()) for line in needed[0]] == [{mu * 2 / 31} for mu in (1e-3, 1e-2, 1.0)]
    assert not any(np.isfinite(line.get_ydata()).any() for line in needed[1])
    assert all(level(axes, 2.0) for axes in panels_of(drawn))


def test_fit_draws_a_study_of_one_replicate_without_intervals():
    data = study()
    drawn = draw("fit", dataclasses.replace(data, gaps=data.gaps[data.gaps["seed"] == 0]))
    dots = [line for axes in panels_of(drawn) for line in axes.lines if line.get_marker() == "o"]
    assert dots and not any(axes.collections for axes in panels_of(drawn))


def test_fit_has_the_line_where_the_study_draws_it():
    drawn = draw("fit", dataclasses.replace(study(), settings={"low_rank": 0.03}))
    assert all(level(axes, 0.03) and not level(axes, 0.1) for axes in panels_of(drawn))


def test_a_bound_that_no_cell_has_is_not_in_the_legend_of_distances():
    bound = "closest pair of samples, bound on $d_2$"
    assert bound in legend_texts(draw("distance", study()))
    without = changed(study(), "certificates", lambda rows: rows.assign(pair_bound=np.nan))
    assert bound not in legend_texts(draw("distance", without))


def test_distance_is_drawn_at_the_strongest_decay_that_fits_and_a_tenth_of_it():
    drawn = draw("distance", study(mu1="unfit"))
    assert [plain(axes.get_title()).rpartition("= ")[2] for axes in drawn.axes] == ["0.001", "0.01"] * 2
    none = draw("distance", study(**{f"mu{mu}": "unfit" for mu in ("0.001", "0.01", "1")}))
    assert ["no such weight decay" in axes.texts[0].get_text() for axes in none.axes] == [True] * 4


def test_critical_decay_is_a_line_at_one_and_cells_stand_at_their_ratio():
    axes = draw("critical-decay", study(mu1="collapsed")).axes[0]
    assert any(list(line.get_xdata()) == [1, 1] for line in axes.lines)
    cross = next(line for line in axes.lines if line.get_marker() == "x")
    assert np.allclose(cross.get_xdata(), 1 / 0.05)
    curve = next(line for line in axes.lines if len(line.get_xdata()) == 3)
    assert np.allclose(curve.get_xdata()[1:], [1e-3 / 0.05, 1e-2 / 0.05])


def test_scaling_joins_nets_of_equal_decayed_time():
    alone = changed(study(), "gaps", lambda rows: rows[rows["batch_size"] == 16])
    nothing = draw("scaling", alone)
    assert "to compare" in nothing.texts[0].get_text() and not nothing.axes
    drawn = draw("scaling", study())
    curves = [line for line in drawn.axes[0].lines if line.get_linestyle() == "-"]
    decays = sorted(mu for mu in study().gaps["weight_decay"].unique() if mu > 0)
    sizes = sorted(study().gaps["batch_size"].unique())
    assert [list(curve.get_xdata()) for curve in curves] == [[size / (0.1 * mu) for size in sizes] for mu in decays]
    assert len({curve.get_color() for curve in curves}) == len(decays)


def test_full_batches_stand_beside_mini_batches_of_the_longest_runs():
    drawn = draw("full-batch", study())
    assert len(drawn.axes) == 2
    colours = {
        line.get_color() for line in drawn.axes[0].lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 2
    }
    assert colours == set(COLOURS[:2])
    shorter = study().gaps.assign(steps=5, effective_rank=1e6).assign(cell=lambda rows: rows["cell"] + "short")
    more = draw("full-batch", changed(study(), "gaps", lambda rows: pandas.concat([rows, shorter], ignore_index=True)))
    assert max(value for line in more.axes[0].lines for value in line.get_ydata()) < 10
    only = changed(study(), "gaps", lambda rows: rows[rows["batch_size"] == 16])
    assert not draw("full-batch", only).axes


def test_a_gap_of_zero_or_less_is_marked_at_the_lower_edge_and_the_line_breaks():
    def negative(rows):
        return rows.assign(matched_accuracy_gap=np.where(rows["weight_decay"] == 1e-2, -0.1, 0.2))

    panels = draw("bounds", changed(study(), "gaps", negative)).axes
    assert len(panels) == 4
    for axes in panels:
        edge = [line for line in axes.lines if line.get_marker() == "v" and list(line.get_ydata()) == [0]]
        assert [list(line.get_xdata()) for line in edge] == [[1e-2]]
        (gap,) = (line for line in axes.lines if line.get_linewidth() == 2.5)
        assert list(np.isnan(gap.get_ydata())) == [False, False, True, False]


def test_a_gap_measured_at_one_weight_decay_alone_is_seen():
    def alone(rows: pandas.DataFrame) -> pandas.DataFrame:
        return rows.assign(matched_accuracy_gap=np.where(rows["weight_decay"] == 1e-2, 0.1, np.nan))

    for axes in draw("bounds", changed(study(), "gaps", alone)).axes:
        [gap] = [line for line in axes.lines if line.get_label() == "measured gap"]
        assert gap.get_marker() == "o" and list(gap.get_ydata()) == [0.1]


def test_the_csv_of_bounds_has_the_gaps_as_they_are():
    def uneven(rows: pandas.DataFrame) -> pandas.DataFrame:
        return rows.assign(matched_accuracy_gap=np.array([-0.3, 0.1, 0.2])[rows["seed"].astype(int)])

    rows = sidecar.rows(draw("bounds", changed(study(), "gaps", uneven)))
    gap = rows[rows["series"] == "measured gap"]
    assert len(gap) == 4 * 4
    assert {tuple(row) for row in gap[["low", "y", "high"]].to_numpy(float)} == {(-0.3, 0.1, 0.2)}


def test_bounds_of_zero_and_gaps_of_zero_or_less_leave_their_axis_without_a_warning():
    names = [name for name, kind in KINDS.items() if kind in ("bound", "rate")]
    none = dict.fromkeys([*names, "matched_loss_gap"], 0.0)
    data = changed(study(), "gaps", lambda rows: rows.assign(task="regression", **none))
    drawn = draw("bounds", data)
    finish(drawn)
    drawn.draw_without_rendering()
    edges = [line for line in drawn.axes[0].lines if line.get_marker() == "v"]
    assert {line.get_label() for line in edges} == {
        f"{name}, 0 or less" for name in ("one bound", "two bound", "measured gap")
    }
    assert all(len(line.get_xdata()) == 4 and list(line.get_ydata()) == [0] * 4 for line in edges)
    assert len({line.get_color() for line in edges}) == len(edges)
    assert "says nothing (1 or more)" not in legend_texts(drawn)


def test_bounds_shows_every_bound_and_rate_that_a_cell_has_and_what_is_vacuous():
    bounds = {f"bound_{number}": "bound" for number in range(9)}
    rates = {f"rate_{number}": "rate" for number in range(9)}
    kinds = {"of_no_cell": "bound"} | bounds | rates | {"path_norm": "measure"}
    values = dict.fromkeys(kinds, 2.0) | {"of_no_cell": np.nan}
    data = changed(study(), "gaps", lambda rows: rows.assign(**values))
    drawn = draw("bounds", dataclasses.replace(data, kinds=kinds))
    drawn.draw_without_rendering()
    shown = {text.replace(" ", "_") for text in legend_texts(drawn)}
    assert shown == {*bounds, *rates, "measured_gap", "0_or_less", "says_nothing_(1_or_more)"}
    assert len(drawn.axes) == 4 and all(shaded_from_1(axes) for axes in drawn.axes)


def test_bounds_shows_bounds_at_the_left_and_rates_at_the_right():
    left, right = draw("bounds", study()).axes[:2]
    for axes, kind in ((left, "bound"), (right, "rate")):
        labels = {line.get_label() for line in axes.lines if line.get_linestyle() == "None" and len(line.get_xdata())}
        assert labels == {name.replace("_", " ") for name, own in KINDS.items() if own == kind}


def test_truncation_shows_scores_by_rank_the_control_beside_and_the_functional_rank():
    left, right = draw("truncation", study()).axes[:2]
    assert [list(left.lines[0].get_xdata()), list(left.lines[0].get_ydata())] == [[1, 2, 3, 6], [2, 4, 6, 8]]
    assert list(right.lines[0].get_ydata()) == [9] * 4
    dots = [(line.get_xdata()[0], line.get_ydata()[0]) for line in left.lines if line.get_marker() == "o"]
    assert dots == [(3, 6)] * 4
    assert marks(draw("truncation", study(mu1="collapsed")), "o") == 2 * 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("truncation", [["no test $R^2$ is defined"]] * 4),
        ("gap", [[], ["no $R^2$ gap is defined"], ["no test $R^2$ is defined"]] * 2),
    ],
)
def test_a_figure_of_scores_says_that_none_is_defined(name, said):
    """As in regression with one test row."""

    def unscored(rows: pandas.DataFrame) -> pandas.DataFrame:
        scores = {name: [[np.nan] * 4] * len(rows) for name in SCORES}
        return rows.assign(functional_rank=pandas.array([pandas.NA] * len(rows), "Int64"), **scores)

    none = dict.fromkeys(["matched_r2_gap", "test_r2"], np.nan)
    data = changed(study(), "gaps", lambda rows: rows.assign(task="regression", **none))
    data = changed(data, "truncation", unscored)
    assert [[text.get_text() for text in axes.texts] for axes in panels_of(draw(name, data))] == said


def ten(rows: pandas.DataFrame) -> pandas.DataFrame:
    """One family with ten classes and one with three; mu/mu_c is 0.02, 0.2 and 20, the second panel's is 0.2."""
    return rows.assign(task="multiclass", outputs=np.where(rows["batch_size"] == 16, 10, 3))


def test_classes_are_compared_at_like_decay_with_their_number_marked():
    drawn = draw("classes", changed(study(), "gaps", ten))
    axes = drawn.axes[-1]
    assert axes.get_title() == "$\\mu/\\mu_c$ near 0.2: 2 of 2"
    assert ["$C$ = 3" in label for label in labelled(axes)] == [True, False]
    assert ["$C$ = 10" in label for label in labelled(axes)] == [False, True]
    segments = [segment[0][1] for lines in axes.collections for segment in lines.get_segments()]
    assert {3, 10, 2, 9} <= set(segments)
    assert level(axes, 2)
    far = changed(study(), "gaps", lambda rows: ten(rows).assign(decay_ratio=rows["decay_ratio"] * 100))
    assert not draw("classes", far).axes


def test_neurons_are_those_of_the_weakest_decay_near_rank_two():
    def far(rows):
        return rows.assign(residual_2=np.where(rows["weight_decay"] < 1e-2, 0.5, 0.05))

    data = changed(study(), "gaps", far)
    axes = draw("neurons", data).axes[0]
    assert "$\\mu$ = 0.01, seed 0" in plain(axes.get_title())
    net = data.truncation.set_index("cell").loc["16-0.01-0"]
    assert np.allclose(axes.collections[0].get_offsets(), np.column_stack([net["plane_1"], net["plane_2"]]))
    assert axes.get_aspect() == 1
    assert len(axes.patches) == 1
    none = draw("neurons", changed(study(), "gaps", lambda rows: rows.assign(residual_2=0.5)))
    assert "no net that fits" in none.axes[0].texts[0].get_text()


@pytest.mark.parametrize("name", ["neurons", "dual"])
def test_what_counts_as_near_rank_two_is_the_config_s(name):
    """Every V of the made-up study is at 0.05 of its norm from rank two."""

    def said(**settings: float) -> list[str]:
        axes = draw(name, dataclasses.replace(study(), settings=settings)).axes[0]
        return [axes.get_xlabel(), *(text.get_text() for text in axes.texts)]

    near, far = {
        "neurons": (["along $v_1$"], ["along $v_1$", "no net that fits\nwith $d_2<0.02\\,\\|V\\|$"]),
        "dual": (["angle in the plane of $V$ (degrees)"], ["share of all weight"]),
    }[name]
    assert said() == said(low_rank=0.06) == near
    assert said(low_rank=0.02) == far
    assert registry.entries("figure")[name].settings["settings"] == "verdicts"


def test_timing_has_a_panel_for_each_weight_decay_and_a_marker_where_each_net_reaches_a_level():
    def moments(rows: pandas.DataFrame) -> pandas.DataFrame:
        steps = {"fit_step": 1, "generalization_step": 10, "rank_fall_step": pandas.NA, "output_rank_fall_step": 10}
        ends = {"output_initial_effective_rank": 8.0, "output_effective_rank": 4.0}
        return rows.assign(**steps, **ends).astype(dict.fromkeys(steps, "Int64"))

    def ranks(rows: pandas.DataFrame) -> pandas.DataFrame:
        return rows.assign(effective_rank=(8.0 - 0.4 * rows["step"].astype(float)).where(rows["matrix"] == "U", 5.0))

    drawn = draw("timing", changed(changed(study(), "gaps", moments), "spectra", ranks))
    axes = panels_of(drawn)
    assert [plain(one.get_title()).rpartition(", ")[2] for one in axes] == [
        "$\\mu$ = 0",
        "$\\mu$ = 0.001",
        "$\\mu$ = 0.01",
        "$\\mu$ = 1",
    ] * 2
    shown = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes[0].lines}
    assert shown == {
        "training accuracy": ([0, 1, 10], [0, 0.1, 1]),
        "training accuracy reaches 0.99": ([1] * 3, [0.99] * 3),
        "test accuracy": ([0, 1, 10], [0, 0.05, 0.5]),
        "test accuracy reaches 0.9": ([10] * 3, [0.9] * 3),
        "rank of $V$ over its initial one": ([0, 1, 10], [1, 1, 1]),
        "rank of $U$ over its initial one": ([0, 1, 10], [1, 0.95, 0.5]),
        "rank of $U$ over its initial one has fallen halfway": ([10] * 3, [0.75] * 3),
    }


def test_a_panel_of_timing_shows_the_nets_of_its_own_setting_alone():
    """Scores and ranks are told apart by the batch size and the weight decay, which a cell's name has."""

    def number(rows: pandas.DataFrame) -> pandas.Series:
        batch_size, mu = rows["cell"].str.split("-", n=1).str[0], rows["cell"].str.extract(r"-(.+)-")[0]
        return batch_size.astype(float) + mu.astype(float)

    data = changed(study(), "train", lambda rows: rows.assign(train_accuracy=number(rows)))
    data = changed(data, "spectra", lambda rows: rows.assign(effective_rank=1 + number(rows) * rows["step"]))
    shown = []
    for axes in panels_of(draw("timing", data)):
        lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
        ranks = lines["rank of $V$ over its initial one"]
        assert ranks == lines["rank of $U$ over its initial one"]
        shown.append((set(lines["training accuracy"]), np.round(ranks, 6).tolist()))
    settings = [batch_size + mu for batch_size in (16.0, 50.0) for mu in (0.0, 1e-3, 1e-2, 1.0)]
    assert shown == [({one}, np.round([1, 1 + one, 1 + 10 * one], 6).tolist()) for one in settings]
