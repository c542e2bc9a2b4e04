"""Certificates against brute force: every per-sample gradient materialised by autograd, every batch enumerated."""

import functools
import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import torch
from conftest import a_dataset, a_record

from ranktwo.analysis.certificates import norms, table
from ranktwo.analysis.certificates.chain import NEEDS_DECAY, certificates, null_reason
from ranktwo.analysis.certificates.directions import data_floor, distinct_directions
from ranktwo.analysis.certificates.pairs import pair_certificate
from ranktwo.analysis.certificates.trajectory import memory_rank, trajectory_bound
from ranktwo.analysis.critical import critical_decay, inverse
from ranktwo.data.decay import relative_decays




TASKS = {"regression": 2, "binary": 1, "multiclass": 3}
SAMPLES, INPUTS, HIDDEN = 24, 5, 7
CELLS, MU = 3, torch.tensor([0.02, 0.05, 0.3], dtype=torch.float64)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make_data(task, *, seed=0, samples=SAMPLES, inputs=INPUTS, spread=1.0):
    """Inputs around the first basis vector, `spread` away from it, and targets that depend on them."""
    x = normal(samples, inputs, seed=seed) * spread
    x[:, 0] += 1.0
    outputs = TASKS[task]
    score = x @ normal(inputs, outputs, seed=seed + 1)
    if task == "regression":
        return x, score + 0.3
    if task == "binary":
        return x, (score > score.median()).double()
    return x, torch.nn.functional.one_hot(score.argmax(1), outputs).double()


def make_net(task, depth, *, seed=5, cells=CELLS, inputs=INPUTS):
    sizes = [inputs, *[HIDDEN] * (depth - 1), TASKS[task]]
    return [normal(cells, o, i, seed=seed + j) / i**0.5 for j, (i, o) in enumerate(itertools.pairwise(sizes))]


def net_loss(weights, x, target, task):
    """The textbook net and torch's own losses, the mean over samples, and over cells if weights are [K, out, in]."""
    for weight in weights[:-1]:
        x = torch.relu(x @ weight.mT)
    f = x @ weights[-1].mT
    f, target = f.reshape(-1, f.shape[-1]), target.expand_as(f).reshape(-1, f.shape[-1])
    if task == "regression":
        return torch.nn.functional.mse_loss(f, target)
    if task == "binary":
        return torch.nn.functional.binary_cross_entropy_with_logits(f, target)
    return torch.nn.functional.cross_entropy(f, target)


def train(weights, x, targets, task, mu, *, steps, rate, batch=None, seed=0):
    """Textbook SGD on every cell, mu [K]; batch None is full-batch gradient descent."""
    generator = torch.Generator().manual_seed(seed)
    weights = [w.clone().requires_grad_() for w in weights]
    for _ in range(steps):
        index = slice(None) if batch is None else torch.randperm(len(x), generator=generator)[:batch]
        loss = len(mu) * net_loss(weights, x[index], targets[index], task)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for w, g in zip(weights, gradients, strict=True):
                w -= rate * (g + mu[:, None, None] * w)
    return [w.detach() for w in weights]


def sample_gradients(weights, x, targets, task):
    """g_i, [K, N, out, in] for each matrix."""
    per_sample = torch.func.vmap(torch.func.grad(net_loss), in_dims=(None, 0, 0, None))
    return torch.func.vmap(per_sample, in_dims=(0, None, None, None))(weights, x, targets, task)


def frobenius(matrix):
    return torch.linalg.matrix_norm(matrix)


def residual(matrix, rank):
    return torch.linalg.svdvals(matrix)[..., rank:].square().sum(-1).sqrt()


STATES = ["random", "trained", "stationary", "collapsed"]


