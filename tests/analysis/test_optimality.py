"""The duality gaps of trained nets: against NumPy and a harder search, and null where the theory says nothing."""

import numpy as np
import pytest
import torch
from support import a_dataset, a_record
from textbook import make_data, normal

from ranktwo.analysis import optimality
from ranktwo.analysis.optimum import certificate, search
from ranktwo.data.dataset import training_data
from ranktwo.data.labels import targets


@pytest.fixture(scope="module")
def rows(run_analysis):
    return run_analysis("optimality").to_pylist()


def test_the_objective_is_the_loss_with_its_penalty(run_analysis, rows):
    for row in rows:
        record = run_analysis.records[row["cell"]]
        v, u = (weight.numpy() for weight in record.net(record.steps.index(row["step"])))
        if row["objective"] is None:
            assert not np.isfinite(v).all() and row["no_certificate"] == "a weight is not finite"
            continue
        x, y = training_data(record.cell, run_analysis.data)
        f = torch.from_numpy(np.maximum(x.numpy() @ v.T, 0) @ u.T)
        loss = torch.nn.functional.cross_entropy(f, y.argmax(1)).item()
        penalty = row["weight_decay"] / 2 * ((v**2).sum() + (u**2).sum())
        assert row["objective"] == pytest.approx(loss + penalty, rel=1e-9)
        assert row["no_certificate"] is None
    assert sum(row["objective"] is None for row in rows) >= 2


def test_a_gap_is_not_negative_and_no_neuron_is_above_the_dual_ratio(rows):
    for row in rows:
        if row["objective"] is not None:
            assert row["duality_gap"] >= -1e-12
            assert row["relative_gap"] == pytest.approx(row["duality_gap"] / row["objective"])
            assert row["least_neuron"] <= row["greatest_neuron"] <= row["dual_ratio"] * (1 + 1e-12)


@pytest.mark.slow
def test_the_quick_search_finds_nearly_what_a_thorough_one_finds(run_analysis, rows):
    for row in rows:
        if row["objective"] is None:
            continue
        record = run_analysis.records[row["cell"]]
        v, u = record.net(record.steps.index(row["step"]))
        x, y = training_data(record.cell, run_analysis.data)
        found = certificate.certify(
            v[None], u[None], x.double(), y.double(), "multiclass", x.new_tensor([row["weight_decay"]]).double(),
            starts=certificate.grid(x, len(x)), own_count=10, grid_count=200, effort=search.Effort(kept=64),
        )  # fmt: skip
        assert 0.99 < row["dual_ratio"] / found.dual_ratio.item() < 1 + 1e-9


def test_the_dual_function_in_the_plane_is_told_after_training_alone(run_analysis, rows):
    last = run_analysis.records[rows[0]["cell"]].steps[-1]
    for row in rows:
        told = row["step"] == last and row["objective"] is not None
        assert (row["dual_curve"] is not None) == told
        if told:
            assert len(row["dual_curve"]) == 181 and row["dual_curve"][0] == pytest.approx(row["dual_curve"][-1])
            heights, shares = row["neuron_heights"], row["neuron_shares"]
            assert max(heights) == pytest.approx(row["greatest_neuron"]) and sum(shares) <= 1 + 1e-12
            assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    "axes, reason",
    [
        ({"weight_decay": 0}, "no weight decay"),
        ({"optimizer": "adamw"}, "adamw does not descend on a penalty"),
        ({"decay_rule": "input-norm"}, "the decay rule input-norm is not constant"),
    ],
)
def test_a_net_without_a_certificate_says_why(axes, reason):
    x, y = make_data("regression")
    record = a_record(
        [normal(6, x.shape[1], seed=1), normal(1, 6, seed=2)], a_dataset("regression", 1, x, y[:, :1], 20), **axes
    )
    if "optimizer" in axes:
        record.cell["decay"] = "decoupled"
    assert optimality.why_none(record).startswith(reason)


def test_a_net_of_three_matrices_has_no_certificate():
    x, y = make_data("regression")
    record = a_record(
        [normal(6, x.shape[1], seed=1), normal(5, 6, seed=2), normal(1, 5, seed=3)],
        a_dataset("regression", 1, x, y[:, :1], 20),
    )
    assert optimality.why_none(record) == "the net has 3 matrices, the theory two"


def test_at_neurons_that_touch_the_level_the_curve_touches_it():
    """One neuron on the maximiser of a data set of one direction: h/mu at it is that of the curve at its angle."""
    x = normal(30, 3, seed=5)
    y = torch.relu(x @ normal(3, 1, seed=6))
    v, u = normal(2, 3, seed=7), normal(1, 2, seed=8)
    found = optimality.plane(v, u, x, targets(y, "regression", 1).double(), "regression", 0.1)
    angles, heights = found["neuron_angles"], found["neuron_heights"]
    grid = np.linspace(0, 2 * np.pi, 181)
    for angle, height in zip(angles, heights, strict=True):
        assert np.interp(angle % (2 * np.pi), grid, found["dual_curve"]) == pytest.approx(height, rel=1e-2)
