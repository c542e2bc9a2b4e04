"""Nets and their hand-written derivatives against torch.nn and autograd; bits that do not depend on the stack."""

import pytest
import torch

from ranktwo.nets import losses, mlp
from ranktwo.nets.layout import aligned

OUTPUTS = {"regression": 2, "binary": 1, "multiclass": 3}
K, N, INPUTS = 3, 6, 5


def net(sizes, cells=K, dtype=torch.float64):
    generator = torch.Generator().manual_seed(5)
    pairs = zip(sizes, sizes[1:], strict=False)
    return [torch.randn(cells, outputs, inputs, generator=generator, dtype=dtype) for inputs, outputs in pairs]


def samples(outputs, dtype=torch.float64):
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(N, INPUTS, generator=generator, dtype=dtype)
    return x, torch.rand(N, outputs, generator=generator, dtype=dtype)


def test_the_first_matrix_is_v_and_the_last_is_u():
    assert [mlp.matrix_names(count) for count in (2, 3, 4)] == [["V", "U"], ["V", "W2", "U"], ["V", "W2", "W3", "U"]]


@pytest.mark.parametrize("widths", [(4,), (4, 3), (4, 6, 3)])
def test_each_net_of_a_stack_is_that_of_torch(widths):
    weights = net((INPUTS, *widths, 2))
    x, _ = samples(2)
    own = x + torch.arange(K, dtype=x.dtype)[:, None, None]
    for inputs in (x, own):
        activations = mlp.forward(weights, inputs)
        assert torch.equal(activations[0], inputs.expand(K, N, INPUTS))
        for cell in range(K):
            h = inputs if inputs.ndim == 2 else inputs[cell]
            for layer, weight in enumerate(weights, start=1):
                h = torch.nn.functional.linear(h, weight[cell])
                h = h.relu() if layer < len(weights) else h
                torch.testing.assert_close(activations[layer][cell], h)


@pytest.mark.parametrize("widths", [(4,), (4, 3), (4, 6, 3)])
@pytest.mark.parametrize("task", OUTPUTS)
def test_deltas_are_gradients_by_what_each_layer_computes(task, widths):
    weights = net((INPUTS, *widths, OUTPUTS[task]))
    x, y = samples(OUTPUTS[task])
    activations = mlp.forward(weights, x)
    before = [h.clone() for h in activations]
    deltas = mlp.deltas(weights, activations, y, task)
    assert all(map(torch.equal, activations, before))
    for cell in range(K):
        for row in range(N):
            free = [weight[cell].clone().requires_grad_() for weight in weights]
            h = x[row]
            for weight in free[:-1]:
                h = (weight @ h).relu()
            loss = losses.sample_losses((free[-1] @ h)[None, None], y[row : row + 1], task).sum()
            for layer, expected in enumerate(torch.autograd.grad(loss, free)):
                product = torch.outer(deltas[layer][cell, row], activations[layer][cell, row])
                torch.testing.assert_close(product, expected)


def test_a_neuron_at_zero_passes_nothing_back():
    weights = [torch.zeros(1, 4, INPUTS), torch.ones(1, 1, 4)]
    x, y = samples(1, torch.float32)
    first, last = mlp.deltas(weights, mlp.forward(weights, x), y, "regression")
    assert last.count_nonzero() == N and first.count_nonzero() == 0


@pytest.mark.parametrize("outputs", [1, 3, mlp.FEW_OUTPUTS - 1, mlp.FEW_OUTPUTS, 40])
@pytest.mark.parametrize("count", [1, 7, 8, 33])
def test_products_are_right_and_bitwise_independent_of_the_stack(count, outputs):
    generator = torch.Generator().manual_seed(1)
    h = aligned(5, count, 100, torch.empty(0)).copy_(torch.randn(5, count, 100, generator=generator))
    weight = aligned(5, outputs, 100, h).copy_(torch.randn(5, outputs, 100, generator=generator))
    whole = mlp.linear(h, weight)
    exact = torch.einsum("kni,koi->kno", h.double(), weight.double())
    torch.testing.assert_close(whole.double(), exact, rtol=1e-5, atol=1e-4)
    for cell in range(5):
        alone = slice(cell, cell + 1)
        assert torch.equal(mlp.linear(h[alone], weight[alone]), whole[alone])
    out = aligned(5, count, outputs, h)
    assert mlp.linear(h, weight, out) is out and torch.equal(out, whole)