@functools.cache
def setting(state, task, depth):
    """x, targets and a net in that state; every test that asks gets the same."""
    x, targets = make_data(task)
    weights = make_net(task, depth)
    if state == "trained":
        weights = train(weights, x, targets, task, MU, steps=300, rate=0.1, batch=4)
    if state == "stationary":
        weights = train(weights, x, targets, task, MU, steps=2000, rate=0.3)
    if state == "collapsed":
        weights = [w * 1e-6 for w in weights]
    return x, targets, weights


def assert_close(actual, expected, scale, relative=1e-9):
    """Relative agreement, down to the rounding that the definition itself has at terms of size `scale`."""
    error = (actual - expected).abs()
    assert (error <= relative * expected.abs() + 3e-15 * scale).all(), (actual, expected)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("state", STATES)
def test_every_column_agrees_with_materialised_gradients_and_the_chain_holds(state, task, depth):
    x, targets, weights = setting(state, task, depth)
    gradients = sample_gradients(weights, x, targets, task)
    for batch_size in (1, 4, 16):
        rows = certificates(weights, x, targets, task, weight_decay=MU, batch_size=batch_size)
        for layer, (w, g, row) in enumerate(zip(weights, gradients, rows, strict=True)):
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


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 9])
def test_eps_ends_enclose_the_supremum_over_all_batches(batch_size):
    x, targets = make_data("regression", samples=9)
    weights = make_net("regression", 2)
    (g, _), (row, _) = (
        sample_gradients(weights, x, targets, "regression"),
        certificates(weights, x, targets, "regression", weight_decay=MU, batch_size=batch_size),
    )
    a = g + (MU[:, None, None] * weights[0])[:, None]
    subsets = [list(s) for s in itertools.combinations(range(9), batch_size)]
    true = torch.stack([frobenius(a[:, s].mean(1)) for s in subsets]).amax(0)
    assert (row["eps_lower"] <= true * (1 + 1e-12)).all() and (true <= row["eps_upper"] * (1 + 1e-12)).all()
    torch.testing.assert_close(row["eps_batch"], true, rtol=0.15, atol=0)  # the ascent all but finds it
    if batch_size < 9:
        assert (frobenius(a).amax(1) <= (2 * batch_size - 1) * true * (1 + 1e-12)).all()
    else:
        torch.testing.assert_close(row["eps_upper"], true)


def test_the_ascent_and_its_opposite_find_the_supremum_where_one_start_does_not():
    x, targets, weights = setting("random", "binary", 2)
    row = certificates(weights, x, targets, "binary", weight_decay=MU, batch_size=2)[1]
    a = sample_gradients(weights, x, targets, "binary")[1] + (MU[:, None, None] * weights[1])[:, None]
    true = torch.stack([frobenius(a[:, list(s)].mean(1)) for s in itertools.combinations(range(SAMPLES), 2)]).amax(0)
    torch.testing.assert_close(row["eps_batch"], true, rtol=1e-10, atol=0)


@pytest.mark.parametrize("batch_size", [2, 4, 12])
def test_a_few_directed_batches_do_what_four_hundred_random_ones_do(batch_size):
    """Small batches are compared with every sample, larger ones by way of their gradient."""
    x, targets, weights = setting("random", "multiclass", 2)
    rows = certificates(weights, x, targets, "multiclass", weight_decay=MU, batch_size=batch_size)
    generator = torch.Generator().manual_seed(0)
    batches = torch.stack([torch.randperm(SAMPLES, generator=generator)[:batch_size] for _ in range(400)])
    for row, weight, g in zip(rows, weights, sample_gradients(weights, x, targets, "multiclass"), strict=True):
        a = g + (MU[:, None, None] * weight)[:, None]
        assert (row["eps_batch"] > 0.97 * frobenius(a[:, batches].mean(2)).amax(1)).all()


