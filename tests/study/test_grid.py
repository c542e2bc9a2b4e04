"""Cells and stacks: products, unions, names that stay."""

import pytest
from support import a_cell

from ranktwo.errors import UserError
from ranktwo.study import config, grid
from ranktwo.study.axes import AXES, Cell

GRID = {
    "dataset": "toy",
    "learning_rate": 0.1,
    "batch_size": 16,
    "weight_decay": [0, 0.1],
    "steps": 10,
    "seed": [0, 1, 2],
}
OPTIONS = {"toy": {"source": "digits"}}


def test_a_grid_is_a_product_and_a_study_a_union_without_duplicates():
    cells = grid.expand([GRID, GRID | {"weight_decay": [0.1, 0.2]}])
    assert [(cell.weight_decay, cell.seed) for cell in cells] == [
        (mu, seed) for mu in (0.0, 0.1, 0.2) for seed in range(3)
    ]


def test_equal_values_of_different_types_are_one_cell():
    same = [GRID | {"weight_decay": [0, 0.0], "seed": 1, "widths": [128, [128]], "steps": [10, 10.0]}]
    assert len(grid.expand(same)) == 1


def test_too_many_cells_are_refused_with_the_count_before_they_are_made():
    with pytest.raises(UserError, match="1,000,000,000 cells"):
        grid.expand(
            [GRID | {"seed": list(range(1000)), "weight_decay": list(range(1000)), "steps": list(range(1, 1001))}]
        )


def test_stacks_share_every_axis_that_is_not_stacked_and_keep_their_names_when_they_grow():
    small = grid.stacks(grid.expand([GRID | {"widths": [8, 16]}]), ["weight_decay", "seed"], OPTIONS)
    large = grid.stacks(
        grid.expand([GRID | {"widths": [8, 16], "seed": list(range(9))}]), ["weight_decay", "seed"], OPTIONS
    )
    assert list(small) == list(large)
    assert [len(cells) for cells in large.values()] == [18, 18]
    for cells in small.values():
        assert len({(cell.widths, cell.steps, cell.batch_size) for cell in cells}) == 1
    split = grid.stacks(grid.expand([GRID]), ["seed"], OPTIONS)
    assert len(split) == 2


def test_the_order_of_values_in_a_config_changes_no_stack():
    grids = [GRID | {"seed": [0, 2, 10], "decay_rule": ["constant", "input-norm"], "widths": [16, 8]}]
    other = [grids[0] | {"seed": [10, 2, 0], "decay_rule": ["input-norm", "constant"], "weight_decay": [0.1]}]
    other += [grids[0] | {"seed": [0, 10, 2], "weight_decay": [0]}]
    one, same = (
        grid.stacks(grid.expand(each), ["seed", "weight_decay", "decay_rule"], OPTIONS) for each in (grids, other)
    )
    assert list(one.items()) == list(same.items())
    for cells in one.values():
        assert [cell.seed for cell in cells] == [0, 2, 10] * 4
    widths = [cells[0].widths for cells in one.values()]
    assert widths == [(16,), (8,)]  # stacks are in the config's order
    assert [len(cells) for cells in grid.stacks(grid.expand(grids), [], OPTIONS).values()] == [1] * 24


def test_names_are_readable_and_differ_with_any_axis_or_option():
    cell = a_cell()
    name = grid.cell_name(cell, OPTIONS["toy"])
    assert name.startswith("toy_w6_sgd_lr0.05_b4_wd0.01_t50_s0_")
    changed = {
        "dataset": "other",
        "train_size": 10,
        "split": 1,
        "label_noise": 0.1,
        "net": "convnet",
        "widths": (6, 6),
        "activation": "gelu",
        "bias": True,
        "normalisation": "layer",
        "optimizer": "adamw",
        "learning_rate": 0.0500001,
        "schedule": "cosine",
        "batch_size": "full",
        "weight_decay": 0.0100001,
        "decay_rule": "input-norm",
        "steps": 51,
        "seed": 1,
    }
    assert set(changed) == set(AXES)
    names = [grid.cell_name(a_cell(**{axis: value}), OPTIONS["toy"]) for axis, value in changed.items()]
    assert len({name, grid.cell_name(cell, {"source": "wine"}), *names}) == 2 + len(changed)


# As they are in the results that users have: another name would have everything trained again.
DIGITS = {"source": "digits", "scaling": "global"}
PINNED = {
    "digits_w128_sgd_b16_t10000_c3687038": (DIGITS, {"dataset": "digits"}),
    "digits-3v8_w128_sgd_bfull_t10000_5032ef8f": (DIGITS | {"classes": [3, 8]}, {"batch_size": "full"}),
    "breast-cancer_w128_sgd_b16_t10000_2a997028": (
        {"source": "breast-cancer", "clip": 5, "bias": True},
        {"dataset": "breast-cancer", "learning_rate": 0.05},
    ),
}


@pytest.mark.parametrize("name", PINNED)
def test_names_are_those_of_old(name):
    options, axes = PINNED[name]
    common = {"dataset": "digits-3v8", "learning_rate": 0.1, "batch_size": 16, "weight_decay": 0, "steps": 10000}
    one = common | axes | {"seed": 0}
    study = config.read({"datasets": {one["dataset"]: options}, "grids": [one]}, "test")
    [stack] = grid.stacks(grid.expand(study["grids"]), study["stack"], study["datasets"])
    assert stack == name


def test_the_name_of_a_cell_is_that_of_old():
    options = config.read({"datasets": {"toy": DIGITS}, "grids": [GRID]}, "test")["datasets"]["toy"]
    one = GRID | {"dataset": "digits", "weight_decay": 0, "steps": 10000, "seed": 0}
    [cell] = grid.expand([one])
    assert grid.cell_name(cell, options) == "digits_w128_sgd_lr0.1_b16_wd0_t10000_s0_f29eadb4"


def test_cells_have_one_type_on_each_axis_however_a_config_writes_it():
    written = {"train_size": 20.0, "label_noise": 1, "learning_rate": 1, "batch_size": 4.0, "weight_decay": 0}
    written |= {"steps": 10.0, "seed": 3.0, "dataset": "toy", "widths": [[8, 4]]}
    [cell] = grid.expand([written])
    kinds = {"text": str, "choice": str, "whole": int, "real": float, "widths": tuple, "flag": bool}
    assert {name: type(value) for name, value in vars(cell).items()} == {
        name: kinds[axis.kind] for name, axis in AXES.items()
    }
    assert cell.widths == (8, 4)


def test_axes_left_out_have_their_defaults_and_full_batches_stay_a_word():
    [cell] = grid.expand([GRID | {"weight_decay": 0.1, "seed": 1, "batch_size": "full"}])
    assert cell == Cell(dataset="toy", learning_rate=0.1, batch_size="full", weight_decay=0.1, steps=10, seed=1)


def test_a_cell_is_read_back_from_the_facts_of_its_record():
    cell = a_cell(widths=(8, 4), train_size=40)
    facts = vars(cell) | {"widths": "8-4", "task": "regression", "inputs": 3}
    assert grid.cell_of(facts) == cell


def test_a_stack_of_too_many_cells_is_refused():
    cells = grid.expand([GRID | {"seed": list(range(grid.MOST_IN_STACK)), "weight_decay": [0, 0.1]}])
    with pytest.raises(UserError, match="has 20,000 cells, and 10,000 are the most; take an axis"):
        grid.stacks(cells, ["weight_decay", "seed"], OPTIONS)
    assert len(grid.stacks(cells, ["seed"], OPTIONS)) == 2
