"""Figures show what is there: every status is visible, nothing is dropped in silence, colours mean one thing."""

import inspect
import io
import re
import warnings
from pathlib import Path

import docutils.core
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest
from conftest import SGD_AXES

from ranktwo.analysis.bounds.register import REGISTRY
from ranktwo.analysis.ranks import described
from ranktwo.data.sources.base import SOURCES
from ranktwo.report.drawing import marks, panels, sidecar
from ranktwo.report.drawing.data import Data, OPTIONAL, TABLES, ZERO_COLOUR, ZERO_DASHES, colour_scale, select
from ranktwo.report.drawing.marks import COLOURS
from ranktwo.report.drawing.panels import WIDTHS, finish
from ranktwo.report.tables import TABLES
from ranktwo.store.columns import COLUMNS
from ranktwo.store.registry import registered








LISTS = ("plane_1", "plane_2", "outgoing", "mean_1", "mean_2", "truncation_ranks")
SCORES = ("truncated_test_score", "shrunk_test_score")
FLOOR = 0.6


def study(**changes: dict[str, str]) -> Data:
    """Two families of 4 decays and 3 seeds; `changes` sets the status of cells by weight decay."""
    cells, spectra, certificates, truncation = [], [], [], []
    random = np.random.default_rng(0)
    optional = [name for name in OPTIONAL["gaps"] + OPTIONAL["certificates"] if name not in COLUMNS]
    known = COLUMNS | described()
    numbers = optional + [name for name, (kind, _) in known.items() if str(kind) in ("double", "int64")]
    for batch_size in (16, 50):
        for mu in (0.0, 1e-3, 1e-2, 1.0):
            for seed in range(3):
                status = changes.get(f"mu{mu:g}", "ok")
                gone = status == "diverged"
                row = {name: random.uniform(1, 9) for name in numbers} | SGD_AXES
                row |= {
                    "cell": f"{batch_size}-{mu}-{seed}",
                    "dataset": "toy",
                    "task": "binary",
                    "outputs": 1,
                    "batch_size": batch_size,
                    "weight_decay": mu,
                    "decay_ratio": mu / 0.05,
                    "residual_2": 0.05,
                    "data_floor": FLOOR,
                    "seed": seed,
                    "status": status,
                }
                if status != "ok" and status != "unfit":
                    row |= {name: None for name in row if name.startswith(("rank_", "residual", "effective"))}
                cells.append(row)
                truncation.append(
                    row
                    | {name: [2.0, 4.0, 6.0, 8.0] for name in SCORES}
                    | {name: list(random.uniform(1, 2, 4)) for name in LISTS}
                    | {"mean_1": [1.0], "mean_2": [0.5], "truncation_ranks": [1, 2, 3, 6], "functional_rank": 3}
                    | {"shrunk_test_score": [9.0] * 4}
                )
                for step in (0, 1, 10):
                    s = None if gone and step else np.sort(random.uniform(0, 1, 6))[::-1]
                    spectra.append(row | {"step": step, "matrix": "V", "singular_values": s})
                    certificates.append(row | {"step": step, "matrix": "V", "norm": 2.0, "bound_upper": 900.0})
    tables = {"spectra": spectra, "certificates": certificates, "truncation": truncation}
    # As files are read: whole numbers that may be null.
    whole = dict.fromkeys(["outputs", "train_size", "batch_size", "steps", "seed"], "Int64")
    tables = {name: pandas.DataFrame(table).astype(whole) for name, table in tables.items()}
    rows = pandas.DataFrame(cells).astype(whole)
    return Data(gaps=rows, read=tables.__getitem__, norm=colour_scale(rows["weight_decay"]))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def marks(drawn, marker: str) -> int:
    return sum(len(line.get_xdata()) for axes in drawn.axes for line in axes.lines if line.get_marker() == marker)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_whatever_the_cells_ended_as(name):
    for failed in ("collapsed", "diverged"):
        FIGURES[name](study(**{f"mu{mu}": failed for mu in ("0", "0.001", "0.01", "1")}))
    drawn = FIGURES[name](study(**{"mu0": "unfit", "mu0.01": "diverged", "mu1": "collapsed"}))
    drawn.canvas.draw()
    assert drawn.texts or any(axes.get_title() for axes in drawn.axes)


