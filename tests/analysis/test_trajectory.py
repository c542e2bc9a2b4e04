"""Bounds from the path of training: along a real run, by hand, and only for optimizers that they hold of."""

import itertools
import math

import pytest
import torch
from support import a_dataset, a_record
from textbook import frobenius, make_data, make_net, residual, train

from ranktwo.analysis.certificates.trajectory import COLUMNS, memory_rank, trajectory_bound, trajectory_columns


@pytest.mark.parametrize("batch", [1, 2])
def test_trajectory_bound_holds_along_a_real_run_and_says_something_under_strong_decay(batch):
    task, steps, q = "regression", 60, 5
    x, targets = make_data(task)
    rates = 0.05 + 0.05 * torch.rand(steps, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mu = torch.tensor([0.0, 0.5, 8.0], dtype=torch.float64)
    weights, history = make_net(task, 2), []
    for step in range(steps + 1):
        history.append(weights[0].clone())
        if step < steps:
            weights = train(weights, x, targets, task, mu, steps=1, rate=rates[step], batch=batch, seed=step)
    said = {k: [] for k in range(3)}
    for k, lag, end in itertools.product(range(3), (1, 2, 4, 5, 8), (20, 60)):
        start, v = end - lag, history[end][k]
        norms = frobenius(history[start][k]), frobenius(v)
        settings = {"weight_decay": float(mu[k]), "batch_size": batch, "max_rank": q}
        found = trajectory_bound(*norms, learning_rates=rates[start:end], **settings)
        if lag * batch >= q:
            assert found == {}
            continue
        bound = float((1 - rates[start:end] * mu[k]).prod() * norms[0] / norms[1])
        against = bound / math.sqrt(1 - lag * batch / q)
        assert found == pytest.approx({"rank": lag * batch, "bound": bound, "against_generic": against}, rel=1e-12)
        assert residual(v, lag * batch) <= bound * norms[1] * (1 + 1e-12)
        said[k].append(against)
    assert min(said[2]) < 1 and min(said[0]) >= 0.9


def test_trajectory_bound_says_nothing_of_norms_that_are_zero_or_not_finite():
    rates = torch.full((2,), 0.1, dtype=torch.float64)
    for before, after in ((1.0, 0.0), (0.0, 0.0), (math.inf, 1.0), (1.0, math.nan)):
        norms = (torch.tensor(norm, dtype=torch.float64) for norm in (before, after))
        assert trajectory_bound(*norms, learning_rates=rates, weight_decay=0.5, batch_size=1, max_rank=5) == {}


def test_memory_rank_in_both_conventions():
    eta, mu, e = 0.1, 0.01, 1e-2
    rank = memory_rank(e, learning_rate=eta, weight_decay=mu, batch_size=4)
    steps = rank / 4
    assert (1 - eta * mu) ** steps <= e / 2 < (1 - eta * mu) ** (steps - 1)
    assert rank == pytest.approx(4 * math.log(2 / e) / (2 * eta * (mu / 2)), rel=2e-3)  # Galanti's lambda = mu/2
    ranks = {shrink: memory_rank(e, learning_rate=1.0, weight_decay=shrink, batch_size=4) for shrink in (0.1, 1.0, 1.9)}
    assert ranks == pytest.approx({0.1: 51 * 4, 1.0: 4, 1.9: 51 * 4})
    for shrink in (0.0, 2.0, 2.1):
        assert math.isnan(memory_rank(e, learning_rate=1.0, weight_decay=shrink, batch_size=4))


def test_a_stack_s_trajectory_columns_are_each_cell_s_own():
    x = torch.randn(40, 9, dtype=torch.float64)
    data = a_dataset("regression", 1, x, x[:, :1], 30)
    axes = [
        {"learning_rate": 0.1, "weight_decay": 0.5},
        {"learning_rate": 0.3, "weight_decay": 0.2, "schedule": "cosine"},
        {"learning_rate": 0.2, "decay_rule": "input-norm"},
        {"learning_rate": 9.0},
    ]
    stack = [a_record([torch.ones(6, 9), torch.ones(1, 6)], data, **change, steps=50) for change in axes]
    norms = [20.0, 15.0, 10.0, None]
    for record, norm in zip(stack, norms, strict=True):
        record.history = {"norm_before": [None, norm], "steps_before": [0.0, None if norm is None else 1.0]}
    found = trajectory_columns(stack, 1)
    rate = 0.3 * (1 + math.cos(math.pi * 49 / 50)) / 2
    norm = math.sqrt(54)
    expected = [(1 - 0.1 * 0.5) * 20 / norm, (1 - rate * 0.2) * 15 / norm, math.nan, math.nan]
    assert found["trajectory_bound"].tolist() == pytest.approx(expected, nan_ok=True)
    assert found["trajectory_rank"].tolist() == pytest.approx([4, 4, math.nan, math.nan], nan_ok=True)
    assert found["memory_rank"].isnan().tolist() == [False, True, True, False]
    assert all(
        values.isnan().all() for name, values in trajectory_columns(stack[3:], 1).items() if name != "memory_rank"
    )


def test_no_bound_is_claimed_of_an_optimizer_that_remembers_or_is_not_known():
    x = torch.randn(40, 9, dtype=torch.float64)
    data = a_dataset("regression", 1, x, x[:, :1], 30)
    facts = [
        {"decay": "coupled", "plain": True},
        {"decay": "decoupled", "plain": True},
        {"decay": "coupled", "plain": False},
        {"decay": "decoupled", "plain": False},
        {"decay": "coupled", "plain": None},
        {"decay": "of another kind", "plain": True},
        {"plain": True},
        {},
    ]
    stack = [a_record([torch.ones(6, 9), torch.ones(1, 6)], data, optimizer="sgd", steps=50) for _ in facts]
    for record, known in zip(stack, facts, strict=True):
        record.cell = {key: value for key, value in record.cell.items() if key not in ("decay", "plain")} | known
        record.history = {"norm_before": [None, 20.0], "steps_before": [0.0, 1.0]}
    found = trajectory_columns(stack, 1)
    assert set(found) == set(COLUMNS)
    for name, values in found.items():
        assert values.isnan().tolist() == [False] * 2 + [True] * 6, name
