"""The chain of bounds against brute force: per-sample gradients by autograd, every batch enumerated."""

import itertools

import pytest
import torch
from textbook import (
    CELLS,
    HIDDEN,
    INPUTS,
    MU,
    SAMPLES,
    STATES,
    TASKS,
    assert_close,
    decays_for,
    frobenius,
    make_data,
    make_net,
    normal,
    residual,
    sample_gradients,
    setting,
    train,
)

from ranktwo.analysis.certificates import passes
from ranktwo.analysis.certificates.chain import COLUMNS, layer_certificates


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("state", STATES)
def test_every_column_agrees_with_materialised_gradients_and_the_chain_holds(state, task, depth):
    x, targets, weights = setting(state, task, depth)
    gradients = sample_gradients(weights, x, targets, task)
    for batch_size in (1, 4, 16):
        rows = layer_certificates(weights, x, targets, task, weight_decay=MU, batch_size=batch_size)
        for layer, (w, g, row) in enumerate(zip(weights, gradients, rows, strict=True)):
            assert set(row) == set(COLUMNS)
            mu = MU[:, None, None]
            a = g + (mu * w)[:, None]
            distances = frobenius(w[:, None] + g / mu[:, None])
            mean = g.mean(1)
            scale = frobenius(w) + frobenius(g).amax(1) / MU
            full = frobenius(mean + mu * w)
            slack = torch.linalg.matrix_norm(mean + mu * w, 2) / MU
            gap = (torch.linalg.svdvals(w) - torch.linalg.svdvals(mean) / MU[:, None]).abs().amax(1)
            expected = {
                "norm": frobenius(w),
                "d_1": residual(w, 1),
                "d_2": residual(w, 2),
                "sample_min": distances.amin(1),
                "sample_max": distances.amax(1),
                "eps_upper": frobenius(a).amax(1),
                "bound_upper": (2 * batch_size - 1) * frobenius(a).amax(1) / MU,
                "vacuity_upper": (2 * batch_size - 1) * frobenius(a).amax(1) / MU / frobenius(w),
                "gradient_norm": full,
                "weyl_slack": slack,
                "weyl_gap": gap,
                "mean_residual_1": (residual(mean, 1) + full) / MU,
                "mean_residual_2": (residual(mean, 2) + full) / MU,
            }
            for name, value in expected.items():
                assert_close(row[name], value, scale)
            tiny = 1e-13 * scale
            chain = ["d_2", "d_1", "sample_min", "sample_max", "bound_lower", "bound_upper"]
            for smaller, larger in itertools.pairwise(chain):
                assert (row[smaller] <= row[larger] + tiny).all(), (smaller, larger)
            assert (row["eps_batch"] <= row["eps_lower"]).all() and (row["eps_lower"] <= row["eps_upper"] + tiny).all()
            assert (row["weyl_gap"] <= row["weyl_slack"] + tiny).all()
            for r in (1, 2):
                assert (row[f"d_{r}"] <= row[f"mean_residual_{r}"] + tiny).all()
            if layer == 0:
                assert (row["data_floor"] <= row["sample_max"] / row["norm"] * (1 + 1e-12)).all()
            assert row["data_floor"].isnan().all() == (layer > 0)
            assert row["dead_fraction"].isnan().all() == (layer == depth - 1)
            if batch_size == 1:
                assert_close(row["eps_batch"], frobenius(a).amax(1), scale)


@pytest.mark.parametrize("rank", [1, 2])
def test_hand_built_low_rank_matrices_have_no_residual(rank):
    x, targets = make_data("regression")
    weights = make_net("regression", 2, cells=1)
    weights[0] = (normal(HIDDEN, rank, seed=8) @ normal(rank, INPUTS, seed=9))[None]
    row = layer_certificates(weights, x, targets, "regression", weight_decay=MU[:1], batch_size=4)[0]
    assert (row[f"d_{rank}"] < 2e-15 * row["norm"]).all()
    if rank == 2:
        assert (row["d_1"] > 0.1 * row["norm"]).all()


def test_nearly_identical_inputs_give_a_bound_that_says_something():
    """A planted positive: one cluster of inputs and targets, gradient descent to a stationary point off zero."""
    x, _ = make_data("regression", spread=1e-4)
    targets = torch.ones(SAMPLES, 2, dtype=torch.float64)
    mu = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    weights = train(make_net("regression", 2), x, targets, "regression", mu, steps=3000, rate=0.2)
    row = layer_certificates(weights, x, targets, "regression", weight_decay=mu, batch_size=4)[0]
    assert (row["norm"] > 0.1).all()
    assert (row["vacuity_upper"] < 0.05).all() and (row["data_floor"] < row["vacuity_lower"]).all()
    assert (row["d_1"] / row["norm"] < row["vacuity_upper"]).all()
    assert (row["directions"] <= 2).all()
    scattered, targets = make_data("regression")
    weights = train(make_net("regression", 2), scattered, targets, "regression", mu, steps=1000, rate=0.1)
    row = layer_certificates(weights, scattered, targets, "regression", weight_decay=mu, batch_size=4)[0]
    assert (row["vacuity_upper"] > 1).all()


@pytest.mark.parametrize("batch_size", [1, 4])
def test_data_dependent_decay_keeps_the_chain_and_the_rank_one(batch_size):
    x, targets = make_data("multiclass")
    decays = decays_for(x, "input-norm")
    torch.testing.assert_close(decays.mean(1), MU)
    torch.testing.assert_close(decays[:, 0] / decays[:, 1], (x[0].norm() / x[1].norm()).square().expand(3))
    weights = make_net("multiclass", 3)
    rows = layer_certificates(weights, x, targets, "multiclass", weight_decay=decays, batch_size=batch_size)
    for w, g, row in zip(weights, sample_gradients(weights, x, targets, "multiclass"), rows, strict=True):
        c = decays[..., None, None]
        a = g + c * w[:, None]
        torch.testing.assert_close(row["sample_min"], frobenius(w[:, None] + g / c).amin(1), rtol=1e-10, atol=0)
        torch.testing.assert_close(row["sample_max"], frobenius(w[:, None] + g / c).amax(1), rtol=1e-10, atol=0)
        torch.testing.assert_close(row["eps_upper"], frobenius(a).amax(1), rtol=1e-10, atol=0)
        torch.testing.assert_close(row["gradient_norm"], frobenius(a.mean(1)), rtol=1e-10, atol=0)
        assert (row["sample_min"] <= row["bound_lower"] * (1 + 1e-12)).all()
    constant = layer_certificates(
        weights, x, targets, "multiclass", weight_decay=decays_for(x, "constant"), batch_size=4
    )
    plain = layer_certificates(weights, x, targets, "multiclass", weight_decay=MU, batch_size=4)
    for a, b in zip(constant, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0, equal_nan=True)


def test_cells_do_not_depend_on_how_they_are_cut(monkeypatch):
    x, targets = make_data("multiclass")
    weights = make_net("multiclass", 3)
    own = x.expand(CELLS, -1, -1).clone()
    whole = layer_certificates(weights, own, targets.expand(CELLS, -1, -1), "multiclass", weight_decay=MU, batch_size=4)
    monkeypatch.setattr(passes, "CHUNK_ELEMENTS", 1)
    cut = layer_certificates(weights, x, targets, "multiclass", weight_decay=MU, batch_size=4)
    for a, b in zip(whole, cut, strict=True):
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-10, atol=1e-13, equal_nan=True)