@pytest.mark.parametrize("name", ["ranks", "gap"])
def test_failed_cells_are_marked_where_they_are(name):
    columns = {"ranks": 2, "gap": 3}[name]
    assert marks(FIGURES[name](study()), "x") == 0
    assert marks(FIGURES[name](study(mu1="collapsed")), "x") == 2 * columns
    diverged = FIGURES[name](study(mu1="diverged"))
    edge = [line for axes in diverged.axes for line in axes.lines if list(line.get_ydata()) == [0.97]]
    assert len(edge) == 2 * columns


@pytest.mark.parametrize("name", ["spectrum", "gap-against-rank"])
def test_cells_that_cannot_be_drawn_are_counted_in_the_title(name):
    drawn = FIGURES[name](study(mu1="collapsed"))
    assert all("3 collapsed" in axes.get_title() for axes in drawn.axes if axes.get_title())


def test_unfit_cells_are_hollow():
    drawn = FIGURES["gap"](study(mu1="unfit"))
    hollow = [line for line in drawn.axes[0].lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in hollow] == [[1.0]]


def test_zero_decay_is_drawn_apart_and_not_dropped():
    axes = FIGURES["ranks"](study()).axes[0]
    assert "0" in [label.get_text() for label in axes.get_xticklabels()]
    assert min(line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 4) < 1e-3


def test_n_is_stated():
    assert all("$n$ = 3" in panels.plain(axes.get_title()) for axes in FIGURES["gap"](study()).axes)


def test_a_weight_decay_has_one_colour_whatever_is_drawn():
    data = study()
    part = select(data.gaps, {"weight_decay": [1e-3, 1e-2], "batch_size": 16})
    fewer = Data(gaps=part, read=data.read, norm=data.norm)
    assert set(fewer.spectra["cell"]) == set(part["cell"])
    assert fewer.colour(1e-2) == data.colour(1e-2) != data.colour(1e-3)
    assert data.colour(0) == ZERO_COLOUR


def test_where_is_written_as_in_the_config():
    rows = pandas.DataFrame(
        {"dataset": ["a", "a", "b"], "widths": ["8", "8-6", "8"], "batch_size": [4, 50, 50], "train_size": [50, 50, 20]}
    )
    assert list(select(rows, {"widths": 8}).index) == [0, 2]
    assert list(select(rows, {"widths": [[8, 6]]}).index) == [1]
    assert list(select(rows, {"batch_size": "full"}).index) == [1]
    assert list(select(rows, {"batch_size": ["full", 4], "dataset": "a"}).index) == [0, 1]
    assert list(select(rows, {"train_size": None}).index) == [0, 1, 2]


def test_bands_reach_from_the_least_to_the_greatest_seed():
    rows = pandas.DataFrame({"mu": [1, 1, 1, 2], "value": [3.0, 1.0, 10.0, None]})
    found = marks.over_seeds(rows, "mu", "value")
    assert found.to_dict("index") == {1: {"median": 3.0, "least": 1.0, "greatest": 10.0}}


def changed(data: Data, table: str, change) -> Data:
    """The study with one of its tables changed."""
    if table == "gaps":
        return Data(gaps=change(data.gaps), read=data.read, norm=data.norm)
    read = lambda name: change(data.read(name)) if name == table else data.read(name)  # noqa: E731
    return Data(gaps=data.gaps, read=read, norm=data.norm)


def lost(rows: pandas.DataFrame, table: str, how: str) -> pandas.DataFrame:
    names = [name for name in OPTIONAL[table] if name not in ("cell", "step", "steps", "matrix", "weight_decay")]
    if how == "missing":
        return rows.drop(columns=[name for name in names if name in rows])
    return rows.assign(**dict.fromkeys(names)) if table == "gaps" else rows.iloc[:0]


@pytest.mark.parametrize("how", ["missing", "empty"])
@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_crashes_for_want_of_numbers(name, how):
    data = study()
    for table in OPTIONAL:
        data = changed(data, table, lambda rows, table=table: lost(rows, table, how))
    FIGURES[name](data)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_for_every_task(name, task):
    FIGURES[name](changed(study(), "gaps", lambda rows: rows.assign(task=task, outputs=3)))


def labelled(axes) -> list[str]:
    return [text.get_text() for text in axes.get_xticklabels()]


def level(axes, value: float) -> bool:
    """Whether a horizontal line is drawn at this value."""
    return any(len(set(line.get_ydata())) == 1 and line.get_ydata()[0] == value for line in axes.lines)


def shaded_from_1(axes) -> bool:
    low, high = axes.get_ylim()
    spans = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches]
    return any(np.isclose(span.y0, 1) and np.isclose(span.y1, high) for span in spans) and low < 1 < high


