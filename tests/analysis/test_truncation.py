"""Truncated nets against explicit ones, and nets whose functional rank is known."""

import math

import numpy as np
import pytest
import torch
from support import a_dataset, a_record

from ranktwo.analysis import truncation
from ranktwo.analysis.truncation import CURVES
from ranktwo.data.labels import noisy_targets, targets
from ranktwo.study.axes import CELL_COLUMNS

OUTPUTS = {"regression": 1, "binary": 1, "multiclass": 3}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labelled(task: str, x: torch.Tensor, seed: int = 5):
    """A data set of inputs x, the first two thirds for training."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(len(x), 1, generator=generator)
    if task != "regression":
        y = torch.randint(0, max(2, OUTPUTS[task]), (len(x),), generator=generator)
    return a_dataset(task, OUTPUTS[task], x, y, len(x) * 2 // 3)


def example(task: str, hidden: tuple[int, ...] = (8,)):
    """A net, float32 as training leaves it, and a data set of 5 features and 60 rows."""
    sizes = [5, *hidden, OUTPUTS[task]]
    shapes = zip(sizes[1:], sizes, strict=False)
    return [random(*shape, seed=index).float().double() for index, shape in enumerate(shapes)], labelled(
        task, random(60, 5, seed=9)
    )


def outputs_of(weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    for weight in weights[:-1]:
        x = np.maximum(x @ weight.T, 0)
    return x @ weights[-1].T


def loss_and_score(f: np.ndarray, y: np.ndarray, task: str) -> tuple[float, float]:
    """As a textbook has them; y as `targets` returns it."""
    if task == "regression":
        return np.mean((f - y) ** 2), 1 - np.mean((f - y) ** 2) / np.mean((y - y.mean()) ** 2)
    if task == "binary":
        return np.mean(np.log1p(np.exp(-f * (2 * y - 1)))), np.mean((f > 0) == (y == 1))
    p = np.exp(f) / np.exp(f).sum(1, keepdims=True)
    return np.mean(-np.log(p[y == 1])), np.mean(f.argmax(1) == y.argmax(1))


@pytest.mark.parametrize("hidden", [(8,), (3,), (8, 4)])
@pytest.mark.parametrize("task", OUTPUTS)
def test_truncated_and_shrunk_nets_are_the_explicit_ones(task, hidden):
    weights, data = example(task, hidden)
    record = a_record(weights, data, label_noise=0.3, seed=2, train_size=30)
    found = truncation.row("a", record, data)
    v, *above = (w.numpy() for w in weights)
    p, s, qt = np.linalg.svd(v, full_matrices=False)
    assert found["truncation_ranks"] == list(range(len(s) + 1))
    noisy = noisy_targets(data.train_y[:30], task, OUTPUTS[task], 0.3, 2)
    parts = {"train": (data.train_x[:30], noisy), "test": (data.test_x, targets(data.test_y, task, OUTPUTS[task]))}
    for part, (x, y) in parts.items():
        for r in found["truncation_ranks"]:
            nearest = (p[:, :r] * s[:r]) @ qt[:r]
            control = v * np.linalg.norm(nearest) / np.linalg.norm(v)
            assert np.linalg.norm(control) == pytest.approx(np.linalg.norm(nearest))
            for name, first in (("truncated", nearest), ("shrunk", control)):
                loss, score = loss_and_score(outputs_of([first, *above], x.numpy()), y.double().numpy(), task)
                assert found[f"{name}_{part}_loss"][r] == pytest.approx(loss, rel=1e-9), (name, part, r)
                assert found[f"{name}_{part}_score"][r] == pytest.approx(score, rel=1e-9), (name, part, r)


@pytest.mark.parametrize(("task", "trivial"), [("binary", math.log(2)), ("multiclass", math.log(3))])
def test_rank_zero_is_the_net_that_says_nothing(task, trivial):
    weights, data = example(task)
    found = truncation.row("a", a_record(weights, data), data)
    for curve in ("truncated_train_loss", "truncated_test_loss", "shrunk_train_loss", "shrunk_test_loss"):
        assert found[curve][0] == pytest.approx(trivial)


def test_full_rank_is_the_net_as_trained(run_analysis):
    name, record = next(iter(run_analysis.records.items()))
    found = truncation.row(name, record, run_analysis.data)
    for part in ("train", "test"):
        for net in ("truncated", "shrunk"):
            assert found[f"{net}_{part}_loss"][-1] == pytest.approx(record.history[f"{part}_loss"][-1], rel=1e-6)
            assert found[f"{net}_{part}_score"][-1] == pytest.approx(record.history[f"{part}_accuracy"][-1])


def test_a_net_of_rank_two_has_a_functional_rank_of_two_at_most():
    """And one whose classes lie along two directions, the second of them weak, of exactly two."""
    x = random(90, 6)
    data = a_dataset("binary", 1, x, (x[:, 0].abs() > x[:, 1].abs()).long(), 60)
    axes = torch.zeros(4, 6, dtype=torch.float64)
    axes[0, 0], axes[1, 0], axes[2, 1], axes[3, 1] = 2.0, -2.0, 1.0, -1.0
    net = [axes, torch.tensor([[0.5, 0.5, -1.0, -1.0]])]
    found = truncation.row("a", a_record(net, data), data)
    assert found["truncated_test_score"][2:] == [1.0] * 3
    assert found["truncated_test_score"][1] < 0.9
    assert found["functional_rank"] == 2
    left, right = random(8, 2, seed=3), random(2, 6, seed=4)
    found = truncation.row("a", a_record([left @ right, random(1, 8, seed=6)], data), data)
    assert found["functional_rank"] <= 2


@pytest.mark.parametrize(
    ("scores", "rank"),
    [
        ([0.5, 0.9, 0.95, 0.95], 2),
        ([0.5, 0.95, 0.8, 0.95], 3),  # right by chance at r = 1
        ([0.5, 0.99, 0.95, 0.95], 2),  # better, and so another net
        ([0.95, 0.95, 0.95, 0.95], 0),
        ([0.5, 0.94, 0.96, 0.95], 1),  # 0.95 - 0.94 > 0.01 in floating point
        ([0.5, 0.6, 0.7, 0.95], 3),
        ([None, None, None, None], None),
        ([0.95, None, 0.95, 0.95], 2),  # undefined at r = 1
    ],
)
def test_functional_rank_is_where_the_score_arrives_to_stay(scores, rank):
    assert truncation.functional_rank([0, 1, 2, 3], scores) == rank
    ranks = [0, 1, 10, 100]
    assert truncation.functional_rank(ranks, scores) == (None if rank is None else ranks[rank])


@pytest.mark.parametrize("task", OUTPUTS)
def test_plane_coordinates_give_back_a_matrix_of_rank_two(task):
    data = labelled(task, random(60, 5, seed=9))
    v = random(8, 2, seed=3) @ random(2, 5, seed=4)
    above = random(OUTPUTS[task], 8, seed=6)
    found = truncation.row("a", a_record([v, above], data, label_noise=0.4), data)
    plane, means = (np.array([found[f"{name}_1"], found[f"{name}_2"]]) for name in ("plane", "mean"))
    y = noisy_targets(data.train_y, task, OUTPUTS[task], 0.4, 0).double().numpy()
    g = (y - y.mean(0)).T @ data.train_x.numpy() / len(y)
    # V = plane^T Q^T with orthonormal rows Q^T, which the plane's own coordinates determine.
    qt = np.linalg.lstsq(plane.T, v.numpy(), rcond=None)[0]
    np.testing.assert_allclose(qt @ qt.T, np.eye(2), atol=1e-5)
    np.testing.assert_allclose(plane.T @ qt, v, atol=1e-5)
    np.testing.assert_allclose(means.T, g @ qt.T, atol=1e-5)
    assert (np.take_along_axis(means, np.abs(means).argmax(1)[:, None], 1) > 0).all()
    assert np.linalg.norm(plane[0]) > np.linalg.norm(plane[1])
    outgoing = np.linalg.norm(above, axis=0) if task == "multiclass" else above[0]
    np.testing.assert_allclose(found["outgoing"], outgoing, rtol=1e-6)


def test_what_is_undefined_is_null():
    weights, data = example("binary")
    bad = [w.clone() for w in weights]
    bad[1][0, 0] = math.inf
    for undefined in ([0 * weights[0], weights[1]], bad):
        found = truncation.row("a", a_record(undefined, data), data)
        assert found["cell"] == "a"
        assert found["weight_decay"] == 0.01
        defined = {name for name, value in found.items() if value is not None}
        assert defined == set(CELL_COLUMNS)
    one_feature = labelled("binary", random(60, 1))
    found = truncation.row("a", a_record([random(8, 1), random(1, 8)], one_feature), one_feature)
    assert found["plane_2"] is None
    assert found["mean_2"] is None
    assert len(found["plane_1"]) == 8
    flat = a_dataset("regression", 1, random(9, 5), torch.ones(9, 1), 6)  # R^2 of constant targets
    for activation in ("relu", "tanh"):
        found = truncation.row("a", a_record([random(8, 5), random(1, 8)], flat, activation=activation), flat)
        assert found["truncated_test_score"] == [None] * 6
        assert found["functional_rank"] is None
        assert None not in found["truncated_test_loss"]


def test_many_ranks_are_thinned():
    assert truncation.truncation_ranks(64) == list(range(65))
    for q in (65, 256, 784, 4096):
        ranks = truncation.truncation_ranks(q)
        assert {0, 1, 2, 3, q} <= set(ranks)
        assert ranks == sorted(set(ranks))
        assert len(ranks) <= 24
    data = labelled("binary", random(60, 80))
    found = truncation.row("a", a_record([random(70, 80), random(1, 70)], data), data)
    assert found["truncation_ranks"] == truncation.truncation_ranks(70)
    assert all(len(found[name]) == len(found["truncation_ranks"]) for name in CURVES)


def test_the_table_has_a_row_for_each_cell(run_analysis):
    table = run_analysis("truncation")
    assert table.schema.equals(truncation.schema())
    rows = table.to_pylist()
    assert [row["cell"] for row in rows] == list(run_analysis.records)
    assert [row["functional_rank"] is None for row in rows] == [False, False, True]
    for row, (name, record) in zip(rows, run_analysis.records.items(), strict=True):
        assert row == truncation.row(name, record, run_analysis.data)
    assert rows[1]["truncated_train_loss"][-1] == pytest.approx(
        list(run_analysis.records.values())[1].history["train_loss"][-1], rel=1e-6
    )
