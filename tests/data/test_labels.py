"""Label noise: exact, nested, dependent on the seed alone; its mean in closed form."""

import pytest
import torch

from ranktwo.data import labels
from ranktwo.nets import losses

LABELS = {"binary": torch.arange(200) % 2, "multiclass": torch.arange(200) % 5, "regression": torch.randn(200, 1)}
OUTPUTS = {"binary": 1, "multiclass": 5, "regression": 1}


def classes(task: str, noise: float, seed: int = 0) -> torch.Tensor:
    noisy = labels.noisy_targets(LABELS[task], task, OUTPUTS[task], noise, seed)
    return noisy.argmax(1) if task == "multiclass" else noisy[:, 0].long()


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.333, 1.0])
def test_exactly_the_share_of_labels_is_replaced_by_another_class(task, noise):
    assert (classes(task, noise) != LABELS[task]).sum() == round(noise * 200)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_more_noise_keeps_the_wrong_labels_of_less(task):
    less, more = classes(task, 0.2), classes(task, 0.5)
    wrong = less != LABELS[task]
    assert torch.equal(less[wrong], more[wrong])
    assert not torch.equal(classes(task, 0.2, seed=1), less)


def test_replacements_are_uniform_over_the_other_classes():
    y = torch.zeros(40_000, dtype=torch.int64)
    noisy = labels.noisy_targets(y, "multiclass", 5, 1.0, 0).mean(0)
    assert noisy[0] == 0
    torch.testing.assert_close(noisy[1:], torch.full((4,), 0.25), atol=0.01, rtol=0)


def test_noise_on_regression_targets_has_the_asked_sd():
    y = torch.zeros(40_000, 1)
    assert labels.noisy_targets(y, "regression", 1, 0.5, 0).std().item() == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_expected_loss_under_noise_is_the_mean_over_draws(task):
    noise, outputs = 0.3, torch.randn(1, 200, OUTPUTS[task], generator=torch.Generator().manual_seed(1))
    mean_targets = labels.expected_targets(LABELS[task], task, OUTPUTS[task], noise)
    if task == "multiclass":
        torch.testing.assert_close(mean_targets.sum(1), torch.ones(200).double())
    expected = losses.sample_losses(outputs, mean_targets, task).mean()
    draws = [
        losses.sample_losses(outputs, labels.noisy_targets(LABELS[task], task, OUTPUTS[task], noise, seed), task).mean()
        for seed in range(400)
    ]
    draws = torch.stack(draws)
    added = noise**2 if task == "regression" else 0
    assert abs(draws.mean() - expected - added) < 4 * draws.std() / 20