@pytest.mark.parametrize("name", ["distance", "vacuity"])
def test_chain_shows_what_is_trivial_the_data_floor_and_distances_relative_to_the_norm(name):
    drawn = FIGURES[name](study())
    drawn.canvas.draw()
    for axes in drawn.axes:
        assert axes.get_yscale() == "log" and shaded_from_1(axes)
        assert level(axes, FLOOR)
        assert any(list(line.get_ydata()) and line.get_ydata()[-1] == 900 / 2 for line in axes.lines)


def test_distance_is_drawn_at_the_strongest_decay_that_fits_and_a_tenth_of_it():
    drawn = FIGURES["distance"](study(mu1="unfit"))
    assert [panels.plain(axes.get_title()).rpartition("= ")[2] for axes in drawn.axes] == ["0.001", "0.01"] * 2
    none = FIGURES["distance"](study(**{f"mu{mu}": "unfit" for mu in ("0.001", "0.01", "1")}))
    assert all("no such weight decay" in axes.texts[0].get_text() for axes in none.axes)


def test_critical_decay_is_a_line_at_one_and_cells_stand_at_their_ratio():
    axes = FIGURES["critical-decay"](study(mu1="collapsed")).axes[0]
    assert any(list(line.get_xdata()) == [1, 1] for line in axes.lines)
    cross = next(line for line in axes.lines if line.get_marker() == "x")
    assert np.allclose(cross.get_xdata(), 1 / 0.05)
    curve = next(line for line in axes.lines if len(line.get_xdata()) == 3)
    assert np.allclose(curve.get_xdata()[1:], [1e-3 / 0.05, 1e-2 / 0.05])


def test_scaling_joins_nets_of_equal_decayed_time():
    alone = changed(study(), "gaps", lambda rows: rows[rows["batch_size"] == 16])
    nothing = FIGURES["scaling"](alone)
    assert "to compare" in nothing.texts[0].get_text() and not nothing.axes
    drawn = FIGURES["scaling"](study())
    curves = [line for line in drawn.axes[0].lines if line.get_linestyle() == "-"]
    decays = sorted(mu for mu in study().gaps["weight_decay"].unique() if mu > 0)
    sizes = sorted(study().gaps["batch_size"].unique())
    assert [list(curve.get_xdata()) for curve in curves] == [[size / (0.1 * mu) for size in sizes] for mu in decays]
    assert len({curve.get_color() for curve in curves}) == len(decays)


def test_full_batches_stand_beside_mini_batches_of_the_longest_runs():
    drawn = FIGURES["full-batch"](study())
    assert len(drawn.axes) == 2
    colours = {
        line.get_color() for line in drawn.axes[0].lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 2
    }
    assert colours == set(COLOURS[:2])
    shorter = study().gaps.assign(steps=5, effective_rank=1e6).assign(cell=lambda rows: rows["cell"] + "short")
    more = FIGURES["full-batch"](
        changed(study(), "gaps", lambda rows: pandas.concat([rows, shorter], ignore_index=True))
    )
    assert max(value for line in more.axes[0].lines for value in line.get_ydata()) < 10
    only = changed(study(), "gaps", lambda rows: rows[rows["batch_size"] == 16])
    assert not FIGURES["full-batch"](only).axes


def test_a_gap_of_zero_or_less_is_marked_at_the_lower_edge_and_the_line_breaks():
    def negative(rows):
        return rows.assign(matched_accuracy_gap=np.where(rows["weight_decay"] == 1e-2, -0.1, 0.2))

    for axes in FIGURES["bounds"](changed(study(), "gaps", negative)).axes:
        edge = [line for line in axes.lines if line.get_marker() == "v" and list(line.get_ydata()) == [0]]
        assert [list(line.get_xdata()) for line in edge] == [[1e-2]]
        (gap,) = (line for line in axes.lines if line.get_linewidth() == 2.5)
        assert list(np.isnan(gap.get_ydata())) == [False, False, True, False]


def test_bounds_shows_every_bound_and_rate_and_what_is_vacuous():
    wanted = {name for name, bound in REGISTRY.items() if bound.kind in ("bound", "rate")}

    def values(rows):
        return pandas.DataFrame(dict.fromkeys(wanted, 2.0), index=rows.index)

    drawn = FIGURES["bounds"](changed(study(), "gaps", lambda rows: rows.join(values(rows))))
    drawn.canvas.draw()
    assert wanted <= {text.get_text().replace(" ", "_") for text in drawn.legends[0].get_texts()}
    assert all(shaded_from_1(axes) for axes in drawn.axes)