def test_full_batch_has_no_bound_and_says_why():
    x, targets = make_data("binary")
    rows = certificates(make_net("binary", 2), x, targets, "binary", weight_decay=MU, batch_size=SAMPLES)
    for name in ("bound_lower", "bound_upper", "vacuity_lower", "vacuity_upper"):
        assert rows[0][name].isnan().all()
        reason = null_reason(
            name, norm=1.0, weight_decay=0.1, batch_size=SAMPLES, samples=SAMPLES, first=True, last=False
        )
        assert "differ in one sample" in reason
    assert rows[0]["sample_min"].isfinite().all()
    with pytest.raises(ValueError, match="25 is not between"):
        certificates(make_net("binary", 2), x, targets, "binary", weight_decay=MU, batch_size=25)


def test_the_full_batch_really_has_no_such_bound():
    """Two samples with opposite a_i: G = 0, so eps = 0 for B = N, yet ||a_i|| > 0."""
    x = torch.tensor([[1.0], [1.0]])
    targets = torch.tensor([[2.0], [0.0]])  # f = 1: the two gradients are opposite
    weights = [torch.ones(1, 1, 1), torch.ones(1, 1, 1)]
    row = certificates(weights, x, targets, "regression", weight_decay=torch.zeros(1), batch_size=2)[0]
    assert row["eps_lower"] == 0 and row["eps_upper"] == 0
    (g, _) = sample_gradients([w.double() for w in weights], x.double(), targets.double(), "regression")
    assert (frobenius(g) == 2).all()


def test_without_decay_what_divides_by_it_is_null_and_the_rest_is_not():
    x, targets = make_data("regression")
    mu = torch.tensor([0.0, 0.1, 0.0])
    weights = make_net("regression", 3)
    gradients = sample_gradients(weights, x, targets, "regression")
    rows = certificates(weights, x, targets, "regression", weight_decay=mu, batch_size=4)
    for g, row in zip(gradients, rows, strict=True):
        for name, value in row.items():
            if name in NEEDS_DECAY:
                assert value.isnan().tolist() == [True, False, True], name
                reason = null_reason(name, norm=1.0, weight_decay=0.0, batch_size=4, samples=9, first=True, last=False)
                assert "weight decay is zero" in reason
            elif name not in ("dead_fraction", "data_floor"):
                assert value.isfinite().all(), name
        torch.testing.assert_close(row["eps_upper"][0], frobenius(g[0]).max(), rtol=1e-12, atol=0)


def test_nan_always_has_a_reason_and_a_number_never_needs_one():
    x, targets = make_data("regression")
    weights = make_net("regression", 2, cells=4)
    weights[0][1] = 0.0
    weights[0][2, 0, 0] = math.inf
    weights[1][3] *= 1e200
    mu = torch.tensor([0.1, 0.1, 0.1, 0.1])
    clean = certificates([w[:1] for w in weights], x, targets, "regression", weight_decay=mu[:1], batch_size=4)
    rows = certificates(weights, x, targets, "regression", weight_decay=mu, batch_size=4)
    for layer, row in enumerate(rows):
        for name, value in row.items():
            assert value.isnan()[2:].all(), name  # diverged: nothing is known
            for k in range(4):
                if value[k].isnan():
                    facts = dict(weight_decay=0.1, batch_size=4, samples=24, first=layer == 0, last=layer == 1)
                    assert null_reason(name, norm=row["norm"][k].item(), **facts), (name, k)
            assert clean[layer][name].isnan() == value[0].isnan()
            if not value[0].isnan():
                torch.testing.assert_close(value[:1], clean[layer][name], rtol=1e-12, atol=1e-14)
    assert rows[0]["vacuity_upper"][1].isnan() and rows[0]["directions"][1].isnan() and rows[0]["d_1"][1] == 0
    assert rows[0]["dead_fraction"][1] == 1


def test_cells_do_not_depend_on_how_they_are_cut(monkeypatch):
    x, targets = make_data("multiclass")
    weights = make_net("multiclass", 3)
    own = x.expand(CELLS, -1, -1).clone()
    whole = certificates(weights, own, targets.expand(CELLS, -1, -1), "multiclass", weight_decay=MU, batch_size=4)
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 1)
    cut = certificates(weights, x, targets, "multiclass", weight_decay=MU, batch_size=4)
    for a, b in zip(whole, cut, strict=True):
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-10, atol=1e-13, equal_nan=True)


