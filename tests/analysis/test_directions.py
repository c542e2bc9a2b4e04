"""Directions of a matrix' rows by hand, and the distance of the inputs' directions from rank one."""

import math

import pytest
import torch
from textbook import INPUTS, MU, SAMPLES, make_data, make_net, normal

from ranktwo.analysis.certificates.chain import layer_certificates
from ranktwo.analysis.certificates.directions import data_floor, distinct_directions


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-7])
def test_data_floor_is_the_distance_of_the_directions_from_rank_one(spread):
    x, _ = make_data("regression", spread=spread)
    unit = x / x.norm(dim=1, keepdim=True)
    expected = torch.linalg.svdvals(unit)[1:].norm() / math.sqrt(SAMPLES)
    torch.testing.assert_close(data_floor(x)[0], expected, rtol=1e-7, atol=0)
    if spread == 1.0:
        largest = torch.linalg.eigvalsh(unit.T @ unit / SAMPLES)[-1]
        torch.testing.assert_close(data_floor(x)[0], (1 - largest).sqrt())


def test_a_zero_input_makes_the_floor_one_because_its_gradient_is_zero():
    x, targets = make_data("regression", spread=1e-3)
    x[3] = 0.0
    row = layer_certificates(make_net("regression", 2), x, targets, "regression", weight_decay=MU * 100, batch_size=4)[
        0
    ]
    assert (row["data_floor"] == 1).all()
    assert (row["sample_max"] >= row["norm"] * (1 - 1e-15)).all()
    assert (row["sample_min"] <= row["norm"] * (1 + 1e-15)).all()


def test_data_floor_is_reached_by_the_best_matrix():
    """It is a floor with nothing to spare: two orthogonal inputs and V equal to minus both gradients' mean."""
    x = torch.eye(2, dtype=torch.float64)
    weights = [torch.ones(1, 1, 2, dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.float64)]
    row = layer_certificates(
        weights, x, 1.5 * torch.ones(2, 1), "regression", weight_decay=torch.ones(1), batch_size=1
    )[0]
    torch.testing.assert_close(row["sample_max"] / row["norm"], row["data_floor"], rtol=1e-14, atol=0)


def test_dead_units_and_directions_by_hand():
    x, targets = make_data("regression")
    weights = make_net("regression", 2, cells=1)
    a, b = normal(INPUTS, seed=3), normal(INPUTS, seed=4)
    dead = torch.zeros(INPUTS, dtype=torch.float64)
    rows = [a, 2 * a, a + 0.01 * b, -a, b, 1e-4 * normal(INPUTS, seed=9), dead]
    weights[0] = torch.stack(rows)[None]
    row = layer_certificates(weights, x, targets, "regression", weight_decay=MU[:1], batch_size=4)[0]
    assert row["directions"] == 3
    assert row["dead_fraction"] == ((torch.relu(x @ weights[0][0].T) == 0).all(0)).double().mean() >= 1 / 7
    assert distinct_directions(torch.zeros(1, 2, 2)).isnan()
