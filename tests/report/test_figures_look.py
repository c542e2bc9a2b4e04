"""The look of figures: nothing is cut off, fonts are fonts, and colours are told apart in grey."""

import ast
import itertools
import re
import warnings
from collections import Counter
from pathlib import Path

import matplotlib
import numpy as np
import pandas
import pytest
from figure_study import NAMES, TABLES, changed, draw, panels_of, study
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import ranktwo.report
from ranktwo.report.drawing import scales
from ranktwo.report.drawing.panels import LEAST_HEIGHT, finish, panels, say
from ranktwo.report.drawing.style import WIDTHS, ZERO_DASHES, ranktwo_style


@pytest.mark.slow
@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_off_or_overlaps_at_either_width(name, width):
    """Titles, axis labels and legends lie inside the paper, no two of them on each other."""
    data = study(**{"mu0.01": "unfit", "mu1": "collapsed"})
    data.width = width
    with ranktwo_style():
        drawn = draw(name, data)
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
    assert boxes
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    pairs = [(a, b) for index, a in enumerate(boxes) for b in boxes[:index]]
    assert not any(a.padded(-1).overlaps(b.padded(-1)) for a, b in pairs)


@pytest.mark.parametrize("bar", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("width", ["page", "column"])
def test_a_long_title_stays_beside_its_neighbours_and_the_colour_bar(width, count, bar):
    data = study()
    data.width = width
    titles = [f"{'c' * letters}, m = 1024, B = 16, constant decay ($n$ = 3)" for letters in range(5, 5 + count)]
    with ranktwo_style():
        drawn, parts = panels(data, 1, parts=[(title, data.gaps) for title in titles])
        for name, _, [axes] in parts:
            axes.set(title=name, yscale="log", ylim=(1e-7, 1e3), ylabel="relative to $\\|V\\|$")
        if bar:
            drawn.colorbar(ScalarMappable(LogNorm(1e-5, 1)), ax=drawn.axes, label="weight decay", aspect=40, pad=0.01)
        finish(drawn)
        drawn.draw_without_rendering()
        boxes = [axes.title.get_window_extent() for axes in panels_of(drawn)]
        boxes += [axes.get_window_extent() for axes in drawn.axes if axes not in panels_of(drawn)]
    assert all(drawn.bbox.x0 <= box.x0 and box.x1 <= drawn.bbox.x1 for box in boxes)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("width", ["page", "column"])
def test_a_sentence_stays_in_its_panel(width):
    data = study()
    data.width = width
    with ranktwo_style():
        drawn, parts = panels(data, 1, parts=[(str(number), data.gaps) for number in range(3)])
        for *_, [axes] in parts:
            axes.set_ylabel("relative to $\\|V\\|$")
            say(axes, "no such weight decay at which all nets fit")
        drawn.colorbar(ScalarMappable(LogNorm(1e-5, 1)), ax=drawn.axes, label="weight decay", aspect=40, pad=0.01)
        finish(drawn)
        drawn.draw_without_rendering()
        boxes = [(axes.texts[0].get_window_extent(), axes.bbox) for axes in panels_of(drawn)]
    assert all(panel.x0 <= said.x0 and said.x1 <= panel.x1 for said, panel in boxes)


def words_in_view(axis: Axis) -> list[str]:
    """The words at the ticks of an axis, as they are drawn."""
    low, high = sorted(axis.get_view_interval())
    labels, place = axis.get_ticklabels(which="both"), 0 if axis.axis_name == "x" else 1
    return [label.get_text() for label in labels if low <= label.get_position()[place] <= high and label.get_text()]


@pytest.mark.parametrize("name", NAMES)
def test_a_logarithmic_axis_of_less_than_a_decade_has_two_numbers(name):
    """In every figure of numbers from 6 to 18, between which the ticks of all logarithmic axes would be 10 alone."""

    def near_ten(rows: pandas.DataFrame) -> pandas.DataFrame:
        kept = ("step", "weight_decay", "share", "height", "mean_", "plane")
        real = [name for name in rows.select_dtypes("float64") if not name.startswith(kept)]
        return rows.assign(**{name: 6 + 12 * rows[name] / rows[name].max() for name in real if rows[name].max() > 0})

    data = study()
    for table in ("gaps", *TABLES):
        data = changed(data, table, near_ten)
    with ranktwo_style():
        drawn = draw(name, data)
        finish(drawn)
        few = [
            words
            for axes in drawn.axes
            for axis in (axes.xaxis, axes.yaxis)
            if axis.get_scale() == "log" and axis.get_visible() and len(words := words_in_view(axis)) < 2
        ]
    assert not few


@pytest.mark.parametrize("ends", [(0.013, 0.63), (0.8, 12), (0.09, 0.95), (6, 18), (0.5, 2000), (2.1, 2.4)])
def test_the_numbers_of_a_logarithmic_axis_lie_beside_each_other(ends):
    with ranktwo_style():
        axes = Figure(figsize=(3.4, LEAST_HEIGHT)).subplots()
        axes.set(yscale="log", ylim=ends)
        finish(axes.figure)
        axes.figure.draw_without_rendering()
        labels = axes.yaxis.get_ticklabels(which="both")
        boxes = [label.get_window_extent() for label in labels if label.get_text() in words_in_view(axes.yaxis)]
    assert len(boxes) > 1
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.parametrize(
    ("least", "greatest", "expected"),
    [
        (1, 20, ["1", "2", "5", "10", "20"]),
        (6, 17, ["6", "8", "10"]),
        (11, 19, [str(number) for number in range(11, 20)]),
        (0.32, 0.33, ["0.32", "0.322", "0.324", "0.326", "0.328", "0.33"]),
        (3, 3, None),
    ],
)
def test_an_axis_of_ranks_has_round_numbers_however_narrow_it_is(least, greatest, expected):
    axes = Figure().subplots()
    axes.plot([0, 1], [least, greatest])
    scales.rank_ticks(axes.yaxis)
    if expected:
        axes.set_ylim(least, greatest)
    finish(axes.figure)
    words = words_in_view(axes.yaxis)
    assert words == expected if expected else len(words) > 1


@pytest.mark.parametrize(
    ("decays", "expected"),
    [
        ([0.02, 0.05], ["0.02", "0.05"]),
        ([0, 0.5, 2], ["0.5", "1", "2", "0"]),
        ([0.3], ["0.3"]),
        ([0], ["0"]),
        ([0, 0.01, 0.1], ["$10^{-2}$", "$10^{-1}$", "0"]),
        ([0.02, 0.3], ["0.02", "0.05", "0.1", "0.2"]),
    ],
)
def test_weight_decays_within_a_decade_have_more_than_one_number_beside_zero(decays, expected):
    axes = Figure().subplots()
    place = scales.decay_axis(axes, pandas.Series(decays, dtype=float))
    axes.plot(place(decays), decays)
    assert [label.get_text() for label in axes.get_xticklabels()] == expected


def test_no_number_but_zero_stands_at_an_axis_of_zero_decay_alone_nor_is_there_a_bar_of_colours():
    drawn = draw("gap", changed(study(), "gaps", lambda rows: rows[rows["weight_decay"] == 0]))
    finish(drawn)
    assert all(words_in_view(axes.xaxis) == ["0"] for axes in drawn.axes)
    for rows, bars in ((study().gaps, 1), (study().gaps.query("weight_decay == 0"), 0)):
        drawn = draw("spectrum", changed(study(), "gaps", lambda _, rows=rows: rows))
        assert len(drawn.axes) - len(panels_of(drawn)) == bars


def test_the_steps_0_and_1_stand_apart_where_three_panels_share_a_row():
    with ranktwo_style():
        drawn = Figure(figsize=(WIDTHS["page"], 1.9))
        for axes in drawn.subplots(1, 3):
            axes.plot([0, 1, 10_000], [0, 1, 1])
            axes.set_ylabel("share")
            scales.step_axis(axes)
        drawn.draw_without_rendering()
        labels = [label for label in drawn.axes[0].get_xticklabels() if label.get_text()]
        boxes = [label.get_window_extent() for label in labels]
    assert len(boxes) > 3
    assert not any(a.padded(1).overlaps(b) for a, b in itertools.pairwise(sorted(boxes, key=lambda box: box.x0)))


def test_a_sentence_and_a_pattern_of_dashes_are_written_in_one_file():
    found: Counter[object] = Counter()
    for path in Path(ranktwo.report.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        found.update(text for text in texts if isinstance(text, str) and len(text.split()) > 4)
        tuples = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Tuple)}
        found.update(text for text in tuples if re.fullmatch(r"\(0, \([\d., ]+\)\)", text))
    assert [text for text, files in found.items() if files > 1] == []