def cancelling_net(size):
    """A net whose sample 0 has W + g_0/mu = `size` * a random matrix of unit norm, and its data; mu = 0.1."""
    mu, x = 0.1, normal(6, INPUTS, seed=1)
    u = normal(1, HIDDEN, seed=2)
    # With residual gradient -r at sample 0, g_0 = -r u^T x_0^T on active units; V = (r/mu) u_+ x_0^T keeps them active.
    force = 0.4
    v = force / mu * torch.outer(u[0].clamp_min(0), x[0])
    noise = normal(HIDDEN, INPUTS, seed=3) * (u[0] > 0)[:, None]
    v = v + size * noise / frobenius(noise)
    f = torch.relu(x @ v.T) @ u.T
    targets = f.clone()
    targets[0] += force / 2
    return [v[None], u[None]], x, targets, torch.tensor([mu], dtype=torch.float64)


@pytest.mark.parametrize("size", [1e-1, 1e-4, 1e-6, 1e-9])
def test_no_digits_are_lost_where_a_sample_nearly_cancels_the_matrix(size):
    weights, x, targets, mu = cancelling_net(size)
    row = certificates(weights, x, targets, "regression", weight_decay=mu, batch_size=1)[0]
    g = sample_gradients(weights, x, targets, "regression")[0]
    scale = row["norm"] + frobenius(g).max() / mu
    assert_close(row["sample_min"], frobenius(weights[0] + g[:, 0] / mu), scale, relative=1e-9)
    assert_close(row["sample_min"], torch.tensor([size], dtype=torch.float64), scale, relative=1e-9)
    squares = row["norm"] ** 2 + 2 * (g[0, 0] * weights[0][0]).sum() / mu + (frobenius(g[0, 0]) / mu) ** 2
    if size < 1e-7:  # what the textbook expansion would have said
        assert abs(squares.clamp_min(0).sqrt() / size - 1) > 0.1


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="this machine has no longer floating-point numbers")
@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6, 1e-9, 0.0])
@pytest.mark.parametrize("angle", [1.0, 1e-4, 1e-8, 0.0])
def test_sample_norms_keep_their_digits_however_near_rank_one_and_the_inputs_lie(spread, angle):
    """Against numbers of 64 bits' mantissa: W is `spread` away from rank one, the gradients nearly cancel it."""
    out, inputs, samples, mu = 9, 6, 40, 0.3
    u, v = (unit / unit.norm() for unit in (normal(out, seed=1), normal(inputs, seed=2)))
    noise = normal(1, out, inputs, seed=3)
    w = torch.outer(u, v) + spread * noise / noise.norm()
    h = (v + angle * normal(1, samples, inputs, seed=4)) * normal(samples, 1, seed=5).exp()
    image = h @ w.mT
    nearly = 1 + torch.tensor([0.0, 1e-12, 1e-6, 1e-2, 1.0]).double().repeat(8)[:, None] * normal(samples, out, seed=6)
    delta = -mu * image * nearly / h.square().sum(2, keepdim=True)
    decay = torch.full((1, samples), mu, dtype=torch.float64)
    actual = norms.sample_norms(w, h, image, delta, decay, h.norm(dim=2))[0].numpy()
    long = [part[0].numpy().astype(np.longdouble) for part in (w, h, delta)]
    a = long[2][:, :, None] * long[1][:, None, :] + np.longdouble(mu) * long[0]
    expected = np.sqrt((a**2).sum((1, 2)))
    scale = np.sqrt((long[2] ** 2).sum(1) * (long[1] ** 2).sum(1)) + mu * w.norm().item()
    assert (np.abs(actual - expected) <= 20 * np.finfo(float).eps * scale).all()


