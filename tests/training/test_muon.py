"""Muon against singular vectors from an SVD, and against torch's own."""

import numpy as np
import pytest
import torch
from support import a_cell
from training_support import toy_data, trained

from ranktwo.nets import net as nets
from ranktwo.store.fingerprints import reached
from ranktwo.training import divergence
from ranktwo.training.batches import Batches
from ranktwo.training.optimizers.muon import COEFFICIENTS, MOMENTUM, orthogonalised


def polynomial(s: np.ndarray) -> np.ndarray:
    a, b, c = COEFFICIENTS
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    return s


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(3, 6, 9), (2, 9, 6), (4, 5, 5), (2, 1, 8), (2, 8, 1)])
def test_singular_vectors_are_kept_and_singular_values_come_near_one(shape):
    matrices = random(*shape)
    for found, matrix in zip(orthogonalised(matrices).numpy(), matrices.numpy(), strict=True):
        p, s, qt = np.linalg.svd(matrix, full_matrices=False)
        np.testing.assert_allclose(found, p * polynomial(s / np.linalg.norm(s)) @ qt, rtol=0, atol=1e-12)
        assert np.linalg.norm(found - p @ qt, 2) < 0.33
    single = orthogonalised(matrices.float())
    torch.testing.assert_close(single.double(), orthogonalised(matrices), rtol=0, atol=1e-5)


def test_the_documented_range_of_singular_values():
    found = polynomial(np.linspace(0.01, 1, 100_001))
    assert 0.68 < found.min() < 0.70 and 1.12 < found.max() < 1.14 and polynomial(np.zeros(1)) == 0


def test_the_code_of_its_biases_steps_counts_for_it():
    found = reached("train", optimizer="muon")
    assert {"muon", "orthogonalised"} <= set(found["training.optimizers.muon"])
    assert "sgd" in found["training.optimizers.sgd"] and "training.optimizers.adamw" not in found


def test_a_gradient_of_zero_moves_nothing():
    assert torch.equal(orthogonalised(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


TRANSFORMER = {"net": "transformer", "widths": (6,), "normalisation": "layer", "bias": True}


@pytest.mark.parametrize(
    "kind", [{"widths": (8, 6)}, {"widths": (8, 6), "activation": "tanh", "bias": True}, TRANSFORMER], ids=str
)
def test_steps_are_those_of_an_svd_and_autograd(kind):
    """20 steps by singular vectors and the polynomial, whichever backend trains the net; biases by SGD."""
    cell = a_cell(optimizer="muon", batch_size=7, steps=20, weight_decay=0.3, learning_rate=0.02, **kind)
    ours = trained([cell, a_cell(**vars(cell) | {"seed": 1})], "multiclass").stack
    x, y = toy_data("multiclass")
    weights = [weight.clone() for weight in nets.of(vars(cell), (x.shape[1],), 3).initial(0, x.dtype)]
    net, momenta = ours.net, [torch.zeros_like(weight) for weight in weights]
    rows = Batches([0], len(x), 7).take(20)
    for step in range(20):
        own = [weight[None].clone().requires_grad_() for weight in weights]
        outputs = net.outputs(own, x[rows[step, 0]])[0] if "bias" in kind else _relu(own, x[rows[step, 0]])
        gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(outputs, y[rows[step, 0]]), own)
        for place, gradient in enumerate(gradient[0] for gradient in gradients):
            if place >= len(net.matrices):
                weights[place] = weights[place] - 0.02 * gradient
                continue
            momenta[place] = MOMENTUM * momenta[place] + gradient
            p, s, qt = torch.linalg.svd(gradient + MOMENTUM * momenta[place], full_matrices=False)
            s = torch.from_numpy(polynomial((s / s.norm()).numpy()))
            scale = max(1, len(weights[place]) / weights[place].shape[1]) ** 0.5
            weights[place] = (1 - 0.02 * 0.3) * weights[place] - 0.02 * scale * (p * s) @ qt
    for one, other in zip(ours.weights, weights, strict=True):
        torch.testing.assert_close(one[0], other, rtol=1e-8, atol=1e-9)


def _relu(weights: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    for weight in weights[:-1]:
        x = (x @ weight[0].T).relu()
    return x @ weights[-1][0].T


@pytest.mark.parametrize("kind", [{"widths": (64,)}, {"widths": (7, 9), "activation": "gelu"}, TRANSFORMER], ids=str)
def test_a_cell_is_bitwise_independent_of_its_stack(kind):
    axes = {"optimizer": "muon", "batch_size": 16, "steps": 20, "learning_rate": 0.02, **kind}
    cells = [a_cell(**axes, seed=seed % 3, weight_decay=0.1 * seed) for seed in range(6)]
    together = trained(cells, "multiclass", torch.float32).stack
    for index in (0, 5):
        alone = divergence.begin([cells[index]], *toy_data("multiclass", torch.float32), "multiclass", 3)
        alone.advance_to(20)
        for stacked, single in zip(together.weights, alone.stack.weights, strict=True):
            assert torch.equal(stacked[index], single[0])
