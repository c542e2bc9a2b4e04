"""Losses by task against torch's own, their derivatives against autograd, and what counts as a correct prediction."""

import math

import pytest
import torch
from torch.nn import functional

from ranktwo.nets import losses

OUTPUTS = {"regression": 2, "binary": 1, "multiclass": 3}
K, N = 4, 7


def problem(task, dtype=torch.float64):
    """Outputs [K, N, c] and targets [N, c]. Targets of classes are shares, as those of expected losses are."""
    generator = torch.Generator().manual_seed(3)
    outputs = 3 * torch.randn(K, N, OUTPUTS[task], generator=generator, dtype=dtype)
    targets = torch.rand(N, OUTPUTS[task], generator=generator, dtype=dtype)
    return outputs, targets / targets.sum(-1, keepdim=True) if task == "multiclass" else targets


def by_torch(outputs, targets, task):
    """The loss of one sample by torch.nn.functional."""
    if task == "regression":
        return functional.mse_loss(outputs, targets)
    if task == "binary":
        return functional.binary_cross_entropy_with_logits(outputs, targets)
    return functional.cross_entropy(outputs, targets)


@pytest.mark.parametrize("task", OUTPUTS)
def test_losses_are_those_of_torch(task):
    outputs, targets = problem(task)
    values = losses.sample_losses(outputs, targets, task)
    assert values.shape == (K, N)
    expected = [[by_torch(outputs[cell, row], targets[row], task) for row in range(N)] for cell in range(K)]
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64))
    own = targets.expand(K, N, -1).clone()
    own[0] = targets.flip(0)
    torch.testing.assert_close(losses.sample_losses(outputs, own, task)[1:], values[1:], rtol=0, atol=0)
    assert not torch.equal(losses.sample_losses(outputs, own, task)[0], values[0])


@pytest.mark.parametrize("task", OUTPUTS)
def test_float64_outputs_keep_their_precision_beside_float32_targets(task):
    outputs, targets = problem(task)
    targets = targets.float()
    values = losses.sample_losses(outputs, targets, task)
    assert values.dtype == torch.float64
    assert torch.equal(values, losses.sample_losses(outputs, targets.double(), task))


@pytest.mark.parametrize("task", OUTPUTS)
def test_output_gradients_are_those_of_autograd_and_overwrite_the_outputs(task):
    outputs, targets = problem(task)
    free = outputs.clone().requires_grad_()
    [expected] = torch.autograd.grad(losses.sample_losses(free, targets, task).sum(), free)
    result = losses.output_gradients_(outputs, targets, task)
    assert result is outputs
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("size", [1e3, 1e30])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_large_outputs_have_finite_losses_and_gradients(task, size):
    outputs = torch.zeros(1, 2, OUTPUTS[task])
    outputs[0, 0, 0], outputs[0, 1, 0] = size, -size
    targets = torch.zeros(2, OUTPUTS[task])
    targets[:, 0] = 1
    values = losses.sample_losses(outputs, targets, task)[0]
    assert values[0] == 0 and values[1] == pytest.approx(size + math.log(max(1, OUTPUTS[task] - 1)))
    assert losses.output_gradients_(outputs, targets, task).isfinite().all()


def test_a_logit_of_zero_predicts_class_zero():
    logits = torch.tensor([[[-1.0], [0.0], [1.0], [0.0]]])
    targets = torch.tensor([[0.0], [0.0], [0.0], [1.0]])
    assert losses.correct(logits, targets, "binary").tolist() == [[True, True, False, False]]


def test_the_largest_logit_is_the_prediction():
    outputs = torch.tensor([[[1.0, 2.0, 0.0], [5.0, -1.0, 3.0]], [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    targets = functional.one_hot(torch.tensor([1, 2]), 3).float()
    assert losses.correct(outputs, targets, "multiclass").tolist() == [[True, False], [False, False]]


def test_the_variance_of_targets_is_about_each_outputs_own_mean():
    y = torch.tensor([[1.0, 10.0], [3.0, 10.0], [5.0, 16.0]])
    expected = (8 / 3 + 8) / 2  # (4 + 0 + 4)/3 about 3, and (4 + 4 + 16)/3 about 12
    variance = losses.target_variance(y)
    assert variance.dtype == torch.float64 and variance.item() == pytest.approx(expected)
    assert losses.target_variance(torch.stack([y, 2 * y])).tolist() == pytest.approx([expected, 4 * expected])
