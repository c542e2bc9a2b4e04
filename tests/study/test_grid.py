"""Cells and stacks: products, unions, names that stay."""

from dataclasses import asdict

import pytest
from conftest import a_cell

from ranktwo.errors import UserError
from ranktwo.study import grid, jobs
from ranktwo.study.axes import AXES

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


def test_names_are_readable_and_differ_with_any_axis_or_option():
    cell = a_cell()
    name = grid.cell_name(cell, OPTIONS["toy"])
    assert name.startswith("toy_w6_sgd_lr0.05_b4_wd0.01_t50_s0_")
    changed = {
        "dataset": "other",
        "train_size": 10,
        "label_noise": 0.1,
        "widths": (6, 6),
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


def test_a_job_string_says_everything_about_its_cells():
    cells = grid.expand([GRID | {"widths": [[8, 4]], "label_noise": [0, 0.5]}])
    text = jobs.encode(cells, OPTIONS["toy"], snapshots=5, fingerprint="f")
    decoded, options, settings = jobs.decode(text)
    assert [asdict(cell) for cell in decoded] == [asdict(cell) for cell in cells]
    assert options == OPTIONS["toy"]
    assert settings == {"snapshots": 5, "fingerprint": "f"}


def test_swapped_values_make_another_job_string():
    one, other = (grid.expand([GRID | {"learning_rate": a, "weight_decay": b}]) for a, b in ((0.1, 0.01), (0.01, 0.1)))
    assert jobs.encode(one, {}) != jobs.encode(other, {})


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"shared": {}, "axes": [], "cells": [[]], "options": {}}'])
def test_a_string_that_is_no_job_is_one_sentence(text):
    with pytest.raises(UserError, match="not those of a ranktwo job"):
        jobs.decode(text)
