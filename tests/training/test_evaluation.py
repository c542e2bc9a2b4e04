"""What is recorded at a snapshot, against torch's own losses and scikit-learn's scores."""

import pytest
import torch
from sklearn.metrics import accuracy_score, r2_score
from support import a_cell
from training_support import OUTPUTS, toy_data, trained

from ranktwo.data import labels
from ranktwo.training import divergence, evaluation
from ranktwo.training.evaluation import Evaluation

LOSSES = {
    "regression": torch.nn.functional.mse_loss,
    "binary": torch.nn.functional.binary_cross_entropy_with_logits,
    "multiclass": torch.nn.functional.cross_entropy,
}


@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("levels", [(0.0, 0.0), (0.3, 0.0), (0.1, 0.6)])
def test_losses_and_scores_of_every_part(task, levels):
    outputs = OUTPUTS[task]
    x, y = toy_data(task)
    x, test_x, y, test_y = x[:14], x[14:], y[:14], y[14:]
    cells = [a_cell(label_noise=level, seed=seed) for seed, level in enumerate(levels)]
    training = divergence.begin(cells, x, y, task, outputs)
    found = Evaluation(list(levels), task, outputs, x, y, test_x, test_y).measure(training)
    for cell, level in enumerate(levels):
        noisy = labels.noisy_targets(y, task, outputs, level, cell).double()
        draws = [labels.noisy_targets(test_y, task, outputs, level, seed).double() for seed in range(3000)]
        parts = {
            "train": (x, [noisy]),
            "clean_train": (x, [labels.targets(y, task, outputs).double()]),
            "test": (test_x, [labels.targets(test_y, task, outputs).double()]),
            "noisy_test": (test_x, draws if level else draws[:1]),
        }
        v, u = (weight[cell] for weight in training.stack.weights)
        for part, (inputs, wanted) in parts.items():
            f = torch.relu(inputs @ v.T) @ u.T
            # All draws in one array: the mean over it is the mean over draws, which are equally long.
            target = torch.cat(wanted)
            f = f.repeat(len(wanted), 1)
            loss = LOSSES[task](f, target).item()
            near = {"abs": 0.06} if len(wanted) > 1 else {"rel": 1e-9}
            assert found[f"{part}_loss"][cell].item() == pytest.approx(loss, **near)
            if task == "regression":
                assert found[f"{part}_accuracy"].isnan().all()
                if len(wanted) > 1:
                    # Both are expected: the variance is that of each draw about its own mean.
                    variance = torch.stack(wanted).var(dim=(1, 2), unbiased=False).mean().item()
                    assert found["noisy_test_r2"][cell].item() == pytest.approx(1 - loss / variance, abs=0.01)
                else:
                    assert found[f"{part}_r2"][cell].item() == pytest.approx(r2_score(target, f), rel=1e-9)
                continue
            assert found[f"{part}_r2"].isnan().all()
            if task == "binary":
                score = accuracy_score(target[:, 0] > 0.5, f[:, 0] > 0)
            else:
                score = accuracy_score(target.argmax(1), f.argmax(1))
            assert found[f"{part}_accuracy"][cell].item() == pytest.approx(score, **near)


@pytest.mark.parametrize("task", OUTPUTS)
def test_evaluation_is_a_mean_over_samples_whatever_the_slices(task, monkeypatch):
    """A published tool divides summed batch means by the number of samples, so that its loss shrinks with the batch."""
    training = trained([a_cell(seed=seed) for seed in (0, 1)], task)
    x, y = toy_data(task)
    wanted = labels.targets(y, task, OUTPUTS[task]).double()
    outputs = x
    for weight in training.stack.weights[:-1]:
        outputs = (outputs @ weight[1].T).relu()
    outputs = outputs @ training.stack.weights[-1][1].T
    if task == "regression":
        expected = torch.nn.functional.mse_loss(outputs, wanted)
    elif task == "binary":
        expected = torch.nn.functional.binary_cross_entropy_with_logits(outputs, wanted)
    else:
        expected = torch.nn.functional.cross_entropy(outputs, y)
    for slice_elements in (2**21, 12 * 5):
        monkeypatch.setattr(evaluation, "SLICE", slice_elements)
        loss, accuracy = evaluation.evaluate(training.stack.net, training.stack.weights, x, wanted, task)
        assert loss[1].item() == pytest.approx(expected.item(), rel=1e-12)
        if task == "binary":
            assert accuracy[1].item() == ((outputs[:, 0] > 0) == (y == 1)).double().mean().item()
        elif task == "multiclass":
            assert accuracy[1].item() == (outputs.argmax(1) == y).double().mean().item()
        else:
            assert accuracy.isnan().all()
