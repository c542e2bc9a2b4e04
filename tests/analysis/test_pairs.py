"""The bound by pairs of samples against all pairs."""

import itertools

import pytest
import torch
from textbook import (
    HIDDEN,
    INPUTS,
    SAMPLES,
    STATES,
    TASKS,
    decays_for,
    frobenius,
    make_data,
    make_net,
    normal,
    residual,
    sample_gradients,
    setting,
)

from ranktwo.analysis.certificates.chain import layer_certificates
from ranktwo.analysis.certificates.pairs import _coordinates, pair_certificate
from ranktwo.analysis.certificates.passes import finite_passes


@pytest.mark.parametrize(("tile", "candidates"), [((5, 7), 1), ((5, 3), 4), ((64, 1024), 1), ((64, 1024), 32)])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("state", STATES[:3])
def test_pair_certificate_is_the_minimum_over_all_pairs(state, task, tile, candidates):
    x, targets, weights = setting(state, task, 2)
    decays = decays_for(x, "input-norm")
    decays[:, 7] = decays[:, 3]  # an equal pair has to be passed over
    pairs = pair_certificate(weights, x, targets, task, decays=decays, tile=tile, candidates=candidates)
    for w, g, actual in zip(weights, sample_gradients(weights, x, targets, task), pairs, strict=True):
        brute = [
            frobenius(w + (g[:, i] - g[:, j]) / (decays[:, i] - decays[:, j])[:, None, None])
            for i, j in itertools.combinations(range(SAMPLES), 2)
            if {i, j} != {3, 7}
        ]
        torch.testing.assert_close(actual, torch.stack(brute).amin(0), rtol=1e-9, atol=0)
        assert (residual(w, 2) <= actual * (1 + 1e-12)).all()
    assert all(p.isnan().all() for p in pair_certificate(weights, x, targets, task, decays=decays_for(x, "constant")))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("scale", [1.0, 1e-2, 10.0])
def test_tiles_left_out_hold_no_closer_pair(task, scale):
    """Of 300 samples in tiles of 16 x 32 most are left out, of weights at which numbers are above one and below."""
    x, targets = make_data(task, samples=300, inputs=30, spread=0.5)
    weights = [scale * weight for weight in make_net(task, 2, inputs=30)]
    decays = decays_for(x, "input-norm")
    made = pair_certificate(weights, x, targets, task, decays=decays, tile=(16, 32), candidates=2)
    for w, g, actual in zip(weights, sample_gradients(weights, x, targets, task), made, strict=True):
        a = (g + decays[..., None, None] * w[:, None]).flatten(2)
        distance = torch.cdist(a, a, compute_mode="donot_use_mm_for_euclid_dist")
        number = distance / (decays[:, :, None] - decays[:, None]).abs()
        torch.testing.assert_close(actual, number.nan_to_num(torch.inf).amin((1, 2)), rtol=1e-8, atol=0)


@pytest.mark.parametrize("task", TASKS)
def test_coordinates_bring_no_two_samples_farther_apart_and_most_hardly_nearer(task):
    x, targets = make_data(task, samples=300)
    weights, decays = make_net(task, 2), decays_for(x, "input-norm")
    passes = finite_passes(weights, x, targets, task)
    for w, g, h, delta in zip(
        weights, sample_gradients(weights, x, targets, task), passes.h, passes.deltas, strict=True
    ):
        sizes, norm = g.flatten(2).norm(dim=2), frobenius(w)[:, None]
        places = _coordinates(h, delta, passes.inner, sizes, decays, norm)
        a = (g + decays[..., None, None] * w[:, None]).flatten(2)
        true, found = (torch.cdist(p, p, compute_mode="donot_use_mm_for_euclid_dist") for p in (a, places[..., :-1]))
        assert (found <= true + 1e-10).all()
        assert (found.sum() / true.sum()) > 0.9
        torch.testing.assert_close(places[..., -1], decays)


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
    row = layer_certificates(weights, x, targets, "regression", weight_decay=decays, batch_size=4)[0]
    assert pair < 1e-14 * row["norm"] and row["d_2"] < 1e-14 * row["norm"] and row["d_1"] > 0.1 * row["norm"]
