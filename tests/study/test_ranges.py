"""Ranges of an axis and samples of a box: what they stand for, and which are refused."""

import math

import pytest
import yaml

from ranktwo.errors import UserError
from ranktwo.study import config, grid, ranges

STUDY = {
    "datasets": {"toy": {"source": "diabetes"}},
    "grids": [
        {"dataset": "toy", "learning_rate": 0.1, "batch_size": 16, "weight_decay": 0.1, "steps": 100, "seed": 0},
    ],
}


def study_of(**axes):
    return config.read(STUDY | {"grids": [STUDY["grids"][0] | axes]}, "test")


def values_of(axis, **axes):
    return list(dict.fromkeys(getattr(cell, axis) for cell in grid.expand(study_of(**axes)["grids"])))


def test_a_logarithmic_range_has_even_ratios_both_ends_and_short_numbers():
    found = values_of("weight_decay", weight_decay=yaml.safe_load("{log: [1e-4, 1], points: 13}"))
    assert len(found) == 13
    assert (found[0], found[-1]) == (1e-4, 1.0)
    assert found == [float(f"{value:.3g}") for value in found]
    assert found == pytest.approx([10 ** (-4 + index / 3) for index in range(13)], rel=5e-3)


def test_values_have_as_many_digits_as_tell_them_apart():
    found = ranges.expand({"log": [1.0, 1.01], "points": 6}, whole=False)
    assert found == [1.0, 1.002, 1.004, 1.006, 1.008, 1.01]
    assert len(set(ranges.expand({"linear": [1.0, 1.0001], "points": 11}, whole=False))) == 11


def test_a_range_stands_beside_other_values_and_says_once_what_both_have():
    mixed = [0, {"log": [0.01, 1], "points": 3}, 0.1]
    assert values_of("weight_decay", weight_decay=mixed) == [0.0, 0.01, 0.1, 1.0]
    study = study_of(weight_decay=mixed)
    assert study["grids"][0]["weight_decay"] == mixed, "the config as run says it as it was written"


def test_whole_numbers_are_listed_with_both_ends():
    assert values_of("seed", seed={"range": [0, 999]}) == list(range(1000))
    assert values_of("seed", seed={"range": [3, 10], "step": 3}) == [3, 6, 9]
    assert values_of("seed", seed={"range": [7, 7]}) == [7]
    assert values_of("batch_size", batch_size=["full", {"log": [1, 8], "points": 7}]) == ["full", 1, 2, 3, 4, 6, 8]
    assert values_of("widths", widths=[{"range": [2, 4]}, [8, 8]]) == [(2,), (3,), (4,), (8, 8)]
    assert values_of("label_noise", label_noise={"range": [0, 1], "step": 0.1}) == [index / 10 for index in range(11)]


def test_a_sample_fills_the_box_and_grows_without_change():
    box = {"learning_rate": {"log": [0.01, 1]}, "weight_decay": {"linear": [0, 1]}, "seed": [0, 1]}

    def points(count, **seed):
        cells = grid.expand(study_of(**box, sample={"points": count, **seed})["grids"])
        assert len(cells) == 2 * count
        return [(cell.learning_rate, cell.weight_decay) for cell in cells if cell.seed == 0]

    few = points(16, seed=1)
    assert points(32, seed=1)[:16] == few
    assert points(16) == points(16, seed=0) != few
    quarters = {(math.floor(math.log10(eta) * 2) % 4, min(3, math.floor(mu * 4))) for eta, mu in few}
    assert len(quarters) == 16, "one point of 16 in each square of a 4 x 4 board"


def test_equal_points_of_whole_numbers_are_one_cell():
    study = study_of(batch_size={"log": [1, 4]}, sample={"points": 64})
    assert sorted(cell.batch_size for cell in grid.expand(study["grids"])) == [1, 2, 3, 4]


BAD = {
    "reversed": ({"log": [1, 0.1], "points": 3}, "log needs two numbers, the lesser first"),
    "equal": ({"log": [1, 1], "points": 3}, "log needs two numbers, the lesser first"),
    "one end": ({"log": [1], "points": 3}, "log needs two numbers"),
    "logarithm of zero": ({"log": [0, 1], "points": 3}, "log needs numbers above 0; write 0 beside it"),
    "nothing": ({}, "a range is one of {log: [least, greatest], points: n}"),
    "two": ({"log": [0.1, 1], "linear": [0, 1], "points": 3}, "a range is one of"),
    "one point": ({"log": [0.1, 1], "points": 1}, "points is 1; it must be a whole number of at least 2"),
    "steps of a logarithm": ({"log": [0.1, 1], "step": 1}, "step goes with range"),
    "points of a range": ({"range": [0, 1], "points": 3}, "points go with log and linear"),
    "no step": ({"range": [0, 1], "step": 0}, "step is 0; it must be a number above 0 or null"),
    "huge": ({"range": [0, 1], "step": 1e-9}, "more than the 200,000 cells"),
    "misspelt": ({"logs": [0.1, 1], "points": 3}, "logs is not a known key; .*; did you mean log?"),
    "not allowed": ({"linear": [-1, 1], "points": 3}, "linear.0. is -1; it must be a number of at least 0"),
    "text": ({"log": ["a", 1], "points": 3}, "log.0. is 'a'; it must be a number"),
    "no points": ({"log": [0.1, 1]}, "needs points, or its grid needs sample"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("place", ["alone", "in a list"])
def test_a_bad_range_is_one_sentence(name, place):
    given, reason = BAD[name]
    with pytest.raises(UserError, match=r"^test: grids\[0\].weight_decay.*" + reason.replace("[", r"\[")) as caught:
        study_of(weight_decay=given if place == "alone" else [given])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_sample_of_no_range_and_a_sampled_range_beside_other_values_are_refused():
    with pytest.raises(UserError, match=r"grids\[0\].sample has nothing to draw from"):
        study_of(sample={"points": 4})
    with pytest.raises(UserError, match="a range that is sampled stands alone"):
        study_of(weight_decay=[0, {"log": [0.1, 1]}], sample={"points": 4})
    with pytest.raises(UserError, match=r"sample.points is 0; it must be a whole number of at least 1"):
        study_of(weight_decay={"log": [0.1, 1]}, sample={"points": 0})
    with pytest.raises(UserError, match=r"grids\[0\].optimizer is {.*}; it must be one of"):
        study_of(optimizer={"log": [0.1, 1]})


def test_too_many_cells_of_ranges_are_counted_before_they_are_made():
    with pytest.raises(UserError, match="100,000,000 cells are asked for"):
        study_of(seed={"range": [0, 99_999]}, weight_decay={"log": [0.1, 1]}, sample={"points": 1000})