@pytest.mark.parametrize("rank", [1, 2])
def test_hand_built_low_rank_matrices_have_no_residual(rank):
    x, targets = make_data("regression")
    weights = make_net("regression", 2, cells=1)
    weights[0] = (normal(HIDDEN, rank, seed=8) @ normal(rank, INPUTS, seed=9))[None]
    row = certificates(weights, x, targets, "regression", weight_decay=MU[:1], batch_size=4)[0]
    assert (row[f"d_{rank}"] < 2e-15 * row["norm"]).all()
    assert rank == 1 or (row["d_1"] > 0.1 * row["norm"]).all()


def test_nearly_identical_inputs_give_a_bound_that_says_something():
    """A planted positive: one cluster of inputs and targets, gradient descent to a stationary point off zero."""
    x, _ = make_data("regression", spread=1e-4)
    targets = torch.ones(SAMPLES, 2, dtype=torch.float64)
    mu = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    weights = train(make_net("regression", 2), x, targets, "regression", mu, steps=3000, rate=0.2)
    row = certificates(weights, x, targets, "regression", weight_decay=mu, batch_size=4)[0]
    assert (row["norm"] > 0.1).all()
    assert (row["vacuity_upper"] < 0.05).all() and (row["data_floor"] < row["vacuity_lower"]).all()
    assert (row["d_1"] / row["norm"] < row["vacuity_upper"]).all()
    assert (row["directions"] <= 2).all()
    scattered, targets = make_data("regression")
    weights = train(make_net("regression", 2), scattered, targets, "regression", mu, steps=1000, rate=0.1)
    row = certificates(weights, scattered, targets, "regression", weight_decay=mu, batch_size=4)[0]
    assert (row["vacuity_upper"] > 1).all()


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
    row = certificates(make_net("regression", 2), x, targets, "regression", weight_decay=MU * 100, batch_size=4)[0]
    assert (row["data_floor"] == 1).all()
    assert (row["sample_max"] >= row["norm"] * (1 - 1e-15)).all()
    assert (row["sample_min"] <= row["norm"] * (1 + 1e-15)).all()


def test_data_floor_is_reached_by_the_best_matrix():
    """It is a floor with nothing to spare: two orthogonal inputs and V equal to minus both gradients' mean."""
    x = torch.eye(2, dtype=torch.float64)
    weights = [torch.ones(1, 1, 2, dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.float64)]
    row = certificates(weights, x, 1.5 * torch.ones(2, 1), "regression", weight_decay=torch.ones(1), batch_size=1)[0]
    torch.testing.assert_close(row["sample_max"] / row["norm"], row["data_floor"], rtol=1e-14, atol=0)


def test_dead_units_and_directions_by_hand():
    x, targets = make_data("regression")
    weights = make_net("regression", 2, cells=1)
    a, b = normal(INPUTS, seed=3), normal(INPUTS, seed=4)
    dead = torch.zeros(INPUTS, dtype=torch.float64)
    rows = [a, 2 * a, a + 0.01 * b, -a, b, 1e-4 * normal(INPUTS, seed=9), dead]
    weights[0] = torch.stack(rows)[None]
    row = certificates(weights, x, targets, "regression", weight_decay=MU[:1], batch_size=4)[0]
    assert row["directions"] == 3
    assert row["dead_fraction"] == ((torch.relu(x @ weights[0][0].T) == 0).all(0)).double().mean() >= 1 / 7
    assert distinct_directions(torch.zeros(1, 2, 2)).isnan()


