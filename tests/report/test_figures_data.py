"""What a figure is drawn from: the cells asked for, the families that panels show, and the medians over seeds."""

import dataclasses
from types import MappingProxyType

import pandas
import pytest
from figure_study import changed, draw, panels_of, study

from ranktwo.evidence.claims.judging import STATUSES
from ranktwo.report.drawing import data as drawing_data
from ranktwo.report.drawing.data import Data, of_cells, select
from ranktwo.report.drawing.marks import over_seeds
from ranktwo.report.drawing.style import ZERO_COLOUR
from ranktwo.report.drawing.titles import one_net, plain
from ranktwo.report.statuses import alive
from ranktwo.study import axes as study_axes


def test_where_is_written_as_in_the_config():
    rows = pandas.DataFrame(
        {"dataset": ["a", "a", "b"], "widths": ["8", "8-6", "8"], "batch_size": [4, 50, 50], "train_size": [50, 50, 20]}
    )
    assert list(select(rows, {"widths": 8}).index) == [0, 2]
    assert list(select(rows, {"widths": [[8, 6]]}).index) == [1]
    assert list(select(rows, {"batch_size": "full"}).index) == [1]
    assert list(select(rows, {"batch_size": ["full", 4], "dataset": "a"}).index) == [0, 1]
    assert list(select(rows, {"train_size": None}).index) == [0, 1, 2]


def test_rows_are_those_of_cells_and_of_nets_that_neither_collapsed_nor_diverged():
    rows = pandas.DataFrame({"cell": list("abcd"), "status": STATUSES})
    assert list(alive(rows)["status"]) == ["ok", "unfit"]
    table = pandas.DataFrame({"cell": list("bxab")})
    assert list(of_cells(table, alive(rows)).index) == [0, 2, 3]


def test_bands_reach_from_the_least_to_the_greatest_seed():
    rows = pandas.DataFrame({"mu": [1, 1, 1, 2], "value": [3.0, 1.0, 10.0, None]})
    found = over_seeds(rows, "mu", "value")
    assert found.to_dict("index") == {1: {"median": 3.0, "least": 1.0, "greatest": 10.0}}


def test_a_weight_decay_has_one_colour_whatever_is_drawn():
    data = study()
    part = select(data.gaps, {"weight_decay": [1e-3, 1e-2], "batch_size": 16})
    fewer = Data(gaps=part, kinds=data.kinds, read=data.read, norm=data.norm)
    assert set(fewer.spectra["cell"]) == set(part["cell"])
    assert fewer.colour(1e-2) == data.colour(1e-2) != data.colour(1e-3)
    assert data.colour(0) == ZERO_COLOUR


def test_certificates_are_relative_to_the_norm_and_undefined_where_it_is_zero():
    data = changed(study(), "certificates", lambda rows: rows.assign(norm=[0.0, *[4.0] * (len(rows) - 1)]))
    assert data.certificates["bound_upper"].isna().sum() == 1
    assert set(data.certificates["bound_upper"].dropna()) == {900 / 4}


def titles(data: Data, **options: object) -> list[str]:
    return [plain(title) for title, _ in data.families(**options)]


def test_a_family_is_named_by_the_axes_in_which_its_data_set_s_families_differ():
    assert titles(study()) == ["toy, B = 16 ($n$ = 3)", "toy, B = 50 ($n$ = 3)"]
    assert titles(study(), across=("batch_size",)) == ["toy ($n$ = 3)"]
    assert titles(study(), count=False) == ["toy, B = 16", "toy, B = 50"]

    def fewer(rows: pandas.DataFrame) -> pandas.DataFrame:
        return rows[(rows["seed"] < 2) | (rows["weight_decay"] > 0)]

    def more(rows: pandas.DataFrame) -> pandas.DataFrame:
        return pandas.concat([rows, rows.assign(split=1)])

    assert titles(changed(study(), "gaps", more)) == ["toy, B = 16 ($n$ = 6)", "toy, B = 50 ($n$ = 6)"]
    assert titles(changed(study(), "gaps", fewer)) == ["toy, B = 16 ($n$ = 2 to 3)", "toy, B = 50 ($n$ = 2 to 3)"]


def test_the_path_is_that_of_the_first_split():
    data = changed(study(), "optimum", lambda rows: pandas.concat([rows.assign(split=2), rows.assign(split=1)]))
    assert list(data.path_of(data.gaps)["split"]) == [1] * 3


def test_a_panel_of_one_net_names_its_split_where_there_are_several():
    cells = study().gaps
    assert one_net(cells.iloc[0], cells) == "$\\mu$\u00a0=\u00a00, seed\u00a00"
    several = pandas.concat([cells, cells.assign(split=1)])
    assert plain(one_net(several.iloc[-1], several)) == "$\\mu$ = 1, split 1, seed 2"


DIFFERING = {
    "train_size": ([20, 50], ["N = 20", "N = 50"]),
    "label_noise": ([0.0, 0.2], ["label noise 0", "label noise 0.2"]),
    "net": (["convnet", "mlp"], ["convnet", "mlp"]),
    "widths": (["8", "8-8"], ["m = 8", "m = 8-8"]),
    "activation": (["gelu", "relu"], ["gelu", "relu"]),
    "bias": ([False, True], ["bias false", "bias true"]),
    "normalisation": (["layer", "none"], ["norm layer", "norm none"]),
    "optimizer": (["adamw", "sgd"], ["adamw", "sgd"]),
    "learning_rate": ([0.1, 0.05], ["$\\eta$ = 0.1", "$\\eta$ = 0.05"]),
    "schedule": (["constant", "cosine"], ["constant", "cosine"]),
    "batch_size": ([16, 50], ["B = 16", "B = 50"]),
    "decay_rule": (["constant", "input-norm"], ["constant decay", "input-norm decay"]),
    "steps": ([10, 20], ["T = 10", "T = 20"]),
}
"""Two values of each axis, and what the titles of two panels say of them."""


def with_two_values(data: Data, axis: str, values: list) -> Data:
    """The study with one value of an axis in its first family and another in its second."""

    def change(rows: pandas.DataFrame) -> pandas.DataFrame:
        first = rows["batch_size"] == 16
        others = rows if axis == "batch_size" else rows.assign(batch_size=16)
        return others.assign(**{axis: [values[0] if one else values[1] for one in first]})

    return changed(data, "gaps", change)


def test_the_axes_of_the_titles_are_those_of_a_family():
    assert ["dataset", *DIFFERING] == study_axes.FAMILY


@pytest.mark.parametrize("axis", DIFFERING)
def test_every_axis_of_a_family_shows_in_the_titles(axis):
    values, words = DIFFERING[axis]
    assert titles(with_two_values(study(), axis, values)) == [f"toy, {word} ($n$ = 3)" for word in words]


def test_an_axis_that_is_added_shows_in_the_titles(monkeypatch):
    added = dataclasses.replace(study_axes.AXES["widths"], name="depth", symbol="depth {}")
    monkeypatch.setattr(study_axes, "AXES", MappingProxyType({**study_axes.AXES, "depth": added}))
    monkeypatch.setattr(drawing_data, "FAMILY", [*study_axes.FAMILY, "depth"])
    data = with_two_values(study(), "depth", [2, 3])
    assert titles(data) == ["toy, depth 2 ($n$ = 3)", "toy, depth 3 ($n$ = 3)"]
    shown = [plain(axes.get_title()) for axes in panels_of(draw("gap", data))]
    assert shown == ["toy, depth 2 ($n$ = 3)"] * 3 + ["toy, depth 3 ($n$ = 3)"] * 3
