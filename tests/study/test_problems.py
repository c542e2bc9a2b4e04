"""Which decayed losses a study asks the minimisers of."""

import pytest
from support import a_cell

from ranktwo.study.problems import Problem, problems


def test_nets_of_one_hidden_layer_with_a_penalty_and_a_decay_have_a_problem():
    cells = [
        *(a_cell(weight_decay=mu, seed=seed) for mu in (0.1, 0, 0.3) for seed in (0, 1)),
        a_cell(weight_decay=0.2, optimizer="momentum"),
        a_cell(weight_decay=0.4, optimizer="adamw"),
        a_cell(weight_decay=0.5, widths=(6, 6)),
        a_cell(weight_decay=0.6, decay_rule="input-norm"),
    ]
    expected = Problem(split=0, train_size=None, label_noise=0.0, seed=None, weight_decays=(0.3, 0.2, 0.1))
    assert problems(cells, 1) == [expected]


def test_label_noise_makes_a_problem_of_each_seed():
    cells = [a_cell(label_noise=0.2, seed=seed, train_size=size) for size in (None, 9) for seed in (0, 1)]
    found = problems(cells, 1)
    assert [(one.train_size, one.label_noise, one.seed) for one in found] == [
        (None, 0.2, 0),
        (None, 0.2, 1),
        (9, 0.2, 0),
        (9, 0.2, 1),
    ]


@pytest.mark.parametrize(("splits", "expected"), [(1, [2]), (2, [2, 3]), (9, [2, 3, 5])])
def test_the_first_splits_alone_have_problems(splits, expected):
    cells = [a_cell(weight_decay=mu, split=split) for split in (5, 2, 3) for mu in (0.1, 0.2)]
    found = problems(cells, splits)
    assert [one.split for one in found] == expected
    assert {one.weight_decays for one in found} == {(0.2, 0.1)}


def test_a_split_without_a_problem_does_not_take_the_place_of_one_that_has_one():
    cells = [a_cell(split=0, optimizer="adamw"), a_cell(split=1)]
    assert [problem.split for problem in problems(cells, 1)] == [1]