def decays_for(x, rule):
    return MU[:, None] * (relative_decays(x) if rule == "input-norm" else torch.ones(len(x), dtype=torch.float64))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_data_dependent_decay_keeps_the_chain_and_the_rank_one(batch_size):
    x, targets = make_data("multiclass")
    decays = decays_for(x, "input-norm")
    torch.testing.assert_close(decays.mean(1), MU)
    torch.testing.assert_close(decays[:, 0] / decays[:, 1], (x[0].norm() / x[1].norm()).square().expand(3))
    weights = make_net("multiclass", 3)
    rows = certificates(weights, x, targets, "multiclass", weight_decay=decays, batch_size=batch_size)
    for w, g, row in zip(weights, sample_gradients(weights, x, targets, "multiclass"), rows, strict=True):
        c = decays[..., None, None]
        a = g + c * w[:, None]
        torch.testing.assert_close(row["sample_min"], frobenius(w[:, None] + g / c).amin(1), rtol=1e-10, atol=0)
        torch.testing.assert_close(row["sample_max"], frobenius(w[:, None] + g / c).amax(1), rtol=1e-10, atol=0)
        torch.testing.assert_close(row["eps_upper"], frobenius(a).amax(1), rtol=1e-10, atol=0)
        torch.testing.assert_close(row["gradient_norm"], frobenius(a.mean(1)), rtol=1e-10, atol=0)
        assert (row["sample_min"] <= row["bound_lower"] * (1 + 1e-12)).all()
    constant = certificates(weights, x, targets, "multiclass", weight_decay=decays_for(x, "constant"), batch_size=4)
    plain = certificates(weights, x, targets, "multiclass", weight_decay=MU, batch_size=4)
    for a, b in zip(constant, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0, equal_nan=True)


@pytest.mark.parametrize(("block", "candidates"), [(5, 1), (256, 1), (256, 32)])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("state", STATES[:3])
def test_pair_certificate_is_the_minimum_over_all_pairs(state, task, block, candidates):
    x, targets, weights = setting(state, task, 2)
    decays = decays_for(x, "input-norm")
    decays[:, 7] = decays[:, 3]  # an equal pair has to be passed over
    pairs = pair_certificate(weights, x, targets, task, decays=decays, block=block, candidates=candidates)
    for w, g, actual in zip(weights, sample_gradients(weights, x, targets, task), pairs, strict=True):
        brute = [
            frobenius(w + (g[:, i] - g[:, j]) / (decays[:, i] - decays[:, j])[:, None, None])
            for i, j in itertools.combinations(range(SAMPLES), 2)
            if {i, j} != {3, 7}
        ]
        torch.testing.assert_close(actual, torch.stack(brute).amin(0), rtol=1e-9, atol=0)
        assert (residual(w, 2) <= actual * (1 + 1e-12)).all()
    assert all(p.isnan().all() for p in pair_certificate(weights, x, targets, task, decays=decays_for(x, "constant")))


def test_pair_certificate_is_tight_where_two_gradients_make_the_matrix():
    """V = -(g_0 - g_1)/(c_0 - c_1) exactly, of rank two: orthogonal x_0, x_1 that excite different units."""
    x = normal(SAMPLES, INPUTS, seed=1)
    x[0], x[1] = torch.eye(INPUTS, dtype=torch.float64)[:2]
    u = normal(1, HIDDEN, seed=2)
    v = 0.7 * torch.outer(u[0].clamp_min(0), x[0]) - 0.4 * torch.outer(u[0].clamp_max(0), x[1])
    decays = normal(1, SAMPLES, seed=3).abs() + 0.1
    gap = decays[0, 0] - decays[0, 1]
    targets = torch.relu(x @ v.T) @ u.T + normal(SAMPLES, 1, seed=4)
    output = torch.relu(x[:2] @ v.T) @ u.T
    # V = -(delta_0 x_0^T - delta_1 x_1^T)/gap needs output gradients 2 (f - y) of -0.7 gap and -0.4 gap
    targets[0] = output[0] + 0.35 * gap
    targets[1] = output[1] + 0.2 * gap
    weights = [v[None], u[None]]
    pair, _ = pair_certificate(weights, x, targets, "regression", decays=decays)
    row = certificates(weights, x, targets, "regression", weight_decay=decays, batch_size=4)[0]
    assert pair < 1e-14 * row["norm"] and row["d_2"] < 1e-14 * row["norm"] and row["d_1"] > 0.1 * row["norm"]


