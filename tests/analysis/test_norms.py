"""Norms of samples' gradients keep their digits where terms cancel."""

import numpy as np
import pytest
import torch
from textbook import HIDDEN, INPUTS, assert_close, frobenius, normal, sample_gradients

from ranktwo.analysis.certificates import norms
from ranktwo.analysis.certificates.chain import layer_certificates
from ranktwo.analysis.optimum.search import inverse


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
    row = layer_certificates(weights, x, targets, "regression", weight_decay=mu, batch_size=1)[0]
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


def test_sines_of_nearly_parallel_rows_keep_their_digits():
    v = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    tangents = torch.tensor([1e-9, 1e-6, 1e-3, 1.0, 1e3], dtype=torch.float64)
    h = torch.cat([torch.stack([torch.ones(5), tangents], 1), torch.zeros(1, 2)])[None]
    cosine, square = norms.cosine_and_sine_square(h, inverse(h.norm(dim=2)), v)
    expected = torch.cat([tangents.square() / (1 + tangents.square()), torch.ones(1)])
    torch.testing.assert_close(square[0], expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(cosine[0, :5], (1 + tangents.square()).rsqrt(), rtol=1e-12, atol=0)
    assert cosine[0, 5] == 0
