"""The dual maximum against brute force, and the duality gap at nets of every kind."""

import pytest
import torch
from enumeration import dual_function, dual_maximum, patterns
from textbook import MU, STATES, TASKS, make_data, make_net, net_loss, normal, setting

from ranktwo.analysis.critical import critical_decay
from ranktwo.analysis.optimum import certificate, duality, search
from ranktwo.nets.losses import sample_losses


def certify(weights, x, targets, task, mu):
    """The certificates of nets by a thorough search."""
    effort = search.Effort(kept=8)
    return certificate.certify(
        *weights, x, targets, task, mu, starts=certificate.grid(x, len(x)), own_count=4, grid_count=24, effort=effort
    )


def derivatives(weights, x, targets, task):
    """e_i = dl_i/df of one net, by autograd."""
    f = (torch.relu(x @ weights[0].T) @ weights[1].T).requires_grad_()
    loss = net_loss([torch.eye(f.shape[1], dtype=f.dtype)], f, targets, task)
    return len(x) * torch.autograd.grad(loss, f)[0]


def test_brute_force_has_every_pattern():
    for inputs, count in ((2, 2 * 12), (3, 12 * 11 + 2)):
        x = normal(12, inputs, seed=3).numpy()
        found, inside = patterns(x)
        assert len(found) == count and ((inside @ x.T > 0) == found).all()


@pytest.mark.parametrize("inputs", [2, 3])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("noise", [False, True])
def test_the_dual_maximum_is_that_of_brute_force_over_all_patterns(task, inputs, noise):
    for seed in range(4):
        x, targets = make_data(task, inputs=inputs, samples=12, seed=10 * seed)
        if noise:  # many local maxima, at kinks
            targets = targets[torch.randperm(12, generator=torch.Generator().manual_seed(seed))]
        net = [0.5 * w for w in make_net(task, 2, cells=1, inputs=inputs, seed=seed)]
        found = certify(net, x, targets, task, MU[:1])
        e = derivatives([w[0] for w in net], x, targets, task).numpy()
        height = (found.dual_ratio * MU[0]).item()
        assert height == pytest.approx(dual_maximum(x.numpy(), e), rel=1e-9)
        assert dual_function(found.maximisers[0, :1].numpy(), x.numpy(), e)[0] == pytest.approx(height, rel=1e-12)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("state", STATES)
def test_the_gap_is_never_negative_and_closes_where_training_ends(state, task):
    x, targets, weights = setting(state, task, 2)
    found = certify(weights, x, targets, task, MU)
    penalty = MU / 2 * sum(w.square().sum((1, 2)) for w in weights)
    for cell in range(len(MU)):
        loss = net_loss([w[cell] for w in weights], x, targets, task)
        assert found.objective[cell] == pytest.approx((loss + penalty[cell]).item(), rel=1e-12)
    assert (found.gap > -1e-14 * found.objective).all()
    assert (found.relative_gap == found.gap / found.objective).all()
    assert (found.dual_ratio >= found.largest).all() and (found.largest >= found.least).all()
    if state == "stationary":
        # Gradient descent on seven neurons need not end at the least loss; where decay is strong it does.
        assert found.relative_gap[2] < 0.04 and (found.balance < 0.03).all()
    if state == "random":
        assert (found.relative_gap > 0.2).all() and (found.balance > 0.5).all()


@pytest.mark.parametrize("task", TASKS)
def test_the_dual_ratio_of_the_zero_net_is_the_critical_decay_over_the_decay(task):
    x, targets = make_data(task)
    mu_c = critical_decay(x, targets, task)[0]
    zero = [torch.zeros_like(w) for w in make_net(task, 2)]
    mu = mu_c * torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    found = certify(zero, x, targets, task, mu)
    torch.testing.assert_close(found.dual_ratio, mu_c / mu, rtol=1e-9, atol=0)
    assert found.gap[0] > 1e-3 and (found.gap[1:].abs() < 1e-9).all()
    assert found.least.isnan().all() and found.balance.isnan().all()


@pytest.mark.parametrize("task", TASKS)
def test_conjugates_are_suprema(task):
    _, targets = make_data(task, samples=8)
    share = torch.tensor([0.0, 0.4, 1.0])
    f = normal(1, *targets.shape, seed=2)
    e = torch.autograd.functional.jacobian(lambda f: sample_losses(f, targets, task).sum(), f)
    for s in share:
        found = duality.conjugates(s * e, targets, task)
        # Fenchel and Young: l*(a) >= a.f - l(f) for all f, with equality where a is the derivative at f.
        for seed in range(20):
            other = 3 * normal(1, *targets.shape, seed=seed)
            assert (found >= s * (e * other).sum(-1) - sample_losses(other, targets, task)).all()
    torch.testing.assert_close(found, (e * f).sum(-1) - sample_losses(f, targets, task))


def test_a_net_alone_and_among_others_has_the_same_certificate():
    x, targets, weights = setting("trained", "multiclass", 2)
    whole = certify(weights, x, targets, "multiclass", MU)
    for cell in range(len(MU)):
        alone = certify([w[cell : cell + 1] for w in weights], x, targets, "multiclass", MU[cell : cell + 1])
        for one, all_of_them in zip(alone, whole, strict=True):
            assert torch.equal(one[0], all_of_them[cell])


def test_the_maximum_is_never_below_the_net_s_own_neurons(monkeypatch):
    x, targets, weights = setting("stationary", "regression", 2)
    # A search that loses its way: it ends where it was last.
    monkeypatch.setattr(
        search, "maximise", lambda x, delta, v, effort: (search.force(v, x, delta)[0][:, -1, 0], v[:, -1], v)
    )
    point = -normal(1, x.shape[1], seed=0)
    bare = certificate.Grid(point, torch.zeros(1, len(x), dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool))
    found = certificate.certify(
        *weights, x, targets, "regression", MU, starts=bare, own_count=1, grid_count=1, effort=search.Effort(1)
    )
    assert (found.dual_ratio >= found.largest).all()


@pytest.mark.parametrize("task", TASKS)
def test_neurons_balance_is_a_matter_of_the_gradients(task):
    x, targets, weights = setting("random", task, 2)
    v, u = (w[0].requires_grad_() for w in weights)
    mu = MU[0]
    decayed = net_loss([v, u], x, targets, task) + mu / 2 * (v.square().sum() + u.square().sum())
    gradient_v, gradient_u = torch.autograd.grad(decayed, [v, u])
    difference = ((gradient_v * v).sum(1) - (gradient_u * u).sum(0)) / mu
    size = v.square().sum(1) + u.square().sum(0)
    expected = (difference.abs() / size).max().detach()
    torch.testing.assert_close(duality.imbalance(v.detach()[None], u.detach()[None])[0], expected)