# Trajectory


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
    recorded = [0, 1, 2, 4, 8, 16, 17, 18, 19, 20, 21, 57, 58, 59, 60]
    norms = torch.stack([frobenius(history[s]) for s in recorded], 1)
    result = trajectory_bound(norms, recorded, learning_rates=rates, weight_decay=mu, batch_size=batch, max_rank=q)
    for k, s in itertools.product(range(3), range(len(recorded))):
        rank, bound = result["rank"][k, s], result["bound"][k, s]
        if rank.isnan():
            assert s == 0 or (recorded[s] - recorded[s - 1]) * batch >= q
            continue
        lag = int(rank) // batch
        product = (1 - rates[recorded[s] - lag : recorded[s]] * mu[k]).prod()
        expected = product * frobenius(history[recorded[s] - lag][k]) / norms[k, s]
        torch.testing.assert_close(bound, expected, rtol=1e-12, atol=0)
        generic = math.sqrt(1 - rank / q)
        torch.testing.assert_close(result["against_generic"][k, s], bound / generic, rtol=1e-12, atol=0)
        assert residual(history[recorded[s]][k], int(rank)) <= bound * norms[k, s] * (1 + 1e-12)
    assert (result["nontrivial_rank"][2, -1] >= batch) and result["against_generic"][2, -1] < 1
    assert (result["against_generic"][0][-3:] >= 0.9).all()
    assert result["rank"][:, 5].isnan().all() and result["against_generic"][:, 0].isnan().all()


def test_memory_rank_in_both_conventions():
    eta, mu, e = 0.1, 0.01, 1e-2
    rank = memory_rank(e, learning_rate=eta, weight_decay=mu, batch_size=4)
    steps = rank / 4
    assert (1 - eta * mu) ** steps <= e / 2 < (1 - eta * mu) ** (steps - 1)
    assert rank == pytest.approx(4 * math.log(2 / e) / (2 * eta * (mu / 2)), rel=2e-3)  # Galanti's lambda = mu/2
    assert math.isnan(memory_rank(e, learning_rate=eta, weight_decay=0.0, batch_size=4))


def test_sines_of_nearly_parallel_rows_keep_their_digits():
    v = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    tangents = torch.tensor([1e-9, 1e-6, 1e-3, 1.0, 1e3], dtype=torch.float64)
    h = torch.cat([torch.stack([torch.ones(5), tangents], 1), torch.zeros(1, 2)])[None]
    cosine, square = norms.cosine_and_sine_square(h, inverse(h.norm(dim=2)), v)
    expected = torch.cat([tangents.square() / (1 + tangents.square()), torch.ones(1)])
    torch.testing.assert_close(square[0], expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(cosine[0, :5], (1 + tangents.square()).rsqrt(), rtol=1e-12, atol=0)
    assert cosine[0, 5] == 0


# Critical decay


def test_critical_decays_are_worked_out_once_for_all_cells_with_the_same_targets(monkeypatch):
    x, targets = make_data("binary")
    data = a_dataset("binary", 1, x, targets[:, 0].long(), SAMPLES)
    data.metadata["critical_decay"] = 7.0
    asked = []
    monkeypatch.setattr(module, "critical_decay", lambda *given: (float(asked.append(given) or len(asked)), None))
    plain = {"optimizer": "sgd", "widths": "8", "label_noise": 0.0, "seed": 0}
    changes = [{}, {"seed": 1}, {"label_noise": 0.2}, {"label_noise": 0.2, "seed": 1}, {"label_noise": 0.2}]
    changes += [{"label_noise": 0.4}, {"optimizer": "adamw"}, {"widths": "8-8"}]
    cells = [plain | change for change in changes]
    found = table._critical_decays(cells, data, x, [targets] * len(cells))
    assert found[:6] == [7, 7, 1, 2, 1, 3] and math.isnan(found[6]) and math.isnan(found[7])
    asked.clear()
    assert table._critical_decays(cells[:2], data, x[:-1], [targets[:-1]] * 2) == [1, 1]


def force(v, x, delta):
    return torch.relu(v @ x.T) @ delta / len(x)


def output_gradient(targets, task):
    if task == "regression":
        return -2 * targets / targets.shape[1]
    return (0.5 if task == "binary" else 1 / targets.shape[1]) - targets


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(3))
def test_critical_decay_in_the_plane_is_the_maximum_over_angles(task, seed):
    x, targets = make_data(task, inputs=2, seed=10 * seed)
    angle = torch.linspace(0, 2 * math.pi, 200_001, dtype=torch.float64)
    values = force(torch.stack([angle.cos(), angle.sin()], 1), x, output_gradient(targets, task)).norm(dim=1)
    mu_c, v = critical_decay(x, targets, task)
    assert values.max() * (1 - 1e-8) <= mu_c <= values.max() * (1 + 1e-5)  # between two angles there may be a kink
    assert v.norm().item() == pytest.approx(1)
    assert force(v[None], x, output_gradient(targets, task)).norm() == pytest.approx(mu_c)


