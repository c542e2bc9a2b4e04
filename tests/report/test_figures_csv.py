"""The CSV beside a figure holds the numbers that are drawn, and no other."""

from collections import Counter

import numpy as np
import pandas
import pytest
from figure_study import NAMES, changed, draw, panels_of, study
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh

from ranktwo.report.drawing import sidecar
from ranktwo.report.drawing.marks import over_seeds

ON_LINES = ("line", "filled", "hollow")


def named(artist: object) -> bool:
    return not str(artist.get_label()).startswith("_")


def counted(values: object) -> Counter:
    """The numbers among these values, each with how often it occurs."""
    numbers = np.asarray(values, dtype=float)
    return Counter(np.round(numbers[~np.isnan(numbers)], 9).tolist())


def of_lines(axes: Axes, *, with_name: bool) -> list[tuple[float, float]]:
    """The points of the lines whose x and y both are those of the axes."""
    lines = [line for line in axes.lines if line.get_transform() == axes.transData and named(line) == with_name]
    return [(x, y) for line in lines for x, y in zip(*line.get_data(), strict=True) if not np.isnan(y)]


@pytest.mark.parametrize("name", NAMES)
def test_the_csv_holds_every_point_that_is_drawn_and_no_other(name):
    drawn = draw(name, study(**{"mu0.01": "unfit", "mu1": "collapsed"}))
    table = sidecar.rows(drawn)
    panels = panels_of(drawn)
    # A panel with nothing to show says so in a sentence.
    shown = {number for number, axes in enumerate(panels, 1) if not axes.texts}
    assert shown and set(table["panel"]) == shown
    for number, axes in enumerate(panels, 1):
        rows = table[table["panel"] == number]
        points = of_lines(axes, with_name=True)
        assert counted(rows.loc[rows["mark"].isin(ON_LINES), "y"]) == counted([y for _, y in points])
        dots = [dots for dots in axes.collections if isinstance(dots, PathCollection) and named(dots)]
        heights = [y for one in dots for _, y in one.get_offsets()]
        assert counted(rows.loc[rows["mark"] == "point", "y"]) == counted(heights)
        polygons = [one for one in axes.collections if isinstance(one, PolyCollection) and named(one)]
        bands = [one for one in polygons if not one.get_hatch()]
        hatched = sum(len(one.get_paths()) for one in polygons if one.get_hatch())
        assert (rows["mark"] == "hatch").sum() == hatched
        tiles = [one.get_array() for one in axes.collections if isinstance(one, QuadMesh)]
        shown_tiles = [value for one in tiles for value in one.compressed()]
        assert counted(rows.loc[rows["mark"] == "tile", "value"]) == counted(shown_tiles)
        ends = {y for band in bands for path in band.get_paths() for _, y in path.vertices}
        # The lines of `classes` from seed to seed are upright, those at its numbers of classes level.
        segments = [s for lines in axes.collections if isinstance(lines, LineCollection) for s in lines.get_segments()]
        ends |= {y for segment in segments if segment[0][0] == segment[-1][0] for _, y in segment}
        rows = rows[rows["mark"] != "tile"]
        assert set(counted([*rows["low"], *rows["high"]])) == set(counted(list(ends)))
        # What is drawn as a result has a name: a line without one goes through points that have one.
        assert set(of_lines(axes, with_name=False)) <= set(points)


def test_the_csv_of_gap_is_the_medians_and_ranges_of_the_cells_with_zero_decay_at_zero():
    data = study(**{"mu0.01": "unfit", "mu1": "collapsed"})
    table = sidecar.rows(draw("gap", data))
    for panel, (batch_size, column) in enumerate(
        [(size, name) for size in (16, 50) for name in ("matched_loss_gap", "matched_accuracy_gap", "test_accuracy")], 1
    ):
        cells = data.gaps[(data.gaps["batch_size"] == batch_size) & (data.gaps["weight_decay"] < 1)]
        wanted = over_seeds(cells, "weight_decay", column)
        rows = table[(table["panel"] == panel) & table["mark"].isin(["filled", "hollow"])].sort_values("x")
        assert list(rows["x"]) == list(wanted.index) == [0, 1e-3, 1e-2]
        assert list(rows["mark"]) == ["filled", "filled", "hollow"]
        for name, drawn_as in (("y", "median"), ("low", "least"), ("high", "greatest")):
            assert np.allclose(rows[name].astype(float), wanted[drawn_as])
        edge = table[(table["panel"] == panel) & (table["mark"] == "edge")]
        assert [list(edge["series"]), list(edge["x"]), list(edge["y"].isna())] == [["collapsed"], [1.0], [True]]


def test_the_csv_names_categories_and_tells_what_colours_stand_for():
    def ten(rows: pandas.DataFrame) -> pandas.DataFrame:
        return rows.assign(task="multiclass", outputs=np.where(rows["batch_size"] == 16, 10, 3))

    classes = sidecar.rows(draw("classes", changed(study(), "gaps", ten)))
    assert classes.loc[classes["series"] == "effective rank", "x"].str.contains("toy, B = ").all()
    assert set(classes.loc[classes["series"] == "$C$", "y"]) == {3, 10}
    neurons = sidecar.rows(draw("neurons", study()))
    assert neurons.loc[neurons["mark"] == "point", "value"].abs().max() == 1
