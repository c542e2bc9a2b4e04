"""The optimum against convex programmes over all activation patterns, against planted nets, and as a net."""

import enumeration
import numpy as np
import pytest
import torch
from textbook import make_data, normal

from ranktwo.analysis.critical import critical_decay
from ranktwo.analysis.optimum import certificate, search, solver

TIGHT = {"tolerance": 1e-7, "rounds": 60}


def small_data(task, outputs, inputs, seed):
    """Eight samples whose targets are noisy."""
    x, y = make_data(task, inputs=inputs, samples=8, seed=10 * seed)
    if task == "regression":
        y = y[:, :1] + 0.5 * normal(8, outputs, seed=seed)
    return x, y


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [2, 3])
@pytest.mark.parametrize("task", ["regression", "binary"])
def test_the_least_loss_is_that_of_a_programme_over_all_patterns(task, inputs):
    x, y = small_data(task, 1, inputs, seed=1)
    mu_c = critical_decay(x, y, task)[0]
    for found in solver.optima(x, y, task, [0.5 * mu_c, 0.05 * mu_c], **TIGHT):
        expected = enumeration.optimum_over_patterns(x.numpy(), y.numpy(), task, found.weight_decay, 1e-7)
        assert found.objective == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_the_least_loss_of_three_outputs_is_that_of_a_programme_over_all_angles(task):
    x, y = small_data(task, 3, 2, seed=2)
    mu_c = critical_decay(x, y, task)[0]
    for found in solver.optima(x, y, task, [0.5 * mu_c, 0.05 * mu_c], **TIGHT):
        expected = enumeration.optimum_over_angles(x.numpy(), y.numpy(), task, found.weight_decay, 1e-7)
        assert found.objective == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [2, 3])
@pytest.mark.parametrize("task, outputs", [("regression", 1), ("regression", 3), ("binary", 1), ("multiclass", 3)])
def test_the_dual_maximum_of_brute_force_proves_that_no_net_has_less(task, outputs, inputs):
    for seed in range(2):
        x, y = small_data(task, outputs, inputs, seed)
        mu_c = critical_decay(x, y, task)[0]
        for found in solver.optima(x, y, task, [0.5 * mu_c, 0.1 * mu_c], **TIGHT):
            v, u = (matrix.numpy() for matrix in found.atoms.net())
            f = np.maximum(x.numpy() @ v.T, 0) @ u.T
            value, e, _ = enumeration.loss(f, y.numpy(), task)
            objective = value + found.weight_decay / 2 * ((v**2).sum() + (u**2).sum())
            assert found.objective == pytest.approx(objective, rel=1e-12)
            height = enumeration.dual_maximum(x.numpy(), len(x) * e)
            least = -enumeration.conjugate(min(1, found.weight_decay / height) * len(x) * e, y.numpy(), task)
            assert -1e-12 < objective - least < 1e-5 * objective
            assert found.dual_ratio == pytest.approx(height / found.weight_decay, rel=1e-5)
            assert found.relative_gap == pytest.approx(1 - least / objective, abs=1e-5)


def test_the_net_of_the_atoms_is_balanced_and_its_certificate_is_closed():
    x, y = make_data("multiclass", inputs=4)
    mu = 0.1 * critical_decay(x, y, "multiclass")[0]
    [found] = solver.optima(x, y, "multiclass", [mu], **TIGHT)
    v, u = found.atoms.net()
    assert (found.atoms.t.diff() <= 0).all()
    of_net = certificate.certify(
        v[None], u[None], x, y, "multiclass", x.new_tensor([mu]),
        starts=certificate.grid(x, len(x)), own_count=20, grid_count=100,
        effort=search.Effort(kept=8),
    )  # fmt: skip
    assert of_net.objective.item() == pytest.approx(found.objective, rel=1e-12)
    assert abs(of_net.dual_ratio.item() - 1) < 1e-5 and of_net.relative_gap.item() < 1e-6
    assert abs(of_net.least.item() - 1) < 1e-4 and of_net.balance.item() < 1e-12


def test_a_gap_that_rounds_could_not_close_is_told_as_another_search_finds_it():
    x, y = make_data("binary", inputs=12, samples=250, seed=3)
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(1))]  # noise: hundreds of peaks are above mu
    mu = 0.03 * critical_decay(x, y, "binary")[0]
    [found] = solver.optima(x, y, "binary", [mu], tolerance=3e-4, rounds=30)
    assert found.rounds == 30 and found.relative_gap > 3e-4
    delta = certificate.derivatives(*found.atoms.net(), x, y, "binary")[None]
    fresh = search.directions(normal(2000, 12, seed=7))[None]
    height = search.maximise(x, delta, fresh, search.Effort(kept=500))[0].item()
    assert found.dual_ratio >= 0.98 * height / mu


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_above_the_critical_decay_the_optimum_is_zero(task):
    x, y = make_data(task)
    mu_c = critical_decay(x, y, task)[0]
    above, below = solver.optima(x, y, task, [0.99 * mu_c, 1.01 * mu_c], tolerance=1e-6)
    assert len(below.atoms.t) >= 1 and below.dual_ratio == pytest.approx(1, abs=1e-3)
    assert len(above.atoms.t) == 0 and above.dual_ratio == pytest.approx(1 / 1.01, rel=1e-6)
    assert above.relative_gap == pytest.approx(0, abs=1e-12)
    assert not any(matrix.any() for matrix in above.atoms.net())


@pytest.mark.parametrize("neurons", [1, 2, 3])
def test_a_planted_net_is_found_as_the_decay_goes_to_zero(neurons):
    x = normal(200, 4, seed=neurons)
    v = torch.linalg.qr(normal(4, 4, seed=7)).Q[:neurons]
    u = torch.tensor([[1.0, -0.8, 0.6]], dtype=torch.float64)[:, :neurons]
    y = torch.relu(x @ v.T) @ u.T
    mu_c = critical_decay(x, y, "regression")[0]
    found = list(solver.optima(x, y, "regression", [mu_c * 10**-power for power in (1, 2, 3, 4)], tolerance=1e-5))[-1]
    atoms = found.atoms.merged()
    assert len(atoms.t) == neurons
    order = (atoms.t * atoms.d[:, 0] - u.T).abs().argmin(1)  # the planted neuron that each atom's weight is nearest to
    assert (atoms.v[order] * v).sum(1).min() > 0.9999
    torch.testing.assert_close((atoms.t * atoms.d[:, 0])[order], u[0], rtol=3e-3, atol=0)