@pytest.mark.parametrize("task", TASKS)
def test_critical_decay_is_not_beaten_by_scipy(task):
    x, _ = make_data(task, inputs=4, samples=40)
    targets = {
        "regression": normal(40, 2, seed=3),
        "binary": (normal(40, 1, seed=3) > 0).double(),
        "multiclass": torch.nn.functional.one_hot(normal(40, 3, seed=3).argmax(1), 3).double(),
    }[task]  # pure noise: many local maxima
    delta = output_gradient(targets, task).numpy()

    def negative(v):
        v = v / np.linalg.norm(v)
        return -np.linalg.norm(np.maximum(x.numpy() @ v, 0) @ delta) / len(delta)

    starts = np.random.default_rng(0).normal(size=(40, 4))
    options = {"method": "Nelder-Mead", "options": {"xatol": 1e-9, "fatol": 1e-12}}
    best = max(-scipy.optimize.minimize(negative, start, **options).fun for start in starts)
    mu_c, _ = critical_decay(x, targets, task)
    assert best * (1 - 1e-5) <= mu_c <= best * (1 + 1e-3)


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_training_collapses_just_above_the_critical_decay_and_not_just_below(task):
    x, targets = make_data(task, inputs=3)
    mu_c, _ = critical_decay(x, targets, task)
    mu = mu_c * torch.tensor([0.95, 1.05], dtype=torch.float64)
    net = make_net(task, 2, cells=1, inputs=3)
    net = train([w.expand(2, -1, -1) for w in net], x, targets, task, mu, steps=4000, rate=0.2 / mu_c)
    below, above = frobenius(net[0])
    assert above < 1e-6 and below > 1e-2


def test_critical_decay_is_for_two_layers_and_zero_data_have_none():
    x, targets = make_data("regression")
    for layers in (1, 3):
        mu_c, v = critical_decay(x, targets, "regression", layers=layers)
        assert math.isnan(mu_c) and v.isnan().all()
    assert critical_decay(x, torch.zeros_like(targets), "regression")[0] == 0


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
    found = table._trajectory(stack, 1, 6)
    rate = 0.3 * (1 + math.cos(math.pi * 49 / 50)) / 2
    norm = math.sqrt(54)
    expected = [(1 - 0.1 * 0.5) * 20 / norm, (1 - rate * 0.2) * 15 / norm, math.nan, math.nan]
    assert found["trajectory_bound"].tolist() == pytest.approx(expected, nan_ok=True)
    assert found["trajectory_rank"].tolist() == pytest.approx([4, 4, math.nan, math.nan], nan_ok=True)
    assert found["memory_rank"].isnan().tolist() == [False, True, True, False]
    assert all(
        values.isnan().all() for name, values in table._trajectory(stack[3:], 1, 6).items() if name != "memory_rank"
    )
