"""Training just above the critical weight decay collapses, training just below it does not, on real data."""

import pytest
import torch
from conftest import a_cell

from ranktwo import datasets, engine
from ranktwo.critical import critical_decay
from ranktwo.labels import noisy_targets

SETS = {
    "digits-3v8": {"source": "digits", "scaling": "global", "classes": [3, 8]},
    "iris": {"source": "iris", "bias": True},
    "diabetes": {"source": "diabetes", "bias": True},
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_nets_collapse_just_above_and_not_just_below(name, noise):
    tensors, facts = datasets.prepare(name, datasets.Options(**SETS[name]), "nowhere", False)
    x, y = tensors["train_x"], tensors["train_y"]
    targets = noisy_targets(y, facts["task"], facts["outputs"], noise, 0)
    critical = critical_decay(x, targets, facts["task"])[0]
    if noise == 0:
        assert facts["critical_decay"] == critical
    cells = [
        a_cell(
            widths=(16,),
            learning_rate=0.05 / critical,
            batch_size="full",
            weight_decay=ratio * critical,
            steps=6000,
            label_noise=noise,
        )
        for ratio in (0.95, 1.05)
    ]
    training = engine.begin(cells, x, y, facts["task"], facts["outputs"])
    start = torch.linalg.matrix_norm(training.stack.weights[0])
    training.advance_to(6000)
    left = torch.linalg.matrix_norm(training.stack.weights[0]) / start
    assert left[0] > 0.01
    assert left[1] < 1e-4