def test_truncation_shows_scores_by_rank_the_control_beside_and_the_functional_rank():
    left, right = FIGURES["truncation"](study()).axes[:2]
    assert [list(left.lines[0].get_xdata()), list(left.lines[0].get_ydata())] == [[1, 2, 3, 6], [2, 4, 6, 8]]
    assert list(right.lines[0].get_ydata()) == [9] * 4
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in left.lines if line.get_marker() == "o"] == [
        (3, 6)
    ] * 4
    assert marks(FIGURES["truncation"](study(mu1="collapsed")), "o") == 2 * 3


def test_classes_are_compared_at_like_decay_with_their_number_marked():
    def ten(rows):
        # mu/mu_c is 0.02, 0.2 and 20: the second panel's.
        return rows.assign(task="multiclass", outputs=np.where(rows["batch_size"] == 16, 10, 3))

    drawn = FIGURES["classes"](changed(study(), "gaps", ten))
    axes = drawn.axes[-1]
    assert axes.get_title() == "$\\mu/\\mu_c$ near 0.2: 2 of 2"
    assert ["$C$ = 3" in label or "$C$ = 10" in label for label in labelled(axes)] == [True, True]
    assert "$C$ = 3" in labelled(axes)[0]
    segments = [segment[0][1] for lines in axes.collections for segment in lines.get_segments()]
    assert {3, 10, 2, 9} <= set(segments)
    assert level(axes, 2)
    far = changed(study(), "gaps", lambda rows: ten(rows).assign(decay_ratio=rows["decay_ratio"] * 100))
    assert not FIGURES["classes"](far).axes


def test_neurons_are_those_of_the_weakest_decay_near_rank_two():
    def far(rows):
        return rows.assign(residual_2=np.where(rows["weight_decay"] < 1e-2, 0.5, 0.05))

    data = changed(study(), "gaps", far)
    drawn = FIGURES["neurons"](data)
    axes = drawn.axes[0]
    assert "$\\mu$ = 0.01, seed 0" in axes.get_title()
    net = data.truncation.set_index("cell").loc["16-0.01-0"]
    assert np.allclose(axes.collections[0].get_offsets(), np.column_stack([net["plane_1"], net["plane_2"]]))
    assert axes.get_aspect() == 1
    assert len(axes.patches) == 1
    none = FIGURES["neurons"](changed(study(), "gaps", lambda rows: rows.assign(residual_2=0.5)))
    assert "no net that fits" in none.axes[0].texts[0].get_text()


def test_what_is_registered_is_read_from_the_source_as_it_is_imported():
    assert registered("figure") == {name: inspect.cleandoc(figure.__doc__) for name, figure in FIGURES.items()}
    assert registered("source").keys() == SOURCES.keys()
    assert registered("table").keys() == TABLES.keys()


@pytest.mark.parametrize("name", FIGURES)
def test_a_caption_says_what_is_seen_and_what_it_means(name):
    seen, _, meaning = registered("figure")[name].partition("\n\n")
    assert seen.endswith(".") and "\n" not in seen
    assert len(re.findall(r"[.;:] ?", meaning)) >= 3, "what is seen, what it means for the claim, and its limits"
    messages = io.StringIO()
    docutils.core.publish_doctree(meaning, settings_overrides={"warning_stream": messages})
    assert not messages.getvalue()


def test_the_tables_that_figures_read_are_those_with_optional_columns():
    assert set(TABLES) == {"spectra", *OPTIONAL} - {"gaps"}


# The numbers beside the drawing.


@pytest.mark.parametrize("name", FIGURES)
def test_the_csv_holds_every_point_that_is_drawn_and_no_other(name):
    drawn = FIGURES[name](study(**{"mu0.01": "unfit", "mu1": "collapsed"}))
    table = sidecar.rows(drawn)
    panels = [axes for axes in drawn.axes if axes.get_label() != "<colorbar>"]
    for number, axes in enumerate(panels, 1):
        here = table[table["panel"] == number]
        curves = [line for line in axes.lines if not line.get_label().startswith("_")]
        y = [value for line in curves if line.get_transform() == axes.transData for value in line.get_ydata()]
        y += [y for dots in axes.collections if not dots.get_label().startswith("_") for _, y in dots.get_offsets()[1:]]
        missing = set(np.round(np.array(y, float), 9)) - set(here["y"].astype(float).round(9)) - {np.nan}
        assert not {value for value in missing if not np.isnan(value)}
        # What is drawn as a result has a name: only guides have none.
        guides = [line for line in axes.lines if line not in curves and line.get_transform() == axes.transData]
        named = [list(line.get_ydata()) for line in curves]
        assert all(list(line.get_ydata()) in named or len(line.get_xdata()) > 2 for line in guides)
    assert len(table) or drawn.texts