def test_fonts_are_embedded_as_fonts():
    with ranktwo_style():
        assert matplotlib.rcParams["pdf.fonttype"] == 42 and matplotlib.rcParams["savefig.dpi"] == 300


def test_the_style_is_matplotlib_s_defaults_and_the_package_s_own_settings():
    with matplotlib.rc_context({"lines.linewidth": 8, "axes.facecolor": "yellow", "text.usetex": True}):
        with ranktwo_style():
            assert matplotlib.rcParams["lines.linewidth"] == 1.2
            assert matplotlib.rcParams["axes.facecolor"] == matplotlib.rcParamsDefault["axes.facecolor"]
            assert not matplotlib.rcParams["text.usetex"]
        assert matplotlib.rcParams["lines.linewidth"] == 8


def test_weight_decays_keep_their_order_in_grey_and_none_is_dotted():
    """Luminance rises with weight decay, from dark to what still shows on white; no decay has dots of its own."""
    data = study()
    decays = [1e-3, 1e-2, 1.0]
    with ranktwo_style():
        luminance = [np.dot(data.colour(mu)[:3], [0.2126, 0.7152, 0.0722]) for mu in decays]
    assert luminance == sorted(luminance) and luminance[-1] < 0.8
    assert np.diff(luminance).min() > 0.1
    assert data.line_style(0.0)["linestyle"] == ZERO_DASHES and "linestyle" not in data.line_style(1.0)