def test_the_csv_of_gap_is_the_medians_and_ranges_of_the_cells_with_zero_decay_at_zero():
    data = study(**{"mu0.01": "unfit", "mu1": "collapsed"})
    table = sidecar.rows(FIGURES["gap"](data))
    for panel, (batch_size, column) in enumerate(
        [(size, name) for size in (16, 50) for name in ("matched_loss_gap", "matched_accuracy_gap", "test_accuracy")], 1
    ):
        cells = data.gaps[(data.gaps["batch_size"] == batch_size) & (data.gaps["weight_decay"] < 1)]
        wanted = marks.over_seeds(cells, "weight_decay", column)
        here = table[(table["panel"] == panel) & table["mark"].isin(["filled", "hollow"])].sort_values("x")
        assert list(here["x"]) == list(wanted.index) == [0, 1e-3, 1e-2]
        assert list(here["mark"]) == ["filled", "filled", "hollow"]
        for name, drawn_as in (("y", "median"), ("low", "least"), ("high", "greatest")):
            assert np.allclose(here[name].astype(float), wanted[drawn_as])
        edge = table[(table["panel"] == panel) & (table["mark"] == "edge")]
        assert [list(edge["series"]), list(edge["x"]), list(edge["y"].isna())] == [["collapsed"], [1.0], [True]]


def test_the_csv_names_categories_and_tells_what_colours_stand_for():
    def ten(rows):
        return rows.assign(task="multiclass", outputs=np.where(rows["batch_size"] == 16, 10, 3))

    classes = sidecar.rows(FIGURES["classes"](changed(study(), "gaps", ten)))
    assert classes.loc[classes["series"] == "effective rank", "x"].str.contains("toy, B = ").all()
    assert set(classes.loc[classes["series"] == "$C$", "y"]) == {3, 10}
    neurons = sidecar.rows(FIGURES["neurons"](study()))
    assert neurons.loc[neurons["mark"] == "point", "value"].abs().max() == 1


# The look.


@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_or_overlaps_at_either_width(name, width):
    """Titles, axis labels and legends lie inside the paper, no two of them on each other."""
    plt.style.use(Path(drawing.__file__).with_name("style.mplstyle"))
    data = study(**{"mu0.01": "unfit", "mu1": "collapsed"})
    data.width = width
    drawn = FIGURES[name](data)
    finish(drawn)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that does not fit says so
        drawn.draw_without_rendering()
    assert drawn.get_figwidth() == WIDTHS[width]
    words = [*(axes.title for axes in drawn.axes), *drawn.texts]
    words += [axis.label for axes in drawn.axes for axis in (axes.xaxis, axes.yaxis)]
    boxes = [word.get_window_extent() for word in words if word.get_text()]
    boxes += [legend.get_window_extent() for legend in drawn.legends]
    page = drawn.bbox.padded(1)
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    pairs = [(a, b) for index, a in enumerate(boxes) for b in boxes[:index]]
    assert not any(a.padded(-1).overlaps(b.padded(-1)) for a, b in pairs)


def test_fonts_are_embedded_as_fonts():
    style = matplotlib.rc_params_from_file(
        Path(drawing.__file__).with_name("style.mplstyle"), use_default_template=False
    )
    assert style["pdf.fonttype"] == 42 and style["savefig.dpi"] == 300


def test_weight_decays_keep_their_order_in_grey_and_none_is_dotted():
    """Luminance rises with weight decay, from dark to what still shows on white; no decay has dots of its own."""
    data = study()
    decays = [1e-3, 1e-2, 1.0]
    luminance = [np.dot(data.colour(mu)[:3], [0.2126, 0.7152, 0.0722]) for mu in decays]
    assert luminance == sorted(luminance) and luminance[-1] < 0.8
    assert np.diff(luminance).min() > 0.1
    assert data.style(0.0)["linestyle"] == ZERO_DASHES and "linestyle" not in data.style(1.0)
